"""Messages from files onto Kafka, in the order of a person, at a speed that somebody can follow if wanted.

Owns publishing: key, headers, partition, order, pace. Knows no rule. A message that can't be read is given back as a
line, never dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.codec import frame, headers_of
from streams.events import Event, Millis
from streams.intake.outcome import Arrived, Refused
from streams.person import partition_of
from streams.topics import TOPIC_OF

PENDING_MAX = 5_000
REQUEST_TIMEOUT_MS = 30_000

Pace = Callable[[Millis], float]
"""From an arrival to the wall-clock second (`time.time`) at which it is published; 0: at once."""


def at_once(_: Millis) -> float:
    """Publish as fast as Kafka takes it."""
    return 0.0


def faster_by(speed: float) -> Pace:
    """Publish the first message now and every other as much later as its arrival is, divided by *speed*."""
    began = time.time()
    first: Millis | None = None

    def pace(arrival: Millis) -> float:
        nonlocal first
        if first is None:
            first = arrival
        return began + (arrival - first) / 1000 / speed

    return pace


@dataclass(slots=True)
class Published:
    """How many events were published, by topic, and how many messages were not events."""

    events: dict[str, int] = field(default_factory=dict)
    others: int = 0

    @property
    def total(self) -> int:
        return sum(self.events.values())


async def publish(
    kafka: Mapping[str, Any], arrivals: Iterable[Arrived], *, pace: Pace = at_once, seen: Callable[[Arrived], None]
) -> Published:
    """Publish the events of *arrivals*; *seen* is told of each message before. Returns when Kafka has acknowledged all.

    *kafka* is what aiokafka's clients take. Raises KafkaError.
    """
    producer = AIOKafkaProducer(**dict(kafka), enable_idempotence=True, acks="all", linger_ms=2, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await producer.start()
        return await _Publishing(producer, pace, seen).run(arrivals)
    finally:
        await producer.stop()


class _Publishing:
    def __init__(self, producer: AIOKafkaProducer, pace: Pace, seen: Callable[[Arrived], None]) -> None:
        self._producer = producer
        self._pace = pace
        self._seen = seen
        self._pending: dict[int, tuple[str, list[asyncio.Future[Any]]]] = {}
        self._count = 0

    async def run(self, arrivals: Iterable[Arrived]) -> Published:
        published = Published()
        for arrived in arrivals:
            pause = self._pace(arrived.arrival) - time.time()
            if pause > 0:
                await self._settle()
                await asyncio.sleep(pause)
            item = arrived.item
            value = b""
            if isinstance(item, Event):
                try:
                    value = frame(item.data)
                except ValueError:
                    refused = Refused(
                        "form-wrong", "", "data", item.source, item.id, "a value is not one of those that its field may have", item.type
                    )
                    arrived = replace(arrived, item=refused)  # noqa: PLW2901 -- from here on it is a refused one
            self._seen(arrived)
            if isinstance(arrived.item, Event):
                topic = await self._send(arrived.item, value)
                published.events[topic] = published.events.get(topic, 0) + 1
            else:
                published.others += 1
        await self._settle()
        return published

    async def _send(self, event: Event, value: bytes) -> str:
        topic = TOPIC_OF[event.type].name
        key = event.person.encode()
        partition = partition_of(key, len(await self._producer.partitions_for(topic)))
        # Shards merge their topics by the broker's time: what a person's events say must be appended in their order,
        # so a topic waits for what was sent to another one of the same shard.
        last, futures = self._pending.get(partition, (topic, []))
        if last != topic:
            await asyncio.gather(*futures)
            futures = []
        futures.append(await self._producer.send(topic, value, key=key, partition=partition, headers=headers_of(event)))
        self._pending[partition] = topic, futures
        self._count += 1
        if self._count >= PENDING_MAX:
            await self._settle()
        return topic

    async def _settle(self) -> None:
        """Wait until Kafka has acknowledged all that was sent; a refusal is raised here."""
        await asyncio.gather(*(future for _, futures in self._pending.values() for future in futures))
        self._pending.clear()
        self._count = 0
