"""What an operator sees and does about positions: show them, and accept that records are lost.

Owns the way out that `opening.check_positions` names when a position no longer fits its topic. It writes as a claimant
does, so a worker that still serves the shard is fenced and ends. Never moves a position that fits: what was applied would
be applied again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.contract.record import Out
from streams.kafka.opening import PositionLost, check_positions, open_shards, read_positions
from streams.kafka.transactions import Writer
from streams.shard.claims import CLAIM, POSITION
from streams.shard.state_log import StateLog


class Position(NamedTuple):
    """Where a shard stands in one of its topics; `begin` and `end` are what the topic holds now."""

    topic: str
    shard: int
    position: int | None
    begin: int
    end: int

    @property
    def lag(self) -> int:
        """How many offsets lie between the position and the end."""
        return max(0, self.end - (self.begin if self.position is None else self.position))

    @property
    def outside(self) -> bool:
        return self.position is not None and not self.begin <= self.position <= self.end


class Accepted(NamedTuple):
    """What accepting a loss did. `skipped` offsets were deleted before they were applied."""

    topic: str
    shard: int
    before: int
    after: int
    skipped: int


async def show_positions(kafka: Mapping[str, Any], state_topic: str, inbound: Sequence[str], partitions: int) -> list[Position]:
    """Return every shard's positions as they were committed, without claiming anything. Raises KafkaError."""
    states = [StateLog(number, {}) for number in range(partitions)]
    await read_positions(kafka, state_topic, states)
    begins, ends = await _limits(kafka, [TopicPartition(topic, number) for number in range(partitions) for topic in inbound])
    return [
        Position(topic, s.number, s.positions[topic][0] if topic in s.positions else None, begins[tp], ends[tp])
        for s in states
        for topic in inbound
        for tp in (TopicPartition(topic, s.number),)
    ]


async def accept_loss(kafka: Mapping[str, Any], state_topic: str, topic: str, partition: int) -> Accepted | None:
    """Move the position of *topic* in shard *partition* to what is there; None where it fits, or there is none.

    Raises ShardLost where a worker claimed the shard meanwhile, TimeoutError, KafkaError.
    """
    writer = Writer(kafka)
    state = StateLog(partition, {})
    try:
        await open_shards(kafka, state_topic, [state], writer)
        accepted = None
        try:
            await check_positions(kafka, [state], [topic])
        except PositionLost:
            before, newest_ms = state.positions[topic]
            after, skipped = await _where_to_go_on(kafka, TopicPartition(topic, partition), before, newest_ms)
            accepted = Accepted(topic, partition, before, after, skipped)
        moved = [] if accepted is None else [Out(POSITION + topic.encode(), b"%d %d" % (accepted.after, state.positions[topic][1]))]
        await writer.write({(state_topic, partition): [*moved, Out(CLAIM + writer.name.encode(), None)]})
    finally:
        await writer.stop()
    return accepted


async def _limits(kafka: Mapping[str, Any], tps: list[TopicPartition]) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False, isolation_level="read_committed")
    try:
        await consumer.start()
        return await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    finally:
        await consumer.stop()


async def _where_to_go_on(kafka: Mapping[str, Any], tp: TopicPartition, position: int, newest_ms: int) -> tuple[int, int]:
    """Return the position to go on from and how many offsets are skipped.

    Deleted below: the beginning. Made again: its beginning too, for all of it is newer than what was applied. Cut off at its
    end (an unclean election): after what was applied, for the same reason.
    """
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False, isolation_level="read_committed")
    try:
        await consumer.start()
        begin = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        if position < begin:
            return begin, begin - position
        if newest_ms <= 0:
            return begin, 0
        newer = (await consumer.offsets_for_times({tp: newest_ms + 1}))[tp]
        return (end if newer is None else max(begin, newer.offset)), 0
    finally:
        await consumer.stop()
