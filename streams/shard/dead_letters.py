"""Dead letters: a record as it was, with headers that say where it came from and why it was put aside.

Owns the names of those headers. Class and code only: the text of an exception quotes the patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.contract.record import Headers
from streams.shard.agent import Origin, RecordRefused

PREFIX = "__care.errors."


def dead_letter(origin: Origin, refused: RecordRefused) -> tuple[bytes | None, Any, Headers]:
    """Return key, value and headers of the dead letter of the record in *origin*."""
    topic, partition, record = origin
    headers = [*record.headers, *error_headers(topic, partition, record.offset, record.timestamp, refused)]
    return record.key, record.value, headers


def error_headers(topic: str, partition: int, offset: int, timestamp: int, refused: RecordRefused) -> list[tuple[str, bytes]]:
    """Return the headers that say what was refused and why."""
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
    """Return what the headers of a dead letter say of it, by the names of `error_headers`."""
    return {name.removeprefix(PREFIX): (value or b"").decode(errors="replace") for name, value in headers if name.startswith(PREFIX)}
