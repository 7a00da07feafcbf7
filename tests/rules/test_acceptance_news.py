"""Acceptance: each notification is delivered or somebody looks into it, and what is not sent has a reason."""

from __future__ import annotations

from typing import Any

import pytest
from replayed import Story

REFERRAL: dict[str, Any] = {
    "requester": {"role": "pcp", "practitioner": {"id": "8801", "name": "Dr. Example"}},
    "target": {"role": "referral-target", "organization": "heart-clinic"},
    "service": "cardiology",
    "priority": "routine",
}


def stay() -> Story:
    return Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00")


def delivered(story: Story, notice: str, when: str) -> Story:
    """Add the delivery of *notice*, which has been issued, to the practice."""
    (news,) = (n for n in story.replay().of(notice, "notification") if n["role"] == "pcp")
    return story.add("NotificationDelivered", when, notification=news["id"], recipient=news["recipient"], channel="email")


def test_admission_that_was_delivered_leaves_the_discharge_to_be_delivered_too():
    effects = delivered(stay(), "NTF-ADMIT", "2026-07-03T10:01").discharged("2026-07-06T15:00").replay("2026-07-06T15:05")
    (gap,) = effects.of("NOT-1", "gap")
    assert (gap["state"], gap["due"]) == ("open", "2026-07-06T19:05:00Z")


def test_delivery_of_the_admission_does_not_count_as_delivery_of_the_discharge():
    story = stay()
    late = delivered(story, "NTF-ADMIT", "2026-07-06T15:01").lines.pop()
    story.discharged("2026-07-06T15:00").lines.append(late)
    assert story.replay("2026-07-06T15:05").last("NOT-1", "gap")["state"] == "open"


@pytest.mark.parametrize(("minute", "gaps"), [("15:04", []), ("15:05", []), ("15:06", ["open", "closed"])])
def test_discharge_is_delivered_within_five_minutes_or_operations_are_notified(minute: str, gaps: list[str]):
    story = delivered(stay(), "NTF-ADMIT", "2026-07-03T10:01").discharged("2026-07-06T15:00")
    effects = delivered(story, "NTF-DISCHARGE", f"2026-07-06T{minute}").replay("2026-07-06T18:00")
    assert [gap["state"] for gap in effects.of("NOT-1", "gap")] == gaps


def test_duplicate_referral_names_the_one_it_is_linked_to():
    story = Story().add("ReferralRequested", "2026-07-06T15:00", referral="R1", **REFERRAL)
    effects = story.add("ReferralRequested", "2026-07-07T10:00", referral="R2", **REFERRAL).replay()
    (line,) = effects.of(None, "suppressed")
    assert line["reason"] == "duplicate-referral"
    assert "R1" in line["why"]
    assert len({task["handoff"] for task in effects.of("REF-1", "task")}) == 1


def test_missed_appointment_of_a_deceased_person_notifies_nobody_and_says_so():
    story = Story().add("ReferralRequested", "2026-07-06T15:00", referral="R1", **REFERRAL)
    story.add("PersonUpdated", "2026-07-07T09:00", deceased=True)
    effects = story.add("AppointmentChanged", "2026-07-08T09:00", appointment="A1", status="noshow", referral="R1").replay(
        "2026-08-01T09:00"
    )
    after = [line for line in effects.lines if line["at"] >= "2026-07-08"]
    assert [(line["effect"], line["reason"]) for line in after] == [("suppressed", "deceased")]
