"""Write the Avro contract: `python -m schemas.build`, and `python -m schemas.build --release` to release it.

Owns how a record becomes an .avsc file: types, names, defaults, descriptions. The files are the contract, this only
keeps them alike: to add a field, add it (optional, with a default) to `streams/contract/events.py` or `streams/contract/effects.py`,
describe it in a line of `descriptions.yaml`, and run this. Each file stands alone, so shared parts are repeated in it.

The number in a file's name is its revision. A released file is never edited: a record that differs from its latest
release gets the next number, and `tests/schemas` holds it to full compatibility with every release before it.
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
"""A parsed Avro schema: what JSON can hold."""

_SCALARS: dict[object, str] = {str: "string", bool: "boolean", int: "long", float: "double", bytes: "bytes"}
_DESCRIPTIONS: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "descriptions.yaml").read_text())


def schema_of(kind: type[msgspec.Struct]) -> Schema:
    """Make the schema of *kind* with all its parts. Raises KeyError naming the description that is missing."""
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
    about = _DESCRIPTIONS[name]["about"]
    return {"type": "record", "name": name, "namespace": NAMESPACE, "doc": about, "fields": fields}


def _doc(record: str, field: str, unit: str | None) -> str:
    said = _DESCRIPTIONS[record].get(field) or _DESCRIPTIONS["common"].get(field)
    if said is None:
        raise KeyError(f"schemas/descriptions.yaml does not describe {record}.{field}")
    if "Unit:" in said:
        return said
    if unit is None:
        raise KeyError(f"schemas/descriptions.yaml does not say the unit of {record}.{field}")
    return f"{said} Unit: {unit}."


def _type(hint: object, code_set: CodeSet | None, defined: set[str]) -> tuple[Schema, str | None]:
    """Return the schema of a field's type and the unit that the type itself says."""
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
    """Make the enum of *code_set*; `codes` says what each symbol stands for, since a symbol can't hold a hyphen."""
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
    """Make the record of a Kafka header, the one pair of the contract."""
    if "Header" in defined:
        return f"{NAMESPACE}.Header"
    defined.add("Header")
    said = _DESCRIPTIONS["Header"]
    fields = [
        {"name": "name", "type": "string", "doc": said["name"]},
        {"name": "value", "type": ["null", "bytes"], "doc": said["value"], "default": None},
    ]
    return {"type": "record", "name": "Header", "namespace": NAMESPACE, "doc": said["about"], "fields": fields}


def revision_of(path: Path) -> int:
    """Return the number in the name of an .avsc file: 2 in `GoalUpdated.v2.avsc`."""
    return int(path.name.split(".")[1].removeprefix("v"))


def file_name(kind: type[msgspec.Struct], text: str) -> str:
    """Name the file of *kind* whose content is *text*: its latest release's number if that says the same, else the next."""
    released = sorted(RELEASED.glob(f"{kind.__name__}.v*.avsc"), key=revision_of)
    if not released:
        return f"{kind.__name__}.v1.avsc"
    latest = revision_of(released[-1])
    return f"{kind.__name__}.v{latest if released[-1].read_text() == text else latest + 1}.avsc"


def contract_files() -> dict[str, str]:
    """Return the files of the current contract, content by name."""
    files = {}
    for kind in RECORDS:
        text = json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"
        files[file_name(kind, text)] = text
    return files


def main(arguments: list[str]) -> None:
    """Write the current contract, and with --release also what is new of it among the releases."""
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
