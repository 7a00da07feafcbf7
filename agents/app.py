"""The composition root: settings become rules, shards, a Faust app and its web site. The only file that names agents.

Owns what is joined to what, and nothing of how any of it works.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import faust
import structlog

from agents.coordination.agent import Coordination, CoordinationRecords
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.rules.loading import DIRECTORY, RULES, load_directory, load_world
from agents.coordination.rules.world import CareSettings
from agents.feeds.agent import CareAndFeeds, FeedRecords, Feeds, load_rule, watchers_of
from streams.avro.codec import STANDARD
from streams.avro.registry import Registry
from streams.base.metrics import Metrics
from streams.base.settings import Settings
from streams.contract.topics import FEEDS_STATE, STATE
from streams.intake.settings import IntakeSettings
from streams.kafka.connection import connection_of
from streams.kafka.faust_app import make_app, run_app
from streams.kafka.worker import Worker, WorkerSettings
from streams.ops.probes import Answer, Site
from streams.ops.senders import Senders
from streams.replay.replay import Deciding
from streams.shard.agent import Agent
from streams.shard.shard import Shard

log = structlog.get_logger()

REGISTRY_RETRY_S = 0.5
HEALTH_LIMIT_S = 30.0
"""A loop that did not go round for so long is not well: the orchestrator ends the process, and others take its shards."""


def load_care(settings: Settings) -> tuple[Coordination, IntakeSettings]:
    """Load rules and directory; return what decides, and what the doors need.

    Raises ValueError or OSError with file, field and how to mend.
    """
    counting: LengthCounting = "inclusive" if settings.length_of_stay == "inclusive" else "nights"
    care = CareSettings(history_days=settings.backfill_days, length_of_stay=counting)
    world = load_world(settings.rules or RULES, settings.directory or DIRECTORY, care, settings.profile)
    directory = world.directory
    doors = IntakeSettings(
        secret=settings.key_secret,
        # A facility that the directory does not know: the message's own offset counts, then the default organisation's zone.
        zone_of=lambda facility: directory.of_facility(facility).zone if directory.knows_facility(facility) else None,
        default_zone=directory.default.zone,
        default_facility=settings.default_facility,
    )
    return Coordination(world), doors


def load_feeds(settings: Settings) -> Feeds:
    """Load the rule of silent feeds and who answers for it. Raises ValueError or OSError with file and field."""
    rule = load_rule()
    return Feeds(rule, watchers_of(load_directory(settings.directory or DIRECTORY), rule))


def with_feeds(settings: Settings, care: Deciding) -> CareAndFeeds:
    """Return what decides about persons and feeds alike, as a replay asks for it."""
    return CareAndFeeds(care, load_feeds(settings))


class Meters:
    """Turns what the loop tells into metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._m = metrics
        self._senders = Senders()

    def opened(self, shards: int, seconds: float | None = None) -> None:
        self._m.shards_open.set(shards)
        if seconds is not None:
            self._m.restore_seconds.observe(seconds)

    def committed(self, seconds: float, records: int) -> None:
        self._m.commit_seconds.observe(seconds)
        self._m.batch_records.observe(records)
        self._m.progress.set(time.time())

    def counted(self, shard: Shard) -> None:
        tally = shard.tally
        failed = {name: tally.failed.count(name) for name in set(tally.failed)}
        self._m.count(
            events=tally.events,
            effects=tally.effects,
            refused=tally.refused,
            failed=failed,
            misrouted=tally.misrouted,
            deadlines=tally.deadlines,
        )
        changes = self._senders.take(tally.refused, tally.accepted)
        if changes:
            # Its records keep going to the dead letters: a sender's errors never stop a shard.
            log.warning("sources_changed", count=len(changes), reason="failing" if any(changes.values()) else "well again")
            self._m.mark_failing(changes)
        tally.clear()


@dataclass(slots=True)
class _Gauges:
    """What is looked up when Prometheus asks, not counted as it happens."""

    metrics: Metrics
    worker: Worker

    def text(self) -> bytes:
        clock, now = self.worker.settings.clock, int(time.time() * 1000)
        for number, shard in self.worker.shards.items():
            label = str(number)
            late = max(0.0, (clock.to_story(now) - shard.next_due) / 1000)
            self.metrics.clock_lag_seconds.labels(label).set(late)
            self.metrics.persons.labels(label).set(len(shard.persons))
            self.metrics.open_handoffs.labels(label).set(shard.open_handoffs)
            for topic in shard.agent.inbound:
                self.metrics.position_lag.labels(topic, label).set(shard.lag(topic))
        return self.metrics.text()


AGENTS = ("coordination", "feeds")
"""What a worker may be a worker of; each agent has its own group, state topic and shards."""


def logic_of(settings: Settings, agent: str) -> tuple[str, str, Agent]:
    """Return the consumer group, the state topic and the logic of *agent*, one of AGENTS.

    Raises ValueError or OSError with file, field and how to mend.
    """
    if agent == "feeds":
        return f"{settings.group}-feeds", FEEDS_STATE.name, FeedRecords(load_feeds(settings))
    return settings.group, STATE.name, CoordinationRecords(load_care(settings)[0], clock=settings.clock)


def make_worker_app(settings: Settings, group: str, state_topic: str, logic: Agent) -> faust.App:
    """Make the Faust app of a worker that runs *logic*, as `logic_of` gives the three."""
    kafka = connection_of(settings)
    metrics = Metrics()
    worker = Worker(
        WorkerSettings(
            kafka,
            state_topic,
            settings.partitions,
            settings.clock,
            restore_limit_s=settings.restore_seconds_max,
            records_per_commit=settings.batch_records_max,
        ),
        logic,
        Meters(metrics),
    )
    if settings.registry:
        _use_registry(settings, worker)
    datadir = settings.run_dir / "faust"
    datadir.mkdir(parents=True, exist_ok=True)
    app = make_app(group, worker, kafka, str(datadir))

    def health() -> Answer:
        since = time.monotonic() - worker.progressed_at
        return Answer(since < HEALTH_LIMIT_S, f"the loop went round {since:.1f} s ago")

    def readiness() -> Answer:
        return Answer(worker.ready, f"{len(worker.shards)} shards open" if worker.ready else "shards are not open yet")

    site = Site(settings.web_host, settings.web_port, metrics=_Gauges(metrics, worker).text, health=health, readiness=readiness)

    @app.task  # type: ignore[untyped-decorator]
    async def serve_site() -> None:
        try:
            address = await site.start()
        except OSError as error:
            log.exception("web_port_in_use", port=settings.web_port, reason=type(error).__name__)
            return
        log.info("web_listening", address=address)

    return app


def _use_registry(settings: Settings, worker: Worker) -> None:
    """Write the registry's frames, and ask it for schemas that senders name, before the records that need them are read."""
    registry = Registry(settings.registry, STANDARD, settings.run_dir / "registry")

    async def prepare() -> None:
        await registry.__aenter__()
        await registry.prepare()

    async def learn(values: list[bytes | None]) -> None:
        ids = STANDARD.unknown_ids(values)
        while ids and (ids := await registry.learn(ids)):
            # It did not answer: what it may know must not become dead letters meanwhile.
            log.warning("registry_unanswered", count=len(ids))
            await asyncio.sleep(REGISTRY_RETRY_S)

    worker.prepare = prepare
    worker.learn = learn


def run_worker(settings: Settings, group: str, state_topic: str, logic: Agent) -> None:
    """Run a worker of *logic*, as `logic_of` gives the three, until SIGTERM or SIGINT."""
    run_app(lambda: make_worker_app(settings, group, state_topic, logic))
