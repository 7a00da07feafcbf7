"""CloudEvents 1.0 attributes as Kafka headers (binary content mode).

Owns the names and values of the `ce_*` headers. Knows no Avro. A header never identifies a person; only the record's
key does.
"""

from __future__ import annotations

from functools import lru_cache

from streams.contract.events import Event, Millis
from streams.contract.instants import format_instant

SPECVERSION = b"1.0"
AVRO = b"application/avro"
ATTRIBUTE_BYTES_MAX = 512
"""The maximum length of an id or source. Both are stored and displayed, so longer ones are refused."""

Headers = list[tuple[str, bytes]]


def attribute_fits(text: str) -> bool:
    """Return whether *text* is a valid id or source of an event: printable, not empty and at most 512 bytes.

    Publishers check this before they send, because readers refuse other values.
    """
    return text.isprintable() and 0 < len(text.encode(errors="replace")) <= ATTRIBUTE_BYTES_MAX


def read_attribute(value: bytes) -> str:
    """Decode an id or source. Raises ValueError if it is not UTF-8, not printable, empty or longer than 512 bytes."""
    text = value.decode()
    if not 0 < len(value) <= ATTRIBUTE_BYTES_MAX or not text.isprintable():
        raise ValueError(f"an id or source must be printable text of 1 to {ATTRIBUTE_BYTES_MAX} bytes")
    return text


@lru_cache(8192)
def _encoded(text: str) -> bytes:
    """Encode an instant. Cached because all effects of one event share their instant."""
    return text.encode()


@lru_cache(1024)
def _first(kind: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that depend on type and source only. Cached because there are few pairs."""
    return (("ce_specversion", SPECVERSION), ("ce_type", kind.encode()), ("ce_source", source.encode()))


_LAST = (("ce_datacontenttype", AVRO), ("content-type", AVRO))


def attribute_headers(kind: str, source: str, id_: str, time: Millis) -> Headers:
    """Return the required headers from single attributes. Effects use this, because they have no `Event` envelope."""
    return [*_first(kind, source), ("ce_id", id_.encode()), ("ce_time", _encoded(format_instant(time))), *_LAST]


def headers_of(event: Event, traceparent: bytes | None = None) -> Headers:
    """Return the headers of the record that carries *event*. *traceparent* (W3C Trace Context) is copied unchanged.

    The content type appears twice: the Kafka binding of CloudEvents requires `content-type`, and some readers look
    only at `ce_*` headers.
    """
    headers = attribute_headers(event.type, event.source, event.id, event.time)
    if event.backfill:
        headers.append(("ce_backfill", b"true"))
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return headers
