"""A handoff from its opening to its end: steps, the single owner, closing in time, late and out of order."""

from __future__ import annotations

from typing import Any

import pytest
from timeline import Timeline, millis

from agents.coordination.person.state import unpack
from streams.contract import effects as out

STAY = {"facility": "GENERAL", "visit": "V1"}
DISCHARGED = "2026-07-02T15:00"
DUE_TCM = "2026-07-08T00:00"
PCP = [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]
REFERRAL = {
    "referral": "R1",
    "requester": {"role": "pcp", "practitioner": "8801"},
    "target": {"role": "social-care", "organization": "meals-and-rides"},
    "service": "meals",
}


def discharge(t: Timeline, when: str = DISCHARGED, **data: Any) -> list[Any]:
    return t.at(when, "PatientDischarged", encounter=STAY, disposition=data.pop("disposition", "home"), members=PCP, **data)


def contact(t: Timeline, when: str, arrival: str | None = None, **data: Any) -> list[Any]:
    return t.at(
        arrival or when,
        "CareActivityRecorded",
        activity="C",
        code=data.pop("code", "interactive-contact"),
        status=data.pop("status", "completed"),
        start=f"{when}:00-04:00",
        performer={"role": "pcp"},
        **data,
    )


def lines(effects: list[Any], rule: str) -> list[tuple[Any, ...]]:
    kinds = {out.TaskState: "task", out.GapState: "gap"}
    return [(kinds[type(e)], e.state, e.closure, e.step, e.owner.split("/")[0]) for e in effects if type(e) in kinds and e.rule == rule]


def notified(effects: list[Any], rule: str) -> list[str]:
    return [e.recipient for e in effects if isinstance(e, out.NotificationIssued) and e.rule == rule]


# ---- steps


def test_discharge_gives_the_coordinator_one_task_until_the_next_business_day(story):
    discharge(story)
    (task,) = story.tasks("DIS-1")
    assert (task.state, task.owner, task.due) == (
        "requested",
        "care-coordinator/pool:general-discharge",
        millis("2026-07-07T00:00", story.zone),
    )
    effects = story.at(
        "2026-07-06T10:00", "TaskCompleted", task=task.handoff, by={"role": "care-coordinator", "practitioner": "c1"}, outcome="done"
    )
    assert lines(effects, "DIS-1")[0] == ("task", "completed", "met", 1, "care-coordinator")


def test_handoff_becomes_due_soon_then_open_then_goes_to_the_next_role(story):
    story.at("2026-07-02T15:00", "ReferralRequested", **REFERRAL)
    assert lines(story.effects, "REF-1") == [("task", "requested", None, 0, "referral-target")]

    assert lines(story.until("2026-07-07T23:59"), "REF-1") == [("gap", "due-soon", None, 1, "referral-target")]
    at_due = story.until("2026-07-08T00:00")
    assert lines(at_due, "REF-1") == [("gap", "open", None, 2, "referral-target")]
    assert notified(at_due, "REF-1") == ["referral-target/pool:meals-and-rides-intake", "coordinator-lead/pool:unassigned"]

    assert lines(story.until("2026-07-09T23:59"), "REF-1") == []
    escalated = story.until("2026-07-10T00:00")
    assert lines(escalated, "REF-1") == [
        ("task", "requested", None, 3, "referral-requester"),
        ("gap", "open", None, 3, "referral-requester"),
    ]
    assert notified(escalated, "REF-1") == ["referral-requester/practitioner:8801"]
    assert story.until("2027-07-01T00:00") == []


def test_effects_of_a_deadline_have_its_instant_and_name_the_event_that_opened_it(story):
    discharge(story, id_="D1")
    (gap,) = [g for g in story.until("2026-07-05T12:00") if g.rule == "TCM-1"]
    assert gap.at == millis(DISCHARGED, story.zone) + (millis(DUE_TCM, story.zone) - millis(DISCHARGED, story.zone)) // 2
    assert gap.cause == "D1"


