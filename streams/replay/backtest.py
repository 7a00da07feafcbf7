"""One history under two catalogues, each in a process of its own.

Owns what a process is given and gives back. A catalogue is loaded where it is used, so nothing but settings, paths and
counts goes between the processes; neither writes anything, anywhere.
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
    """Where history is: in files, or on the topics between two sets of offsets; and the window that counts."""

    paths: tuple[Path, ...] = ()
    boundaries: Boundaries | None = None
    since: Millis | None = None
    """Nothing before it counts; None: all."""
    until: Millis | None = None
    """What is later is not read; None: the last arrival."""


class BacktestResult(msgspec.Struct, frozen=True):
    """What a catalogue did in a history, and whom the history is about."""

    findings: Findings
    events: int
    people: int
    begin_missing: tuple[str, ...]
    may_be_missing: int
    unread: dict[str, int]
    """Records and messages that could not be read, by reason; misrouted ones that no shard has applied among them."""
    last: str


@dataclass(frozen=True, slots=True)
class Loaders:
    """What makes an agent in memory and doors of settings, in the process that uses them: functions that can be sent to one."""

    agent: Callable[[Settings], Agent]
    intake: Callable[[Settings], IntakeSettings]


def run_both(loaders: Loaders, old: Settings, new: Settings, history: History) -> tuple[BacktestResult, BacktestResult]:
    """Replay *history* under the catalogues of both settings, at the same time. Raises what a replay raises."""
    # Spawned, not forked: a consumer's threads and loops do not survive a fork.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.submit(run_one, loaders, old, history), pool.submit(run_one, loaders, new, history)
        return first.result(), second.result()


def run_one(loaders: Loaders, settings: Settings, history: History) -> BacktestResult:
    """Replay *history* under the catalogue of *settings*."""
    agent, doors = loaders.agent(settings), loaders.intake(settings)
    people = People(history.boundaries)
    topics: TopicHistory | None = None
    if history.boundaries is not None:
        topics = TopicHistory(connection_of(settings), history.boundaries, settings.clock, _learner(settings))
        arrivals = topics.arrivals()
    else:
        arrivals = read_paths(list(history.paths), doors)
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
    """Passes arrivals on up to the end of the window; counts what is no event."""

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
    """Return what asks the registry for the schemas that records name; None where there is no registry."""
    if not settings.registry:
        return None

    async def learn(values: list[bytes | None]) -> None:
        ids = STANDARD.unknown_ids(values)
        if ids:
            async with Registry(settings.registry, STANDARD, settings.run_dir / "registry") as registry:
                await registry.learn(ids)

    return learn


def with_rules(settings: Settings, rules: Path | None) -> Settings:
    """Return *settings* with the catalogue in *rules*; None: as they are."""
    return settings if rules is None else replace(settings, rules=rules)
