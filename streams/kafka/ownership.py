"""Open, write and release the shards that this process owns.

Owns this process's claims, the offset up to which it has read each shard's state, and the state it keeps after a release, in
case the shard is assigned to it again. `opening.py` executes the claim protocol; `worker.py` applies records to the shards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.base.clock import Clock
from streams.contract.record import Out
from streams.kafka.opening import check_positions, open_shards
from streams.kafka.transactions import Writer
from streams.shard.agent import Agent
from streams.shard.claims import ATTEMPT, CLAIM
from streams.shard.isolation import Isolation, attempt, isolation_of
from streams.shard.shard import Shard
from streams.shard.state_log import StateLog


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings of a worker."""

    kafka: Mapping[str, Any]
    """The connection arguments of aiokafka's clients."""
    state_topic: str
    partitions: int
    clock: Clock = field(default_factory=Clock)
    clock_skew_ms: int = 100
    """The allowance for the clock difference between this machine and the broker, and for the time until an append is visible.
    Deadlines fire later by this time; records are not delayed."""
    restore_limit_s: float = 80.0
    records_per_commit: int = 4000
    """The maximum number of records applied in one transaction. A higher number needs more memory, a lower one more transactions."""


class Ownership:
    """The open shards of this process and their claims."""

    def __init__(self, settings: WorkerSettings, agent: Agent, writer: Writer) -> None:
        self._settings = settings
        self._agent = agent
        self._writer = writer
        self.shards: dict[int, Shard] = {}
        self.isolated: dict[int, Isolation] = {}
        """The isolation of each isolated shard in `shards`."""
        self._kept: dict[int, tuple[Shard, int]] = {}
        """The released shards, with the offset up to which each was read. If a shard is assigned again, reading continues there."""
        self._read_to: dict[int, int] = {}
        """An offset for each shard: this process has read or written all records of the shard's state partition below it."""
        self._claimed: set[int] = set()
        """The shards for which this process has written a claim and no tombstone yet, including those that were never opened."""

    async def open(self, numbers: set[int], beat: Callable[[], None]) -> list[StateLog]:
        """Replace the open shards with the shards of a new assignment; return the state that was read for each.

        Raises the exceptions of `open_shards` and `check_positions`. May be cancelled; `release` then releases the claims.
        """
        self.shards.clear()
        states = [self._initial_state(number) for number in sorted(numbers)]
        self._kept.clear()
        if states:
            self._claimed.update(numbers)
            settings = self._settings
            await open_shards(settings.kafka, settings.state_topic, states, self._writer, beat=beat, limit_s=settings.restore_limit_s)
            positions = await check_positions(settings.kafka, states, self._agent.inbound)
            for state in states:
                await self._open(state, positions[state.number])
        return states

    async def release(self) -> list[int]:
        """Write tombstones for the claims; return the shards that were claimed.

        Raises KafkaError. The claims then remain, and the next owner fences this worker.
        """
        shards = dict(self.shards)
        self.shards.clear()
        claimed = sorted(self._claimed)
        if claimed:
            tombstone = Out(CLAIM + self._writer.name.encode(), None)
            # Reset the crash count only of opened shards: releasing a shard that was never opened is not a success.
            await self._writer.write(
                {(self._settings.state_topic, n): [tombstone, Out(ATTEMPT, None)] if n in shards else [tombstone] for n in claimed}
            )
            self._claimed.clear()
            for number, shard in shards.items():
                self._kept[number] = (shard, self._read_to.get(number, 0))
        return claimed

    async def write(self, records: Mapping[tuple[str, int], Sequence[Out]]) -> None:
        """Commit *records*. Raises KafkaError."""
        for (topic, number), end in (await self._writer.write(records)).items():
            # A gap between this commit and the previous one means that another worker has written a claim. Do not advance past
            # it: if the shard is assigned to this process again, it must read that claim, so that it fences the other worker.
            if topic == self._settings.state_topic and end - len(records[topic, number]) == self._read_to[number] + 1:
                self._read_to[number] = end

    def _initial_state(self, number: int) -> StateLog:
        """Return the state of a shard before it is read: empty, or what was kept at its release."""
        kept = self._kept.pop(number, None)
        state = StateLog(number, kept[0].persons if kept else {})
        if kept:
            state.read_to = kept[1]
            state.positions = {t: (p, kept[0].newest_ms.get(t, 0)) for t, p in kept[0].positions.items()}
        return state

    async def _open(self, state: StateLog, positions: Mapping[str, int]) -> None:
        number = state.number
        shard = Shard(number, self._settings.partitions, self._agent, self._settings.clock, state.persons)
        shard.restored(positions, {t: newest for t, (_, newest) in state.positions.items()})
        # Minus one, as after a commit by this process: `_read_to` does not include the transaction marker.
        self._read_to[number] = state.read_to - 1
        attempts, first = attempt(state, positions)
        if not state.positions:
            shard.moved.update(self._agent.inbound)
            first.extend(shard.changes())
        if first:
            await self.write({(self._settings.state_topic, number): first})
        self.isolated.pop(number, None)
        isolation = isolation_of(state, attempts)
        if isolation is not None:
            self.isolated[number] = isolation
        self.shards[number] = shard
