"""The expected result, computed from the records in the inbound topics: an independent, slow and simple way to the same lines.

Knows the meaning of the counting agent and the order of a shard. Shares no code with the shards.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.contract.person_key import partition_of


@dataclass
class Person:
    """One person, as an independent reader of the inbound topics counts the events."""

    count: int = 0
    chain: int = 0
    rule_failed: bool = False
    due: list[tuple[int, str]] = field(default_factory=list)
    lines: list[tuple[str, int, int]] = field(default_factory=list)
    """(id, nth, at), in the order in which they must be published."""

    def fire(self, before: int) -> None:
        while self.due and self.due[0][0] < before:
            at, identity = self.due.pop(0)
            self.lines.append((f"d:{identity}", self.count, at))

    def apply(self, event: dict[str, Any], now: int) -> None:
        self.fire(now)
        if event.get("do") == "raise":
            self.rule_failed = True
            self.due = [due for due in self.due if due[0] > now]
            return
        self.count += 1
        self.chain = zlib.crc32(event["id"].encode(), self.chain)
        if event.get("wait") is not None:
            self.due = sorted([*self.due, (now + event["wait"], event["id"])])
        self.lines.append((f"n:{event['id']}", self.count, now))


@dataclass
class Expected:
    """The complete expected result."""

    persons: dict[bytes, Person]
    refused: Counter[tuple[str, int, int]]
    """Origins of the dead letters: (topic, partition, offset)."""
    strayed: Counter[bytes]
    """Values of the records in a partition to which their key does not hash."""
    last_due: int

    @property
    def lines(self) -> int:
        return sum(len(person.lines) for person in self.persons.values())


def expect(records: dict[str, Sequence[Any]], inbound: Sequence[str], relay: str, partitions: int) -> Expected:
    """Apply all *records* of the inbound topics, {topic: records as read}, in the order of (time, rank, offset) of each shard."""
    persons: dict[bytes, Person] = defaultdict(Person)
    refused: Counter[tuple[str, int, int]] = Counter()
    strayed: Counter[bytes] = Counter()
    last_due = 0
    for shard in range(partitions):
        merged: list[tuple[int, int, int, str, Any]] = []
        for rank, topic in enumerate(inbound):
            newest = 0
            for record in sorted((r for r in records[topic] if r.partition == shard), key=lambda r: r.offset):
                newest = max(newest, record.timestamp)
                merged.append((newest, rank, record.offset, topic, record))
        for now, _, offset, topic, record in sorted(merged, key=lambda entry: entry[:3]):
            try:
                event = json.loads(record.value)
            except ValueError:
                refused[topic, shard, offset] += 1
                continue
            if partition_of(record.key, partitions) != shard:
                assert topic != relay, "a relayed record must be in the partition of its key"
                strayed[record.value] += 1
                continue
            person = persons[record.key]
            person.apply(event, now)
            if event.get("do") == "raise":
                refused[topic, shard, offset] += 1
            last_due = max([last_due, *(at for at, _ in person.due)])
    for person in persons.values():
        person.fire(1 << 62)
    return Expected(dict(persons), refused, strayed, last_due)
