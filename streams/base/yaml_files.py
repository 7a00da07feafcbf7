"""Reading of YAML files: the rule catalogue, the directory and the model of the simulation.

Owns the choice of the parser: libyaml if PyYAML was built with it, because it is eight times as fast. Also owns the
error for a file that does not match its schema: the position, the problem, and the nearest known name.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from streams.contract.suggestions import did_you_mean

_LOADER: Final[type] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """Parse *text* into plain values. Raises yaml.YAMLError, with the line number, if *text* is not valid YAML."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 -- both loaders are safe


_UNKNOWN_FIELD: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$")
_UNKNOWN_VALUE: Final = re.compile(r"^Invalid enum value '(?P<name>.*)'$")


def mismatch(kind: type[msgspec.Struct], wrong: msgspec.ValidationError) -> tuple[str, str]:
    """Return the position at which a file does not match *kind*, and the problem.

    The position is a path such as `closes[0].where`, or empty for the whole file. For an unknown field or value, the
    problem includes the nearest known one.
    """
    detail, _, at = str(wrong).partition(" - at `$")
    where = at.rstrip("`").lstrip(".")
    if unknown := _UNKNOWN_FIELD.match(detail):
        names = _names_at(kind, where, fields=True)
        detail = f"no such field: {unknown['name']}; the fields are {', '.join(names)}{did_you_mean(unknown['name'], names)}"
    elif unknown := _UNKNOWN_VALUE.match(detail):
        names = _names_at(kind, where, fields=False)
        detail = f"{unknown['name']!r} is not known; write one of {', '.join(names)}{did_you_mean(unknown['name'], names)}"
    return where, detail


def _names_at(kind: type[msgspec.Struct], where: str, *, fields: bool) -> list[str]:
    """Return the field names, or the values, that *kind* allows at the path *where*."""
    types: list[Any] = [msgspec.inspect.type_info(kind)]
    for step in re.findall(r"\w+|\[[^]]*\]", where):
        types = [inner for one in types for inner in _inside(one, step)]
    flat = [inner for one in types for inner in getattr(one, "types", (one,))]
    if fields:
        return [field.encode_name for one in flat if isinstance(one, msgspec.inspect.StructType) for field in one.fields]
    return [str(value) for one in flat if isinstance(one, msgspec.inspect.LiteralType) for value in one.values]


def _inside(form: Any, step: str) -> list[Any]:
    if isinstance(form, msgspec.inspect.UnionType):
        return [inner for one in form.types for inner in _inside(one, step)]
    if isinstance(form, msgspec.inspect.StructType):
        return [field.type for field in form.fields if field.encode_name == step]
    if isinstance(form, msgspec.inspect.DictType):
        return [form.value_type] if step == "[...]" else []
    return [form.item_type] if step.startswith("[") and hasattr(form, "item_type") else []
