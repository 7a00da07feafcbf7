"""States with up to a million open handoffs, produced by the rules, to measure the restore and the memory per handoff."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.events import DAY, HOUR, story
from bench.kafka import PARTITIONS, Row
from streams.contract.events import Event
from streams.contract.person_key import partition_of
from streams.contract.topics import STATE
from streams.shard.memory import Memory

CHURN_EVENTS_S = 170
"""Events per second for a million open handoffs. Ten times a nation's peak is 736 events/s with 4.4 million open handoffs."""


class People:
    """People who have just been discharged and have open handoffs."""

    def __init__(self, agent: Any, handoffs: int) -> None:
        from agents.coordination.person.state import unpack

        self.packed: dict[bytes, bytes] = {}
        """{person key: packed state}"""
        self.handoffs = 0
        now = int(time.time() * 1000)
        number = 0
        while self.handoffs < handoffs:
            events = story(number, now - 20 * DAY)
            ends = [i for i, e in enumerate(events) if e.type == "PatientDischarged"]
            number += 1
            if not ends:
                continue
            # Shift the events so that the last discharge is half an hour from now: its handoffs are then open, and none
            # becomes due before the measurement ends.
            stay = events[: ends[-1] + 1]
            shift = now + HOUR // 2 - stay[-1].arrival
            shifted = [msgspec.structs.replace(event, time=event.time + shift, arrival=event.arrival + shift) for event in stay]
            packed = state_after(agent, shifted)
            self.packed[stay[0].person.encode()] = packed
            self.handoffs += sum(1 for h in unpack(packed).handoffs if not h.closure)

    def rows(self) -> Iterator[Row]:
        """Yield the records of the state topic."""
        for key, packed in self.packed.items():
            yield STATE.name, partition_of(key, PARTITIONS), key, packed, (), None

    def churn(self, chance: Any, count: int) -> Iterator[bytes]:
        """Yield *count* random person keys, uniformly distributed."""
        keys = list(self.packed)
        for _ in range(count):
            yield keys[int(chance.random() * len(keys))]


def person_year_bytes(agent: Any, people: int = 300) -> float:
    """Return the mean size (bytes) of a person's packed state after a year with encounters, referrals and goals.

    Each person gets the events of three people of the mix, 120 days apart. All deadlines up to now have fired.
    """
    now = int(time.time() * 1000)
    begin = now - 365 * DAY
    total = 0
    for number in range(people):
        events = []
        for part in range(3):
            for i, event in enumerate(story(number * 3 + part, begin + part * 120 * DAY)):
                events.append(msgspec.structs.replace(event, id=f"{part}-{i}", person=f"p1.year{number}", arrival=event.arrival))
        total += len(state_after(agent, events, now) or b"")
    return total / people


def state_after(agent: Any, events: Sequence[Event], until: int = 0) -> bytes | None:
    """Return the packed state of the person of *events* after these events and all deadlines before *until* (ms)."""
    memory = Memory([agent])
    for event in events:
        for _ in memory.fire(before=event.arrival):
            pass
        memory.apply(event, event.arrival)
    for _ in memory.fire(before=until):
        pass
    return memory.shards[0].persons.get(events[0].person.encode())
