"""`carerelay show`: what workers publish, as it comes.

Owns the options and when lines that wait for others of their kind are shown; how topics are read is `streams/output/follow.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson, Bootstrap, Zone
from streams.cli.shared import needed, on_kafka, settings_of, write_out, zone_that_exists
from streams.output.follow import NoTopics, Watch
from streams.output.lines import Line, write_line
from streams.output.terminal import Board


def show(
    bootstrap: Bootstrap = "",
    from_beginning: Annotated[bool, typer.Option(help="Show what is there already, too.")] = False,
    zone: Zone = "",
    as_json: AsJson = False,
) -> None:
    """Follow the topics of effects until Ctrl-C."""
    settings = settings_of(needed(bootstrap))
    show_line, flush = _shower(zone_that_exists(zone or settings.default_zone), as_json=as_json)

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


def _shower(zone: str, *, as_json: bool) -> tuple[Callable[[Line], None], Callable[[], None]]:
    """Return what shows a line, and what shows the lines that wait for others of their kind."""
    if as_json:
        return lambda line: write_out([write_line(line)]), lambda: None
    board = Board(Console(highlight=False), zone)
    return board.show, board.flush
