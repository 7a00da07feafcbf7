"""Loads catalogue, overlays, routing table, directory and value sets from files into a checked `World`.

Owns reading, and the error texts (file, rule, field, remedy). Must not decide anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from agents.coordination.reference.directory import Directory, DirectoryFile
from agents.coordination.reference.reference_data import DEFAULTS, CareSettings
from agents.coordination.reference.valuesets import ValueSets, load_valuesets
from agents.coordination.rules.catalogue import Catalogue, RuleError
from agents.coordination.rules.rule import Overlay, Routing, Rule, RuleChange
from agents.coordination.rules.world import World
from streams.base.yaml_files import mismatch, read_yaml

HERE: Final = Path(__file__).parents[1]
RULES: Final = HERE / "catalogue"
DIRECTORY: Final = HERE / "reference" / "directory.yaml"
ROUTING: Final = "routing.yaml"

T = TypeVar("T", bound=msgspec.Struct)


class CatalogueError(ValueError):
    """A file of the catalogue, or a directory file, that cannot be used. Names the file, the rule, the field and the remedy."""


def load_world(rules: Path = RULES, directory: Path = DIRECTORY, settings: CareSettings = DEFAULTS, profile: str = "") -> World:
    """Read everything that decisions need. *profile* is passed to `Directory`. Raises CatalogueError.

    If *rules* has no rules, no `routing.yaml` or no `valuesets/`, the built-in ones are used. So it may contain overlays alone.
    """
    valuesets = load_value_sets(rules)
    return World(load_catalogue(rules, valuesets), load_directory(directory, profile), valuesets, settings)


def load_catalogue(folder: Path = RULES, valuesets: ValueSets | None = None) -> Catalogue:
    """Read the rules of *folder* (`*.yaml`), its overlays (`overlays/*.yaml`) and its routing table. Raises CatalogueError.

    If there are overlays but no rules, the overlays change the built-in rules.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: no such folder; name the folder that contains the rule files")
    overlay_files = {path.name: _read(path, Overlay) for path in sorted((folder / "overlays").glob("*.yaml"))}
    rule_files = {path.name: _read(path, Rule) for path in _rules_in(folder) or (_rules_in(RULES) if overlay_files else [])}
    if not rule_files:
        raise CatalogueError(f"{folder}: no rule in this folder; write each rule to a file NAME.yaml")
    routing_at = folder / ROUTING if (folder / ROUTING).exists() else RULES / ROUTING
    routing = _read(routing_at, Routing)
    groups = (valuesets or load_value_sets(folder)).groups
    try:
        return Catalogue(rule_files.values(), routing.notices, overlay_files.values(), routing.quiet, routing.codes, groups=groups)
    except RuleError as wrong:
        if wrong.overlay:
            name = next(f"overlays/{name}" for name, overlay in overlay_files.items() if overlay.id == wrong.overlay)
        elif any(notice.id == wrong.rule for notice in routing.notices):
            name = ROUTING
        else:
            name = next((name for name, rule in reversed(rule_files.items()) if rule.id == wrong.rule), folder.name)
        raise CatalogueError(f"{name}: {wrong}") from wrong


def _rules_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.yaml")) if path.name != ROUTING]


def load_directory(path: Path = DIRECTORY, profile: str = "") -> Directory:
    """Read the directory. Raises CatalogueError with the path in the file and the remedy."""
    file = _read(path, DirectoryFile)
    try:
        return Directory(file, profile)
    except ValueError as wrong:
        raise CatalogueError(f"{path.name}: {wrong}") from wrong


def load_value_sets(rules: Path = RULES) -> ValueSets:
    """Read the value sets of the folder *rules*, or the built-in ones if it has none. Raises CatalogueError."""
    folder = rules / "valuesets"
    try:
        return load_valuesets(folder if folder.is_dir() else RULES / "valuesets")
    except ValueError as wrong:
        raise CatalogueError(f"valuesets: {wrong}") from wrong


def _read(path: Path, kind: type[T]) -> T:
    try:
        written: Any = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise CatalogueError(f"{path.name}: no such file") from missing
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise CatalogueError(f"{path.name}: is not YAML: {' '.join(str(wrong).split())}") from wrong
    try:
        return msgspec.convert(written, kind)
    except msgspec.ValidationError as wrong:
        written = written if isinstance(written, dict) else {}
        who = f"rule {written['id']}: " if kind is Rule and written.get("id") else ""
        form: type[msgspec.Struct] = kind
        if kind is Overlay:
            who, wrong, form = _in_overlay(written, wrong)
        where, detail = mismatch(form, wrong)
        raise CatalogueError(f"{'overlays/' if kind is Overlay else ''}{path.name}: {who}{where or 'the file'}: {detail}") from wrong


def _in_overlay(written: dict[str, Any], wrong: msgspec.ValidationError) -> tuple[str, msgspec.ValidationError, type[msgspec.Struct]]:
    """Return where an error is (the overlay, and the rule if it is in one), the error, and the type of that part.

    msgspec does not name the key of a mapping, so each rule of the overlay is converted on its own to find the error.
    """
    who = f"overlay {written.get('id', '?')}: "
    rules = written.get("rules")
    for id_, change in rules.items() if isinstance(rules, dict) else ():
        try:
            msgspec.convert(change, RuleChange)
        except msgspec.ValidationError as here:
            return f"{who}rule {id_}: ", here, RuleChange
    return who, wrong, Overlay
