"""The command line: `carerelay run|play|replay|report|simulate|backtest|show|worker|topics|positions|rules|settings|version`.

Owns names, options, exit codes and the one place where an error becomes a line for a person. Knows how to start
things and nothing of how they work; what is heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agents.coordination.commands import rules_app
from streams.cli.backtest import backtest_command
from streams.cli.positions import positions_app
from streams.cli.report import report_command
from streams.cli.shared import (
    Exit,
    UserError,
    arrivals_of,
    care_of,
    changed,
    files_right,
    instant_of,
    kafka_answering,
    needed,
    on_kafka,
    paths_there,
    say,
    settings_of,
    tell,
    teller,
    write_out,
    zone_that_exists,
)
from streams.cli.simulate import simulate_command

if TYPE_CHECKING:
    from streams.contract.events import Millis
    from streams.intake.reading import Arrived


_EPILOG = (
    "Exit codes: 0 done, 1 a check found something or a process ended, 2 usage or settings, 3 no Kafka, Java or Maven, 130 interrupted."
)

app = typer.Typer(
    name="carerelay",
    help="An event backbone for care coordination. Not a medical device; synthetic data only.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(help="Create the topics on Kafka, or compare Kafka with the table.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(rules_app, name="rules")
app.add_typer(positions_app, name="positions")

Paths = Annotated[list[Path], typer.Argument(help="HL7 v2 files, JSON lines, or folders of them.", metavar="PATH…", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Bootstrap = Annotated[str, typer.Option(help="Kafka to use, host:port; default: KAFKA_BOOTSTRAP.", metavar="HOST:PORT", show_default=False)]
Zone = Annotated[str, typer.Option(help="IANA zone in which times are shown; default: CARERELAY_ZONE.", show_default=False)]
Rules = Annotated[Path | None, typer.Option(help="Folder of handoff rules instead of the ones that come with it.", show_default=False)]
Profile = Annotated[
    str | None, typer.Option(help="Whose rules and calendar hold for facilities that the directory does not name.", show_default=False)
]
Directory = Annotated[Path | None, typer.Option(help="directory.yaml instead of the demonstration's.", show_default=False)]


# ---- the two that show it


@app.command()
def run(
    speed: Annotated[float, typer.Option(help="Story seconds in one second: 10080 is a week a minute.", min=1)] = 10_080,
    path: Annotated[list[Path] | None, typer.Option(help="Messages to play instead of the story.", show_default=False)] = None,
    bootstrap: Bootstrap = "",
    zone: Zone = "",
) -> None:
    """Start a local Kafka and workers, play a story of three weeks, and show what comes out."""
    from rich.console import Console  # noqa: PLC0415

    from streams.cli import demonstration  # noqa: PLC0415

    settings = settings_of(bootstrap)
    if settings.bootstrap and settings.has_demo_secret:
        settings = changed(settings, key_secret=demonstration.own_secret())
    shown = zone_that_exists(zone or (settings.default_zone if path else demonstration.STORY_ZONE))
    paths = path or [demonstration.STORY]
    paths_there(paths)
    _, doors = care_of(settings)
    arrivals = list(arrivals_of(paths, doors))
    if not arrivals:
        raise UserError("there is no message to play")
    course = demonstration.Course(arrivals, speed, shown)
    try:
        with kafka_answering(settings):
            demonstration.demonstrate(settings, course, Console())
    except demonstration.DemonstrationError as error:
        raise UserError(str(error), Exit.WRONG) from None
    except demonstration.LocalKafkaError as error:
        raise UserError(str(error), Exit.UNAVAILABLE) from None


@app.command()
def replay(  # noqa: PLR0917 -- options of a command
    paths: Paths,
    until: Annotated[
        str, typer.Option(help="Fire what is due until then, as 2026-07-31T00:00:00-04:00; default: the last arrival.", metavar="TIME")
    ] = "",
    rules: Rules = None,
    directory: Directory = None,
    profile: Profile = None,
    zone: Zone = "",
    as_json: AsJson = False,
) -> None:
    """Decide from files what the worker would decide: in memory, without Kafka, the same bytes each time."""
    from agents.app import with_feeds  # noqa: PLC0415
    from agents.feeds.reports import with_heard  # noqa: PLC0415
    from streams.replay.replay import replay as replayed  # noqa: PLC0415

    settings = changed(settings_of(), rules=rules, directory=directory, profile=profile)
    end = instant_of(until) if until else None
    zone = zone_that_exists(zone or settings.default_zone)
    paths_there(paths)
    deciding, doors = care_of(settings)
    watched = with_heard(arrivals_of(paths, doors))
    tell(replayed(watched, with_feeds(settings, deciding), end), zone, as_json=as_json)


app.command("simulate")(simulate_command)
app.command("backtest")(backtest_command)
app.command("report")(report_command)


# ---- on Kafka


@app.command()
def play(
    paths: Paths,
    speed: Annotated[float, typer.Option(help="Story seconds in one second; 0: as fast as Kafka takes them.", min=0)] = 0,
    bootstrap: Bootstrap = "",
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Publish messages from files. With CARERELAY_CLOCK set they keep to that clock, unless --speed says otherwise."""
    from streams.intake.publisher import at_once, faster_by, publish  # noqa: PLC0415
    from streams.output.lines import DOOR_KINDS, line_of_arrival, reasons_of, write_line  # noqa: PLC0415

    settings = changed(settings_of(needed(bootstrap)), directory=directory)
    clock = settings.clock

    def on_clock(arrival: Millis) -> float:
        return clock.to_broker(arrival) / 1000

    pace = faster_by(speed) if speed else at_once if clock.real else on_clock
    reasons: Counter[tuple[str, str]] = Counter()

    def seen(arrived: Arrived) -> None:
        line = line_of_arrival(arrived)
        if line is not None:
            place = line.get("field") or line.get("segment") or ""
            how = f": {line['why']}" if line["effect"] == "refused" else ""
            say(" ".join(filter(None, (f"{line['effect']}: {line['reason']}", place and f"at {place}", f"in {line['where']}"))) + how)
        reasons.update(reasons_of(arrived))

    paths_there(paths)
    _, doors = care_of(settings)
    arrivals = arrivals_of(paths, doors)
    published = on_kafka(settings, lambda kafka: publish(kafka, arrivals, pace=pace, seen=seen))
    if as_json:
        by_kind = {kind: {r: n for (k, r), n in sorted(reasons.items()) if k == kind} for kind in DOOR_KINDS}
        write_out([write_line({"published": dict(sorted(published.events.items())), **by_kind, "quarantined": published.quarantined})])
        return
    for topic, count in sorted(published.events.items()):
        typer.echo(f"{count:8} {topic}")
    typer.echo(f"{published.total:8} published, {published.others} refused or ignored, {published.quarantined} of them in the quarantine")
    for (kind, reason), count in sorted(reasons.items()):
        typer.echo(f"{count:8} {kind}: {reason}")


