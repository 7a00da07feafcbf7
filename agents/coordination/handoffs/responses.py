"""Responses to tasks: acknowledge, claim, reassign, postpone, complete, decline, escalate, report an outreach.

Owns which response is allowed when, and how it changes owner and status. Must not know a rule by name. A response that is
not allowed is refused with its reason and changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs.closing import update_handoffs
from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    ACCEPTED,
    DRAFT,
    DUE_SOON,
    IN_PROGRESS,
    ON_HOLD,
    OPEN,
    RECEIVED,
    REQUESTED,
    calendar_of,
    close,
    home_of,
    rule_of,
    schedule_next_step,
)
from agents.coordination.handoffs.notify import alert
from agents.coordination.handoffs.owners import next_owner, role_owner
from agents.coordination.person.state import Handoff, Person
from agents.coordination.reference.directory import Directory, party_of
from agents.coordination.reference.ids import uuid_bytes
from agents.coordination.rules.catalogue import CompiledRule
from agents.coordination.rules.wording import EVENT, by_rule, moment, passes, person_words, role_in_words
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.address import Address
from streams.contract.events import Party

_MOVES: Final = (e.TaskClaimed, e.TaskReassigned, e.TaskDeclined, e.TaskEscalated, e.TaskSnoozed)
"""Responses that change the owner of a task or when it needs action. The one with the newest event time counts, in any order of arrival."""


def respond(draft: EffectsDraft, context: Context) -> None:
    """Apply a response of a coordinator or another member of the care team."""
    fact: Any = context.fact
    found = _find(context.person, fact.task)
    if isinstance(found, str):
        draft.refused(found, _NOT_FOUND[found].format(task=fact.task), context.kind)
        return
    handoff = found
    person, world = context.person, context.world
    encounter, home = person.encounter_numbered(handoff.encounter), home_of(handoff, person, world)
    context = replace(context, answered=handoff, handoff=handoff, encounter=encounter, organisation=home)
    rule = rule_of(handoff, person, world)
    if handoff.status == DRAFT:
        draft.refused("unknown-task", f"Task {fact.task} is a draft: nobody needs to act before it is due.", context.kind)
        return
    if isinstance(fact, _MOVES) and context.at < handoff.owned_at:
        zone = calendar_of(handoff, context.person, context.world).zone
        passed = f"{person_words(handoff.owner)} became the owner of the task on {moment(handoff.owned_at, zone)}"
        why = f"{passed}, after this response was made. The response changes nothing."
        draft.refused("overtaken", why, handoff.rule)
        return
    match fact:
        case e.TaskAcknowledged():
            _acknowledge(draft, context, handoff, rule, fact)
        case e.TaskClaimed():
            _claim(draft, context, handoff, rule, fact)
        case e.TaskReassigned():
            _reassign(draft, context, handoff, rule, fact)
        case e.TaskSnoozed():
            _snooze(draft, context, handoff, rule, fact)
        case e.TaskCompleted():
            _complete(draft, context, handoff, rule, fact)
        case e.TaskDeclined():
            _decline(draft, context, handoff, rule, fact)
        case e.TaskEscalated():
            _escalate(draft, context, handoff, rule, fact)
        case _:
            _outreach(draft, context, handoff, rule, fact)


_NOT_FOUND: Final = {
    "unknown-task": "Task {task} was not found for this person.",
    "closed-task": "Task {task} is already closed.",
    "not-asked": "Task {task} is only a notification and needs no response.",
}
"""Why there is no open handoff, by reason code."""


def _find(person: Person, task: str) -> Handoff | str:
    """Return the open handoff whose id is *task*, or whose notification has the id *task*; else a reason code."""
    try:
        wanted = uuid_bytes(task)
    except ValueError:
        return "unknown-task"
    closed = False
    for handoff in person.handoffs:
        if wanted in (handoff.id, handoff.notification):
            if not handoff.closed_at:
                return handoff
            closed = True
    if closed:
        return "closed-task"
    for record in person.notifications:
        for recipient in record.recipients:
            if record.notification(recipient) == task:
                return "not-asked"
    return "unknown-task"


def _show(draft: EffectsDraft, handoff: Handoff, rule: CompiledRule | None, why: str, *, moved: bool = False) -> None:
    """Add the changed task, and its gap too if the task *moved* to another owner. *why*: the result, in whole sentences."""
    add = draft.show if moved else draft.task
    add(handoff, rule, f"{draft.words}. {why}")


def _acts_for(by: Party, address: Address, directory: Directory) -> bool:
    """Return whether *by* may respond for *address*.

    Anybody may respond for a pool. A responder without a party may respond if it names the same role.
    """
    own = party_of(by)
    if address.is_pool:
        return True
    if own is None:
        return by.role == address.role
    if address.kind == "organization":
        # A practitioner may respond for their organisation.
        home = directory.of_party(own)
        return own == address.party or address.id in {by.organization, home.id if home else None}
    return own == address.party


def _acknowledge(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskAcknowledged) -> None:
    if rule is not None and "TaskAcknowledged" in rule.closes:
        directory = context.world.directory
        if not (
            _acts_for(fact.by, Address.parse(handoff.owner), directory)
            or _acts_for(fact.by, _notified_recipient(context, handoff), directory)
        ):
            draft.refused("not-the-recipient", f"Only {person_words(handoff.owner)} can acknowledge the notification.", handoff.rule)
            return
        update_handoffs(draft, context, handoff)
        return
    if handoff.status != REQUESTED:
        _nothing_new(draft, handoff, "already-acknowledged", "The task was already acknowledged or claimed.")
        return
    handoff.status = RECEIVED
    _show(draft, handoff, rule, "The owner has seen the task.")


def _nothing_new(draft: EffectsDraft, handoff: Handoff, reason: str, why: str) -> None:
    """Add an `EffectSuppressed`, because a response changes nothing."""
    text = by_rule(handoff.rule, handoff.version, f"{draft.words}. {why} Nothing changes.")
    draft.suppressed(reason, text, handoff.rule, version=handoff.version)


def _notified_recipient(context: Context, handoff: Handoff) -> Address:
    """Return the recipient of the notification that *handoff* is about, else its owner. An escalation does not change the recipient."""
    if handoff.notification is not None:
        for record in context.person.notifications:
            for recipient in record.recipients:
                if uuid_bytes(record.notification(recipient)) == handoff.notification:
                    return Address.parse(recipient)
    return Address.parse(handoff.owner)


def _claim(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskClaimed) -> None:
    party = party_of(fact.by)
    if party is None:
        draft.refused(
            "claimed-by-nobody", "A claim must name who claims the task: a practitioner, an organization or a caregiver.", handoff.rule
        )
        return
    owner = Address.parse(handoff.owner)
    address = str(Address.of(owner.role, party))
    if handoff.owner == address and handoff.status in {ACCEPTED, IN_PROGRESS}:
        _nothing_new(draft, handoff, "already-claimed-by-them", f"{person_words(address)} already has the task.")
        return
    claimed = handoff.status in {ACCEPTED, IN_PROGRESS, ON_HOLD} and not owner.is_pool
    if handoff.owner != address and claimed:
        draft.refused("already-claimed", f"{person_words(handoff.owner)} has already claimed the task. Reassign it instead.", handoff.rule)
        return
    was, handoff.owner, handoff.status, handoff.owned_at = handoff.owner, address, ACCEPTED, context.at
    _reschedule(handoff, rule, draft, context)
    _show(draft, handoff, rule, _owner_words(was, address), moved=was != handoff.owner)


def _reassign(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskReassigned) -> None:
    party = party_of(fact.to)
    role = fact.to.role or Address.parse(handoff.owner).role
    to = Address.of(role, context.world.directory.cover_for(party, context.at)) if party else role_owner(role, context)
    address = str(to)
    if address == handoff.owner:
        _nothing_new(draft, handoff, "already-theirs", f"{person_words(address)} already has the task.")
        return
    was, handoff.owner, handoff.status, handoff.owned_at = handoff.owner, address, REQUESTED, context.at
    _reschedule(handoff, rule, draft, context)
    _show(draft, handoff, rule, _owner_words(was, address), moved=was != handoff.owner)


def _decline(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskDeclined) -> None:
    if not fact.reason.strip():
        draft.refused("reason-missing", "To decline a task, give a reason.", handoff.rule)
        return
    directory = context.world.directory
    owner = Address.parse(handoff.owner)
    if not _acts_for(fact.by, owner, directory):
        draft.refused("not-the-owner", f"Only the owner, {person_words(handoff.owner)}, can decline the task.", handoff.rule)
        return
    home = directory.of_party(owner.party) or context.organisation
    pool = next((h for o in (home, context.organisation) if (h := directory.holder(owner.role, o)) and h.startswith("pool:")), None)
    was = handoff.owner
    handoff.owner, handoff.status, handoff.owned_at = str(Address.of(owner.role, pool or directory.fallback_pool)), REQUESTED, context.at
    _reschedule(handoff, rule, draft, context)
    _show(draft, handoff, rule, f"{_reason_sentence(fact.reason)} {_owner_words(was, handoff.owner)}", moved=was != handoff.owner)


def _snooze(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskSnoozed) -> None:
    if not fact.reason.strip():
        draft.refused("reason-missing", "To postpone a task, give a reason.", handoff.rule)
    elif fact.until > handoff.due:
        zone = calendar_of(handoff, context.person, context.world).zone
        draft.refused("snooze-beyond-due", f"A task cannot be postponed beyond its due time, {moment(handoff.due, zone)}.", handoff.rule)
    elif fact.until <= draft.at:
        draft.refused("snooze-in-the-past", "A task can only be postponed to a time in the future.", handoff.rule)
    else:
        handoff.snoozed = fact.until
        handoff.status = ON_HOLD
        handoff.next_at = fact.until
        zone = calendar_of(handoff, context.person, context.world).zone
        _show(draft, handoff, rule, f"The task is on hold until {moment(fact.until, zone)}. {_reason_sentence(fact.reason)}")


def _reason_sentence(reason: str) -> str:
    """Return the reason of a response as a sentence."""
    return f"Reason given: {reason.rstrip(' .')}."


def _owner_words(was: str, now: str) -> str:
    """Return who is accountable after a response, given the owners before and after it (addresses)."""
    return passes(was, now) if was != now else f"{person_words(now)} is accountable."


def _reschedule(handoff: Handoff, rule: CompiledRule | None, draft: EffectsDraft, context: Context) -> None:
    """End a postponement, and set the next deadline for the new owner."""
    handoff.snoozed = 0
    schedule_next_step(handoff, rule, draft.at, calendar_of(handoff, context.person, context.world), context.world.directory)


def _complete(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskCompleted) -> None:
    if rule is not None and not rule.rule.completable:
        if "TaskCompleted" in rule.closes:
            update_handoffs(draft, context, handoff)
            if handoff.closed_at:
                return
        needed = ", or ".join(EVENT[kind].when if kind in EVENT else kind for kind in sorted(rule.closes))
        draft.refused("needs-clinical-event", f"This task cannot be completed by hand. It closes when {needed}.", handoff.rule)
        return
    closure = "met" if context.at <= handoff.due else "met-late"
    outcome = f" Outcome: {fact.outcome.rstrip(' .')}." if fact.outcome else ""
    why = f"{draft.words} by {role_in_words(fact.by.role or 'owner')}.{outcome}"
    close(draft, handoff, rule, closure, happened=context.at, why=why)


def _escalate(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskEscalated) -> None:
    if not fact.reason.strip():
        draft.refused("reason-missing", "To escalate a task, give a reason.", handoff.rule)
        return
    owner = str(next_owner(Address.parse(handoff.owner), context))
    if owner == handoff.owner:
        draft.refused("end-of-the-line", f"{person_words(owner)} is last in the line of escalation.", handoff.rule)
        return
    was, handoff.owner, handoff.status, handoff.owned_at = handoff.owner, owner, REQUESTED, context.at
    handoff.step += 1
    handoff.gap = OPEN if draft.at >= handoff.due else max(DUE_SOON, handoff.gap)
    _reschedule(handoff, rule, draft, context)
    why = f"{_reason_sentence(fact.reason)} {passes(was, owner)}"
    _show(draft, handoff, rule, why, moved=True)
    alert(draft, context, rule, headline="Escalated", why=f"{draft.words}. {why}", urgency="urgent")


def _outreach(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.OutreachAttempted) -> None:
    update_handoffs(draft, context)
    if not handoff.closed_at:
        if handoff.status != ON_HOLD:
            handoff.status = IN_PROGRESS
        outcome = "" if fact.outcome == "reached" else f"The outcome was: {fact.outcome.replace('-', ' ')}. "
        _show(draft, handoff, rule, f"{outcome}The task stays open.")
