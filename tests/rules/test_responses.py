"""Responses to a task: which are allowed, and that there is exactly one owner at every instant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from timeline import Timeline, millis

from agents.coordination.person.state import TASK_STATUS, unpack
from agents.coordination.reference.ids import uuid_text
from streams.contract import effects as out

STAY = {"facility": "GENERAL", "visit": "V1"}
PCP = [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]
ANN = {"role": "care-coordinator", "practitioner": "ann"}
BEN = {"role": "care-coordinator", "practitioner": "ben"}


@pytest.fixture
def task(story: Timeline) -> str:
    """The coordinator's discharge task, requested of the pool, due at the end of 6 July."""
    story.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=PCP)
    return story.tasks("DIS-1")[0].handoff


def stands(t: Timeline) -> tuple[str, str]:
    (h,) = [h for h in unpack(t._packed).handoffs if h.rule == "DIS-1"]
    return TASK_STATUS[h.status], h.owner


def respond(t: Timeline, kind: str, task: str, by: dict[str, str] = ANN, when: str = "2026-07-02T16:00", **data: Any) -> list[Any]:
    return t.at(when, kind, task=task, by=by, **data)


def refusal(effects: list[Any]) -> str:
    (only,) = effects
    assert isinstance(only, out.EventRefused)
    assert only.why
    return only.reason


POOL = "care-coordinator/pool:general-discharge"


def test_claim_moves_the_task_from_the_pool_to_a_person(story, task):
    (line,) = respond(story, "TaskClaimed", task)
    assert (line.state, line.owner) == ("accepted", "care-coordinator/practitioner:ann")
    assert "pool:general-discharge" in line.why


def test_second_claim_is_refused_and_the_first_stands(story, task):
    respond(story, "TaskClaimed", task)
    assert refusal(respond(story, "TaskClaimed", task, BEN)) == "already-claimed"
    assert stands(story) == ("accepted", "care-coordinator/practitioner:ann")


def test_claiming_twice_by_the_same_person_is_harmless(story, task):
    respond(story, "TaskClaimed", task)
    effects = respond(story, "TaskClaimed", task)
    assert [e.reason for e in effects] == ["already-claimed-by-them"]


def test_reassigned_task_waits_for_its_new_owner(story, task):
    respond(story, "TaskClaimed", task)
    (line,) = respond(story, "TaskReassigned", task, to=BEN)
    assert (line.state, line.owner) == ("requested", "care-coordinator/practitioner:ben")


def test_declined_task_goes_back_to_the_pool_with_the_reason(story, task):
    respond(story, "TaskClaimed", task)
    (line,) = respond(story, "TaskDeclined", task, reason="on leave from tomorrow")
    assert (line.state, line.owner) == ("requested", POOL)
    assert "on leave from tomorrow" in line.why


def test_decline_without_reason_or_by_somebody_else_is_refused(story, task):
    respond(story, "TaskClaimed", task)
    assert refusal(respond(story, "TaskDeclined", task, reason=" ")) == "reason-missing"
    assert refusal(respond(story, "TaskDeclined", task, BEN, reason="not mine")) == "not-the-owner"
    assert stands(story) == ("accepted", "care-coordinator/practitioner:ann")


@pytest.mark.parametrize(
    ("until", "reason", "refused"),
    [
        ("2026-07-07T00:00:00-04:00", "waiting for the pharmacy", None),
        ("2026-07-07T00:01:00-04:00", "waiting", "snooze-beyond-due"),
        ("2026-07-02T16:00:00-04:00", "waiting", "snooze-in-the-past"),
        ("2026-07-03T12:00:00-04:00", "", "reason-missing"),
    ],
)
def test_task_is_snoozed_with_a_reason_and_never_beyond_its_due(story, task, until, reason, refused):
    effects = respond(story, "TaskSnoozed", task, until=until, reason=reason)
    if refused:
        assert refusal(effects) == refused
        assert stands(story)[0] == "requested"
    else:
        assert stands(story)[0] == "on-hold"


def test_snoozed_task_comes_back_and_the_steps_continue(story, task):
    respond(story, "TaskSnoozed", task, until="2026-07-06T12:00:00-04:00", reason="waiting for the pharmacy")
    assert not [e for e in story.until("2026-07-06T11:59") if e.rule == "DIS-1"]
    woken = [e for e in story.until("2026-07-06T12:00") if e.rule == "DIS-1"]
    assert [(type(e), e.state) for e in woken] == [(out.TaskState, "requested"), (out.GapState, "due-soon")]
    assert [g.state for g in story.until("2026-07-07T00:00") if isinstance(g, out.GapState) and g.rule == "DIS-1"] == ["open"]


