"""The JSON form of facts and effects: the object under `data` in an event line for `replay` and `play`.

Owns the conversion between a JSON value and a frozen record. An error names the path and says what to write instead.
Names and types come from the records in `streams.contract.events` and `streams.contract.effects`, so a field added
there needs no change here. Knows no file and no Avro. An error never quotes data, except timestamps and event types.

The form is easy to write by hand. An instant is ISO 8601 with an offset. A party or a practitioner can be given as the
practitioner's id. A role can be given as a party with that role. Another person can be given as {authority,
identifier}. Bytes are base64. Null means the same as leaving the field out.
"""

from __future__ import annotations

import base64
import binascii
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache

import msgspec

from streams.contract.codes import CODES, CodeSet
from streams.contract.events import (
    GoalUpdated,
    Member,
    Millis,
    Party,
    PersonKey,
    PersonRef,
    Practitioner,
    ReferralStatusChanged,
    record_name,
)
from streams.contract.instants import format_instant, parse_instant
from streams.contract.suggestions import did_you_mean
from streams.contract.topics import FACT_OF, RELAY

KeyOf = Callable[[str, str], PersonKey]
"""Returns the person key for an assigning authority and an identifier."""

EXAMPLE_INSTANT = "2026-07-02T15:00:00-04:00"
PUBLISHED: Mapping[str, type[msgspec.Struct]] = {name: kind for name, kind in FACT_OF.items() if kind not in RELAY.types}
"""The facts that a file may contain, by name: all except those that shards send to each other."""

T = typing.TypeVar("T", bound=msgspec.Struct)
_Read = Callable[[object, str, KeyOf | None], object]
_Write = Callable[[typing.Any], object]
_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1


class FormError(ValueError):
    """A value does not match its type. `path` is its position (`data.encounter.visit`), `detail` the problem and the remedy."""

    def __init__(self, path: str, detail: str) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{path}: {detail}")


def fact_from_json(type_name: str, data: object, key_of: KeyOf | None = None) -> msgspec.Struct:
    """Read *data*, a parsed JSON object, as the fact named *type_name*.

    *key_of* makes the key of a person given as {authority, identifier}. Raises FormError. Its path starts with `data`,
    or is `type` if there is no published fact of that name.
    """
    kind = PUBLISHED.get(type_name)
    if kind is None:
        raise FormError("type", f"{_shown(type_name)} is not an event{did_you_mean(type_name, PUBLISHED)}")
    return record_from_json(kind, data, key_of)


def fact_to_json(fact: msgspec.Struct) -> dict[str, object]:
    """Return *fact* (or an effect) in JSON form, without fields that have their default value.

    `fact_from_json` converts the result of a fact back to an equal fact.
    """
    return typing.cast("dict[str, object]", _writer(type(fact))(fact))


def record_from_json(kind: type[T], data: object, key_of: KeyOf | None = None, path: str = "data") -> T:
    """Read *data* as a record of *kind*, a fact, a part or an effect. Raises FormError."""
    return typing.cast("T", _reader(kind)(data, path, key_of))


# ---- reading


