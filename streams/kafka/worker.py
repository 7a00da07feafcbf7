"""The one loop that serves the shards of this process.

Owns when things happen: taking what arrived, probing for what else there is, deciding, committing, opening and releasing.
What a record means is the `Agent`'s, in which order records are applied is the `Shard`'s, how shards are opened and given
up is `ownership.py`'s. A fault of ours ends the process at once: nothing graceful, for the frame around us would
acknowledge what was not done, and Kafka brings the work again.
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
"""A partition that has more than this waiting is not fetched until it has less."""
RELEASE_LIMIT_S = 5.0
BROKER_LIMIT_S = 60.0
"""How long the broker may be away before the process ends."""
READY_LIMIT_S = 5.0
"""How long the broker may leave a question or a commit unanswered before the worker is not ready."""
IDLE_S = 1.0
SETTLED_S = 0.004
"""A millisecond that the broker has stamped on a record that is here is over for the broker after this, whatever clock is right."""
POLL_S = 0.005
"""How long to wait before the broker is asked again whether a shard's other topics hold something older."""


Probe = Callable[[list[tuple[str, int]]], Awaitable[Mapping[tuple[str, int], int]]]
"""Ask the broker for the last stable offsets of these partitions."""


class Worker:
    """Serve the shards that this process was assigned."""

    def __init__(self, settings: WorkerSettings, agent: Agent, meter: Meter | None = None) -> None:
        self.settings = settings
        self.meter: Meter = meter or Unmetered()
        self.agent = agent
        self.writer = Writer(settings.kafka)
        self._owned = Ownership(settings, agent, self.writer)
        self.shards = self._owned.shards
        self.epoch = 0
        """Which assignment it is: batches carry it, and those of an earlier one are dropped."""
        self.probe: Probe | None = None
        self.prepare: Callable[[], Awaitable[None]] | None = None
        """Awaited once before the first shard opens."""
        self.learn: Callable[[list[bytes | None]], Awaitable[None]] | None = None
        """Awaited with the values that arrived, before they are read: what a schema registry must be asked for."""
        self.on_room: Callable[[], None] = lambda: None
        """Called when a partition that was full has room again."""
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
        """The newest seal of each shard, and when it was first seen."""
        self._full: set[tuple[str, int]] = set()
        self._turn = 0

    # ---- what the transport calls

    @property
    def ready(self) -> bool:
        """Say whether every assigned shard is open, and the broker answers."""
        return self._held and time.monotonic() - self._answered_at < READY_LIMIT_S

    def wants(self, topic: str, partition: int) -> bool:
        """Say whether this partition has room; one that runs ahead of its shard's other topics has none."""
        shard = self.shards.get(partition)
        if shard is None:
            return False
        if shard.queued(topic) > QUEUE_RECORDS:
            self._full.add((topic, partition))
            return False
        return True

    def give(self, batch: Batch) -> None:
        """Take a batch that the agent received."""
        self._arrived.append(batch)
        self._wake.set()

    async def assign(self, numbers: set[int]) -> dict[tuple[str, int], int]:
        """Open the shards of a new assignment; return where to seek, {(topic, partition): offset}.

        May be interrupted by another rebalance, which releases what was claimed: nothing is open then, and it begins again
        with the next one.
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
        """Give the shards up: drop what is pending, let the running commit end, take the claims back.

        A commit that hangs longer than its limit ends the process: the next owner fences it.
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
        except Exception as exc:  # noqa: BLE001 -- fenced, or no broker: the claim stays and is fenced by the next owner
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
                    while self._held and await self._round():
                        pass
                    await self._committed()
                self._beat()
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 -- fenced, failed send, hole: ours, and fatal
            end_process("worker_failed", f"{type(exc).__name__}", exc)

    async def _wait(self) -> None:
        """Sleep until something arrived, a deadline comes, or a beat is due."""
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

    async def _round(self) -> bool:
        """Take, probe, decide, and hand over to the commit, once. Returns whether there is more to do at once.

        A commit runs while the next round decides: both need the one core that Python has, and the broker's answers are
        waited for meanwhile. There is never more than one commit on its way.
        """
        if self.learn is not None and self._arrived:
            await self.learn([record.value for batch in self._arrived for record in batch.records])
        self._take()
        await self._look()
        out = Outgoing()
        left = self.settings.records_per_commit
        applied = 0
        for number, shard in self._in_turn():
            if left <= 0:
                break
            waiting = shard.waiting
            if number in self._owned.isolated:
                await self._one_alone(number, shard)
                left -= 1
                continue
            shard.apply(out, left)
            applied += waiting - shard.waiting
            left = self.settings.records_per_commit - applied
            if shard.changed:
                out.add(self.settings.state_topic, number, shard.changes())
            # The running commit needs the loop for its next request, and the consumer's thread needs the interpreter.
            await asyncio.sleep(0)
        self._make_room()
        if out:
            await self._committed()
            self._commit = asyncio.create_task(self._write(out, applied))
        elif self._commit is not None and not self._arrived:
            await self._committed()
        return bool(self._arrived) or (applied > 0 and any(s.waiting for s in self.shards.values()))

    def _in_turn(self) -> list[tuple[int, Shard]]:
        """Return the shards, another one first each time: one with a backlog must not keep the others waiting."""
        shards = list(self.shards.items())
        self._turn += 1
        first = self._turn % len(shards) if shards else 0
        return shards[first:] + shards[:first]

    async def _write(self, records: Outgoing, applied: int) -> None:
        began = time.monotonic()
        await self._owned.write(records)
        self.meter.committed(time.monotonic() - began, applied)
        for shard in self.shards.values():
            self.meter.counted(shard)
        self._beat()

    async def _committed(self) -> None:
        """Wait for the commit on its way. Raises what it raised, TimeoutError where the broker is away for too long."""
        if self._commit is not None:
            async with asyncio.timeout(BROKER_LIMIT_S):
                await self._commit
            self._commit = None
            self._answered_at = time.monotonic()

    def _take(self) -> None:
        while self._arrived:
            batch = self._arrived.popleft()
            shard = self.shards.get(batch.partition)
            if shard is not None and batch.epoch == self.epoch:
                shard.arrived(batch)

    async def _look(self) -> None:
        """Probe, where a shard has records beyond its limit or a deadline that is due."""
        settings = self.settings
        wall = int(time.time() * 1000) - settings.clock_skew_ms
        story = settings.clock.to_story(wall)
        asking = [s for s in self.shards.values() if s.wants_probe or s.due(story)]
        if not asking or self.probe is None:
            if self._commit is None:
                self._answered_at = time.monotonic()
            return
        sealed = {s.number: self._seal(s) for s in asking}
        try:
            ends = await self.probe([(t, s.number) for s in asking for t in self.agent.inbound])
        except KafkaError as exc:
            # No answer is no knowledge: nothing is drained. The broker may be away for a while, but not for ever.
            away = exc.retriable or isinstance(exc, KafkaTimeoutError)
            if not away or time.monotonic() - self._answered_at > BROKER_LIMIT_S:
                raise
            log.warning("probe_unanswered", reason=type(exc).__name__)
            await asyncio.sleep(0.1)
            return
        self._answered_at = time.monotonic()
        self._take()
        for s in asking:
            s.probed({t: ends[t, s.number] for t in self.agent.inbound}, sealed[s.number], wall)

    def _seal(self, shard: Shard) -> int:
        key, now = shard.seal(), time.monotonic()
        if self._sealed.get(shard.number, (None, now))[0] != key:
            self._sealed[shard.number] = (key, now)
        return shard.seal(settled=now - self._sealed[shard.number][1] > SETTLED_S)

    async def _one_alone(self, number: int, shard: Shard) -> None:
        """Take one step of a shard that is isolated.

        Its own commit ends before anything else is decided: else another shard's record could end the process while this
        one's marker stands, and the wrong one would be set aside.
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