def test_requested_escalation_moves_the_task_up_and_the_steps_stay(story, task):
    effects = respond(story, "TaskEscalated", task, reason="family in distress")
    assert [(type(e).__name__, getattr(e, "owner", "")) for e in effects] == [
        ("TaskState", "coordinator-lead/pool:general-coordination-leads"),
        ("GapState", "coordinator-lead/pool:general-coordination-leads"),
        ("NotificationIssued", ""),
    ]
    assert [g.step for g in story.until("2026-07-07T00:00") if isinstance(g, out.GapState) and g.rule == "DIS-1"] == [2, 3]


def test_last_role_in_the_line_of_escalation_cannot_escalate_further(story, task):
    for _ in range(2):
        respond(story, "TaskEscalated", task, reason="nobody answers")
    assert stands(story)[1] == "operations/pool:general-operations"
    assert refusal(respond(story, "TaskEscalated", task, reason="nobody answers")) == "end-of-the-line"


def test_response_to_an_unknown_or_closed_task_is_refused(story, task):
    assert refusal(respond(story, "TaskClaimed", "not a task")) == "unknown-task"
    assert refusal(respond(story, "TaskClaimed", "00000000-0000-5000-8000-000000000000")) == "unknown-task"
    respond(story, "TaskCompleted", task, outcome="done")
    for kind, data in (("TaskClaimed", {}), ("TaskCompleted", {"outcome": "again"}), ("TaskDeclined", {"reason": "no"})):
        assert refusal(respond(story, kind, task, **data)) == "closed-task"


def test_handoff_that_needs_a_clinical_event_cannot_be_completed_by_hand(story, task):
    contact = story.tasks("TCM-1")[0].handoff
    assert refusal(respond(story, "TaskCompleted", contact, outcome="reached")) == "needs-clinical-event"
    assert story.only("TCM-1")["closure"] == ""


def test_completion_exactly_at_due_is_in_time_and_a_minute_later_is_not(spine):
    for when, closure in (("2026-07-07T00:00", "met"), ("2026-07-07T00:01", "met-late")):
        t = Timeline(asked=spine)
        t.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=PCP)
        t.at(when, "TaskCompleted", task=t.tasks("DIS-1")[0].handoff, by=ANN, outcome="done")
        assert t.only("DIS-1")["closure"] == closure


def test_acknowledging_a_task_makes_it_received(story, task):
    (line,) = respond(story, "TaskAcknowledged", task)
    assert (line.state, line.owner) == ("received", POOL)
    assert [e.reason for e in respond(story, "TaskAcknowledged", task)] == ["already-acknowledged"]


# ---- always one owner

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["claim", "reassign", "decline", "snooze", "escalate", "outreach", "acknowledge", "complete", "wait"]),
        st.sampled_from([ANN, BEN, {"role": "pcp", "practitioner": "8801"}, {"role": "care-coordinator"}]),
        st.sampled_from(["DIS-1", "TCM-1", "NOT-2"]),
        st.integers(min_value=1, max_value=2000),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_every_open_handoff_has_one_owner_that_changes_only_with_a_line(spine, moves):
    t = Timeline(asked=spine)
    t.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=PCP)
    task_of = {rule: t.tasks(rule)[0].handoff for rule in ("DIS-1", "TCM-1", "NOT-2")}
    said: dict[str, str] = {}
    ids: set[str] = set()
    now = millis("2026-07-02T15:00", t.zone)

    def read() -> None:
        for effect in t.effects:
            assert effect.id not in ids, "an effect is published twice"
            ids.add(effect.id)
            if isinstance(effect, out.TaskState | out.GapState):
                said[effect.handoff] = effect.owner
        t.effects.clear()
        for h in unpack(t._packed).handoffs:
            role, _, party = h.owner.partition("/")
            assert role
            assert party.partition(":")[0] in {"pool", "practitioner", "organization", "caregiver"}
            assert said[uuid_text(h.id)] == h.owner, "the owner changed without a line"

    read()
    for move, by, rule, minutes in moves:
        now += minutes * 60_000
        task = task_of[rule]
        match move:
            case "claim":
                t.at(now, "TaskClaimed", task=task, by=by)
            case "reassign":
                t.at(now, "TaskReassigned", task=task, by=by, to=BEN)
            case "decline":
                t.at(now, "TaskDeclined", task=task, by=by, reason="busy")
            case "snooze":
                t.at(now, "TaskSnoozed", task=task, by=by, until="2026-07-06T12:00:00-04:00", reason="later")
            case "escalate":
                t.at(now, "TaskEscalated", task=task, by=by, reason="urgent")
            case "outreach":
                t.at(now, "OutreachAttempted", task=task, by=by, outcome="no-answer")
            case "acknowledge":
                t.at(now, "TaskAcknowledged", task=task, by=by)
            case "complete":
                t.at(now, "TaskCompleted", task=task, by=by, outcome="done")
            case _:
                t.until(now)
        read()
