"""A replacement for Faust's consumer, in which a fetched batch of one partition is one message.

Owns which parts of Faust are replaced, and why: Faust's per-event path costs 180 µs per event and can lose events in thirteen
known ways, and its committed group offsets are not this project's positions. The rest of Faust is used as it is: group
membership, rebalances, agents and supervision. `tests/streams/test_rests_on.py` checks every private name of Faust and
aiokafka that is used here, so an incompatible release fails in the tests and not in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import aiokafka
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.assignor.partition_assignor import PartitionAssignor
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.kafka.ending import end_process
from streams.kafka.fetcher import Fetched, drain, reconsider
from streams.kafka.worker import Worker
from streams.shard.order import Batch

RECORDS_PER_BATCH = 1000
FETCH_WAIT_MS = 500
BUSY_FETCH_WAIT_MS = 20
"""The wait time of a fetch while records arrive. A partition whose queue has room again waits for the end of this fetch."""
PREFETCH_MS = 50
"""If the fetched records of a partition stay unread for this time, the next fetch leaves that partition out."""
ENDS_TIMEOUT_MS = 5_000
"""After this time a probe (a request for end offsets) is sent again, so that a lost answer does not block the worker."""
PACE_S = 0.004
"""The pause between two fetches. Records that arrive during the pause form one batch, which needs a third of the CPU at low rates."""


class Assignor(PartitionAssignor):  # type: ignore[misc]
    """Faust's assignor, changed so that it always assigns partition *i* of all topics to the same worker.

    Faust groups topics by the iteration order of a set of subscribers. Two different orders of the same set would split the
    topics into two groups, and so split a shard between two workers.
    """

    @classmethod
    def _group_co_subscribed(cls, topics: set[str], subscriptions: Mapping[str, Sequence[str]]) -> Iterable[set[str]]:
        groups: MutableMapping[frozenset[str], set[str]] = defaultdict(set)
        for topic in topics:
            groups[frozenset(c for c, subscribed in subscriptions.items() if topic in subscribed)].add(topic)
        return groups.values()


class PassThrough(Schema):  # type: ignore[misc]
    """A schema that does not decode: the message's value is the batch object that the agent expects."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> None:  # noqa: ARG002
        return None

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:  # noqa: ARG002
        return message.value


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that runs aiokafka's consumer."""

    _waiter: asyncio.Future[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 -- Faust's signature
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **self.app.kafka,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_bytes=16 << 20,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            consumer_timeout_ms=PREFETCH_MS,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
        )

    async def fetch(self, wanted: set[TP], timeout_s: float, is_current: Callable[[], bool]) -> list[Fetched]:
        """Return the fetched records of *wanted*, [(partition, from, to, records)]; wait up to *timeout_s* (s) for them.

        Return nothing if the assignment has changed meanwhile (`is_current` is false): the records then belong to the next
        assignment, but the caller would label them with the epoch of the previous one, and they would be dropped.
        If a fetch only moved the position past aborted records or markers, its entry has no records.
        """
        consumer = self._ensure_consumer()
        # Without a fetch for `max_poll_interval_ms`, aiokafka leaves the group and does not rejoin. This counts as a fetch.
        with consumer._subscription.fetch_context():  # noqa: SLF001
            return await self._fetched(consumer, wanted, timeout_s, is_current)

    async def _fetched(
        self, consumer: aiokafka.AIOKafkaConsumer, wanted: set[TP], timeout_s: float, is_current: Callable[[], bool]
    ) -> list[Fetched]:
        fetcher = consumer._fetcher  # noqa: SLF001
        until = time.monotonic() + timeout_s
        while True:
            if consumer._closed or fetcher._closed:  # noqa: SLF001
                raise ConsumerStoppedError
            if not self.consumer.flow_active or not is_current():
                return []
            found = drain(fetcher, wanted, RECORDS_PER_BATCH)
            left = until - time.monotonic()
            if found:
                fetcher._fetch_max_wait_ms = BUSY_FETCH_WAIT_MS  # noqa: SLF001
            elif left <= 0:
                fetcher._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
                reconsider(fetcher)
            if found or left <= 0:
                return found
            waiter = self._waiter = fetcher._create_fetch_waiter()  # noqa: SLF001
            try:
                await asyncio.wait([waiter], timeout=left)
            finally:
                self._waiter = None
                if not waiter.done():
                    waiter.cancel()
            if not waiter.cancelled():
                waiter.result()

    async def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run *coroutine* in this thread and await its result in the worker's loop.

        This bypasses Faust's call queue, which runs only two calls at a time; a waiting fetch would occupy one of them.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop))

    def wake(self) -> None:
        """Wake a waiting `fetch`. May be called from any thread."""
        with contextlib.suppress(RuntimeError):
            self.thread_loop.call_soon_threadsafe(self._finish_waiting)

    def _finish_waiting(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def seek_all(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(TopicPartition(*tp), offset)
        reconsider(consumer._fetcher)  # noqa: SLF001

    async def publish_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit group offsets, for lag monitoring tools only: this project never reads them."""
        consumer = self._ensure_consumer()
        with contextlib.suppress(KafkaError, AssertionError):
            assigned = consumer.assignment()
            await consumer.commit({TopicPartition(*tp): OffsetAndMetadata(o, "") for tp, o in offsets.items() if tp in assigned})


class _Ends:
    """Requests last stable offsets over a separate connection.

    A broker answers the requests of one connection in order. On the consumer's connection, the answer would be delayed
    by a fetch that waits for records.
    """

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._kafka = kafka
        self._consumer: aiokafka.AIOKafkaConsumer | None = None

    async def __call__(self, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        if self._consumer is None:
            consumer = aiokafka.AIOKafkaConsumer(
                **self._kafka,
                enable_auto_commit=False,
                isolation_level="read_committed",
                retry_backoff_ms=10,
                request_timeout_ms=ENDS_TIMEOUT_MS,
            )
            await consumer.start()
            self._consumer = consumer
        ends = await self._consumer.end_offsets([TopicPartition(*partition) for partition in partitions])
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Delivers batches. Opens the shards when Faust would seek, and releases them when Faust revokes partitions."""

    _ends: _Ends | None = None

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _worker(self) -> Worker:
        worker: Worker = self.app.shard_worker
        return worker

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ARG002, ASYNC109 -- Faust's signature
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        generation, worker = self.app.consumer_generation_id, self._worker
        epoch = worker.epoch
        wanted = {tp for tp in self._get_active_partitions() if worker.should_fetch(*tp)}
        if not wanted:
            await asyncio.sleep(PACE_S)
            return
        found = await self._thread.run(self._thread.fetch(wanted, 0.5, lambda: worker.epoch == epoch))
        for partition, start, stop, records in found:
            tp = TP(*partition)
            if self.should_stop or not self.flow_active or self.app.consumer_generation_id != generation:
                return
            offset = stop - 1
            # Prevents Faust from detecting a gap in the offsets: the shard, not Faust, owns the positions.
            self._read_offset[tp] = offset
            batch = Batch(tp.topic, tp.partition, start, stop, records, epoch)
            yield (
                tp,
                ConsumerMessage(
                    tp.topic, tp.partition, offset, time.time(), 1, [], None, batch, None, None, None, tp, generation_id=generation
                ),
            )
        await asyncio.sleep(PACE_S)

    def ack(self, message: Any) -> bool:
        """Discard the message. Faust need not track acknowledged offsets, because the positions are in the state topic."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:  # noqa: ARG002
        return True

    async def perform_seek(self) -> None:
        worker = self._worker
        thread = self._thread
        assigned = self.assignment()
        inbound = set(worker.agent.inbound)
        numbers = {tp.partition for tp in assigned if tp.topic in inbound}
        split = sorted(n for n in numbers if not all(TP(t, n) in assigned for t in inbound))
        if split:
            end_process(
                "shards_split", f"partitions {split} are not assigned for every inbound topic. Check that all workers run the same release"
            )

        if self._ends is None:
            self._ends = _Ends(self.app.kafka)
        worker.probe = self._ends
        worker.on_room = thread.wake
        try:
            seeks = {TP(*partition): offset for partition, offset in (await worker.assign(numbers)).items()}
            await thread.run(thread.seek_all(seeks))
            self._read_offset.update(dict.fromkeys(seeks))
        except asyncio.CancelledError:
            raise  # Another rebalance has begun, and will open the shards again.
        except BaseException as exc:  # noqa: BLE001 -- Faust would log it and continue
            end_process("open_failed", f"{type(exc).__name__}: {exc}", code=4)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self._worker.release()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        await super().on_stop()
        if self._ends is not None:
            await self._ends.stop()

    async def publish_offsets(self) -> None:
        """Commit the shards' positions as group offsets, so that lag monitoring tools can see them."""
        offsets = {TP(t, n): p for n, shard in self._worker.shards.items() for t, p in shard.positions.items()}
        if offsets:
            await self._thread.run(self._thread.publish_offsets(offsets))


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport, with `BatchConsumer` as its consumer."""

    Consumer = BatchConsumer
