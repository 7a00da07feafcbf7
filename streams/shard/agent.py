"""What a shard asks of its agent, and what it gets: the seam between moving events and deciding about them.

Owns shapes only. An agent that offers a `Agent` is served exactly once, in order, with deadlines, and needs to know
nothing of Kafka.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from streams.contract.events import Millis
from streams.kafka.transactions import Headers


class Record(Protocol):
    """A record as aiokafka gives it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Refused(NamedTuple):
    """A record that could not be read or applied. `code` is from a fixed table, never the exception's text."""

    code: str
    stage: str
    source: str = "unknown"
    exception: str = ""


class Outcome(NamedTuple):
    """What a decision asks for: the packed state to keep (None: forget the person) and the records to publish."""

    packed: bytes | None
    records: Sequence[tuple[str, bytes, bytes | None, Headers]] = ()
    refused: Refused | None = None
    relayed: Sequence[tuple[bytes, bytes, Headers]] = ()
    """(person key, value, headers) for the shard of that person, over the relay topic."""
    kinds: Sequence[str] = ()
    """The kinds of the effects, to be counted."""
    forward: bytes | None = None
    """The key under which the record goes on: this person was merged into that one."""
    keyed: Sequence[tuple[str, bytes, bytes, Headers]] = ()
    """Records that are not the shard's own, (topic, key, value, headers): each goes under the partition of its key."""
    source: str = ""
    """Who sent what was applied; empty where nobody did."""


class Agent(Protocol):
    """What a shard asks of its agent. Pure: same arguments, same answer."""

    inbound: Sequence[str]
    """The inbound topics in the order of their rank."""
    relay: str
    dead_letters: str

    def read(self, topic: str, record: Record, arrival: Millis) -> tuple[bytes, Any] | Refused:
        """Return (person key, event) of *record*, or why it can't be read."""

    def wrap(self, topic: str, partition: int, key: bytes, record: Record) -> tuple[bytes, Headers]:
        """Return value and headers of the relay record that carries *record* to the shard of *key*."""

    def decide(self, key: bytes, packed: bytes | None, event: Any, now: Millis) -> Outcome:
        """Apply one event."""

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        """Fire the earliest deadline of the person, which is due."""

    def spoil(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state with the flag that history is incomplete, after a rule raised for this person."""

    def deadline(self, packed: bytes) -> int | None:
        """Return the earliest deadline in *packed* without unpacking it all."""

    def open_handoffs(self, packed: bytes) -> int:
        """Return how many handoffs in *packed* are open, without unpacking it all."""
