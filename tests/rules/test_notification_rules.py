"""Notifications: delivery, an unknown care team, consent, and the watchers of a task."""

from __future__ import annotations

from care_story import NEW_YORK, admit, closure, discharge, goal, inpatient, refer, story
from timeline import Timeline, millis

from streams.contract import effects as out


def test_undelivered_notification_is_open_after_five_minutes_and_delivery_closes_it():
    t = story()
    admit(t, "2026-07-06T10:00")
    assert [(task.state, task.due) for task in t.tasks("NOT-1")] == [("draft", millis("2026-07-06T10:05", NEW_YORK))]
    t.until("2026-07-06T10:05")

    assert [task.state for task in t.tasks("NOT-1")] == ["draft", "requested"]
    assert [gap.state for gap in t.gaps("NOT-1")] == ["open"]
    assert {e.role for e in t.notifications("NOT-1")} == {"operations"}


def test_delivery_to_one_is_enough():
    t = story()
    admit(t, "2026-07-06T10:00")
    issued = t.notifications("NTF-ADMIT")[0]
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

    assert t.notifications("FUH-7") == []
    assert {e.reason for e in t.of("FUH-7", out.EffectSuppressed)} == {"consent-missing"}
    assert any(gap.state == "open" for gap in t.gaps("FUH-7"))
