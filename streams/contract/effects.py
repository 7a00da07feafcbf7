"""The effects: the records that CareRelay publishes. They are the outbound half of the public contract.

Owns the record types only. An effect about a person has the time (`at`), the `person`, the id of the event that caused
it (`cause`), and usually the `rule` and an explanation for a coordinator (`why`). Ids are derived from the cause, so
the same input always gives the same ids.
"""

from __future__ import annotations

import msgspec

from streams.contract.events import EncounterRef, Instant, PersonKey, PersonRef


class GoalWords(msgspec.Struct, frozen=True, gc=False):
    """A goal in the person's own words, shown with a notification."""

    goal: str
    description: str
    expressed_by: str = ""


class NotificationIssued(msgspec.Struct, frozen=True):
    """A notification to one recipient. `recipient` is an address: role/kind:id, for example `pcp/practitioner:8801`."""

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
    """The id of the handoff that this notification is about."""
    asks_acknowledgement: bool = False
    goals: tuple[GoalWords, ...] = ()
    deliver_after: Instant | None = None
    """The earliest delivery time, because of quiet hours or the daily digest. None means immediately."""


class NotificationWithdrawn(msgspec.Struct, frozen=True):
    """The withdrawal of a notification whose content no longer applies."""

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
    """The common fields of a task and a gap: the state of the handoff after a change."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    rule_version: int
    handoff: str
    state: str
    owner: str
    """The address (role/kind:id) of the one accountable owner."""
    due: Instant
    step: int
    title: str
    neutral_title: str
    why: str
    closure: str | None = None
    """met, met-late, cancelled, superseded or not-applicable. None until the handoff is closed."""
    opened_at: Instant | None = None
    encounter: EncounterRef | None = None
    referral: str | None = None
    goal: str | None = None
    watchers: tuple[str, ...] = ()


class TaskState(_Handoff, frozen=True):
    """The task of a handoff's owner. `state` is a FHIR Task.status."""


class GapState(_Handoff, frozen=True):
    """The gap of a handoff that is overdue or due soon. `state` is due-soon, open or closed."""


class EffectSuppressed(msgspec.Struct, frozen=True):
    """A notification that was not sent, and the reason: no consent, no material change, bundled, backfill and others."""

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
    """An event that is valid but cannot be applied, for example because its encounter is ambiguous.

    The event goes to the dead-letter topic.
    """

    id: str
    at: Instant
    person: PersonKey
    cause: str
    rule: str
    reason: str
    source: str
    why: str = ""


class StateMoved(msgspec.Struct, frozen=True):
    """The state of a merged person, to be sent to the surviving person `into`. Published as PersonStateMoved."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    into: PersonRef
    state: bytes


class EventForwarded(msgspec.Struct, frozen=True):
    """An event of a merged person. The unchanged record is relayed under the key of the surviving person `into`."""

    id: str
    at: Instant
    person: PersonKey
    cause: str
    into: PersonRef


class FeedHeard(msgspec.Struct, frozen=True):
    """A report that a shard received a message from a source. Each shard sends at most one report per source and minute."""

    source: str
    seen: Instant
    """The arrival time of the message."""


Effect = NotificationIssued | NotificationWithdrawn | TaskState | GapState | EffectSuppressed | EventRefused | StateMoved | EventForwarded
