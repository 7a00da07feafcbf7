"""Reading of YAML files: the rule catalogue, the directory and the model of the simulation.

Owns the choice of the parser: libyaml if PyYAML was built with it, because it is eight times as fast. Also owns the
error for a file that does not match its schema: the position, the problem, and what to write instead.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

import msgspec
import yaml

from streams.contract.suggestions import did_you_mean


class RepeatedKeyError(yaml.YAMLError):
    """A key that a mapping of the file has twice. YAML parsers would silently use the last one."""


# mypy cannot know a base that depends on how PyYAML was built.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if first := seen.get((key.tag, key.value)):
                    raise RepeatedKeyError(f"{key.value!r} is written twice, in line {first} and in line {line}: keep one of them")
                seen[key.tag, key.value] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def read_yaml(text: str) -> Any:
    """Parse *text* into plain values. Raises yaml.YAMLError, with the line number, if it is not YAML or has a key twice."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 -- both bases are safe


_MISSING_FIELD: Final = re.compile(r"^Object missing required field `(?P<name>.*)`$")
_UNKNOWN_FIELD: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$")
_UNKNOWN_VALUE: Final = re.compile(r"^Invalid enum value '(?P<name>.*)'$")
_WRONG_TYPE: Final = re.compile(r"^Expected `|^Invalid ")
_STEP: Final = re.compile(r"[^.\[\]]+|\[[^]]*\]")


def mismatch(kind: type[msgspec.Struct], wrong: msgspec.ValidationError, written: Any) -> tuple[str, str]:
    """Return the position at which the values *written* do not match *kind*, and what to write instead.

    The position is a path such as `closes[0].where.setting`, or empty for the whole file. For an unknown field or value, the
    problem includes the nearest known one. Other problems include an example, from `EXAMPLE` of the struct that is expected, or
    `example` in the `extra` of the type.
    """
    detail, _, at = str(wrong).partition(" - at `")
    of_key = at.startswith("key` in `")
    at = at.removeprefix("key` in `").rstrip("`").removeprefix("$").lstrip(".")
    where = _with_keys(kind, str(wrong), written, at)
    if missing := _MISSING_FIELD.match(detail):
        name = missing["name"]
        detail = f"{name} is missing; write {name}: {_example(_types_at(kind, f'{at}.{name}'))}"
    elif unknown := _UNKNOWN_FIELD.match(detail):
        names = _fields_at(kind, at)
        detail = f"no such field: {unknown['name']}; the fields are {', '.join(names)}{did_you_mean(unknown['name'], names)}"
    elif unknown := _UNKNOWN_VALUE.match(detail):
        names = _values_at(kind, at, of_key=of_key)
        detail = f"{unknown['name']!r} is not known; write one of {', '.join(names)}{did_you_mean(unknown['name'], names)}"
    elif written is None:
        needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
        detail = f"is empty; it needs the fields {', '.join(needed)}"
    elif _WRONG_TYPE.match(detail):
        detail = _instead(_types_at(kind, at), _value_at(written, where))
    return where, detail


