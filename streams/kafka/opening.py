"""Open shards: execute the claim protocol on Kafka, read the state, and check the positions.

Owns how the state topic is read. `streams/shard/claims.py` decides each step of the protocol and who owns a shard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.contract.record import Out
from streams.kafka.fetcher import drain, reconsider
from streams.kafka.transactions import Writer, fence
from streams.shard.claims import CLAIM, Act, next_step
from streams.shard.state_log import StateLog

PATIENCE_S = 1.0
"""If this worker's claim is not visible after this time, another worker's open transaction hides it."""
RECORDS_AT_ONCE = 5_000
RETRY_MS = 5
"""`end_offsets` fetches the metadata of only one more topic per retry. At 100 ms per retry, nine topics took a second."""
FETCH_BYTES = 2 << 20
"""Bytes per fetch and partition. A larger fetch is not faster, and the fetch being read and the next one are both in memory."""


class ShardLost(Exception):  # noqa: N818 -- it names what happened, and ends the process
    """Another worker claimed the shard after this one."""


class PositionLost(Exception):  # noqa: N818 -- it names what happened, and ends the process
    """A position does not match its topic: records were deleted before they were applied, or the topic was created again."""


async def open_shards(
    kafka: Mapping[str, Any],
    state_topic: str,
    states: Sequence[StateLog],
    writer: Writer,
    *,
    beat: Callable[[], None] = lambda: None,
    limit_s: float = 80.0,
) -> None:
    """Claim the shards of *states* for *writer*, and read each until its state is complete and *writer* owns it.

    A state that was partly read before continues at its `read_to`.

    Args:
        kafka: The connection arguments of aiokafka's clients.
        state_topic: The topic that holds claims and state.
        states: The shards to claim.
        writer: The producer whose transactional id is the claim.
        beat: Called after each batch, to show that the process is alive.
        limit_s: The time limit, in seconds. Faust stops waiting after 90 s and raises no error, so this must be shorter.

    Raises:
        ShardLost: Another worker claimed a shard later.
        TimeoutError: The time limit was exceeded.
        KafkaError: Kafka failed.
    """
    async with asyncio.timeout(limit_s):
        ends = await writer.write({(state_topic, s.number): [Out(CLAIM + writer.name.encode(), b"1")] for s in states})
        for state in states:
            state.claimed = ends[state_topic, state.number]
        by_partition = {TopicPartition(state_topic, s.number): s for s in states}
        settings = dict(
            kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=8 * FETCH_BYTES,
            fetch_max_wait_ms=20,
            consumer_timeout_ms=20,
            retry_backoff_ms=RETRY_MS,
        )
        committed = AIOKafkaConsumer(isolation_level="read_committed", **settings)
        uncommitted = AIOKafkaConsumer(isolation_level="read_uncommitted", **settings)
        try:
            for consumer in (committed, uncommitted):
                await consumer.start()
            # `committed` reads the state. `uncommitted` reads the ends of the log and the uncommitted claims.
            committed.assign(list(by_partition))
            begins = await committed.beginning_offsets(list(by_partition))
            for tp, state in by_partition.items():
                committed.seek(tp, max(state.read_to, begins[tp]))
            await _claim_and_read(kafka, state_topic, by_partition, writer, committed, uncommitted, beat)
        finally:
            await committed.stop()
            await uncommitted.stop()


async def _claim_and_read(  # noqa: PLR0917 -- `open_shards` is its only caller
    kafka: Mapping[str, Any],
    state_topic: str,
    by_partition: Mapping[TopicPartition, StateLog],
    writer: Writer,
    committed: AIOKafkaConsumer,
    uncommitted: AIOKafkaConsumer,
    beat: Callable[[], None],
) -> None:
    began = time.monotonic()
    fenced: set[str] = set()
    tombstoned: dict[int, set[str]] = {s.number: set() for s in by_partition.values()}
    todo = dict(by_partition)
    while todo:
        ends = await uncommitted.end_offsets(list(todo))
        stable = await committed.end_offsets(list(todo))
        await _read_to(committed, todo, stable, beat)
        tombstones: dict[tuple[str, int], list[Out]] = {}
        waiting = False
        waited_enough = time.monotonic() - began > PATIENCE_S
        for tp, state in list(todo.items()):
            step = next_step(
                writer.name,
                state.claims,
                fenced=fenced,
                tombstoned=tombstoned[state.number],
                passed=state.read_to >= state.claimed,
                stable=stable[tp] >= ends[tp],
                waited_enough=waited_enough,
            )
            if step.act is Act.LOST:
                raise ShardLost(f"shard {state.number}: another worker has claimed it")
            if step.act is Act.OPEN:
                del todo[tp]
            elif step.act is Act.FENCE:
                for name in step.names:
                    await fence(kafka, name)
                    fenced.add(name)
                    state.fenced.add(name)
            elif step.act is Act.WRITE_TOMBSTONES:
                state.fenced.update(step.names)
                tombstoned[state.number].update(step.names)
                tombstones[state_topic, state.number] = [Out(CLAIM + name.encode(), None) for name in step.names]
            else:
                waiting = True
                if waited_enough and stable[tp] < ends[tp]:
                    for name in await _uncommitted_claims(uncommitted, tp, stable[tp], ends[tp]) - fenced - {writer.name}:
                        await fence(kafka, name)
                        fenced.add(name)
        if tombstones:
            await writer.write(tombstones)
        elif waiting:
            await asyncio.sleep(0.01)


async def _uncommitted_claims(uncommitted: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> set[str]:
    """Return the transactional ids in uncommitted claims: the only trace of a worker that died while it wrote its claim."""
    uncommitted.assign([tp])
    uncommitted.seek(tp, start)
    names: set[str] = set()
    while await uncommitted.position(tp) < end:
        for records in (await uncommitted.getmany(tp, timeout_ms=100)).values():
            names.update(r.key[len(CLAIM) :].decode() for r in records if r.key.startswith(CLAIM) and r.value is not None)
    return names


async def _read_to(
    consumer: AIOKafkaConsumer, todo: Mapping[TopicPartition, StateLog], ends: Mapping[TopicPartition, int], beat: Callable[[], None]
) -> None:
    fetcher = consumer._fetcher  # noqa: SLF001 -- see `fetcher.py`
    behind = {tp for tp in todo if todo[tp].read_to < ends[tp]}
    while behind:
        found = drain(fetcher, behind, RECORDS_AT_ONCE)
        if not found:
            waiter = fetcher._create_fetch_waiter()  # noqa: SLF001
            await asyncio.wait([waiter], timeout=0.1)
            if waiter.done():
                waiter.result()
            waiter.cancel()
            reconsider(fetcher)
        for tp, _, stop, records in found:
            state = todo[tp]
            take = state.take
            persons = state.persons
            for record in records:
                key, value = record.key, record.value
                # Almost all records are persons, so they are handled here without the call of `take`.
                if key[0] and value is not None:
                    persons[key] = value
                else:
                    take(key, value, record.offset)
            state.records += len(records)
            state.read_to = stop
            if stop >= ends[tp]:
                behind.discard(tp)
            # Let the next fetch run.
            await asyncio.sleep(0)
        beat()


async def read_positions(kafka: Mapping[str, Any], state_topic: str, states: Sequence[StateLog]) -> None:
    """Read the committed state into *states* without a claim. For display only, because an owner may change it. Raises KafkaError."""
    by_partition = {TopicPartition(state_topic, s.number): s for s in states}
    consumer = AIOKafkaConsumer(**dict(kafka), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed")
    try:
        await consumer.start()
        consumer.assign(list(by_partition))
        ends = await consumer.end_offsets(list(by_partition))
        await _read_to(consumer, by_partition, ends, lambda: None)
    finally:
        await consumer.stop()


async def check_positions(kafka: Mapping[str, Any], states: Sequence[StateLog], inbound: Sequence[str]) -> dict[int, dict[str, int]]:
    """Return the offsets to start from, {shard: {topic: offset}}. A topic without a position starts at its first offset.

    Raises PositionLost if a position lies outside its topic, or if the topic was created again after it was read. The second
    case is detected by time: each position is stored with the newest append time below it. If a visible record below the
    position is newer, this is not the topic that was read. (Transaction markers and aborted records may be newer.)
    """
    consumer = AIOKafkaConsumer(**dict(kafka), enable_auto_commit=False, isolation_level="read_committed", retry_backoff_ms=RETRY_MS)
    try:
        await consumer.start()
        tps = [TopicPartition(t, s.number) for s in states for t in inbound]
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        newest = {TopicPartition(t, s.number): at + 1 for s in states for t, (_, at) in s.positions.items() if t in inbound and at}
        later = await consumer.offsets_for_times(newest) if newest else {}
        foreign = {
            tp
            for s in states
            for t in inbound
            if (tp := TopicPartition(t, s.number)) in newest
            and later[tp] is not None
            and later[tp].offset < s.positions[t][0] <= ends[tp]
            and await _has_newer(consumer, tp, later[tp].offset, *s.positions[t])
        }
    finally:
        await consumer.stop()
    found: dict[int, dict[str, int]] = {}
    for state in states:
        positions = found[state.number] = {}
        for topic in inbound:
            tp = TopicPartition(topic, state.number)
            if topic not in state.positions:
                positions[topic] = begins[tp]
                continue
            position = state.positions[topic][0]
            remedy = f"To continue with the records that exist: carerelay positions accept-loss {topic} {state.number}"
            if not begins[tp] <= position <= ends[tp]:
                raise PositionLost(
                    f"{topic}/{state.number}: position {position} is outside the topic's offsets [{begins[tp]}, {ends[tp]}]: "
                    f"records were deleted before they were read, or the topic was created again. {remedy}"
                )
            if tp in foreign:
                raise PositionLost(
                    f"{topic}/{state.number}: the topic was created again after it was read up to position {position}. {remedy}"
                )
            positions[topic] = position
    return found


async def _has_newer(consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, position: int, newest_ms: int) -> bool:
    """Return whether a visible record in [start, position) is newer than *newest_ms* (ms)."""
    consumer.assign([tp])
    consumer.seek(tp, start)
    while await consumer.position(tp) < position:
        for records in (await consumer.getmany(tp, timeout_ms=100)).values():
            for record in records:
                if record.offset >= position:
                    return False
                if record.timestamp > newest_ms:
                    return True
    return False