@app.command()
def show(
    bootstrap: Bootstrap = "",
    from_beginning: Annotated[bool, typer.Option(help="Show what is there already, too.")] = False,
    zone: Zone = "",
    as_json: AsJson = False,
) -> None:
    """Show what workers publish, committed records only, until Ctrl-C."""
    settings = settings_of(needed(bootstrap))
    tell, flush = teller(zone_that_exists(zone or settings.default_zone), as_json=as_json)

    async def flush_often() -> None:
        while True:
            await asyncio.sleep(0.25)
            flush()

    async def follow(kafka: dict[str, Any]) -> None:
        from streams.output.follow import NoTopics, Watch  # noqa: PLC0415

        watch = Watch(kafka, from_beginning=from_beginning)
        try:
            await watch.start()
        except NoTopics as error:
            raise UserError(str(error), Exit.WRONG) from None
        flushing = asyncio.create_task(flush_often())
        try:
            async for line in watch.lines():
                tell(line)
        finally:
            flushing.cancel()
            flush()
            await watch.stop()

    on_kafka(settings, follow)


@app.command()
def worker(
    bootstrap: Bootstrap = "",
    agent: Annotated[str, typer.Option(help="Whose worker: coordination, or feeds (which watches for silent sources).")] = "coordination",
) -> None:
    """Run a worker: it takes its share of the shards, and gives them up on SIGTERM."""
    settings = settings_of(needed(bootstrap))
    from agents import app as application  # noqa: PLC0415
    from streams.base import logs  # noqa: PLC0415
    from streams.kafka.admin import check_topics  # noqa: PLC0415

    if agent not in application.AGENTS:
        raise UserError(f"--agent is one of {', '.join(application.AGENTS)}")

    with files_right():
        group, state_topic, logic = application.logic_of(settings, agent)
    found = on_kafka(settings, lambda kafka: check_topics(kafka, settings.partitions))
    if missing := [mismatch.topic for mismatch in found if mismatch.is_missing]:
        raise UserError(f"{missing[0]} is not there{_and_more(missing)}: carerelay topics create", Exit.WRONG)
    if fatal := [str(mismatch) for mismatch in found if mismatch.fatal]:
        raise UserError("\n".join(["a worker must not start on these topics:", *fatal]), Exit.WRONG)
    logs.configure(settings.log_format, settings.log_level)
    application.run_worker(settings, group, state_topic, logic)


