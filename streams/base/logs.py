"""The log: one JSON line a message, every field from an allow-list, no patient in any.

Owns the configuration of structlog and of the standard library's loggers, and the list of fields. A field that is not
in the list is dropped and counted: what may be logged is decided here, not where something is logged. An exception
becomes its class and the places of our code that it passed; its text is never written, for it quotes what it met.
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
    "logger": "who logged it, for libraries",
    "message": "what a library says, with its arguments left out",
    "version": "of CareRelay",
    "worker": "the worker's transactional id",
    "pid": "process id",
    "shard": "shard number",
    "shards": "shard numbers",
    "topic": "topic's name",
    "topics": "how many topics, or their names",
    "partition": "partition number",
    "partitions": "how many partitions",
    "offset": "offset of a record",
    "position": "offset up to which a shard has applied",
    "records": "how many records",
    "persons": "how many persons",
    "people": "how many persons",
    "port": "TCP port",
    "fenced": "ids of producers that were fenced",
    "handoffs": "how many handoffs",
    "effects": "how many effects",
    "events": "how many events",
    "batch": "how many records one transaction held",
    "seconds": "a duration",
    "lag_seconds": "how far something is behind",
    "stage": "where in the pipeline: read, decide, expire, commit",
    "code": "reason from a fixed table",
    "reason": "reason from a fixed table",
    "exception": "class of an exception",
    "places": "where it passed: file:line in function, innermost last",
    "attempt": "how many times it was tried",
    "rule": "id of a handoff rule",
    "type": "name of an event type",
    "count": "how many",
    "exit_code": "exit code of a process",
    "setting": "name of a setting",
    "address": "address that something listens on or connects to",
    "clock": "the declared clock",
    "step": "step of opening a shard",
    "url_path": "path that was asked for on the web",
    "status": "HTTP status",
    "group": "consumer group",
    "transactional_id": "id of a producer that was fenced",
    "dropped": "names of fields that were not in this list",
}

_OURS = ("streams", "agents", "schemas")
_PLACES_MAX = 12
_LIBRARIES = ("faust", "mode", "aiokafka", "aiohttp", "asyncio", "kafka")


class AllowList:
    """The last processor: keeps what FIELDS names, drops and counts the rest, and says which names it dropped."""

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
"""The list at work in this process; `metrics` reads how much it dropped."""


def configure(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Send everything, ours and the libraries', through the allow-list to *stream* (standard error).

    *log_format* is json, console or auto (console on a terminal); *level* is ours. The libraries stay above DEBUG,
    where they would write whole records, and where building those texts alone costs 14 % of the CPU.
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
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[_foreign, *before], processors=[_unwrap, ALLOWED, renderer])
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


def _foreign(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn a library's record into ours: its template stays, the values put into it, which may be records, do not."""
    record: logging.LogRecord = fields["_record"]
    template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    # A template that was put together with its values already can't be told from one that was not: it is kept only
    # where placeholders show that the values came beside it, or where there is nothing but words in it.
    words = (
        template
        if record.args or not any(sign in template for sign in "{}[]=<>'\"")
        else "not shown: its values can't be told from its words"
    )
    return {
        "event": "library_message",
        "logger": record.name,
        "message": words[:300],
        "places": [f"{record.module}:{record.lineno} in {record.funcName}"],
        "exc_info": record.exc_info,
        "_record": record,
        "_from_structlog": False,
    }


def _name_exception(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its class and the places it passed."""
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
    """Keep a value from carrying what was never meant for a log: numbers and short texts, lists of them, no structures."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_bounded(item) for item in list(items)[:64]]
    return str(value)[:300] if isinstance(value, str) else type(value).__name__
