"""YAML as the catalogue, the directory and the simulation's model are written in it.

Owns the choice of the parser: libyaml's where PyYAML was built with it, which is eight times as fast at every start.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

_LOADER: Final[type] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """Return what *text* says, plain values only. Raises yaml.YAMLError, with the line, for what is no YAML."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 -- a safe loader, whichever it is