@pytest.mark.parametrize(
    ("answered", "arrives", "gap"),
    [
        ("2026-07-07T23:59", "2026-07-07T23:59", False),
        ("2026-07-08T00:00", "2026-07-08T00:00", False),
        ("2026-07-08T00:01", "2026-07-08T00:01", True),
    ],
)
def test_referral_that_is_answered_exactly_at_its_limit_is_not_open(story, answered, arrives, gap):
    story.at("2026-07-02T15:00", "ReferralRequested", **REFERRAL)
    effects = story.at(answered, "ReferralStatusChanged", arrival=arrives, referral="R1", status="accepted", by="target")
    assert any(g.state == "open" for g in story.gaps("REF-1")) is gap
    assert lines(effects, "REF-1")[0][:3] == ("task", "completed", "met-late" if gap else "met")


def test_due_is_counted_by_the_accountable_organisations_calendar(story):
    """The hospital is in New York, where 3 July is a holiday; so it is in Chicago, but not in England."""
    discharge(story)
    assert story.only("TCM-1")["due"] == millis(DUE_TCM, "America/New_York")
    other = Timeline(asked=story.world)
    other.at(
        DISCHARGED,
        "PatientDischarged",
        encounter=STAY,
        disposition="home",
        members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": "8811"}}],
    )
    assert other.only("TCM-1")["due"] == millis("2026-07-08T00:00", "America/Chicago")
    abroad = Timeline(asked=story.world)
    abroad.at(
        DISCHARGED,
        "PatientDischarged",
        encounter=STAY,
        disposition="home",
        members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": "G7001"}}],
    )
    assert abroad.only("TCM-1")["due"] == millis("2026-07-07T00:00", "Europe/London")


@pytest.mark.parametrize(
    ("disposition", "opens"),
    [("home", True), ("oth", True), ("snf", False), ("hospice", False), ("hosp", False), ("other-hcf", False), ("exp", False)],
)
def test_contact_is_due_after_discharges_to_the_community_only(story, disposition, opens):
    discharge(story, disposition=disposition)
    assert bool(story.tasks("TCM-1")) is opens
    if disposition == "oth":
        assert "counts as community" in story.tasks("TCM-1")[0].why


def test_emergency_visit_that_ends_at_home_needs_no_transitional_contact(story):
    story.at("2026-07-02T10:00", "PatientAdmitted", encounter=STAY, **{"class": "EMER"})
    discharge(story)
    assert story.tasks("TCM-1") == []
    assert len(story.tasks("DIS-1")) == 1


# ---- closing: in time, late, out of order


def test_contact_in_time_closes_without_a_notification(story):
    discharge(story)
    effects = contact(story, "2026-07-03T10:00")
    assert lines(effects, "TCM-1") == [("task", "completed", "met", 0, "pcp")]
    assert notified(effects, "TCM-1") == []


def test_contact_before_the_deadline_that_arrives_after_it_counts_as_met_and_withdraws_the_alert(story):
    discharge(story)
    alerted = notified(story.until("2026-07-08T09:00"), "TCM-1")
    effects = contact(story, "2026-07-07T23:00", arrival="2026-07-08T10:00")
    assert [line[:3] for line in lines(effects, "TCM-1")] == [("task", "completed", "met"), ("gap", "closed", "met")]
    taken_back = [e.recipient for e in effects if isinstance(e, out.NotificationWithdrawn) and e.rule == "TCM-1"]
    assert sorted(taken_back) == sorted(alerted)
    assert notified(effects, "TCM-1") == []


def test_contact_after_the_deadline_is_met_late_and_everybody_alerted_is_notified_once_of_the_closure(story):
    discharge(story)
    alerted = notified(story.until("2026-07-08T09:00"), "TCM-1")
    effects = contact(story, "2026-07-08T08:00", arrival="2026-07-08T10:00")
    assert [line[:3] for line in lines(effects, "TCM-1")] == [("task", "completed", "met-late"), ("gap", "closed", "met-late")]
    assert sorted(notified(effects, "TCM-1")) == sorted(set(alerted))
    assert not any(isinstance(e, out.NotificationWithdrawn) for e in effects)


