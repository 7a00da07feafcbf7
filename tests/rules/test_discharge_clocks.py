"""The clocks after a discharge: when they start, which care counts, what ends them, and late events."""

from __future__ import annotations

import pytest
from care_story import DISCHARGED, ENGLISH, LONDON, NEW_YORK, STAY, admit, care, closure, discharge, due, emergency, inpatient, refer, story
from timeline import Timeline, millis

from streams.contract import effects as out

# ---- event time and arrival time, late and early


def test_clock_runs_from_the_discharge_and_not_from_its_arrival():
    t = story()
    admit(t, "2026-07-03T10:00")
    t.at(DISCHARGED, "PatientDischarged", arrival="2026-07-07T20:00", encounter=STAY, disposition="home")

    assert due(t, "TCM-1") == millis("2026-07-09T00:00", NEW_YORK)


def test_discharge_that_arrives_after_its_deadline_is_overdue_immediately():
    t = story()
    admit(t, "2026-07-03T10:00")
    t.at(DISCHARGED, "PatientDischarged", arrival="2026-07-10T20:00", encounter=STAY, disposition="home")
    t.until("2026-07-10T20:00")

    # Both steps that have passed are reached in one decision. Each party is notified once.
    assert {(gap.state, gap.at) for gap in t.gaps("TCM-1")} == {("open", millis("2026-07-10T20:00", NEW_YORK))}
    assert len({e.recipient for e in t.notifications("TCM-1")}) == len(t.notifications("TCM-1"))


def test_call_in_time_that_is_reported_late_is_met_and_the_alert_is_withdrawn():
    t = inpatient()
    t.until("2026-07-09T08:00")
    alerted = t.notifications("TCM-1")
    care(t, "2026-07-08T11:00", "interactive-contact", arrival="2026-07-10T09:00")

    withdrawn = [e.notification for e in t.of("TCM-1", out.NotificationWithdrawn)]
    assert alerted
    assert closure(t, "TCM-1") == "met"
    assert sorted(withdrawn) == sorted(e.id for e in alerted)


def test_call_that_arrives_before_the_discharge_it_follows_counts():
    t = story()
    admit(t, "2026-07-03T10:00")
    care(t, "2026-07-07T09:00", "interactive-contact")
    t.at(DISCHARGED, "PatientDischarged", arrival="2026-07-07T10:00", encounter=STAY, disposition="home")

    assert closure(t, "TCM-1") == "met"


def test_call_before_the_discharge_does_not_count():
    t = story()
    admit(t, "2026-07-03T10:00")
    care(t, "2026-07-06T14:59", "interactive-contact")
    discharge(t)

    assert closure(t, "TCM-1") == ""


def test_call_that_was_not_done_does_not_count():
    t = inpatient()
    care(t, "2026-07-07T09:00", "interactive-contact", status="not-done")

    assert closure(t, "TCM-1") == ""


def test_event_with_empty_fields_is_remembered_and_read_again():
    t = story()
    refer(t, "2026-07-06T10:00", service="")
    t.at("2026-07-06T11:00", "CareTeamChanged", members=[], replace=True)
    admit(t, "2026-07-03T10:00")
    t.at("2026-07-06T12:00", "PatientDischarged", encounter=STAY, disposition="home")

    assert due(t, "TCM-1") == millis("2026-07-09T00:00", NEW_YORK)


# ---- cancellations, readmission, transfer, death


ALL_DISCHARGE_RULES = ("TCM-1", "TCM-3", "TRC-2", "TRC-3", "MED-1", "DIS-1", "FUH-7", "FUH-30")


def test_cancelled_discharge_ends_its_clocks_and_a_new_one_starts_them_again():
    t = inpatient(codes=("F32.1",))
    t.at("2026-07-06T16:00", "DischargeCancelled", encounter=STAY)

    assert {rule: closure(t, rule) for rule in ALL_DISCHARGE_RULES} == dict.fromkeys(ALL_DISCHARGE_RULES, "cancelled")

    discharge(t, "2026-07-08T10:00", codes=("F32.1",))

    for rule in ALL_DISCHARGE_RULES:
        live = [h for h in t.handoffs(rule).values() if not h["closure"]]
        assert [h["opened"] for h in live] == [millis("2026-07-08T10:00", NEW_YORK)], rule


def test_cancelled_admission_ends_everything():
    t = inpatient(codes=("F32.1",))
    t.at("2026-07-06T16:00", "AdmissionCancelled", encounter=STAY)

    for rule in (*ALL_DISCHARGE_RULES, "TRC-1", "NOT-1"):
        assert {h["closure"] for h in t.handoffs(rule).values()} == {"cancelled"}, rule


def test_readmission_supersedes_the_handoffs_of_the_discharge():
    t = inpatient(codes=("F32.1",))
    admit(t, "2026-07-07T10:00", {"facility": "MERCY", "visit": "M1"})

    for rule in ("TCM-1", "TCM-3", "TRC-2", "TRC-3", "MED-1", "FUH-7", "FUH-30", "DIS-1"):
        assert closure(t, rule) == "superseded", rule


