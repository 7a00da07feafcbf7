"""The operator's commands for positions: show them, and accept the loss of records.

Owns the remedy that `opening.check_positions` suggests if a position does not match its topic. The remedy first claims the
shard, which fences and ends a worker that still owns it. It never moves a position that matches its topic, because then
records would be applied twice or skipped.
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
    """The position of a shard in one of its topics, and the topic's current offsets [`begin`, `end`)."""

    topic: str
    shard: int
    position: int | None
    begin: int
    end: int

    @property
    def lag(self) -> int:
        """How many offsets lie between the position and the end of the topic."""
        return max(0, self.end - (self.begin if self.position is None else self.position))

    @property
    def outside(self) -> bool:
        return self.position is not None and not self.begin <= self.position <= self.end


class Accepted(NamedTuple):
    """The result of accepting a loss. `skipped` is the number of offsets that were deleted before they were applied."""

    topic: str
    shard: int
    before: int
    after: int
    skipped: int


async def show_positions(kafka: Mapping[str, Any], state_topic: str, inbound: Sequence[str], partitions: int) -> list[Position]:
    """Return the committed positions of every shard, without claiming a shard. Raises KafkaError."""
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
    """Move the position of *topic* in shard *partition* to an offset that exists. Return None if no move is needed.

    Raises ShardLost if a worker claims the shard at the same time, TimeoutError, KafkaError.
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
            after, skipped = await _new_position(kafka, TopicPartition(topic, partition), before, newest_ms)
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


async def _new_position(kafka: Mapping[str, Any], tp: TopicPartition, position: int, newest_ms: int) -> tuple[int, int]:
    """Return the position to continue from and the number of offsets that are skipped.

    If records were deleted, this is the first offset of the topic. Otherwise, the topic was created again, or it lost its last
    records after an unclean leader election. Then this is the offset of the first record newer than *newest_ms* (ms), the
    append time of the newest record that was applied. In a topic that was created again, that is the first record.
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
