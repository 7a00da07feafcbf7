"""The rules of referrals and appointments: acceptance, the first visit, the report, refusals and no-shows."""

from __future__ import annotations

import pytest
from care_story import NEW_YORK, admit, care, closure, discharge, due, inpatient, move, refer, story
from timeline import millis


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
