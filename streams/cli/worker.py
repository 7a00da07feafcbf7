"""`carerelay worker`: run a worker.

Owns the options and the checks before the worker starts. `streams/ops/worker_app.py` makes the worker.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streams.base import logs
from streams.cli.agents import AgentTable
from streams.cli.exits import Exit, UserError
from streams.cli.options import Bootstrap
from streams.cli.shared import on_kafka, reporting_file_errors, require_bootstrap, settings_of
from streams.kafka.admin import check_topics
from streams.ops.worker_app import run_worker


def worker(
    context: typer.Context,
    bootstrap: Bootstrap = "",
    agent: Annotated[str, typer.Option(help="Agent to run: coordination, or feeds, which watches for silent sources.")] = "coordination",
) -> None:
    """Load the agent, check the topics, and process shards until SIGTERM."""
    agents: AgentTable = context.obj
    settings = settings_of(require_bootstrap(bootstrap))
    row = agents.row(agent)
    if row is None:
        raise UserError(f"--agent must be one of {', '.join(agents.names)}")
    with reporting_file_errors():
        loaded = row.load(settings)
    found = on_kafka(settings, lambda kafka: check_topics(kafka, settings.partitions))
    if missing := [mismatch.topic for mismatch in found if mismatch.is_missing]:
        raise UserError(f"topic {missing[0]}{_and_more(missing)} does not exist. Run: carerelay topics create", Exit.WRONG)
    if fatal := [str(mismatch) for mismatch in found if mismatch.fatal]:
        raise UserError("\n".join(["the worker cannot start, because topics are configured wrongly:", *fatal]), Exit.WRONG)
    logs.configure(settings.log_format, settings.log_level)
    run_worker(settings, settings.group + row.group_suffix, row.state_topic, loaded)


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
