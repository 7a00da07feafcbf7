"""Schema resolution: reading records that were written with an older release or with a newer schema from the registry.

Owns the slow path: fastavro resolves the writer's schema to ours, and our own reader reads the result. The
slow path is as strict as the compiled reader: the bytes must equal a new encoding of their value. Knows no frame and no registry.
"""

from __future__ import annotations

import io
from typing import Any

import fastavro

from streams.avro.compiler import Decode, LeftOverError, NotCanonicalError
from streams.avro.schemas import Contract, fingerprint_of


class UnfitSchemaError(ValueError):
    """The schema cannot be resolved to the record of the contract, or it is unsafe to read."""


def reader_of(writer: Any, contract: Contract) -> tuple[Decode, bytes]:
    """Return the reader for records written with *writer*, and the fingerprint of *writer*.

    If *writer* is the current schema, this is the compiled reader. Raises UnfitSchemaError as `resolving_reader` does.
    """
    try:
        fingerprint = fingerprint_of(writer)
    except Exception as error:  # fastavro raises many types for a broken schema.
        raise UnfitSchemaError("not a schema") from error
    if fingerprint == contract.fingerprint:
        return contract.decode, fingerprint
    return resolving_reader(writer, contract), fingerprint


def resolving_reader(writer: Any, contract: Contract) -> Decode:
    """Return a reader that reads bytes written with the schema *writer* (parsed JSON) as *contract*'s record.

    Raises UnfitSchemaError if *writer* is not a schema, describes another record, or allows a few bytes to use
    unbounded memory or stack.
    """
    wanted = fastavro.parse_schema(_plain(contract.schema))
    try:
        written = fastavro.parse_schema(_plain(writer))
        _has_no_bytes(written, {})
        name = written["name"]
    except UnfitSchemaError:
        raise
    except Exception as error:  # fastavro raises many types for a broken schema.
        raise UnfitSchemaError("not a schema") from error
    if name != wanted["name"]:
        raise UnfitSchemaError(f"not {contract.subject}")

    def decode(d: bytes, p: int) -> Any:
        payload = d[p:]
        source = io.BytesIO(payload)
        try:
            value = fastavro.schemaless_reader(source, written)
            again = _encode(written, value)
            resolved = fastavro.schemaless_reader(io.BytesIO(payload), written, wanted)
            current = _encode(wanted, resolved)
        except EOFError:
            raise IndexError from None
        except Exception as error:  # TypeError, KeyError, UnicodeDecodeError, SchemaResolutionError and others.
            raise NotCanonicalError from error
        if source.tell() < len(payload):
            raise LeftOverError
        if again != payload:
            raise NotCanonicalError
        return contract.decode(current, 0)

    return decode


def _encode(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def _plain(schema: Any) -> Any:
    """Return *schema* without logical types, so that instants stay integers, which our own reader checks."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if isinstance(schema, dict):
        return {key: value if key == "default" else _plain(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def _has_no_bytes(schema: Any, checked: dict[str, bool | None]) -> bool:
    """Return whether a value of *schema* is encoded in zero bytes.

    Raises UnfitSchemaError for a schema that is unsafe to read. A list of zero-byte items can claim billions of items
    in ten bytes. A recursive record can overflow the stack of fastavro's reader, which ends the process.
    """
    if isinstance(schema, list):
        for part in schema:
            _has_no_bytes(part, checked)
        return False
    if isinstance(schema, str):
        if schema not in checked:
            return schema == "null"
        found = checked[schema]
        if found is None:
            raise UnfitSchemaError("a recursive record")
        return found
    kind = schema["type"]
    if kind == "array":
        if _has_no_bytes(schema["items"], checked):
            raise UnfitSchemaError("a list of items that take no bytes")
        return False
    if kind == "map":
        _has_no_bytes(schema["values"], checked)
        return False
    if kind in ("record", "fixed", "enum"):
        checked[schema["name"]] = None
        if kind == "record" and all([_has_no_bytes(field["type"], checked) for field in schema["fields"]]):  # noqa: C419 -- every field must be checked
            raise UnfitSchemaError("a record that takes no bytes")
        if kind == "fixed" and schema["size"] == 0:
            raise UnfitSchemaError("a fixed type that takes no bytes")
        checked[schema["name"]] = False
        return False
    return _has_no_bytes(kind, checked)
