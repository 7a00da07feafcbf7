"""Acceptance: goals around encounters and reviews, in any order of arrival."""

from __future__ import annotations

from typing import Any

from replayed import Story


def story() -> Story:
    return Story(facility="FARWAY", person="P-1")


def goal(history: Story, when: str, status: str = "active", name: str = "G1", **said: Any) -> Story:
    recorded = said.pop("recorded", None)
    data = {"goal": name, "lifecycle_status": status, "description": f"Words of {name}", "expressed_by": "patient", **said}
    return history.add("GoalUpdated", when, recorded=recorded, **data)


def test_admission_that_arrives_after_its_discharge_opens_reviews_with_different_ids():
    history = story().discharged("2026-07-06T18:00")
    history = goal(history, "2026-07-01T09:00", recorded="2026-07-06T19:00")
    effects = history.admitted("2026-07-06T16:00", recorded="2026-07-06T20:00").replay()
    ids = [line["id"] for line in effects.lines]
    assert len(ids) == len(set(ids))
    assert [line["opened_at"] for line in effects.open_handoffs().values() if line["rule"] == "GOAL-2"] == ["2026-07-06T22:00:00Z"]


# ---- reviews


def test_review_of_several_goals_begins_the_next_interval_of_each():
    history = goal(goal(story(), "2026-07-01T09:00"), "2026-07-01T09:01", name="G2")
    history = goal(history, "2026-07-01T09:02", name="G3")
    effects = history.cared("2026-07-10T10:00", "goal-review", based_on=["G1", "G2"]).replay()
    due = {line["goal"]: line["due"][:10] for line in effects.open_handoffs().values() if line["rule"] == "GOAL-1"}
    assert due == {"G1": "2026-10-09", "G2": "2026-10-09", "G3": "2026-08-27"}


def test_review_of_one_goal_does_not_close_the_handoff_of_another():
    history = goal(goal(story(), "2026-07-01T09:00"), "2026-07-01T09:01", name="G2").admitted("2026-07-06T10:00")
    effects = history.cared("2026-07-10T10:00", "goal-review", based_on=["G2"]).replay()
    assert [line["goal"] for line in effects.open_handoffs().values() if line["rule"] == "GOAL-2"] == ["G1"]


# ---- setbacks out of order


def setbacks(*said: tuple[str, str, str]) -> list[tuple[str, str]]:
    """The handoffs of GOAL-3 that are open after updates (day, achievement, day of arrival) in July."""
    history = goal(story(), "2026-07-01T09:00")
    for day, achieved, arrives in said:
        history = goal(history, f"2026-07-{day}T09:00", achievement_status=achieved, recorded=f"2026-07-{arrives}T10:00")
    lines = history.replay("2026-07-24T00:00").open_handoffs().values()
    return [(line["opened_at"][8:10], line["due"][:10]) for line in lines if line["rule"] == "GOAL-3"]


def test_two_setbacks_in_a_row_require_a_change_of_plan_from_the_second_on_whichever_arrives_first():
    in_order = setbacks(("06", "worsening", "06"), ("10", "no-progress", "10"))
    assert in_order == setbacks(("10", "no-progress", "10"), ("06", "worsening", "12")) == [("10", "2026-07-25")]


def test_setback_that_arrives_after_the_goal_improved_opens_nothing():
    assert setbacks(("06", "worsening", "06"), ("14", "improving", "14"), ("10", "worsening", "15")) == []


def test_progress_between_two_setbacks_that_arrives_last_separates_them():
    assert setbacks(("06", "worsening", "06"), ("10", "improving", "10"), ("12", "worsening", "12")) == []


def test_third_setback_after_a_change_of_plan_requires_another_change():
    history = goal(story(), "2026-07-01T09:00")
    history = goal(history, "2026-07-06T09:00", achievement_status="worsening")
    history = goal(history, "2026-07-08T09:00", achievement_status="worsening")
    history = history.cared("2026-07-09T09:00", "plan-change", based_on=["G1"])
    effects = goal(history, "2026-07-10T09:00", achievement_status="worsening").replay()
    assert [line["closure"] for line in effects.of("GOAL-3", "task")] == [None, "met", None]


# ---- goals and stays out of order


def reviews(history: Story) -> list[tuple[str, str, str]]:
    lines = history.replay("2026-07-12T00:00").open_handoffs().values()
    return [(line["goal"], line["opened_at"], line["due"]) for line in lines if line["rule"] == "GOAL-2"]


def test_goal_that_existed_during_a_stay_is_reviewed_although_it_arrives_later():
    first = goal(story(), "2026-07-01T09:00").admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")
    late = story().admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")
    late = goal(late, "2026-07-01T09:00", recorded="2026-07-06T16:00")
    assert reviews(first) == reviews(late) != []


def test_goal_that_began_after_the_stay_is_not_reviewed_for_it():
    history = story().admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")
    assert reviews(goal(history, "2026-07-06T16:00")) == []


def test_goal_that_arrives_late_and_was_reviewed_since_needs_no_review():
    history = story().admitted("2026-07-03T10:00").cared("2026-07-05T10:00", "goal-review")
    assert reviews(goal(history, "2026-07-01T09:00", recorded="2026-07-06T16:00")) == []


def test_review_that_arrives_before_its_goal_begins_the_next_interval():
    history = story().cared("2026-07-06T10:00", "goal-review", based_on=["G1"])
    effects = goal(history, "2026-07-06T09:00", recorded="2026-07-06T11:00").replay()
    assert [line["due"][:10] for line in effects.open_handoffs().values() if line["rule"] == "GOAL-1"] == ["2026-10-05"]
    ids = [line["id"] for line in effects.lines]
    assert len(ids) == len(set(ids))
