"""`carerelay report`: the weekly report for operations, from files or from the topic of gaps.

Owns the options and the source of the lines. `streams/output/report.py` makes the report.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from streams.cli.agents import AgentTable
from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson, BootstrapToRead, PathsOrTopics, Verbose, Zone
from streams.cli.shared import (
    instant_of,
    on_kafka,
    reporting_file_errors,
    require_bootstrap,
    require_paths,
    require_zone,
    settings_of,
    wording_of,
    write_out,
)
from streams.contract.topics import GAP
from streams.intake.files import read_paths
from streams.kafka.admin import NoTopics
from streams.output.follow import Watch
from streams.output.lines import Line, write_line
from streams.output.report import Week
from streams.replay.replay import replay


def report_command(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    paths: PathsOrTopics = None,
    until: Annotated[
        str, typer.Option(help="End of the week, for example 2026-07-31T00:00:00-04:00; default: the last message, or now.", metavar="TIME")
    ] = "",
    bootstrap: BootstrapToRead = "",
    zone: Zone = "",
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Make the report of a week from files or from the topic of gaps, and write it as text or as JSON lines."""
    agents: AgentTable = context.obj
    settings = settings_of(bootstrap if paths else require_bootstrap(bootstrap))
    end = instant_of(until) if until else None
    zone = require_zone(zone or settings.default_zone)
    if paths:
        require_paths(paths)
        with reporting_file_errors():
            agent, intake_settings = agents.load_in_memory(settings), agents.load_intake(settings)
        week = Week(replay(read_paths(paths, intake_settings), [agent], end), end)
    else:
        week = Week(on_kafka(settings, _gaps_so_far), end or settings.clock.to_story(int(time.time() * 1000)))
    if as_json:
        write_out(map(write_line, week.lines()))
    else:
        write_out(line.encode() for line in week.text(wording_of(agents, settings, zone, verbose=verbose)))


async def _gaps_so_far(kafka: dict[str, Any]) -> list[Line]:
    watch = Watch(kafka, from_beginning=True, topics=(GAP.name,))
    try:
        await watch.start()
    except NoTopics as error:
        raise UserError(str(error), Exit.WRONG) from None
    try:
        return [line async for line in watch.lines_so_far()]
    finally:
        await watch.stop()
