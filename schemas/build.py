"""Generate the Avro schemas: `python -m schemas.build`, or `python -m schemas.build --release` to release them too.

Owns the mapping from a record type to an .avsc file: types, names, defaults and descriptions. The .avsc files are the
contract; this script generates them. To add a field, add it with a default to `streams/contract/events.py` or
`streams/contract/effects.py`, describe it in `descriptions.yaml`, and run this script. Each file is self-contained, so
every file repeats the shared parts that it uses.

The number in a file name is the revision. A released file is never edited. A record that differs from its latest
release gets the next number, and `tests/schemas` checks that it is fully compatible with every earlier release.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from pathlib import Path

import msgspec
import yaml

from streams.contract.codes import CODES, CodeSet
from streams.contract.events import record_name
from streams.contract.topics import TOPICS

AVRO = Path(__file__).parent / "avro"
EVENTS, RELEASED = AVRO / "events", AVRO / "released"
NAMESPACE = "care.events"
RECORDS: tuple[type[msgspec.Struct], ...] = tuple(kind for topic in TOPICS for kind in topic.types)

INSTANT_UNIT = "milliseconds since 1970-01-01T00:00Z"
Schema = typing.Any
"""A parsed Avro schema: any JSON value."""

_SCALARS: dict[object, str] = {str: "string", bool: "boolean", int: "long", float: "double", bytes: "bytes"}
_DESCRIPTIONS: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "descriptions.yaml").read_text())


def schema_of(kind: type[msgspec.Struct]) -> Schema:
    """Return the schema of *kind* with all its parts. Raises KeyError with the name of a missing description."""
    return _record(kind, set())


def _record(kind: type[msgspec.Struct], defined: set[str]) -> Schema:
    name = record_name(kind)
    if name in defined:
        return f"{NAMESPACE}.{name}"
    defined.add(name)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = []
    for field in msgspec.structs.fields(kind):
        code_set = CODES.get((name, field.name))
        schema, unit = _type(hints[field.name], code_set, defined)
        entry = {"name": field.encode_name, "type": schema, "doc": _doc(name, field.encode_name, unit)}
        if not field.required:
            entry["default"] = [] if field.default == () else field.default
        fields.append(entry)
    description = _DESCRIPTIONS[name]["about"]
    return {"type": "record", "name": name, "namespace": NAMESPACE, "doc": description, "fields": fields}


def _doc(record: str, field: str, unit: str | None) -> str:
    description = _DESCRIPTIONS[record].get(field) or _DESCRIPTIONS["common"].get(field)
    if description is None:
        raise KeyError(f"schemas/descriptions.yaml has no description of {record}.{field}")
    if "Unit:" in description:
        return description
    if unit is None:
        raise KeyError(f"schemas/descriptions.yaml does not give the unit of {record}.{field}")
    return f"{description} Unit: {unit}."


def _type(hint: object, code_set: CodeSet | None, defined: set[str]) -> tuple[Schema, str | None]:
    """Return the schema of a field's type, and the unit if the type implies one."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        if any(isinstance(mark, msgspec.Meta) and (mark.extra or {}).get("unit") == "ms" for mark in args[1:]):
            return {"type": "long", "logicalType": "timestamp-millis"}, INSTANT_UNIT
        return _type(args[0], code_set, defined)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        schema, unit = _type(inner, code_set, defined)
        return ["null", schema], unit
    if origin is tuple and args[-1] is Ellipsis:
        schema, _ = _type(args[0], code_set, defined)
        return {"type": "array", "items": schema}, "list of records"
    if origin is tuple:
        return _header(defined), "record"
    if isinstance(hint, typing.NewType):
        return _type(hint.__supertype__, code_set, defined)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _record(hint, defined), "record"
    if code_set is not None:
        return _enum(code_set, defined), f"code of {code_set.system}"
    return _SCALARS[hint], "true or false" if hint is bool else None


def _enum(code_set: CodeSet, defined: set[str]) -> Schema:
    """Return the enum of *code_set*. A symbol cannot contain a hyphen, so `codes` gives the code of each symbol."""
    if code_set.name in defined:
        return f"{NAMESPACE}.{code_set.name}"
    defined.add(code_set.name)
    symbols = list(code_set.symbols)
    return {
        "type": "enum",
        "name": code_set.name,
        "namespace": NAMESPACE,
        "doc": f"Codes of {code_set.system}; `codes` says what each symbol stands for.",
        "symbols": symbols,
        "default": symbols[0],
        "codes": list(code_set.wire_codes),
    }


def _header(defined: set[str]) -> Schema:
    """Return the record of a Kafka header, the only pair type in the contract."""
    if "Header" in defined:
        return f"{NAMESPACE}.Header"
    defined.add("Header")
    descriptions = _DESCRIPTIONS["Header"]
    fields = [
        {"name": "name", "type": "string", "doc": descriptions["name"]},
        {"name": "value", "type": ["null", "bytes"], "doc": descriptions["value"], "default": None},
    ]
    return {"type": "record", "name": "Header", "namespace": NAMESPACE, "doc": descriptions["about"], "fields": fields}


def revision_of(path: Path) -> int:
    """Return the revision in the name of an .avsc file: 2 for `GoalUpdated.v2.avsc`."""
    return int(path.name.split(".")[1].removeprefix("v"))


def file_name(kind: type[msgspec.Struct], text: str) -> str:
    """Return the file name for the schema *text* of *kind*.

    The revision is that of the latest release if its content equals *text*, otherwise the next number.
    """
    released = sorted(RELEASED.glob(f"{kind.__name__}.v*.avsc"), key=revision_of)
    if not released:
        return f"{kind.__name__}.v1.avsc"
    latest = revision_of(released[-1])
    return f"{kind.__name__}.v{latest if released[-1].read_text() == text else latest + 1}.avsc"


def contract_files() -> dict[str, str]:
    """Return the content of each file of the current contract, by file name."""
    files = {}
    for kind in RECORDS:
        text = json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"
        files[file_name(kind, text)] = text
    return files


def main(arguments: list[str]) -> None:
    """Write the current contract. With --release, also write its files to the folder of released schemas."""
    files = contract_files()
    for stale in EVENTS.glob("*.avsc"):
        if stale.name not in files:
            stale.unlink()
    for folder in [EVENTS, RELEASED] if "--release" in arguments else [EVENTS]:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
