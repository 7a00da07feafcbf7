"""The compiler for Avro's binary encoding: it generates a Python reader and writer from a parsed schema.

Owns the byte format. The source text of both functions inlines all parts of a record, so that a field costs a few bytecodes
and no function call. Knows no topic, header, frame or registry, and no name of a record.

The reader is strict: it accepts only the bytes that the writer produces for the same record. Varints have their
shortest form and fit in 64 bits. Indexes of enums and unions are in range (fastavro reads -1 as the last one). Booleans
are 0 or 1. Text is UTF-8. An array is one block with a positive count, followed by 0. Doubles are finite. Instants lie
within the years 1 to 9999. No bytes follow the record. If the reader accepted other bytes, one event could have two
encodings.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from streams.contract.instants import EARLIEST, LATEST

Decode = Callable[[bytes, int], Any]
"""Takes the bytes and the position of the first one; returns the record.

Raises the errors below, or IndexError or struct.error if the bytes end too early.
"""

Encode = Callable[[Any, bytes], bytes]
"""Takes a record and the bytes of its frame; returns the whole value.

Raises ValueError if the schema does not allow a value in the record.
"""


class NotCanonicalError(ValueError):
    """The writer would not produce these bytes."""


class OutOfRangeError(ValueError):
    """A number is not finite or does not fit in 64 bits, or an instant is outside the years 1 to 9999."""


class LeftOverError(ValueError):
    """Bytes follow the end of the record."""


def compile_record(schema: Mapping[str, Any], kinds: Mapping[str, type[msgspec.Struct]]) -> tuple[Decode, Encode]:
    """Compile the reader and writer of a record *schema*, as parsed from JSON.

    *kinds* gives the record type for each record name. A record without a type is read as a plain tuple. Raises
    TypeError if schema and record type do not have the same fields in the same order, or if the schema uses a type
    that the contract does not allow (map, fixed, a union other than with null).
    """
    source = _Source(kinds)
    text = source.reader(schema) + "\n\n" + source.writer(schema)
    scope: dict[str, Any] = dict(source.constants)
    exec(compile(text, f"<avro {schema['name']}>", "exec"), scope)  # noqa: S102 -- the text is generated from our own schema
    return scope["decode"], scope["encode"]


# ---- functions that the generated code calls


def _bad(_: object = None) -> NoReturn:
    raise NotCanonicalError


def _more(d: bytes, n: int, p: int) -> tuple[int, int]:
    """Read the rest of a varint whose first byte *n* has its high bit set. Return the zigzag value and the next position."""
    n &= 127
    shift = 7
    while True:
        b = d[p]
        p += 1
        n |= (b & 127) << shift
        if b < 128:
            if not b or n >> 64:
                raise NotCanonicalError
            return n, p
        shift += 7
        if shift > 63:
            raise NotCanonicalError


def _size(d: bytes, n: int, p: int) -> tuple[int, int]:
    """Read a length or count whose first byte *n* is odd or above 127. Return twice its value and the next position."""
    if n > 127:
        n, p = _more(d, n, p)
    if n & 1:
        raise NotCanonicalError
    return n, p


def _instant(d: bytes, p: int) -> tuple[int, int]:
    # Fast path: an instant in the years 1978 to 2039 takes exactly six bytes.
    n = int.from_bytes(d[p : p + 6], "little")
    if n & 0x808080808080 == 0x8080808080 and n >> 40:
        p += 6
        n = n & 0x7F | n >> 1 & 0x3F80 | n >> 2 & 0x1FC000 | n >> 3 & 0xFE00000 | n >> 4 & 0x7F0000000 | n >> 5 & 0x3F800000000
        return (n >> 1) ^ -(n & 1), p
    n = d[p]
    p += 1
    if n > 127:
        n, p = _more(d, n, p)
    n = (n >> 1) ^ -(n & 1)
    if not EARLIEST <= n <= LATEST:
        raise OutOfRangeError
    return n, p


def _double(d: bytes, p: int) -> float:
    (found,) = _DOUBLE.unpack_from(d, p)
    if found - found != 0.0:
        raise OutOfRangeError
    return float(found)


_DOUBLE = struct.Struct("<d")


def _varint(n: int) -> bytes:
    """Encode *n*, which is already a zigzag value."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _write_long(n: int) -> bytes:
    if not -(1 << 63) <= n < 1 << 63:
        raise OutOfRangeError(f"{n} does not fit in 64 bits")
    return _varint((n << 1) ^ (n >> 63))


