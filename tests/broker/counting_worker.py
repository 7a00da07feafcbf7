"""A worker of the counting agent, as a process: `python counting_worker.py '{"bootstrap": …}'`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import structlog
import uvloop
from counting import PARTITIONS, Counting, Topics

from streams.clock import Clock
from streams.frame import make_app, run_app
from streams.worker import Worker, WorkerSettings


def main(bootstrap: str, run: str, folder: str, partitions: int = PARTITIONS, restore_limit_s: float = 80.0) -> None:
    structlog.configure(processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()])
    uvloop.install()
    topics = Topics.of(run)
    kafka: dict[str, Any] = {"bootstrap_servers": bootstrap}
    Path(folder).mkdir(parents=True, exist_ok=True)

    def make() -> Any:
        settings = WorkerSettings(kafka, topics.state, partitions, Clock(), restore_limit_s=restore_limit_s)
        app = make_app(run, Worker(settings, Counting(topics)), kafka, folder)
        # The least that Kafka allows: the group misses a killed worker for so long.
        app.conf.broker_session_timeout = 6.0
        return app

    run_app(make)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
