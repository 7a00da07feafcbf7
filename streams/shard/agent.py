"""What a shard asks of its agent, what it gets, and where it writes: the seam between moving events and deciding about them.

Owns shapes only. An `Agent` is served exactly once, in order, with deadlines, and needs to know nothing of Kafka. It is
given a `Form`, which turns records into events and effects into what is published: bytes in the worker, the events and
effects themselves where a shard runs in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from streams.contract.effects import Effect, EventRefused
from streams.contract.events import Event, Millis
from streams.contract.record import Headers


class Record(Protocol):
    """A record as aiokafka's parser gives it. In memory the value is the event itself."""

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
    """A record and where it was read: what a decision needs to send the record on, or to the dead letters, as it is."""

    topic: str
    partition: int
    record: Record


class RecordRefused(NamedTuple):
    """A record that could not be read or applied. `code` is from a fixed table, never the exception's text."""

    code: str
    stage: str
    source: str = "unknown"
    exception: str = ""


OWN_SHARD, BY_KEY = False, True
"""Where a publication goes: the partition of the shard that decided, or the partition of its own key."""

Publication = tuple[bool, str, bytes | None, Any, Headers]
"""(BY_KEY or OWN_SHARD, topic, key, value, headers)"""


class Outcome(NamedTuple):
    """What a decision asks for: the packed state to keep (None: forget the person) and what to publish, in order."""

    packed: bytes | None
    publish: Sequence[Publication] = ()
    kinds: Sequence[str] = ()
    """The kinds of the effects, to be counted."""
    source: str = ""
    """Who sent what was applied; empty for a deadline."""
    refused: RecordRefused | None = None
    """Why the event was not applied, to be counted; its dead letter is one of the publications."""


class Outbox(Protocol):
    """Where a shard writes what is published."""

    def publish(self, topic: str, partition: int, key: bytes | None, value: Any, headers: Headers) -> None:
        """Take one record."""


class Form(Protocol):
    """How records and events become each other."""

    def read(self, origin: Origin, arrival: Millis) -> Event | RecordRefused:
        """Return the event of a record of an inbound topic. A relayed record is read as the record that it carries."""

    def read_effect(self, origin: Origin) -> tuple[str, Any] | RecordRefused:
        """Return (id, effect) of a record that another agent published."""

    def write(self, event: Event) -> tuple[Any, Headers]:
        """Return value and headers of the record that carries *event*."""

    def write_effect(self, effect: Effect, source: str) -> tuple[Any, Headers]:
        """Return value and headers of the record that carries *effect*, which the agent *source* publishes."""

    def wrap(self, key: bytes, origin: Origin, identity: str, source: str) -> tuple[Any, Headers]:
        """Return value and headers of the relay record that carries a record as it is to the shard of *key*."""

    def dead_letter(self, effect: EventRefused, origin: Origin) -> tuple[bytes | None, Any, Headers]:
        """Return key, value and headers of the dead letter of an event that could be read but not applied."""


class Agent(Protocol):
    """What a shard asks of its agent. Pure: same arguments, same answer."""

    @property
    def inbound(self) -> Sequence[str]:
        """The inbound topics in the order of their rank."""

    @property
    def relay(self) -> str: ...

    @property
    def dead_letters(self) -> str: ...

    def read(self, origin: Origin, arrival: Millis) -> tuple[bytes, Any] | RecordRefused:
        """Return (person key, event) of a record, or why it can't be read."""

    def wrap(self, key: bytes, origin: Origin) -> tuple[Any, Headers]:
        """Return value and headers of the relay record that carries a record to the shard of *key*."""

    def decide(self, key: bytes, packed: bytes | None, event: Any, now: Millis, origin: Origin) -> Outcome:
        """Apply one event, which was read from *origin*."""

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        """Fire the earliest deadline of the person, which is due."""

    def spoil(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state with the flag that history is incomplete, after a rule raised for this person."""

    def deadline(self, packed: bytes) -> int | None:
        """Return the earliest deadline in *packed* without unpacking it all."""

    def open_handoffs(self, packed: bytes) -> int:
        """Return how many handoffs in *packed* are open, without unpacking it all."""
