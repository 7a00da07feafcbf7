"""Open handoffs by the million: real states of real decisions, for the restore and for the memory that they take."""

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
"""Of a million open handoffs: a nation's ten-fold peak (736 events/s, 4.4 million open handoffs), in proportion."""


class People:
    """Persons just discharged, with what is open for them: {key: packed state}."""

    def __init__(self, agent: Any, handoffs: int) -> None:
        from agents.coordination.person.state import unpack

        self.packed: dict[bytes, bytes] = {}
        self.handoffs = 0
        now = int(time.time() * 1000)
        number = 0
        while self.handoffs < handoffs:
            events = story(number, now - 20 * DAY)
            ends = [i for i, e in enumerate(events) if e.type == "PatientDischarged"]
            number += 1
            if not ends:
                continue
            # Told again as if the last discharge was half an hour from now: all that it opens is open, and no alarm is due
            # before the measuring ends.
            told = events[: ends[-1] + 1]
            shift = now + HOUR // 2 - told[-1].arrival
            moved = [msgspec.structs.replace(event, time=event.time + shift, arrival=event.arrival + shift) for event in told]
            packed = state_after(agent, moved)
            self.packed[told[0].person.encode()] = packed
            self.handoffs += sum(1 for h in unpack(packed).handoffs if not h.closure)

    def rows(self) -> Iterator[Row]:
        """Yield the records of the state topic."""
        for key, packed in self.packed.items():
            yield STATE.name, partition_of(key, PARTITIONS), key, packed, (), None

    def churn(self, chance: Any, count: int) -> Iterator[bytes]:
        """Yield the keys of *count* changed persons, any of them as likely."""
        keys = list(self.packed)
        for _ in range(count):
            yield keys[int(chance.random() * len(keys))]


def person_year_bytes(agent: Any, people: int = 300) -> float:
    """Return the mean size of a person's packed state after a year: an inpatient stay or two, visits, referrals, goals.

    Three stories of the mix lie in the year, the first soon after its beginning; every deadline in it has fired.
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
    """Return the packed state of the person of *events* after them, and after what is due before *until*."""
    memory = Memory([agent])
    for event in events:
        for _ in memory.fire(before=event.arrival):
            pass
        memory.apply(event, event.arrival)
    for _ in memory.fire(before=until):
        pass
    return memory.shards[0].persons.get(events[0].person.encode())
