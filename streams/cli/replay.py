"""`carerelay replay`: from files to what the worker would decide.

Owns the options and the two forms of the answer.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from streams.cli.agents import AgentTable
from streams.cli.options import AsJson, Directory, Paths, Profile, Rules, Verbose, Zone
from streams.cli.shared import changed, files_right, instant_of, paths_there, settings_of, wording_of, write_out, zone_that_exists
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
    """Replay files with all agents, and show each line as it comes, then what is still open."""
    agents: AgentTable = context.obj
    settings = changed(settings_of(), rules=rules, directory=directory, profile=profile)
    end = instant_of(until) if until else None
    zone = zone_that_exists(zone or settings.default_zone)
    paths_there(paths)
    with files_right():
        lines = agents.replay(settings, read_paths(paths, agents.load_intake(settings)), end)
    if as_json:
        write_out(map(write_line, lines))
        return
    board = Board(Console(highlight=False), wording_of(agents, settings, zone, verbose=verbose))
    board.begin()
    for line in lines:
        board.show(line)
    board.finish()
