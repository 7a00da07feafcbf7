"""The Avro contract: each published record with its schema, fingerprint, reader and writer.

Owns the loading of `schemas/avro/events` (the current contract) and `schemas/avro/released` (every revision that a
publisher may still write). Compiles a record when it is first used. Knows no frame or header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streams.avro.compiler import Decode, Encode, compile_record
from streams.contract.events import record_name
from streams.contract.topics import TOPICS

NAMESPACE = "care.events"
RECORD_OF: Mapping[str, type[msgspec.Struct]] = {kind.__name__: kind for topic in TOPICS for kind in topic.types}
"""Every record of the contract, facts and effects, by name."""


class Contract(msgspec.Struct, frozen=True):
    """One record of the contract, in its current revision."""

    name: str
    schema: dict[str, Any]
    """The schema, as parsed from JSON."""
    fingerprint: bytes
    """CRC-64-AVRO of the parsing canonical form: 8 bytes, little-endian as in a frame."""
    decode: Decode
    encode: Encode

    @property
    def subject(self) -> str:
        """The subject in the registry: the record's full name, because one topic contains several record types."""
        return f"{NAMESPACE}.{self.name}"


def fingerprint_of(schema: Any) -> bytes:
    """Return the CRC-64-AVRO of *schema*'s parsing canonical form: 8 bytes, little-endian."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


@cache
def contract_of(name: str) -> Contract:
    """Return the current contract of the record *name*. Raises KeyError if there is no such record."""
    schema = json.loads(_current()[name])
    decode, encode = compile_record(schema, _kinds())
    return Contract(name, schema, fingerprint_of(schema), decode, encode)


def released() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and schema of every released revision that is not the current one."""
    current = _current()
    for name, text in _texts("released"):
        if current.get(name) != text:
            yield name, json.loads(text)


@cache
def _current() -> Mapping[str, str]:
    return dict(_texts("events"))


def _texts(folder: str) -> list[tuple[str, str]]:
    """Return record name and content of each .avsc file in *folder*, sorted by file name."""
    found = [path for path in files("schemas").joinpath("avro", folder).iterdir() if path.name.endswith(".avsc")]
    return [(path.name.split(".")[0], path.read_text(encoding="utf-8")) for path in sorted(found, key=lambda path: path.name)]


@cache
def _kinds() -> Mapping[str, type[msgspec.Struct]]:
    """Return the record type of every published record and of every part that their annotations refer to, by name."""
    found: dict[str, type[msgspec.Struct]] = {}

    def visit(node: Any) -> None:
        if isinstance(node, msgspec.inspect.StructType):
            name = record_name(node.cls)
            if name not in found:
                found[name] = node.cls
                for field in node.fields:
                    visit(field.type)
        elif isinstance(node, msgspec.inspect.Metadata):
            visit(node.type)
        elif isinstance(node, msgspec.inspect.UnionType):
            for member in node.types:
                visit(member)
        elif isinstance(node, msgspec.inspect.VarTupleType):
            visit(node.item_type)

    for kind in RECORD_OF.values():
        visit(msgspec.inspect.type_info(kind))
    return found
