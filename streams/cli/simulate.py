"""`carerelay simulate`: write synthetic events to files, to standard output or to Kafka.

Owns the options, their limits, and the writing of files. `streams/simulate/stream.py` generates the events.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.base.settings import Settings
from streams.cli.agents import AgentTable
from streams.cli.exits import Exit, UserError
from streams.cli.options import Directory
from streams.cli.shared import changed, on_kafka, reporting_file_errors, require_bootstrap, settings_of, write_out
from streams.contract.events import Millis
from streams.intake.publisher import publish, unpaced
from streams.intake.reading import Arrived
from streams.simulate.stream import FaultError, Simulation, SyntheticEvent, faults_of, lines_of, simulate

PEOPLE_MAX = 1_000_000
DAYS_MAX = 3660
HOSPITALS_MAX = 1000


def simulate_command(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="The same seed and arguments give the same bytes.")] = 1,
    people: Annotated[int, typer.Option(help="Number of people; most of them never go to hospital.", min=1, max=PEOPLE_MAX)] = 1000,
    days: Annotated[int, typer.Option(help="Number of days.", min=1, max=DAYS_MAX)] = 30,
    hospitals: Annotated[
        int, typer.Option(help="Number of hospitals; the first three are those of the demonstration.", min=1, max=HOSPITALS_MAX)
    ] = 3,
    faults: Annotated[
        str, typer.Option(help="all, none, or a list of late, repeated, out-of-order, cancelled, merged; late=0.1 sets the share.")
    ] = "all",
    start: Annotated[str, typer.Option(help="First day, for example 2026-06-01.", metavar="DATE")] = "2026-06-01",
    respond: Annotated[bool, typer.Option("--respond/--no-respond", help="Simulate answers to notifications and tasks.")] = True,
    rules: Annotated[
        Path | None, typer.Option(help="Folder of the handoff rules that decide what is answered.", show_default=False)
    ] = None,
    directory: Directory = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File of JSON lines (gzipped if it ends in .gz), or a folder for one file per source; default: standard output.",
            show_default=False,
        ),
    ] = None,
    bootstrap: Annotated[
        str, typer.Option(help="Kafka broker (host:port) to publish to, instead of writing files.", metavar="HOST:PORT", show_default=False)
    ] = "",
) -> None:
    """Generate the events, and write them to files, to standard output or to Kafka."""
    agents: AgentTable = context.obj
    if out is not None and bootstrap:
        raise UserError("give either --out or --bootstrap, not both")
    try:
        first = date.fromisoformat(start)
        shares = faults_of(faults)
    except FaultError as error:
        raise UserError(f"--faults: {error}") from None
    except ValueError:
        raise UserError("--start must be a date, for example 2026-06-01") from None
    if not date(1970, 1, 2) <= first <= date(2200, 1, 1):
        raise UserError("--start must be between 1970-01-02 and 2200-01-01")
    settings = changed(settings_of(require_bootstrap(bootstrap) if bootstrap else ""), rules=rules, directory=directory)
    with reporting_file_errors():
        agent = agents.load_in_memory(settings) if respond else None
    made = simulate(Simulation(seed, people, days, hospitals, shares, first, settings.key_secret), agent)
    if bootstrap:
        _publish(settings, made)
    elif out is None or str(out) == "-":
        write_out(lines_of(made))
    else:
        try:
            write_files(made, out)
        except OSError as error:
            raise UserError(f"{out}: {error.strerror or 'cannot be written'}") from None


def write_files(made: Sequence[SyntheticEvent], out: Path) -> None:
    """Write *made* to the file *out*. If *out* is a folder or has no suffix, write one file per source into it. Raises OSError."""
    if out.is_dir() or not out.suffix:
        out.mkdir(parents=True, exist_ok=True)
        by_source: dict[str, list[SyntheticEvent]] = {}
        for one in made:
            by_source.setdefault(one.event.source, []).append(one)
        for source, events in by_source.items():
            _write(out / f"{source.removeprefix('urn:').replace(':', '-')}.jsonl", lines_of(events))
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(out, lines_of(made))


def _write(path: Path, lines: Iterator[bytes]) -> None:
    if path.suffix == ".gz":
        packed = BytesIO()
        # No file name and no time in the gzip header, so that the same events give the same bytes.
        with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=6, mtime=0) as file:
            file.writelines(line + b"\n" for line in lines)
        path.write_bytes(packed.getvalue())
        return
    with path.open("wb") as plain:
        plain.writelines(line + b"\n" for line in lines)


def _publish(settings: Settings, made: Sequence[SyntheticEvent]) -> None:
    clock = settings.clock

    def on_clock(arrival: Millis) -> float:
        return float(clock.to_broker(arrival)) / 1000

    def nothing(_: Arrived) -> None:
        return None

    async def work(kafka: Mapping[str, Any]) -> Any:
        arrivals = (Arrived(one.event, one.event.arrival, "", ()) for one in made)
        return await publish(kafka, arrivals, pace=unpaced if clock.real else on_clock, seen=nothing)

    published = on_kafka(settings, work)
    for topic, count in sorted(published.events.items()):
        typer.echo(f"{count:8} {topic}")
    if published.others:
        raise UserError(f"{published.others} events could not be published", Exit.WRONG)