def _and_more(names: list[str]) -> str:
    return f", nor are {len(names) - 1} other topics" if len(names) > 1 else ""


@topics_app.command("create")
def topics_create(bootstrap: Bootstrap = "", as_json: AsJson = False) -> None:
    """Create the topics that are not there."""
    from streams.kafka.admin import TopicsRefused, create_topics  # noqa: PLC0415

    settings = settings_of(needed(bootstrap))
    try:
        created = on_kafka(settings, lambda kafka: create_topics(kafka, settings.partitions, settings.replication))
    except TopicsRefused as error:
        raise UserError(str(error), Exit.WRONG) from None
    if as_json:
        from streams.output.lines import write_line  # noqa: PLC0415

        write_out([write_line({"created": created})])
    else:
        typer.echo("\n".join(f"created {name}" for name in created) or "all topics are there")


@topics_app.command("check")
def topics_check(bootstrap: Bootstrap = "", as_json: AsJson = False) -> None:
    """Compare Kafka's topics with the table; exit 1 where a worker must not start on them."""
    from dataclasses import asdict  # noqa: PLC0415

    from streams.kafka.admin import check_topics  # noqa: PLC0415
    from streams.output.lines import write_line  # noqa: PLC0415

    settings = settings_of(needed(bootstrap))
    found = on_kafka(settings, lambda kafka: check_topics(kafka, settings.partitions))
    if as_json:
        write_out([write_line(asdict(mismatch)) for mismatch in found])
    else:
        typer.echo("\n".join(map(str, found)) or "all topics are as the table says")
    if any(mismatch.fatal for mismatch in found):
        raise typer.Exit(Exit.WRONG)


@app.command(name="settings")
def show_settings(as_json: AsJson = False) -> None:
    """List the environment variables that are settings, with their defaults."""
    from streams.base.settings import table  # noqa: PLC0415
    from streams.output.lines import write_line  # noqa: PLC0415

    settings_of()
    if as_json:
        write_out([write_line({"variable": variable, "default": default, "about": about}) for variable, default, about in table()])
    else:
        width = max(len(variable) for variable, _, _ in table())
        for variable, default, about in table():
            typer.echo(f"{variable:{width}}  {about}" + (f" [{default}]" if default else ""))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(version_of("carerelay"))


def main() -> NoReturn:
    """Run the command line and exit with one of `Exit`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    code: int = Exit.DONE
    try:
        result = app(standalone_mode=False)
        code = result if isinstance(result, int) else Exit.DONE
    except UserError as error:
        say(f"carerelay: {error}")
        code = error.code
    except BrokenPipeError:
        # The reader had enough (head): no reason for a word. Python would flush into the closed pipe once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- raised again unless it is typer's
        code = _usage(error)
    sys.exit(code)


def _usage(error: Exception) -> Exit:
    """Show what typer found wrong with the command line; anything else is a fault of ours and is raised."""
    shown = getattr(error, "format_message", None)
    if shown is None:
        raise error
    if shown():
        say(f"carerelay: {shown()}")
    return Exit.USAGE


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
