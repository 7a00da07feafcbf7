"""Closed-loop referrals: updates open handoffs when the target, the date or the duplicates of their referral change.

Owns what a change of a referral means for handoffs that are already open. Must not know a rule by name, or who is notified.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    OPEN,
    REQUESTED,
    calendar_of,
    due_text,
    rule_of,
    schedule_next_step,
    skip_warnings,
)
from agents.coordination.handoffs.opening import deadline_of
from agents.coordination.handoffs.owners import accountable
from agents.coordination.person.referral_states import ENDED, GIVEN_UP, REPORT, why_not_closed
from agents.coordination.person.state import Handoff
from agents.coordination.record.subject import resolve
from agents.coordination.rules.catalogue import CompiledRule
from agents.coordination.rules.wording import passes
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.address import Address
from streams.contract.events import Event, Millis, Party

_SIDES: Final = ("referral-target", "referral-requester")


def update_referral_handoffs(draft: EffectsDraft, context: Context) -> None:
    """Update owner and due time of the referral's open handoffs when its target, its requester or its date changes.

    The request may also change them if it arrives after its answer. An overdue handoff keeps its due time.
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
            why.append(passes(was_owner, handoff.owner))
            handoff.owned_at = max(handoff.owned_at, context.at)
        if handoff.gap < OPEN and (rule.until is not None or not was.requested):
            why += _update_due(draft, context, handoff, rule)
        if not why:
            continue
        if not handoff.snoozed:
            calendar = calendar_of(handoff, context.person, context.world)
            schedule_next_step(handoff, rule, draft.at, calendar, context.world.directory)
        draft.show(handoff, rule, f"{draft.words}. {' '.join(why)}")


def _update_due(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule) -> list[str]:
    """Set the due time of *handoff* from the current referral. If it changes, return a sentence for `why`."""
    due, unit, calendar = deadline_of(rule, context, Address.parse(handoff.owner), Millis(handoff.opened_at))
    if due == handoff.due:
        return []
    handoff.due, handoff.unit, handoff.next_step = due, unit, 0
    if calendar.id != calendar_of(handoff, context.person, context.world).id:
        handoff.calendar = calendar.id
    skip_warnings(handoff, rule, draft.at)
    if handoff.snoozed > due:
        handoff.snoozed, handoff.status = 0, REQUESTED
    return [f"The task is now due {due_text(handoff, calendar.zone)}."]


def promote_duplicate(draft: EffectsDraft, context: Context) -> list[Context]:
    """If a referral ended and its service was not provided, replace it by its oldest duplicate.

    A duplicate has no handoffs of its own while the first referral is open. So it counts as requested now, and as answered now if
    it was answered before. Return the contexts of these events.
    """
    first, person, event = context.referral, context.person, context.event
    if context.kind != "ReferralStatusChanged" or first is None or event is None or first.status not in GIVEN_UP or context.repeated:
        return []
    duplicates = sorted((r for r in person.referrals if r.linked == first.id and r.status not in ENDED), key=lambda r: (r.requested, r.id))
    if not duplicates:
        return []
    successor = duplicates[0]
    for duplicate in duplicates:
        duplicate.linked = successor.id if duplicate is not successor else ""
    draft.words = f"{draft.words}; its duplicate, referral {successor.id}, replaces it"
    asked = e.ReferralRequested(successor.id, Party("referral-requester"), Party("referral-target"), successor.service, successor.priority)
    facts: list[Any] = [asked]
    if successor.status not in {"draft", "requested"}:
        facts.append(e.ReferralStatusChanged(successor.id, successor.status, successor.setter, successor.business_status or None))
    contexts = []
    for fact in facts:
        said = Event(event.id, event.source, context.at, draft.at, person.key, fact)
        again = Context.of(person, context.world, context.at, context.organisation, said)
        again = resolve(again, facts[-1] if len(facts) > 1 else e.ReferralChanged(successor.id))
        contexts.append(replace(again, changed=("referral-status",)))
    return contexts


def explain_open_loop(draft: EffectsDraft, context: Context) -> None:
    """If a report names a referral but does not close its loop, add an `EffectSuppressed` with the reason."""
    fact = context.fact
    if not isinstance(fact, e.CareActivityRecorded) or fact.code != REPORT:
        return
    for referral in context.person.referrals:
        if referral.id not in fact.based_on or not referral.requested:
            continue
        wrong = why_not_closed(fact, referral.id, Millis(referral.requested))
        if wrong is not None:
            draft.suppressed("loop-not-closed", f"{draft.words}. The referral stays open: {wrong}.", context.kind, mark=referral.id)
