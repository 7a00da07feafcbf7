"""Conversion between Kafka records and events: frames, headers and values.

Owns the two frames: the Avro single-object encoding (0xC3 0x01 and the schema's fingerprint) and the schema registry's
frame (0x00 and a 4-byte schema id). Readers accept both. A sender's error is returned as a Refusal and never raised. A
record that cannot be written is an error in our code and raises ValueError. Does no I/O: `streams.avro.registry` adds
the schemas of the registry.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.avro.compiler import Decode, Encode, LeftOverError, OutOfRangeError
from streams.avro.resolution import UnfitSchemaError, reader_of
from streams.avro.schemas import RECORD_OF, contract_of, released
from streams.contract.cloudevents import AVRO, SPECVERSION, headers_of, read_attribute
from streams.contract.effects import Effect
from streams.contract.events import Event, Millis, PersonKey
from streams.contract.instants import parse_instant
from streams.contract.reasons import Refusal
from streams.contract.topics import TOPIC_OF

__all__ = [
    "STANDARD",
    "Codec",
    "Refusal",
    "decode",
    "effect_record",
    "encode",
    "frame",
    "headers_of",
    "read_frame",
    "read_record",
]

SINGLE_OBJECT = b"\xc3\x01"
KEY_BYTES_MAX = 128
SOURCES_KEPT = 4096
_MARKER_BYTES, _REGISTRY_BYTES = 10, 5
_BACKFILL: Mapping[bytes | None, bool] = {None: False, b"false": False, b"true": True}


class _Reader(NamedTuple):
    """The reader of the payload that follows one kind of frame."""

    name: str
    wire_name: bytes
    topic: str
    start: int
    decode: Decode


class Codec:
    """The frames that a process can read and write. A process shares one codec, `STANDARD`; tests create their own."""

    def __init__(self) -> None:
        self._readers: dict[bytes, _Reader] = {}
        self._writers: dict[type, tuple[Encode, bytes]] = {}
        self._sources: dict[bytes, str] = {}
        for name, kind in RECORD_OF.items():
            contract = contract_of(name)
            head = SINGLE_OBJECT + contract.fingerprint
            self._add_reader(head, name, contract.decode)
            self._writers[kind] = contract.encode, head
        for name, schema in released():
            self._compile_schema(SINGLE_OBJECT, name, schema, None)

    # -- schemas of the registry

    def add_schema(self, schema_id: int, schema: Any) -> bool:
        """Add *schema* (parsed JSON) under *schema_id*. Return whether it can be read as a record of the contract."""
        name = schema.get("name", "") if isinstance(schema, dict) else ""
        if not isinstance(name, str):
            return False
        return self._compile_schema(_registry_head(schema_id), name.rpartition(".")[2], schema, schema_id)

    def use_registry(self, ids: Mapping[str, int]) -> None:
        """Write registry frames from now on. *ids* gives the registered id of each current schema, by record name."""
        for name, kind in RECORD_OF.items():
            contract, head = contract_of(name), _registry_head(ids[name])
            self._add_reader(head, name, contract.decode)
            self._writers[kind] = contract.encode, head

    def unknown_ids(self, values: Iterable[bytes | None]) -> set[int]:
        """Return the registry ids in *values* that this codec does not know. Look them up before reading the values."""
        heads = {value[:_REGISTRY_BYTES] for value in values if value and value[0] == 0 and len(value) >= _REGISTRY_BYTES}
        return {int.from_bytes(head[1:], "big") for head in heads if head not in self._readers}

    def _add_reader(self, head: bytes, name: str, decode: Decode) -> None:
        topic = TOPIC_OF[name].name if name in TOPIC_OF else ""
        self._readers[head] = _Reader(name, name.encode(), topic, len(head), decode)

    def _compile_schema(self, head: bytes, name: str, schema: Any, schema_id: int | None) -> bool:
        if name not in RECORD_OF:
            return False
        try:
            decode, fingerprint = reader_of(schema, contract_of(name))
        except UnfitSchemaError:
            return False
        if schema_id is None:
            head += fingerprint
        if head not in self._readers:
            self._add_reader(head, name, decode)
        return True

    # -- writing

    def encode(self, record: msgspec.Struct) -> bytes:
        """Write *record*, a fact or effect, without a frame.

        Raises ValueError if its schema does not allow a value, for example an unknown code.
        """
        return self._writers[type(record)][0](record, b"")

    def frame(self, record: msgspec.Struct) -> bytes:
        """Write *record*, a fact or effect, with a frame, as the value of a Kafka record. Raises ValueError as `encode` does."""
        encode, head = self._writers[type(record)]
        return encode(record, head)

    def effect_record(self, effect: Effect) -> bytes:
        """Write *effect* with a frame, as the value of a Kafka record. Raises ValueError as `encode` does."""
        encode, head = self._writers[type(effect)]
        return encode(effect, head)

    # -- reading

    def decode(self, kind: type[msgspec.Struct], payload: bytes) -> Any:
        """Read *payload*, bytes without a frame in the current schema of *kind*. Return a record or a Refusal."""
        return _read(_Reader(kind.__name__, b"", "", 0, contract_of(kind.__name__).decode), payload)

    def read_frame(self, value: bytes | None) -> Any:
        """Read *value*, which has either frame. Return a fact, an effect or a Refusal."""
        if not value:
            return Refusal("no-value")
        reader = self._readers.get(value[:_MARKER_BYTES]) or self._readers.get(value[:_REGISTRY_BYTES])
        return _read(reader, value) if reader else _unreadable_frame(value)

    def read_record(
        self, topic_name: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]], timestamp_ms: int
    ) -> Event | Refusal:
        """Read one record of an inbound topic. *timestamp_ms*, the broker's append time, becomes the event's arrival.

        Never raises because of the record's content.
        """
        if not value or not key:
            return Refusal("no-value" if not value else "no-key")
        reader = self._readers.get(value[:_MARKER_BYTES]) or self._readers.get(value[:_REGISTRY_BYTES])
        given: dict[str, Any] = dict(headers)
        try:
            if (
                reader is None
                or given["ce_type"] != reader.wire_name
                or topic_name != reader.topic
                or given["ce_specversion"] != SPECVERSION
                or given.get("ce_datacontenttype", AVRO) != AVRO
                or given.get("content-type", AVRO) != AVRO
                or len(given) != len(headers)
            ):
                reader = self._check(topic_name, value, headers)
            source = given["ce_source"]
            source = self._sources.get(source) or self._source(source)
            event_id = read_attribute(given["ce_id"])
            person = _person(key)
            time = parse_instant(given["ce_time"].decode("ascii"))
            backfill = _BACKFILL[given.get("ce_backfill")]
        except _RefusedError as refused:
            return refused.refusal
        except (KeyError, ValueError, AttributeError):
            return _bad_attribute(given, key)
        fact = _read(reader, value)
        if type(fact) is Refusal:
            return fact
        return Event(event_id, source, time, Millis(timestamp_ms), person, fact, backfill)

    def _source(self, source: bytes) -> str:
        """Decode a source and cache it, so that all events of a source share one string. There are few sources."""
        text = read_attribute(source)
        if len(self._sources) < SOURCES_KEPT:
            self._sources[source] = text
        return text

    def _check(self, topic_name: str, value: bytes, headers: Sequence[tuple[str, bytes | None]]) -> _Reader:
        """Check an unusual record in detail. Return its reader, or raise _RefusedError with the first reason."""
        given = dict(headers)
        if len(given) != len(headers):
            names = [name for name, _ in headers if name.startswith("ce_") or name == "content-type"]
            for name in names:
                if names.count(name) > 1:
                    raise _RefusedError("header-bad", name if name in _ATTRIBUTES else "ce_*")
        for name in _REQUIRED:
            if given.get(name) is None:
                raise _RefusedError("header-missing", name)
        for name, expected in (("ce_specversion", SPECVERSION), ("ce_datacontenttype", AVRO), ("content-type", AVRO)):
            if given.get(name, expected) != expected:
                raise _RefusedError("header-bad", name)
        kind = TOPIC_OF_WIRE.get(given["ce_type"] or b"")
        if kind is None:
            raise _RefusedError("unknown-type")
        name, topic = kind
        if topic != topic_name:
            raise _RefusedError("wrong-topic", name)
        reader = self._readers.get(value[:_MARKER_BYTES]) or self._readers.get(value[:_REGISTRY_BYTES])
        if reader is None:
            raise _RefusedError(_unreadable_frame(value).code)
        if reader.name != name:
            raise _RefusedError("type-mismatch", name)
        return reader


class _RefusedError(Exception):
    """Carries a refusal to `read_record`, which returns it. Internal to this file."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.refusal = Refusal(code, detail)
        super().__init__(code)


