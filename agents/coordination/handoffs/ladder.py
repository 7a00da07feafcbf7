"""The ladder: what happens to a handoff while nobody acts.

Owns what the next step changes at its own instant: due soon, open, on to the next role, and who hears of it. Must not
know a rule by name.
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
    due_said,
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
from agents.coordination.rules.wording import moment, person_words
from agents.coordination.rules.world import Context, World
from streams.contract.address import Address
from streams.contract.events import Millis


def climb(draft: EffectsDraft, handoff: Handoff, world: World) -> None:
    """Reach the handoff's next step at its own instant, `draft.at`; or wake it where it was put off until then."""
    person, at = draft.person, draft.at
    rule = rule_of(handoff, person, world)
    calendar = calendar_of(handoff, person, world)
    if handoff.snoozed:
        handoff.snoozed = 0
        handoff.status = REQUESTED if Address.parse(handoff.owner).is_pool else ACCEPTED
        draft.task(handoff, rule, f"Put off until {moment(at, calendar.zone)}; that is now.")
        schedule_next_step(handoff, rule, at, calendar, world.directory)
        return
    _relieve(draft, handoff, rule, world)
    reached = next_step_at(handoff, rule, calendar)
    if rule is None or reached is None or reached > at:
        schedule_next_step(handoff, rule, at, calendar, world.directory)
        return
    encounter = person.encounter_numbered(handoff.encounter)
    context = Context.of(person, world, at, home_of(handoff, person, world), None, encounter, handoff)
    if rule.rule.again == "extend" and encounter is not None and _count_anew(draft, handoff, rule, context, Millis(encounter.last)):
        return
    step = rule.steps[handoff.next_step]
    handoff.next_step += 1
    context = _with_subject(context, handoff, rule.rule)
    if holds(step.tests, context):
        _reach(draft, handoff, rule, step, context, calendar)
    if not handoff.closed_at:
        schedule_next_step(handoff, rule, at, calendar, world.directory)


def _relieve(draft: EffectsDraft, handoff: Handoff, rule: CompiledRule | None, world: World) -> None:
    """Give the handoff of somebody whose absence has begun since it became theirs to whoever covers."""
    owner = Address.parse(handoff.owner)
    since = world.directory.absent_since(owner.party, draft.at)
    if since is None or since <= (handoff.owned_at or handoff.opened_at):
        return
    cover = Address.of(owner.role, world.directory.covered(owner.party, draft.at))
    was, handoff.owner, handoff.owned_at = handoff.owner, str(cover), draft.at
    if handoff.status != DRAFT:
        handoff.status = REQUESTED
    why = f"{person_words(was)} is absent; {person_words(handoff.owner)} covers and is accountable now."
    draft.show(handoff, rule, f"{why[:1].upper()}{why[1:]}")


def hear(draft: EffectsDraft, context: Context) -> None:
    """Count the clocks that wait for silence of the context's stay from its last word, in whatever order the words came."""
    encounter, world = context.encounter, context.world
    if encounter is None:
        return
    for handoff in context.person.handoffs:
        if handoff.rule in world.catalogue.silences and handoff.encounter == encounter.number and not handoff.closed_at:
            rule = rule_of(handoff, context.person, world)
            if rule is not None:
                _count_anew(draft, handoff, rule, context, Millis(encounter.last))


def _count_anew(draft: EffectsDraft, handoff: Handoff, rule: CompiledRule, context: Context, last: Millis) -> bool:
    """Count the clock of *handoff* from *last*; say whether that moves its due. A day-based one moves once a day at most."""
    if last <= handoff.opened_at or handoff.gap == OPEN:
        return False
    calendar = calendar_of(handoff, context.person, context.world)
    due = due_at(rule.clock(context), last, calendar.zone, calendar.holidays)
    if due <= handoff.due:
        return False
    handoff.opened_at, handoff.due, handoff.next_step = last, due, 0
    schedule_next_step(handoff, rule, draft.at, calendar, context.world.directory)
    heard, until = moment(last, calendar.zone), due_said(handoff, calendar.zone)
    why = f"Rule {rule.id} version {handoff.version}: the stay was last heard of on {heard}, so it is due {until}."
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
            # The referral that the appointment is for stands in its place where it names one.
            appointment = next((a for a in person.appointments if a.id == focus), None)
            return replace(context, appointment=appointment, referral=next((r for r in person.referrals if r.id == focus), None))
        case _:
            return context


def _reach(  # noqa: PLR0917 -- one step, everything that it changes
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
    why = _step_words(handoff, rule, calendar, overdue=overdue, was=was)
    if asked or (moved and handoff.status != DRAFT):
        handoff.status = REQUESTED
    if moved or asked:
        draft.task(handoff, rule, why)
    draft.gap(handoff, rule, why)
    if step.tells:
        headline = "Overdue" if overdue else "Due soon"
        urgency = overdue_urgency(rule) if overdue else rule.rule.urgency
        # Who was warned still hears that the gap is open; nobody hears that twice.
        alert(draft, context, rule, headline=headline, why=why, urgency=urgency, tells=step.tells, again=opens)
    if (
        step.then == "assume-finished"
        and context.encounter is not None
        and context.encounter.status in {Status.IN_PROGRESS, Status.ON_LEAVE}
    ):
        context.encounter.status, context.encounter.discharged, context.encounter.assumed = Status.FINISHED, at, True
        context.encounter.touched = max(context.encounter.touched, at)


def _step_words(handoff: Handoff, rule: CompiledRule, calendar: Organisation, *, overdue: bool, was: str) -> str:
    due, since = due_said(handoff, calendar.zone), moment(handoff.opened_at, calendar.zone)
    what = rule.rule.neutral_title[:1].lower() + rule.rule.neutral_title[1:]
    head = (
        f"Rule {rule.id} version {handoff.version}: {what}: {'was due' if overdue else 'due'} {due}, counted from {since}, and not done yet"
    )
    if handoff.owner != was:
        return f"{head}. It goes from {person_words(was)} to {person_words(handoff.owner)}, who is accountable now."
    return f"{head}. {person_words(handoff.owner)} is accountable."
