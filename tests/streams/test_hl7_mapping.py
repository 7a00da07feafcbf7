"""The mapping of ADT: which trigger gives which event, from which fields."""

import random
from datetime import datetime
from pathlib import Path

import pytest
from hl7_building import SAMPLES, SECRET, SETTINGS, adt, event, evn, fact, facts, header, message, notes, pid, pv1, read, segment
from tables import each

from streams.contract import events as e
from streams.contract.events import Event
from streams.contract.person_key import person_key
from streams.intake.hl7.framing import split_messages
from streams.intake.hl7.mapping import read_message
from streams.intake.reading import IGNORED, NOTES, REFUSED, Ignored, Refused
from streams.intake.settings import IdentifierPreference, IntakeSettings

STAY = e.EncounterRef("GENERAL", "V77001")


def millis(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def sample(name):
    return (SAMPLES / f"{name}.hl7").read_bytes()


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


def test_every_reason_used_in_these_tests_is_in_its_table():
    for path in SAMPLES.glob("*.hl7"):
        reading = read(path.read_bytes())
        for item in reading.items:
            if isinstance(item, Refused):
                assert item.reason in REFUSED
            elif isinstance(item, Ignored):
                assert item.reason in IGNORED
        assert all(note.reason in NOTES for note in reading.notes)


# ---- the encounter


@pytest.mark.parametrize(
    ("visit", "person", "expected"),
    [
        (pv1(f19="V1^^^GENERAL^VN", f50="A1"), pid(f18="ACC1"), "V1"),
        (pv1(f19="", f50="A1^^^X"), pid(f18="ACC1"), "A1"),
        (pv1(f19=" ", f50=" "), pid(f18="ACC1^^^X^AN"), "ACC1"),
        (pv1(f19='""', f50=""), pid(f18=""), ""),
    ],
)
def test_visit_is_pv1_19_else_pv1_50_else_pid_18_else_the_only_open_stay(visit, person, expected):
    assert fact(adt("A11", visit=visit, person=person)).encounter == e.EncounterRef("GENERAL", expected)


def test_facility_is_msh_4_whatever_site_the_bed_is_in():
    assert fact(adt("A01", visit=pv1(f3="4E^1^A^EAST CAMPUS"))).encounter.facility == "GENERAL"


def test_setting_separates_the_hospitals_of_one_sender():
    settings = IntakeSettings(SECRET, facilities={"GENERAL|EAST": "GENERAL-EAST", "GENERAL": "GENERAL-MAIN"})

    assert fact(adt("A01", visit=pv1(f3="4E^1^A^EAST")), settings).encounter.facility == "GENERAL-EAST"
    assert fact(adt("A01", visit=pv1(f3="4E^1^A^WEST")), settings).encounter.facility == "GENERAL-MAIN"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("E", "EMER"),
        ("I", "IMP"),
        ("O", "AMB"),
        ("P", "PRENC"),
        ("i", "IMP"),
        ("B", "B"),
        ("R", "R"),
        ("I^Inpatient^HL70004", "IMP"),
        ("OBSENC", "OBSENC"),
        ("U", "UNK"),
    ],
)
def test_patient_class(code, expected):
    assert fact(adt("A01", visit=pv1(f2=code))).class_ == expected


def test_patient_class_that_is_in_no_table_is_kept_and_noted_and_a_setting_maps_it():
    content = adt("A01", visit=pv1(f2="OV"))

    assert fact(content).class_ == "OV"
    assert "class-unknown" in notes(content)
    assert fact(content, IntakeSettings(SECRET, classes={"OV": "OBSENC"})).class_ == "OBSENC"
    assert fact(adt("A01", visit=pv1(f2="B")), IntakeSettings(SECRET, classes={"B": "IMP"})).class_ == "IMP"


def test_class_that_contradicts_the_trigger_loses_to_it():
    for trigger, sent, expected in (("A06", "O", "IMP"), ("A07", "I", "AMB")):
        content = adt(trigger, visit=pv1(f2=sent))
        assert fact(content).class_ == expected
        assert "class-contradicts-trigger" in notes(content)
    assert fact(adt("A07", visit=pv1(f2="E"))).class_ == "EMER"


@pytest.mark.parametrize(
    ("kind", "origin", "via", "planned"),
    [
        ("E", "", True, False),
        ("", "7", True, None),
        ("C", "1", False, True),
        ("R", "", False, True),
        ("", "", None, None),
        ("1", "", True, False),
        ("3", "7", True, True),
    ],
)
def test_patient_is_admitted_or_comes_as_an_outpatient(kind, origin, via, planned):
    found = fact(adt("A01", visit=pv1(f4=kind, f14=origin)))

    assert (found.via_emergency, found.planned) == (via, planned)


