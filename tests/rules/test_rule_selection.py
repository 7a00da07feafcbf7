"""Which rules apply to a person: by diagnosis, age, risk and country."""

from __future__ import annotations

import pytest
from care_story import DISCHARGED, ENGLISH, LONDON, NEW_YORK, STAY, admit, care, closure, discharge, due, emergency, inpatient, story
from timeline import millis

# ---- diagnoses and age


def test_diagnosis_that_is_added_after_the_discharge_starts_the_clock_from_the_discharge():
    t = inpatient(codes=("I10",))
    assert t.handoffs("FUH-7") == {}
    t.at("2026-07-08T09:00", "EncounterUpdated", encounter=STAY, diagnoses=[{"system": "icd10", "code": "F20.0", "rank": 1}])

    assert due(t, "FUH-7") == millis("2026-07-14T00:00", NEW_YORK)
    assert t.only("FUH-7")["opened"] == millis(DISCHARGED, NEW_YORK)


def test_diagnosis_that_is_repeated_starts_no_second_clock():
    t = inpatient(codes=("F20.0",))
    t.at("2026-07-08T09:00", "EncounterUpdated", encounter=STAY, diagnoses=[{"system": "icd10", "code": "F32.1", "rank": 1}])

    assert len(t.handoffs("FUH-7")) == 1


def test_secondary_diagnosis_of_illness_does_not_count_but_self_harm_does():
    assert inpatient(codes=("I10", "F32.1")).handoffs("FUH-7") == {}
    assert inpatient(codes=("S61.9", "T14.91XA")).handoffs("FUH-7") != {}


def test_code_of_another_system_is_not_guessed():
    t = story()
    admit(t, "2026-07-03T10:00")
    t.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home", diagnoses=[{"system": "icd9", "code": "F32.1", "rank": 1}])

    assert t.handoffs("FUH-7") == {}


@pytest.mark.parametrize(
    ("born", "fum", "fua", "fmc"),
    [
        ("2021-07-07", False, False, False),
        ("2020-07-06", True, False, False),
        ("2013-07-06", True, True, False),
        ("2008-07-06", True, True, True),
        (None, True, True, True),
    ],
)
def test_age_is_that_on_the_day_and_unknown_age_is_watched_over(born, fum, fua, fmc):
    assert bool(emergency(("F32.1",), born).handoffs("FUM-7")) is fum
    assert bool(emergency(("F10.20",), born).handoffs("FUA-7")) is fua
    assert bool(emergency(("I50.9", "N18.4"), born).handoffs("FMC")) is fmc


def test_two_codes_of_one_condition_are_one_condition():
    assert emergency(("I50.9", "I50.2")).handoffs("FMC") == {}
    assert emergency(("I50.9", "J44.1")).handoffs("FMC") != {}


def test_condition_of_the_problem_list_counts():
    t = story()
    t.at("2026-05-03T09:00", "ConditionRecorded", code="J44.1", system="http://hl7.org/fhir/sid/icd-10-cm", clinical_status="active")
    admit(t, "2026-07-06T11:00", class_="EMER")
    discharge(t, codes=("I50.9",))

    assert t.handoffs("FMC") != {}


def test_admission_after_the_emergency_visit_ends_its_follow_up():
    t = emergency(("F32.1",))
    admit(t, "2026-07-07T10:00", {"facility": "GENERAL", "visit": "V2"})

    assert closure(t, "FUM-7") == "superseded"


def test_rehabilitation_ward_has_seven_days():
    t = story(LONDON)
    admit(t, "2026-07-03T10:00", ENGLISH)
    t.at(
        "2026-07-04T10:00",
        "PatientTransferred",
        encounter=ENGLISH,
        to={"facility": "ST-BRIDES", "unit": "REHAB", "level": "rehabilitation"},
    )
    discharge(t, encounter=ENGLISH, codes=("F20.0",))

    assert due(t, "MH72") == millis("2026-07-14T00:00", LONDON)


# ---- risk selects the clock


@pytest.mark.parametrize(
    ("complexity", "seven", "fourteen"), [("high", True, False), ("moderate", False, True), (None, False, True), ("low", False, True)]
)
def test_complexity_picks_seven_or_fourteen_days(complexity, seven, fourteen):
    t = inpatient(complexity=complexity)

    assert (bool(t.handoffs("TCM-2")), bool(t.handoffs("TCM-3"))) == (seven, fourteen)


def test_long_emergency_stay_of_a_sick_person_needs_seven_days():
    t = story()
    admit(t, "2026-06-20T10:00", via_emergency=True)
    discharge(t, codes=("I50.9",))

    assert (bool(t.handoffs("TCM-2")), bool(t.handoffs("TCM-3"))) == (True, False)


def test_lead_is_notified_on_day_five_only_if_no_visit_is_booked():
    booked, not_booked = inpatient(complexity="high"), inpatient(complexity="high")
    booked.at("2026-07-07T09:00", "AppointmentChanged", appointment="A1", status="booked", start="2026-07-13T10:00:00-04:00")
    for t in (booked, not_booked):
        t.until("2026-07-12T12:00")

    assert booked.notifications("TCM-2") == []
    assert {e.role for e in not_booked.notifications("TCM-2")} == {"pcp", "coordinator-lead"}


def test_medicines_are_due_on_the_day_of_the_visit():
    t = inpatient()
    care(t, "2026-07-09T10:00", "face-to-face-visit")

    assert due(t, "MED-1") == millis("2026-07-10T00:00", NEW_YORK)


def test_cancelled_or_late_visit_does_not_make_the_medicines_due_earlier():
    t = inpatient()
    care(t, "2026-07-09T10:00", "face-to-face-visit")
    care(t, "2026-07-20T10:00", "face-to-face-visit")

    assert due(t, "MED-1") == millis("2026-07-10T00:00", NEW_YORK)


def test_frequent_visits_need_both_a_notification_and_a_guideline():
    t = story()
    for n in range(1, 6):
        encounter = {"facility": "GENERAL", "visit": f"V{n}"}
        admit(t, f"2026-07-{n:02}T10:00", encounter, class_="EMER")
        discharge(t, f"2026-07-{n:02}T14:00", encounter)
        assert bool(t.handoffs("EDIE")) is (n == 5)
    care(t, "2026-07-05T16:00", "care-guideline")
    assert closure(t, "EDIE") == ""
    issued = [e for e in t.notifications("NTF-DISCHARGE") if e.role == "pcp"][-1]
    t.at("2026-07-05T17:00", "NotificationDelivered", notification=issued.id, recipient=issued.recipient, channel="email")

    assert closure(t, "EDIE") == "met"


# ---- profiles


def test_rules_of_the_other_country_do_not_open():
    us, england = inpatient(codes=("F32.1",)), inpatient(codes=("F32.1",), zone=LONDON)

    assert {"NHS-1", "MH72", "NICE-1"}.isdisjoint({e.rule for e in us.effects})
    assert {"TCM-1", "TCM-3", "FUH-7", "TRC-2", "MED-1"}.isdisjoint({getattr(e, "rule", "") for e in england.effects})
    assert {"NHS-1", "MH72"} <= {getattr(e, "rule", "") for e in england.effects}
