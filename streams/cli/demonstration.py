"""The demonstration of `carerelay run`: start a local Kafka and a worker of each agent, play a story of three weeks, show what happens.

Owns the sequence of the demonstration, and stops every process that it starts. The clock is accelerated, and the output says
so. The workers and the publisher convert time with the same function (`streams/base/clock.py`). Knows no rule.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

from rich.console import Console
from rich.text import Text

from streams.base.clock import Clock
from streams.base.settings import Settings, security_variables, without_security
from streams.cli.agents import AgentRow, AgentTable
from streams.contract.events import Event, Millis, PersonMerged
from streams.contract.feed_key import feed_key
from streams.intake.publisher import publish
from streams.intake.reading import Arrived
from streams.kafka.admin import check_topics, create_topics
from streams.kafka.connection import connection_of
from streams.local.child import Child
from streams.local.jars import jars_folder
from streams.local.kafka import LocalKafka, free_port
from streams.output.follow import Watch
from streams.output.lines import line_of_arrival, lines_of_notes
from streams.output.sentences import Wording
from streams.output.terminal import Board

STORY = Path(__file__).with_name("story")
STORY_ZONE = "America/New_York"
FOLDER = "demonstration"
"""Subfolder of the run folder; contains the local Kafka and the workers' logs."""
STORY_EPILOGUE_MS = 3 * 86_400_000
"""How long the story's clock continues after the last message, so that unanswered tasks become overdue."""
LEAD_SECONDS = 4.0
"""Time from the start of the workers to the first message. Messages wait in Kafka until the workers are ready."""
_DRAIN_SECONDS = 90.0
"""Maximum time to wait at the end until everything is shown. On a busy machine the shards open late and have to catch up."""
_SHOW_SECONDS = 0.25
_WORKER_GRACE_SECONDS = 8.0


class DemonstrationError(Exception):
    """The demonstration cannot continue. The text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Playback:
    """The messages to publish, the speed of the clock, and the wording of the output."""

    arrivals: list[Arrived]
    """The messages, in the order of arrival."""
    speed: float
    """Seconds of story time per second."""
    wording: Wording

    @property
    def first(self) -> Millis:
        return min((arrived.arrival for arrived in self.arrivals if arrived.arrival > 0), default=self.arrivals[0].arrival)

    @property
    def last(self) -> Millis:
        return max(arrived.arrival for arrived in self.arrivals)


def demonstrate(agents: AgentTable, settings: Settings, playback: Playback, console: Console) -> None:
    """Run *playback* from start to end; Ctrl-C stops it cleanly. Raises LocalKafkaError, DemonstrationError, KafkaError."""
    if settings.bootstrap:
        console.print(Text(f"Kafka: {settings.bootstrap} (from --bootstrap or KAFKA_BOOTSTRAP)", style="dim"), soft_wrap=True)
        _on_kafka(agents, settings, playback, console, from_beginning=False)
        return
    folder = settings.run_dir / FOLDER
    kafka = LocalKafka(folder / "kafka", jars=jars_folder(settings.run_dir, settings.kafka_jars), port=settings.kafka_port)
    console.print(Text("Kafka: starting a local broker (the first run downloads it) …", style="dim"), soft_wrap=True)
    kafka.erase()
    with kafka:
        console.print(Text(f"Kafka: {kafka.bootstrap}, its data and log are in {folder / 'kafka'}", style="dim"), soft_wrap=True)
        _on_kafka(agents, replace(without_security(settings), bootstrap=kafka.bootstrap), playback, console, from_beginning=True)


def _on_kafka(agents: AgentTable, settings: Settings, playback: Playback, console: Console, *, from_beginning: bool) -> None:
    now = int(time.time() * 1000)
    clock = Clock(now, int(playback.first - LEAD_SECONDS * 1000 * playback.speed), playback.speed)
    asyncio.run(_Demonstration(agents, replace(settings, clock=clock), playback, console).run(from_beginning=from_beginning))


@dataclass(frozen=True, slots=True)
class _Worker:
    name: str
    child: Child
    log: Path
    metrics: str
    """URL of its metrics."""

    async def is_idle(self, speed: float) -> bool:
        """Return whether the worker's metrics show open shards, no waiting records and no late deadlines."""
        try:
            text = await asyncio.to_thread(self._read)
        except OSError:
            return False
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        found = [(name.partition("{")[0], float(value)) for name, value in rows]
        return ("care_shards_open", 0.0) not in found and not any(
            (name == "care_position_lag_records" and value > 0) or (name == "care_clock_lag_seconds" and value > speed)
            for name, value in found
        )

    def _read(self) -> str:
        with urlopen(self.metrics, timeout=2) as answer:  # noqa: S310 -- our own worker, on loopback
            return str(answer.read().decode())


