"""The Faust app around a worker: group membership, rebalances and supervision.

Owns Faust's settings and the reasons for them. Per-event work is elsewhere: this app uses no tables, no group_by, no take(),
no exactly_once and no web server of Faust, and sends nothing through Faust's producer.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import fastavro.read
import faust
import structlog
import uvloop
from aiokafka.record import default_records
from faust.auth import SASLCredentials, SSLCredentials

from streams.kafka.faust_transport import Assignor, BatchTransport, PassThrough
from streams.kafka.worker import Worker

log = structlog.get_logger()

LAG_TOOLS_S = 5.0
SHUTDOWN_LIMIT_S = 15.0
TLS_SHUTDOWN_S = 0.2
GC_THRESHOLDS = (20_000, 20, 50)
POLL_LIMIT_S = 300.0
"""A worker that has not polled for this long leaves the group. Other workers then take its shards and fence it."""


def make_app(name: str, worker: Worker, kafka: Mapping[str, Any], datadir: str) -> faust.App:
    """Return the Faust app *name*, which passes the records of the inbound topics to *worker*.

    Args:
        name: The name of the app and the id of the consumer group.
        worker: The worker that applies the records.
        kafka: The connection arguments of aiokafka's clients.
        datadir: The folder for Faust's files.
    """
    bootstrap = str(kafka["bootstrap_servers"])
    app = faust.App(
        name,
        broker=";".join(f"kafka://{address}" for address in bootstrap.split(",")),
        # Faust's own producer needs these: it connects although it sends nothing. `faust_transport` creates the consumer.
        broker_credentials=_credentials(kafka),
        store="memory://",
        datadir=datadir,
        version=1,
        topic_partitions=worker.settings.partitions,
        topic_replication_factor=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        stream_buffer_maxsize=64,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_max_poll_interval=POLL_LIMIT_S,
        consumer_max_fetch_size=1 << 20,
        PartitionAssignor=Assignor,
        loop=asyncio.get_event_loop(),
    )
    app.transport = BatchTransport(app.conf.broker, app, loop=app.loop)
    app.shard_worker = worker
    app.kafka = dict(kafka)
    inbound = app.topic(*worker.agent.inbound, schema=PassThrough(), partitions=worker.settings.partitions, internal=False)

    @app.agent(inbound, name=name)  # type: ignore[untyped-decorator]
    async def pass_batches(stream: Any) -> None:
        async for event in stream.noack().events():
            worker.enqueue(event.value)
            # Acknowledge to Faust immediately, because only the position in the state topic matters.
            event.ack()

    @app.timer(interval=LAG_TOOLS_S)  # type: ignore[untyped-decorator]
    async def publish_offsets() -> None:
        await app.consumer.publish_offsets()

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def leave(*_args: Any, **_kwargs: Any) -> None:
        await worker.release()

    for noisy in ("aiokafka", "faust", "mode", "streams.kafka.faust_transport"):
        # Faust builds debug log records even if the level discards them: 14 % of the CPU at low load.
        logger = logging.getLogger(noisy)
        logger.setLevel(max(logger.level, logging.WARNING))
    return app


def _credentials(kafka: Mapping[str, Any]) -> SASLCredentials | SSLCredentials | None:
    """Return the connection's credentials as Faust's types, or None without SASL and TLS."""
    context = kafka.get("ssl_context")
    if "sasl_mechanism" in kafka:
        user, password = kafka["sasl_plain_username"], kafka["sasl_plain_password"]
        return SASLCredentials(username=user, password=password, ssl_context=context, mechanism=kafka["sasl_mechanism"])
    return SSLCredentials(context) if context is not None else None


class _Loop(uvloop.Loop):
    """A uvloop event loop with a short timeout for TLS shutdown, instead of 30 s: Kafka often does not answer it."""

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", TLS_SHUTDOWN_S)
        return await super().create_connection(*arguments, **options)


class _LoopPolicy(uvloop.EventLoopPolicy):  # type: ignore[misc]
    def _loop_factory(self) -> _Loop:
        return _Loop()


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker with a time limit for shutdown. If it is exceeded, the next owner fences the claims that remain."""

    def _schedule_shutdown(self, signal: Any) -> None:
        timer = threading.Timer(SHUTDOWN_LIMIT_S, os._exit, (143,))
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(signal)


def missing_extensions() -> list[str]:
    """Return which of aiokafka and fastavro run without their compiled extensions: still correct, but about 28 times slower."""
    compiled = {
        "aiokafka": "._crecords." in default_records.DefaultRecordBatch.__module__,
        "fastavro": fastavro.read._read.__name__ == "fastavro._read",  # noqa: SLF001 -- there is no public way to find out
    }
    return [name for name, there in compiled.items() if not there]


def run_app(make: Callable[[], faust.App]) -> None:
    """Create the app and run it in this process until SIGTERM or SIGINT."""
    for name in missing_extensions():
        log.warning("extension_missing", reason=name)
    # The policy applies to the worker's loop and to the consumer thread's. uvloop uses a quarter to a third of asyncio's CPU.
    asyncio.set_event_loop_policy(_LoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(make(), override_logging=False, redirect_stdouts=False, quiet=True, loop=loop)
    worker.spinner = None  # Faust's spinner would write terminal codes into the log.
    # With a backlog, the garbage collector repeatedly scans thousands of queued records and every imported module: measured as
    # 12 % of a worker's CPU. So freeze what is loaded now and collect rarely; reference counting frees the records.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    worker.execute_from_commandline()