def test_earlier_contact_that_arrives_last_corrects_late_to_met(story):
    discharge(story)
    story.until("2026-07-08T09:00")
    contact(story, "2026-07-08T08:00", arrival="2026-07-08T10:00")
    effects = contact(story, "2026-07-06T08:00", arrival="2026-07-09T10:00")
    assert [line[:3] for line in lines(effects, "TCM-1")] == [("task", "completed", "met"), ("gap", "closed", "met")]
    assert {e.recipient for e in effects if isinstance(e, out.NotificationWithdrawn)}


def test_contact_that_arrives_before_the_discharge_counts(story):
    contact(story, "2026-07-02T18:00")
    effects = discharge(story, "2026-07-02T15:00", arrival="2026-07-02T19:00")
    assert [line[:3] for line in lines(effects, "TCM-1")] == [("task", "requested", None), ("task", "completed", "met")]


def test_contact_before_the_discharge_happened_does_not_count(story):
    contact(story, "2026-07-02T14:59")
    discharge(story)
    contact(story, "2026-07-02T14:00", arrival="2026-07-03T09:00")
    assert story.only("TCM-1")["closure"] == ""


@pytest.mark.parametrize(
    "data", [{"status": "not-done"}, {"code": "baseline-care-plan"}, {"encounter": {"facility": "GENERAL", "visit": "OTHER"}}]
)
def test_another_activity_does_not_close_the_handoff(story, data):
    story.at("2026-07-01T15:00", "PatientAdmitted", encounter={"facility": "GENERAL", "visit": "OTHER"}, **{"class": "AMB"})
    discharge(story)
    contact(story, "2026-07-03T10:00", **data)
    assert story.only("TCM-1")["closure"] == ""


def test_reaching_the_person_by_any_task_of_the_stay_counts_as_the_contact(story):
    discharge(story)
    (dis,) = story.tasks("DIS-1")
    by = {"role": "care-coordinator", "practitioner": "c1"}
    tried = story.at("2026-07-03T10:00", "OutreachAttempted", task=dis.handoff, by=by, outcome="no-answer")
    assert lines(tried, "DIS-1") == [("task", "in-progress", None, 0, "care-coordinator")]
    reached = story.at("2026-07-03T11:00", "OutreachAttempted", task=dis.handoff, by=by, outcome="reached")
    assert lines(reached, "TCM-1") == [("task", "completed", "met", 0, "pcp")]
    assert story.only("DIS-1")["closure"] == ""


def test_readmission_supersedes_and_if_it_is_cancelled_the_contact_is_due_again(story):
    discharge(story)
    effects = story.at("2026-07-04T09:00", "PatientAdmitted", encounter={"facility": "MERCY", "visit": "M1"}, **{"class": "IMP"})
    assert lines(effects, "TCM-1") == [("task", "cancelled", "superseded", 0, "pcp")]
    effects = story.at("2026-07-04T10:00", "AdmissionCancelled", encounter={"facility": "MERCY", "visit": "M1"})
    assert lines(effects, "TCM-1") == [("task", "requested", None, 0, "pcp")]
    assert story.only("TCM-1")["due"] == millis(DUE_TCM, story.zone)
    assert lines(story.until(DUE_TCM), "TCM-1")[-1][:2] == ("gap", "open")


def test_readmission_that_arrives_before_the_discharge_supersedes_at_once(story):
    story.at("2026-07-04T09:00", "PatientAdmitted", encounter={"facility": "MERCY", "visit": "M1"}, **{"class": "IMP"})
    effects = discharge(story, DISCHARGED, arrival="2026-07-04T10:00")
    assert [line[1:3] for line in lines(effects, "TCM-1")] == [("requested", None), ("cancelled", "superseded")]