@cache
def _reader(kind: type[msgspec.Struct]) -> _Read:
    """Return the reader of a record type. It reads each field by its JSON name with the field's own reader."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = tuple(
        (f.encode_name, f.name, f.required, type(None) in typing.get_args(hints[f.name]), _field_reader(kind, f.name, hints[f.name]))
        for f in msgspec.structs.fields(kind)
    )
    names = frozenset(field[0] for field in fields)

    def read(value: object, path: str, key_of: KeyOf | None) -> object:
        if not isinstance(value, dict):
            raise FormError(path, f"must be an object, not {_json_type(value)}")
        if not names.issuperset(value):
            unknown = next(name for name in value if name not in names)
            raise FormError(f"{path}.{_plain(unknown)}", f"is not a field of {record_name(kind)}{did_you_mean(str(unknown), names)}")
        found: dict[str, object] = {}
        for outer, inner, required, nullable, read_field in fields:
            given = value.get(outer)
            if given is not None:
                found[inner] = read_field(given, f"{path}.{outer}", key_of)
            elif required and not nullable:
                raise FormError(f"{path}.{outer}", "missing")
            elif required:
                found[inner] = None
        return kind(**found)

    special = _SHORT_FORMS.get(kind)
    return read if special is None else special(read)


def _field_reader(kind: type[msgspec.Struct], name: str, hint: object) -> _Read:
    code_set = CODES.get((record_name(kind), name))
    read = _reader_of(hint) if code_set is None else _code_reader(code_set)
    return _role(read) if (kind, name) in _ROLES else read


_ROLES: typing.Final = frozenset({(GoalUpdated, "expressed_by"), (ReferralStatusChanged, "by")})
"""Fields whose value is a role. A whole party is also accepted, and its role is used."""


def _role(read: _Read) -> _Read:
    def read_either(value: object, path: str, key_of: KeyOf | None) -> object:
        if isinstance(value, dict):
            return read(_reader(Party)(value, path, key_of).role, path, key_of)  # type: ignore[attr-defined]
        return read(value, path, key_of)

    return read_either


def _code_reader(code_set: CodeSet) -> _Read:
    """Return the reader of a code from *code_set*. Other codes are refused here because Avro cannot encode them."""

    def read(value: object, path: str, _: KeyOf | None) -> str:
        if not isinstance(value, str):
            raise FormError(path, f"must be text, not {_json_type(value)}")
        if value not in code_set.codes:
            raise FormError(path, f"is not a code of {code_set.name}; the codes are {' '.join(code_set.codes)}")
        return value

    return read


def _reader_of(hint: object) -> _Read:
    """Return the reader of one field's type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        if any(isinstance(mark, msgspec.Meta) and (mark.extra or {}).get("unit") == "ms" for mark in args[1:]):
            return _read_instant
        return _reader_of(args[0])
    if origin in (typing.Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))  # The contract has no other unions than Optional.
        read_inner = _reader_of(inner)
        return lambda value, path, key_of: None if value is None else read_inner(value, path, key_of)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return _list_reader(_reader_of(args[0]))
        return _pair_reader(tuple(map(_reader_of, args)))
    if isinstance(hint, typing.NewType):
        return _reader_of(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _reader(hint)
    return _SCALARS[hint]  # type: ignore[index]


def _list_reader(read_item: _Read) -> _Read:
    def read(value: object, path: str, key_of: KeyOf | None) -> object:
        if not isinstance(value, list):
            raise FormError(path, f"must be a list, not {_json_type(value)}")
        return tuple(read_item(item, f"{path}[{i}]", key_of) for i, item in enumerate(value))

    return read


def _pair_reader(readers: tuple[_Read, ...]) -> _Read:
    def read(value: object, path: str, key_of: KeyOf | None) -> object:
        if not isinstance(value, list) or len(value) != len(readers):
            raise FormError(path, f"must be a list of {len(readers)}")
        return tuple(reader(item, f"{path}[{i}]", key_of) for i, (reader, item) in enumerate(zip(readers, value, strict=True)))

    return read


def _read_text(value: object, path: str, _: KeyOf | None) -> str:
    if not isinstance(value, str):
        raise FormError(path, f"must be text, not {_json_type(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FormError(path, "contains half of a surrogate pair, which is not valid text") from None
    return value


def _read_bool(value: object, path: str, _: KeyOf | None) -> bool:
    if value is True or value is False:
        return value
    raise FormError(path, f"must be true or false, not {_json_type(value)}")


def _read_int(value: object, path: str, _: KeyOf | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormError(path, f"must be a whole number, not {_json_type(value)}")
    if not _LONG_MIN <= value <= _LONG_MAX:
        raise FormError(path, "must fit in 64 bits")
    return value


def _read_float(value: object, path: str, _: KeyOf | None) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise FormError(path, f"must be a number, not {_json_type(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise FormError(path, "must be a finite number")
    return found


def _read_bytes(value: object, path: str, _: KeyOf | None) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise FormError(path, "must be base64")


def _read_instant(value: object, path: str, _: KeyOf | None) -> Millis:
    if not isinstance(value, str):
        raise FormError(path, f"must be a timestamp as text, not {_json_type(value)}; for example {EXAMPLE_INSTANT}")
    try:
        return parse_instant(value)
    except ValueError:
        raise FormError(path, f"{_shown(value)} is not an ISO 8601 timestamp with an offset; write for example {EXAMPLE_INSTANT}") from None


def _practitioner(read: _Read) -> _Read:
    def read_either(value: object, path: str, key_of: KeyOf | None) -> object:
        if isinstance(value, str):
            return Practitioner(id=_read_text(value, path, key_of))
        return read(value, path, key_of)

    return read_either


def _party(read: _Read) -> _Read:
    def read_either(value: object, path: str, key_of: KeyOf | None) -> object:
        if isinstance(value, str):
            return Party(role="", practitioner=Practitioner(id=_read_text(value, path, key_of)))
        if (
            isinstance(value, dict)
            and value.get("role") is None
            and any(value.get(k) for k in ("practitioner", "organization", "caregiver"))
        ):
            value = value | {"role": ""}
        return read(value, path, key_of)

    return read_either


def _member(read: _Read) -> _Read:
    def read_either(value: object, path: str, key_of: KeyOf | None) -> object:
        member = typing.cast("Member", read(value, path, key_of))
        if not member.party.role:  # A party without a role gets the role of the member.
            return msgspec.structs.replace(member, party=msgspec.structs.replace(member.party, role=member.role))
        return member

    return read_either


def _person(read: _Read) -> _Read:
    def read_either(value: object, path: str, key_of: KeyOf | None) -> object:
        if key_of is None or not isinstance(value, dict) or "key" in value:
            return read(value, path, key_of)
        for name in value:
            if name not in ("authority", "identifier"):
                raise FormError(
                    f"{path}.{_plain(name)}", f"is not a field of a person{did_you_mean(str(name), ('authority', 'identifier'))}"
                )
        given = {}
        for name in ("authority", "identifier"):
            if value.get(name) is None:
                raise FormError(f"{path}.{name}", "missing")
            given[name] = _read_text(value[name], f"{path}.{name}", key_of)
        try:
            return PersonRef(key=key_of(given["authority"], given["identifier"]))
        except ValueError as error:
            raise FormError(path, str(error)) from None

    return read_either


_SHORT_FORMS: Mapping[type[msgspec.Struct], Callable[[_Read], _Read]] = {
    Practitioner: _practitioner,
    Party: _party,
    Member: _member,
    PersonRef: _person,
}
_SCALARS: Mapping[type, _Read] = {str: _read_text, bool: _read_bool, int: _read_int, float: _read_float, bytes: _read_bytes}


def _json_type(value: object) -> str:
    """Return the JSON type of *value* in words, without quoting the value."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "null"


def _plain(name: object) -> str:
    return ascii(name)[1:-1][:40]


def _shown(text: object) -> str:
    return ascii(text if len(str(text)) <= 40 else str(text)[:40] + "...")


# ---- writing


@cache
def _writer(kind: type[msgspec.Struct]) -> _Write:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = tuple((f.encode_name, f.name, f.default, _writer_of(hints[f.name])) for f in msgspec.structs.fields(kind))

    def write(record: msgspec.Struct) -> object:
        written: dict[str, object] = {}
        for outer, inner, default, write_field in fields:
            value = getattr(record, inner)
            if value != default:
                written[outer] = write_field(value)
        return written

    return write


def _writer_of(hint: object) -> _Write:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        if any(isinstance(mark, msgspec.Meta) and (mark.extra or {}).get("unit") == "ms" for mark in args[1:]):
            return format_instant
        return _writer_of(args[0])
    if origin in (typing.Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        write_inner = _writer_of(inner)
        return lambda value: None if value is None else write_inner(value)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            write_item = _writer_of(args[0])
            return lambda value: [write_item(item) for item in value]
        writers = tuple(map(_writer_of, args))
        return lambda value: [writer(item) for writer, item in zip(writers, value, strict=True)]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _writer(hint)
    if hint is bytes:
        return lambda value: base64.b64encode(value).decode()
    return lambda value: value
