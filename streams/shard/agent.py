"""The interface between a shard, which moves events, and an agent, which decides about them.

Owns types and protocols only. A shard gives its `Agent` each event and each deadline exactly once and in order; an agent
knows nothing about Kafka. A `Form` converts records to events, and effects to records: to bytes in the worker, and to plain
objects if the shard runs in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from streams.contract.effects import Effect, EventRefused
from streams.contract.events import Event, Millis
from streams.contract.record import Headers


class Record(Protocol):
    """A record as aiokafka's parser returns it. In memory, `value` is the event itself."""

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> Any: ...

    @property
    def headers(self) -> Headers: ...


class Origin(NamedTuple):
    """A record and its topic and partition. A decision needs them to forward the record or to dead-letter it unchanged."""

    topic: str
    partition: int
    record: Record


class RecordRefused(NamedTuple):
    """Why a record could not be read or applied. `code` comes from a fixed table and is never the text of an exception."""

    code: str
    stage: str
    source: str = "unknown"
    exception: str = ""


OWN_SHARD, BY_KEY = False, True
"""The partition to publish to: that of the shard that decided, or that of the publication's own key."""

Publication = tuple[bool, str, bytes | None, Any, Headers]
"""(BY_KEY or OWN_SHARD, topic, key, value, headers)"""


class Outcome(NamedTuple):
    """The result of a decision: the packed state to keep (None deletes the person) and what to publish, in order."""

    packed: bytes | None
    publish: Sequence[Publication] = ()
    kinds: Sequence[str] = ()
    """The class names of the effects, for the metrics."""
    source: str = ""
    """The sender of the event that was applied; empty for a deadline."""
    refused: RecordRefused | None = None
    """Why the event was not applied, for the metrics. `publish` already contains its dead letter."""


class Outbox(Protocol):
    """Collects the records that a shard publishes."""

    def publish(self, topic: str, partition: int, key: bytes | None, value: Any, headers: Headers) -> None:
        """Add one record."""


class Form(Protocol):
    """Converts records to events, and events and effects to records."""

    def read(self, origin: Origin, arrival: Millis) -> Event | RecordRefused:
        """Return the event in a record of an inbound topic. For a relay record, return the event in the record that it wraps."""

    def read_effect(self, origin: Origin) -> tuple[str, Any] | RecordRefused:
        """Return (id, effect) of a record that another agent published."""

    def write(self, event: Event) -> tuple[Any, Headers]:
        """Return the value and headers of a record for *event*."""

    def write_effect(self, effect: Effect, source: str) -> tuple[Any, Headers]:
        """Return the value and headers of a record for *effect*, which the agent *source* publishes."""

    def wrap(self, key: bytes, origin: Origin, identity: str, source: str) -> tuple[Any, Headers]:
        """Return the value and headers of a relay record that carries the unchanged record in *origin* to the shard of *key*.

        *identity* is the id of the relay record; *source* is the agent that publishes it.
        """

    def dead_letter(self, effect: EventRefused, origin: Origin) -> tuple[bytes | None, Any, Headers]:
        """Return the key, value and headers of the dead letter for an event that could be read but not applied."""


class Agent(Protocol):
    """Decides what events and deadlines mean. Pure: the same arguments give the same result."""

    @property
    def inbound(self) -> Sequence[str]:
        """The inbound topics, ordered by rank."""

    @property
    def relay(self) -> str: ...

    @property
    def dead_letters(self) -> str: ...

    def read(self, origin: Origin, arrival: Millis) -> tuple[bytes, Any] | RecordRefused:
        """Return (person key, event) of a record, or why it cannot be read."""

    def wrap(self, key: bytes, origin: Origin) -> tuple[Any, Headers]:
        """Return the value and headers of a relay record that carries the record in *origin* to the shard of *key*."""

    def decide(self, key: bytes, packed: bytes | None, event: Any, now: Millis, origin: Origin) -> Outcome:
        """Apply one event. *origin* is the record that contained it."""

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        """Fire the person's earliest deadline. The caller ensures that it is due at *now*."""

    def after_failure(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state to keep after a rule raised an exception for this person, without the deadlines that are due at *now*.

        An agent that keeps a person's history marks it as incomplete.
        """

    def deadline(self, packed: bytes) -> int | None:
        """Return the earliest deadline in *packed* (story time, ms), or None. Does not unpack the whole state."""

    def open_handoffs(self, packed: bytes) -> int:
        """Return the number of open handoffs in *packed*. Does not unpack the whole state."""
