"""The mapping of ADT: which trigger gives which event, and what is refused or ignored."""

import pytest
from hl7_building import SECRET, STAY, adt, event, evn, fact, facts, header, message, millis, notes, pid, pv1, read, segment

from streams.contract import events as e
from streams.contract.person_key import person_key
from streams.intake.reading import IGNORED, Ignored
from streams.intake.settings import IntakeSettings

# ---- each trigger


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("A01", e.PatientAdmitted(STAY, "IMP")),
        ("A04", e.PatientAdmitted(STAY, "IMP", registration=True)),
        ("A02", e.PatientTransferred(STAY, e.Location("GENERAL"))),
        ("A03", e.PatientDischarged(STAY, "unknown", class_="IMP")),
        ("A05", e.EncounterPlanned(STAY, "IMP")),
        ("A14", e.EncounterPlanned(STAY, "IMP")),
        ("A06", e.EncounterClassChanged(STAY, "IMP")),
        ("A07", e.EncounterClassChanged(STAY, "AMB")),
        ("A08", e.EncounterUpdated(STAY, "IMP")),
        ("A11", e.AdmissionCancelled(STAY, "admission-cancelled")),
        ("A12", e.TransferCancelled(STAY, "transfer-cancelled")),
        ("A13", e.DischargeCancelled(STAY, "discharge-cancelled")),
        ("A21", e.EncounterUpdated(STAY, "IMP", leave=True)),
        ("A22", e.EncounterUpdated(STAY, "IMP", leave=False)),
        ("A23", e.AdmissionCancelled(STAY, "visit-deleted")),
        ("A27", e.AdmissionCancelled(STAY, "pending-admission-cancelled")),
        ("A31", e.EncounterUpdated(STAY, "IMP")),
        ("A38", e.AdmissionCancelled(STAY, "pre-admission-cancelled")),
    ],
)
def test_trigger_gives_its_event(trigger, expected):
    found = event(adt(trigger))

    assert found.data == expected
    assert found.time == millis("2026-07-02T15:00:00-04:00")
    assert found.arrival == millis("2026-07-02T15:00:04-04:00")
    assert found.source == "urn:hl7:GENERAL:ADT"
    assert found.person == person_key(SECRET, "GENERAL", "77001")


@pytest.mark.parametrize("trigger", ["A09", "A10", "A15", "A16", "A25", "A26", "A41", "A45", "A47", "A60", "A17", "A52", "A99"])
def test_trigger_that_changes_nothing_here_is_ignored_with_its_reason(trigger):
    (item,) = read(adt(trigger)).items

    assert isinstance(item, Ignored)
    assert item.reason in IGNORED
    assert item.trigger == f"ADT^{trigger}"


@pytest.mark.parametrize("kind", ["ORM^O01", "ORU^R01", "MDM^T02", "VXU^V04", "OMG^O19", "DFT^P03", "BAR^P01", "ACK^A01", "QBP^Q22"])
def test_message_of_another_kind_is_ignored_with_its_reason(kind):
    (item,) = read(message(header(kind), pid())).items

    assert isinstance(item, Ignored)
    assert item.reason == ("acknowledgement" if kind.startswith("ACK") else "message-type-not-mapped")


def test_msh_9_wins_over_evn_1_and_the_contradiction_is_noted():
    content = adt("A13", event=evn(f1="A01"))

    assert isinstance(fact(content), e.DischargeCancelled)
    assert "trigger-contradicts-event" in notes(content)


def test_wrong_message_structure_changes_nothing():
    assert isinstance(fact(message(header("ADT^A13^ADT_A13"), evn(), pid(), pv1())), e.DischargeCancelled)
    assert isinstance(fact(message(header("ADT^A03^ADT_A01"), evn(), pid(), pv1(f36="01"))), e.PatientDischarged)


def test_trigger_comes_from_evn_1_if_msh_9_has_none():
    content = message(header("ADT"), evn(f1="A03"), pid(), pv1(f36="01"))

    assert isinstance(fact(content), e.PatientDischarged)
    assert "trigger-from-event" in notes(content)


# ---- what is missing


def test_no_trigger_at_all_is_refused():
    for content in (message(header("ADT"), pid(), pv1()), message(header(""), evn(), pid(), pv1())):
        (item,) = read(content).items
        assert (item.reason, item.field) == ("message-type-missing", "MSH-9")


@pytest.mark.parametrize("trigger", ["A01", "A02", "A03", "A04"])
def test_missing_pv1_is_refused_where_the_trigger_needs_it(trigger):
    (item,) = read(message(header(f"ADT^{trigger}"), evn(), pid())).items

    assert (item.reason, item.segment) == ("segment-missing", "PV1")
    assert item.remedy


