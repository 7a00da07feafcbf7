"""The sample messages, checked by hand against the files."""

from pathlib import Path

from hl7_building import SAMPLES, SECRET, event, millis, notes, read, sample
from tables import each

from streams.contract import events as e
from streams.contract.events import Event
from streams.contract.person_key import person_key
from streams.intake.reading import IGNORED, NOTES, REFUSED, Ignored, Refused


def test_sample_admission_of_version_2_3():
    found = event(sample("ADT01-23"))

    assert found.time == millis("2005-01-10T04:55:02+07:00")
    assert found.arrival == millis("2005-01-10T04:55:04+07:00")
    assert found.source == "urn:hl7:1:AccMgr"
    assert found.person == person_key(SECRET, "1", "10006579")
    assert found.data == e.PatientAdmitted(
        e.EncounterRef("1", "40007716"),
        "IMP",
        via_emergency=False,
        attending=e.Practitioner("37", "WALT DISNEY"),
        diagnoses=(e.Diagnosis("icd9", "71596", 1),),
        unit="PREOP",
        members=tuple(e.Member(role, e.Party(role, e.Practitioner("37", "WALT DISNEY"))) for role in ("attending", "admitting")),
        planned=True,
    )


def test_sample_registration_without_evn_and_pv1_19():
    found = event(sample("ADT04-251"))

    assert found.time == found.arrival == millis("2019-05-04T18:12:05+07:00")
    assert found.data.encounter == e.EncounterRef("RDX", "123456789")
    assert found.data.class_ == "EMER"
    assert found.data.registration
    assert found.person == person_key(SECRET, "Special Hospital", "MRN12345")
    assert "not-production" in notes(sample("ADT04-251"))


def test_sample_cancelled_discharge_whose_event_segment_says_admission():
    cancelled, death = read(sample("ADT-A13-01")).items

    assert cancelled.data == e.DischargeCancelled(e.EncounterRef("GHHSFacility", "40007716"), "discharge-cancelled")
    assert cancelled.time == millis("2021-08-17T15:19:43.400+02:00")
    assert cancelled.arrival == millis("1989-08-18T11:26:00+02:15")
    assert death.data == e.PersonUpdated(deceased=True, deceased_at=millis("2008-08-25T11:16:30+01:15"))


def test_sample_discharge():
    found = event(sample("ADT-A03-01"))

    assert found.data.disposition == "unknown"
    assert found.data.diagnoses == (e.Diagnosis("snomed", "422504002", 1),)
    assert found.data.procedures == ("76164006",)
    assert found.data.class_ == "PRENC"
    assert found.data.deceased is True
    assert [(m.role, m.party.practitioner.id) for m in found.data.members] == [
        ("pcp", "88"), ("attending", "1122334"), ("referring", "C006"), ("consulting", "C008"), ("admitting", "37"), ("pcp", "12377H87"),
    ]  # fmt: skip


def test_sample_change_of_class():
    found = event(sample("ADT-A06-01"))

    assert found.data.class_ == "IMP"
    assert found.data.encounter == e.EncounterRef("GHHSFacility", "5001")
    assert found.person == person_key(SECRET, "ADT1", "PATID1234")
    assert found.time == millis("2021-01-15T16:00:10+02:15")


def test_sample_merge():
    found = event(sample("ADT-A40-01"))

    assert found.person == person_key(SECRET, "BCBS", "56789")
    assert found.data.into.key == person_key(SECRET, "BCBS", "12345")
    assert found.source == "urn:hl7:Ntierprise%20Clinic:Ntierprise"


EXPECTED = {
    "ADT-A01-01": "PatientAdmitted PersonUpdated", "ADT-A02-01": "PatientTransferred PersonUpdated", "ADT-A03-01": "PatientDischarged",
    "ADT-A04-01": "PatientAdmitted PersonUpdated", "ADT-A05-01": "EncounterPlanned PersonUpdated", "ADT-A06-01": "EncounterClassChanged",
    "ADT-A07-01": "EncounterClassChanged", "ADT-A08-01": "EncounterUpdated", "ADT-A09-01": "tracking-only", "ADT-A10-01": "tracking-only",
    "ADT-A11-01": "AdmissionCancelled PersonUpdated", "ADT-A13-01": "DischargeCancelled PersonUpdated", "ADT-A14-01": "EncounterPlanned PersonUpdated",
    "ADT-A15-01": "pending-only", "ADT-A16-01": "pending-only", "ADT-A25-01": "pending-only", "ADT-A26-01": "pending-only",
    "ADT-A27-01": "AdmissionCancelled PersonUpdated", "ADT-A28-01": "PersonUpdated", "ADT-A29-01": "PersonUpdated", "ADT-A31-01": "PersonUpdated EncounterUpdated",
    "ADT-A40-01": "PersonMerged", "ADT-A41-01": "account-or-visit-moved", "ADT-A45-01": "account-or-visit-moved", "ADT-A47-01": "identifier-changed",
    "ADT-A60-01": "trigger-not-mapped", "ADT01-23": "PatientAdmitted", "ADT04-251": "PatientAdmitted", "MDM-T02-01": "message-type-not-mapped",
    "MDM-T02-03": "message-type-not-mapped", "OMG-O19-01": "message-type-not-mapped", "ORM-O01-01": "message-type-not-mapped",
    "ORU-R01-01": "message-type-not-mapped", "REF-I12-01": "ReferralRequested", "REF-I14-01": "ReferralStatusChanged",
    **{f"SIU-{s}-01": "AppointmentChanged PersonUpdated" for s in ("S12", "S13", "S14", "S15", "S16", "S17", "S26")}, "VXU-V04-01": "message-type-not-mapped",
}  # fmt: skip


@each("path", sorted(SAMPLES.glob("*.hl7")), ids=lambda path: path.stem)
def test_every_sample_gives_events_or_is_ignored_with_a_reason(path: Path):
    items = read(path.read_bytes()).items

    assert " ".join(item.type if isinstance(item, Event) else item.reason for item in items) == EXPECTED[path.stem]


def test_every_reason_used_in_these_tests_is_in_its_table():
    for path in SAMPLES.glob("*.hl7"):
        reading = read(path.read_bytes())
        for item in reading.items:
            if isinstance(item, Refused):
                assert item.reason in REFUSED
            elif isinstance(item, Ignored):
                assert item.reason in IGNORED
        assert all(note.reason in NOTES for note in reading.notes)
