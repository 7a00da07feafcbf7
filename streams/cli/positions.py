"""`carerelay positions show|accept-loss`: show the shards' positions, and continue a shard whose position is no longer in its topic.

Owns the two commands and their output. `streams/kafka/positions.py` knows what a position means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson, Bootstrap
from streams.cli.shared import on_kafka, require_bootstrap, settings_of, write_out
from streams.contract.topics import INBOUND, STATE
from streams.kafka.admin import require_topics
from streams.kafka.opening import ShardLost
from streams.kafka.positions import Accepted, Position, accept_loss, show_positions
from streams.output.lines import write_line

positions_app = typer.Typer(no_args_is_help=True)


@positions_app.command("show")
def positions_show(bootstrap: Bootstrap = "", as_json: AsJson = False) -> None:
    """List each shard's position in each topic and the topic's offsets; exit 1 if a position is outside them."""
    settings = settings_of(require_bootstrap(bootstrap))
    names = [t.name for t in INBOUND]

    async def look(kafka: Mapping[str, Any]) -> list[Position]:
        await require_topics(kafka, [STATE.name, *names])
        return await show_positions(kafka, STATE.name, names, settings.partitions)

    rows: list[Position] = on_kafka(settings, look)
    if as_json:
        write_out(write_line({**row._asdict(), "lag": row.lag, "outside": row.outside}) for row in rows)
    else:
        for row in rows:
            where = "none yet" if row.position is None else str(row.position)
            typer.echo(f"{row.topic:20} {row.shard:4} {where:>10} of [{row.begin}, {row.end}]{'  OUTSIDE' if row.outside else ''}")
    if any(row.outside for row in rows):
        raise typer.Exit(Exit.WRONG)


@positions_app.command("accept-loss")
def positions_accept_loss(
    topic: Annotated[str, typer.Argument(help="Name of the inbound topic.")],
    partition: Annotated[int, typer.Argument(help="Number of the partition, which is also the number of the shard.", min=0)],
    bootstrap: Bootstrap = "",
) -> None:
    """Continue a shard whose position is no longer in its topic. A worker that owns the shard stops."""
    settings = settings_of(require_bootstrap(bootstrap))
    names = [t.name for t in INBOUND]
    if topic not in names:
        raise UserError(f"{topic} is not an inbound topic. The inbound topics are {', '.join(names)}")
    if partition >= settings.partitions:
        raise UserError(f"partition {partition} does not exist: the partitions are 0 to {settings.partitions - 1} (CARERELAY_PARTITIONS)")

    async def accept(kafka: Mapping[str, Any]) -> Accepted | None:
        await require_topics(kafka, [STATE.name, *names])
        return await accept_loss(kafka, STATE.name, topic, partition)

    try:
        accepted = on_kafka(settings, accept)
    except ShardLost:
        raise UserError(f"a worker claimed shard {partition} in the meantime. Stop the workers and run this again", Exit.WRONG) from None
    except TimeoutError:
        raise UserError(
            f"shard {partition} could not be opened in time. Check that Kafka is healthy: carerelay topics check", Exit.UNAVAILABLE
        ) from None
    if accepted is None:
        typer.echo(f"{topic}/{partition}: the position is valid; nothing was changed")
    elif accepted.skipped:
        typer.echo(
            f"{topic}/{partition}: position moved from {accepted.before} to {accepted.after}; "
            f"{accepted.skipped} offsets are skipped, because their records were deleted before they were read"
        )
    else:
        typer.echo(
            f"{topic}/{partition}: position moved from {accepted.before} to {accepted.after}; "
            "the topic was created again, and its newer records will be applied"
        )