def test_emergency_visit_does_not_supersede_but_its_admission_does():
    t = inpatient(codes=("F32.1",))
    admit(t, "2026-07-07T10:00", {"facility": "MERCY", "visit": "M1"}, class_="EMER")
    before = closure(t, "FUH-7")
    t.at("2026-07-07T14:00", "EncounterClassChanged", encounter={"facility": "MERCY", "visit": "M1"}, **{"class": "IMP"})

    assert before == ""
    assert closure(t, "FUH-7") == "superseded"


@pytest.mark.parametrize(
    ("disposition", "opens"),
    [
        ("home", True),
        ("alt-home", True),
        ("aadvice", True),
        ("oth", True),
        ("other-hcf", False),
        ("hosp", False),
        ("hospice", False),
        ("exp", False),
        ("snf", False),
    ],
)
def test_only_people_who_go_home_are_called_and_unknown_counts_as_home(disposition, opens):
    t = story()
    admit(t, "2026-07-03T10:00")
    discharge(t, disposition=disposition)

    assert bool(t.handoffs("TCM-1")) is opens


def test_death_ends_every_clock_of_the_person():
    t = inpatient(codes=("F32.1",))
    refer(t, "2026-07-06T17:00")
    t.at("2026-07-07T03:00", "PersonUpdated", deceased=True)

    rules = {e.rule for e in t.effects if isinstance(e, out.TaskState)}
    assert {"TCM-1", "FUH-7", "REF-1", "REF-4"} <= rules
    for rule in rules:
        assert all(h["closure"] for h in t.handoffs(rule).values()), rule
    t.until("2026-12-01T00:00")
    assert [e for e in t.effects if isinstance(e, out.GapState) and e.state == "open" and e.at > millis("2026-07-07T03:00", NEW_YORK)] == []


@pytest.mark.parametrize("again", ["PatientDischarged", "EncounterUpdated"])
@pytest.mark.parametrize("disposition", ["hospice", "snf", "other-hcf"])
def test_discharge_corrected_to_hospice_or_elsewhere_closes_the_handoffs_of_a_discharge_home(again, disposition):
    t = inpatient(codes=("F32.1",))
    t.at("2026-07-06T18:00", again, encounter=STAY, disposition=disposition)

    for rule in ("TCM-1", "TCM-3", "TRC-3", "MED-1", "FUH-7", "FUH-30"):
        assert closure(t, rule) == "not-applicable", rule


# ---- day zero, and not before the trigger


def test_medicines_compared_on_the_date_of_discharge_count_even_before_it_and_whatever_arrives_first():
    first, later, day_before = story(), story(), story()
    for t in (first, later, day_before):
        admit(t, "2026-07-03T10:00")
    care(first, "2026-07-06T09:00", "medication-reconciliation")
    discharge(first)
    discharge(later)
    care(later, "2026-07-06T09:00", "medication-reconciliation", arrival="2026-07-06T17:00")
    care(day_before, "2026-07-05T23:59", "medication-reconciliation")
    discharge(day_before)

    assert (closure(first, "MED-1"), closure(later, "MED-1"), closure(day_before, "MED-1")) == ("met", "met", "")


def test_same_day_visit_does_not_count_after_hospital_and_counts_after_the_emergency_department():
    ward = inpatient(codes=("F32.1",))
    ed = emergency(codes=("F32.1",))
    for t in (ward, ed):
        care(t, "2026-07-06T18:00", "mental-health-follow-up")

    assert closure(ward, "FUH-7") == ""
    assert closure(ed, "FUM-7") == "met"
    care(ward, "2026-07-07T00:00", "mental-health-follow-up")
    assert closure(ward, "FUH-7") == "met"


def test_engagement_on_the_day_of_discharge_does_not_count():
    t = inpatient()
    care(t, "2026-07-06T23:59", "patient-engagement")
    assert closure(t, "TRC-3") == ""
    care(t, "2026-07-07T00:00", "patient-engagement")
    assert closure(t, "TRC-3") == "met"


def at_risk() -> Timeline:
    t = story(LONDON)
    admit(t, "2026-06-20T10:00", ENGLISH, via_emergency=True)
    discharge(t, encounter=ENGLISH)
    return t


@pytest.mark.parametrize(("called", "counts"), [("2026-07-07T14:59", ""), ("2026-07-07T15:00", "met"), ("2026-07-09T15:00", "met")])
def test_call_in_the_first_24_hours_is_too_early(called, counts):
    t = at_risk()
    care(t, called, "interactive-contact")

    assert closure(t, "NICE-1") == counts


def test_people_without_risk_are_not_called():
    assert inpatient(zone=LONDON).handoffs("NICE-1") == {}
    assert inpatient(zone=LONDON).handoffs("NHS-1") != {}
