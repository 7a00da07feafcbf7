"""Facts about activities, responses, notifications and the care team."""

from __future__ import annotations

from agents.coordination.person.state import Handoff, Person
from agents.coordination.reference.ids import uuid_bytes
from agents.coordination.rules.facts.context import FactContext, Value, event_says, fact
from streams.contract.address import Address


@fact
def code(context: FactContext) -> Value:
    """Code of the care activity, observation or condition."""
    said: Value = event_says(context, "code")
    return said


@fact
def outcome(context: FactContext) -> Value:
    """Outcome of the activity, completion or outreach."""
    return event_says(context, "outcome") or None


@fact
def performer_role(context: FactContext) -> Value:
    """Role of the person who gave the care or responded."""
    party = event_says(context, "performer") or event_says(context, "by")
    return getattr(party, "role", None)


@fact
def notice(context: FactContext) -> Value:
    """Id of the routing row that issued the notification (NTF-ADMIT ...)."""
    if context.issued is not None:
        return context.issued.rule
    if context.handoff is not None and context.handoff.notification is not None:
        return _row_of(context.person, context.handoff)
    return None


def _row_of(person: Person, handoff: Handoff) -> str | None:
    """Return the routing row whose notification *handoff* is about, or None."""
    for notified in person.notifications:
        for recipient in notified.recipients:
            if uuid_bytes(notified.notification(recipient)) == handoff.notification:
                return notified.rule
    return None


@fact
def asks_acknowledgement(context: FactContext) -> Value:
    """Whether the notification asks its recipient to acknowledge."""
    return context.issued.asks_acknowledgement if context.issued else None


@fact
def role(context: FactContext) -> Value:
    """Role of the recipient."""
    if context.issued is not None:
        return context.issued.role
    return Address.parse(event_says(context, "recipient") or "").role or None


@fact
def somebody_told(context: FactContext) -> Value:
    """Whether a notification about this event was issued. None is issued if the person withheld consent."""
    encounter = context.encounter.number if context.encounter is not None else 0
    return any(record.at == context.at and record.encounter == encounter for record in context.person.notifications)


@fact
def recipient_known(context: FactContext) -> Value:
    """Whether somebody other than the fallback pool could be notified."""
    if context.issued is None:
        return None
    return not context.issued.recipient.endswith(f"/{context.world.directory.fallback_pool}")


@fact
def programme(context: FactContext) -> Value:
    """Programmes of the person, by the care team."""
    return tuple(sorted({member.programme for member in context.person.members if member.programme}))


@fact
def team_known(context: FactContext) -> Value:
    """Whether a care team is known for the person."""
    return any(not member.to or member.to > context.at for member in context.person.members)


@fact
def overdue(context: FactContext) -> Value:
    """Whether the handoff's due time has passed."""
    return context.handoff is not None and context.at >= context.handoff.due
