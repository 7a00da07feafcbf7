"""Goals seen from outside: what happens to them around stays and reviews, in whatever order it is heard of."""

from __future__ import annotations

from typing import Any

from replayed import Story


def story() -> Story:
    return Story(facility="FARWAY", person="P-1")


def goal(told: Story, when: str, status: str = "active", name: str = "G1", **said: Any) -> Story:
    recorded = said.pop("recorded", None)
    data = {"goal": name, "lifecycle_status": status, "description": f"Words of {name}", "expressed_by": "patient", **said}
    return told.tell("GoalUpdated", when, recorded=recorded, **data)


def test_admission_that_arrives_after_its_discharge_opens_reviews_that_no_two_share_an_id():
    told = story().discharged("2026-07-06T18:00")
    told = goal(told, "2026-07-01T09:00", recorded="2026-07-06T19:00")
    told = told.admitted("2026-07-06T16:00", recorded="2026-07-06T20:00").replay()
    ids = [line["id"] for line in told.lines]
    assert len(ids) == len(set(ids))
    assert [line["opened_at"] for line in told.standing().values() if line["rule"] == "GOAL-2"] == ["2026-07-06T22:00:00Z"]