class _Demonstration:
    def __init__(self, agents: AgentTable, settings: Settings, playback: Playback, console: Console) -> None:
        self._agents = agents
        self._settings = settings
        self._playback = playback
        self._console = console
        self._board = Board(console, playback.wording)
        self._kafka = connection_of(settings)
        events = [arrived.item for arrived in playback.arrivals if isinstance(arrived.item, Event)]
        self._ours = {event.person for event in events} | {e.data.into.key for e in events if isinstance(e.data, PersonMerged)}
        self._ours |= {feed_key(event.source) for event in events}

    async def run(self, *, from_beginning: bool) -> None:
        # Errors are reported in one line. aiokafka would log each failed attempt between the lines of the story.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        created = await create_topics(self._kafka, self._settings.partitions, self._settings.replication)
        wrong = [m for m in await check_topics(self._kafka, self._settings.partitions) if m.fatal]
        if wrong:
            raise DemonstrationError(str(wrong[0]))
        self._say(f"Topics: created {len(created)}" if created else "Topics: all of them exist")
        watch = Watch(self._kafka, from_beginning=from_beginning)
        await watch.start()
        workers: list[_Worker] = []
        try:
            workers += map(self._start_worker, self._agents.rows)
            self._say_clock()
            await self._play(watch, workers)
        finally:
            for worker in workers:
                worker.child.stop()
            await watch.stop()
        self._board.finish()

    def _start_worker(self, agent: AgentRow) -> _Worker:
        folder = self._settings.run_dir / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{agent.title.lower().replace(' ', '-')}.log"
        given = {
            "KAFKA_BOOTSTRAP": self._settings.bootstrap,
            "CARERELAY_CLOCK": str(self._settings.clock),
            "CARERELAY_PARTITIONS": str(self._settings.partitions),
            "CARERELAY_WEB_PORT": str(free_port()),
            "CARERELAY_LOG_FORMAT": "json",
        }
        if not self._settings.has_tls and not self._settings.has_sasl:
            given |= dict.fromkeys(security_variables(), "")
        with log.open("wb") as output:
            child = Child(
                [sys.executable, "-m", self._agents.module, "worker", "--agent", agent.name],
                output=output,
                env=os.environ | given,
                grace_seconds=_WORKER_GRACE_SECONDS,
            )
        worker = _Worker(agent.title, child, log, f"http://127.0.0.1:{given['CARERELAY_WEB_PORT']}/metrics")
        self._say(f"{agent.title}: process {child.pid}, log in {log}, metrics at {worker.metrics}")
        return worker

    def _say_clock(self) -> None:
        zone = self._playback.wording.zone
        first, last = (f"{datetime.fromtimestamp(at / 1000, zone):%d %B %Y}" for at in (self._playback.first, self._playback.last))
        speed = self._playback.speed
        seconds = (self._playback.last - self._playback.first + STORY_EPILOGUE_MS) / 1000 / speed
        self._console.print(
            Text(
                f"Clock: accelerated. {len(self._playback.arrivals)} messages from {first} to {last}. One second here is "
                f"{_span(speed)} of the story, which takes {seconds:.0f} seconds. All persons are synthetic.\n",
                style="bold yellow",
            ),
            soft_wrap=True,
        )
        self._board.begin()

    async def _play(self, watch: Watch, workers: list[_Worker]) -> None:
        showing = asyncio.create_task(self._show(watch))
        guarding = asyncio.create_task(self._guard(workers))
        playing = asyncio.create_task(self._publish(watch, workers[0]))
        try:
            done, _ = await asyncio.wait((showing, guarding, playing), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (showing, guarding, playing):
                task.cancel()
            await asyncio.gather(showing, guarding, playing, return_exceptions=True)

    async def _publish(self, watch: Watch, worker: _Worker) -> None:
        """Publish the story, wait until its clock is `STORY_EPILOGUE_MS` after the last message, then until all effects are shown."""
        clock = self._settings.clock

        def pace(arrival: Millis) -> float:
            return clock.to_broker(arrival) / 1000

        await publish(self._kafka, self._arrivals(), pace=pace, seen=self._show_arrival)
        end = pace(Millis(self._playback.last + STORY_EPILOGUE_MS))
        await asyncio.sleep(max(0.0, end - time.time()))
        quiet_since = time.monotonic()
        deadline = quiet_since + _DRAIN_SECONDS
        shown = -1
        while time.monotonic() < deadline:
            if not await worker.is_idle(clock.speed):
                quiet_since = time.monotonic()
            elif self._board.counts.total() != shown or not await watch.is_drained():
                shown, quiet_since = self._board.counts.total(), time.monotonic()
            elif time.monotonic() - quiet_since > 1:
                return
            await asyncio.sleep(0.2)

    def _arrivals(self) -> Iterable[Arrived]:
        return iter(self._playback.arrivals)

    def _show_arrival(self, arrived: Arrived) -> None:
        line = line_of_arrival(arrived)
        for noted in lines_of_notes(arrived):
            self._board.show(noted)
        if line is not None:
            self._board.show(line)
        elif isinstance(arrived.item, Event):
            self._board.show_event(arrived.item, arrived.arrival)

    async def _show(self, watch: Watch) -> None:
        async for line in watch.lines():
            # Other programs may use this Kafka too, so only lines about this story are shown.
            if line["person"] in self._ours:
                self._board.show(line)

    async def _guard(self, workers: list[_Worker]) -> None:
        """Raise DemonstrationError when a worker stops. Until then, flush the board's waiting lines."""
        while all(worker.child.alive for worker in workers):
            await asyncio.sleep(_SHOW_SECONDS)
            self._board.flush()
        ended = next(worker for worker in workers if not worker.child.alive)
        raise DemonstrationError(f"the {ended.name.lower()} stopped with exit code {ended.child.exit_code}: read {ended.log}")

    def _say(self, text: str) -> None:
        self._console.print(Text(text, style="dim"), soft_wrap=True)


def new_secret() -> bytes:
    """Make a secret for one demonstration. Its person keys then differ from those of earlier demonstrations on the same Kafka."""
    return secrets.token_hex(16).encode()


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
