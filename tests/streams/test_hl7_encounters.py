"""The encounter of an ADT message: its name, class, disposition and locations, and the care team."""

import pytest
from hl7_building import SECRET, adt, evn, fact, facts, header, message, millis, notes, pid, pv1, read, segment
from tables import each

from streams.contract import events as e
from streams.intake.settings import IntakeSettings

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
