"""The worker on a real Kafka publishes what the replay of the same records gives: every effect, its content, its order for a person.

The reference is the in-memory replay of the final content of the inbound topics, read back in the order of the shards, with
the broker's times on the declared clock. So no run depends on the speed of the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from command import COMMAND, clean_environment

from agents.coordination.agent import CoordinationAgent
from agents.coordination.rules.loading import load_world
from agents.loaders import load_intake
from streams.base.clock import Clock
from streams.base.settings import Settings
from streams.cli.demonstration import STORY
from streams.contract.events import Event, Millis, PatientAdmitted, PersonMerged
from streams.contract.instants import parse_instant
from streams.contract.topics import GAP
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
from streams.shard.memory import MemoryForm
from streams.simulate.stream import Simulation, faults_of, simulate

pytestmark = pytest.mark.kafka

SPEED = 172_800.0
"""Story days per second: two, so three weeks take eleven seconds."""
LEAD_SECONDS = 6.0
SETTLE_SECONDS = 90.0
EPILOGUE_MS = 4 * 86_400_000
PARTITIONS = 3


def made_input() -> list[Arrived]:
    """The story of three weeks, and in addition simulated people who come to hospital, with faults of transmission."""
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
    """Return every outbound line, in the order of each partition, as soon as *enough* returns True and no more lines arrive.

    A worker on a busy machine may be slow. One that has published nothing for SETTLE_SECONDS has finished.
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


def comparable(lines: list[Line], merged: set[str], until: Millis) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return each person's lines of one topic, in order, up to *until*.

    Records of a merged person travel from shard to shard, which takes time that the replay does not need. Meanwhile a deadline
    may fire, or a response be overtaken. So for such a person only the set of handoffs is compared. A refused record is
    compared by its dead letter: person and reason.
    """
    rules = load_world().catalogue.rules
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for line in lines:
        kind, person = line["effect"], line["person"] or ""
        if kind == "refused":
            if person not in merged:
                found[person, "refused"].append((line["cause"], line["reason"]))
            continue
        if parse_instant(line["at"]) > until:
            continue
        if person in merged:
            if kind == "task" and rules[line["rule"]].task == "opening":
                found[person, "handoffs"].append((line["rule"], line["handoff"], line["due"]))
            continue
        topic = {"withdrawal": "notification"}.get(kind, kind)
        found[person, topic].append(tuple((name, str(value)) for name, value in line.items()))
    return {key: sorted(set(of_one)) if key[1] == "handoffs" else of_one for key, of_one in found.items()}


async def overdue_on_the_topic(kafka: dict[str, Any], until: Millis) -> list[Line]:
    """Read the topic of gaps as the weekly report does."""
    watch = Watch(kafka, from_beginning=True, topics=(GAP.name,))
    await watch.start()
    try:
        lines = [line async for line in watch.lines_so_far()]
    finally:
        await watch.stop()
    return Week([line for line in lines if parse_instant(line["at"]) <= until], until).overdue()


async def test_worker_on_kafka_publishes_every_effect_of_the_replay(empty_kafka: str, tmp_path: Path) -> None:
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
        wanted = comparable(expected, merged, until)

        def enough(lines: list[Line]) -> bool:
            return sum(map(len, comparable(lines, merged, until).values())) >= sum(map(len, wanted.values()))

        told = await committed(kafka, enough, worker)
    finally:
        worker.stop()

    by_then = Week([line for line in told if parse_instant(line["at"]) <= until], until).overdue()
    reported = [gap for gap in await overdue_on_the_topic(kafka, until) if gap["person"] not in merged]
    assert reported == [gap for gap in by_then if gap["person"] not in merged]
    assert reported
    found = comparable(told, merged, until)
    ids = Counter(line["id"] for line in told if line["effect"] != "refused")
    assert [id_ for id_, count in ids.items() if count > 1] == []
    assert sum(map(len, wanted.values())) > 1_000
    assert wanted.keys() == found.keys()
    for key, lines in wanted.items():
        missing, unwanted = [x for x in lines if x not in found[key]], [x for x in found[key] if x not in lines]
        assert (missing, unwanted) == ([], []), f"{key}: only in the replay, only from the worker"
        assert lines == found[key], f"{key}: another order, or published more than once"
