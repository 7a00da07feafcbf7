"""CloudEvents 1.0 attributes as Kafka headers, binary mode.

Owns the names and forms of the `ce_*` headers. Knows no Avro. Nothing that identifies a person belongs in a header, so
the person travels only as the record's key.
"""

from __future__ import annotations

from functools import lru_cache

from streams.contract.events import Event, Millis
from streams.contract.instants import format_instant

SPECVERSION = b"1.0"
AVRO = b"application/avro"
ATTRIBUTE_BYTES_MAX = 512
"""Longer ids and sources are refused: they are kept, hashed and shown."""

Headers = list[tuple[str, bytes]]


def attribute_fits(text: str) -> bool:
    """Say whether *text* may be an event's id or source: not empty, at most 512 bytes, printable.

    The doors ask before they publish, because readers refuse what does not fit.
    """
    return text.isprintable() and 0 < len(text.encode(errors="replace")) <= ATTRIBUTE_BYTES_MAX


def read_attribute(value: bytes) -> str:
    """Read an id or source. Raises ValueError when it is not UTF-8 or does not fit."""
    text = value.decode()
    if not 0 < len(value) <= ATTRIBUTE_BYTES_MAX or not text.isprintable():
        raise ValueError("an attribute that does not fit")
    return text


@lru_cache(8192)
def _encoded(text: str) -> bytes:
    """Encode an instant: the effects of one event share theirs."""
    return text.encode()


@lru_cache(1024)
def _first(kind: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """Return the first headers of all events of a type and source: there are few."""
    return (("ce_specversion", SPECVERSION), ("ce_type", kind.encode()), ("ce_source", source.encode()))


_LAST = (("ce_datacontenttype", AVRO), ("content-type", AVRO))


def headers_said(kind: str, source: str, id_: str, time: Millis) -> Headers:
    """Return the headers that every event has, from its attributes: an effect becomes no event just for these."""
    return [*_first(kind, source), ("ce_id", id_.encode()), ("ce_time", _encoded(format_instant(time))), *_LAST]


def headers_of(event: Event, traceparent: bytes | None = None) -> Headers:
    """Return the headers of the record that carries *event*. *traceparent* (W3C Trace Context) goes along as it is.

    The content type stands there twice: Kafka's binding of CloudEvents names it `content-type`, readers that only look
    at `ce_*` find it too.
    """
    headers = headers_said(event.type, event.source, event.id, event.time)
    if event.backfill:
        headers.append(("ce_backfill", b"true"))
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return headers
