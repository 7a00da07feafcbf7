"""Stories that the random tests found: the same facts lead to the same result, in whatever order they arrive."""

from __future__ import annotations

from typing import Any

from timeline import Timeline

from agents.coordination.person.encounter import STATUS_NAMES
from agents.coordination.person.state import unpack
from streams.contract import effects as out

DAY = "2026-07-06"
STAY = {"facility": "GENERAL", "visit": "V1"}
REQUESTER = {"role": "pcp", "organization": "riverside-family"}
TARGET = {"role": "referral-target", "organization": "heart-clinic"}


def open_rules(t: Timeline) -> set[str]:
    person = unpack(t._packed or b"")
    return {h.rule for h in person.handoffs if not h.closed_at}


def test_acknowledgement_is_due_from_the_notification_and_not_from_the_event():
    t = Timeline()

    t.at(f"{DAY}T08:00", "PatientAdmitted", arrival=f"{DAY}T20:00", encounter=STAY, **{"class": "IMP"})

    assert t.only("NOT-2")["due"] == t._millis("2026-07-07T00:00")
    assert [gap for gap in t.until(f"{DAY}T21:59") if gap.rule == "NOT-2"] == []


def test_discharge_before_its_registration_opens_no_more_handoffs_than_in_order():
    in_order, overtaken = Timeline(), Timeline()

    in_order.at(f"{DAY}T08:00", "PatientAdmitted", encounter=STAY, **{"class": "EMER"})
    in_order.at(f"{DAY}T12:00", "PatientDischarged", encounter=STAY, disposition="home")
    overtaken.at(f"{DAY}T12:00", "PatientDischarged", encounter=STAY, disposition="home")
    assert {"TCM-1", "MED-1"} <= open_rules(overtaken)
    overtaken.at(f"{DAY}T08:00", "PatientAdmitted", arrival=f"{DAY}T12:05", encounter=STAY, **{"class": "EMER"})

    assert {"TCM-1", "MED-1"} & open_rules(overtaken) == {"TCM-1", "MED-1"} & open_rules(in_order) == set()
    assert "DIS-1" in open_rules(overtaken)
    assert [task.closure for task in overtaken.tasks("TCM-1")][-1] == "not-applicable"


def test_goal_taken_up_after_an_admission_is_not_reviewed_for_it_although_the_admission_arrives_later():
    t = Timeline()

    t.at(f"{DAY}T10:00", "GoalUpdated", goal="G1", lifecycle_status="active", description="Walk to the shop again", expressed_by="person")
    t.at(f"{DAY}T08:00", "PatientAdmitted", arrival=f"{DAY}T11:00", encounter=STAY, **{"class": "IMP"})

    assert t.tasks("GOAL-2") == []


def test_leave_that_arrives_before_its_admission_is_not_forgotten():
    t = Timeline()

    t.at(f"{DAY}T10:00", "EncounterUpdated", encounter=STAY, leave=True)
    t.at(f"{DAY}T08:00", "PatientAdmitted", arrival=f"{DAY}T11:00", encounter=STAY, **{"class": "IMP"})

    assert [STATUS_NAMES[s.status] for s in unpack(t._packed or b"").encounters] == ["onleave"]


def test_return_that_overtakes_its_leave_ends_it():
    t = Timeline()
    t.at(f"{DAY}T08:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})

    t.at(f"{DAY}T12:00", "EncounterUpdated", encounter=STAY, leave=False)
    t.at(f"{DAY}T10:00", "EncounterUpdated", arrival=f"{DAY}T12:05", encounter=STAY, leave=True)

    assert [STATUS_NAMES[s.status] for s in unpack(t._packed or b"").encounters] == ["in-progress"]


def refer(t: Timeline, when: str, name: str) -> list[Any]:
    return t.at(when, "ReferralRequested", referral=name, requester=REQUESTER, target=TARGET, service="cardiology")


def test_referral_is_never_linked_to_one_that_is_itself_a_duplicate():
    t = Timeline()
    refer(t, f"{DAY}T08:00", "R1")
    refer(t, f"{DAY}T09:00", "R2")
    t.at(f"{DAY}T10:00", "ReferralStatusChanged", referral="R1", status="rejected", by="target", reason="no capacity")

    refer(t, f"{DAY}T11:00", "R3")

    assert [task.referral for task in t.tasks("REF-1") if task.state == "requested"] == ["R1", "R2"]
    assert [referral.linked for referral in unpack(t._packed or b"").referrals] == ["", "", "R2"]


def test_answer_to_a_task_that_is_still_a_draft_is_refused():
    t = Timeline()
    t.at(f"{DAY}T08:00", "PatientAdmitted", encounter=STAY, **{"class": "EMER"})
    hidden = next(h.id for h in unpack(t._packed or b"").handoffs if h.rule == "ENC-1")

    effects = t.at(f"{DAY}T09:00", "TaskAcknowledged", task=hidden.hex(), by={"role": "registration"})

    assert [type(effect) for effect in effects] == [out.EventRefused]
    assert [task.state for task in t.tasks("ENC-1")] == ["draft"]


def test_move_that_arrives_after_a_later_leave_does_not_end_it():
    t = Timeline()
    ward = {"facility": "GENERAL", "unit": "ICU", "level": "intensive"}
    t.at(f"{DAY}T08:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})

    t.at(f"{DAY}T12:00", "EncounterUpdated", encounter=STAY, leave=True)
    t.at(f"{DAY}T10:00", "PatientTransferred", arrival=f"{DAY}T12:05", encounter=STAY, to=ward)

    assert [STATUS_NAMES[s.status] for s in unpack(t._packed or b"").encounters] == ["onleave"]


def test_admission_of_a_stay_that_was_assumed_to_be_over_is_of_the_same_stay():
    t = Timeline()
    t.at(f"{DAY}T08:00", "PatientAdmitted", encounter=STAY, registration=True, **{"class": "EMER"})
    t.until("2026-07-20T00:00")
    assert [STATUS_NAMES[s.status] for s in unpack(t._packed or b"").encounters] == ["finished"]

    t.at("2026-07-20T08:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})

    assert [STATUS_NAMES[s.status] for s in unpack(t._packed or b"").encounters] == ["in-progress"]
    assert "NTF-ADMIT" in {effect.rule for effect in t.effects}
