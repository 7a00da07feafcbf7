"""Workers as processes on a real Kafka: who owns which shard, and what remains when a worker dies, is paused or is asked to end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from counting import PARTITIONS
from counting_worker import CRASHES
from stage import Stage, event, person_of

from streams.contract.record import Out
from streams.kafka.transactions import Writer
from streams.shard.claims import CLAIM, POSITION, TRYING
from streams.shard.isolation import attempt
from streams.shard.state_log import StateLog


@pytest.fixture
async def stage(kafka: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(kafka, tmp_path) as stage:
        yield stage


def owners(stage: Stage) -> Counter[int]:
    return Counter(shard for worker in stage.workers for shard in worker.shards)


def each_shard_has_one_owner(stage: Stage, workers: int) -> bool:
    busy = sum(1 for worker in stage.workers if worker.shards)
    return owners(stage) == Counter(range(PARTITIONS)) and busy == workers


async def test_partition_i_of_every_inbound_topic_has_one_owner_with_one_two_and_three_workers(stage):
    seen = 0
    for count in (1, 2, 3):
        stage.worker()
        await stage.until(lambda count=count: each_shard_has_one_owner(stage, count), f"{count} workers")
        for shard in range(PARTITIONS):
            for topic in (stage.topics.first, stage.topics.second):
                await stage.publish(topic, person_of(shard), event(f"{count}-{shard}-{topic[-5:]}"))
        seen += 2 * PARTITIONS
        lines = await stage.lines_until(seen)
        assert len(lines) == seen

    # A worker that ends gives its shards to the others without being fenced.
    stage.workers[0].terminate()
    await stage.until(lambda: each_shard_has_one_owner(stage, 2), "two workers after one went")
    assert all(opened["fenced"] == [] for worker in stage.workers for opened in worker.said("shards_opened"))
    await stage.until(lambda: not stage.workers[0].alive, "its end")


async def test_a_worker_without_records_stays_in_the_group(stage):
    first = stage.worker(poll_interval_s=6)
    await stage.until(lambda: first.shards, "the first worker")
    await asyncio.sleep(9)

    second = stage.worker(poll_interval_s=6)

    await stage.until(lambda: each_shard_has_one_owner(stage, 2), "two workers")
    assert all(opened["fenced"] == [] for worker in (first, second) for opened in worker.said("shards_opened"))
    await stage.publish_many(stage.topics.first, ((person_of(n % 4), event(f"e{n}")) for n in range(8)))
    assert len(await stage.lines_until(8)) == 8


async def test_unfinished_work_of_a_killed_worker_is_done_once_by_the_next(stage):
    people = [person_of(shard, nth) for shard in range(PARTITIONS) for nth in range(10)]
    first = stage.worker()
    await stage.until(lambda: first.shards, "the first worker")
    # Some events take a while, so that the kill happens during one.
    await stage.publish_many(
        stage.topics.first, ((people[n % 40], event(f"e{n}", do="slow" if n % 200 == 150 else "")) for n in range(4000))
    )
    await stage.lines_until(1)

    first.kill()
    second = stage.successor()
    lines = await stage.lines_until(4000)

    assert Counter(line.id for line in lines) == Counter(f"n:e{n}" for n in range(4000))
    assert second.said("shards_opened")[0]["fenced"]
    persons, _, _ = await stage.state()
    assert [persons[key].count for key in people] == [100] * 40


async def test_a_paused_worker_loses_its_shards_and_ends_when_it_is_resumed(stage):
    sleeper = stage.worker()
    await stage.until(lambda: sleeper.shards, "the first worker")
    await stage.publish(stage.topics.first, person_of(0), event("before"))
    await stage.lines_until(1)
    sleeper.signal(signal.SIGSTOP)
    await stage.publish_many(stage.topics.first, ((person_of(n % 4), event(f"e{n}")) for n in range(100)))

    other = stage.worker()
    lines = await stage.lines_until(101)
    assert other.said("shards_opened")[-1]["fenced"]
    sleeper.signal(signal.SIGCONT)
    await stage.until(lambda: not sleeper.alive or sleeper.said("shards_released") or not sleeper.shards, "the sleeper's end")
    await stage.publish_many(stage.topics.first, ((person_of(n % 4), event(f"f{n}")) for n in range(100)))
    lines = await stage.lines_until(201)

    await asyncio.sleep(1)
    lines = await stage.lines()
    assert Counter(line.id for line in lines).most_common(1)[0][1] == 1
    assert len(lines) == 201


async def test_a_worker_paused_past_a_deadline_does_not_fire_it_before_records_published_meanwhile(stage):
    person = person_of(1)
    worker = stage.worker()
    await stage.until(lambda: worker.shards, "the worker")
    await stage.publish(stage.topics.first, person, event("opens", wait=1500))
    await stage.lines_until(1)
    worker.signal(signal.SIGSTOP)
    # Appended before the deadline, but read only after it.
    await stage.publish(stage.topics.second, person, event("answer"))
    await asyncio.sleep(2.5)

    worker.signal(signal.SIGCONT)
    lines = await stage.lines_until(3)

    assert [line.id for line in lines] == ["n:opens", "n:answer", "d:opens"]
    assert lines[2].appended >= lines[0].at + 1500


async def test_records_of_an_outage_are_applied_in_the_order_of_their_time_across_topics(stage):
    person = person_of(2)
    expected = []
    for n in range(40):
        topic = stage.topics.second if n % 3 == 0 else stage.topics.first
        await stage.publish(topic, person, event(f"e{n}"))
        expected.append(f"n:e{n}")
        await asyncio.sleep(0.003)

    stage.worker()
    lines = await stage.lines_until(40)

    assert [line.id for line in lines] == expected
    assert [line.nth for line in lines] == list(range(1, 41))


async def test_a_deadline_fires_without_any_record_and_not_early(stage):
    worker = stage.worker()
    await stage.until(lambda: worker.shards, "the worker")
    for shard in range(PARTITIONS):
        await stage.publish(stage.topics.first, person_of(shard), event(f"e{shard}", wait=700))

    lines = await stage.lines_until(2 * PARTITIONS)

    fired = [line for line in lines if line.id.startswith("d:")]
    assert sorted(line.id for line in fired) == [f"d:e{n}" for n in range(PARTITIONS)]
    for line in fired:
        assert line.at <= line.appended < line.at + 5000


async def test_a_record_that_kills_the_process_is_found_and_set_aside(stage):
    await stage.publish(stage.topics.first, person_of(0), event("before"))
    await stage.publish(stage.topics.first, person_of(0, 1), event("poison", do="kill"))
    await stage.publish(stage.topics.first, person_of(0), event("after"))
    await stage.publish(stage.topics.second, person_of(3), event("other"))
    deaths = 0

    worker = stage.worker()
    deadline = time.monotonic() + 90
    while len(await stage.lines()) < 3:
        assert time.monotonic() < deadline, stage.logs
        if not worker.alive:
            deaths += 1
            assert deaths < 8, stage.logs
            worker = stage.successor()
        await asyncio.sleep(0.2)

    lines = await stage.lines()
    assert sorted(line.id for line in lines) == ["n:after", "n:before", "n:other"]
    [letter] = await stage.read(stage.topics.dead)
    assert dict(letter.headers)["__care.errors.code"] == b"killed-worker"
    assert (letter.key, letter.value) == (person_of(0, 1), event("poison", do="kill"))
    assert 2 <= deaths <= 4
    # The result is stored, so the next worker need not search again.
    worker.terminate()
    again = stage.successor()
    await stage.until(lambda: again.shards == set(range(PARTITIONS)), "a worker after that")
    assert len(await stage.read(stage.topics.dead)) == 1


async def test_a_record_during_which_a_worker_was_killed_once_is_tried_again_and_not_set_aside(stage):
    await stage.publish(stage.topics.first, person_of(0), event("innocent"))
    dead = Writer(stage.kafka)
    positions = dict.fromkeys(stage.topics.inbound, 0)
    met = StateLog(0, {})
    met.fenced.add("one")
    # The state that two workers leave which were killed from outside, the second when it had just begun to isolate steps.
    left = [
        Out(CLAIM + dead.name.encode(), b"1"),
        *(Out(POSITION + topic.encode(), b"0 0") for topic in stage.topics.inbound),
        *attempt(met, positions)[1],
        Out(TRYING, b"%s 0" % stage.topics.first.encode()),
    ]
    await dead.write({(stage.topics.state, 0): left})
    await dead.stop()

    worker = stage.worker()

    [line] = await stage.lines_until(1)
    assert line.id == "n:innocent"
    assert worker.said("shard_isolated")
    assert await stage.read(stage.topics.dead) == []


async def test_a_deadline_that_kills_the_process_is_set_aside_and_the_others_fire(stage):
    person = person_of(0)
    worker = stage.worker()
    await stage.publish(stage.topics.first, person, event("bomb", wait=100))
    await stage.publish(stage.topics.first, person, event("good", wait=101))
    await stage.publish(stage.topics.first, person_of(0, 1), event("other", wait=5000))
    deadline = time.monotonic() + 90

    while not await stage.read(stage.topics.dead):
        assert time.monotonic() < deadline, stage.logs
        if not worker.alive:
            worker = stage.successor()
        await asyncio.sleep(0.2)

    assert worker.said("shard_isolated"), "the shard still applies one step at a time"
    lines = await stage.lines_until(5)
    assert sorted(line.id for line in lines) == ["d:good", "d:other", "n:bomb", "n:good", "n:other"]
    [letter] = await stage.read(stage.topics.dead)
    assert dict(letter.headers)["__care.errors.topic"] == b"deadline"


async def test_a_rule_that_raises_and_unreadable_bytes_do_not_stop_the_shard(stage):
    worker = stage.worker()
    await stage.publish(stage.topics.first, person_of(0), event("a"))
    await stage.publish(stage.topics.first, person_of(0), event("b", do="raise"))
    await stage.publish(stage.topics.first, person_of(0), b"\xff\x00 no json", headers=[("ce_id", b"7")])
    await stage.publish(stage.topics.first, person_of(0), b"x" * 1_000_000)
    await stage.publish(stage.topics.first, person_of(0), event("c"))

    lines = await stage.lines_until(2)

    assert [line.id for line in lines] == ["n:a", "n:c"]
    letters = await stage.read(stage.topics.dead)
    assert [dict(letter.headers)["__care.errors.code"] for letter in letters] == [b"rule-failed", b"not-json", b"not-json"]
    assert (letters[1].value, letters[1].headers[0]) == (b"\xff\x00 no json", ("ce_id", b"7"))
    assert letters[2].value == b"x" * 1_000_000
    persons, _, _ = await stage.state()
    assert persons[person_of(0)].rule_failed
    assert worker.alive


async def test_a_record_under_a_foreign_key_is_applied_once_by_the_shard_of_its_key(stage):
    stage.worker()
    await stage.publish(stage.topics.first, person_of(1), event("strayed"), partition=3)
    await stage.publish(stage.topics.first, person_of(1), event("straight"))

    lines = await stage.lines_until(2)

    assert {(line.id, line.partition) for line in lines} == {("n:strayed", 1), ("n:straight", 1)}
    [relayed] = await stage.read(stage.topics.relay)
    assert (relayed.partition, relayed.key, relayed.value) == (1, person_of(1), event("strayed"))


@pytest.mark.parametrize("step", CRASHES)
async def test_a_misrouted_record_is_applied_once_although_its_worker_crashes_at_any_step(stage, step):
    strayed = stage.worker(crash=step)
    await stage.publish(stage.topics.first, person_of(1), event("strayed"), partition=3)

    await stage.until(lambda: not strayed.alive, "its crash")
    stage.successor()
    await stage.publish(stage.topics.second, person_of(1), event("later"))
    lines = await stage.lines_until(2)

    assert Counter((line.id, line.partition) for line in lines) == Counter([("n:strayed", 1), ("n:later", 1)])
    relayed = await stage.read(stage.topics.relay)
    assert [(record.partition, record.value) for record in relayed] == [(1, event("strayed"))]


async def test_a_start_with_only_part_of_the_topics_ends_and_says_so(stage):
    await stage.delete(stage.topics.second)

    worker = stage.worker()

    await stage.until(lambda: not worker.alive, "its end")
    assert worker.code == 3
    assert worker.said("shards_split")


@pytest.mark.parametrize("partitions", [2, 6])
async def test_topics_with_other_numbers_of_partitions_are_refused(stage, partitions):
    await stage.delete(stage.topics.second)
    await stage.create(stage.topics.second, partitions=partitions)

    worker = stage.worker()

    await stage.until(lambda: not worker.alive, "its end")
    assert worker.code == 3
    assert worker.said("shards_split")


async def test_a_restore_over_its_limit_ends_the_process(stage):
    first = stage.worker()
    await stage.until(lambda: first.shards, "the first worker")
    await stage.publish(stage.topics.first, person_of(0), event("a"))
    await stage.lines_until(1)
    first.kill()

    slow = stage.successor(restore_limit_s=0.001)

    await stage.until(lambda: not slow.alive, "its end")
    assert slow.code == 4
    assert "TimeoutError" in slow.said("open_failed")[0]["reason"]


async def test_the_next_worker_continues_from_the_state_of_the_previous_one(stage):
    first = stage.worker()
    for n in range(50):
        await stage.publish(stage.topics.first, person_of(n % 4), event(f"a{n}"))
    await stage.lines_until(50)
    first.terminate()
    await stage.until(lambda: not first.alive, "its end")
    _, _, claims = await stage.state()
    assert claims == {n: set() for n in range(PARTITIONS)}, "a clean end leaves no claim"

    second = stage.worker()
    for n in range(50):
        await stage.publish(stage.topics.second, person_of(n % 4), event(f"b{n}"))
    lines = await stage.lines_until(100)

    assert second.said("shards_opened")[0]["fenced"] == []
    counts = Counter(line.person for line in lines)
    for person, count in counts.items():
        assert [line.nth for line in lines if line.person == person] == list(range(1, count + 1))
