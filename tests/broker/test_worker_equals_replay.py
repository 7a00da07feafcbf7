"""The worker on a real Kafka tells what the replay tells of the same records: every effect, its content, its order for a person.

What is compared with is decided in memory from what the inbound topics hold in the end, read back in the order of the shards,
with the broker's own times on the declared clock; so no run depends on how fast this machine is. The replay decides at once
what a merge sends from shard to shard. On Kafka that takes moments, in which a deadline may fire or a response be overtaken:
persons who were merged are therefore compared with shards that are given the relay's records too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from command import COMMAND, clean_environment
from reading import read_all

from agents.coordination.agent import CoordinationAgent
from agents.coordination.rules.loading import load_world
from agents.loaders import load_intake
from streams.base.clock import Clock
from streams.base.settings import Settings
from streams.cli.demonstration import STORY
from streams.contract.events import Event, Millis, PatientAdmitted, PersonMerged
from streams.contract.instants import parse_instant
from streams.contract.record import Outgoing
from streams.contract.topics import GAP, INBOUND
from streams.intake.files import read_paths
from streams.intake.publisher import publish
from streams.intake.reading import Arrived
from streams.kafka.admin import create_topics
from streams.local.child import Child
from streams.output.follow import WATCHED, Watch, line_of_record
from streams.output.lines import Line
from streams.output.report import Week
from streams.replay.history import TopicHistory, find_boundaries
from streams.replay.replay import replay
from streams.shard.avro_form import AvroForm
from streams.shard.memory import MemoryForm
from streams.shard.order import Batch
from streams.shard.shard import Shard
from streams.simulate.stream import Simulation, faults_of, simulate

pytestmark = pytest.mark.kafka

SPEED = 172_800.0
"""Two days of the story in a second: three weeks in eleven."""
LEAD_SECONDS = 6.0
SETTLE_SECONDS = 90.0
EPILOGUE_MS = 4 * 86_400_000
RELAYS_MAX = 5
"""How often it is looked again for what merges send."""
PARTITIONS = 3


def made_input() -> list[Arrived]:
    """The story of three weeks, and beside it simulated people who come to hospital, with what goes wrong on the way."""
    story = list(read_paths([STORY], load_intake(Settings())))
    first = datetime.fromtimestamp(min(a.arrival for a in story) / 1000, UTC).date()
    wanted = Simulation(seed=20260702, people=2_000, days=18, faults=faults_of("all"), start=first)
    made = [one.event for one in simulate(wanted, CoordinationAgent(load_world(), MemoryForm()))]
    patients = list(dict.fromkeys(e.person for e in made if isinstance(e.data, PatientAdmitted)))[:14]
    merges = [e for e in made if isinstance(e.data, PersonMerged)][:3]
    chosen = {*patients, *(e.person for e in merges), *(e.data.into.key for e in merges if isinstance(e.data, PersonMerged))}
    beside = [Arrived(e, e.arrival, "") for e in made if e.person in chosen]
    return sorted([*story, *beside], key=lambda arrived: arrived.arrival)


def start_worker(bootstrap: str, clock: Clock, folder: Path) -> Child:
    given = {
        "KAFKA_BOOTSTRAP": bootstrap,
        "CARERELAY_CLOCK": str(clock),
        "CARERELAY_PARTITIONS": str(PARTITIONS),
        "CARERELAY_WEB_PORT": "0",
        "CARERELAY_LOG_FORMAT": "json",
    }
    with (folder / "worker.log").open("wb") as out:
        return Child([*COMMAND, "worker"], output=out, env=clean_environment(**given))


async def committed(kafka: dict[str, Any], enough: Callable[[list[Line]], bool], worker: Child) -> list[Line]:
    """Return every outbound line, each partition's in its order: until there is *enough*, and what comes in a moment after that.

    A worker on a busy machine may take as long as it likes. One that has published nothing for SETTLE_SECONDS has no more.
    """
    consumer = AIOKafkaConsumer(**kafka, isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(name, n) for name in WATCHED for n in range(PARTITIONS)])
        found: list[Line] = []
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            assert worker.alive, "the worker ended"
            records = await consumer.getmany(timeout_ms=300)
            found += [line for part in records.values() for record in part if (line := line_of_record(record)) is not None]
            if any(records.values()):
                deadline = time.monotonic() + SETTLE_SECONDS
            if enough(found):
                deadline = min(deadline, time.monotonic() + 2)
        return found
    finally:
        await consumer.stop()


def decided_by_shards(records: list[Any], clock: Clock, until: Millis) -> list[Line]:
    """Return the lines of what shards in memory publish of *records*, those of the relay too; each partition's in its order."""
    agent = CoordinationAgent(load_world(), AvroForm(clock=clock))
    by_place: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for record in records:
        by_place[record.topic, record.partition].append(record)
    out = Outgoing()
    for number in range(PARTITIONS):
        shard = Shard(number, PARTITIONS, agent, clock, {})
        shard.restored(dict.fromkeys(agent.inbound, 0), {})
        for topic in agent.inbound:
            found = sorted(by_place[topic, number], key=lambda record: record.offset)
            if found:
                shard.arrived(Batch(topic, number, 0, found[-1].offset + 1, found, 0))
        shard.probed(dict.fromkeys(agent.inbound, 0), 0, 1 << 50)
        shard.apply(out, len(records), 0)
        shard.fire(Millis(until + 1), 1_000_000, out)
    written = [SimpleNamespace(topic=topic, timestamp=0, **one._asdict()) for (topic, _), outs in out.items() for one in outs]
    return [line for record in written if record.topic in WATCHED and (line := line_of_record(record)) is not None]


