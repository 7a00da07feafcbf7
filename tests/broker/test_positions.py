"""Positions on a real Kafka: markers of transactions, deleted records, topics that were created again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from counting import PARTITIONS
from stage import Stage, event, person_of

from streams.contract.person_key import partition_of
from streams.kafka.opening import PositionLost, check_positions, read_positions
from streams.kafka.positions import accept_loss, show_positions
from streams.shard.state_log import StateLog


@pytest.fixture
async def stage(kafka: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(kafka, tmp_path) as stage:
        yield stage


async def served(stage: Stage, lines: int) -> None:
    """Run a worker until there are *lines* lines, and end it cleanly."""
    worker = stage.worker()
    await stage.lines_until(lines)
    await stage.until(lambda: worker.shards == set(range(PARTITIONS)), "the worker")
    worker.terminate()
    await stage.until(lambda: not worker.alive, "its end")


async def in_transaction(stage: Stage, topic: str, key: bytes, values: list[bytes], *, abort: bool = False) -> None:
    producer = AIOKafkaProducer(**stage.kafka, transactional_id=f"{stage.run}-publisher")
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, key=key, partition=partition_of(key, PARTITIONS))
        await (producer.abort_transaction() if abort else producer.commit_transaction())
    finally:
        await producer.stop()


async def check(stage: Stage) -> dict[int, dict[str, int]]:
    readings = [StateLog(n, {}) for n in range(PARTITIONS)]
    await read_positions(stage.kafka, stage.topics.state, readings)
    return await check_positions(stage.kafka, readings, stage.topics.inbound)


async def test_every_position_is_stored_before_anything_is_applied(stage):
    worker = stage.worker()
    await stage.until(lambda: worker.shards, "the worker")

    _, positions, _ = await stage.state()

    assert positions == {(topic, shard): 0 for topic in stage.topics.inbound for shard in range(PARTITIONS)}


async def test_aborted_records_and_markers_at_the_end_of_a_partition_move_the_position_and_are_no_loss(stage):
    person, topic = person_of(1), stage.topics.first
    worker = stage.worker()
    await in_transaction(stage, topic, person, [event("a"), event("b")])
    await in_transaction(stage, topic, person, [event("lost-a"), event("lost-b"), event("lost-c")], abort=True)
    await in_transaction(stage, topic, person, [event("c")])
    await in_transaction(stage, topic, person, [event("lost-d")], abort=True)
    await stage.lines_until(3)

    async def at_the_end() -> bool:
        return (await stage.state())[1].get((topic, 1)) == 11

    await stage.until(at_the_end, "the position behind the last marker")
    worker.kill()
    assert (await check(stage))[1][topic] == 11
    again = stage.successor()
    await stage.until(lambda: again.shards == set(range(PARTITIONS)), "a worker after that")
    await stage.publish(topic, person, event("d"))
    lines = await stage.lines_until(4)
    assert [line.id for line in lines] == ["n:a", "n:b", "n:c", "n:d"]


async def test_a_deadline_fires_although_a_partition_ends_with_transaction_markers(stage):
    person = person_of(1)
    stage.worker()
    await stage.publish(stage.topics.first, person, event("opens", wait=1000))
    await in_transaction(stage, stage.topics.second, person, [event("lost")], abort=True)

    lines = await stage.lines_until(2)

    assert [line.id for line in lines] == ["n:opens", "d:opens"]


async def test_records_that_were_deleted_before_they_were_applied_stop_the_shard_until_the_loss_is_accepted(stage):
    person, topic = person_of(0), stage.topics.first
    await stage.publish(topic, person, event("e0"))
    await stage.publish(topic, person, event("e1"))
    await served(stage, 2)
    for n in range(2, 8):
        await stage.publish(topic, person, event(f"e{n}"))
    admin = AIOKafkaAdminClient(**stage.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=5)})
    await admin.close()

    worker = stage.worker()
    await stage.until(lambda: not worker.alive, "its end")
    said = worker.said("open_failed")[0]["reason"]
    assert worker.code == 4
    assert "position 2 is outside the topic's offsets [5, 8]" in said
    assert f"carerelay positions accept-loss {topic} 0" in said
    shown = {(row.topic, row.shard): row for row in await show_positions(stage.kafka, stage.topics.state, stage.topics.inbound, PARTITIONS)}
    assert shown[topic, 0].outside
    assert not shown[topic, 1].outside

    accepted = await accept_loss(stage.kafka, stage.topics.state, topic, 0)

    assert accepted == (topic, 0, 2, 5, 3)
    stage.successor()
    lines = await stage.lines_until(5)
    assert [line.id for line in lines] == ["n:e0", "n:e1", "n:e5", "n:e6", "n:e7"]
    assert (await stage.state())[0][person].count == 5


@pytest.mark.parametrize("more", [1, 6], ids=["shorter than it was", "longer than it was"])
async def test_a_topic_that_was_created_again_is_detected_and_read_from_its_beginning_after_acceptance(stage, more):
    person, topic = person_of(0), stage.topics.first
    for n in range(3):
        await stage.publish(topic, person, event(f"e{n}"))
    await served(stage, 3)
    await stage.delete(topic)
    await stage.create(topic)
    for n in range(more):
        await stage.publish(topic, person, event(f"new{n}"))

    with pytest.raises(PositionLost, match="created again"):
        await check(stage)
    accepted = await accept_loss(stage.kafka, stage.topics.state, topic, 0)

    assert accepted == (topic, 0, 3, 0, 0)
    stage.worker()
    lines = await stage.lines_until(3 + more)
    assert [line.id for line in lines][3:] == [f"n:new{n}" for n in range(more)]


async def test_a_loss_is_not_accepted_if_nothing_is_lost(stage):
    person, topic = person_of(0), stage.topics.first
    for n in range(3):
        await stage.publish(topic, person, event(f"e{n}"))
    await served(stage, 3)

    accepted = await accept_loss(stage.kafka, stage.topics.state, topic, 0)

    assert accepted is None
    _, positions, claims = await stage.state()
    assert positions[topic, 0] == 3
    assert claims[0] == set()


async def test_accepting_a_loss_takes_the_shard_from_its_worker(stage):
    worker = stage.worker()
    await stage.until(lambda: worker.shards == set(range(PARTITIONS)), "the worker")

    await accept_loss(stage.kafka, stage.topics.state, stage.topics.first, 0)
    await stage.publish(stage.topics.first, person_of(1), event("e"))

    await stage.until(lambda: not worker.alive, "its end: it was fenced")
    assert await stage.lines() == []
