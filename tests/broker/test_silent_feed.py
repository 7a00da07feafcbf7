"""A source goes silent on a real Kafka: workers of both agents as processes, one of them killed, one gap all the same."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.admin import create_topics
from streams.clock import Clock
from streams.codec import read_frame
from streams.effects import GapState
from streams.events import Encounter, EncounterUpdated, Event, Millis
from streams.intake.outcome import Arrived
from streams.local import LocalKafka
from streams.local.child import Child
from streams.person import person_key
from streams.play import publish
from streams.settings import DEMO_SECRET
from streams.topics import FEED, GAP

PARTITIONS = 2
SPEED = 240
"""Story seconds in a second: a minute passes in a quarter of a second, and the hour until the escalation in fifteen."""
LIMIT_S = 90.0
ROOT = Path(__file__).parents[2]
SOURCE = "urn:hospital:general"


@pytest.fixture(scope="module")
def broker(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A broker of this test alone: the product's own topics are on it."""
    with LocalKafka(tmp_path_factory.mktemp("kafka") / "broker", jars=kafka_jars) as broker:
        yield broker


def start_worker(agent: str, broker: LocalKafka, clock: Clock, folder: Path, number: int = 0) -> Child:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KAFKA_BOOTSTRAP": broker.bootstrap,
        "CARERELAY_PARTITIONS": str(PARTITIONS),
        "CARERELAY_CLOCK": str(clock),
        "CARERELAY_RUN_DIR": str(folder),
        "CARERELAY_WEB_PORT": "0",
        "CARERELAY_LOG_FORMAT": "json",
    }
    with (folder / f"{agent}-{number}.log").open("wb") as out:
        return Child([sys.executable, "-m", "streams", "worker", "--agent", agent], output=out, env=environment)


async def committed(connection: dict[str, Any], topic: str) -> list[Any]:
    """Return what is committed on *topic*, in the order of its partitions."""
    consumer = AIOKafkaConsumer(**connection, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        found = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(read_frame(record.value) for record in records if record.value)
        return found
    finally:
        await consumer.stop()


async def gaps(connection: dict[str, Any]) -> list[GapState]:
    return [gap for gap in await committed(connection, GAP.name) if isinstance(gap, GapState) and gap.rule == "FEED-1"]


async def until(connection: dict[str, Any], holds: Any) -> list[GapState]:
    limit = time.monotonic() + LIMIT_S
    while True:
        found = await gaps(connection)
        if holds(found):
            return found
        assert time.monotonic() < limit, f"waited {LIMIT_S:.0f} s; the gaps are {[(g.state, g.step, g.why) for g in found]}"
        await asyncio.sleep(0.3)


def messages(first: int, count: int, clock: Clock) -> list[Arrived]:
    """One message of another person each, all of one source, a minute of the story after one another."""
    made = []
    for n in range(first, first + count):
        at = Millis(clock.now() + (n - first) * 60_000)
        event = Event(f"e{n}", SOURCE, at, at, person_key(DEMO_SECRET, "A", str(n)), EncounterUpdated(Encounter("GENERAL", f"V{n}"), "AMB"))
        made.append(Arrived(event, at, ""))
    return made


async def test_a_source_that_stops_opens_one_gap_through_a_kill_of_its_watcher_and_closes_it_when_it_speaks(
    broker: LocalKafka, tmp_path: Path
) -> None:
    connection = {"bootstrap_servers": broker.bootstrap}
    await create_topics(connection, PARTITIONS, 1)
    clock = Clock(int(time.time() * 1000), 1_782_000_000_000, SPEED)

    def pace(arrival: Millis) -> float:
        return clock.to_broker(arrival) / 1000

    with ExitStack() as stack:

        def started(agent: str, number: int = 0) -> Child:
            child = start_worker(agent, broker, clock, tmp_path, number)
            stack.callback(child.kill)
            return child

        started("coordination")
        watcher = started("feeds")
        await publish(connection, messages(0, 40, clock), pace=pace, seen=lambda _: None)
        await until(connection, lambda found: any(g.state == "open" for g in found))
        watcher.kill()
        started("feeds", 1)
        await until(connection, lambda found: any(g.step == 2 for g in found) or any(g.state == "closed" for g in found))
        await publish(connection, messages(100, 1, clock), pace=pace, seen=lambda _: None)
        found = await until(connection, lambda found: found and found[-1].state == "closed")

    reports = await committed(connection, FEED.name)
    minutes = [report.seen // 60_000 for report in reports]
    assert len(minutes) == len(set(minutes)), "one worker reports a minute of a source once, whichever shard it was heard in"
    by_handoff: dict[str, list[str]] = {}
    for gap in found:
        by_handoff.setdefault(gap.handoff, []).append(f"{gap.state} {gap.step}")
    assert ["open 1", "open 2", "closed 2"] in by_handoff.values()
    assert all(len(states) == len(set(states)) for states in by_handoff.values()), "no state of a gap was published twice"
