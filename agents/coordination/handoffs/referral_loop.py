"""The loop of a referral: what is open about it follows its target, its date and its doubles.

Owns what news of a referral means for handoffs that are open already. Must not know a rule by name, nor who is told.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    OPEN,
    REQUESTED,
    calendar_of,
    due_said,
    pass_over_warnings,
    rule_of,
    schedule_next_step,
)
from agents.coordination.handoffs.opening import deadline_of
from agents.coordination.handoffs.owners import accountable
from agents.coordination.person.referral_states import ENDED, GIVEN_UP, REPORT, why_not_closed
from agents.coordination.person.state import Handoff
from agents.coordination.record.subject import resolve
from agents.coordination.rules.catalogue import CompiledRule
from agents.coordination.rules.wording import person_words
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.address import Address
from streams.contract.events import Event, Millis, Party

_SIDES: Final = ("referral-target", "referral-requester")


def follow(draft: EffectsDraft, context: Context) -> None:
    """Let what is open about the context's referral follow it: whoever it goes to now is accountable, by when it is needed now.

    So it is when a target or a date changes, and when the request itself arrives after its answer. What is overdue stays so.
    """
    referral, was = context.referral, context.referral_before
    if referral is None or was is None:
        return
    about = [h for h in context.person.handoffs if h.focus == referral.id and not h.closed_at]
    if not about:
        return
    moves = {}
    for side in _SIDES:
        now = accountable(side, context)
        before = accountable(side, replace(context, referral=was))
        if before != now:
            moves[side] = now
    for handoff in about:
        rule = rule_of(handoff, context.person, context.world)
        if rule is None:
            continue
        owner = Address.parse(handoff.owner)
        owner = moves.get(owner.role, owner)
        why = []
        if str(owner) != handoff.owner:
            was_owner, handoff.owner, handoff.status, handoff.snoozed = handoff.owner, str(owner), REQUESTED, 0
            why.append(f"Reassigned from {person_words(was_owner)} to {person_words(handoff.owner)}")
            handoff.owned_at = max(handoff.owned_at, context.at)
        if handoff.gap < OPEN and (rule.until is not None or not was.requested):
            why += _date(draft, context, handoff, rule)
        if not why:
            continue
        if not handoff.snoozed:
            calendar = calendar_of(handoff, context.person, context.world)
            schedule_next_step(handoff, rule, draft.at, calendar, context.world.directory)
        draft.show(handoff, rule, f"{'; '.join(why)} ({draft.words}).")


def _date(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule) -> list[str]:
    """Set the due of *handoff* anew from what is known of its referral now; say so where that changes it."""
    due, unit, calendar = deadline_of(rule, context, Address.parse(handoff.owner), Millis(handoff.opened_at))
    if due == handoff.due:
        return []
    handoff.due, handoff.unit, handoff.next_step = due, unit, 0
    if calendar.id != calendar_of(handoff, context.person, context.world).id:
        handoff.calendar = calendar.id
    pass_over_warnings(handoff, rule, draft.at)
    if handoff.snoozed > due:
        handoff.snoozed, handoff.status = 0, REQUESTED
    return [f"Due {due_said(handoff, calendar.zone)} now"]


def stand_in(draft: EffectsDraft, context: Context) -> list[Context]:
    """Return what the context's event says of a double of the referral that it gives up: it takes that one's place.

    The double opened no handoff while the first was watched. It counts as requested now, and as answered where it was.
    """
    first, person, event = context.referral, context.person, context.event
    if context.kind != "ReferralStatusChanged" or first is None or event is None or first.status not in GIVEN_UP or context.repeated:
        return []
    doubles = sorted((r for r in person.referrals if r.linked == first.id and r.status not in ENDED), key=lambda r: (r.requested, r.id))
    if not doubles:
        return []
    heir = doubles[0]
    for double in doubles:
        double.linked = heir.id if double is not heir else ""
    draft.words = f"{draft.words}; referral {heir.id}, which doubled it, takes its place"
    asked = e.ReferralRequested(heir.id, Party("referral-requester"), Party("referral-target"), heir.service, heir.priority)
    facts: list[Any] = [asked]
    if heir.status not in {"draft", "requested"}:
        facts.append(e.ReferralStatusChanged(heir.id, heir.status, heir.setter, heir.business_status or None))
    contexts = []
    for fact in facts:
        said = Event(event.id, event.source, context.at, draft.at, person.key, fact)
        again = Context.of(person, context.world, context.at, context.organisation, said)
        again = resolve(again, facts[-1] if len(facts) > 1 else e.ReferralChanged(heir.id))
        contexts.append(replace(again, changed=("referral-status",)))
    return contexts


def judge_report(draft: EffectsDraft, context: Context) -> None:
    """Say why a report that names a referral does not close its loop."""
    fact = context.fact
    if not isinstance(fact, e.CareActivityRecorded) or fact.code != REPORT:
        return
    for referral in context.person.referrals:
        if referral.id not in fact.based_on or not referral.requested:
            continue
        wrong = why_not_closed(fact, referral.id, Millis(referral.requested))
        if wrong is not None:
            draft.suppressed("loop-not-closed", f"{draft.words}: {wrong}.", context.kind, mark=referral.id)
