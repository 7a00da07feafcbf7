"""Applies events about referrals, appointments, goals, conditions and demographics to the person's records.

Owns how an event changes a record, and why an event is refused. Must not know rules or recipients. An older event never
overwrites a newer one. An illegal status change is refused with a reason and changes nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from agents.coordination.person.goal_states import ACHIEVED_MAX, REVIEWED_STATUSES, check_achievement, check_scale, move_goal, stalled_since
from agents.coordination.person.goal_states import Illegal as IllegalGoal
from agents.coordination.person.referral_states import ENDED, TASK, Illegal, Moved, duplicate_of, move
from agents.coordination.person.state import Appointment, Demographics, FieldTimes, Goal, Person, Referral
from agents.coordination.reference.directory import party_of
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.events import Millis

Folded = Context | str
"""The result of applying an event: the context with the subject and the changes, or the reason why the event is refused."""

_MISSED_STATUSES: Final = frozenset({"noshow", "cancelled", "entered-in-error"})
_OBSERVATIONS_MAX: Final = 32
_CONDITIONS_MAX: Final = 128


# ---- referrals


def referral_named(person: Person, id_: str | None) -> Referral | None:
    """Return the person's referral with this id, or None."""
    return next((r for r in person.referrals if r.id == id_), None) if id_ else None


def request(context: Context, fact: e.ReferralRequested, at: Millis, now: Millis) -> Folded:
    """Apply a new referral. A second request with the same id changes nothing."""
    person = context.person
    known = referral_named(person, fact.referral)
    if known is not None and known.requested:
        known.touched = now
        return replace(context, referral=known, repeated=True)
    referral = known or Referral(fact.referral)
    if known is None:
        person.referrals.append(referral)
    before = replace(known) if known is not None else Referral(fact.referral)
    referral.requested = at
    if not referral.status or referral.status_at < at:
        referral.status, referral.status_at = "requested", at
        referral.business_status = referral.business_status or "2.0"
    referral.requester = _party(fact.requester)
    referral.requester_organisation = fact.requester.organization or ""
    _update_fields(referral, fact, at)
    referral.touched = now
    referral.linked = (
        duplicate_of(
            referral.service,
            at,
            # A duplicate has no handoffs of its own: a referral linked to a duplicate would never be followed up.
            (r for r in person.referrals if r is not referral and r.requested and not r.linked),
            replaces=fact.replaces,
            window_days=context.world.settings.duplicate_referral_days,
        )
        or ""
    )
    return replace(context, referral=referral, referral_before=before)


def change_referral(context: Context, fact: e.ReferralChanged, at: Millis, now: Millis) -> Folded:
    """Apply a change of a referral. A change that arrives before the request is kept."""
    referral = referral_named(context.person, fact.referral)
    if referral is None:
        referral = Referral(fact.referral)
        context.person.referrals.append(referral)
    referral.touched = now
    before = replace(referral)
    _update_fields(referral, fact, at)
    moved = (referral.target, referral.target_organisation) != (before.target, before.target_organisation)
    return replace(context, referral=referral, referral_before=before, changed=("target",) if before.requested and moved else ())


def _update_fields(referral: Referral, fact: e.ReferralRequested | e.ReferralChanged, at: Millis) -> None:
    """Take each field of *fact* unless a newer value of that field is known."""
    said = referral.field_times = FieldTimes() if referral.field_times is None else replace(referral.field_times)
    if fact.target is not None and at >= said.target:
        said.target = at
        referral.target, referral.target_organisation = _party(fact.target), fact.target.organization or ""
    if fact.service and at >= said.service:
        said.service, referral.service = at, fact.service
    if fact.priority and at >= said.priority:
        said.priority, referral.priority = at, fact.priority
    if fact.needed_by and at >= said.needed_by:
        said.needed_by, referral.needed_by = at, fact.needed_by
    if fact.goal and at >= said.goal:
        said.goal, referral.goal = at, fact.goal