@each(
    ("code", "expected"),
    [
        ("01", "home"), ("1", "home"), ("02", "other-hcf"), ("03", "snf"), ("04", "long"), ("06", "home"), ("07", "aadvice"), ("20", "exp"),
        ("40", "exp"), ("41", "exp"), ("42", "exp"), ("50", "hospice"), ("51", "hospice"), ("62", "rehab"), ("63", "long"), ("65", "psy"), ("86", "home"),
        ("home", "home"), ("SNF", "snf"), ("Expired", "exp"), ("AMA", "aadvice"), ("hosp", "hospice"), ("01^Discharged to home^HL70112", "home"),
        ("ZZ^Hospice", "hospice"), ("^Home", "home"), ("99", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
def test_discharge_disposition(code, expected):
    content = adt("A03", visit=pv1(f36=code))

    assert fact(content).disposition == expected
    assert ("disposition-unknown" in notes(content)) == (expected == "unknown")


def test_disposition_of_a_hospital_of_its_own_is_a_setting():
    settings = IntakeSettings(SECRET, dispositions={"19": "home", "01": "oth"})

    assert fact(adt("A03", visit=pv1(f36="19")), settings).disposition == "home"
    assert fact(adt("A03", visit=pv1(f36="01")), settings).disposition == "oth"


def test_update_says_nothing_of_a_disposition_that_it_does_not_have():
    assert fact(adt("A08")).disposition is None
    assert fact(adt("A08", visit=pv1(f36="03"))).disposition == "snf"
    assert fact(adt("A08", visit=pv1(f36="99"))).disposition is None


def test_transfer_within_the_hospital_stays_in_it_and_one_to_another_leaves_it():
    inside = adt("A02", visit=pv1(f3="4E^1^A^Long Name Of General^^^Tower", f10="SUR"))
    across = adt("A02", visit=pv1(f3="4E^1^A^EAST", f6="ED^1^^MAIN"))
    same = adt("A02", visit=pv1(f3="4E^1^A^EAST", f6="ED^1^^EAST"))

    assert fact(inside).to == e.Location("GENERAL", "4E")
    assert fact(inside, IntakeSettings(SECRET, levels={"4E": "icu"})).to.level == "icu"
    assert fact(inside, IntakeSettings(SECRET, levels={"SUR": "acute"})).to.level == "acute"
    assert fact(across).to == e.Location("EAST", "4E")
    assert fact(same).to == e.Location("GENERAL", "4E")


def test_planned_stay_starts_when_pv2_8_says():
    assert fact(adt("A05", segment("PV2", f8="20260710"))).start == millis("2026-07-10T00:00:00-04:00")


# ---- the care team


def test_provisional_members_come_from_pd1_pv1_and_rol():
    content = adt(
        "A01",
        segment("ROL", f2="AD", f3="PP^Primary Care Provider^HL70443", f4="900^SMITH^ANNA^^^DR", f5="20260101", f6="20270101"),
        segment("ROL", f2="AD", f3="CP", f4="901^BROWN^BO"),
        segment("ROL", f2="DE", f3="CP", f4="902^GONE^GUY"),
        segment("ROL", f2="AD", f3="XX", f4="903^WHO^EVER"),
        segment("PRT", f2="AD", f4="RP", f5="904^RIVER^RHEA"),
        segment("PR1", f3="123^Biopsy^SCT"),
        segment("ROL", f2="AD", f3="PP", f4="905^SURGEON^SAM"),
        visit=pv1(f7="1^ONE^A~2^TWO^B", f8="3^THREE", f9="4", f17="5^FIVE^E^^^DR"),
        person=pid() + "\r" + segment("PD1", f4="800^FAMILY^FAY"),
    )

    members = fact(content).members

    assert [(m.role, m.party.practitioner.id) for m in members] == [
        ("pcp", "800"), ("attending", "1"), ("attending", "2"), ("referring", "3"), ("consulting", "4"), ("admitting", "5"),
        ("pcp", "900"), ("consulting", "901"), ("referring", "904"),
    ]  # fmt: skip
    assert members[6].party.practitioner == e.Practitioner("900", "DR ANNA SMITH")
    assert (members[6].from_, members[6].to) == (millis("2026-01-01T00:00:00-05:00"), millis("2027-01-01T00:00:00-05:00"))
    assert fact(content).attending == e.Practitioner("1", "A ONE")


def test_practitioner_without_an_id_is_no_member_and_noted():
    content = adt("A01", visit=pv1(f7="^SMITH^ANNA"))

    assert fact(content).members == ()
    assert fact(content).attending is None
    assert "practitioner-without-id" in notes(content)


def test_update_of_a_person_gives_the_family_doctor_but_not_the_ward():
    found = fact(
        message(
            header("ADT^A28"),
            evn(),
            pid(f7="19500102", f11="1 MAIN^^ALBANY^NY", f15="spa"),
            segment("PD1", f4="800^FAY"),
            pv1(f7="1^A", f19=""),
        )
    )

    assert found == e.PersonUpdated(
        language="spa",
        address_region="NY",
        birth_date="1950-01-02",
        members=(e.Member("pcp", e.Party("pcp", e.Practitioner("800", "FAY"))),),
    )


def test_update_of_a_person_that_says_nothing_is_ignored():
    (item,) = read(message(header("ADT^A28"), evn(), pid())).items

    assert item.reason == "nothing-changed"


def test_a08_without_a_stay_is_an_update_of_the_person():
    assert facts(message(header("ADT^A08"), evn(), pid(f15="fra"))) == [e.PersonUpdated(language="fra")]


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


# ---- identity


def test_second_event_of_a_message_has_an_id_of_its_own_and_both_are_stable():
    content = adt("A01", person=pid(f30="Y"))

    first, second = read(content).items

    assert first.id != second.id
    assert [item.id for item in read(content).items] == [first.id, second.id]


def test_id_is_of_sender_control_id_and_content():
    ids = {
        event(content).id
        for content in (adt("A01"), adt("A01", f10="2"), adt("A01", f3="X"), adt("A01", f4="Y"), adt("A01", visit=pv1(f2="E")))
    }

    assert len(ids) == 5
    assert event(adt("A01")).id == "2cf909f7-49e8-5dd3-8d38-275f20dc14e3"  # Written out, because ids must never change.


def test_repeated_and_shuffled_messages_give_the_same_events():
    contents = [path.read_bytes() for path in sorted(SAMPLES.glob("*.hl7"))]
    expected = {item for content in contents for item in map(key_of, read(content).items)}
    shuffled = contents * 2
    random.Random(4).shuffle(shuffled)

    found = {key_of(item) for raw in split_messages([b"\n".join(shuffled)]) for item in read_message(raw, SETTINGS).items}

    assert found == expected


def key_of(item):
    return type(item).__name__, item.source, item.id


# ---- which identifier


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("1^^^GEN^MR~2^^^NATION^NI", ("NATION", "2")),
        ("1^^^GEN^MR~2^^^STATE^NNCAN", ("STATE", "2")),
        ("1^^^GEN^MR~2^^^ENTERPRISE MPI&9.9&ISO^PI", ("ENTERPRISE MPI", "2")),
        ("1^^^GEN^MR~2^^^GEN^PI", ("GEN", "1")),
        ("9^^^OTHER^MR~1^^^GENERAL^MR", ("GENERAL", "1")),
        ("1^^^&1.2.3&ISO^MR", ("1.2.3", "1")),
        ("1^5^M11^^MR^Special Hospital", ("Special Hospital", "1")),
        ("1", ("GENERAL", "1")),
        ("123-45-6789^^^USSSA^SS~1^^^GEN^MR", ("GEN", "1")),
        ("123456789^^^^^USSSA^~1^^^ADT1^GOOD HEALTH HOSPITAL", ("ADT1", "1")),
        ("123456789^^^USSSA^MR~1^^^GEN^XX", ("GEN", "1")),
        ("000000^^^NAT^NI~1^^^GEN^MR", ("GEN", "1")),
        ("UNKNOWN^^^GEN^MR~1^^^GEN^PI", ("GEN", "1")),
        ("55^^^GEN^AN~1^^^GEN^XX", ("GEN", "1")),
        ("  1  ^^^ GEN ^mr", ("GEN", "1")),
    ],
)
def test_identifier_is_chosen_by_the_list_of_preferences(field, expected):
    assert event(adt("A11", person=pid(f3=field))).person == person_key(SECRET, *expected)


def test_order_of_repetitions_does_not_change_the_key():
    parts = ["1^^^GENERAL^MR", "2^^^NATION^NI", "3^^^USSSA^SS", "4^^^OTHER^MR", "5^^^GENERAL^PI"]

    keys = {event(adt("A11", person=pid(f3="~".join(random.Random(n).sample(parts, 5))))).person for n in range(20)}

    assert keys == {person_key(SECRET, "NATION", "2")}


def test_preferences_are_a_setting_and_may_name_even_what_is_barred():
    content = adt("A11", person=pid(f3="1^^^GENERAL^MR~2^^^USSSA^SS"))

    own = IntakeSettings(SECRET, identifiers=(IdentifierPreference(type="SS"), IdentifierPreference(type="MR")))
    other = IntakeSettings(SECRET, identifiers=(IdentifierPreference(authority="GEN*"),))

    assert event(content, own).person == person_key(SECRET, "USSSA", "2")
    assert event(content, other).person == person_key(SECRET, "GENERAL", "1")


def test_authority_can_be_renamed_by_setting():
    settings = IntakeSettings(SECRET, authorities={"GENERAL|1": "GENERAL-MRN"})

    assert event(adt("A11", person=pid(f3="5^^^1^MR")), settings).person == person_key(SECRET, "GENERAL-MRN", "5")


def test_pid_2_and_pid_4_are_used_only_where_pid_3_has_nothing():
    both = adt("A11", person=pid(f2="2^^^X^MR", f3="1^^^GENERAL^MR"))
    older = adt("A11", person=pid(f2="2^^^X^MR", f3=""))
    oldest = adt("A11", person=pid(f3="9^^^USSSA^SS", f4="4^^^X^MR"))

    assert event(both).person == person_key(SECRET, "GENERAL", "1")
    assert event(older).person == person_key(SECRET, "X", "2")
    assert event(oldest).person == person_key(SECRET, "X", "4")
    assert "identifier-fallback" in notes(older)


# ---- merges


def merge(*groups, trigger="A40"):
    return message(header(f"ADT^{trigger}"), evn(), *groups)


@pytest.mark.parametrize("trigger", ["A18", "A30", "A34", "A36", "A39", "A40"])
def test_merge_ends_the_person_of_mrg_in_the_person_of_pid(trigger):
    found = event(merge(pid(), segment("MRG", f1="66^^^GENERAL^MR"), trigger=trigger))

    assert found.person == person_key(SECRET, "GENERAL", "66")
    assert found.data == e.PersonMerged(e.PersonRef(person_key(SECRET, "GENERAL", "77001")))


def test_merge_takes_the_identifier_of_the_survivors_authority():
    found = event(merge(pid(f3="1^^^GEN^MR~2^^^NATION^NI"), segment("MRG", f1="8^^^GEN^MR~9^^^NATION^NI")))

    assert found.person == person_key(SECRET, "NATION", "9")
    assert found.data.into.key == person_key(SECRET, "NATION", "2")


def test_merge_without_authority_is_within_the_survivors():
    content = merge(pid(), segment("MRG", f1="66"))

    assert event(content).person == person_key(SECRET, "GENERAL", "66")
    assert "merge-authority-assumed" in notes(content)


def test_merge_of_another_list_is_keyed_as_its_own_messages_were():
    found = event(merge(pid(f3="1^^^GEN^MR~2^^^NATION^NI"), segment("MRG", f1="8^^^GEN^MR")))

    assert found.person == event(adt("A11", person=pid(f3="8^^^GEN^MR"))).person
    assert found.data.into.key == person_key(SECRET, "NATION", "2")


def test_merge_of_several_pairs_is_one_event_each_with_ids_of_their_own():
    pairs = [part for n in range(3) for part in (pid(f3=f"{n}1^^^GEN^MR"), segment("MRG", f1=f"{n}2^^^GEN^MR"), pv1())]

    items = read(merge(*pairs)).items

    assert [item.person for item in items] == [person_key(SECRET, "GEN", f"{n}2") for n in range(3)]
    assert len({item.id for item in items}) == 3


def test_valid_pairs_of_a_merge_are_accepted_and_the_others_refused():
    items = read(
        merge(pid(), segment("MRG", f1="66^^^GENERAL^MR"), pid(f3="2^^^GENERAL^MR"), pid(f3="3^^^GENERAL^MR"), segment("MRG", f3="ACC"))
    ).items

    assert [type(item).__name__ for item in items] == ["Event", "Refused", "Refused"]
    assert [(item.reason, item.segment) for item in items[1:]] == [("segment-missing", "MRG"), ("identifier-missing", "MRG")]


def test_merge_with_itself_is_ignored_and_one_without_pid_or_mrg_refused():
    assert read(merge(pid(), segment("MRG", f1="77001^^^GENERAL^MR"))).items[0].reason == "merged-with-itself"
    assert read(merge(pid())).items[0].segment == "MRG"
    assert read(merge(segment("MRG", f1="1^^^GEN^MR"))).items[0].segment == "PID"
    assert read(merge()).items[0].segment == "PID"


# ---- samples, checked by hand against the files


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
