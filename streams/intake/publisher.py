"""Publication of messages to Kafka, in order for each person and at an optional pace.

Owns key, headers, partition, order and pace of the records. Knows no rule. A message that is not an event is reported
to the caller and never dropped. A refused HL7 message is also sent unchanged to the quarantine topic, so that an
operator can inspect it and send it again.
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
"""The maximum size of a value. With headers, it stays below 1 MiB, the broker's default of `message.max.bytes`."""

Pace = Callable[[Millis], float]
"""Returns the time (seconds, as `time.time`) at which a message with this arrival is published; 0 means immediately."""


def unpaced(_: Millis) -> float:
    """Publish every message immediately."""
    return 0.0


def at_speed(speed: float) -> Pace:
    """Return a pace that starts now and publishes messages *speed* times as fast as they arrived."""
    began = time.time()
    first: Millis | None = None

    def pace(arrival: Millis) -> float:
        nonlocal first
        if arrival <= 0:  # No message up to this one has a time.
            return 0.0
        if first is None:
            first = arrival
        return began + (arrival - first) / 1000 / speed

    return pace


@dataclass(slots=True)
class Published:
    """The number of published events by topic, of items that were not published, and of quarantined messages."""

    events: dict[str, int] = field(default_factory=dict)
    others: int = 0
    quarantined: int = 0

    @property
    def total(self) -> int:
        return sum(self.events.values())


async def publish(
    kafka: Mapping[str, Any], arrivals: Iterable[Arrived], *, pace: Pace = unpaced, seen: Callable[[Arrived], None]
) -> Published:
    """Call *seen* with each item of *arrivals* and publish it if it is an event. Return when Kafka has acknowledged all.

    *kafka* contains the arguments of aiokafka's clients. Raises KafkaError.
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
        self._quarantined: list[asyncio.Future[Any]] = []
        self._count = 0

    async def run(self, arrivals: Iterable[Arrived]) -> Published:
        published = Published()
        for arrived in arrivals:
            pause = self._pace(arrived.arrival) - time.time()
            if pause > 0:
                await self._flush()
                await asyncio.sleep(pause)
            value: bytes | Refused = b""
            if isinstance(arrived.item, Event):
                value = _value_of(arrived.item)
                if isinstance(value, Refused):
                    arrived = replace(arrived, item=value)  # noqa: PLW2901 -- the event cannot be encoded and becomes a Refused
            self._seen(arrived)
            if isinstance(arrived.item, Event) and isinstance(value, bytes):
                topic = await self._send(arrived.item, value)
                published.events[topic] = published.events.get(topic, 0) + 1
                continue
            published.others += 1
            if isinstance(arrived.item, Refused) and arrived.raw:
                await self._quarantine(arrived.item, arrived.raw)
                published.quarantined += 1
        await self._flush()
        return published

    async def _send(self, event: Event, value: bytes) -> str:
        topic = TOPIC_OF[event.type].name
        key = event.person.encode()
        partition = partition_of(key, len(await self._producer.partitions_for(topic)))
        # A shard merges its topics by the broker's append time. To keep a person's events in order, wait until Kafka
        # has acknowledged the records of the shard's previous topic before sending to another topic.
        last, futures = self._pending.get(partition, (topic, []))
        if last != topic:
            await asyncio.gather(*futures)
            futures = []
        futures.append(await self._producer.send(topic, value, key=key, partition=partition, headers=headers_of(event)))
        self._pending[partition] = topic, futures
        await self._count_sent()
        return topic

    async def _quarantine(self, refused: Refused, raw: bytes) -> None:
        """Send a refused message to the quarantine topic. Cut it to VALUE_BYTES_MAX; a header has its whole length."""
        kept = raw[:VALUE_BYTES_MAX]
        future = await self._producer.send(QUARANTINE.name, kept, key=refused.id.encode(), headers=quarantine_headers(refused, len(raw)))
        self._quarantined.append(future)
        await self._count_sent()

    async def _count_sent(self) -> None:
        self._count += 1
        if self._count >= PENDING_MAX:
            await self._flush()

    async def _flush(self) -> None:
        """Wait until Kafka has acknowledged all records. Raises KafkaError if it rejected one."""
        await asyncio.gather(*(future for _, futures in self._pending.values() for future in futures), *self._quarantined)
        self._pending.clear()
        self._quarantined.clear()
        self._count = 0


def _value_of(event: Event) -> bytes | Refused:
    """Return the record value of *event*, or a Refused if it cannot be encoded or is too large."""
    try:
        value = frame(event.data)
    except ValueError:
        return Refused("form-wrong", "", "data", event.source, event.id, "a field has a value that its schema does not allow", event.type)
    if len(value) > VALUE_BYTES_MAX:
        return Refused("too-large", "", "data", event.source, event.id, f"the limit is {VALUE_BYTES_MAX} bytes", event.type)
    return value


def quarantine_headers(refused: Refused, length: int) -> list[tuple[str, bytes]]:
    """Return the headers of a quarantined message: its source, the reason, the position of the error and its length in bytes.

    Headers that a dead letter also has use the same names. There is no file path, because a file can be named after a
    person.
    """
    headers = {
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
    return [(name, value.encode()) for name, value in headers.items()]
