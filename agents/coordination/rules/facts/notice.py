"""Facts about activities, responses and notifications: what was done, who was told, and whose team it is."""

from __future__ import annotations

from agents.coordination.rules.facts.context import Context, Value, event_says, fact
from streams.contract.address import Address


@fact
def code(context: Context) -> Value:
    """Code of the activity, observation or condition."""
    said: Value = event_says(context, "code")
    return said


@fact
def outcome(context: Context) -> Value:
    """Outcome of the activity, completion or outreach (reached, no-answer, voicemail, refused)."""
    return event_says(context, "outcome") or None


@fact
def performer_role(context: Context) -> Value:
    """Role of whoever gave the care or responded."""
    party = event_says(context, "performer") or event_says(context, "by")
    return getattr(party, "role", None)


@fact
def notice(context: Context) -> Value:
    """Id of the routing row that told somebody (NTF-ADMIT ...)."""
    if context.issued is not None:
        return context.issued.rule
    if context.handoff is not None and context.handoff.notification is not None:
        return context.world.notice_of(context.person, context.handoff)
    return None


@fact
def asks_acknowledgement(context: Context) -> Value:
    """Whether the notification asks its recipient to acknowledge."""
    return context.issued.asks_acknowledgement if context.issued else None


@fact
def role(context: Context) -> Value:
    """Role of the recipient."""
    if context.issued is not None:
        return context.issued.role
    return Address.parse(event_says(context, "recipient") or "").role or None


@fact
def somebody_told(context: Context) -> Value:
    """Whether somebody was told of this very event; where the person withheld that, nobody was."""
    encounter = context.encounter.number if context.encounter is not None else 0
    return any(record.at == context.at and record.encounter == encounter for record in context.person.notifications)


@fact
def recipient_known(context: Context) -> Value:
    """False where only the fallback pool could be told."""
    if context.issued is None:
        return None
    return not context.issued.recipient.endswith(f"/{context.world.directory.fallback_pool}")


@fact
def programme(context: Context) -> Value:
    """Programmes that the care team names for the person."""
    return tuple(sorted({member.programme for member in context.person.members if member.programme}))


@fact
def team_known(context: Context) -> Value:
    """Whether anybody is named as caring for the person."""
    return any(not member.to or member.to > context.at for member in context.person.members)


@fact
def overdue(context: Context) -> Value:
    """Whether the handoff's clock has ended."""
    return context.handoff is not None and context.at >= context.handoff.due
