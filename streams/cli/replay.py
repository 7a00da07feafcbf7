"""`carerelay replay`: show what a worker would decide for messages in files.

Owns the options and the two forms of the output.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from streams.cli.agents import AgentTable
from streams.cli.options import AsJson, Directory, Paths, Profile, Rules, Verbose, Zone
from streams.cli.shared import changed, instant_of, reporting_file_errors, require_paths, require_zone, settings_of, wording_of, write_out
from streams.intake.files import read_paths
from streams.output.lines import write_line
from streams.output.terminal import Board


def replay(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    paths: Paths,
    until: Annotated[
        str,
        typer.Option(help="Continue until this time, for example 2026-07-31T00:00:00-04:00; default: the last message.", metavar="TIME"),
    ] = "",
    rules: Rules = None,
    directory: Directory = None,
    profile: Profile = None,
    zone: Zone = "",
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Replay files with all agents. Show each line as it is decided, then what is still open."""
    agents: AgentTable = context.obj
    settings = changed(settings_of(), rules=rules, directory=directory, profile=profile)
    end = instant_of(until) if until else None
    zone = require_zone(zone or settings.default_zone)
    require_paths(paths)
    with reporting_file_errors():
        lines = agents.replay(settings, read_paths(paths, agents.load_intake(settings)), end)
    if as_json:
        write_out(map(write_line, lines))
        return
    board = Board(Console(highlight=False), wording_of(agents, settings, zone, verbose=verbose))
    board.begin()
    for line in lines:
        board.show(line)
    board.finish()
