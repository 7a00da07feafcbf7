"""The backtest: replay one history with two catalogues, each in its own process.

Owns the input and the result of these processes. Each process loads its catalogue itself, so only settings, paths and
counts pass between the processes. Neither process writes to Kafka.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from streams.avro.codec import STANDARD
from streams.avro.registry import Registry
from streams.base.settings import Settings
from streams.contract.events import Event, Millis
from streams.contract.instants import EARLIEST, LATEST, format_instant
from streams.intake.files import read_paths
from streams.intake.reading import Arrived
from streams.intake.settings import IntakeSettings
from streams.kafka.connection import connection_of
from streams.replay.compare import Findings, findings_of
from streams.replay.history import Boundaries, People, TopicHistory
from streams.replay.replay import replay
from streams.shard.agent import Agent


@dataclass(frozen=True, slots=True)
class History:
    """The source of the history (files, or the topics between two sets of offsets) and the window to count."""

    paths: tuple[Path, ...] = ()
    boundaries: Boundaries | None = None
    since: Millis | None = None
    """Nothing before this time is counted. None: count from the beginning."""
    until: Millis | None = None
    """Nothing after this time is read. None: read up to the last arrival."""


class BacktestResult(msgspec.Struct, frozen=True):
    """What one catalogue did in a history, and counts of the events and people in it."""

    findings: Findings
    events: int
    people: int
    begin_missing: tuple[str, ...]
    may_be_missing: int
    unread: dict[str, int]
    """Records and messages that could not be read, by reason. Includes misrouted records that no shard has applied."""
    last: str


@dataclass(frozen=True, slots=True)
class Loaders:
    """Functions that create an in-memory agent and the intake settings in a worker process. They must be picklable."""

    agent: Callable[[Settings], Agent]
    intake: Callable[[Settings], IntakeSettings]


def run_both(loaders: Loaders, old: Settings, new: Settings, history: History) -> tuple[BacktestResult, BacktestResult]:
    """Replay *history* with the catalogues of *old* and *new*, in parallel. Raises the exceptions of either replay."""
    # Spawn, because the threads and event loops of a Kafka consumer do not survive a fork.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.submit(run_one, loaders, old, history), pool.submit(run_one, loaders, new, history)
        return first.result(), second.result()


def run_one(loaders: Loaders, settings: Settings, history: History) -> BacktestResult:
    """Replay *history* with the catalogue of *settings*."""
    agent, intake = loaders.agent(settings), loaders.intake(settings)
    people = People(history.boundaries)
    topics: TopicHistory | None = None
    if history.boundaries is not None:
        topics = TopicHistory(connection_of(settings), history.boundaries, settings.clock, _learner(settings))
        arrivals = topics.arrivals()
    else:
        arrivals = read_paths(list(history.paths), intake)
    reading = _Reading(history.until)
    lines = replay(people.watch(reading.up_to_the_end(arrivals)), [agent], history.until)
    since = format_instant(history.since if history.since is not None else EARLIEST)
    until = format_instant(history.until if history.until is not None else LATEST)
    found = findings_of(lines, since, until)
    unread = dict(reading.unread)
    if topics is not None:
        unread |= topics.refused
        if topics.misrouted > 0:
            unread["misrouted"] = topics.misrouted
    last = format_instant(history.until if history.until is not None else reading.last or EARLIEST)
    return BacktestResult(found, people.events, people.count, tuple(people.begin_missing()), people.may_be_missing(), unread, last)


class _Reading:
    """Yields the events up to the end of the window, and counts everything else."""

    def __init__(self, until: Millis | None) -> None:
        self._until = until
        self.last: Millis | None = None
        self.unread: dict[str, int] = {}

    def up_to_the_end(self, arrivals: Iterator[Arrived]) -> Iterator[Arrived]:
        for arrived in arrivals:
            self.last = arrived.arrival if self.last is None else max(self.last, arrived.arrival)
            if self._until is not None and self.last > self._until:
                return
            if isinstance(arrived.item, Event):
                yield arrived
            else:
                self.unread[arrived.item.reason] = self.unread.get(arrived.item.reason, 0) + 1


def _learner(settings: Settings) -> Callable[[list[bytes | None]], Awaitable[None]] | None:
    """Return a function that fetches the schemas of records from the registry, or None if no registry is configured."""
    if not settings.registry:
        return None

    async def learn(values: list[bytes | None]) -> None:
        ids = STANDARD.unknown_ids(values)
        if ids:
            async with Registry(settings.registry, STANDARD, settings.run_dir / "registry") as registry:
                await registry.learn(ids)

    return learn


def with_rules(settings: Settings, rules: Path | None) -> Settings:
    """Return *settings* with the catalogue in the folder *rules*, or unchanged if *rules* is None."""
    return settings if rules is None else replace(settings, rules=rules)
