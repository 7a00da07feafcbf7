"""Acceptance: at every instant the lines of a handoff show one owner, one deadline and one end."""

from __future__ import annotations

from typing import Any

import pytest
from replayed import Story

WHO = {"role": "pcp", "practitioner": {"id": "8802", "name": "Dr. Other"}}


def overdue() -> Story:
    """A discharge that nobody has followed up: TCM-1 is open since midnight of Thursday 9 July."""
    return Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("TaskClaimed", {"by": WHO}),
        ("TaskReassigned", {"by": WHO, "to": {"role": "community-nurse", "practitioner": {"id": "N1", "name": "Nurse"}}}),
        ("TaskEscalated", {"by": WHO, "reason": "no telephone"}),
    ],
)
def test_gap_that_is_open_names_the_owner_that_its_task_names(kind: str, said: dict[str, Any]):
    story = overdue()
    task = story.replay("2026-07-09T01:00").handoff("TCM-1")
    effects = story.add(kind, "2026-07-09T09:00", task=task, **said).replay()
    assert effects.last("TCM-1", "gap")["owner"] == effects.last("TCM-1", "task")["owner"] != "practice-manager/pool:riverside-managers"


def test_gap_goes_back_to_the_pool_with_the_task_that_is_declined():
    story = overdue()
    task = story.replay("2026-07-09T01:00").handoff("TCM-1")
    story.add("TaskClaimed", "2026-07-09T09:00", task=task, by=WHO)
    effects = story.add("TaskDeclined", "2026-07-09T10:00", task=task, by=WHO, reason="on leave").replay()
    assert effects.last("TCM-1", "gap")["owner"] == effects.last("TCM-1", "task")["owner"] == "practice-manager/pool:riverside-managers"


def test_gap_shows_the_earlier_due_that_a_visit_brings():
    """MED-1 is due soon from Tuesday 21 July on. A visit on the 24th makes it due on that day."""
    story = overdue().cared("2026-07-24T10:00", "face-to-face-visit")
    effects = story.replay()
    assert effects.last("MED-1", "gap")["due"] == effects.last("MED-1", "task")["due"] == "2026-07-25T04:00:00Z"


def test_lines_have_different_ids_if_one_decision_changes_a_task_twice():
    """The visit arrives before its discharge, so one decision opens the handoff and makes it due earlier."""
    story = Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00").cared("2026-07-07T10:00", "face-to-face-visit")
    effects = story.discharged("2026-07-06T15:00", recorded="2026-07-08T09:00").replay("2026-07-12T00:00")
    ids = [line["id"] for line in effects.lines]
    assert len(effects.of("MED-1", "task")) > 1
    assert len(set(ids)) == len(ids)
    assert {line["state"] for line in effects.of("MED-1", "gap")} == {"open"}
