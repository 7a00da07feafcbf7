"""The shards that this process owns: opened, written to, and released.

Owns the claims of this process, up to where it has read each shard's state, and what it keeps of a shard for coming back.
`opening.py` carries the claim protocol out; what a shard does with records is the loop's (`worker.py`).
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
    """What a worker needs to know of its deployment."""

    kafka: Mapping[str, Any]
    """Connection arguments of aiokafka's clients."""
    state_topic: str
    partitions: int
    clock: Clock = field(default_factory=Clock)
    clock_skew_ms: int = 100
    """How far this machine's clock may be ahead of the broker's, and how long an append may take to become visible. A deadline
    fires this much later; records do not wait for it."""
    restore_limit_s: float = 80.0
    records_per_commit: int = 4000
    """Records applied in one transaction, at most: more cost memory, fewer cost transactions."""


class Ownership:
    """The open shards, and the way in and out."""

    def __init__(self, settings: WorkerSettings, agent: Agent, writer: Writer) -> None:
        self._settings = settings
        self._agent = agent
        self._writer = writer
        self.shards: dict[int, Shard] = {}
        self.isolated: dict[int, Isolation] = {}
        """The shards among them that go on one step at a time."""
        self._kept: dict[int, tuple[Shard, int]] = {}
        """Shards that were released, with up to where each was read: one that comes back reads on from there."""
        self._read_to: dict[int, int] = {}
        """Up to where each shard's partition of the state topic was read, or written by nobody else."""
        self._claimed: set[int] = set()
        """Shards whose claims were written and not taken back, also those that never came to be open."""

    async def open(self, numbers: set[int], beat: Callable[[], None]) -> list[StateLog]:
        """Open the shards of a new assignment in place of those that are open; return what was read of each.

        Raises what `open_shards` and `check_positions` raise. May be cancelled: what was claimed by then is released by `release`.
        """
        self.shards.clear()
        states = [self._known(number) for number in sorted(numbers)]
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
        """Take the claims back; return the shards that were claimed. Raises KafkaError: the next owner fences this worker then."""
        shards = dict(self.shards)
        self.shards.clear()
        claimed = sorted(self._claimed)
        if claimed:
            tombstone = Out(CLAIM + self._writer.name.encode(), None)
            # A shard that never came to be open says nothing of how its last owner ended.
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
            # Where something else lies between this commit and the one before, it is another's claim: a shard that comes back
            # must read it, or its owner would not be fenced.
            if topic == self._settings.state_topic and end - len(records[topic, number]) == self._read_to[number] + 1:
                self._read_to[number] = end

    def _known(self, number: int) -> StateLog:
        """Return what is known of a shard before it is read."""
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
        # One back, as after a commit of one's own, whose marker comes after its last record.
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
