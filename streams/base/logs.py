"""Logging: one JSON line per message, with fields from an allow-list and no patient data.

Owns the configuration of structlog and of the standard library's loggers, and the list of allowed fields. A field that
is not in the list is dropped and counted, so this file alone decides what can be logged. An exception is logged as its
class and its traceback positions. The text of an exception is never logged, because it may quote patient data.
"""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog

FIELDS: Mapping[str, str] = {
    "event": "what happened, snake_case",
    "level": "severity",
    "timestamp": "when it was logged, UTC",
    "logger": "name of the library's logger",
    "message": "a library's message template, without its arguments",
    "version": "version of CareRelay",
    "worker": "the worker's transactional id",
    "pid": "process id",
    "shard": "shard number",
    "shards": "shard numbers",
    "topic": "name of a topic",
    "topics": "how many topics, or their names",
    "partition": "partition number",
    "partitions": "how many partitions",
    "offset": "offset of a record",
    "position": "offset up to which a shard has applied the records",
    "records": "how many records",
    "persons": "how many persons",
    "people": "how many persons",
    "port": "TCP port",
    "fenced": "ids of producers that were fenced",
    "handoffs": "how many handoffs",
    "effects": "how many effects",
    "events": "how many events",
    "batch": "how many records one transaction contained",
    "seconds": "a duration",
    "lag_seconds": "lag behind the expected time",
    "stage": "where in the pipeline: read, decide, expire, commit",
    "code": "reason from a fixed table",
    "reason": "reason from a fixed table",
    "exception": "class of an exception",
    "places": "traceback positions: module:line in function, innermost last",
    "attempt": "number of the attempt",
    "rule": "id of a handoff rule",
    "type": "name of an event type",
    "count": "how many",
    "exit_code": "exit code of a process",
    "setting": "name of a setting",
    "address": "address that a process listens on or connects to",
    "clock": "the configured clock",
    "step": "step of opening a shard",
    "url_path": "path of an HTTP request",
    "status": "HTTP status",
    "group": "consumer group",
    "transactional_id": "id of a producer that was fenced",
    "dropped": "names of fields that are not in this list",
}

_OURS = ("streams", "agents", "schemas")
_PLACES_MAX = 12
_LIBRARIES = ("faust", "mode", "aiokafka", "aiohttp", "asyncio", "kafka")


class AllowList:
    """The last structlog processor: keeps the fields in FIELDS, drops and counts all others, and logs their names."""

    def __init__(self) -> None:
        self.dropped = 0

    def __call__(self, _: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kept = {name: _bounded(value) for name, value in fields.items() if name in FIELDS}
        unknown = sorted(name for name in fields if name not in FIELDS and not name.startswith("_"))
        if unknown:
            self.dropped += len(unknown)
            kept["dropped"] = unknown
        return kept


ALLOWED = AllowList()
"""The allow-list of this process. A metric reports how many fields it dropped."""


def configure(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Send all log messages, including those of libraries, through the allow-list to *stream* (default: standard error).

    *log_format* is json, console or auto (console if *stream* is a terminal). *level* applies to our own loggers.
    Libraries log at WARNING or above: at DEBUG they log whole records, and formatting them costs 14 % of the CPU.
    """
    out = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    least = logging.getLevelNamesMapping()[level.upper()]
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_exception,
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=True) if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[_library_record, *before], processors=[_unwrap, ALLOWED, renderer])
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(least)
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(least, logging.WARNING))


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of the module *name* (`__name__`)."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _unwrap(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop structlog's own bookkeeping."""
    for name in ("_record", "_from_structlog"):
        fields.pop(name, None)
    return fields


def _library_record(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Convert a library's log record. Keep the message template, but drop the arguments, which may contain records."""
    record: logging.LogRecord = fields["_record"]
    template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    # A library may have formatted values into the template itself. Keep the template only if its arguments are
    # separate, or if it contains no character that usually surrounds a value.
    message = (
        template if record.args or not any(sign in template for sign in "{}[]=<>'\"") else "not shown, because the text may contain values"
    )
    return {
        "event": "library_message",
        "logger": record.name,
        "message": message[:300],
        "places": [f"{record.module}:{record.lineno} in {record.funcName}"],
        "exc_info": record.exc_info,
        "_record": record,
        "_from_structlog": False,
    }


def _name_exception(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception with its class and its traceback positions."""
    found = fields.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    elif isinstance(found, BaseException):
        found = (type(found), found, found.__traceback__)
    if isinstance(found, tuple) and found[0] is not None:
        fields["exception"] = found[0].__name__
        fields["places"] = _places(found[2])
    elif isinstance(fields.get("exception"), BaseException):
        fields["exception"] = type(fields["exception"]).__name__
    return fields


def _places(trace: TracebackType | None) -> list[str]:
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        module = trace.tb_frame.f_globals.get("__name__", "?")
        places.append(f"{module}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return places[-_PLACES_MAX:]


def _bounded(value: object) -> object:
    """Return a value that is safe to log: a number, a text of at most 300 characters, or a list of at most 64 of them.

    Any other object becomes the name of its class.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_bounded(item) for item in list(items)[:64]]
    return str(value)[:300] if isinstance(value, str) else type(value).__name__
