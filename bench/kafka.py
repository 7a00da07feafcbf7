"""The bench's side of Kafka: topics, a fast publisher, ends, and a reader of what came out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.work import PARTITIONS, Ev, Names, write_event
from streams.kafka.admin import create_topics
from streams.contract.person_key import partition_of
from streams.contract.topics import STATE, Topic

# A topic that has just been made has no leader for a moment; aiokafka tries again, and need not say so.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

PEOPLE = 20_000
BATCH_BYTES = 400_000
Row = tuple[str, int, bytes, bytes | None, Sequence[tuple[str, bytes]], int | None]
"""(topic, partition, key, value, headers, timestamp in ms or None: now)"""


class Bench:
    """One Kafka, seen from the bench."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.kafka: dict[str, Any] = {"bootstrap_servers": bootstrap}
        self._made = 0

    def names(self, about: str, inputs: tuple[str, str] | None = None, folder: str = "") -> Names:
        """Return fresh names for one run; *inputs* are topics that are there already."""
        self._made += 1
        tag = f"bench.{about}.{int(time.time())}.{self._made}"
        admissions, discharges = inputs or (f"{tag}.adm", f"{tag}.dis")
        return Names(admissions, discharges, f"{tag}.out", f"{tag}.state", tag, f"{folder}/{tag}")

    async def create(self, names: Names, *, inputs: bool = True) -> None:
        """Create a run's topics as the product's are: append times, and a state topic that is compacted like its own."""
        made = [Topic(names.out, "bench"), Topic(names.state, "bench", compacted=True, retention_days=None, config=STATE.config)]
        if inputs:
            made += [Topic(names.admissions, "bench"), Topic(names.discharges, "bench")]
        await create_topics(self.kafka, PARTITIONS, 1, made)

    async def delete(self, said: Callable[[str], bool]) -> None:
        """Delete the topics whose name *said* takes, and wait until they are gone."""
        admin = AIOKafkaAdminClient(**self.kafka, request_timeout_ms=60_000)
        await admin.start()
        try:
            while found := [name for name in await admin.list_topics() if said(name)]:
                await admin.delete_topics(found)
                await asyncio.sleep(0.5)
        finally:
            await admin.close()

    async def publish(self, rows: Iterable[Row], *, flush_every: int = 0) -> int:
        """Publish *rows* as fast as may be, each partition in its order; return how many.

        With *flush_every* that many rows are appended before the next are: then append times follow the order of rows
        across topics too.
        """
        producer = AIOKafkaProducer(**self.kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES)
        await producer.start()
        open_batches: dict[tuple[str, int], Any] = {}
        sent: list[Any] = []
        count = 0
        try:
            for topic, partition, key, value, headers, at in rows:
                place = topic, partition
                batch = open_batches.get(place)
                if batch is None:
                    batch = open_batches[place] = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=at, headers=list(headers)) is None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = open_batches[place] = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=at, headers=list(headers))
                count += 1
                if flush_every and count % flush_every == 0:
                    for (to, number), batch in open_batches.items():
                        sent.append(await producer.send_batch(batch, to, partition=number))
                    open_batches.clear()
                    await asyncio.gather(*sent)
                    sent.clear()
            for (topic, partition), batch in open_batches.items():
                sent.append(await producer.send_batch(batch, topic, partition=partition))
            await asyncio.gather(*sent)
        finally:
            await producer.stop()
        return count

    async def publish_at(self, rate: float, rows: Iterator[Row], begin: float) -> int:
        """Publish the i-th row at *begin* + i / *rate*, late rows at once: what is asked of the clock, not of the program."""
        producer = AIOKafkaProducer(**self.kafka, acks="all", linger_ms=2, max_batch_size=BATCH_BYTES)
        await producer.start()
        count = 0
        last: list[Any] = []
        try:
            for topic, partition, key, value, headers, at in rows:
                wait = begin + count / rate - time.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                last.append(await producer.send(topic, value, key, partition, at, list(headers)))
                count += 1
            await asyncio.gather(*last)
        finally:
            await producer.stop()
        return count


class Reader:
    """A read_committed reader of some topics, from their beginning."""

    def __init__(self, kafka: Mapping[str, Any], topics: Sequence[str], *, wait_ms: int = 20) -> None:
        self.places = [TopicPartition(t, n) for t in topics for n in range(PARTITIONS)]
        self._consumer = AIOKafkaConsumer(
            **kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=wait_ms,
            max_partition_fetch_bytes=4 << 20,
            retry_backoff_ms=20,
        )

    async def __aenter__(self) -> Reader:
        await self._consumer.start()
        self._consumer.assign(self.places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the last stable offsets: what a read_committed reader could have reached."""
        return dict(await self._consumer.end_offsets(self.places))

    async def some(self, timeout_ms: int = 50) -> list[Any]:
        """Return the records that are there, waiting up to *timeout_ms*."""
        return [record for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values() for record in records]

    async def all(self) -> AsyncIterator[Any]:
        """Yield every record up to the ends as they are now."""
        ends = await self._consumer.end_offsets(self.places)
        while True:
            for record in await self.some(200):
                yield record
            if all([await self._consumer.position(tp) >= end for tp, end in ends.items()]):
                return


def mechanics_rows(names: Names, count: int, *, first: int = 0, begin: float | None = None, rate: float = 0.0) -> Iterator[Row]:
    """Yield the events of the mechanics, half admissions, half discharges, of 20,000 persons in a fixed order.

    With *begin* and *rate* each says when it was to be published, else the time it is made.
    """
    partitions: dict[bytes, int] = {}
    for i in range(count):
        key = b"p%d" % ((i * 7919) % PEOPLE)
        number = partitions.get(key)
        if number is None:
            number = partitions[key] = partition_of(key, PARTITIONS)
        now = time.time() if begin is None else begin + i / rate
        kind = "discharge" if i & 1 else "admit"
        event = Ev(f"e{first + i}", key.decode(), kind, int(now * 1000), "General Hospital", None, now)
        yield (names.discharges if i & 1 else names.admissions), number, key, write_event(event, b""), (), None
