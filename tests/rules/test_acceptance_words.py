"""Acceptance: a line says on which facts it is based, and which of them are unknown."""

from __future__ import annotations

import pytest
from replayed import Story

GOAL = {"lifecycle_status": "active", "description": "Walk to the shop", "expressed_by": "patient"}


def test_visit_after_discharge_says_the_score_that_it_rests_on_and_what_of_it_is_known():
    """Eight days (5), through the emergency department (3), heart failure (2); it is unknown whether there were visits before."""
    story = Story().team("2026-06-01T09:00").admitted("2026-07-01T10:00", via_emergency=True)
    failing_heart = [{"system": "ICD-10", "code": "I50.9", "rank": 1}]
    why = story.discharged("2026-07-09T15:00", diagnoses=failing_heart).replay().last("TCM-2")["why"]
    assert "LACE: " in why
    assert "inputs known; between 10 and " in why


@pytest.mark.parametrize(
    ("goals", "score"),
    [
        ([(1, 1)], "60.00"),
        ([(1, -2)], "30.00"),
        ([(1, 0), (1, 1), (1, -1)], "50.00"),
        ([(1, 1), (1, 1), (1, 1)], "63.69"),
        ([(3, 1), (1, -1)], "55.82"),
    ],
)
def test_review_of_a_goal_says_how_far_all_goals_have_come(goals: list[tuple[int, int]], score: str):
    story = Story()
    for number, (weight, attainment) in enumerate(goals):
        story.add("GoalUpdated", f"2026-07-06T15:0{number}", goal=f"G{number}", weight=weight, attainment=attainment, **GOAL)
    assert f"T-score of goal attainment is {score}, from {len(goals)} goal" in story.replay().last("GOAL-1")["why"]


@pytest.mark.parametrize("said", [{"attainment": 3}, {"attainment": -3}, {"weight": 0}])
def test_goal_off_the_scale_is_refused_and_changes_nothing(said: dict[str, int]):
    effects = Story().add("GoalUpdated", "2026-07-06T15:00", goal="G1", **GOAL, **said).replay()
    assert [line["effect"] for line in effects.lines] == ["refused"]


def home() -> Story:
    """Discharged on Monday 6 July: the practice must speak with the person by the end of Wednesday."""
    return Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")


@pytest.mark.parametrize(
    ("story", "happened", "follows"),
    [
        (home().cared("2026-07-08T12:00", "interactive-contact"), "care was recorded", "The task is done in time."),
        (home().cared("2026-07-09T12:00", "interactive-contact"), "care was recorded", "The task is done, but after the deadline."),
        (
            home().cared("2026-07-08T12:00", "interactive-contact", recorded="2026-07-10T09:00"),
            "care was recorded",
            "This was before the deadline but was reported after it, so the task counts as done in time.",
        ),
        (
            home().add("DischargeCancelled", "2026-07-06T16:00", encounter=Story().stay()),
            "the discharge was cancelled at GENERAL",
            "The task is cancelled.",
        ),
        (home().admitted("2026-07-07T09:00", "V2"), "the person was admitted at GENERAL", "This event makes the task obsolete."),
        (
            home().add("PersonUpdated", "2026-07-07T09:00", deceased=True),
            "the person's record was updated",
            "The task is no longer needed.",
        ),
    ],
    ids=["in time", "late", "reported late", "cancelled", "readmitted", "died"],
)
def test_closed_task_says_what_happened_and_what_follows(story: Story, happened: str, follows: str):
    closed = story.replay("2026-07-12T00:00").last("TCM-1")
    assert closed["closure"] is not None
    assert closed["why"].startswith(f"Rule TCM-1 version 1: {happened} on ")
    assert closed["why"].endswith(follows)


def test_every_task_gap_notification_and_withdrawal_names_its_rule_and_version():
    story = home().admitted("2026-07-10T09:00", "V2").add("AdmissionCancelled", "2026-07-10T10:00", encounter=Story().stay("V2"))
    lines = story.replay("2026-08-10T00:00").of(None, "task", "gap", "notification", "withdrawal")
    assert {line["effect"] for line in lines} == {"task", "gap", "notification", "withdrawal"}
    assert not [line for line in lines if not line["why"].startswith(f"Rule {line['rule']} version {line['rule_version']}: ")]