def test_handoff_of_an_event_that_arrives_after_due_is_open_from_its_arrival(story):
    effects = discharge(story, DISCHARGED, arrival="2026-07-08T10:00")
    assert lines(effects, "TCM-1") == [("task", "requested", None, 0, "pcp")]
    (gap,) = [e for e in story.until("2026-07-08T10:00") if isinstance(e, out.GapState) and e.rule == "TCM-1"]
    assert (gap.state, gap.at, gap.due) == ("open", millis("2026-07-08T10:00", story.zone), millis(DUE_TCM, story.zone))


# ---- acknowledgement


def test_notification_that_is_acknowledged_in_time_closes(story):
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, members=PCP, **{"class": "IMP"})
    (task,) = story.tasks("NOT-2")
    assert task.due == millis("2026-07-01T13:00", story.zone)
    effects = story.at("2026-07-01T13:00", "TaskAcknowledged", task=task.handoff, by={"role": "pcp", "practitioner": "8801"})
    assert lines(effects, "NOT-2")[-2:] == [("task", "completed", "met", 1, "pcp"), ("gap", "closed", "met", 1, "pcp")]


def test_notification_itself_can_be_named_in_the_acknowledgement(story):
    effects = story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, members=PCP, **{"class": "IMP"})
    asked = next(e for e in effects if isinstance(e, out.NotificationIssued) and e.asks_acknowledgement)
    effects = story.at("2026-07-01T09:30", "TaskAcknowledged", task=asked.id, by={"role": "pcp", "practitioner": "8801"})
    assert lines(effects, "NOT-2") == [("task", "completed", "met", 0, "pcp")]


def test_only_the_recipient_can_acknowledge(story):
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, members=PCP, **{"class": "IMP"})
    (task,) = story.tasks("NOT-2")
    effects = story.at("2026-07-01T09:30", "TaskAcknowledged", task=task.handoff, by={"role": "caregiver", "caregiver": "son"})
    assert [(type(e), e.reason) for e in effects] == [(out.EventRefused, "not-the-recipient")]
    assert story.only("NOT-2")["closure"] == ""


def test_first_recipient_may_still_acknowledge_after_the_escalation(story):
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, members=PCP, **{"class": "IMP"})
    story.until("2026-07-01T14:00")
    assert story.only("NOT-2")["owner"] == "practice-manager/pool:riverside-managers"
    (task, *_) = story.tasks("NOT-2")
    effects = story.at("2026-07-01T15:00", "TaskAcknowledged", task=task.handoff, by={"role": "pcp", "practitioner": "8801"})
    assert lines(effects, "NOT-2")[0][:3] == ("task", "completed", "met-late")


def test_discharge_needs_its_own_acknowledgement_by_the_next_business_day_and_ends_the_admissions(story):
    story.at("2026-07-02T14:00", "PatientAdmitted", encounter=STAY, members=PCP, **{"class": "IMP"})
    effects = discharge(story)
    assert [line[1:3] for line in lines(effects, "NOT-2")] == [("cancelled", "superseded"), ("requested", None)]
    assert [t.due for t in story.tasks("NOT-2")][-1] == millis("2026-07-07T00:00", story.zone)
    story.until("2026-07-06T23:59")
    assert not any(g.state == "open" for g in story.gaps("NOT-2"))
    escalated = [g.at for g in (*story.until("2026-07-08T00:00"),) if isinstance(g, out.GapState) and g.rule == "NOT-2"]
    assert escalated == [millis("2026-07-07T00:00", story.zone), millis("2026-07-08T00:00", story.zone)]


# ---- goals


def goal(t: Timeline, when: str, **data: Any) -> list[Any]:
    return t.at(
        when,
        "GoalUpdated",
        goal=data.pop("goal", "G1"),
        lifecycle_status=data.pop("status", "active"),
        description="walk to the shop",
        **data,
    )


