"""What the commands share: settings, and the ways in and out.

Owns the way from the environment to what a command needs, and how what is wrong with a setting, a file or Kafka becomes a line.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError

from streams.base.settings import Settings, SettingsError, read_settings, table, unknown_variables
from streams.cli.agents import AgentTable
from streams.cli.exits import Exit, UserError, say
from streams.contract.events import Millis
from streams.contract.instants import parse_instant
from streams.contract.suggestions import did_you_mean
from streams.kafka.connection import connection_of
from streams.output.sentences import Wording


def settings_of(bootstrap: str | None = "") -> Settings:
    """Read the settings; *bootstrap* overrides KAFKA_BOOTSTRAP where it says something."""
    try:
        settings = read_settings(os.environ | ({"KAFKA_BOOTSTRAP": bootstrap} if bootstrap else {}))
        connection_of(settings)  # certificates that can't be used are found now, whatever the command
    except SettingsError as error:
        raise UserError(f"settings are wrong:\n{error}") from None
    for name in unknown_variables(os.environ):
        hint = did_you_mean(name, (variable for variable, _, _ in table()))
        say(f"carerelay: {name} is not a setting and was ignored (carerelay settings lists them){hint}")
    return settings


def needed(bootstrap: str) -> str:
    """Return *bootstrap*. Raises UserError where neither it nor the environment names a Kafka."""
    if not bootstrap and not os.environ.get("KAFKA_BOOTSTRAP", "").strip():
        raise UserError("no Kafka given: set KAFKA_BOOTSTRAP=host:port or use --bootstrap (only carerelay run starts a local broker)")
    return bootstrap


def changed(settings: Settings, **changes: Any) -> Settings:
    """Return *settings* with what the command line says otherwise; None says nothing."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})


def on_kafka(settings: Settings, work: Callable[[dict[str, Any]], Any]) -> Any:
    """Run *work* with the arguments of aiokafka's clients; a Kafka that does not answer is a line, not a traceback."""
    # aiokafka writes each failed attempt to the log; the line below says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with kafka_answering(settings):
        return asyncio.run(work(connection_of(settings)))


@contextmanager
def kafka_answering(settings: Settings) -> Iterator[None]:
    """Turn what goes wrong on the way to Kafka into a line and an exit code."""
    where = settings.bootstrap or "the local broker"
    try:
        yield
    except KafkaConnectionError:
        raise UserError(f"cannot connect to Kafka at {where}{_how(settings)}", Exit.UNAVAILABLE) from None
    except UnknownTopicOrPartitionError:
        raise UserError(f"Kafka at {where} lacks some topics. Run: carerelay topics create", Exit.WRONG) from None
    except KafkaError as error:
        raise UserError(f"Kafka at {where} reported an error: {type(error).__name__}", Exit.UNAVAILABLE) from None


def _how(settings: Settings) -> str:
    """Say what else may be wrong than the address: aiokafka tells a broker that refuses us from none at all in its log alone."""
    asked = ["the certificates"] if settings.has_tls else []
    asked += ["user and password"] if settings.has_sasl else []
    return f" with {settings.security_protocol}: check the address, {' and '.join(asked)}" if asked else ""


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
            raise UserError(f"{path} does not exist")


def instant_of(text: str) -> Millis:
    """Read an instant from the command line. Raises UserError."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"--until is {error}; write for example 2026-07-31T00:00:00-04:00") from None


def zone_that_exists(name: str) -> str:
    """Return the name of an IANA zone. Raises UserError."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):
        raise UserError(f"--zone must be an IANA time zone, for example America/New_York, not {name}") from None


def wording_of(agents: AgentTable, settings: Settings, zone: str, *, verbose: bool) -> Wording:
    """Return how lines are put into words: with the names that the agents know, and times in *zone*. Raises UserError."""
    with files_right():
        return Wording(ZoneInfo(zone), agents.load_names(settings), verbose)


def write_out(lines: Iterable[bytes]) -> None:
    """Write *lines* to standard output as they are: UTF-8, one line end each, whatever the terminal's encoding."""
    out = sys.stdout.buffer
    for line in lines:
        out.write(line + b"\n")
    out.flush()
