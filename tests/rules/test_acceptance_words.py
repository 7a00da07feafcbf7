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
        story.tell("GoalUpdated", f"2026-07-06T15:0{number}", goal=f"G{number}", weight=weight, attainment=attainment, **GOAL)
    assert f"T-score {score}, of {len(goals)}" in story.replay().last("GOAL-1")["why"]


@pytest.mark.parametrize("said", [{"attainment": 3}, {"attainment": -3}, {"weight": 0}])
def test_goal_off_the_scale_is_refused_and_changes_nothing(said: dict[str, int]):
    told = Story().tell("GoalUpdated", "2026-07-06T15:00", goal="G1", **GOAL, **said).replay()
    assert [line["effect"] for line in told.lines] == ["refused"]
