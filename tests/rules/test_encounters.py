"""The states of an encounter: its transitions, and cancellations before and after their target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from encounter_story import (
    ADMITTED,
    DISCHARGED,
    STAY,
    admit_and_discharge,
    issued,
    open_rules,
    pcp_member,
    reasons,
    status,
    stays,
    withdrawn,
)
from timeline import Timeline, millis

from agents.coordination.person.encounter import Status
from agents.coordination.person.state import unpack
from agents.coordination.record.encounter_diagram import ACTS, KINDS, render_markdown
from agents.coordination.record.encounter_states import TABLE
from streams.contract import effects as out

NO_VISIT = {"facility": "GENERAL"}


def test_table_has_every_act_in_every_possible_status():
    acts = {act for act, _ in TABLE}
    for act in acts - {"admit-after-cancel"}:
        assert {status for a, status in TABLE if a == act} == set(range(6)), act


def test_page_of_the_states_is_generated_from_the_table():
    page = Path(__file__).parents[2] / "docs" / "encounter-states.md"

    assert page.read_text(encoding="utf-8") == render_markdown(), "the page is outdated: run make rules"
    assert {act for act, _ in TABLE} == ACTS.keys()
    assert {kind for _, kind, _ in TABLE.values()} == KINDS.keys()


def test_care_team_is_notified_of_an_admission_and_of_a_discharge(story):
    notified = issued(story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"}, members=pcp_member()))
    assert notified == [("NTF-ADMIT", "pcp/practitioner:8801"), ("NTF-ADMIT", "care-coordinator/pool:general-discharge")]

    notified = issued(story.at("2026-07-01T12:00", "PatientDischarged", encounter=STAY, disposition="home"))
    assert notified == [("NTF-DISCHARGE", "pcp/practitioner:8801"), ("NTF-DISCHARGE", "care-coordinator/pool:general-discharge")]
    assert open_rules(story) == ["DIS-1", "NOT-2", "TCM-1"]


def test_registration_after_the_discharge_never_reopens_the_stay(story):
    admit_and_discharge(story)
    for later in ("2026-07-02T14:00", "2026-07-02T16:00", "2026-07-10T09:00"):
        effects = story.at(later, "PatientAdmitted", encounter=STAY, registration=True, **{"class": "EMER"})
        assert status(story) == "finished"
        assert issued(effects) == []
    assert open_rules(story) == ["DIS-1", "NOT-2", "TCM-1"]


def test_registration_of_an_emergency_visit_is_notified_and_of_another_is_not(story):
    assert issued(story.at(ADMITTED, "PatientAdmitted", encounter=STAY, registration=True, **{"class": "EMER"}))[0][0] == "NTF-ED"
    other = {"facility": "GENERAL", "visit": "V2"}
    effects = story.at("2026-07-01T10:00", "PatientAdmitted", encounter=other, registration=True, **{"class": "AMB"})
    assert issued(effects) == []
    assert reasons(effects) == ["not-told-by-routing"]


def test_update_after_the_discharge_changes_no_status(story):
    admit_and_discharge(story)
    effects = story.at("2026-07-02T18:00", "EncounterUpdated", encounter=STAY, **{"class": "IMP"})
    assert status(story) == "finished"
    assert reasons(effects) == ["no-material-change"]


def test_late_admission_does_not_undo_the_discharge_but_fills_what_was_missing(story):
    story.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home")
    effects = story.at(ADMITTED, "PatientAdmitted", arrival="2026-07-02T16:00", encounter=STAY, via_emergency=True, **{"class": "IMP"})
    (stay,) = stays(story)
    assert status(story) == "finished"
    assert (stay.class_, stay.via_emergency, stay.admitted) == ("IMP", True, millis(ADMITTED, story.zone))
    assert issued(effects) == []
    assert reasons(effects) == ["already-discharged"]


def test_admission_later_than_the_discharge_under_the_same_number_is_another_stay(story):
    admit_and_discharge(story)
    story.at("2026-07-05T09:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    assert [s.status for s in stays(story)] == [Status.FINISHED, Status.IN_PROGRESS]
    assert story.only("TCM-1")["closure"] == "superseded"


@pytest.mark.parametrize("cancel_time", ["2026-07-01T09:00", "2026-07-01T12:00"])
def test_cancellation_before_its_admission_is_remembered_and_nobody_is_notified(story, cancel_time):
    effects = story.at(cancel_time, "AdmissionCancelled", encounter=STAY)
    assert reasons(effects) == ["cancel-before-its-target"]
    effects = story.at(ADMITTED, "PatientAdmitted", arrival="2026-07-01T13:00", encounter=STAY, **{"class": "IMP"})
    assert status(story) == "cancelled"
    assert issued(effects) == []
    assert open_rules(story) == []


def test_cancelled_admission_is_withdrawn_from_exactly_those_who_were_notified(story):
    notified = issued(story.at(ADMITTED, "PatientAdmitted", encounter=STAY, members=pcp_member(), **{"class": "IMP"}))
    story.at(
        "2026-07-01T10:00",
        "CareTeamChanged",
        members=[{"role": "community-nurse", "party": {"role": "community-nurse", "practitioner": "N1"}}],
    )
    effects = story.at("2026-07-01T11:00", "AdmissionCancelled", encounter=STAY, reason="wrong person")
    assert withdrawn(effects) == set(notified)
    assert issued(effects) == []
    assert [(e.rule, e.state, e.closure) for e in effects if isinstance(e, out.TaskState)] == [("NOT-2", "cancelled", "cancelled")]
    assert open_rules(story) == []


def test_cancelled_admission_after_the_discharge_withdraws_both_and_closes_every_clock(story):
    admit_and_discharge(story)
    effects = story.at("2026-07-02T16:00", "AdmissionCancelled", encounter=STAY)
    assert {rule for rule, _ in withdrawn(effects)} == {"NTF-ADMIT", "NTF-DISCHARGE"}
    assert {(e.rule, e.closure) for e in effects if isinstance(e, out.TaskState)} == {
        ("NOT-2", "cancelled"),
        ("DIS-1", "cancelled"),
        ("TCM-1", "cancelled"),
    }
    assert status(story) == "cancelled"


def test_admission_after_its_cancellation_starts_the_stay_again(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    story.at("2026-07-01T10:00", "AdmissionCancelled", encounter=STAY)
    effects = story.at("2026-07-01T11:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    assert status(story) == "in-progress"
    assert issued(effects)


def test_cancelled_discharge_closes_its_clocks_and_a_new_one_restarts_from_the_new_time(story):
    admit_and_discharge(story)
    effects = story.at("2026-07-02T17:00", "DischargeCancelled", encounter=STAY)
    assert status(story) == "in-progress"
    assert {rule for rule, _ in withdrawn(effects)} == {"NTF-DISCHARGE"}
    assert {(e.rule, e.closure) for e in effects if isinstance(e, out.TaskState) and e.closure} == {
        ("NOT-2", "cancelled"),
        ("DIS-1", "cancelled"),
        ("TCM-1", "cancelled"),
    }

    effects = story.at("2026-07-06T10:00", "PatientDischarged", encounter=STAY, disposition="home")
    # The admission's acknowledgement was overdue. The cancelled discharge reopened it, then it is superseded again; its owner is notified.
    assert {rule for rule, _ in issued(effects)} == {"NTF-DISCHARGE", "NOT-2"}
    assert [e.title[:7] for e in effects if isinstance(e, out.NotificationIssued) and e.rule == "NOT-2"] == ["Closed:"]
    (task,) = [e for e in effects if isinstance(e, out.TaskState) and e.rule == "TCM-1"]
    assert task.due == millis("2026-07-09T00:00", story.zone)
    assert task.opened_at == millis("2026-07-06T10:00", story.zone)
    assert len(story.handoffs("TCM-1")) == 2


def test_cancel_before_its_discharge_is_remembered(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    assert reasons(story.at("2026-07-02T17:00", "DischargeCancelled", encounter=STAY)) == ["cancel-before-its-target"]
    effects = story.at(DISCHARGED, "PatientDischarged", arrival="2026-07-02T18:00", encounter=STAY, disposition="home")
    assert status(story) == "in-progress"
    assert issued(effects) == []
    assert reasons(effects) == ["discharge-cancelled"]
    # Only that discharge is cancelled; the next one counts.
    assert issued(story.at("2026-07-03T10:00", "PatientDischarged", encounter=STAY, disposition="home"))


def test_correction_of_a_cancelled_discharge_to_an_earlier_time_counts(story):
    admit_and_discharge(story)
    story.at("2026-07-02T17:00", "DischargeCancelled", encounter=STAY)
    effects = story.at("2026-07-02T14:30", "PatientDischarged", arrival="2026-07-02T17:05", encounter=STAY, disposition="snf")
    assert status(story) == "finished"
    assert issued(effects)


def test_transfer_is_notified_only_if_it_changes_the_facility_or_the_level(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    bed = story.at("2026-07-01T11:00", "PatientTransferred", encounter=STAY, to={"facility": "GENERAL", "unit": "4W"})
    assert issued(bed) == []
    assert reasons(bed) == ["same-facility-and-level"]
    away = story.at("2026-07-01T12:00", "PatientTransferred", encounter=STAY, to={"facility": "MERCY", "unit": "ICU"})
    assert {rule for rule, _ in issued(away)} == {"NTF-TRANSFER"}
    back = story.at("2026-07-01T13:00", "TransferCancelled", encounter=STAY)
    assert withdrawn(back) == set(issued(away))
    assert stays(story)[0].facility_now == "GENERAL"
    assert stays(story)[0].location.unit == "4W"


def test_cancellation_that_arrives_before_its_transfer_prevents_the_notification(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    story.at("2026-07-01T13:00", "TransferCancelled", encounter=STAY)
    late = story.at("2026-07-01T12:00", "PatientTransferred", arrival="2026-07-01T14:00", encounter=STAY, to={"facility": "MERCY"})
    assert issued(late) == []
    assert stays(story)[0].facility_now == "GENERAL"


def test_cancellation_of_a_bed_change_does_not_withdraw_the_transfer_before_it(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    story.at("2026-07-01T11:00", "PatientTransferred", encounter=STAY, to={"facility": "MERCY", "unit": "ICU"})
    story.at("2026-07-01T12:00", "PatientTransferred", encounter=STAY, to={"facility": "MERCY", "unit": "4W"})
    effects = story.at("2026-07-01T13:00", "TransferCancelled", encounter=STAY)
    assert withdrawn(effects) == set()
    assert (stays(story)[0].location.moved_to, stays(story)[0].location.unit) == ("MERCY", "ICU")


def test_emergency_visit_that_becomes_an_admission_is_notified_whichever_message_says_so(spine):
    for kind, data in (("EncounterClassChanged", {}), ("PatientAdmitted", {"registration": False})):
        t = Timeline(asked=spine)
        t.at(ADMITTED, "PatientAdmitted", encounter=STAY, registration=True, **{"class": "EMER"})
        effects = t.at("2026-07-01T12:00", kind, encounter=STAY, **{"class": "IMP"}, **data)
        assert {rule for rule, _ in issued(effects)} == {"NTF-CLASS" if kind == "EncounterClassChanged" else "NTF-ADMIT"}
        assert stays(t)[0].via_emergency is True


@pytest.mark.parametrize(
    ("change", "notified"),
    [
        ({"class": "OBSENC"}, True),
        ({"attending": {"id": "772"}}, False),
        ({"attending": {"id": "771"}}, False),
        ({"members": [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8802"}}]}, True),
        ({"members": [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]}, False),
        ({"diagnoses": [{"system": "icd10", "code": "F20.0", "rank": 1}]}, True),
        ({"diagnoses": [{"system": "icd10", "code": "Z00.0", "rank": 1}]}, False),
        ({}, False),
    ],
)
def test_update_is_notified_only_for_a_material_change(story, change, notified):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, attending={"id": "771"}, members=pcp_member(), **{"class": "IMP"})
    effects = story.at("2026-07-01T12:00", "EncounterUpdated", encounter=STAY, **change)
    assert bool(issued(effects)) is notified
    assert reasons(effects) == ([] if notified else ["no-material-change"])


def test_late_update_does_not_overwrite_newer_values(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "EMER"})
    story.at("2026-07-01T12:00", "EncounterClassChanged", encounter=STAY, **{"class": "IMP"})
    late = story.at("2026-07-01T10:00", "EncounterUpdated", arrival="2026-07-01T13:00", encounter=STAY, **{"class": "EMER"})
    assert stays(story)[0].class_ == "IMP"
    assert issued(late) == []


def test_empty_visit_means_the_only_open_stay_there(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    story.at(ADMITTED, "PatientAdmitted", encounter={"facility": "MERCY", "visit": "M1"}, **{"class": "EMER"})
    story.at(DISCHARGED, "PatientDischarged", encounter=NO_VISIT, disposition="home")
    assert {s.visit: s.status for s in stays(story)} == {"V1": Status.FINISHED, "M1": Status.IN_PROGRESS}


def test_ambiguous_stay_is_refused_and_changes_nothing(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    story.at(ADMITTED, "PatientAdmitted", encounter={"facility": "GENERAL", "visit": "V2"}, **{"class": "IMP"})
    before = story._packed
    effects = story.at(DISCHARGED, "PatientDischarged", encounter=NO_VISIT, disposition="home")
    assert reasons(effects) == ["ambiguous-encounter"]
    assert isinstance(effects[0], out.EventRefused)
    assert [s.status for s in unpack(before).encounters] == [s.status for s in stays(story)]


@pytest.mark.parametrize(
    "kind", ["PatientDischarged", "PatientTransferred", "EncounterUpdated", "DischargeCancelled", "AdmissionCancelled"]
)
def test_event_that_needs_a_stay_is_refused_if_none_is_open(story, kind):
    data: dict[str, Any] = {"PatientDischarged": {"disposition": "home"}, "PatientTransferred": {"to": {"facility": "X"}}}.get(kind, {})
    effects = story.at(ADMITTED, kind, encounter=NO_VISIT, **data)
    assert reasons(effects) == ["no-open-stay"]
    assert "PV1-19" in effects[0].why  # The remedy, as in every refusal.


def test_admission_without_a_visit_number_opens_a_stay_and_the_discharge_with_one_closes_it(story):
    story.at(ADMITTED, "PatientAdmitted", encounter=NO_VISIT, **{"class": "IMP"})
    story.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home")
    assert status(story) == "finished"


def test_discharge_of_an_unknown_stay_is_notified_and_opens_its_handoffs(story):
    effects = story.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home")
    assert issued(effects)
    assert open_rules(story) == ["DIS-1", "NOT-2", "TCM-1"]
    (task,) = [e for e in effects if isinstance(e, out.TaskState) and e.rule == "TCM-1"]
    assert "class of the encounter is not known" in task.why
