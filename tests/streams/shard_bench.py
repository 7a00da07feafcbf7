"""A small agent for tests of shards: each record is an order for a patient, each order publishes a line. No Kafka, no clock.

The text of a record's value is the order: `x` publishes a line; `in 500 call` sets a deadline in half a second, `cancel call`
removes it; `raise` raises an exception, `forget` deletes the state; `not-avro` cannot be read; `too-late` is refused.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streams.base.clock import Clock
from streams.contract.events import Millis
from streams.contract.person_key import partition_of
from streams.contract.record import Headers, Out, Outgoing
from streams.shard.agent import BY_KEY, OWN_SHARD, Origin, Outcome, RecordRefused
from streams.shard.claims import POSITION
from streams.shard.dead_letters import dead_letter
from streams.shard.order import Batch
from streams.shard.shard import Shard

PARTITIONS = 4
TEAM, STAY, RELAY = "team", "stay", "relay"
LINES, DEAD = "lines", "dead"


class Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Patient(msgspec.Struct, array_like=True):
    lines: list[str] = []
    due: list[tuple[int, str]] = []
    rule_failed: bool = False


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Patient).decode


class OrdersAgent:
    """Applies orders to patients. Its topics by rank: team, stay, relay."""

    inbound = (TEAM, STAY, RELAY)
    relay = RELAY
    dead_letters = DEAD

    def read(self, origin: Origin, arrival: Millis) -> tuple[bytes, Any] | RecordRefused:
        record = origin.record
        if record.key is None:
            return RecordRefused("no-key", "read", "urn:s")
        if record.value == b"not-avro":
            return RecordRefused("not-avro", "read", "urn:s")
        if record.value == b"break-reader":
            raise ZeroDivisionError("Mrs Jones, 12 Elm Street")
        return record.key, record.value.decode()

    def wrap(self, key: bytes, origin: Origin) -> tuple[bytes, Headers]:
        topic, partition, record = origin
        return record.value, [("from", f"{topic}/{partition}/{record.offset}".encode())]

    def decide(self, key: bytes, packed: bytes | None, event: str, now: Millis, origin: Origin) -> Outcome:
        patient = Patient() if packed is None else unpack(packed)
        order, *words = event.split()
        match order:
            case "raise":
                raise ZeroDivisionError("Mrs Jones, 12 Elm Street")
            case "forget":
                return Outcome(None)
            case "too-late":
                refused = RecordRefused("too-late", "decide", "urn:s")
                return Outcome(packed, [(OWN_SHARD, DEAD, *dead_letter(origin, refused))], refused=refused)
            case "forward":
                into = words[0].encode()
                return Outcome(packed, [(BY_KEY, RELAY, into, *self.wrap(into, origin))])
            case "move":
                return Outcome(packed, [(BY_KEY, RELAY, words[0].encode(), b"moved", ())])
            case "in":
                patient.due.append((now + int(words[0]), words[1]))
                patient.due.sort()
            case "cancel":
                patient.due = [due for due in patient.due if due[1] != words[0]]
        patient.lines.append(event)
        return Outcome(pack(patient), [(OWN_SHARD, LINES, key, f"{event} @{now}".encode(), ())], kinds=["line"])

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        patient = unpack(packed)
        at, name = patient.due.pop(0)
        if name == "stuck":
            return Outcome(packed)
        if name == "raise":
            raise ZeroDivisionError("Mrs Jones, 12 Elm Street")
        if name.startswith("again"):
            patient.due.append((at + 1000, name))
        patient.lines.append(f"{name}!")
        return Outcome(pack(patient), [(OWN_SHARD, LINES, key, f"{name}! @{now}".encode(), ())], kinds=["line"])

    def after_failure(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        patient = Patient() if packed is None else unpack(packed)
        patient.rule_failed = True
        patient.due = [due for due in patient.due if due[0] > now]
        return pack(patient)

    def open_handoffs(self, packed: bytes) -> int:
        return 0

    def deadline(self, packed: bytes) -> int | None:
        due = unpack(packed).due
        return due[0][0] if due else None


def patient_of(number: int, nth: int = 0) -> bytes:
    """Return the nth key that hashes to shard *number*."""
    keys = (key for key in (f"p{n}".encode() for n in range(10_000)) if partition_of(key, PARTITIONS) == number)
    for _ in range(nth):
        next(keys)
    return next(keys)


ANN, BOB, CAT = (patient_of(0, nth) for nth in range(3))
STRANGER = patient_of(1)


class Bench:
    """A shard, its input and its output."""

    def __init__(self, number: int = 0, clock: Clock | None = None, persons: dict[bytes, bytes] | None = None) -> None:
        self.shard = Shard(number, PARTITIONS, OrdersAgent(), clock or Clock(), {} if persons is None else persons)
        self.shard.restored(dict.fromkeys(OrdersAgent.inbound, 0), {})
        self.ends = dict.fromkeys(OrdersAgent.inbound, 0)

    def receive(
        self, topic: str, *orders: tuple[int, str], key: bytes | None = ANN, start: int | None = None, stop: int | None = None
    ) -> int:
        """Add a batch of (time, order) that begins at *start*, or at the end of the previous one."""
        begin = self.ends[topic] if start is None else start
        records = [Record(begin + n, at, key, order.encode(), (("h", b"1"),)) for n, (at, order) in enumerate(orders)]
        end = begin + len(records) if stop is None else stop
        self.ends[topic] = max(self.ends[topic], end)
        return self.shard.arrived(Batch(topic, self.shard.number, begin, end, records, 1))

    def probe(self, at: int) -> None:
        """Add the result of a probe that was sent at *at* and found no further records."""
        self.shard.probed(dict(self.ends), self.shard.seal(), at)

    def apply(self, most: int = 1000) -> list[str]:
        """Apply the records that may be applied, and return the published lines."""
        return [out.value.decode() for out in self.written(most).get((LINES, self.shard.number), ())]

    def written(self, most: int = 1000, deadlines: int | None = None) -> Outgoing:
        out = Outgoing()
        self.shard.apply(out, most, deadlines)
        return out

    def next_deadline(self) -> tuple[int, bytes] | None:
        """Return the deadline that fires before the next record."""
        return self.shard.deadline_before(self.shard.step_until)

    def fired(self) -> Outgoing:
        """Fire only that deadline."""
        out = Outgoing()
        self.shard.fire(self.shard.step_until, 1, out)
        return out

    def patient(self, key: bytes = ANN) -> Patient:
        return unpack(self.shard.persons[key])


def errors_of(out: Out) -> dict[str, str]:
    """Return the error headers of a dead letter."""
    return {name.rpartition(".")[2]: value.decode() for name, value in out.headers if name.startswith("__care.errors.")}


def positions(outs) -> dict[str, bytes | None]:
    return {out.key[len(POSITION) :].decode(): out.value for out in outs if out.key.startswith(POSITION)}


def decided(order: str, now: int, packed: bytes | None = None) -> bytes:
    """Return Ann's state after *order*."""
    record = Record(0, now, ANN, order.encode())
    after = OrdersAgent().decide(ANN, packed, order, Millis(now), Origin(STAY, 0, record)).packed
    assert after is not None
    return after
