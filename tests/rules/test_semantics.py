"""The meaning of the rules, case by case: when a clock runs, what counts, what ends it, and late events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from timeline import Timeline, millis

from streams.contract import effects as out

NEW_YORK, LONDON = "America/New_York", "Europe/London"
HOUR, DAY = 3_600_000, 86_400_000
DISCHARGED = "2026-07-06T15:00"  # A Monday.
STAY = {"facility": "GENERAL", "visit": "V1"}
ENGLISH = {"facility": "ST-BRIDES", "visit": "V1"}


def story(zone: str = NEW_YORK) -> Timeline:
    t = Timeline(zone)
    pcp = "8801" if zone == NEW_YORK else "G7001"
    t.at("2026-05-01T09:00", "CareTeamChanged", members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": pcp}}], replace=True)
    return t


def admit(t: Timeline, at: str, encounter: dict[str, str] = STAY, class_: str = "IMP", **said: Any) -> None:
    t.at(at, "PatientAdmitted", encounter=encounter, **{"class": class_}, **said)


def discharge(
    t: Timeline, at: str = DISCHARGED, encounter: dict[str, str] = STAY, codes: tuple[str, ...] = (), disposition: str = "home", **said: Any
) -> None:
    diagnoses = [{"system": "icd10", "code": code, "rank": n + 1} for n, code in enumerate(codes)]
    t.at(at, "PatientDischarged", encounter=encounter, disposition=disposition, diagnoses=diagnoses, **said)


def inpatient(codes: tuple[str, ...] = (), zone: str = NEW_YORK, **said: Any) -> Timeline:
    t = story(zone)
    encounter = STAY if zone == NEW_YORK else ENGLISH
    admit(t, "2026-07-03T10:00", encounter)
    discharge(t, encounter=encounter, codes=codes, **said)
    return t


def emergency(codes: tuple[str, ...] = (), birth_date: str | None = None, **said: Any) -> Timeline:
    t = story()
    if birth_date:
        t.at("2026-05-02T09:00", "PersonUpdated", birth_date=birth_date)
    admit(t, "2026-07-06T11:00", class_="EMER")
    discharge(t, codes=codes, **said)
    return t


def care(t: Timeline, at: str, code: str, arrival: str | None = None, **said: Any) -> list[Any]:
    start = millis(at, t.zone)
    stamp = datetime.fromtimestamp(start / 1000, UTC).isoformat()
    record = {
        "activity": f"C-{code}-{at}",
        "code": code,
        "status": "completed",
        "start": stamp,
        "end": stamp,
        "performer": {"role": "pcp", "practitioner": "8801"},
    }
    return t.at(at if arrival is None else arrival, "CareActivityRecorded", **(record | said))


def refer(t: Timeline, at: str, referral: str = "R1", service: str = "cardiology", target: str = "heart-clinic", **said: Any) -> None:
    sides = {
        "requester": {"role": "pcp", "organization": "riverside-family"},
        "target": {"role": "referral-target", "organization": target},
    }
    t.at(at, "ReferralRequested", referral=referral, service=service, **sides, **said)


def move(t: Timeline, at: str, status: str, by: str = "target", **said: Any) -> list[Any]:
    return t.at(at, "ReferralStatusChanged", referral="R1", status=status, by=by, reason="said", **said)


def closure(t: Timeline, rule: str) -> str:
    return t.only(rule)["closure"]


def due(t: Timeline, rule: str) -> int:
    return t.only(rule)["due"]


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
    assert len({e.recipient for e in t.told("TCM-1")}) == len(t.told("TCM-1"))


def test_call_in_time_that_is_reported_late_is_met_and_the_alert_is_withdrawn():
    t = inpatient()
    t.until("2026-07-09T08:00")
    alerted = t.told("TCM-1")
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

    assert booked.told("TCM-2") == []
    assert {e.role for e in not_booked.told("TCM-2")} == {"pcp", "coordinator-lead"}


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
    issued = [e for e in t.told("NTF-DISCHARGE") if e.role == "pcp"][-1]
    t.at("2026-07-05T17:00", "NotificationDelivered", notification=issued.id, recipient=issued.recipient, channel="email")

    assert closure(t, "EDIE") == "met"


# ---- notifications


def test_undelivered_notification_is_open_after_five_minutes_and_delivery_closes_it():
    t = story()
    admit(t, "2026-07-06T10:00")
    assert [(task.state, task.due) for task in t.tasks("NOT-1")] == [("draft", millis("2026-07-06T10:05", NEW_YORK))]
    t.until("2026-07-06T10:05")

    assert [task.state for task in t.tasks("NOT-1")] == ["draft", "requested"]
    assert [gap.state for gap in t.gaps("NOT-1")] == ["open"]
    assert {e.role for e in t.told("NOT-1")} == {"operations"}


def test_delivery_to_one_is_enough():
    t = story()
    admit(t, "2026-07-06T10:00")
    issued = t.told("NTF-ADMIT")[0]
    t.at("2026-07-06T10:01", "NotificationDelivered", notification=issued.id, recipient=issued.recipient, channel="email")
    t.until("2026-07-06T12:00")

    assert [(task.state, task.closure) for task in t.tasks("NOT-1")] == [("draft", None), ("completed", "met")]
    assert t.gaps("NOT-1") == []
    assert closure(t, "NOT-1") == "met"


def test_unknown_care_team_opens_a_search_that_a_care_team_closes():
    t = Timeline()
    admit(t, "2026-07-06T10:00")
    assert t.only("NOT-3")["owner"] == "registration/pool:general-registration"
    t.at("2026-07-06T12:00", "CareTeamChanged", members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}])

    assert closure(t, "NOT-3") == "met"


def test_withheld_recipient_is_not_an_unknown_recipient():
    t = story()
    t.at("2026-05-02T09:00", "ConsentChanged", decision="deny")
    admit(t, "2026-07-06T10:00")

    assert t.handoffs("NOT-3") == t.handoffs("NOT-1") == {}


def test_opting_out_stops_the_message_not_the_clock():
    t = story()
    t.at("2026-05-02T09:00", "ConsentChanged", decision="deny", recipient="practitioner:8801")
    admit(t, "2026-07-03T10:00")
    discharge(t)
    t.until("2026-07-20T00:00")

    assert [e for e in t.effects if isinstance(e, out.NotificationIssued) and e.recipient.endswith("practitioner:8801")] == []
    assert any(gap.state == "open" for gap in t.gaps("TCM-1"))


def in_two_programmes() -> Timeline:
    t = story()
    seats = [
        {"role": "care-manager", "party": {"role": "care-manager", "organization": "heart-programme"}, "programme": "heart-failure"},
        {"role": "care-manager", "party": {"role": "care-manager", "organization": "diabetes-programme"}, "programme": "diabetes"},
    ]
    t.at("2026-05-02T09:00", "CareTeamChanged", members=seats)
    return t


def test_person_in_several_programmes_has_one_task_and_several_watchers():
    t = in_two_programmes()
    admit(t, "2026-07-03T10:00")
    discharge(t)

    assert len(t.tasks("TCM-1")) == 1
    assert t.tasks("TCM-1")[0].owner == "pcp/practitioner:8801"
    assert t.tasks("TCM-1")[0].watchers == ("care-manager/organization:diabetes-programme", "care-manager/organization:heart-programme")


def test_programme_without_consent_is_not_a_watcher():
    t = in_two_programmes()
    t.at("2026-05-03T09:00", "ConsentChanged", decision="deny", recipient="organization:heart-programme")
    admit(t, "2026-07-03T10:00")
    discharge(t, codes=("F32.1",))

    assert t.tasks("TCM-1")[0].watchers == ("care-manager/organization:diabetes-programme",)
    assert t.tasks("FUH-7")[0].watchers == ()


def test_task_of_a_referral_names_the_goal_that_it_serves():
    t = story()
    goal(t, "2026-06-01T09:00", description="Walk to the shop", accepted_by_person=True)
    refer(t, "2026-07-06T10:00", goal="G1")

    assert {(task.referral, task.goal) for task in t.tasks("REF-1")} == {("R1", "G1")}
    assert {(task.referral, task.goal) for task in t.tasks("GOAL-1")} == {(None, "G1")}


def test_nobody_is_notified_of_a_sensitive_handoff_without_permission():
    t = inpatient(codes=("F32.1",))
    t.until("2026-08-30T00:00")

    assert t.told("FUH-7") == []
    assert {e.reason for e in t.of("FUH-7", out.EffectSuppressed)} == {"consent-missing"}
    assert any(gap.state == "open" for gap in t.gaps("FUH-7"))


# ---- referrals


def test_urgent_referral_is_begun_within_one_business_day():
    t = story()
    refer(t, "2026-07-06T10:00", priority="urgent")
    move(t, "2026-07-06T12:00", "accepted")

    assert due(t, "REF-2") == millis("2026-07-08T00:00", NEW_YORK)


def test_accepted_and_scheduled_together_needs_no_second_clock():
    t = story()
    refer(t, "2026-07-06T10:00")
    move(t, "2026-07-06T12:00", "accepted", business_status="5.1.1")

    assert t.handoffs("REF-2") == {}


def test_report_is_due_when_it_is_needed():
    t = story()
    refer(t, "2026-07-06T10:00", needed_by="2026-07-20T17:00:00-04:00")

    assert due(t, "REF-4") == millis("2026-07-20T17:00", NEW_YORK)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("consultant-report", {"based_on": []}),
        ("consultant-report", {"based_on": ["R9"]}),
        ("consultant-report", {"status": "in-progress"}),
        ("progress-note", {}),
    ],
)
def test_loop_stays_open_without_the_report_of_this_referral(code, said):
    t = story()
    refer(t, "2026-07-06T10:00")
    care(t, "2026-07-08T10:00", code, **({"based_on": ["R1"]} | said))

    assert closure(t, "REF-4") == ""


def test_completed_task_alone_does_not_close_the_loop_and_the_report_does():
    t = story()
    refer(t, "2026-07-06T10:00")
    move(t, "2026-07-06T12:00", "accepted")
    move(t, "2026-07-09T12:00", "completed")
    assert closure(t, "REF-4") == ""
    care(t, "2026-07-10T10:00", "consultant-report", based_on=["R1"])

    assert closure(t, "REF-4") == "met"


def test_declined_referral_opens_a_handoff_of_the_requester():
    t = story()
    refer(t, "2026-07-06T10:00")
    move(t, "2026-07-07T12:00", "rejected")

    assert closure(t, "REF-1") == "met"
    assert closure(t, "REF-4") == "superseded"
    assert t.only("REF-6")["owner"].startswith("referral-requester/")
    refer(t, "2026-07-08T09:00", "R2", service="podiatry")
    assert closure(t, "REF-6") == ""
    refer(t, "2026-07-08T10:00", "R3")
    assert closure(t, "REF-6") == "met"


def test_goal_that_the_referral_served_may_be_revised_instead():
    t = story()
    t.at("2026-06-01T09:00", "GoalUpdated", goal="G1", lifecycle_status="active", description="Walk to the shop", accepted_by_person=True)
    refer(t, "2026-07-06T10:00", goal="G1")
    move(t, "2026-07-07T12:00", "rejected")
    t.at("2026-07-08T09:00", "GoalUpdated", goal="G1", lifecycle_status="active", description="Take the bus to the shop")

    assert closure(t, "REF-6") == "met"


@pytest.mark.parametrize("status", ["noshow", "cancelled"])
def test_missed_appointment_without_a_referral_is_booked_again_by_any_appointment_for_the_same(status):
    t = story()
    t.at(
        "2026-07-01T09:00", "AppointmentChanged", appointment="A1", status="booked", start="2026-07-06T10:00:00-04:00", purpose="follow-up"
    )
    t.at("2026-07-06T10:30", "AppointmentChanged", appointment="A1", status=status, purpose="follow-up")
    assert due(t, "REF-3") == millis("2026-07-09T00:00", NEW_YORK)
    t.at("2026-07-07T09:00", "AppointmentChanged", appointment="A2", status="booked", start="2026-07-10T10:00:00-04:00", purpose="eye test")
    assert closure(t, "REF-3") == ""
    t.at(
        "2026-07-07T09:30", "AppointmentChanged", appointment="A3", status="booked", start="2026-07-11T10:00:00-04:00", purpose="follow-up"
    )
    assert closure(t, "REF-3") == "met"


def test_unattended_event_reported_by_the_target_opens_one_handoff_with_the_no_show():
    t = story()
    refer(t, "2026-07-01T10:00")
    move(t, "2026-07-01T12:00", "accepted", business_status="5.1.1")
    move(t, "2026-07-06T12:00", "accepted", business_status="5.1.2")
    t.at("2026-07-06T12:30", "AppointmentChanged", appointment="A1", referral="R1", status="noshow")

    assert len(t.handoffs("REF-3")) == 1
    move(t, "2026-07-07T12:00", "accepted", business_status="5.1.1")
    assert closure(t, "REF-3") == "met"


def test_duplicate_referral_opens_no_handoffs():
    t = story()
    refer(t, "2026-07-06T10:00")
    before = len(t.handoffs("REF-1"))
    refer(t, "2026-07-07T10:00", "R2")

    assert (before, len(t.handoffs("REF-1")), len(t.handoffs("REF-4"))) == (1, 1, 1)


def test_illegal_move_is_refused_and_changes_nothing():
    t = story()
    refer(t, "2026-07-06T10:00")
    effects = move(t, "2026-07-06T12:00", "accepted", by="requester")

    assert [type(e).__name__ for e in effects] == ["EventRefused"]
    assert "only the target" in effects[0].why
    assert closure(t, "REF-1") == ""


def test_home_health_counts_from_the_return_home_if_the_referral_was_made_in_hospital():
    t = story()
    admit(t, "2026-07-03T10:00")
    refer(t, "2026-07-04T10:00", service="home-health", target="home-nursing")
    assert t.handoffs("HHA") == {}
    discharge(t)

    assert due(t, "HHA") == millis("2026-07-08T15:00", NEW_YORK)


def test_referral_to_a_home_health_agency_is_one_whatever_the_service_is_called():
    t = story()
    refer(t, "2026-07-04T10:00", service="wound care", target="home-nursing")

    assert due(t, "HHA") == millis("2026-07-06T10:00", NEW_YORK)


def test_goal_without_a_home_health_referral_needs_no_first_visit():
    assert inpatient().handoffs("HHA") == {}


def test_hold_is_owned_by_whoever_set_it():
    t = story()
    refer(t, "2026-07-06T10:00")
    move(t, "2026-07-06T12:00", "accepted")
    move(t, "2026-07-07T12:00", "on-hold")

    assert t.only("REF-5")["owner"].startswith("referral-target/")
    assert closure(t, "REF-2") == "superseded"


def test_cancelled_referral_closes_all_its_handoffs():
    t = story()
    refer(t, "2026-07-06T10:00")
    move(t, "2026-07-06T12:00", "accepted")
    move(t, "2026-07-07T12:00", "cancelled", by="requester")

    assert {closure(t, rule) for rule in ("REF-2", "REF-4")} == {"cancelled"}


# ---- goals


def goal(t: Timeline, at: str, status: str = "active", **said: Any) -> list[Any]:
    return t.at(at, "GoalUpdated", goal="G1", lifecycle_status=status, **said)


@pytest.mark.parametrize(
    ("setting", "first", "later"),
    [("hospice", 15, 15), ("home-health", 56, 60), ("icf", 56, 90), ("social-care", 56, None), (None, 56, 90)],
)
def test_each_review_begins_the_next_interval_of_the_setting(setting, first, later):
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True, setting=setting)
    assert due(t, "GOAL-1") == end_of_day("2026-07-01", first)
    goal(t, "2026-07-10T09:00", reviewed=True)
    goal(t, "2026-07-10T10:00", description="Walk to the shop", reviewed=False)

    live = [h for h in t.handoffs("GOAL-1").values() if not h["closure"]]
    expected = end_of_day("2026-07-10", later) if later else millis("2027-07-11T00:00", NEW_YORK)
    assert [h["due"] for h in live] == [expected]


def end_of_day(day: str, days: int) -> int:
    return millis(datetime.fromisoformat(day) + timedelta(days=days + 1), NEW_YORK)


def test_review_recorded_as_care_begins_the_next_interval_too():
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True)
    care(t, "2026-07-10T09:00", "goal-review", based_on=["G1"])

    live = [h for h in t.handoffs("GOAL-1").values() if not h["closure"]]
    assert [h["due"] for h in live] == [end_of_day("2026-07-10", 90)]


def test_goal_on_hold_pauses_its_review_and_starts_it_again():
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True)
    goal(t, "2026-07-05T09:00", "on-hold")
    assert closure(t, "GOAL-1") == "not-applicable"
    goal(t, "2026-08-01T09:00", "active")

    assert [h["due"] for h in t.handoffs("GOAL-1").values() if not h["closure"]] == [end_of_day("2026-08-01", 56)]


def test_goal_that_improves_in_between_needs_no_change_of_plan():
    t = story()
    goal(t, "2026-07-01T09:00", description="Walk to the shop", accepted_by_person=True)
    goal(t, "2026-07-08T09:00", achievement_status="worsening")
    goal(t, "2026-07-15T09:00", achievement_status="improving")
    goal(t, "2026-07-22T09:00", achievement_status="worsening")
    assert t.handoffs("GOAL-3") == {}
    goal(t, "2026-07-29T09:00", achievement_status="no-progress")
    assert due(t, "GOAL-3") == end_of_day("2026-07-29", 14)
    goal(t, "2026-08-01T09:00", description="Walk to the bench")
    assert closure(t, "GOAL-3") == "met"


def test_care_team_cannot_answer_for_the_person():
    t = story()
    goal(t, "2026-07-01T09:00", "proposed", description="Walk to the shop")
    goal(t, "2026-07-05T09:00", "active")
    assert closure(t, "GOAL-4") == ""
    goal(t, "2026-07-06T09:00", "active", accepted_by_person=True)
    assert closure(t, "GOAL-4") == "met"


def test_person_may_say_no():
    t = story()
    goal(t, "2026-07-01T09:00", "proposed", description="Walk to the shop")
    goal(t, "2026-07-05T09:00", "rejected", accepted_by_person=False)

    assert closure(t, "GOAL-4") == "met"


# ---- encounters without news


def test_event_of_the_stay_restarts_the_five_days():
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.at("2026-07-04T10:00", "EncounterUpdated", encounter=STAY, attending="9901")

    assert due(t, "ENC-1") == millis("2026-07-10T00:00", NEW_YORK)
    t.until("2026-07-09T23:59")
    assert t.gaps("ENC-1") == []
    assert [(line.state, line.due) for line in t.tasks("ENC-1")] == [
        ("draft", millis("2026-07-07T00:00", NEW_YORK)),
        ("draft", millis("2026-07-10T00:00", NEW_YORK)),
    ]


@pytest.mark.parametrize("first", ["PatientDischarged", "DischargeCancelled"])
def test_five_days_count_from_the_cancelled_discharge_whichever_message_arrives_first(first):
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    told = {
        "PatientDischarged": ("2026-07-02T10:00", {"disposition": "home"}),
        "DischargeCancelled": ("2026-07-03T10:00", {}),
    }
    for kind in (first, *(k for k in told if k != first)):
        happened, said = told[kind]
        t.at(happened, kind, arrival="2026-07-03T12:00", encounter=STAY, **said)
    t.until("2026-07-08T23:59")
    assert t.gaps("ENC-1") == []
    t.until("2026-07-09T00:00")

    assert [(gap.state, gap.due) for gap in t.gaps("ENC-1")] == [("open", millis("2026-07-09T00:00", NEW_YORK))]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("EncounterUpdated", {"diagnoses": [{"system": "icd10", "code": "I10", "rank": 1}]}),
        ("PatientTransferred", {"to": {"facility": "GENERAL", "unit": "ED-2"}}),
        ("DischargeCancelled", {}),
    ],
)
def test_any_later_event_of_a_stay_that_was_assumed_over_closes_its_gap(word, said):
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.at("2026-07-08T10:00", word, encounter=STAY, **said)

    assert [gap.state for gap in t.gaps("ENC-1")][:2] == ["open", "closed"]
    assert "met-late" in {handoff["closure"] for handoff in t.handoffs("ENC-1").values()}


def test_stay_that_an_update_says_is_on_a_ward_is_not_assumed_over():
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.at("2026-07-01T12:00", "EncounterUpdated", encounter=STAY, **{"class": "IMP"})
    t.until("2026-07-20T00:00")

    assert t.gaps("ENC-1") == []
    assert closure(t, "ENC-1") == "met"


def test_silent_stay_is_assumed_over_and_a_later_discharge_is_right():
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.until("2026-07-07T00:00")
    assert [gap.state for gap in t.gaps("ENC-1")] == ["open"]
    discharge(t, "2026-07-08T15:00")

    assert closure(t, "ENC-1") == "met-late"
    assert [e.encounter.visit for e in t.told("NTF-DISCHARGE")][:1] == ["V1"]


def test_ward_stay_is_never_assumed_over():
    t = story()
    admit(t, "2026-07-01T10:00")
    t.until("2026-09-01T10:00")

    assert t.handoffs("ENC-1") == {}


# ---- profiles


def test_rules_of_the_other_country_do_not_open():
    us, england = inpatient(codes=("F32.1",)), inpatient(codes=("F32.1",), zone=LONDON)

    assert {"NHS-1", "MH72", "NICE-1"}.isdisjoint({e.rule for e in us.effects})
    assert {"TCM-1", "TCM-3", "FUH-7", "TRC-2", "MED-1"}.isdisjoint({getattr(e, "rule", "") for e in england.effects})
    assert {"NHS-1", "MH72"} <= {getattr(e, "rule", "") for e in england.effects}
