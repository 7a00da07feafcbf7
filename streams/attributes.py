"""CloudEvents 1.0 attributes as Kafka headers, binary mode.

Owns the names and forms of the `ce_*` headers. Knows no Avro. Nothing that identifies a person belongs in a header, so
the person travels only as the record's key.
"""

from __future__ import annotations

from streams.events import Event
from streams.instants import format_instant

SPECVERSION = b"1.0"
AVRO = b"application/avro"
ATTRIBUTE_BYTES_MAX = 512
"""Longer ids and sources are refused: they are kept, hashed and shown."""

Headers = list[tuple[str, bytes]]


def headers_of(event: Event, traceparent: bytes | None = None) -> Headers:
    """Return the headers of the record that carries *event*. *traceparent* (W3C Trace Context) goes along as it is.

    The content type stands there twice: Kafka's binding of CloudEvents names it `content-type`, readers that only look
    at `ce_*` find it too.
    """
    headers = [
        ("ce_specversion", SPECVERSION),
        ("ce_type", event.type.encode()),
        ("ce_source", event.source.encode()),
        ("ce_id", event.id.encode()),
        ("ce_time", format_instant(event.time).encode()),
        ("ce_datacontenttype", AVRO),
        ("content-type", AVRO),
    ]
    if event.backfill:
        headers.append(("ce_backfill", b"true"))
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return headers
