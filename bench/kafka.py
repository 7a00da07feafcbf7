"""Kafka access for the benchmarks: topics, a fast publisher and a reader."""

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

# A new topic has no leader for a moment. aiokafka retries, and its log messages about that are noise.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

PEOPLE = 20_000
BATCH_BYTES = 400_000
Row = tuple[str, int, bytes, bytes | None, Sequence[tuple[str, bytes]], int | None]
"""(topic, partition, key, value, headers, timestamp in ms). A timestamp of None means now."""


class Bench:
    """One Kafka cluster, as the benchmarks use it."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.kafka: dict[str, Any] = {"bootstrap_servers": bootstrap}
        self._count = 0

    def names(self, about: str, inputs: tuple[str, str] | None = None, folder: str = "") -> Names:
        """Return new names for one run. *inputs* are existing topics to read; None: new ones."""
        self._count += 1
        tag = f"bench.{about}.{int(time.time())}.{self._count}"
        admissions, discharges = inputs or (f"{tag}.adm", f"{tag}.dis")
        return Names(admissions, discharges, f"{tag}.out", f"{tag}.state", tag, f"{folder}/{tag}")

    async def create(self, names: Names, *, inputs: bool = True) -> None:
        """Create a run's topics, configured like CareRelay's: with append times, and with a compacted state topic."""
        topics = [Topic(names.out, "bench"), Topic(names.state, "bench", compacted=True, retention_days=None, config=STATE.config)]
        if inputs:
            topics += [Topic(names.admissions, "bench"), Topic(names.discharges, "bench")]
        await create_topics(self.kafka, PARTITIONS, 1, topics)

    async def delete(self, matches: Callable[[str], bool]) -> None:
        """Delete the topics whose names satisfy *matches*, and wait until they are deleted."""
        admin = AIOKafkaAdminClient(**self.kafka, request_timeout_ms=60_000)
        await admin.start()
        try:
            while found := [name for name in await admin.list_topics() if matches(name)]:
                await admin.delete_topics(found)
                await asyncio.sleep(0.5)
        finally:
            await admin.close()

    async def publish(self, rows: Iterable[Row], *, flush_every: int = 0) -> int:
        """Publish *rows* as fast as possible, in order within each partition; return their number.

        If *flush_every* is not 0, wait after this number of rows until they are appended. The append times of different
        topics and partitions then follow the order of the rows.
        """
        producer = AIOKafkaProducer(**self.kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES)
        await producer.start()
        open_batches: dict[tuple[str, int], Any] = {}
        sent: list[Any] = []
        count = 0
        try:
            for topic, partition, key, value, headers, at in rows:
                tp = topic, partition
                batch = open_batches.get(tp)
                if batch is None:
                    batch = open_batches[tp] = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=at, headers=list(headers)) is None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = open_batches[tp] = producer.create_batch()
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
        """Publish row i at *begin* + i / *rate* (seconds since 1970), or immediately if it is late.

        The schedule does not depend on how fast the measured program is.
        """
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
    """A read_committed reader of *topics*, from their beginning."""

    def __init__(self, kafka: Mapping[str, Any], topics: Sequence[str], *, wait_ms: int = 20) -> None:
        self.tps = [TopicPartition(t, n) for t in topics for n in range(PARTITIONS)]
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
        self._consumer.assign(self.tps)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the last stable offsets, up to which a read_committed reader can read."""
        return dict(await self._consumer.end_offsets(self.tps))

    async def some(self, timeout_ms: int = 50) -> list[Any]:
        """Return the available records; wait up to *timeout_ms* for them."""
        return [record for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values() for record in records]

    async def all(self) -> AsyncIterator[Any]:
        """Yield every record up to the current ends of the topics."""
        ends = await self._consumer.end_offsets(self.tps)
        while True:
            for record in await self.some(200):
                yield record
            if all([await self._consumer.position(tp) >= end for tp, end in ends.items()]):
                return


def mechanics_rows(names: Names, count: int, *, first: int = 0, begin: float | None = None, rate: float = 0.0) -> Iterator[Row]:
    """Yield *count* events for the mechanics: half admissions and half discharges, of 20,000 people, in a fixed order.

    With *begin* (seconds since 1970) and *rate* (events per second), each event contains its planned publication time;
    otherwise, the time when it is created.
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
