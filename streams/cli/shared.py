"""Functions that several commands share: settings, checks of arguments, Kafka calls, output.

Owns the conversion of an error in a setting, a file or Kafka to one line for the user.
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
    """Read the settings; *bootstrap* overrides KAFKA_BOOTSTRAP unless it is empty. Raises UserError."""
    try:
        settings = read_settings(os.environ | ({"KAFKA_BOOTSTRAP": bootstrap} if bootstrap else {}))
        connection_of(settings)  # Finds unusable certificates now, even if the command does not use Kafka.
    except SettingsError as error:
        raise UserError(f"settings are wrong:\n{error}") from None
    for name in unknown_variables(os.environ):
        hint = did_you_mean(name, (variable for variable, _, _ in table()))
        say(f"carerelay: {name} is not a setting and was ignored (carerelay settings lists them){hint}")
    return settings


def require_bootstrap(bootstrap: str) -> str:
    """Return *bootstrap*. Raises UserError if neither it nor the environment names a Kafka."""
    if not bootstrap and not os.environ.get("KAFKA_BOOTSTRAP", "").strip():
        raise UserError("no Kafka given: set KAFKA_BOOTSTRAP=host:port or use --bootstrap (only carerelay run starts a local broker)")
    return bootstrap


def changed(settings: Settings, **changes: Any) -> Settings:
    """Return *settings* with *changes* from the command line. A change that is None is left out."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})


def on_kafka(settings: Settings, work: Callable[[dict[str, Any]], Any]) -> Any:
    """Run *work* with the arguments for aiokafka's clients, and return its result. Raises UserError if Kafka fails."""
    # aiokafka logs each failed attempt. The UserError reports the failure once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with reporting_kafka_errors(settings):
        return asyncio.run(work(connection_of(settings)))


@contextmanager
def reporting_kafka_errors(settings: Settings) -> Iterator[None]:
    """Convert errors of Kafka to UserError."""
    where = settings.bootstrap or "the local broker"
    try:
        yield
    except KafkaConnectionError:
        raise UserError(f"cannot connect to Kafka at {where}{_security_hint(settings)}", Exit.UNAVAILABLE) from None
    except UnknownTopicOrPartitionError:
        raise UserError(f"Kafka at {where} lacks some topics. Run: carerelay topics create", Exit.WRONG) from None
    except KafkaError as error:
        raise UserError(f"Kafka at {where} reported an error: {type(error).__name__}", Exit.UNAVAILABLE) from None


def _security_hint(settings: Settings) -> str:
    """Return what to check besides the address. aiokafka raises the same error if no broker answers and if a broker refuses the client."""
    also = ["the certificates"] if settings.has_tls else []
    also += ["user and password"] if settings.has_sasl else []
    return f" with {settings.security_protocol}: check the address, {' and '.join(also)}" if also else ""


@contextmanager
def reporting_file_errors() -> Iterator[None]:
    """Convert errors in the files of rules and the directory to UserError."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def require_paths(paths: Iterable[Path]) -> None:
    """Raise UserError if a path does not exist."""
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist")


def instant_of(text: str) -> Millis:
    """Return the instant of the option --until. Raises UserError."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"--until is {error}; write for example 2026-07-31T00:00:00-04:00") from None


def require_zone(name: str) -> str:
    """Return *name* if it is an IANA time zone. Raises UserError."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):
        raise UserError(f"--zone must be an IANA time zone, for example America/New_York, not {name}") from None


def wording_of(agents: AgentTable, settings: Settings, zone: str, *, verbose: bool) -> Wording:
    """Return the wording of the output: names from the agents' directory, times in *zone*. Raises UserError."""
    with reporting_file_errors():
        return Wording(ZoneInfo(zone), agents.load_names(settings), verbose)


def write_out(lines: Iterable[bytes]) -> None:
    """Write *lines* to standard output, each with a line end. Does not convert them to the terminal's encoding."""
    out = sys.stdout.buffer
    for line in lines:
        out.write(line + b"\n")
    out.flush()
