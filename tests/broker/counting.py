"""The smallest agent that shows the guarantees of the engine: it counts each person's events, and sets deadlines.

An event is JSON: `id`, `wait` (ms until a deadline, or null) and `do`, which selects a failure. Each event and each deadline
publishes one line. The state holds the count and a hash chain over the ids in the order of application, so that a lost,
duplicate or misordered event shows in the state.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from streams.contract.events import Millis
from streams.contract.record import Headers
from streams.shard.agent import OWN_SHARD, Origin, Outcome, RecordRefused

PARTITIONS = 4


class Counted(msgspec.Struct, array_like=True):
    """A person's state."""

    count: int = 0
    chain: int = 0
    due: list[tuple[int, str]] = []
    rule_failed: bool = False


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Counted).decode


def chained(chain: int, identity: str) -> int:
    return zlib.crc32(identity.encode(), chain)


class Topics(NamedTuple):
    """The topics of one test."""

    first: str
    second: str
    relay: str
    lines: str
    dead: str
    state: str

    @classmethod
    def of(cls, run: str) -> Topics:
        return cls(*(f"{run}.{name}" for name in cls._fields))

    @property
    def inbound(self) -> tuple[str, str, str]:
        return self.first, self.second, self.relay


class Counting:
    """Publishes one line per event and one line per deadline."""

    def __init__(self, topics: Topics) -> None:
        self.inbound = topics.inbound
        self.relay = topics.relay
        self.dead_letters = topics.dead
        self._lines = topics.lines

    def read(self, origin: Origin, arrival: Millis) -> tuple[bytes, Any] | RecordRefused:
        record = origin.record
        try:
            event = json.loads(record.value)
        except ValueError:
            return RecordRefused("not-json", "read", "urn:test")
        return record.key, event

    def wrap(self, key: bytes, origin: Origin) -> tuple[bytes, Headers]:
        topic, partition, record = origin
        return record.value, [*record.headers, ("from", f"{topic}/{partition}/{record.offset}".encode())]

    def decide(self, key: bytes, packed: bytes | None, event: dict[str, Any], now: Millis, origin: Origin) -> Outcome:
        state = decode(packed) if packed is not None else Counted()
        match event.get("do"):
            case "raise":
                raise ZeroDivisionError
            case "kill":
                os._exit(9)
            case "hang":
                time.sleep(3600)
            case "slow":
                time.sleep(0.2)
            case "large":
                state.due.append((1 << 60, "x" * 500_000))
        state.count += 1
        state.chain = chained(state.chain, event["id"])
        if event.get("wait") is not None:
            state.due = sorted([*state.due, (now + event["wait"], event["id"])])
        return Outcome(encode(state), [(OWN_SHARD, self._lines, key, _line(f"n:{event['id']}", state.count, now), ())], kinds=["line"])

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        state = decode(packed)
        at, identity = state.due.pop(0)
        if identity.startswith("bomb"):
            os._exit(9)
        return Outcome(encode(state), [(OWN_SHARD, self._lines, key, _line(f"d:{identity}", state.count, Millis(at)), ())], kinds=["line"])

    def after_failure(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        state = decode(packed) if packed is not None else Counted()
        state.rule_failed = True
        state.due = [due for due in state.due if due[0] > now]
        return encode(state)

    def deadline(self, packed: bytes) -> int | None:
        due = decode(packed).due
        return due[0][0] if due else None

    def open_handoffs(self, packed: bytes) -> int:
        return len(decode(packed).due)


def _line(identity: str, nth: int, now: int) -> bytes:
    return json.dumps({"id": identity, "nth": nth, "at": now}).encode()


class Line(NamedTuple):
    """A record of the lines, as a read_committed reader sees it."""

    id: str
    nth: int
    at: int
    person: bytes
    partition: int
    appended: int


def lines_of(records: Iterable[Any]) -> list[Line]:
    found = []
    for record in records:
        line = json.loads(record.value)
        found.append(Line(line["id"], line["nth"], line["at"], record.key, record.partition, record.timestamp))
    return found
