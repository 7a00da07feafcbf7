"""The CareRelay worker with a trivial agent instead of its rules: decode, per-person state, one notification.

The Faust app, shards, claims, record order, probes and all checks are those of CareRelay, with its settings. Only the agent
is replaced, by one that does the same work as the peers. Dead letters and relay records would go to the output topic, but
there are none.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import msgspec

from bench.work import PARTITIONS, Nt, names, read_event, write_notice
from streams.kafka.faust_app import make_app, run_app
from streams.shard.agent import OWN_SHARD, Origin, Outcome, RecordRefused
from streams.kafka.worker import Worker, WorkerSettings


class Person(msgspec.Struct, gc=False, array_like=True):
    count: int = 0
    is_open: bool = False
    last: str = ""
    due: float = 0.0


pack, unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Person).decode


class Mechanics:
    """An agent that publishes one notification for each event."""

    def __init__(self, admissions: str, discharges: str, out: str) -> None:
        self.inbound = (admissions, discharges)
        self.relay = self.dead_letters = self.out = out

    def read(self, origin: Origin, arrival: int) -> tuple[bytes, Any] | RecordRefused:
        record = origin.record
        key, value = record.key, record.value
        if not key or not value:
            return RecordRefused("no-value" if not value else "no-key", "read")
        try:
            return key, read_event(value, 0)
        except (ValueError, IndexError, struct.error) as error:
            return RecordRefused("not-canonical", "read", exception=type(error).__name__)

    def decide(self, key: bytes, packed: bytes | None, event: Any, now: int, origin: Origin) -> Outcome:
        person = unpack(packed) if packed else Person()
        due = event.producer_t + 86_400
        person.count += 1
        person.is_open, person.last, person.due = event.kind == "admit", event.event_id, due
        notice = Nt(event.event_id + "n", event.person, "pcp", "NOT-1", int(due), event.event_id, event.producer_t)
        return Outcome(pack(person), ((OWN_SHARD, self.out, key, write_notice(notice, b""), ()),), ("Nt",))

    def expire(self, key: bytes, packed: bytes, now: int) -> Outcome:
        return Outcome(packed)

    def wrap(self, key: bytes, origin: Origin) -> tuple[bytes, Any]:
        topic, partition, record = origin
        return record.value, [*record.headers, ("from", f"{topic}/{partition}/{record.offset}".encode())]

    def after_failure(self, key: bytes, packed: bytes | None, now: int) -> bytes | None:
        return packed

    def open_handoffs(self, packed: bytes) -> int:
        return 0

    def deadline(self, packed: bytes) -> int | None:
        return None


def main() -> None:
    given = names()
    kafka = {"bootstrap_servers": os.environ["KAFKA_BOOTSTRAP"]}
    agent = Mechanics(given.admissions, given.discharges, given.out)
    run_app(lambda: make_app(given.group, Worker(WorkerSettings(kafka, given.state, PARTITIONS), agent), kafka, given.folder))


if __name__ == "__main__":
    main()