def move_referral(context: Context, fact: e.ReferralStatusChanged, at: Millis, now: Millis) -> Folded:
    """Change the status of a referral if the table allows it. An event that is older than the current status changes nothing."""
    referral = referral_named(context.person, fact.referral)
    if referral is None:
        # The request may still arrive, so the status is kept without a check.
        referral = Referral(fact.referral)
        context.person.referrals.append(referral)
    elif referral.requested and at >= referral.status_at:
        moved = move(referral.status or None, fact.status, fact.by, fact.business_status, referral.business_status)
        if isinstance(moved, Illegal):
            return moved.reason
    referral.touched = now
    if at < referral.status_at:
        return replace(context, referral=referral)
    repeated = referral.status == fact.status and (fact.business_status or "") in {"", referral.business_status}
    changed = ("referral-status",) if referral.status != fact.status else ()
    if changed:
        referral.previous_status = referral.status
    referral.status, referral.status_at, referral.setter = fact.status, at, fact.by
    referral.business_status = fact.business_status or ("" if not repeated else referral.business_status)
    return replace(context, referral=referral, repeated=repeated, changed=changed)


def is_legal(referral: Referral, fact: e.ReferralStatusChanged, at: Millis) -> bool:
    """Return whether a status change that was refused is legal now."""
    if at < referral.status_at:
        return False
    return isinstance(move(referral.status or None, fact.status, fact.by, fact.business_status, referral.business_status), Moved)


def may_become_legal(referral: Referral, fact: e.ReferralStatusChanged) -> bool:
    """Return whether a refused status change can become legal when another event arrives."""
    row = TASK.get(fact.status)
    return row is not None and fact.by in row.by and referral.status not in ENDED


def change_appointment(context: Context, fact: e.AppointmentChanged, at: Millis, now: Millis) -> Folded:
    """Apply an appointment. An older event changes nothing."""
    person = context.person
    appointment = next((a for a in person.appointments if a.id == fact.appointment), None)
    if appointment is None:
        appointment = Appointment(fact.appointment)
        person.appointments.append(appointment)
    repeated = appointment.status == fact.status and appointment.start == (fact.start or appointment.start)
    # A no-show that is then cancelled, or a cancelled appointment that is then deleted, counts as missed only once.
    repeated |= appointment.status in _MISSED_STATUSES and fact.status in _MISSED_STATUSES
    if at >= appointment.at:
        appointment.status, appointment.at = fact.status, at
        appointment.start = fact.start or appointment.start
        appointment.end = fact.end or appointment.end
        appointment.purpose = fact.purpose or appointment.purpose
    appointment.referral = appointment.referral or fact.referral or ""
    appointment.touched = now
    referral = referral_named(person, fact.referral or appointment.referral)
    return replace(context, appointment=appointment, referral=referral, repeated=repeated)


# ---- goals


def update_goal(context: Context, fact: e.GoalUpdated, at: Millis) -> Folded:
    """Apply an update of a goal. An update is a review if it is marked as one, or if it reports progress or another change.

    An event shows who changed the status only if it says whether the person accepted the goal. Otherwise the change is legal
    if the person or the team may make it.
    """
    person = context.person
    goal = next((g for g in person.goals if g.id == fact.goal), None)
    if fact.achievement_status is not None:
        achieved = check_achievement(fact.achievement_status)
        if isinstance(achieved, IllegalGoal):
            return achieved.reason
    scaled = check_scale(fact.attainment, fact.weight)
    if isinstance(scaled, IllegalGoal):
        return scaled.reason
    if goal is None:
        goal = Goal(fact.goal)
        person.goals.append(goal)
    elif at < goal.at:
        reviewed = _is_review(goal, fact)
        _add_achievement(goal, fact, at)
        return replace(context, goal=goal, changed=("goal-reviewed",) if reviewed else ())
    elif goal.status:
        refusal = _illegal_goal_move(goal, fact)
        if refusal:
            return refusal
    changed: list[str] = []
    if goal.status and _is_review(goal, fact):
        changed.append("goal-reviewed")
        goal.reviewed = at
    if goal.status and goal.status != fact.lifecycle_status:
        changed.append("lifecycle-status")
    if _differs(fact.description, goal.words) or _differs(fact.priority or "", goal.priority):
        changed.append("goal-revised")
    _add_achievement(goal, fact, at)
    if fact.lifecycle_status in REVIEWED_STATUSES and goal.status not in REVIEWED_STATUSES:
        goal.since = at
    goal.status, goal.at = fact.lifecycle_status, at
    goal.words = fact.description or goal.words
    goal.expressed_by = fact.expressed_by or goal.expressed_by
    goal.accepted = fact.accepted_by_person if fact.accepted_by_person is not None else goal.accepted
    goal.setting = fact.setting or goal.setting
    goal.priority = fact.priority or goal.priority
    goal.weight = fact.weight if fact.weight is not None else goal.weight
    goal.attainment = fact.attainment if fact.attainment is not None else goal.attainment
    if fact.owner is not None:
        party = party_of(fact.owner)
        if party:
            goal.owner = f"{fact.owner.role}/{party}"
    return replace(context, goal=goal, changed=tuple(changed))


