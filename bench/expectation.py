"""What must come out, by the product's own engine in memory, and how what came out differs from it.

The engine is given the very records that the worker reads, with the broker's times, so a deadline fires there when it fires in
the worker: before the next record that is later, whoever it is about, and without one as time passes. An expectation is
therefore one up to an instant: what is due later may have come out or not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from streams.contract.topics import TOPIC_OF_EFFECT
from streams.replay.history import TopicHistory, find_boundaries
from streams.base.clock import Clock
from streams.shard.memory import Memory, Published

FAR = 1 << 50


class Difference(NamedTuple):
    """How many effects are lost (expected and not seen), seen more than once, and unexpected (seen and not expected)."""

    lost: int
    twice: int
    unexpected: int


def identity(effect: Any) -> str:
    """Return what tells *effect* from all others."""
    return f"{type(effect).__name__} {effect.id}"


def difference(expected: Mapping[str, int], seen: Iterable[tuple[str, int]], until: int) -> Difference:
    """Compare effects up to *until* (ms), {identity: instant} with (identity, instant) of each that was seen."""
    wanted = {name for name, at in expected.items() if at <= until}
    found = Counter(name for name, at in seen if at <= until)
    return Difference(len(wanted - found.keys()), sum(n - 1 for n in found.values()), len(found.keys() - wanted))


class Expectation:
    """The effects of the records in the inbound topics, {identity: instant}."""

    def __init__(self, agent: Any) -> None:
        self._memory = Memory([agent])
        self.effects: dict[str, int] = {}
        self.by_records: set[str] = set()
        """Those that are there once the last record is applied, however soon that is."""

    @classmethod
    async def of_topics(cls, kafka: Mapping[str, Any], agent: Any) -> Expectation:
        """Read the inbound topics of *kafka* up to their ends, and decide."""
        history = TopicHistory(kafka, await find_boundaries(kafka, FAR), Clock())
        made = cls(agent)
        await asyncio.to_thread(made._decide, history)
        made.by_records = set(made.effects)
        return made

    def until(self, at: int) -> Mapping[str, int]:
        """Return the effects up to *at* (ms) at least: fire what is due until then."""
        self._keep(self._memory.fire(before=at + 1))
        return self.effects

    def _decide(self, history: TopicHistory) -> None:
        for arrived in history.arrivals():
            self._keep(self._memory.fire(before=arrived.arrival))
            self._keep(self._memory.apply(arrived.item, arrived.arrival))

    def _keep(self, published: Iterable[Published]) -> None:
        for one in published:
            if type(one.value) in TOPIC_OF_EFFECT:
                self.effects[identity(one.value)] = one.value.at
