"""The rules of goals: reviews, a change of plan, and the person's agreement."""

from __future__ import annotations

import pytest
from care_story import NEW_YORK, care, closure, due, end_of_day, goal, story
from timeline import millis


@pytest.mark.parametrize(
    ("setting", "first", "later"),
    [("hospice", 15, 15), ("home-health", 56, 60), ("icf", 56, 90), ("social-care", 56, None), (None, 56, 90)],
)
def test_each_review_begins_the_next_interval_of_the_setting(setting, first, later):
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True, setting=setting)
    assert due(t, "GOAL-1") == end_of_day("2026-07-01", first)
    goal(t, "2026-07-10T09:00", reviewed=True)
    goal(t, "2026-07-10T10:00", description="Walk to the shop", reviewed=False)

    live = [h for h in t.handoffs("GOAL-1").values() if not h["closure"]]
    expected = end_of_day("2026-07-10", later) if later else millis("2027-07-11T00:00", NEW_YORK)
    assert [h["due"] for h in live] == [expected]


def test_review_recorded_as_care_begins_the_next_interval_too():
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True)
    care(t, "2026-07-10T09:00", "goal-review", based_on=["G1"])

    live = [h for h in t.handoffs("GOAL-1").values() if not h["closure"]]
    assert [h["due"] for h in live] == [end_of_day("2026-07-10", 90)]


def test_goal_on_hold_pauses_its_review_and_starts_it_again():
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True)
    goal(t, "2026-07-05T09:00", "on-hold")
    assert closure(t, "GOAL-1") == "not-applicable"
    goal(t, "2026-08-01T09:00", "active")

    assert [h["due"] for h in t.handoffs("GOAL-1").values() if not h["closure"]] == [end_of_day("2026-08-01", 56)]


def test_goal_that_improves_in_between_needs_no_change_of_plan():
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True)
    goal(t, "2026-07-08T09:00", achievement_status="worsening")
    goal(t, "2026-07-15T09:00", achievement_status="improving")
    goal(t, "2026-07-22T09:00", achievement_status="worsening")
    assert t.handoffs("GOAL-3") == {}
    goal(t, "2026-07-29T09:00", achievement_status="no-progress")
    assert due(t, "GOAL-3") == end_of_day("2026-07-29", 14)
    goal(t, "2026-08-01T09:00", description="Walk to the bench")
    assert closure(t, "GOAL-3") == "met"


def test_care_team_cannot_answer_for_the_person():
    t = story()
    goal(t, "2026-07-01T09:00", "proposed", description="Walk to the shop")
    goal(t, "2026-07-05T09:00", "active")
    assert closure(t, "GOAL-4") == ""
    goal(t, "2026-07-06T09:00", "active", accepted_by_person=True)
    assert closure(t, "GOAL-4") == "met"


def test_person_may_say_no():
    t = story()
    goal(t, "2026-07-01T09:00", "proposed", description="Walk to the shop")
    goal(t, "2026-07-05T09:00", "rejected", accepted_by_person=False)

    assert closure(t, "GOAL-4") == "met"
