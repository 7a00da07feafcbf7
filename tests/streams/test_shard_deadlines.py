"""The index of deadlines, against a model that searches all persons: each fires once, never early, in order."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka.errors import KafkaTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_bench import PARTITIONS, RELAY, STAY, TEAM, Bench, OrdersAgent, Record, decided, patient_of

from streams.base.clock import Clock
from streams.contract.record import Outgoing
from streams.kafka.worker import Worker, WorkerSettings
from streams.shard.deadlines import BUCKET_MS, NEVER
from streams.shard.order import Batch
from streams.shard.shard import Shard

PATIENTS = [patient_of(0, nth) for nth in range(4)]
NAMES = [f"d{n}" for n in range(5)]

orders = st.one_of(
    st.tuples(
        st.just("in"),
        st.sampled_from(PATIENTS),
        st.sampled_from(NAMES),
        # Near the boundaries of minutes, and often twice at the same instant.
        st.one_of(st.integers(0, 50), st.sampled_from([BUCKET_MS - 1, BUCKET_MS, BUCKET_MS + 1]), st.integers(0, 5 * BUCKET_MS)),
    ),
    st.tuples(st.just("cancel"), st.sampled_from(PATIENTS), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("forget"), st.sampled_from(PATIENTS), st.just(""), st.just(0)),
    st.tuples(st.just("quiet"), st.none(), st.just(""), st.integers(0, 3 * BUCKET_MS)),
    st.tuples(st.just("open again"), st.none(), st.just(""), st.just(0)),
)


class Model:
    """Computes what must fire, by searching all deadlines each time."""

    def __init__(self) -> None:
        self.due: dict[bytes, list[tuple[int, str]]] = {key: [] for key in PATIENTS}

    def fire(self, before: int) -> list[tuple[int, bytes, str]]:
        fired = sorted((at, key, name) for key, due in self.due.items() for at, name in due if at < before)
        for key, due in self.due.items():
            self.due[key] = [entry for entry in due if entry[0] >= before]
        return fired


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30_000), orders), max_size=60), st.integers(1, 5))
def test_each_deadline_fires_exactly_once_never_early_and_in_the_order_of_its_person(steps, most):
    bench, model = Bench(), Model()
    now, fired, expected = 1000, [], []

    def apply() -> None:
        while True:
            written = bench.written(most).get(("lines", 0), ())
            fired.extend(
                (int(out.value.rpartition(b"@")[2]), out.key, out.value.split(b"!")[0].decode()) for out in written if b"!" in out.value
            )
            if not written and bench.shard.head() is None:
                return

    for pause, (order, key, name, wait) in steps:
        now += pause
        if order == "quiet":
            now += wait
            bench.probe(at=now + 1)
            expected += model.fire(before=now)
            apply()
            continue
        if order == "open again":
            shard = Shard(0, PARTITIONS, OrdersAgent(), Clock(), bench.shard.persons)
            shard.restored(bench.shard.positions, bench.shard.newest_ms)
            bench.shard = shard
            continue
        # A person's own deadlines fire before its record; all others by the probe after it.
        text = {"in": f"in {wait} {name}", "cancel": f"cancel {name}", "forget": "forget"}[order]
        bench.receive(STAY, (now, text), key=key)
        expected += model.fire(before=now)
        if order == "in":
            model.due[key] = sorted([*model.due[key], (now + wait, name)])
        elif order == "cancel":
            model.due[key] = [due for due in model.due[key] if due[1] != name]
        else:
            model.due[key] = []
        bench.probe(at=now + 1)
        apply()
    now += 20 * BUCKET_MS
    bench.probe(at=now + 1)
    expected += model.fire(before=now)
    apply()

    assert sorted(fired) == sorted(expected)
    for key in PATIENTS:
        times = [at for at, of, _ in fired if of == key]
        assert times == sorted(times)
    assert bench.shard.next_due == NEVER


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8 * BUCKET_MS), st.sampled_from(PATIENTS), st.sampled_from(NAMES)), max_size=30))
def test_the_reported_next_deadline_is_never_too_late(entries):
    bench, model = Bench(), Model()
    for at, key, name in entries:
        bench.receive(STAY, (10, f"in {at} {name}"), key=key)
        model.due[key].append((10 + at, name))
        bench.probe(at=12)
        bench.apply()

        earliest = min(at for due in model.due.values() for at, _ in due)

        assert bench.shard.next_due <= earliest
        # A shard that is opened again has the exact deadline.
        again = Shard(0, PARTITIONS, OrdersAgent(), Clock(), bench.shard.persons)
        again.restored({}, {})
        assert again.next_due == earliest


def test_a_large_minute_is_served_in_parts_without_looking_through_it_each_time():
    looks = 0

    class Counting(OrdersAgent):
        def open_handoffs(self, packed):
            return 0

        def deadline(self, packed):
            nonlocal looks
            looks += 1
            return super().deadline(packed)

    people = 3000
    persons = {}
    first = decided("in 500 call", 100)
    for n in range(people):
        persons[f"p{n}".encode()] = first
    shard = Shard(0, PARTITIONS, Counting(), Clock(), persons)
    shard.restored(dict.fromkeys(OrdersAgent.inbound, 0), {})
    shard.probed(dict.fromkeys(OrdersAgent.inbound, 0), shard.seal(), 9000)
    looks = 0

    fired = 0
    for _ in range(people // 100):
        out = Outgoing()
        shard.apply(out, 100)
        fired += len(out["lines", 0])

    assert fired == people
    assert looks < 12 * people


# ---- batches on their way while the assignment changes


@pytest.fixture
def worker() -> Worker:
    worker = Worker(WorkerSettings({"bootstrap_servers": "nowhere:1"}, "state", PARTITIONS), OrdersAgent())
    worker.shards[0] = Bench().shard
    worker.epoch = 2
    return worker


async def test_a_batch_of_an_earlier_assignment_is_dropped(worker):
    worker.enqueue(Batch(STAY, 0, 0, 1, [Record(0, 100, PATIENTS[0], b"x")], 1))
    worker.enqueue(Batch(TEAM, 0, 0, 1, [Record(0, 100, PATIENTS[0], b"y")], 2))

    worker._queue_batches()

    assert (worker.shards[0].queued(STAY), worker.shards[0].queued(TEAM)) == (0, 1)


async def test_a_batch_of_a_shard_that_the_worker_does_not_own_is_dropped(worker):
    worker.enqueue(Batch(STAY, 3, 0, 1, [Record(0, 100, PATIENTS[0], b"x")], 2))

    worker._queue_batches()

    assert worker.shards[0].waiting == 0


async def test_a_partition_that_runs_ahead_is_not_wanted_until_half_of_it_is_applied(worker, monkeypatch):
    monkeypatch.setattr("streams.kafka.worker.QUEUE_RECORDS", 10)
    shard = worker.shards[0]
    shard.arrived(Batch(STAY, 0, 0, 11, [Record(n, 100 + n, PATIENTS[0], b"x") for n in range(11)], 2))
    calls = []
    worker.on_room = lambda: calls.append(1)

    assert not worker.should_fetch(STAY, 0)
    assert worker.should_fetch(TEAM, 0)
    worker._make_room()
    assert calls == []
    shard.probed({TEAM: 0, STAY: 11, RELAY: 0}, shard.seal(), 900)
    shard.apply(Outgoing(), 7)
    worker._make_room()
    assert calls == [1]
    assert worker.should_fetch(STAY, 0)


# ---- a broker that does not answer


async def unanswered(places):
    raise KafkaTimeoutError


async def test_a_probe_that_is_not_answered_in_time_is_sent_again_until_the_limit(worker, monkeypatch):
    worker.probe = unanswered
    worker.shards[0].arrived(Batch(STAY, 0, 0, 1, [Record(0, 100, PATIENTS[0], b"x")], 2))
    assert worker.shards[0].needs_probe

    await worker._probe_if_needed()

    assert worker.shards[0].needs_probe, "without an answer nothing is known about the topics"
    monkeypatch.setattr("streams.kafka.worker.BROKER_LIMIT_S", 0.0)
    with pytest.raises(KafkaTimeoutError):
        await worker._probe_if_needed()


async def test_a_worker_is_not_ready_while_its_probe_or_its_commit_is_not_answered(worker, monkeypatch):
    worker._held = True
    worker._answered_at = time.monotonic() - 6
    assert not worker.ready

    await worker._probe_if_needed()
    assert worker.ready, "no request is waiting for an answer"

    worker._answered_at = time.monotonic() - 6
    worker._commit = asyncio.create_task(asyncio.sleep(0.01))
    await worker._probe_if_needed()
    assert not worker.ready, "a commit is waiting for its answer"
    await worker._committed()
    assert worker.ready


async def test_a_commit_that_is_not_answered_within_the_limit_ends_the_worker(worker, monkeypatch):
    monkeypatch.setattr("streams.kafka.worker.BROKER_LIMIT_S", 0.02)
    worker._commit = asyncio.create_task(asyncio.sleep(30))

    with pytest.raises(TimeoutError):
        await worker._committed()


async def test_the_newest_record_does_not_wait_for_this_machines_clock(worker):
    async def ends(places):
        return {place: 1 if place[0] == STAY else 0 for place in places}

    worker.probe = ends
    ahead = int(time.time() * 1000) + 3_600_000
    worker.shards[0].arrived(Batch(STAY, 0, 0, 1, [Record(0, ahead, PATIENTS[0], b"x")], 2))

    await worker._probe_if_needed()
    assert worker.shards[0].needs_probe, "a record of the same millisecond may still arrive in another topic"
    await asyncio.sleep(0.005)
    await worker._probe_if_needed()

    assert not worker.shards[0].needs_probe
    out = Outgoing()
    worker.shards[0].apply(out, 10)
    assert out
