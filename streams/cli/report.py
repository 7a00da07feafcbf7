"""`carerelay report`: the weekly report for operations, from files or from the topic of gaps.

Owns the options and where the lines come from; what the report says is `streams/output/report.py`'s.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.shared import (
    Exit,
    UserError,
    arrivals_of,
    care_of,
    instant_of,
    needed,
    on_kafka,
    paths_there,
    settings_of,
    write_out,
    zone_that_exists,
)

if TYPE_CHECKING:
    from streams.output.lines import Line


def report_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="HL7 v2 files, JSON lines, or folders of them; none: the topics.", metavar="PATH…", show_default=False),
    ] = None,
    until: Annotated[
        str, typer.Option(help="The end of the week, as 2026-07-31T00:00:00-04:00; default: the last arrival, or now.", metavar="TIME")
    ] = "",
    bootstrap: Annotated[
        str, typer.Option(help="Kafka to read, host:port; default: KAFKA_BOOTSTRAP.", metavar="HOST:PORT", show_default=False)
    ] = "",
    zone: Annotated[str, typer.Option(help="IANA zone in which times are shown; default: CARERELAY_ZONE.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show operations what is overdue, by owner, and how what was overdue ended in the seven days before."""
    from streams.output.lines import write_line  # noqa: PLC0415
    from streams.output.report import Week  # noqa: PLC0415
    from streams.replay.replay import replay  # noqa: PLC0415

    settings = settings_of(bootstrap if paths else needed(bootstrap))
    end = instant_of(until) if until else None
    zone = zone_that_exists(zone or settings.default_zone)
    if paths:
        paths_there(paths)
        deciding, doors = care_of(settings)
        week = Week(replay(arrivals_of(paths, doors), deciding, end), end)
    else:
        week = Week(on_kafka(settings, _gaps_so_far), end or settings.clock.to_story(int(time.time() * 1000)))
    write_out(map(write_line, week.lines()) if as_json else (line.encode() for line in week.text(zone)))


async def _gaps_so_far(kafka: dict[str, Any]) -> list[Line]:
    from streams.contract.topics import GAP  # noqa: PLC0415
    from streams.output.follow import NoTopics, Watch  # noqa: PLC0415

    watch = Watch(kafka, from_beginning=True, topics=(GAP.name,))
    try:
        await watch.start()
    except NoTopics as error:
        raise UserError(str(error), Exit.WRONG) from None
    try:
        return [line async for line in watch.lines_so_far()]
    finally:
        await watch.stop()