def comparable(lines: list[Line], until: Millis, without: Collection[str] = ()) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return each person's lines of one topic in their order, up to *until*. Of a refused record: whose it is and why."""
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for line in lines:
        kind, person = line["effect"], line["person"] or ""
        if person in without:
            continue
        if kind == "refused":
            found[person, "refused"].append((line["cause"], line["reason"]))
        elif parse_instant(line["at"]) <= until:
            topic = {"withdrawal": "notification"}.get(kind, kind)
            found[person, topic].append(tuple((name, str(value)) for name, value in line.items()))
    return dict(found)


def assert_equal(wanted: dict[tuple[str, str], list[Any]], found: dict[tuple[str, str], list[Any]]) -> None:
    assert wanted.keys() == found.keys()
    for key, lines in wanted.items():
        missing, unwanted = [x for x in lines if x not in found[key]], [x for x in found[key] if x not in lines]
        assert (missing, unwanted) == ([], []), f"{key}: only in memory, only the worker"
        assert lines == found[key], f"{key}: another order, or more than once"


async def overdue_on_the_topic(kafka: dict[str, Any], until: Millis) -> list[Line]:
    """What the weekly report reads from the topic of gaps alone."""
    watch = Watch(kafka, from_beginning=True, topics=(GAP.name,))
    await watch.start()
    try:
        lines = [line async for line in watch.lines_so_far()]
    finally:
        await watch.stop()
    return Week([line for line in lines if parse_instant(line["at"]) <= until], until).overdue()


async def test_worker_on_kafka_tells_every_effect_that_the_replay_tells(empty_kafka: str, tmp_path: Path) -> None:
    kafka: dict[str, Any] = {"bootstrap_servers": empty_kafka}
    await create_topics(kafka, PARTITIONS, 1)
    arrivals = made_input()
    events = [a.item for a in arrivals if isinstance(a.item, Event)]
    first, last = arrivals[0].arrival, max(a.arrival for a in arrivals)
    clock = Clock(int(time.time() * 1000), int(first - LEAD_SECONDS * 1000 * SPEED), SPEED)
    until = Millis(last + EPILOGUE_MS)

    worker = start_worker(empty_kafka, clock, tmp_path)
    try:
        await publish(kafka, arrivals, pace=lambda arrival: clock.to_broker(arrival) / 1000, seen=lambda _: None)
        history = TopicHistory(kafka, await find_boundaries(kafka, 1 << 50), clock)
        heard = await asyncio.to_thread(lambda: list(history.arrivals()))
        assert len(heard) >= len(events)
        expected = list(replay(heard, [CoordinationAgent(load_world(), MemoryForm())], until))
        merges = [e for e in events if isinstance(e.data, PersonMerged)]
        merged = {e.person for e in merges} | {e.data.into.key for e in merges if isinstance(e.data, PersonMerged)}
        wanted = comparable(expected, until, merged)

        def enough(lines: list[Line]) -> bool:
            return sum(map(len, comparable(lines, until, merged).values())) >= sum(map(len, wanted.values()))

        inbound = [(topic.name, n) for topic in INBOUND for n in range(PARTITIONS)]
        for _ in range(RELAYS_MAX):
            told = await committed(kafka, enough, worker)
            by_shards = comparable(decided_by_shards(await read_all(kafka, inbound), clock, until), until)
            found = comparable(told, until)
            # What merges send from shard to shard may still be on its way.
            if by_shards == found:
                break
    finally:
        worker.stop()

    by_then = Week([line for line in told if parse_instant(line["at"]) <= until], until).overdue()
    reported = [gap for gap in await overdue_on_the_topic(kafka, until) if gap["person"] not in merged]
    assert reported == [gap for gap in by_then if gap["person"] not in merged]
    assert reported
    ids = Counter(line["id"] for line in told if line["effect"] != "refused")
    assert [id_ for id_, count in ids.items() if count > 1] == []
    assert sum(map(len, wanted.values())) > 1_000
    assert_equal(wanted, comparable(told, until, merged))
    assert any(person in merged for person, _ in by_shards)
    assert_equal(by_shards, found)