@lru_cache(8192)
def _write_instant(n: int) -> bytes:
    # Cached because the effects of one event share their instants, and many deadlines fall on the same midnight.
    if not EARLIEST <= n <= LATEST:
        raise OutOfRangeError(f"{n} ms is outside the years 1 to 9999")
    z = (n << 1) ^ (n >> 63)
    if not z >> 42 and z >> 35:  # Fast path for six bytes, as in `_instant`.
        z = z & 0x7F | (z & 0x3F80) << 1 | (z & 0x1FC000) << 2 | (z & 0xFE00000) << 3 | (z & 0x7F0000000) << 4 | (z & 0x3F800000000) << 5
        return (z | 0x8080808080).to_bytes(6, "little")
    return _varint(z)


def _write_double(n: float) -> bytes:
    if n - n != 0.0:
        raise OutOfRangeError("the number is not finite")
    return _DOUBLE.pack(n)


class _Lengths(dict[int, bytes]):
    """A cache of lengths as varints, each after the bytes *head*. Lengths below 512 are precomputed."""

    def __init__(self, head: bytes = b"") -> None:
        self.head = head
        super().__init__((n, head + _varint(n * 2)) for n in range(512))

    def __missing__(self, n: int) -> bytes:
        return self.head + _varint(n * 2)


class _Longs(dict[int, bytes]):
    """A cache of whole numbers as zigzag varints. Numbers from 0 to 127 (steps, versions, ranks) are precomputed."""

    def __init__(self) -> None:
        super().__init__((n, _write_long(n)) for n in range(128))

    def __missing__(self, n: int) -> bytes:
        return _write_long(n)


class _Symbols(dict[str, bytes]):
    """The index of each code of an enum as a varint, after the bytes *head*."""

    def __init__(self, name: str, codes: list[str], head: bytes = b"") -> None:
        self.name = name
        super().__init__((code, head + _varint(i * 2)) for i, code in enumerate(codes))

    def __missing__(self, code: str) -> bytes:
        raise ValueError(f"the value is not a code of {self.name}")


_CALLED: Mapping[str, object] = {
    "bad": _bad,
    "more": _more,
    "size": _size,
    "instant": _instant,
    "double": _double,
    "LeftOverError": LeftOverError,
    "L": _Lengths(),
    "J": _Lengths(b"\x02"),
    "N": _Longs(),
    "write_instant": _write_instant,
    "write_double": _write_double,
    "concat": b"".join,
}


# ---- code generation