def _add_achievement(goal: Goal, fact: e.GoalUpdated, at: Millis) -> None:
    """Add the update's achievement status to the known ones, in order of event time."""
    if fact.achievement_status is None:
        return
    if at >= goal.at:
        goal.achievement = fact.achievement_status
    goal.achieved = tuple(sorted((*goal.achieved, (int(at), fact.achievement_status)), key=lambda a: a[0])[-ACHIEVED_MAX:])
    goal.setbacks = len(stalled_since(goal.achieved))


def _differs(said: str, known: str) -> bool:
    return bool(said and known and said != known)


def _illegal_goal_move(goal: Goal, fact: e.GoalUpdated) -> str:
    """Return why the status change is refused; empty if it is legal."""
    said = fact.accepted_by_person
    by_person = move_goal(goal.status, fact.lifecycle_status, "person")
    by_team = move_goal(goal.status, fact.lifecycle_status, "team")
    legal_person = not isinstance(by_person, IllegalGoal)
    legal_team = not isinstance(by_team, IllegalGoal)
    if legal_team or (legal_person and said is not False) or (legal_person and fact.lifecycle_status == "rejected"):
        return ""
    if isinstance(by_person, IllegalGoal):
        return by_person.reason
    return by_team.reason if isinstance(by_team, IllegalGoal) else ""


def _is_review(goal: Goal, fact: e.GoalUpdated) -> bool:
    if fact.reviewed is not None:
        return fact.reviewed
    return bool(
        fact.achievement_status is not None
        or fact.attainment is not None
        or (goal.status and goal.status != fact.lifecycle_status)
        or (fact.description and goal.words and fact.description != goal.words)
    )


# ---- the person


def update_person(person: Person, fact: e.PersonUpdated, at: Millis) -> None:
    """Take language, region and date of birth. The caller handles a death."""
    known = person.demographics or Demographics()
    if at >= known.at:
        person.demographics = Demographics(
            fact.language or known.language, fact.address_region or known.region, fact.birth_date or known.birth_date, at
        )


def record_condition(person: Person, fact: e.ConditionRecorded) -> None:
    """Keep the newest clinical status of each code of the problem list."""
    others = tuple(c for c in person.conditions if c[:2] != (fact.system, fact.code))
    person.conditions = (*others, (fact.system, fact.code, fact.clinical_status))[-_CONDITIONS_MAX:]


def record_observation(person: Person, fact: e.ObservationRecorded) -> None:
    """Keep the newest value of each code."""
    for known in person.observations:
        if known[0] == fact.code and known[3] > fact.effective:
            return
    others = tuple(o for o in person.observations if o[0] != fact.code)
    person.observations = (*others, (fact.code, fact.value, fact.unit, int(fact.effective)))[-_OBSERVATIONS_MAX:]


def _party(party: e.Party) -> str:
    return party_of(party) or ""
