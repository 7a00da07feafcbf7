"""The Faust app round a worker: membership, rebalance and supervision. Everything per event is elsewhere.

Owns Faust's settings, and why each is as it is. No tables, no group_by, no take(), no exactly_once of Faust's, no send
in the hot path; its web tables and router are off.
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

from streams.kafka.faust_transport import Assignor, BatchTransport, Whole
from streams.kafka.worker import Worker

log = structlog.get_logger()

LAG_TOOLS_S = 5.0
SHUTDOWN_LIMIT_S = 15.0
TLS_GOODBYE_S = 0.2
GC_THRESHOLDS = (20_000, 20, 50)
POLL_LIMIT_S = 300.0
"""A worker whose loop has asked for nothing for so long leaves the group: others take its shards, and fence it."""


def make_app(name: str, worker: Worker, kafka: Mapping[str, Any], datadir: str) -> faust.App:
    """Make the Faust app *name* (also the consumer group's id) that feeds *worker* with its inbound topics.

    `kafka` holds the connection arguments of aiokafka's clients.
    """
    bootstrap = str(kafka["bootstrap_servers"])
    app = faust.App(
        name,
        broker=";".join(f"kafka://{address}" for address in bootstrap.split(",")),
        # Its own producer, which sends nothing here, connects all the same; the consumer is made by `streams.kafka.faust_transport`.
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
    inbound = app.topic(*worker.agent.inbound, schema=Whole(), partitions=worker.settings.partitions, internal=False)

    @app.agent(inbound, name=name)  # type: ignore[untyped-decorator]
    async def give(stream: Any) -> None:
        async for event in stream.noack().events():
            worker.give(event.value)
            # The truth is the position in the state topic: to Faust the message is done.
            event.ack()

    @app.timer(interval=LAG_TOOLS_S)  # type: ignore[untyped-decorator]
    async def let_lag_tools_see() -> None:
        await app.consumer.publish_offsets()

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def leave(*_args: Any, **_kwargs: Any) -> None:
        await worker.release()

    for noisy in ("aiokafka", "faust", "mode", "streams.kafka.faust_transport"):
        # Faust lets debug records be built even where nobody reads them: 14 % of the CPU at low load.
        logger = logging.getLogger(noisy)
        logger.setLevel(max(logger.level, logging.WARNING))
    return app


def _credentials(kafka: Mapping[str, Any]) -> SASLCredentials | SSLCredentials | None:
    """Say in Faust's words how Kafka is reached."""
    context = kafka.get("ssl_context")
    if "sasl_mechanism" in kafka:
        user, password = kafka["sasl_plain_username"], kafka["sasl_plain_password"]
        return SASLCredentials(username=user, password=password, ssl_context=context, mechanism=kafka["sasl_mechanism"])
    return SSLCredentials(context) if context is not None else None


class _Loop(uvloop.Loop):
    """uvloop's loop that waits a moment, not 30 s, for a broker to answer the end of a TLS connection: Kafka often does not."""

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", TLS_GOODBYE_S)
        return await super().create_connection(*arguments, **options)


class _LoopPolicy(uvloop.EventLoopPolicy):  # type: ignore[misc]
    def _loop_factory(self) -> _Loop:
        return _Loop()


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's own worker with an end to its patience: a shutdown that hangs leaves its claims to be fenced."""

    def _schedule_shutdown(self, signal: Any) -> None:
        timer = threading.Timer(SHUTDOWN_LIMIT_S, os._exit, (143,))
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(signal)


def missing_extensions() -> list[str]:
    """Return which of aiokafka and fastavro run without their compiled extensions: right, but some 28 times slower."""
    compiled = {
        "aiokafka": "._crecords." in default_records.DefaultRecordBatch.__module__,
        "fastavro": fastavro.read._read.__name__ == "fastavro._read",  # noqa: SLF001 -- nothing else tells
    }
    return [name for name, there in compiled.items() if not there]


def run_app(make: Callable[[], faust.App]) -> None:
    """Make the app and run it in this process until SIGTERM or SIGINT."""
    for name in missing_extensions():
        log.warning("extension_missing", reason=name)
    # Of the worker's loop and of the consumer thread's: a quarter to a third of the CPU of asyncio's own.
    asyncio.set_event_loop_policy(_LoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(make(), override_logging=False, redirect_stdouts=False, quiet=True, loop=loop)
    worker.spinner = None  # it writes terminal codes between the lines of the log
    # A backlog keeps thousands of records waiting, which the collector looks through again and again, and each time through all
    # that was ever imported: measured 12 % of a worker's CPU. What is loaded by now stays; records are freed without it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    worker.execute_from_commandline()
