"""The effects: what a decision asks to be published. The outbound half of the public contract.

Owns shapes only. Every effect says when (`at`), for whom (`person`), from which event (`cause`, the event's id), by
which `rule`, and `why` in words that a coordinator understands. Ids are derived from the cause: the same input gives
the same ids for ever.
"""

from __future__ import annotations

import msgspec

from streams.contract.events import EncounterRef, Instant, PersonKey, PersonRef


class GoalWords(msgspec.Struct, frozen=True, gc=False):
    """A goal as the person put it, beside a notification."""

    goal: str
    description: str
    expressed_by: str = ""


class NotificationIssued(msgspec.Struct, frozen=True):
    """Tell one recipient one thing. `recipient` is an address: role/kind:id, as `pcp/practitioner:8801`."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    rule_version: int
    recipient: str
    role: str
    title: str
    neutral_title: str
    why: str
    urgency: str = "routine"
    channel: str = "at-once"
    encounter: EncounterRef | None = None
    handoff: str | None = None
    """The handoff that this is about, or that asks for an acknowledgement."""
    asks_acknowledgement: bool = False
    goals: tuple[GoalWords, ...] = ()
    deliver_after: Instant | None = None
    """It waits until then (quiet hours, the daily digest); None: at once."""


class NotificationWithdrawn(msgspec.Struct, frozen=True):
    """Take back a notification: what it said is no longer so."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    rule_version: int
    notification: str
    recipient: str
    role: str
    why: str


class _Handoff(msgspec.Struct, frozen=True):
    """What a task and a gap have in common: the handoff as it stands after this change."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    rule_version: int
    handoff: str
    state: str
    owner: str
    """The one accountable owner: an address (role/kind:id)."""
    due: Instant
    step: int
    title: str
    neutral_title: str
    why: str
    closure: str | None = None
    """met, met-late, cancelled, superseded, not-applicable; None while it is not closed."""
    opened_at: Instant | None = None
    encounter: EncounterRef | None = None
    referral: str | None = None
    goal: str | None = None
    watchers: tuple[str, ...] = ()


class TaskState(_Handoff, frozen=True):
    """The work that a handoff asks of its owner. `state` is FHIR Task.status."""


class GapState(_Handoff, frozen=True):
    """A handoff that stalls. `state` is due-soon, open or closed."""


class EffectSuppressed(msgspec.Struct, frozen=True):
    """What was not told, and why (consent withheld, no material change, bundled, backfill ...)."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    rule_version: int
    recipient: str
    reason: str
    source: str
    why: str = ""


class EventRefused(msgspec.Struct, frozen=True):
    """An event that could be read but not applied: an illegal move, an ambiguous stay. Ends in the dead letters."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    reason: str
    source: str
    why: str = ""


class StateMoved(msgspec.Struct, frozen=True):
    """A merged person's state leaves for the key that goes on; becomes PersonStateMoved on the relay."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    into: PersonRef
    state: bytes


class EventForwarded(msgspec.Struct, frozen=True):
    """The event of a person who was merged goes on to the key that lives on: relay the record as it was, under that key."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    into: PersonRef


class FeedHeard(msgspec.Struct, frozen=True):
    """A shard heard a source, in a minute that it had not reported yet. About a source, never about a person."""

    source: str
    seen: Instant
    """When the message arrived."""


Effect = NotificationIssued | NotificationWithdrawn | TaskState | GapState | EffectSuppressed | EventRefused | StateMoved | EventForwarded
