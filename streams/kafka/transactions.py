"""One transactional producer, one transaction at a time, for all shards of a worker.

Owns the producer and its one lock. Must not know what the records mean. A failure leaves nothing to mend here: the
caller ends the process, the next owner fences this producer's name, and Kafka brings the work again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.contract.record import Out

BATCH_BYTES_MAX = 900_000
"""Below the broker's `message.max.bytes` default of 1 MiB with room for what a batch adds."""

TRANSACTION_TIMEOUT_MS = 60_000
"""As long as the broker may be away: a shorter one ends every worker whose transaction was open when the broker stood still.
Nobody waits for it: who takes a dead worker's shards fences it."""


class Writer:
    """Write records of many partitions in one transaction."""

    def __init__(self, kafka: Mapping[str, Any], *, transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS) -> None:
        self.name = f"w-{uuid.uuid4().hex[:20]}"
        """The transactional id: unique to the process and never used again, so whoever fences it can only hit us."""
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
        """Write ``{(topic, partition): records}`` and commit. Returns, when Kafka has committed, the offset after each's last.

        Raises KafkaError when fenced or when the transaction cannot end; nothing of it is then visible. Goes on to its end
        where the caller is cancelled: after a transaction that was left half way none could begin.
        """
        return await asyncio.shield(self._write(records))

    async def _write(self, records: Mapping[tuple[str, int], Iterable[Out]]) -> dict[tuple[str, int], int]:
        async with self._lock:
            producer = await self._started()
            builders = [(place, self._batches(producer, outs)) for place, outs in records.items()]
            await producer.begin_transaction()
            sent: list[Any] = []
            places: list[tuple[tuple[str, int], int]] = []
            # The first batch of every partition goes in without another await in between: the sender then adds all
            # partitions to the transaction in one request. One by one, the broker answers NOT_ENOUGH_REPLICAS while it
            # verifies them, and aiokafka waits its back-off each time.
            for part in (slice(0, 1), slice(1, None)):
                for place, batches in builders:
                    for batch in batches[part]:
                        sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
                        places.append((place, batch.record_count()))
            written = await asyncio.gather(*sent)
            await producer.commit_transaction()
        return {place: metadata.offset + count for (place, count), metadata in zip(places, written, strict=True)}

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
                    raise ValueError(f"a record of {len(value or b'')} bytes is larger than a batch may be ({BATCH_BYTES_MAX})")
        batch.close()
        return batches


async def fence(kafka: Mapping[str, Any], name: str) -> None:
    """Abort what the producer *name* left open, and make whatever it still tries fail."""
    producer = AIOKafkaProducer(**dict(kafka), transactional_id=name, retry_backoff_ms=10)
    await _start(producer)
    await producer.stop()


async def _start(producer: AIOKafkaProducer) -> None:
    """Start *producer*; one that can't be started lets go of what it holds."""
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
