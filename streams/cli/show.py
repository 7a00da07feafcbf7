"""`carerelay show`: show what workers publish, as it is committed.

Owns the options, and the timer that flushes the board's waiting lines. `streams/output/follow.py` reads the topics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from streams.cli.agents import AgentTable
from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson, Bootstrap, Directory, Verbose, Zone
from streams.cli.shared import changed, on_kafka, require_bootstrap, require_zone, settings_of, wording_of, write_out
from streams.kafka.admin import NoTopics
from streams.output.follow import Watch
from streams.output.lines import Line, write_line
from streams.output.sentences import Wording
from streams.output.terminal import Board


def show(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    bootstrap: Bootstrap = "",
    from_beginning: Annotated[bool, typer.Option(help="Start with the records that are already there.")] = False,
    zone: Zone = "",
    directory: Directory = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Follow the topics of effects until Ctrl-C."""
    agents: AgentTable = context.obj
    settings = changed(settings_of(require_bootstrap(bootstrap)), directory=directory)
    zone = require_zone(zone or settings.default_zone)
    show_line, flush = _printer(None if as_json else wording_of(agents, settings, zone, verbose=verbose))

    async def flush_often() -> None:
        while True:
            await asyncio.sleep(0.25)
            flush()

    async def follow(kafka: dict[str, Any]) -> None:
        watch = Watch(kafka, from_beginning=from_beginning)
        try:
            await watch.start()
        except NoTopics as error:
            raise UserError(str(error), Exit.WRONG) from None
        flushing = asyncio.create_task(flush_often())
        try:
            async for line in watch.lines():
                show_line(line)
        finally:
            flushing.cancel()
            flush()
            await watch.stop()

    on_kafka(settings, follow)


def _printer(wording: Wording | None) -> tuple[Callable[[Line], None], Callable[[], None]]:
    """Return a function that shows a line, and one that flushes waiting lines. Without a *wording* lines are written as JSON."""
    if wording is None:
        return lambda line: write_out([write_line(line)]), lambda: None
    board = Board(Console(highlight=False), wording)
    board.begin()
    return board.show, board.flush
