"""Builds the worker of an agent: its loop, its Faust app and its HTTP server, from the settings.

Owns only how these parts are connected. The agent is an argument.
"""

from __future__ import annotations

import asyncio
import time

import faust
import structlog

from streams.avro.codec import STANDARD
from streams.avro.registry import Registry
from streams.base.metrics import Metrics
from streams.base.settings import Settings
from streams.kafka.connection import connection_of
from streams.kafka.faust_app import make_app, run_app
from streams.kafka.worker import Worker, WorkerSettings
from streams.ops.meters import Gauges, Meters
from streams.ops.probes import ProbeResult, Site
from streams.shard.agent import Agent

log = structlog.get_logger()

REGISTRY_RETRY_S = 0.5
HEALTH_LIMIT_S = 30.0
"""If the loop makes no progress for this long, /healthz fails. The orchestrator then ends the process, and others take its shards."""


def make_worker_app(settings: Settings, group: str, state_topic: str, agent: Agent) -> faust.App:
    """Make the Faust app of a worker of *agent* in the consumer group *group*."""
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
        agent,
        Meters(metrics),
    )
    if settings.registry:
        _use_registry(settings, worker)
    datadir = settings.run_dir / "faust"
    datadir.mkdir(parents=True, exist_ok=True)
    app = make_app(group, worker, kafka, str(datadir))

    def health() -> ProbeResult:
        since = time.monotonic() - worker.progressed_at
        return ProbeResult(since < HEALTH_LIMIT_S, f"last progress {since:.1f} s ago")

    def readiness() -> ProbeResult:
        return ProbeResult(
            worker.ready,
            f"{len(worker.shards)} shards open" if worker.ready else "not ready: shards are not open yet, or Kafka does not answer",
        )

    site = Site(settings.web_host, settings.web_port, metrics=Gauges(metrics, worker).text, health=health, readiness=readiness)

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
    """Write records with the registry's ids. Before new records are decoded, load the schemas that they need."""
    registry = Registry(settings.registry, STANDARD, settings.run_dir / "registry")

    async def prepare() -> None:
        await registry.__aenter__()
        await registry.prepare()

    async def learn(values: list[bytes | None]) -> None:
        ids = STANDARD.unknown_ids(values)
        while ids and (ids := await registry.learn(ids)):
            # The registry did not answer. Wait for it: without the schemas these records would become dead letters.
            log.warning("registry_unanswered", count=len(ids))
            await asyncio.sleep(REGISTRY_RETRY_S)

    worker.prepare = prepare
    worker.learn = learn


def run_worker(settings: Settings, group: str, state_topic: str, agent: Agent) -> None:
    """Run a worker of *agent* in the consumer group *group* until SIGTERM or SIGINT."""
    run_app(lambda: make_worker_app(settings, group, state_topic, agent))
