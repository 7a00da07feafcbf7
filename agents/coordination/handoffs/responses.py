"""What people do with their tasks: acknowledge, claim, hand on, put off, complete, decline, escalate, try to reach.

Owns which response is legal when, and what it does to the one owner. Must not know a rule by name. What is not legal is
refused with its reason and changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs.closing import react
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
from agents.coordination.rules.wording import moment, person_words
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.address import Address
from streams.contract.events import Party

_MOVES: Final = (e.TaskClaimed, e.TaskReassigned, e.TaskDeclined, e.TaskEscalated, e.TaskSnoozed)
"""Responses that say whose a task is, or when: of these the newest counts, in whatever order they arrive."""


def respond(draft: EffectsDraft, context: Context) -> None:
    """Apply a response of a coordinator or another member of the care team."""
    fact: Any = context.fact
    found = _find(context.person, fact.task)
    if isinstance(found, str):
        draft.refused(found, f"No open task {fact.task} of this person can take this response: {found}.", context.kind)
        return
    handoff = found
    person, world = context.person, context.world
    encounter, home = person.encounter_numbered(handoff.encounter), home_of(handoff, person, world)
    context = replace(context, answered=handoff, handoff=handoff, encounter=encounter, organisation=home)
    rule = rule_of(handoff, person, world)
    if handoff.status == DRAFT:
        draft.refused("unknown-task", f"Task {fact.task} is a draft: it asks nobody for anything before it is due.", context.kind)
        return
    if isinstance(fact, _MOVES) and context.at < handoff.owned_at:
        zone = calendar_of(handoff, context.person, context.world).zone
        why = f"Since then, on {moment(handoff.owned_at, zone)}, it became {person_words(handoff.owner)}'s."
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


def _find(person: Person, task: str) -> Handoff | str:
    """Return the open handoff named by its own id, or by the notification that asks for it; else the reason."""
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
    """Show the task; where it *moved* to another owner, its gap too."""
    add = draft.show if moved else draft.task
    add(handoff, rule, f"{why} ({draft.words}).")


def _acts_for(by: Party, address: Address, directory: Directory) -> bool:
    """Say whether *by* is the party of *address*, or may speak for it: anybody for a pool, the bare role for its holder."""
    own = party_of(by)
    if address.is_pool:
        return True
    if own is None:
        return by.role == address.role
    if address.kind == "organization":
        # Who works for an organisation speaks for it.
        home = directory.of_party(own)
        return own == address.party or address.id in {by.organization, home.id if home else None}
    return own == address.party


def _acknowledge(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskAcknowledged) -> None:
    if rule is not None and "TaskAcknowledged" in rule.closes:
        directory = context.world.directory
        if not (_acts_for(fact.by, Address.parse(handoff.owner), directory) or _acts_for(fact.by, _asked(context, handoff), directory)):
            draft.refused("not-the-recipient", f"Only whom it asks can acknowledge it: {person_words(handoff.owner)}.", handoff.rule)
            return
        react(draft, context, handoff)
        return
    if handoff.status != REQUESTED:
        draft.suppressed("already-acknowledged", rule=handoff.rule, version=handoff.version)
        return
    handoff.status = RECEIVED
    _show(draft, handoff, rule, "Seen by its owner")


def _asked(context: Context, handoff: Handoff) -> Address:
    """Return whom the notification went to that *handoff* waits for: after an escalation they may still answer."""
    if handoff.notification is not None:
        for record in context.person.notifications:
            for recipient in record.recipients:
                if uuid_bytes(record.notification(recipient)) == handoff.notification:
                    return Address.parse(recipient)
    return Address.parse(handoff.owner)


def _claim(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskClaimed) -> None:
    party = party_of(fact.by)
    if party is None:
        draft.refused("claimed-by-nobody", "A claim names who claims: practitioner, organization or caregiver.", handoff.rule)
        return
    owner = Address.parse(handoff.owner)
    address = str(Address.of(owner.role, party))
    if handoff.owner == address and handoff.status in {ACCEPTED, IN_PROGRESS}:
        draft.suppressed("already-claimed-by-them", rule=handoff.rule, version=handoff.version)
        return
    claimed = handoff.status in {ACCEPTED, IN_PROGRESS, ON_HOLD} and not owner.is_pool
    if handoff.owner != address and claimed:
        draft.refused("already-claimed", f"It is claimed: {person_words(handoff.owner)}. Reassign it instead.", handoff.rule)
        return
    was, handoff.owner, handoff.status, handoff.owned_at = handoff.owner, address, ACCEPTED, context.at
    _reschedule(handoff, rule, draft, context)
    _show(draft, handoff, rule, f"Claimed from {person_words(was)} by {person_words(address)}", moved=was != handoff.owner)


def _reassign(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskReassigned) -> None:
    party = party_of(fact.to)
    role = fact.to.role or Address.parse(handoff.owner).role
    to = Address.of(role, context.world.directory.covered(party, context.at)) if party else role_owner(role, context)
    address = str(to)
    if address == handoff.owner:
        draft.suppressed("already-theirs", rule=handoff.rule, version=handoff.version)
        return
    was, handoff.owner, handoff.status, handoff.owned_at = handoff.owner, address, REQUESTED, context.at
    _reschedule(handoff, rule, draft, context)
    _show(draft, handoff, rule, f"Reassigned from {person_words(was)} to {person_words(address)}", moved=was != handoff.owner)


def _decline(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskDeclined) -> None:
    if not fact.reason.strip():
        draft.refused("reason-missing", "Who declines says why.", handoff.rule)
        return
    directory = context.world.directory
    owner = Address.parse(handoff.owner)
    if not _acts_for(fact.by, owner, directory):
        draft.refused("not-the-owner", f"Only its owner can decline it: {person_words(handoff.owner)}.", handoff.rule)
        return
    home = directory.of_party(owner.party) or context.organisation
    pool = next((h for o in (home, context.organisation) if (h := directory.holder(owner.role, o)) and h.startswith("pool:")), None)
    was = handoff.owner
    handoff.owner, handoff.status, handoff.owned_at = str(Address.of(owner.role, pool or directory.fallback_pool)), REQUESTED, context.at
    _reschedule(handoff, rule, draft, context)
    why = f"Declined by {person_words(was)}: {fact.reason}. Back in the pool {person_words(handoff.owner)}"
    _show(draft, handoff, rule, why, moved=was != handoff.owner)


def _snooze(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskSnoozed) -> None:
    if not fact.reason.strip():
        draft.refused("reason-missing", "Who puts a task off says why.", handoff.rule)
    elif fact.until > handoff.due:
        zone = calendar_of(handoff, context.person, context.world).zone
        draft.refused("snooze-beyond-due", f"It can't be put off beyond its due, {moment(handoff.due, zone)}.", handoff.rule)
    elif fact.until <= draft.at:
        draft.refused("snooze-in-the-past", "It can only be put off until a time to come.", handoff.rule)
    else:
        handoff.snoozed = fact.until
        handoff.status = ON_HOLD
        handoff.next_at = fact.until
        zone = calendar_of(handoff, context.person, context.world).zone
        _show(draft, handoff, rule, f"Put off until {moment(fact.until, zone)}: {fact.reason}")


def _reschedule(handoff: Handoff, rule: CompiledRule | None, draft: EffectsDraft, context: Context) -> None:
    """Wake a task that was put off, and look ahead to the absences of its new owner."""
    handoff.snoozed = 0
    schedule_next_step(handoff, rule, draft.at, calendar_of(handoff, context.person, context.world), context.world.directory)


def _complete(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskCompleted) -> None:
    if rule is not None and not rule.rule.completable:
        if "TaskCompleted" in rule.closes:
            react(draft, context, handoff)
            if handoff.closed_at:
                return
        needed = ", ".join(sorted(rule.closes))
        draft.refused("needs-clinical-event", f"Only what shows that it was done closes it: {needed}.", handoff.rule)
        return
    closure = "met" if context.at <= handoff.due else "met-late"
    said = f", outcome {fact.outcome}" if fact.outcome else ""
    zone = calendar_of(handoff, context.person, context.world).zone
    why = f"Rule {handoff.rule}: {draft.words} by {fact.by.role or 'its owner'}{said}, {moment(context.at, zone)}."
    close(draft, handoff, rule, closure, happened=context.at, why=why)


def _escalate(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.TaskEscalated) -> None:
    if not fact.reason.strip():
        draft.refused("reason-missing", "Who escalates says why.", handoff.rule)
        return
    owner = str(next_owner(Address.parse(handoff.owner), context))
    if owner == handoff.owner:
        draft.refused("end-of-the-line", f"Nobody comes after {person_words(owner)}.", handoff.rule)
        return
    was, handoff.owner, handoff.status, handoff.owned_at = handoff.owner, owner, REQUESTED, context.at
    handoff.step += 1
    handoff.gap = OPEN if draft.at >= handoff.due else max(DUE_SOON, handoff.gap)
    _reschedule(handoff, rule, draft, context)
    why = f"Escalated from {person_words(was)} to {person_words(owner)}: {fact.reason}"
    _show(draft, handoff, rule, why, moved=True)
    alert(draft, context, rule, headline="Escalated", why=why, urgency="urgent")


def _outreach(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule | None, fact: e.OutreachAttempted) -> None:
    react(draft, context)
    if not handoff.closed_at:
        if handoff.status != ON_HOLD:
            handoff.status = IN_PROGRESS
        _show(draft, handoff, rule, f"Outreach: {fact.outcome}")
