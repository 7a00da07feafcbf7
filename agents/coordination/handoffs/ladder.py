"""Escalation: what happens to a handoff at each of its steps while it is open.

Owns what a step changes: due soon, overdue, the next owner, and who is notified. Must not know a rule by name.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    ACCEPTED,
    DRAFT,
    DUE_SOON,
    OPEN,
    REQUESTED,
    calendar_of,
    due_text,
    home_of,
    next_step_at,
    rule_of,
    schedule_next_step,
)
from agents.coordination.handoffs.notify import alert, overdue_urgency
from agents.coordination.handoffs.owners import next_owner, step_owner
from agents.coordination.person.encounter import Status
from agents.coordination.person.state import Handoff
from agents.coordination.reference.calendar import due_at
from agents.coordination.reference.directory import Organisation
from agents.coordination.rules.catalogue import CompiledRule, CompiledStep, holds
from agents.coordination.rules.rule import Rule
from agents.coordination.rules.wording import moment, passes, person_words
from agents.coordination.rules.world import Context, World
from streams.contract.address import Address
from streams.contract.events import Millis


def take_next_step(draft: EffectsDraft, handoff: Handoff, world: World) -> None:
    """Do what is due for *handoff* at `draft.at`: end its postponement, give it to a cover, or take its next step."""
    person, at = draft.person, draft.at
    rule = rule_of(handoff, person, world)
    calendar = calendar_of(handoff, person, world)
    if handoff.snoozed:
        handoff.snoozed = 0
        handoff.status = REQUESTED if Address.parse(handoff.owner).is_pool else ACCEPTED
        draft.task(handoff, rule, f"the task was on hold until {moment(at, calendar.zone)}. It needs action again.")
        schedule_next_step(handoff, rule, at, calendar, world.directory)
        return
    _hand_to_cover(draft, handoff, rule, world)
    reached = next_step_at(handoff, rule, calendar)
    if rule is None or reached is None or reached > at:
        schedule_next_step(handoff, rule, at, calendar, world.directory)
        return
    encounter = person.encounter_numbered(handoff.encounter)
    context = Context.of(person, world, at, home_of(handoff, person, world), None, encounter, handoff)
    if rule.rule.again == "extend" and encounter is not None and _restart_clock(draft, handoff, rule, context, Millis(encounter.last)):
        return
    step = rule.steps[handoff.next_step]
    handoff.next_step += 1
    context = _with_subject(context, handoff, rule.rule)
    if holds(step.tests, context):
        _apply_step(draft, handoff, rule, step, context, calendar)
    if not handoff.closed_at:
        schedule_next_step(handoff, rule, at, calendar, world.directory)


def _hand_to_cover(draft: EffectsDraft, handoff: Handoff, rule: CompiledRule | None, world: World) -> None:
    """Give the handoff to the cover if the absence of its owner began after they became the owner."""
    owner = Address.parse(handoff.owner)
    since = world.directory.absent_since(owner.party, draft.at)
    if since is None or since <= (handoff.owned_at or handoff.opened_at):
        return
    cover = Address.of(owner.role, world.directory.cover_for(owner.party, draft.at))
    was, handoff.owner, handoff.owned_at = handoff.owner, str(cover), draft.at
    if handoff.status != DRAFT:
        handoff.status = REQUESTED
    why = f"{person_words(was)} is absent; {person_words(handoff.owner)} covers for them and is accountable now."
    draft.show(handoff, rule, why)


def restart_silence_clocks(draft: EffectsDraft, context: Context) -> None:
    """Restart the clocks of rules that wait for the end of an encounter's events. The clocks start again at its latest event."""
    encounter, world = context.encounter, context.world
    if encounter is None:
        return
    for handoff in context.person.handoffs:
        if handoff.rule in world.catalogue.silences and handoff.encounter == encounter.number and not handoff.closed_at:
            rule = rule_of(handoff, context.person, world)
            if rule is not None:
                _restart_clock(draft, handoff, rule, context, Millis(encounter.last))


