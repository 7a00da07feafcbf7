"""Reading what was written with another version of a schema: an older release, or a newer one from the registry.

Owns the slow path: fastavro resolves writer to reader, and our own reader takes the result. As strict as the fast one:
the bytes must be those that the writer's schema makes of the value. Knows no frame and no registry.
"""

from __future__ import annotations

import io
from typing import Any

import fastavro

from streams.avro.compiler import Decode, LeftOverError, NotCanonicalError
from streams.avro.schemas import Contract, fingerprint_of


class UnfitSchemaError(ValueError):
    """A schema that can't be read as the contract's record."""


def reader_of(writer: Any, contract: Contract) -> tuple[Decode, bytes]:
    """Return the reader of what was written with *writer*, our own if it is the current schema, and its fingerprint.

    Raises UnfitSchemaError as `resolving_reader`.
    """
    try:
        fingerprint = fingerprint_of(writer)
    except Exception as error:  # The same as below.
        raise UnfitSchemaError("not a schema") from error
    if fingerprint == contract.fingerprint:
        return contract.decode, fingerprint
    return resolving_reader(writer, contract), fingerprint


def resolving_reader(writer: Any, contract: Contract) -> Decode:
    """Make the reader of bytes written with the schema *writer* (parsed JSON) into *contract*'s record.

    Raises UnfitSchemaError when *writer* is no schema, is another record, or lets few bytes cost much.
    """
    wanted = fastavro.parse_schema(_plain(contract.schema))
    try:
        written = fastavro.parse_schema(_plain(writer))
        _takes_no_bytes(written, {})
        name = written["name"]
    except UnfitSchemaError:
        raise
    except Exception as error:  # What fastavro raises for a broken schema is of no fixed kind.
        raise UnfitSchemaError("not a schema") from error
    if name != wanted["name"]:
        raise UnfitSchemaError(f"not {contract.subject}")

    def decode(d: bytes, p: int) -> Any:
        payload = d[p:]
        source = io.BytesIO(payload)
        try:
            value = fastavro.schemaless_reader(source, written)
            again = _written(written, value)
            resolved = fastavro.schemaless_reader(io.BytesIO(payload), written, wanted)
            current = _written(wanted, resolved)
        except EOFError:
            raise IndexError from None
        except Exception as error:  # The same for bytes: TypeError, KeyError, UnicodeDecodeError, SchemaResolutionError ...
            raise NotCanonicalError from error
        if source.tell() < len(payload):
            raise LeftOverError
        if again != payload:
            raise NotCanonicalError
        return contract.decode(current, 0)

    return decode


def _written(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def _plain(schema: Any) -> Any:
    """Return *schema* without logical types: an instant stays the integer that our own reader judges."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if isinstance(schema, dict):
        return {key: value if key == "default" else _plain(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def _takes_no_bytes(schema: Any, judged: dict[str, bool | None]) -> bool:
    """Say whether a value of *schema* takes no bytes at all.

    Raises UnfitSchemaError for what lets few bytes cost much: lists or records of nothing (ten bytes count to
    billions), and a record within itself (fastavro's reader then ends the process by overflowing its stack).
    """
    if isinstance(schema, list):
        for part in schema:
            _takes_no_bytes(part, judged)
        return False
    if isinstance(schema, str):
        if schema not in judged:
            return schema == "null"
        found = judged[schema]
        if found is None:
            raise UnfitSchemaError("a record within itself")
        return found
    kind = schema["type"]
    if kind == "array":
        if _takes_no_bytes(schema["items"], judged):
            raise UnfitSchemaError("a list of items that take no bytes")
        return False
    if kind == "map":
        _takes_no_bytes(schema["values"], judged)
        return False
    if kind in ("record", "fixed", "enum"):
        judged[schema["name"]] = None
        if kind == "record" and all([_takes_no_bytes(field["type"], judged) for field in schema["fields"]]):  # noqa: C419 -- all are judged
            raise UnfitSchemaError("a record that takes no bytes")
        if kind == "fixed" and schema["size"] == 0:
            raise UnfitSchemaError("a fixed that takes no bytes")
        judged[schema["name"]] = False
        return False
    return _takes_no_bytes(kind, judged)
