"""The expected effects, computed by the engine in memory, and their difference from the effects that a program published.

The engine gets the same records as the worker, with the broker's append times, so deadlines fire at the same times as in the
worker. A deadline fires before the next later record of any person. If there is no such record, it fires as time passes.
An expectation is therefore valid up to an instant. Effects that are due later may or may not have been published.
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
    """The numbers of effects that are lost (expected but not seen), repeated, and unexpected (seen but not expected)."""

    lost: int
    twice: int
    unexpected: int


def identity(effect: Any) -> str:
    """Return a text that identifies *effect*."""
    return f"{type(effect).__name__} {effect.id}"


def difference(expected: Mapping[str, int], seen: Iterable[tuple[str, int]], until: int) -> Difference:
    """Compare the effects up to *until* (ms).

    Args:
        expected: {identity: instant in ms}.
        seen: (identity, instant in ms) of each effect that was seen, including repeats.
        until: Ignore later effects.
    """
    wanted = {name for name, at in expected.items() if at <= until}
    found = Counter(name for name, at in seen if at <= until)
    return Difference(len(wanted - found.keys()), sum(n - 1 for n in found.values()), len(found.keys() - wanted))


class Expectation:
    """The effects that the records in the inbound topics must cause."""

    def __init__(self, agent: Any) -> None:
        self._memory = Memory([agent])
        self.effects: dict[str, int] = {}
        """{identity: instant in ms}"""
        self.by_records: set[str] = set()
        """The effects up to the last record, without those of later deadlines."""

    @classmethod
    async def of_topics(cls, kafka: Mapping[str, Any], agent: Any) -> Expectation:
        """Read the inbound topics of *kafka* to their ends, and decide with *agent*."""
        history = TopicHistory(kafka, await find_boundaries(kafka, FAR), Clock())
        expectation = cls(agent)
        await asyncio.to_thread(expectation._decide, history)
        expectation.by_records = set(expectation.effects)
        return expectation

    def until(self, at: int) -> Mapping[str, int]:
        """Fire the deadlines up to *at* (ms); return all effects so far."""
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
