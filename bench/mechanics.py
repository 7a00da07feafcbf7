"""The mechanics of a worker without its rules, on the peers' events: decode, per-person state, one notification.

Takes BOOT, TAG and DIR from its environment as every peer does. The frame, the shards, the claims and all their checks are
the product's; only the logic is the peers' little one.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fastavro
from io import BytesIO

import msgspec
from streams.clock import Clock
from streams.frame import make_app, run_app
from streams.shard import Outcome, Refused
from streams.worker import Worker, WorkerSettings

BOOT, TAG, DIR = os.environ["BOOT"], os.environ["TAG"], os.environ["DIR"]
EV = fastavro.parse_schema({'type': 'record', 'name': 'Ev', 'fields': [{'name': 'event_id', 'type': 'string'}, {'name': 'person', 'type': 'string'}, {'name': 'kind', 'type': {'type': 'enum', 'name': 'K', 'symbols': ['admit', 'discharge']}}, {'name': 'at', 'type': {'type': 'long', 'logicalType': 'timestamp-micros'}}, {'name': 'facility', 'type': 'string'}, {'name': 'reason', 'type': ['null', 'string']}, {'name': 'producer_t', 'type': 'double'}]})
OUT = fastavro.parse_schema({'type': 'record', 'name': 'Nt', 'fields': [{'name': 'id', 'type': 'string'}, {'name': 'person', 'type': 'string'}, {'name': 'recipient', 'type': 'string'}, {'name': 'rule', 'type': 'string'}, {'name': 'due', 'type': 'long'}, {'name': 'cause', 'type': 'string'}, {'name': 'producer_t', 'type': 'double'}]})


class Person(msgspec.Struct, gc=False, array_like=True):
    count: int = 0
    is_open: bool = False
    last: str = ""
    due: float = 0.0


encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Person).decode


class Mechanics:
    inbound = (f"{TAG}.adm", f"{TAG}.dis")
    relay = f"{TAG}.out"
    dead_letters = f"{TAG}.out"
    out = f"{TAG}.out"

    def read(self, topic, record, arrival):
        value = record.value
        event = fastavro.schemaless_reader(BytesIO(value), EV, None)
        return record.key, event

    def decide(self, key, packed, event, now):
        person = decode(packed) if packed else Person()
        person.count += 1
        person.is_open, person.last = event["kind"] == "admit", event["event_id"]
        person.due = event["producer_t"] + 86_400
        b = BytesIO()
        fastavro.schemaless_writer(b, OUT, {"id": event["event_id"] + "n", "person": event["person"], "recipient": "pcp", "rule": "NOT-1", "due": int(person.due), "cause": event["event_id"], "producer_t": event["producer_t"]})
        return Outcome(encode(person), ((self.out, key, b.getvalue(), ()),))

    def expire(self, key, packed, now):
        raise AssertionError

    def wrap(self, topic, partition, record):
        raise AssertionError

    def spoil(self, key, packed, now):
        return packed

    def deadline(self, packed):
        return None


if __name__ == "__main__":
    import uvloop
    uvloop.install()
    kafka = {"bootstrap_servers": BOOT}
    def make():
        return make_app(TAG, Worker(WorkerSettings(kafka, f"{TAG}.state", 8, Clock(), clock_skew_ms=0), Mechanics()), kafka, DIR)

    run_app(make)