def test_admission_without_class_is_refused_and_says_which_field():
    (item,) = read(adt("A01", visit=pv1(f2=""))).items

    assert (item.reason, item.segment, item.field) == ("field-missing", "PV1", "PV1-2")


def test_missing_pid_is_refused():
    (item,) = read(message(header(), evn(), pv1())).items

    assert (item.reason, item.segment, item.trigger) == ("segment-missing", "PID", "A01")


def test_refusal_names_source_and_id_and_no_content():
    (item,) = read(adt("A01", person=pid(f3="123-45-6789^^^USSSA^SS", f5="DOE^JANE"))).items

    assert (item.reason, item.field) == ("identifier-missing", "PID-3")
    assert item.source == "urn:hl7:GENERAL:ADT"
    assert len(item.id) == 36
    assert "6789" not in repr(item) + item.remedy
    assert "DOE" not in repr(item) + item.remedy


def test_two_patients_in_one_message_are_refused():
    (item,) = read(adt("A01", pid(f3="2^^^GENERAL^MR"))).items

    assert item.reason == "several-patients"


def test_repeated_patient_is_one_patient():
    content = adt("A01", pid())

    assert isinstance(fact(content), e.PatientAdmitted)
    assert "segment-repeated" in notes(content)


def test_no_facility_at_all_is_refused_and_a_default_mends_it():
    content = adt("A01", f4="")

    (item,) = read(content).items

    assert (item.reason, item.field) == ("facility-missing", "MSH-4")
    assert fact(content, IntakeSettings(SECRET, default_facility="GENERAL")).encounter == STAY


# ---- diagnoses


def test_diagnoses_have_system_code_and_rank():
    content = adt(
        "A03",
        segment("DG1", f1="1", f3="I50.9^Heart failure^I10", f6="A", f15="2"),
        segment("DG1", f1="2", f3="428.0^CHF^I9C^I50.23^Acute^ICD-10-CM", f6="F", f15="1"),
        segment("DG1", f1="3", f2="I9", f3="71596^Osteoarthros", f6="F", f15="3"),
        segment("DG1", f1="4", f3="44054006^Diabetes^SCT", f6="F"),
        segment("DG1", f1="5", f4="Text only"),
        segment("DG1", f1="6", f3="X1^^L"),
        segment("DG1", f1="7", f3="I50.9^Deleted^I10", f21="D"),
        visit=pv1(f36="01"),
    )

    assert fact(content).diagnoses == (
        e.Diagnosis("icd9", "428.0", 1),
        e.Diagnosis("icd10", "I50.23", 1),
        e.Diagnosis("icd9", "71596", 3),
        e.Diagnosis("snomed", "44054006", 0),
        e.Diagnosis("icd10", "I50.9", 2),
        e.Diagnosis("l", "X1", 0),
    )
    assert "diagnosis-without-code" in notes(content)


def test_diagnoses_without_any_rank_are_ranked_by_their_order():
    content = adt("A03", segment("DG1", f3="A1^^I10"), segment("DG1", f3="B2^^I10"), visit=pv1(f36="01"))

    assert [(d.code, d.rank) for d in fact(content).diagnoses] == [("A1", 1), ("B2", 2)]


# ---- death


def test_death_is_part_of_an_event_that_can_hold_it_and_otherwise_an_event_of_its_own():
    dead = pid(f29="20260702140000", f30="Y")
    at = millis("2026-07-02T14:00:00-04:00")

    assert fact(adt("A08", person=dead)).deceased_at == at
    assert fact(adt("A03", person=dead, visit=pv1(f36="20"))).deceased is True
    admitted, person = facts(adt("A01", person=dead))
    assert isinstance(admitted, e.PatientAdmitted)
    assert person == e.PersonUpdated(deceased=True, deceased_at=at)
    assert facts(adt("A13", person=dead))[1] == person


@pytest.mark.parametrize(
    ("said", "at", "expected"),
    [
        ("N", "", False),
        ("NO ", "", False),
        ("", "", None),
        ("Y", "", True),
        ("", "20260702", True),
        ("N", "20260702", None),
        ("?", "", None),
        ("N", '""', False),
    ],
)
def test_death_is_reported_denied_or_not_mentioned(said, at, expected):
    assert fact(adt("A08", person=pid(f29=at, f30=said))).deceased is expected


def test_expired_is_dead_whatever_pid_30_says():
    assert fact(adt("A03", person=pid(f30="N"), visit=pv1(f36="20"))).deceased is True
