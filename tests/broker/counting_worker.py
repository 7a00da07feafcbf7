"""A worker of the counting agent, as a process: `python counting_worker.py '{"bootstrap": …}'`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import structlog
from counting import PARTITIONS, Counting, Topics

from streams.base.clock import Clock
from streams.kafka.faust_app import make_app, run_app
from streams.kafka.transactions import Writer
from streams.kafka.worker import Worker, WorkerSettings

CRASHES = ("relaying", "relayed", "arriving", "deciding", "applied")
"""The steps of a misrouted record: wrapped, committed to the relay, read there, decided, committed with its line."""


class Crash:
    """Ends the process when it first reaches the given step, as a crash would."""

    def __init__(self, step: str | None, topics: Topics) -> None:
        self._step = step
        self._topics = topics

    def at(self, step: str) -> None:
        if step == self._step:
            os._exit(9)

    def writer(self, writer: Writer) -> None:
        write = writer.write

        async def written(records: Any) -> Any:
            ends = await write(records)
            if any(topic == self._topics.relay for topic, _ in records):
                self.at("relayed")
            if any(topic == self._topics.lines for topic, _ in records):
                self.at("applied")
            return ends

        writer.write = written  # type: ignore[method-assign]


class CrashingCounting(Counting):
    def __init__(self, topics: Topics, crash: Crash) -> None:
        super().__init__(topics)
        self._crash = crash

    def wrap(self, key: bytes, origin: Any) -> Any:
        self._crash.at("relaying")
        return super().wrap(key, origin)

    def read(self, origin: Any, arrival: Any) -> Any:
        if origin.topic == self.relay:
            self._crash.at("arriving")
        return super().read(origin, arrival)

    def decide(self, key: bytes, packed: bytes | None, event: Any, now: Any, origin: Any) -> Any:
        outcome = super().decide(key, packed, event, now, origin)
        self._crash.at("deciding")
        return outcome


def main(  # noqa: PLR0917 -- called with keyword arguments
    bootstrap: str,
    run: str,
    folder: str,
    group: str = "",
    partitions: int = PARTITIONS,
    restore_limit_s: float = 80.0,
    crash: str | None = None,
    poll_interval_s: float | None = None,
) -> None:
    structlog.configure(processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()])
    topics = Topics.of(run)
    kafka: dict[str, Any] = {"bootstrap_servers": bootstrap}
    Path(folder).mkdir(parents=True, exist_ok=True)

    def make() -> Any:
        settings = WorkerSettings(kafka, topics.state, partitions, Clock(), restore_limit_s=restore_limit_s)
        crashing = Crash(crash, topics)
        worker = Worker(settings, CrashingCounting(topics, crashing))
        crashing.writer(worker.writer)
        app = make_app(group or run, worker, kafka, folder)
        # The minimum that Kafka allows. Until it has passed, the group does not notice a killed worker.
        app.conf.broker_session_timeout = 6.0
        if poll_interval_s is not None:
            app.conf.broker_max_poll_interval = poll_interval_s
        return app

    run_app(make)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
