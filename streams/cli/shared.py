"""What the commands share: exit codes, errors that a person can mend, settings, and the ways in and out.

Owns the way from the environment to what a command needs. Heavy imports stay inside the functions that need them, so
that `carerelay version` does not wait for Kafka's client.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from agents.coordination.agent import Coordination
    from streams.base.settings import Settings
    from streams.contract.events import Millis
    from streams.intake.reading import Arrived
    from streams.intake.settings import IntakeSettings
    from streams.output.lines import Line
    from streams.output.terminal import Board


class Exit(IntEnum):
    """The exit codes; the command's help says them too."""

    DONE = 0
    WRONG = 1
    """A check found something, or what was started ended by itself."""
    USAGE = 2
    """The command, a setting or a path is wrong."""
    UNAVAILABLE = 3
    """Kafka, Java or Maven is not there."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM."""


class UserError(Exception):
    """What the user can mend: one line, and the exit code."""

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(text)
        self.code = code


def say(text: str) -> None:
    """Write a line for the person at the terminal: to standard error, so that it never mixes with what came out."""
    typer.echo(text, err=True)


def settings_of(bootstrap: str | None = "") -> Settings:
    """Read the settings; *bootstrap* overrides KAFKA_BOOTSTRAP where it says something."""
    from streams.base.settings import SettingsError, read_settings, unknown_variables  # noqa: PLC0415
    from streams.kafka.connection import connection_of  # noqa: PLC0415

    try:
        settings = read_settings(os.environ | ({"KAFKA_BOOTSTRAP": bootstrap} if bootstrap else {}))
        connection_of(settings)  # certificates that can't be used are found now, whatever the command
    except SettingsError as error:
        raise UserError(f"wrong settings:\n{error}") from None
    for name in unknown_variables(os.environ):
        say(f"carerelay: {name} is no setting (carerelay settings lists them)")
    return settings


def needed(bootstrap: str) -> str:
    """Return *bootstrap*. Raises UserError where neither it nor the environment names a Kafka."""
    if not bootstrap and not os.environ.get("KAFKA_BOOTSTRAP", "").strip():
        raise UserError("no Kafka is named: set KAFKA_BOOTSTRAP=host:port or give --bootstrap; carerelay run starts its own")
    return bootstrap


def changed(settings: Settings, **changes: Any) -> Settings:
    """Return *settings* with what the command line says otherwise; None says nothing."""
    from dataclasses import replace  # noqa: PLC0415

    return replace(settings, **{name: value for name, value in changes.items() if value is not None})


def on_kafka(settings: Settings, work: Callable[[dict[str, Any]], Any]) -> Any:
    """Run *work* with the arguments of aiokafka's clients; a Kafka that does not answer is a line, not a traceback."""
    import logging  # noqa: PLC0415

    from streams.kafka.connection import connection_of  # noqa: PLC0415

    # aiokafka writes each failed attempt to the log; the line below says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with kafka_answering(settings):
        return asyncio.run(work(connection_of(settings)))


@contextmanager
def kafka_answering(settings: Settings) -> Iterator[None]:
    """Turn what goes wrong on the way to Kafka into a line and an exit code."""
    from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError  # noqa: PLC0415

    where = settings.bootstrap or "the local one"
    try:
        yield
    except KafkaConnectionError:
        raise UserError(f"no Kafka answers at {where}{_how(settings)}", Exit.UNAVAILABLE) from None
    except UnknownTopicOrPartitionError:
        raise UserError(f"Kafka at {where} does not have all topics: carerelay topics create makes them", Exit.WRONG) from None
    except KafkaError as error:
        raise UserError(f"Kafka at {where}: {type(error).__name__}", Exit.UNAVAILABLE) from None


def _how(settings: Settings) -> str:
    """Say what else may be wrong than the address: aiokafka tells a broker that refuses us from none at all in its log alone."""
    asked = ["the certificates"] if settings.has_tls else []
    asked += ["user and password"] if settings.has_sasl else []
    return f" by {settings.security_protocol}: check the address, {' and '.join(asked)}" if asked else ""


def care_of(settings: Settings) -> tuple[Coordination, IntakeSettings]:
    """Load rules and directory: what decides, and what the doors need. Raises UserError."""
    from agents.app import load_care  # noqa: PLC0415

    with files_right():
        return load_care(settings)


@contextmanager
def files_right() -> Iterator[None]:
    """Turn what is wrong with rules and directory into a line that names the file."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def paths_there(paths: Iterable[Path]) -> None:
    """Raise UserError where a path that was named is not there."""
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} is not there")


def arrivals_of(paths: Iterable[Path], doors: IntakeSettings) -> Iterator[Arrived]:
    """Read the messages of *paths*."""
    from streams.intake.files import read_paths  # noqa: PLC0415

    return read_paths(list(paths), doors)


def instant_of(text: str) -> Millis:
    """Read an instant from the command line. Raises UserError."""
    from streams.contract.instants import parse_instant  # noqa: PLC0415

    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"--until is {error}: write it as 2026-07-31T00:00:00-04:00") from None


def zone_that_exists(name: str) -> str:
    """Return the name of an IANA zone. Raises UserError."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):
        raise UserError(f"{name} is no IANA zone, as America/New_York is one") from None


def tell(lines: Iterable[Line], zone: str, *, as_json: bool) -> None:
    """Show *lines* to the end, then what is still open."""
    if as_json:
        from streams.output.lines import write_line  # noqa: PLC0415

        write_out(map(write_line, lines))
        return
    board = board_of(zone)
    for line in lines:
        board.show(line)
    board.finish()


def teller(zone: str, *, as_json: bool) -> tuple[Callable[[Line], None], Callable[[], None]]:
    """Return what shows a line, and what shows the lines that wait for others of their kind."""
    if not as_json:
        board = board_of(zone)
        return board.show, board.flush
    from streams.output.lines import write_line  # noqa: PLC0415

    return lambda line: write_out([write_line(line)]), lambda: None


def board_of(zone: str) -> Board:
    """Return the terminal's board, its times in *zone*."""
    from rich.console import Console  # noqa: PLC0415

    from streams.output.terminal import Board  # noqa: PLC0415

    return Board(Console(highlight=False), zone)


def write_out(lines: Iterable[bytes]) -> None:
    """Write *lines* to standard output as they are: UTF-8, one line end each, whatever the terminal's encoding."""
    out = sys.stdout.buffer
    for line in lines:
        out.write(line + b"\n")
    out.flush()
