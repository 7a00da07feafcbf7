"""Shards in memory: the engine of the replay, the backtest, the simulated answers and the benchmark's expectations.

Owns the form in which records contain the event and effect objects themselves, and the order of records and deadlines
without a log. Each agent has one shard, of the same class `Shard` that the worker runs. A record that an agent publishes to
the inbound topic of any of the agents is applied immediately. Pure; knows no care rules.

Records are applied in the order and at the times that the caller gives. A deadline at time T fires before the first record
later than T. Deadlines of all agents fire in the order (T, key).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from streams.base.clock import Clock
from streams.contract.effects import Effect, EventRefused
from streams.contract.events import Event, Millis, PersonKey
from streams.contract.instants import format_instant
from streams.contract.record import Headers
from streams.contract.topics import TOPIC_OF
from streams.shard.agent import Agent, Origin, RecordRefused
from streams.shard.shard import Shard

SAME_INSTANT_MAX = 10_000
"""The maximum number of deadlines of one person at one instant. If there are more, a rule sets the same deadline again and again."""


class EndlessDeadline(Exception):  # noqa: N818 -- it names the finding
    """A rule sets the same deadline again each time it fires, so the deadline would fire forever."""


class MemoryForm:
    """A form in which record values are the event and effect objects themselves."""

    def read(self, origin: Origin, arrival: Millis) -> Event | RecordRefused:  # noqa: ARG002 -- the event has it
        """Return the event in the record."""
        event: Event = origin.record.value
        return event

    def read_effect(self, origin: Origin) -> tuple[str, Any] | RecordRefused:
        """Return (id, effect). If the effect type has no id, the effect is inside an event, and the id is that of the event."""
        value = origin.record.value
        return (value.id, value.data) if isinstance(value, Event) else (value.id, value)

    def write(self, event: Event) -> tuple[Event, Headers]:
        """Return the event itself as the value, without headers."""
        return event, ()

    def write_effect(self, effect: Effect, source: str) -> tuple[Effect, Headers]:  # noqa: ARG002 -- no headers in memory
        """Return the effect itself as the value, without headers."""
        return effect, ()

    def wrap(self, key: bytes, origin: Origin, identity: str, source: str) -> tuple[Event, Headers]:  # noqa: ARG002 -- the event keeps its own
        """Return the event with *key* as its person key."""
        return msgspec.structs.replace(origin.record.value, person=PersonKey(key.decode())), ()

    def dead_letter(self, effect: EventRefused, origin: Origin) -> tuple[bytes | None, EventRefused, Headers]:
        """Return the effect as the value: it has more fields than the headers of a dead letter on Kafka."""
        return origin.record.key, effect, ()


class Published(NamedTuple):
    """A record that a shard published."""

    topic: str
    key: bytes | None
    value: Any
    """An effect or an event. In a dead letter that the shard itself wrote: the event, or None for a deadline."""
    headers: Headers


_new = tuple.__new__


class _Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: Any
    headers: Headers


class _Ordered:
    """An outbox that keeps the order across topics. Records on the inbound topics of *readers* are kept in a separate list."""

    def __init__(self, readers: Mapping[str, Shard]) -> None:
        self._readers = readers
        self.published: list[Published] = []
        self.internal: list[Published] = []

    def publish(self, topic: str, partition: int, key: bytes | None, value: Any, headers: Headers) -> None:  # noqa: ARG002 -- only one
        records = self.internal if topic in self._readers else self.published
        records.append(_new(Published, (topic, key, value, headers)))


class Memory:
    """One shard for each of *agents*, which must use a `MemoryForm`."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self.shards = [Shard(0, 1, agent, Clock(), {}) for agent in agents]
        self._readers = {topic: shard for shard in self.shards for topic in shard.agent.inbound}
        self._out = _Ordered(self._readers)
        self._last: tuple[int, bytes] | None = None
        self._streak = 0

    def apply(self, event: Event, now: Millis) -> list[Published]:
        """Apply *event* at *now*; return what was published as a result.

        *now* must not decrease from call to call. The caller first fires all deadlines before *now*.
        """
        return self._take(TOPIC_OF[event.type].name, event.person.encode(), event, now)

    def due(self, before: Millis) -> bool:
        """Return whether a deadline may be due before *before*."""
        for shard in self.shards:  # noqa: SIM110 -- called for every record: `any` with a generator doubles the cost
            if shard.next_due < before:
                return True
        return False

    def fire(self, before: Millis) -> Iterator[Published]:
        """Fire all deadlines before *before*; yield what was published as a result."""
        while (published := self.fire_next(before)) is not None:
            yield from published

    def fire_next(self, before: Millis) -> list[Published] | None:
        """Fire the earliest deadline before *before*; return what was published, or None if no deadline is due.

        Raises EndlessDeadline.
        """
        first: tuple[int, bytes] | None = None
        for candidate in self.shards:
            entry = candidate.deadline_before(before)
            if entry is not None and (first is None or entry < first):
                first, shard = entry, candidate
        if first is None:
            return None
        self._streak = self._streak + 1 if self._last == first else 0
        self._last = first
        if self._streak > SAME_INSTANT_MAX:
            raise EndlessDeadline(f"the deadline at {format_instant(Millis(first[0]))} fires again and again; this is an error in a rule")
        shard.fire(before, 1, self._out)
        return self._collect(shard.now)

    def _take(self, topic: str, key: bytes, value: Any, now: Millis) -> list[Published]:
        shard = self._readers[topic]
        shard.now = max(shard.now, now)
        shard.apply_record(topic, _new(_Record, (0, now, key, value, ())), now, self._out)
        return self._collect(now)

    def _collect(self, now: Millis) -> list[Published]:
        """Return what was published. Apply the records for the agents' own inbound topics, and append the results."""
        out = self._out
        published, out.published = out.published, []
        if out.internal:
            internal, out.internal = out.internal, []
            for one in internal:
                published += self.fire(now)
                published += self._take(one.topic, one.key or b"", one.value, now)
        return published
