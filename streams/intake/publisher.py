"""Messages from files onto Kafka, in the order of a person, at a speed that somebody can follow if wanted.

Owns publishing: key, headers, partition, order, pace. Knows no rule. A message that can't be read is given back to who
shows it, never dropped; one of HL7 goes to the quarantine besides, as it was, so that it can be looked at and sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.avro.codec import frame, headers_of
from streams.contract.events import Event, Millis
from streams.contract.person_key import partition_of
from streams.contract.topics import QUARANTINE, TOPIC_OF
from streams.intake.reading import Arrived, Refused

PENDING_MAX = 5_000
REQUEST_TIMEOUT_MS = 30_000
VALUE_BYTES_MAX = 900_000
"""Below the broker's `message.max.bytes` default of 1 MiB with room for headers."""

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
        if arrival <= 0:  # a message without a time, before any that has one
            return 0.0
        if first is None:
            first = arrival
        return began + (arrival - first) / 1000 / speed

    return pace


@dataclass(slots=True)
class Published:
    """How many events were published, by topic, how many messages were not events, and how many of those were kept."""

    events: dict[str, int] = field(default_factory=dict)
    others: int = 0
    quarantined: int = 0

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
        self._aside: list[asyncio.Future[Any]] = []
        self._count = 0

    async def run(self, arrivals: Iterable[Arrived]) -> Published:
        published = Published()
        for arrived in arrivals:
            pause = self._pace(arrived.arrival) - time.time()
            if pause > 0:
                await self._settle()
                await asyncio.sleep(pause)
            value: bytes | Refused = b""
            if isinstance(arrived.item, Event):
                value = _framed(arrived.item)
                if isinstance(value, Refused):
                    arrived = replace(arrived, item=value)  # noqa: PLW2901 -- from here on it is a refused one
            self._seen(arrived)
            if isinstance(arrived.item, Event) and isinstance(value, bytes):
                topic = await self._send(arrived.item, value)
                published.events[topic] = published.events.get(topic, 0) + 1
                continue
            published.others += 1
            if isinstance(arrived.item, Refused) and arrived.raw:
                await self._set_aside(arrived.item, arrived.raw)
                published.quarantined += 1
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
        await self._counted()
        return topic

    async def _set_aside(self, refused: Refused, raw: bytes) -> None:
        """Keep a message that was refused; what is longer than a record may be is cut, and its length is said."""
        kept = raw[:VALUE_BYTES_MAX]
        future = await self._producer.send(QUARANTINE.name, kept, key=refused.id.encode(), headers=quarantine_headers(refused, len(raw)))
        self._aside.append(future)
        await self._counted()

    async def _counted(self) -> None:
        self._count += 1
        if self._count >= PENDING_MAX:
            await self._settle()

    async def _settle(self) -> None:
        """Wait until Kafka has acknowledged all that was sent; a refusal is raised here."""
        await asyncio.gather(*(future for _, futures in self._pending.values() for future in futures), *self._aside)
        self._pending.clear()
        self._aside.clear()
        self._count = 0


def _framed(event: Event) -> bytes | Refused:
    """Return the record of *event*, or why it can't be one."""
    try:
        value = frame(event.data)
    except ValueError:
        return Refused("form-wrong", "", "data", event.source, event.id, "a field has a value that its schema does not allow", event.type)
    if len(value) > VALUE_BYTES_MAX:
        return Refused("too-large", "", "data", event.source, event.id, f"the limit is {VALUE_BYTES_MAX} bytes", event.type)
    return value


def quarantine_headers(refused: Refused, length: int) -> list[tuple[str, bytes]]:
    """Return the headers of a message in the quarantine: who sent it, why it is there, where in it, and its whole length.

    The same names as a dead letter's, where they say the same. No path: files are named after persons, too.
    """
    said = {
        "ce_id": refused.id,
        "ce_source": refused.source,
        "content-type": "x-application/hl7-v2+er7",
        "__care.errors.stage": "intake",
        "__care.errors.code": refused.reason,
        "__care.errors.trigger": refused.trigger,
        "__care.errors.segment": refused.segment,
        "__care.errors.field": refused.field,
        "__care.errors.bytes": str(length),
    }
    return [(name, value.encode()) for name, value in said.items()]
