"""The worker: the loop that applies records to the shards of this process.

Owns when things happen: queueing batches, probing, deciding, committing, opening and releasing. The `Agent` decides what a
record means, the `Shard` decides the order of records, and `ownership.py` opens and releases shards. An internal error ends
the process immediately, so that records that were not applied are read again from Kafka. A graceful shutdown of Faust would
acknowledge them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka.errors import KafkaError, KafkaTimeoutError

from streams.contract.record import Outgoing
from streams.kafka.ending import end_process
from streams.kafka.meter import Meter, Unmetered
from streams.kafka.ownership import Ownership, WorkerSettings
from streams.kafka.transactions import Writer
from streams.shard.agent import Agent
from streams.shard.deadlines import NEVER
from streams.shard.order import Batch
from streams.shard.shard import Shard

__all__ = ["Worker", "WorkerSettings"]

log = structlog.get_logger()

QUEUE_RECORDS = 1500
"""A partition with more than this number of queued records is not fetched."""
RELEASE_LIMIT_S = 5.0
BROKER_LIMIT_S = 60.0
"""How long the broker may be unavailable before the process ends."""
READY_LIMIT_S = 5.0
"""How long a probe or a commit may remain unanswered before the worker is not ready."""
IDLE_S = 1.0
SETTLED_S = 0.004
"""The time after which the millisecond of a received append time has passed on the broker, even if the clocks differ slightly."""
POLL_S = 0.005
"""The pause between two probes while a shard cannot yet tell whether its other topics contain older records."""


Probe = Callable[[list[tuple[str, int]]], Awaitable[Mapping[tuple[str, int], int]]]
"""Returns the last stable offsets of the given partitions, as the broker reports them."""


class Worker:
    """Applies records and deadlines to the shards that are assigned to this process."""

    def __init__(self, settings: WorkerSettings, agent: Agent, meter: Meter | None = None) -> None:
        self.settings = settings
        self.meter: Meter = meter or Unmetered()
        self.agent = agent
        self.writer = Writer(settings.kafka)
        self._owned = Ownership(settings, agent, self.writer)
        self.shards = self._owned.shards
        self.epoch = 0
        """The number of the assignment. Each batch carries it, and batches of an earlier assignment are dropped."""
        self.probe: Probe | None = None
        self.prepare: Callable[[], Awaitable[None]] | None = None
        """Awaited once before the first shard opens."""
        self.learn: Callable[[list[bytes | None]], Awaitable[None]] | None = None
        """Awaited with the values of new records before they are decoded, to fetch unknown schemas from the registry."""
        self.on_room: Callable[[], None] = lambda: None
        """Called when a partition whose queue was full has room again."""
        self.progressed_at = time.monotonic()
        self._arrived: deque[Batch] = deque()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._held = False
        self._opening: asyncio.Task[dict[tuple[str, int], int]] | None = None
        self._commit: asyncio.Task[None] | None = None
        self._answered_at = time.monotonic()
        self._sealed: dict[int, tuple[int, float]] = {}
        """The newest result of `Shard.seal` for each shard, and the time when it was first returned."""
        self._full: set[tuple[str, int]] = set()
        self._rounds = 0

    # ---- what the transport calls

    @property
    def ready(self) -> bool:
        """Whether every assigned shard is open and the broker answers."""
        return self._held and time.monotonic() - self._answered_at < READY_LIMIT_S

    def should_fetch(self, topic: str, partition: int) -> bool:
        """Return whether to fetch this partition. It is not fetched while its queue is full."""
        shard = self.shards.get(partition)
        if shard is None:
            return False
        if shard.queued(topic) > QUEUE_RECORDS:
            self._full.add((topic, partition))
            return False
        return True

    def enqueue(self, batch: Batch) -> None:
        """Queue a batch from the transport."""
        self._arrived.append(batch)
        self._wake.set()

    async def assign(self, numbers: set[int]) -> dict[tuple[str, int], int]:
        """Open the shards of a new assignment; return the offsets to seek to, {(topic, partition): offset}.

        Another rebalance may interrupt this and release the claims. Then no shard is open, the result is empty, and the next
        assignment opens the shards.
        """
        opening = self._opening = asyncio.create_task(self._open_all(numbers))
        try:
            return await opening
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            log.info("opening_interrupted", shards=sorted(numbers))
            return {}
        finally:
            self._opening = None

    async def _open_all(self, numbers: set[int]) -> dict[tuple[str, int], int]:
        began = time.monotonic()
        async with self._lock:
            if self.prepare is not None:
                await self.prepare()
                self.prepare = None
            self.epoch += 1
            self._arrived.clear()
            self._held = False
            self.meter.opened(0)
            states = await self._owned.open(numbers, self._beat)
            self._held = True
            self._answered_at = time.monotonic()
            seeks = {(t, n): shard.reached(t) for n, shard in self.shards.items() for t in self.agent.inbound}
        took = time.monotonic() - began
        self.meter.opened(len(self.shards), took)
        log.info(
            "shards_opened",
            shards=sorted(numbers),
            records=sum(s.records for s in states),
            people=sum(len(s.persons) for s in self.shards.values()),
            seconds=round(took, 2),
            fenced=sorted({name for s in states for name in s.fenced}),
        )
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        self._wake.set()
        return seeks

    async def release(self) -> None:
        """Release the shards: drop the queued batches, wait for the running commit, and write tombstones for the claims.

        If the commit takes longer than RELEASE_LIMIT_S, the process ends, and the next owner fences it.
        """
        self._held = False
        self.epoch += 1
        self._arrived.clear()
        if self._opening is not None:
            self._opening.cancel()
        try:
            async with asyncio.timeout(RELEASE_LIMIT_S):
                async with self._lock:
                    await self._committed()
                    self.meter.opened(0)
                    released = await self._owned.release()
        except TimeoutError:
            end_process("release_timeout", "the running commit did not end in time; the next owner fences this worker")
        except Exception as exc:  # noqa: BLE001 -- fenced, or no broker: the claim remains, and the next owner fences it
            end_process("release_failed", type(exc).__name__)
        if released:
            log.info("shards_released", shards=released)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.writer.stop()

    # ---- the loop

    async def _serve(self) -> None:
        try:
            while True:
                await self._wait()
                async with self._lock:
                    while self._held and await self._process():
                        pass
                    await self._committed()
                self._beat()
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 -- fenced, failed commit, offset gap: all are fatal
            end_process("worker_failed", f"{type(exc).__name__}", exc)

    async def _wait(self) -> None:
        """Sleep until a batch arrives, a deadline is due, or IDLE_S has passed."""
        pause = IDLE_S
        due = min((s.next_due for s in self.shards.values()), default=NEVER)
        if due < NEVER:
            until = self.settings.clock.to_broker(due) + self.settings.clock_skew_ms + 1 - time.time() * 1000
            pause = min(pause, max(until / 1000, POLL_S))
        if any(s.waiting for s in self.shards.values()):
            pause = min(pause, POLL_S)
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _process(self) -> bool:
        """Queue batches, probe, decide and start a commit, once each. Return whether there is more to do now.

        The commit runs while the next call decides: Python runs on one core only, and a commit mostly waits for the broker.
        At most one commit is in progress.
        """
        if self.learn is not None and self._arrived:
            await self.learn([record.value for batch in self._arrived for record in batch.records])
        self._queue_batches()
        await self._probe_if_needed()
        out = Outgoing()
        left = self.settings.records_per_commit
        applied = 0
        for number, shard in self._rotated():
            if left <= 0:
                break
            waiting = shard.waiting
            if number in self._owned.isolated:
                await self._step_isolated(number, shard)
                left -= 1
                continue
            shard.apply(out, left)
            applied += waiting - shard.waiting
            left = self.settings.records_per_commit - applied
            if shard.changed:
                out.add(self.settings.state_topic, number, shard.changes())
            # Let the running commit send its next request, and let the consumer's thread run.
            await asyncio.sleep(0)
        self._make_room()
        if out:
            await self._committed()
            self._commit = asyncio.create_task(self._write(out, applied))
        elif self._commit is not None and not self._arrived:
            await self._committed()
        return bool(self._arrived) or (applied > 0 and any(s.waiting for s in self.shards.values()))

    def _rotated(self) -> list[tuple[int, Shard]]:
        """Return the shards, starting with a different one each time, so that one with a backlog does not block the others."""
        shards = list(self.shards.items())
        self._rounds += 1
        first = self._rounds % len(shards) if shards else 0
        return shards[first:] + shards[:first]

    async def _write(self, records: Outgoing, applied: int) -> None:
        began = time.monotonic()
        await self._owned.write(records)
        self.meter.committed(time.monotonic() - began, applied)
        for shard in self.shards.values():
            self.meter.counted(shard)
        self._beat()

    async def _committed(self) -> None:
        """Wait for the commit in progress. Raises its exception, or TimeoutError if the broker is unavailable for too long."""
        if self._commit is not None:
            async with asyncio.timeout(BROKER_LIMIT_S):
                await self._commit
            self._commit = None
            self._answered_at = time.monotonic()

    def _queue_batches(self) -> None:
        while self._arrived:
            batch = self._arrived.popleft()
            shard = self.shards.get(batch.partition)
            if shard is not None and batch.epoch == self.epoch:
                shard.arrived(batch)

    async def _probe_if_needed(self) -> None:
        """Probe if a shard has records that it may not apply yet, or a deadline that may be due."""
        settings = self.settings
        wall = int(time.time() * 1000) - settings.clock_skew_ms
        story = settings.clock.to_story(wall)
        asking = [s for s in self.shards.values() if s.needs_probe or s.due(story)]
        if not asking or self.probe is None:
            if self._commit is None:
                self._answered_at = time.monotonic()
            return
        sealed = {s.number: self._seal(s) for s in asking}
        try:
            ends = await self.probe([(t, s.number) for s in asking for t in self.agent.inbound])
        except KafkaError as exc:
            # Without an answer, no topic is known to be complete. The worker waits for the broker, but not longer than the limit.
            unavailable = exc.retriable or isinstance(exc, KafkaTimeoutError)
            if not unavailable or time.monotonic() - self._answered_at > BROKER_LIMIT_S:
                raise
            log.warning("probe_unanswered", reason=type(exc).__name__)
            await asyncio.sleep(0.1)
            return
        self._answered_at = time.monotonic()
        self._queue_batches()
        for s in asking:
            s.probed({t: ends[t, s.number] for t in self.agent.inbound}, sealed[s.number], wall)

    def _seal(self, shard: Shard) -> int:
        key, now = shard.seal(), time.monotonic()
        if self._sealed.get(shard.number, (None, now))[0] != key:
            self._sealed[shard.number] = (key, now)
        return shard.seal(settled=now - self._sealed[shard.number][1] > SETTLED_S)

    async def _step_isolated(self, number: int, shard: Shard) -> None:
        """Run one step of an isolated shard, and wait for its commit before anything else is decided.

        Otherwise a record of another shard could end the process while the marker of this step exists, and this step would
        be skipped although it was not the cause.
        """
        await self._committed()
        topic, isolation = self.settings.state_topic, self._owned.isolated[number]
        waiting = shard.waiting
        out = Outgoing()
        state = await isolation.step(shard, out, lambda marker: self._owned.write({(topic, number): [marker]}))
        if isolation.done:
            del self._owned.isolated[number]
        out.add(topic, number, state)
        if out:
            await self._write(out, waiting - shard.waiting)

    def _make_room(self) -> None:
        for topic, partition in list(self._full):
            shard = self.shards.get(partition)
            if shard is None or shard.queued(topic) <= QUEUE_RECORDS // 2:
                self._full.discard((topic, partition))
                self.on_room()

    def _beat(self) -> None:
        self.progressed_at = time.monotonic()