def _restart_clock(draft: EffectsDraft, handoff: Handoff, rule: CompiledRule, context: Context, last: Millis) -> bool:
    """Restart the clock of *handoff* at *last*. Return whether the due time changes: a clock in days changes it at most once a day."""
    if last <= handoff.opened_at or handoff.gap == OPEN:
        return False
    calendar = calendar_of(handoff, context.person, context.world)
    due = due_at(rule.clock(context), last, calendar.zone, calendar.holidays)
    if due <= handoff.due:
        return False
    handoff.opened_at, handoff.due, handoff.next_step = last, due, 0
    schedule_next_step(handoff, rule, draft.at, calendar, context.world.directory)
    why = (
        f"the latest event of the encounter is from {moment(last, calendar.zone)}. The task is now due {due_text(handoff, calendar.zone)}."
    )
    draft.show(handoff, rule, why)
    return True


def _with_subject(context: Context, handoff: Handoff, rule: Rule) -> Context:
    """Return *context* with the referral, goal or appointment that *handoff* is about."""
    person, focus = context.person, handoff.focus
    if focus is None:
        return context
    match rule.subject:
        case "referral":
            return replace(context, referral=next((r for r in person.referrals if r.id == focus), None))
        case "goal":
            return replace(context, goal=next((g for g in person.goals if g.id == focus), None))
        case "appointment":
            # The focus of an appointment with a referral is the referral (`appointment_focus`).
            appointment = next((a for a in person.appointments if a.id == focus), None)
            return replace(context, appointment=appointment, referral=next((r for r in person.referrals if r.id == focus), None))
        case _:
            return context


def _apply_step(  # noqa: PLR0917 -- one step and everything that it changes
    draft: EffectsDraft, handoff: Handoff, rule: CompiledRule, step: CompiledStep, context: Context, calendar: Organisation
) -> None:
    at = draft.at
    handoff.step += 1
    overdue = at >= handoff.due
    was = handoff.owner
    if step.owner == "next":
        handoff.owner = str(next_owner(Address.parse(was), context))
    elif step.owner is not None:
        handoff.owner = str(step_owner(step.owner, Address.parse(was), context))
    moved = handoff.owner != was
    if moved:
        handoff.owned_at = at
    asked = overdue and handoff.status == DRAFT
    opens = overdue and handoff.gap < OPEN
    handoff.gap = OPEN if overdue else max(DUE_SOON, handoff.gap)
    why = _step_words(handoff, calendar, overdue=overdue, was=was)
    if asked or (moved and handoff.status != DRAFT):
        handoff.status = REQUESTED
    if moved or asked:
        draft.task(handoff, rule, why)
    draft.gap(handoff, rule, why)
    if step.tells:
        headline = "Overdue" if overdue else "Due soon"
        urgency = overdue_urgency(rule) if overdue else rule.rule.urgency
        # Recipients of a warning are notified again when the gap opens, but only once.
        alert(draft, context, rule, headline=headline, why=why, urgency=urgency, tells=step.tells, again=opens)
    if (
        step.then == "assume-finished"
        and context.encounter is not None
        and context.encounter.status in {Status.IN_PROGRESS, Status.ON_LEAVE}
    ):
        context.encounter.status, context.encounter.discharged, context.encounter.assumed = Status.FINISHED, at, True
        context.encounter.touched = max(context.encounter.touched, at)


def _step_words(handoff: Handoff, calendar: Organisation, *, overdue: bool, was: str) -> str:
    """Return the `why` of a step: when the task is due, when its clock started, and who is accountable."""
    due, since = due_text(handoff, calendar.zone), moment(handoff.opened_at, calendar.zone)
    head = f"the task {'was' if overdue else 'is'} due {due} and is not done; its clock started on {since}."
    return f"{head} {passes(was, handoff.owner) if handoff.owner != was else f'{person_words(handoff.owner)} is accountable.'}"