def test_each_active_goal_is_reviewed_after_an_admission_and_again_after_the_discharge(story):
    goal(story, "2026-06-01T09:00")
    goal(story, "2026-06-01T09:00", goal="G2")
    goal(story, "2026-06-01T09:00", goal="G3", status="completed")
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    assert sorted(t.goal for t in story.tasks("GOAL-2")) == ["G1", "G2"]
    assert {t.due for t in story.tasks("GOAL-2")} == {millis("2026-07-16T00:00", story.zone)}
    effects = discharge(story)
    assert sorted((e.goal, e.state, e.closure) for e in effects if isinstance(e, out.TaskState) and e.rule == "GOAL-2") == [
        ("G1", "cancelled", "superseded"),
        ("G1", "requested", None),
        ("G2", "cancelled", "superseded"),
        ("G2", "requested", None),
    ]


def test_review_of_one_goal_closes_its_own_handoff_only(story):
    goal(story, "2026-06-01T09:00")
    goal(story, "2026-06-01T09:00", goal="G2")
    discharge(story)
    goal(story, "2026-07-06T09:00", achievement_status="improving")
    assert sorted((t.goal, t.state) for t in story.tasks("GOAL-2")) == [("G1", "completed"), ("G1", "requested"), ("G2", "requested")]
    story.at(
        "2026-07-07T09:00",
        "CareActivityRecorded",
        activity="A",
        code="goal-review",
        status="completed",
        start="2026-07-07T09:00:00-04:00",
        performer={"role": "care-coordinator"},
    )
    assert ("G2", "completed") in {(t.goal, t.state) for t in story.tasks("GOAL-2")}


def test_repeated_goal_does_not_count_as_reviewed_unless_it_says_so(story):
    goal(story, "2026-06-01T09:00")
    discharge(story)
    goal(story, "2026-07-06T09:00")
    assert story.only("GOAL-2")["closure"] == ""
    goal(story, "2026-07-06T10:00", reviewed=True)
    assert story.only("GOAL-2")["closure"] == "met"


def test_review_that_arrives_before_the_discharge_it_follows_counts(story):
    goal(story, "2026-06-01T09:00")
    goal(story, "2026-07-02T16:00", reviewed=True)
    discharge(story, DISCHARGED, arrival="2026-07-02T17:00")
    assert story.only("GOAL-2")["closure"] == "met"


# ---- referrals


def test_answer_that_arrives_before_its_request_counts(story):
    story.at("2026-07-02T16:00", "ReferralStatusChanged", referral="R1", status="accepted", by="target")
    effects = story.at("2026-07-02T15:00", "ReferralRequested", arrival="2026-07-02T17:00", **REFERRAL)
    assert [line[1:3] for line in lines(effects, "REF-1")] == [("requested", None), ("completed", "met")]
    assert unpack(story._packed).referrals[0].status == "accepted"


def test_illegal_move_is_refused_with_its_reason_and_changes_nothing(story):
    story.at("2026-07-02T15:00", "ReferralRequested", **REFERRAL)
    effects = story.at("2026-07-02T16:00", "ReferralStatusChanged", referral="R1", status="completed", by="target")
    assert [(type(e), e.reason) for e in effects] == [(out.EventRefused, "illegal-move")]
    assert unpack(story._packed).referrals[0].status == "requested"


def test_cancelled_referral_closes_its_clock_as_cancelled(story):
    story.at("2026-07-02T15:00", "ReferralRequested", **REFERRAL)
    effects = story.at(
        "2026-07-02T16:00", "ReferralStatusChanged", referral="R1", status="cancelled", by="requester", reason="no longer needed"
    )
    assert lines(effects, "REF-1") == [("task", "cancelled", "cancelled", 0, "referral-target")]
    assert notified(effects, "NTF-REFERRAL-END")


def test_second_referral_to_the_same_service_is_linked_and_opens_no_second_clock(story):
    story.at("2026-07-02T15:00", "ReferralRequested", **REFERRAL)
    story.at("2026-07-03T15:00", "ReferralRequested", **{**REFERRAL, "referral": "R2"})
    assert [t.referral for t in story.tasks("REF-1")] == ["R1"]
    assert unpack(story._packed).referrals[1].linked == "R1"
