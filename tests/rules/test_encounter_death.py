"""Death during or after an encounter, and a death that was reported by mistake."""

from __future__ import annotations

import pytest
from encounter_story import ADMITTED, DISCHARGED, STAY, admit_and_discharge, issued, open_rules, pcp_member

from agents.coordination.person.state import unpack
from streams.contract import effects as out


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("PatientDischarged", {"encounter": STAY, "disposition": "exp"}),
        ("EncounterUpdated", {"encounter": STAY, "deceased": True}),
        ("PersonUpdated", {"deceased": True}),
    ],
)
def test_death_ends_every_clock_and_nobody_calls_the_family(story, kind, data):
    story.at("2026-06-20T09:00", "CareTeamChanged", members=[{"role": "caregiver", "party": {"role": "caregiver", "caregiver": "C1"}}])
    story.at("2026-06-20T09:00", "GoalUpdated", goal="G1", lifecycle_status="active", description="walk to the shop")
    refer = {
        "referral": "R1",
        "requester": {"role": "pcp"},
        "target": {"role": "social-care", "organization": "meals-and-rides"},
        "service": "meals",
    }
    story.at("2026-06-30T09:00", "ReferralRequested", **refer)
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, members=pcp_member(), **{"class": "IMP"})
    effects = story.at(DISCHARGED, kind, **data)
    assert open_rules(story) == []
    assert {e.closure for e in effects if isinstance(e, out.TaskState)} == {"not-applicable"}
    assert not any(recipient.startswith("caregiver/") for _, recipient in issued(effects))

    after = story.until("2026-10-01T00:00")
    assert after == []
    quiet = story.at("2026-07-05T09:00", "AppointmentChanged", appointment="A1", status="cancelled", start="2026-07-09T09:00:00-04:00")
    assert issued(quiet) == []


def test_cancelled_discharge_of_a_person_reported_dead_reopens_the_handoffs(story):
    story.at("2026-06-30T09:00", "PatientDischarged", encounter={"facility": "MERCY", "visit": "M1"}, disposition="home")
    story.at("2026-06-30T18:00", "PatientAdmitted", encounter=STAY, **{"class": "EMER"})
    story.at("2026-06-30T20:00", "PatientDischarged", encounter=STAY, disposition="exp")
    assert open_rules(story) == []
    story.at("2026-06-30T21:00", "DischargeCancelled", encounter=STAY)
    assert "TCM-1" in open_rules(story)
    assert unpack(story._packed).deceased == 0


def test_death_reported_by_mistake_reopens_the_handoffs(story):
    admit_and_discharge(story)
    story.at("2026-07-02T16:00", "PersonUpdated", deceased=True)
    assert open_rules(story) == []
    story.at("2026-07-02T17:00", "PersonUpdated", deceased=False)
    assert open_rules(story) == ["DIS-1", "NOT-2", "TCM-1"]
