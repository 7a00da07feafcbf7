"""Claims on a real Kafka, in one process: who is fenced, who wins, and what an interrupted opening leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from counting import PARTITIONS, Counting
from stage import Stage, event, person_of

from streams.contract.record import Out
from streams.kafka import worker as worker_module
from streams.kafka.opening import ShardLost, open_shards
from streams.kafka.transactions import Writer
from streams.kafka.worker import Worker, WorkerSettings
from streams.shard.claims import CLAIM
from streams.shard.order import Batch
from streams.shard.state_log import StateLog


@pytest.fixture
async def stage(kafka: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(kafka, tmp_path) as stage:
        yield stage


@pytest.fixture
async def writers(stage: Stage) -> AsyncIterator[list[Writer]]:
    writers = [Writer(stage.kafka) for _ in range(3)]
    yield writers
    for writer in writers:
        await writer.stop()


class ProcessEnded(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
async def worker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """A worker without Faust. It raises instead of ending the process."""

    def ended(event_name: str, reason: str, exc: BaseException | None = None, code: int = 3) -> None:
        raise ProcessEnded(f"{event_name}: {reason}") from exc

    monkeypatch.setattr(worker_module, "end_process", ended)
    worker = Worker(WorkerSettings(stage.kafka, stage.topics.state, PARTITIONS), Counting(stage.topics))
    yield worker
    await worker.stop()


async def opened(stage: Stage, writer: Writer, *numbers: int) -> list[StateLog]:
    readings = [StateLog(number, {}) for number in numbers]
    await open_shards(stage.kafka, stage.topics.state, readings, writer, limit_s=30)
    return readings


async def can_write(stage: Stage, writer: Writer, number: int = 0) -> bool:
    try:
        await writer.write({(stage.topics.state, number): [Out(b"p-probe", b"x")]})
    except KafkaError:
        return False
    return True


async def test_the_next_owner_fences_the_one_before_and_deletes_its_claim(stage, writers):
    first, second, _ = writers
    [alone] = await opened(stage, first, 0)
    assert alone.fenced == set()

    [after] = await opened(stage, second, 0)

    assert after.fenced == {first.name}
    assert not await can_write(stage, first)
    assert await can_write(stage, second)
    assert after.claims == {second.name: after.claims[second.name]}


async def test_open_transactions_of_a_dead_owner_are_aborted_and_its_commits_are_read(stage, writers):
    first, second, _ = writers
    await opened(stage, first, 0)
    await first.write({(stage.topics.state, 0): [Out(b"p-kept", b"kept")]})
    producer = first._producer
    await producer.begin_transaction()
    await (await producer.send(stage.topics.state, b"lost", key=b"p-lost", partition=0))

    [reading] = await opened(stage, second, 0)

    assert reading.persons == {b"p-kept": b"kept"}
    with pytest.raises(KafkaError):
        await producer.commit_transaction()


async def test_a_claim_that_was_released_is_not_fenced(stage, writers):
    first, second, _ = writers
    await opened(stage, first, 0)
    await first.write({(stage.topics.state, 0): [Out(CLAIM + first.name.encode(), None)]})

    [reading] = await opened(stage, second, 0)

    assert reading.fenced == set()
    assert await can_write(stage, first), "it released the shard and continues with its other shards"


async def test_of_claims_at_once_the_last_wins_and_nobody_else_can_write(stage, writers):
    for number in range(PARTITIONS):
        fresh = [Writer(stage.kafka) for _ in range(3)]
        results = await asyncio.gather(*(opened(stage, writer, number) for writer in fresh), return_exceptions=True)
        assert all(isinstance(result, list | ShardLost | KafkaError) for result in results), results

        claims = [
            r.key for r in await stage.read(stage.topics.state, partitions=[number]) if r.key.startswith(CLAIM) and r.value is not None
        ]
        writing = [writer for writer in fresh if await can_write(stage, writer, number)]

        assert isinstance(results[[CLAIM + w.name.encode() for w in fresh].index(claims[-1])], list), "the last claim opens the shard"
        opened_by = {writer.name for writer, result in zip(fresh, results, strict=True) if isinstance(result, list)}
        assert [w.name for w in writing if w.name in opened_by] == [claims[-1][len(CLAIM) :].decode()]
        for writer in fresh:
            await writer.stop()


async def test_an_open_transaction_that_hides_the_own_claim_is_fenced_and_not_waited_for(stage, writers):
    first, second, _ = writers
    await opened(stage, first, 0)
    producer = first._producer
    await producer.begin_transaction()
    await (await producer.send(stage.topics.state, b"open", key=b"p-open", partition=0))

    async with asyncio.timeout(6):  # The coordinator itself would abort it only after a minute.
        [reading] = await opened(stage, second, 0)

    assert reading.fenced == {first.name}
    assert reading.persons == {}


async def test_a_claimant_that_died_before_its_claim_was_committed_is_fenced_and_not_waited_for(stage, writers):
    first, second, _ = writers
    await first.start()
    producer = first._producer
    await producer.begin_transaction()
    await (await producer.send(stage.topics.state, b"1", key=CLAIM + first.name.encode(), partition=0))

    async with asyncio.timeout(6):  # The coordinator itself would abort it only after a minute.
        [reading] = await opened(stage, second, 0)

    assert reading.claims == {second.name: reading.claims[second.name]}
    with pytest.raises(KafkaError):
        await producer.commit_transaction()


async def test_a_claimant_whose_claim_was_deleted_loses_the_shard_and_does_not_wait(stage, writers):
    first, second, third = writers
    blocker = AIOKafkaProducer(**stage.kafka, transactional_id=f"{stage.run}-blocker", transaction_timeout_ms=60_000)
    await blocker.start()
    await blocker.begin_transaction()
    await (await blocker.send(stage.topics.state, b"open", key=b"p-open", partition=0))
    opening = asyncio.create_task(opened(stage, first, 0))
    await asyncio.sleep(1)
    # Another worker, which knew of its claim in another way, fenced it.
    await second.write({(stage.topics.state, 0): [Out(CLAIM + first.name.encode(), None)]})
    await blocker.abort_transaction()
    await blocker.stop()

    with pytest.raises(ShardLost):
        await asyncio.wait_for(opening, 20)
    assert await opened(stage, third, 0)


async def test_an_opening_interrupted_by_a_rebalance_releases_its_claim_and_starts_again(stage, worker, writers):
    blocker = AIOKafkaProducer(**stage.kafka, transactional_id=f"{stage.run}-blocker", transaction_timeout_ms=60_000)
    await blocker.start()
    await blocker.begin_transaction()
    await (await blocker.send(stage.topics.state, b"open", key=b"p-open", partition=1))
    opening = asyncio.create_task(worker.assign({0, 1}))
    await asyncio.sleep(1.5)
    assert not opening.done()

    async with asyncio.timeout(5):
        await worker.release()
        assert await opening == {}

    assert not worker.ready
    await blocker.abort_transaction()
    await blocker.stop()
    [reading] = await opened(stage, writers[0], 1)
    assert reading.fenced == set(), "the claim was released, so the next worker that opens the shard fences nobody"
    seeks = await worker.assign({0})
    assert seeks == {(topic, 0): 0 for topic in stage.topics.inbound}
    assert worker.ready


async def test_a_caller_that_is_cancelled_leaves_no_transaction_half_way(stage, writers):
    writer = writers[0]
    await writer.start()
    writing = asyncio.create_task(writer.write({(stage.topics.state, n): [Out(b"p-a", b"1")] for n in range(PARTITIONS)}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    writing.cancel()

    await writer.write({(stage.topics.state, 0): [Out(b"p-b", b"2")]})

    assert {record.key for record in await stage.read(stage.topics.state, partitions=[0])} == {b"p-a", b"p-b"}


async def test_a_reopened_shard_continues_reading_at_its_position(stage, worker, writers):
    await worker.assign({0, 1})
    key = person_of(0)
    await stage.publish(stage.topics.first, key, event("a"))
    [record] = await stage.read(stage.topics.first, partitions=[0])
    worker.probe = _ends(stage)
    worker.enqueue(Batch(stage.topics.first, 0, 0, 1, [record], worker.epoch))
    await stage.lines_until(1)
    await worker.release()
    # Another owner in between changes the state.
    await opened(stage, writers[0], 0)
    await writers[0].write(
        {(stage.topics.state, 0): [Out(b"p-other", b"\x94\x01\x02\x90\xc2"), Out(CLAIM + writers[0].name.encode(), None)]}
    )

    seeks = await worker.assign({0})

    assert seeks[stage.topics.first, 0] == 1
    assert set(worker.shards[0].persons) == {key, b"p-other"}
    await worker.release()


async def test_an_owner_whose_claim_came_between_two_commits_is_seen_when_the_shard_comes_back(stage, worker, writers):
    await worker.assign({0})
    await stage.publish(stage.topics.first, person_of(0), event("a"))
    [record] = await stage.read(stage.topics.first, partitions=[0])
    # Another worker claims the shard while this one still owns it and commits. It reads only after this one has released it.
    await writers[0].write({(stage.topics.state, 0): [Out(CLAIM + writers[0].name.encode(), b"1")]})
    worker.probe = _ends(stage)
    worker.enqueue(Batch(stage.topics.first, 0, 0, 1, [record], worker.epoch))
    await stage.lines_until(1)
    await worker.release()

    # The other still believes that it owns the shard, because nobody has fenced it.
    await worker.assign({0})

    assert not await can_write(stage, writers[0])
    await worker.release()


async def test_a_commit_that_hangs_while_the_shards_are_revoked_ends_the_process(own_kafka, tmp_path):
    async with Stage(own_kafka.bootstrap, tmp_path) as stage:
        process = stage.worker()
        await stage.until(lambda: process.shards, "the worker")
        await stage.publish_many(stage.topics.first, ((person_of(n % 4), event(f"e{n}", wait=2000)) for n in range(20)))
        await stage.lines_until(20)

        own_kafka.pause()
        process.terminate()

        await stage.until(lambda: not process.alive, "its end", 30)
        own_kafka.resume()
        assert process.code != 0, "it did not end cleanly"
        again = stage.successor()
        lines = await stage.lines_until(40)
        assert len({line.id for line in lines}) == len(lines) == 40
        assert again.said("shards_opened")[0]["fenced"]


def _ends(stage: Stage):
    async def ends(places: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        return {place: len(await stage.read(place[0], partitions=[place[1]])) for place in places}

    return ends
