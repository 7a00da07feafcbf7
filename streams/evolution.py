"""Reading what was written with another version of a schema: an older release, or a newer one from the registry.

Owns the slow path: fastavro resolves writer to reader, and our own reader takes the result. As strict as the fast one:
the bytes must be those that the writer's schema makes of the value. Knows no frame and no registry.
"""

from __future__ import annotations

import io
from typing import Any

import fastavro

from streams.contract import Contract
from streams.wire import Decode, LeftOverError, NotCanonicalError


class UnfitSchemaError(ValueError):
    """A schema that can't be read as the contract's record."""


def resolving_reader(writer: Any, contract: Contract) -> Decode:
    """Make the reader of bytes written with the schema *writer* (parsed JSON) into *contract*'s record.

    Raises UnfitSchemaError when *writer* is no schema, is another record, or could be made to read for ever.
    """
    wanted = fastavro.parse_schema(_plain(contract.schema))
    try:
        written = fastavro.parse_schema(_plain(writer))
        name, endless = written["name"], _has_empty_items(written, {})
    except Exception as error:  # What fastavro raises for a broken schema is of no fixed kind.
        raise UnfitSchemaError("not a schema") from error
    if name != wanted["name"]:
        raise UnfitSchemaError(f"not {contract.subject}")
    if endless:
        raise UnfitSchemaError("an array of items that take no bytes")

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


def _has_empty_items(schema: Any, named: dict[str, Any]) -> bool:
    """Say whether an array in *schema* has items of no bytes: five bytes could then count to billions."""
    if isinstance(schema, list):
        return any(_has_empty_items(part, named) for part in schema)
    if not isinstance(schema, dict):
        return False
    if "name" in schema:
        named[schema["name"]] = schema
    if schema["type"] == "array":
        return _is_empty(schema["items"], named, frozenset()) or _has_empty_items(schema["items"], named)
    if schema["type"] == "map":
        return _has_empty_items(schema["values"], named)
    return any(_has_empty_items(field["type"], named) for field in schema.get("fields", ()))


def _is_empty(schema: Any, named: dict[str, Any], within: frozenset[str]) -> bool:
    if isinstance(schema, str):
        if schema in within or schema not in named:
            return schema == "null"
        return _is_empty(named[schema], named, within | {schema})
    if not isinstance(schema, dict):
        return False
    named |= {schema["name"]: schema} if "name" in schema else {}
    if schema["type"] == "record":
        return all(_is_empty(field["type"], named, within) for field in schema["fields"])
    return bool(schema["type"] == "null" or (schema["type"] == "fixed" and schema["size"] == 0))