def _instead(types: list[Any], value: Any) -> str:
    said = "is empty" if value is None else f"{value!r} cannot be used here" if isinstance(value, str | int | float) else ""
    form: Any = types[0] if types else None
    if hasattr(form, "item_type") and not isinstance(value, list):
        said = said or "is not a list"
        return f"{said}; write a list with a dash before each entry: - {_example([form.item_type])}"
    if isinstance(form, msgspec.inspect.BoolType):
        example = "true or false"
    elif isinstance(form, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        example = "a number, for example 2"
    else:
        example = _example(types)
    return f"{said or 'is not in a form that can be used here'}; write {example}"


def _with_keys(kind: type[msgspec.Struct], problem: str, written: Any, at: str) -> str:
    """Return the path *at* with the keys of mappings, which msgspec writes as `[...]`.

    The key is the one with which alone the mapping has the same problem.
    """
    where = ""
    for step in _STEP.findall(at):
        here = _value_at(written, where) if step == "[...]" else None
        if isinstance(here, dict):
            step = next((f".{key}" for key in here if _problem_of(kind, _replaced(written, where, {key: here[key]})) == problem), step)  # noqa: PLW2901
        where += step if step.startswith(("[", ".")) or not where else f".{step}"
    return where


def _problem_of(kind: type[msgspec.Struct], written: Any) -> str:
    try:
        msgspec.convert(written, kind)
    except msgspec.ValidationError as wrong:
        return str(wrong)
    return ""


def _value_at(written: Any, where: str) -> Any:
    for step in _STEP.findall(where):
        try:
            written = written[int(step[1:-1])] if step.startswith("[") else written[step]
        except (LookupError, TypeError, ValueError):
            return None
    return written


def _replaced(written: Any, where: str, value: Any) -> Any:
    """Return a copy of *written* with *value* at the path *where*."""
    steps = _STEP.findall(where)
    if not steps:
        return value
    step: Any = int(steps[0][1:-1]) if steps[0].startswith("[") else steps[0]
    copy = written.copy()
    copy[step] = _replaced(written[step], where[len(steps[0]) :].lstrip("."), value)
    return copy


def _example(types: list[Any]) -> str:
    """Return an example of the first of *types*, as one line of YAML."""
    form = next((one for one in types if not isinstance(one, msgspec.inspect.NoneType)), None)
    match form:
        case msgspec.inspect.Metadata(extra=dict(extra)) if "example" in extra:
            return str(extra["example"])
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            # A mapping without a required field is shown with its first one.
            shown = [field for field in fields if field.required] or fields[:1]
            needed = ", ".join(f"{field.encode_name}: {_example(_flat(field.type))}" for field in shown)
            return str(getattr(cls, "EXAMPLE", "") or f"{{{needed}}}")
        case msgspec.inspect.UnionType():
            return _example(_flat(form))
        case msgspec.inspect.LiteralType(values=values):
            return str(values[0])
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            return f"{{{_example(_flat(key))}: {_example(_flat(value))}}}"
        case msgspec.inspect.BoolType():
            return "true"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return "2"
        case msgspec.inspect.DateType():
            return date(2026, 7, 1).isoformat()
        case _ if form is not None and hasattr(form, "item_type"):
            return f"[{_example(_flat(form.item_type))}]"
    return "text"


def _types_at(kind: type[msgspec.Struct], where: str) -> list[Any]:
    """Return the types that *kind* allows at the path *where*."""
    types: list[Any] = [msgspec.inspect.type_info(kind)]
    for step in _STEP.findall(where):
        types = [inner for one in types for inner in _inside(one, step)]
    return [inner for one in types for inner in _flat(one)]


def _flat(form: Any) -> list[Any]:
    """Return the types of a union, or *form* alone. A union with an example of its own is one type."""
    return list(getattr(form, "types", (form,)))


def _fields_at(kind: type[msgspec.Struct], where: str) -> list[str]:
    """Return the field names that *kind* allows at the path *where*."""
    return [field.encode_name for one in _bare_types(kind, where) if isinstance(one, msgspec.inspect.StructType) for field in one.fields]


def _values_at(kind: type[msgspec.Struct], where: str, *, of_key: bool) -> list[str]:
    """Return the values that *kind* allows at the path *where*, or the keys if it is a mapping."""
    types = _bare_types(kind, where)
    if of_key:
        types = [one.key_type for one in types if isinstance(one, msgspec.inspect.DictType)]
    return [str(value) for one in types if isinstance(one, msgspec.inspect.LiteralType) for value in one.values]


def _bare_types(kind: type[msgspec.Struct], where: str) -> list[Any]:
    return [inner for one in _types_at(kind, where) for inner in _flat(_bare(one))]


def _bare(form: Any) -> Any:
    return form.type if isinstance(form, msgspec.inspect.Metadata) else form


def _inside(form: Any, step: str) -> list[Any]:
    form = _bare(form)
    if isinstance(form, msgspec.inspect.UnionType):
        return [inner for one in form.types for inner in _inside(one, step)]
    if isinstance(form, msgspec.inspect.StructType):
        return [field.type for field in form.fields if field.encode_name == step]
    if isinstance(form, msgspec.inspect.DictType):
        return [form.value_type] if step == "[...]" else []
    return [form.item_type] if step.startswith("[") and hasattr(form, "item_type") else []
