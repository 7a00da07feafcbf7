"""Encoding and decoding for the Python peers: plain fastavro with the same schemas."""

from __future__ import annotations

from io import BytesIO

import fastavro

from bench.work import EVENT_SCHEMA, NOTICE_SCHEMA

_EVENT, _NOTICE = fastavro.parse_schema(EVENT_SCHEMA), fastavro.parse_schema(NOTICE_SCHEMA)


def decode(value):
    return fastavro.schemaless_reader(BytesIO(value), _EVENT, None)


def encode(notice):
    to = BytesIO()
    fastavro.schemaless_writer(to, _NOTICE, notice)
    return to.getvalue()


def notification(event, due):
    return {
        "id": event["event_id"] + "n",
        "person": event["person"],
        "recipient": "pcp",
        "rule": "NOT-1",
        "due": int(due),
        "cause": event["event_id"],
        "producer_t": event["producer_t"],
    }
