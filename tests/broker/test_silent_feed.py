"""A source goes silent on a real Kafka. Workers of both agents run as processes, one is killed, and there is still only one gap."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from command import COMMAND
from reading import read_all

from streams.avro.codec import read_frame
from streams.base.clock import Clock
from streams.base.settings import DEMO_SECRET
from streams.contract.effects import GapState
from streams.contract.events import EncounterRef, EncounterUpdated, Event, Millis
from streams.contract.person_key import person_key
from streams.contract.topics import FEED, GAP
from streams.intake.publisher import publish
from streams.intake.reading import Arrived
from streams.kafka.admin import create_topics
from streams.local.child import Child

PARTITIONS = 2
SPEED = 480
"""Story seconds per second: a minute takes an eighth of a second, and the hour until the escalation seven and a half seconds."""
LIMIT_S = 90.0
ROOT = Path(__file__).parents[2]
SOURCE = "urn:hospital:general"


def start_worker(agent: str, bootstrap: str, clock: Clock, folder: Path, number: int = 0) -> Child:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KAFKA_BOOTSTRAP": bootstrap,
        "CARERELAY_PARTITIONS": str(PARTITIONS),
        "CARERELAY_CLOCK": str(clock),
        "CARERELAY_RUN_DIR": str(folder),
        "CARERELAY_WEB_PORT": "0",
        "CARERELAY_LOG_FORMAT": "json",
    }
    with (folder / f"{agent}-{number}.log").open("wb") as out:
        return Child([*COMMAND, "worker", "--agent", agent], output=out, env=environment)


async def committed(connection: dict[str, Any], topic: str) -> list[Any]:
    """Return the committed records of *topic*, in the order of each partition."""
    records = await read_all(connection, [(topic, n) for n in range(PARTITIONS)])
    return [read_frame(record.value) for record in records if record.value]


def has_opened(log: Path) -> bool:
    """Return whether the worker that writes *log* has its shards open."""
    return b'"shards_opened"' in log.read_bytes()


States = dict[str, list[tuple[str, int]]]
"""The states of each gap, in order: {handoff: [(state, step)]}."""


async def gaps(connection: dict[str, Any]) -> States:
    found: States = defaultdict(list)
    for gap in await committed(connection, GAP.name):
        if isinstance(gap, GapState) and gap.rule == "FEED-1":
            found[gap.handoff].append((gap.state, gap.step))
    return dict(found)


async def until(connection: dict[str, Any], holds: Callable[[States], Any]) -> tuple[Any, States]:
    """Wait until *holds* returns a true value. Return that, and the gaps it is about."""
    limit = time.monotonic() + LIMIT_S
    while True:
        found = await gaps(connection)
        if said := holds(found):
            return said, found
        assert time.monotonic() < limit, f"not reached within {LIMIT_S:.0f} s; the gaps are {found}"
        await asyncio.sleep(0.3)


def that_is(state: str, step: int) -> Callable[[States], str | None]:
    """Return a function that finds a gap in this state."""
    return lambda found: next((handoff for handoff, states in found.items() if states[-1] == (state, step)), None)


def messages(first: int, count: int, clock: Clock) -> list[Arrived]:
    """Publish one message per story minute, each of another person, all from one source."""
    made = []
    for n in range(first, first + count):
        at = Millis(clock.now() + (n - first) * 60_000)
        event = Event(
            f"e{n}", SOURCE, at, at, person_key(DEMO_SECRET, "A", str(n)), EncounterUpdated(EncounterRef("GENERAL", f"V{n}"), "AMB")
        )
        made.append(Arrived(event, at, ""))
    return made


async def test_a_silent_source_opens_one_gap_although_a_feeds_worker_is_killed_and_closes_it_when_it_sends(
    empty_kafka: str, tmp_path: Path
) -> None:
    connection = {"bootstrap_servers": empty_kafka}
    await create_topics(connection, PARTITIONS, 1)
    clock = Clock(int(time.time() * 1000), 1_782_000_000_000, SPEED)

    def each_in_its_minute(_: Millis) -> float:
        # Relative to the previous message, not at a fixed time, so that a broker that starts slowly does not put them into one minute.
        return time.time() + 60 / SPEED

    with ExitStack() as stack:

        def started(agent: str, number: int = 0) -> Child:
            child = start_worker(agent, empty_kafka, clock, tmp_path, number)
            stack.callback(child.kill)
            return child

        started("coordination")
        watcher = started("feeds")
        # Otherwise the first minutes would be a backlog: if one shard has reported a later minute, an earlier one of another is old.
        async with asyncio.timeout(LIMIT_S):
            while not has_opened(tmp_path / "coordination-0.log"):  # noqa: ASYNC110 -- the worker is another process
                await asyncio.sleep(0.1)
        await publish(connection, messages(0, 30, clock), pace=each_in_its_minute, seen=lambda _: None)
        await until(connection, that_is("open", 1))
        watcher.kill()
        started("feeds", 1)
        # On a busy machine there may have been a gap between the first messages too. It is closed again and never escalated.
        silent, _ = await until(connection, that_is("open", 2))
        await publish(connection, messages(100, 1, clock), seen=lambda _: None)
        # Soon the source is silent again, which is another gap.
        _, found = await until(connection, lambda found: found[silent][-1][0] == "closed")

    reports = await committed(connection, FEED.name)
    minutes = [report.seen // 60_000 for report in reports]
    assert len(minutes) == len(set(minutes)), "a minute of a source is reported once per worker, whichever shard it was read in"
    assert found[silent] == [("open", 1), ("open", 2), ("closed", 2)]
    assert all(len(states) == len(set(states)) for states in found.values()), "no state of a gap was published twice"
