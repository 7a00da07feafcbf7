"""Shards in memory, without a log: the engine of the replay, of the backtest, of simulated answers and of expectations.

Owns the form whose records carry events and effects themselves, and the order of records and deadlines where there is no
log to give one. Each agent has one shard, the same `Shard` that the worker serves. What one agent publishes to a topic that
another reads, or that it reads itself, is applied at once. Pure, and knows no rule of care.

The order: records as they are given, at the time that the caller says it is. A deadline at T fires before the first record
later than T, deadlines of all agents among themselves by (T, key).
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
"""Deadlines of one person at one instant. More is a rule that never lets go of its deadline: ours to mend."""


class EndlessDeadline(Exception):  # noqa: N818 -- it names the finding
    """A deadline fires, changes the state, and is still there."""


class MemoryForm:
    """Records carry events and effects as they are."""

    def read(self, origin: Origin, arrival: Millis) -> Event | RecordRefused:  # noqa: ARG002 -- the event has it
        """Return the event."""
        event: Event = origin.record.value
        return event

    def read_effect(self, origin: Origin) -> tuple[str, Any] | RecordRefused:
        """Return (id, effect): an effect has its own id, one without is carried by an event."""
        value = origin.record.value
        return (value.id, value.data) if isinstance(value, Event) else (value.id, value)

    def write(self, event: Event) -> tuple[Event, Headers]:
        """Return the event."""
        return event, ()

    def write_effect(self, effect: Effect, source: str) -> tuple[Effect, Headers]:  # noqa: ARG002 -- nobody reads it here
        """Return the effect."""
        return effect, ()

    def wrap(self, key: bytes, origin: Origin, identity: str, source: str) -> tuple[Event, Headers]:  # noqa: ARG002 -- the event keeps its own
        """Return the event under *key*."""
        return msgspec.structs.replace(origin.record.value, person=PersonKey(key.decode())), ()

    def dead_letter(self, effect: EventRefused, origin: Origin) -> tuple[bytes | None, EventRefused, Headers]:
        """Return the effect, which says more than a dead letter on Kafka."""
        return origin.record.key, effect, ()


class Published(NamedTuple):
    """What a shard published that no agent here reads."""

    topic: str
    key: bytes | None
    value: Any
    """An effect; in a dead letter that the shard itself made, the event, or None for a deadline."""
    headers: Headers


_new = tuple.__new__


class _Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: Any
    headers: Headers


class _Ordered:
    """Keeps the order across topics; what an agent here reads is kept apart."""

    def __init__(self, readers: Mapping[str, Shard]) -> None:
        self._readers = readers
        self.published: list[Published] = []
        self.handed_on: list[Published] = []

    def publish(self, topic: str, partition: int, key: bytes | None, value: Any, headers: Headers) -> None:  # noqa: ARG002 -- there is one
        place = self.handed_on if topic in self._readers else self.published
        place.append(_new(Published, (topic, key, value, headers)))


class Memory:
    """One shard for each of *agents*, which were made with a `MemoryForm`."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self.shards = [Shard(0, 1, agent, Clock(), {}) for agent in agents]
        self._readers = {topic: shard for shard in self.shards for topic in shard.agent.inbound}
        self._out = _Ordered(self._readers)
        self._last: tuple[int, bytes] | None = None
        self._streak = 0

    def apply(self, event: Event, now: Millis) -> list[Published]:
        """Apply *event* at *now*, which never goes back; what is due before *now* has been fired. Return what came of it."""
        return self._take(TOPIC_OF[event.type].name, event.person.encode(), event, now)

    def due(self, before: Millis) -> bool:
        """Say whether a deadline may be due before *before*."""
        for shard in self.shards:  # noqa: SIM110 -- asked for every record: a generator costs as much as the question
            if shard.next_due < before:
                return True
        return False

    def fire(self, before: Millis) -> Iterator[Published]:
        """Fire what is due before *before*; yield what came of it."""
        while (published := self.fire_next(before)) is not None:
            yield from published

    def fire_next(self, before: Millis) -> list[Published] | None:
        """Fire the earliest deadline before *before*; return what came of it, None where nothing is due. Raises EndlessDeadline."""
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
        return self._came(shard.now)

    def _take(self, topic: str, key: bytes, value: Any, now: Millis) -> list[Published]:
        shard = self._readers[topic]
        shard.now = max(shard.now, now)
        shard.apply_record(topic, _new(_Record, (0, now, key, value, ())), now, self._out)
        return self._came(now)

    def _came(self, now: Millis) -> list[Published]:
        """Return what was published, and after it what came of what is for an agent here."""
        out = self._out
        published, out.published = out.published, []
        if out.handed_on:
            handed_on, out.handed_on = out.handed_on, []
            for one in handed_on:
                published += self.fire(now)
                published += self._take(one.topic, one.key or b"", one.value, now)
        return published
