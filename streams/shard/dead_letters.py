"""Dead letters: unchanged records, plus headers with their origin and the reason why they were not applied.

Owns the names of these headers. They contain the class of an exception and a code, never the exception's text, which may
quote patient data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.contract.record import Headers
from streams.shard.agent import Origin, RecordRefused

PREFIX = "__care.errors."


def dead_letter(origin: Origin, refused: RecordRefused) -> tuple[bytes | None, Any, Headers]:
    """Return the key, value and headers of the dead letter for the record in *origin*."""
    topic, partition, record = origin
    headers = [*record.headers, *error_headers(topic, partition, record.offset, record.timestamp, refused)]
    return record.key, record.value, headers


def error_headers(topic: str, partition: int, offset: int, timestamp: int, refused: RecordRefused) -> list[tuple[str, bytes]]:
    """Return the headers that identify the refused record and give the reason."""
    fields = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "stage": refused.stage,
        "code": refused.code,
        "exception": refused.exception,
        "group": "coordination",
        "attempt": 1,
    }
    return [(PREFIX + name, str(value).encode()) for name, value in fields.items()]


def errors_in(headers: Sequence[tuple[str, bytes | None]]) -> Mapping[str, str]:
    """Return the error headers of a dead letter as text, under the names of `error_headers` without their prefix."""
    return {name.removeprefix(PREFIX): (value or b"").decode(errors="replace") for name, value in headers if name.startswith(PREFIX)}