_REQUIRED = ("ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time")
_ATTRIBUTES = frozenset((*_REQUIRED, "ce_datacontenttype", "content-type", "ce_backfill"))
TOPIC_OF_WIRE: Mapping[bytes, tuple[str, str]] = {name.encode(): (name, topic.name) for name, topic in TOPIC_OF.items()}


def _registry_head(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big")


def _person(key: bytes) -> PersonKey:
    text = key.decode("ascii")
    if len(text) > KEY_BYTES_MAX or not text.isprintable() or " " in text:
        raise ValueError
    return PersonKey(text)


def _bad_attribute(given: Mapping[str, Any], key: bytes) -> Refusal:
    """Return the refusal for the first unreadable attribute. The caller knows that there is one."""
    for name in _REQUIRED:
        if given.get(name) is None:
            return Refusal("header-missing", name)
    for name in ("ce_source", "ce_id"):
        try:
            read_attribute(given[name])
        except ValueError:
            return Refusal("header-bad", name)
    if given.get("ce_backfill") not in _BACKFILL:
        return Refusal("header-bad", "ce_backfill")
    try:
        _person(key)
    except ValueError:
        return Refusal("key-bad")
    return Refusal("time-bad", "ce_time")


def _unreadable_frame(value: bytes) -> Refusal:
    if value[:2] == SINGLE_OBJECT or value[0] == 0:
        whole = _MARKER_BYTES if value[0] else _REGISTRY_BYTES
        return Refusal("unknown-schema") if len(value) >= whole else Refusal("cut-short")
    return Refusal("not-avro")


def _read(reader: _Reader, value: bytes) -> Any:
    try:
        return reader.decode(value, reader.start)
    except OutOfRangeError:
        return Refusal("out-of-range", reader.name)
    except LeftOverError:
        return Refusal("left-over", reader.name)
    except (IndexError, struct.error):
        return Refusal("cut-short", reader.name)
    except ValueError:  # NotCanonicalError, or a text that is not UTF-8.
        return Refusal("not-canonical", reader.name)


STANDARD = Codec()
encode, decode = STANDARD.encode, STANDARD.decode
frame, effect_record = STANDARD.frame, STANDARD.effect_record
read_frame, read_record = STANDARD.read_frame, STANDARD.read_record
