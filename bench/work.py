"""The work of every program of the mechanics: its events, its notifications, and its topic names.

A program reads Avro events, keeps a durable state per person, and writes one Avro notification per event. Both schemas are
compiled with CareRelay's compiler, which decodes strictly: it refuses bytes that do not encode back to themselves.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import msgspec

from streams.avro.compiler import compile_record

EVENT_SCHEMA = {
    "type": "record",
    "name": "Ev",
    "namespace": "bench",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "person", "type": "string"},
        {"name": "kind", "type": {"type": "enum", "name": "K", "namespace": "bench", "symbols": ["admit", "discharge"]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "facility", "type": "string"},
        {"name": "reason", "type": ["null", "string"]},
        {"name": "producer_t", "type": "double"},
    ],
}
NOTICE_SCHEMA = {
    "type": "record",
    "name": "Nt",
    "namespace": "bench",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "person", "type": "string"},
        {"name": "recipient", "type": "string"},
        {"name": "rule", "type": "string"},
        {"name": "due", "type": "long"},
        {"name": "cause", "type": "string"},
        {"name": "producer_t", "type": "double"},
    ],
}


class Ev(msgspec.Struct, frozen=True, gc=False):
    event_id: str
    person: str
    kind: str
    at: int
    facility: str
    reason: str | None
    producer_t: float
    """The planned publication time, in seconds since 1970."""


class Nt(msgspec.Struct, frozen=True, gc=False):
    id: str
    person: str
    recipient: str
    rule: str
    due: int
    cause: str
    producer_t: float


read_event, write_event = compile_record(EVENT_SCHEMA, {"Ev": Ev})
read_notice, write_notice = compile_record(NOTICE_SCHEMA, {"Nt": Nt})


class Names(NamedTuple):
    """The topics, group and folder of a program, which are passed in its environment variables."""

    admissions: str
    discharges: str
    out: str
    state: str
    group: str
    folder: str

    def environment(self) -> dict[str, str]:
        return {f"BENCH_{name.upper()}": value for name, value in self._asdict().items()}


def names() -> Names:
    """Return the names in this process's environment variables."""
    return Names(*(os.environ[f"BENCH_{name.upper()}"] for name in Names._fields))


PARTITIONS = 8