class _Source:
    """Generates the source text of a reader and a writer. Every value gets its own variable."""

    def __init__(self, kinds: Mapping[str, type[msgspec.Struct]]) -> None:
        self.kinds = kinds
        self.constants: dict[str, object] = dict(_CALLED)
        self.named: dict[str, Mapping[str, Any]] = {}
        self.lines: list[str] = []
        self.count = 0

    def new_variable(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def emit(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def resolve(self, schema: Any) -> Mapping[str, Any]:
        """Return *schema* as a mapping. Replace a name by its definition."""
        if isinstance(schema, str):
            return self.named.get(schema) or {"type": schema}
        if isinstance(schema, list):
            if len(schema) != 2 or schema[0] != "null":
                raise TypeError("a union of the contract must be null and one other type, in this order")
            return {"type": "optional", "of": schema[1]}
        if "name" in schema:
            self.named[f"{schema['namespace']}.{schema['name']}"] = schema
        return schema  # type: ignore[no-any-return]

    def fields_of(self, record: Mapping[str, Any]) -> list[str]:
        """Return the attribute names of *record*'s fields, in order."""
        kind = self.kinds.get(record["name"])
        names = [field["name"] for field in record["fields"]]
        if kind is None:
            return names
        self.constants[record["name"]] = kind
        if [field.encode_name for field in msgspec.structs.fields(kind)] != names:
            raise TypeError(f"{record['name']}: the record type and its schema must have the same fields in the same order")
        return list(kind.__struct_fields__)

    # -- reading

    def reader(self, schema: Mapping[str, Any]) -> str:
        self.lines, self.named = [], {}
        self.emit(0, "def decode(d, p):")
        result = self.read(schema, 1)
        self.emit(1, "if p != len(d):", "    raise IndexError if p > len(d) else LeftOverError", f"return {result}")
        return "\n".join(self.lines)

    def read(self, schema: Any, depth: int) -> str:
        """Generate the lines that read one value at position p. Return the variable with the value."""
        schema = self.resolve(schema)
        kind, v = schema["type"], self.new_variable()
        if kind == "record":
            self.fields_of(schema)
            parts = ", ".join([self.read(field["type"], depth) for field in schema["fields"]])
            self.emit(depth, f"{v} = {schema['name']}({parts})" if schema["name"] in self.kinds else f"{v} = ({parts},)")
        elif kind in ("string", "bytes"):
            self.emit(depth, "n = d[p]", "p += 1", "if n & 129:", "    n, p = size(d, n, p)", "q = p + (n >> 1)")
            self.emit(depth, f"{v} = d[p:q]" + (".decode()" if kind == "string" else ""), "p = q")
        elif kind == "optional":
            self.emit(depth, "n = d[p]", "p += 1", "if n:", "    if n != 2:", "        bad()")
            inner = self.read(schema["of"], depth + 1)
            self.emit(depth, f"    {v} = {inner}", "else:", f"    {v} = None")
        elif kind == "array":
            items = self.new_variable()
            self.emit(depth, "n = d[p]", "p += 1", "if n:", "    if n & 129:", "        n, p = size(d, n, p)")
            self.emit(depth, f"    {items} = []", "    for _ in range(n >> 1):")
            item = self.read(schema["items"], depth + 2)
            self.emit(depth, f"        {items}.append({item})", "    if d[p]:", "        bad()", "    p += 1")
            self.emit(depth, f"    {v} = tuple({items})", "else:", f"    {v} = ()")
        elif kind == "enum":
            table = self.constant({i * 2: code for i, code in enumerate(schema.get("codes", schema["symbols"]))})
            if len(schema["symbols"]) > 64:
                raise TypeError("an enum of the contract has at most 64 symbols")
            self.emit(depth, f"{v} = {table}.get(d[p]) or bad()", "p += 1")
        elif kind == "boolean":
            self.emit(depth, "n = d[p]", "p += 1", "if n > 1:", "    bad()", f"{v} = n == 1")
        elif kind == "double":
            self.emit(depth, f"{v} = double(d, p)", "p += 8")
        elif kind == "long" and "logicalType" in schema:
            self.emit(depth, f"{v}, p = instant(d, p)")
        elif kind == "long":
            self.emit(depth, "n = d[p]", "p += 1", "if n > 127:", "    n, p = more(d, n, p)", f"{v} = (n >> 1) ^ -(n & 1)")
        else:
            raise TypeError(f"the contract does not allow the type {kind}")
        return v

    def constant(self, value: object) -> str:
        name = f"C{len(self.constants)}"
        self.constants[name] = value
        return name

    # -- writing

    def writer(self, schema: Mapping[str, Any]) -> str:
        self.lines, self.named = [], {}
        self.emit(0, "def encode(x, head):")
        parts = self.write(schema, "x", 1)
        self.emit(1, f"return concat((head, {', '.join(parts)}))")
        return "\n".join(self.lines)

    def write(self, schema: Any, x: str, depth: int) -> list[str]:
        """Generate the lines that prepare the value in variable *x*. Return the expressions of its bytes, in order."""
        schema = self.resolve(schema)
        kind = schema["type"]
        if kind == "record":
            return self.write_record(schema, x, depth)
        if kind == "string":
            self.emit(depth, f"{x} = {x}.encode()")
            return [f"L[len({x})]", x]
        if kind == "bytes":
            return [f"L[len({x})]", x]
        if kind == "boolean":
            return [f'(b"\\1" if {x} else b"\\0")']
        if kind == "enum":
            return [self.constant(_Symbols(schema["name"], schema.get("codes", schema["symbols"]))) + f"[{x}]"]
        if kind == "double":
            return [f"write_double({x})"]
        if kind == "long":
            return [f"write_instant({x})" if "logicalType" in schema else f"N[{x}]"]
        if kind == "optional":
            return [self.write_optional(schema["of"], x, depth)]
        v, item = self.new_variable(), self.new_variable()
        self.emit(depth, f"if {x}:", f"    {v} = [L[len({x})]]", f"    for {item} in {x}:")
        parts = self.write(schema["items"], item, depth + 2)
        self.emit(
            depth,
            f"        {v} += ({', '.join(parts)},)",
            f'    {v}.append(b"\\0")',
            f"    {v} = concat({v})",
            "else:",
            f'    {v} = b"\\0"',
        )
        return [v]

    def write_record(self, schema: Mapping[str, Any], x: str, depth: int) -> list[str]:
        attributes, fields = self.fields_of(schema), schema["fields"]
        variables = [self.new_variable() for _ in fields]
        if schema["name"] in self.kinds:
            self.emit(depth, *(f"{v} = {x}.{attribute}" for v, attribute in zip(variables, attributes, strict=True)))
        else:
            self.emit(depth, f"{', '.join(variables)}, = {x}")
        return [part for v, field in zip(variables, fields, strict=True) for part in self.write(field["type"], v, depth)]

    def write_optional(self, schema: Any, x: str, depth: int) -> str:
        v = self.new_variable()
        self.emit(depth, f"if {x} is None:", f'    {v} = b"\\0"', "else:")
        of = self.resolve(schema)
        if of["type"] in ("string", "bytes"):
            if of["type"] == "string":
                self.emit(depth + 1, f"{x} = {x}.encode()")
            self.emit(depth + 1, f"{v} = J[len({x})] + {x}")
        else:
            parts = self.write(schema, x, depth + 1)
            self.emit(depth + 1, f'{v} = concat((b"\\2", {", ".join(parts)}))')
        return v
