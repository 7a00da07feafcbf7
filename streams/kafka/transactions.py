"""The transactional producer of a worker: one transaction at a time, for all of its shards.

Owns the producer and its lock. Does not know what the records mean. It does not recover from a failure: the caller ends the
process, the next owner fences this producer's transactional id, and the records are read again from Kafka.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.contract.record import Out

BATCH_BYTES_MAX = 900_000
"""Less than the broker's default `message.max.bytes` of 1 MiB, to leave room for the overhead of a batch."""

TRANSACTION_TIMEOUT_MS = 60_000
"""The time that the broker may be unavailable. A shorter timeout would end every worker with an open transaction when the broker
pauses. A long timeout delays nobody: the next owner fences a dead worker and does not wait for its transaction to time out."""


class Writer:
    """Writes records to many partitions in one transaction."""

    def __init__(self, kafka: Mapping[str, Any], *, transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS) -> None:
        self.name = f"w-{uuid.uuid4().hex[:20]}"
        """The transactional id. It is unique to this process and never reused, so fencing it affects only this process."""
        self._kafka = dict(kafka)
        self._timeout_ms = transaction_timeout_ms
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        async with self._lock:
            await self._started()

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def write(self, records: Mapping[tuple[str, int], Iterable[Out]]) -> dict[tuple[str, int], int]:
        """Write *records*, {(topic, partition): records}, in one transaction, and wait for the commit.

        Return the offset after the last record of each partition. Raises KafkaError if this producer was fenced or the
        transaction cannot be committed; none of it is visible then. If the caller is cancelled, the transaction still runs to
        its end, because a half-finished transaction would block the next one.
        """
        return await asyncio.shield(self._write(records))

    async def _write(self, records: Mapping[tuple[str, int], Iterable[Out]]) -> dict[tuple[str, int], int]:
        async with self._lock:
            producer = await self._started()
            builders = [(tp, self._batches(producer, outs)) for tp, outs in records.items()]
            await producer.begin_transaction()
            sent: list[Any] = []
            counts: list[tuple[tuple[str, int], int]] = []
            # Send the first batch of every partition before any second one. aiokafka's sender then adds all partitions to the
            # transaction in one request. If they are added one by one, the broker answers NOT_ENOUGH_REPLICAS while it
            # verifies each of them, and aiokafka waits for its retry back-off each time.
            for part in (slice(0, 1), slice(1, None)):
                for tp, batches in builders:
                    for batch in batches[part]:
                        sent.append(await producer.send_batch(batch, tp[0], partition=tp[1]))
                        counts.append((tp, batch.record_count()))
            written = await asyncio.gather(*sent)
            await producer.commit_transaction()
        return {tp: metadata.offset + count for (tp, count), metadata in zip(counts, written, strict=True)}

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._kafka,
                transactional_id=self.name,
                acks="all",
                linger_ms=0,
                max_batch_size=BATCH_BYTES_MAX,
                transaction_timeout_ms=self._timeout_ms,
                retry_backoff_ms=10,
            )
            await _start(producer)
            self._producer = producer
        return self._producer

    @staticmethod
    def _batches(producer: AIOKafkaProducer, outs: Iterable[Out]) -> list[Any]:
        batch = producer.create_batch()
        batches = [batch]
        for key, value, headers in outs:
            if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                batch.close()
                batch = producer.create_batch()
                batches.append(batch)
                if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                    raise ValueError(f"a record of {len(value or b'')} bytes exceeds the maximum batch size of {BATCH_BYTES_MAX} bytes")
        batch.close()
        return batches


async def fence(kafka: Mapping[str, Any], name: str) -> None:
    """Abort the open transaction of the producer *name*, if any, and make its later writes fail."""
    producer = AIOKafkaProducer(**dict(kafka), transactional_id=name, retry_backoff_ms=10)
    await _start(producer)
    await producer.stop()


async def _start(producer: AIOKafkaProducer) -> None:
    """Start *producer*. If it cannot be started, release its resources."""
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
