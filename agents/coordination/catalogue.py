"""Loading at start: catalogue, overlays, routing table, directory and value sets, from files into a checked world.

An adapter: owns reading and the errors' words (file, rule, field, how to mend). Must not decide anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from agents.coordination.directory import Directory, DirectoryFile
from agents.coordination.rule import Overlay, Routing, Rule
from agents.coordination.ruleset import Catalogue, RuleError
from agents.coordination.valuesets import ValueSets, load_valuesets
from agents.coordination.world import DEFAULTS, CareSettings, World

HERE: Final = Path(__file__).parent
RULES: Final = HERE / "catalogue"
DIRECTORY: Final = HERE / "directory.yaml"
ROUTING: Final = "routing.yaml"

T = TypeVar("T", bound=msgspec.Struct)


class CatalogueError(ValueError):
    """A file of the catalogue or the directory that can't be used: says which file, which rule, which field, and what to write."""


def load_world(rules: Path = RULES, directory: Path = DIRECTORY, settings: CareSettings = DEFAULTS) -> World:
    """Read everything that decisions rest on. Raises CatalogueError.

    A folder of rules without `routing.yaml`, `valuesets/` or `overlays/` uses the product's own.
    """
    return World(load_catalogue(rules), load_directory(directory), _valuesets(rules), settings)


def load_catalogue(folder: Path = RULES) -> Catalogue:
    """Read every `*.yaml` of *folder* as a rule, `overlays/*.yaml` as overlays, `routing.yaml` as who is told. Raises CatalogueError."""
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: no such folder; name the folder that holds the rules' files")
    rules: list[Rule] = []
    file_of: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name == ROUTING:
            continue
        rule = _read(path, Rule)
        rules.append(rule)
        file_of[rule.id] = path.name
    if not rules:
        raise CatalogueError(f"{folder}: no rule in this folder (one file a rule, NAME.yaml)")
    overlays_at = folder / "overlays"
    overlays: list[Overlay] = []
    for path in sorted(overlays_at.glob("*.yaml")):
        overlay = _read(path, Overlay)
        overlays.append(overlay)
    routing_at = folder / ROUTING if (folder / ROUTING).exists() else RULES / ROUTING
    routing = _read(routing_at, Routing)
    try:
        return Catalogue(rules, routing.notices, overlays, routing.quiet, routing.codes)
    except RuleError as wrong:
        name = file_of.get(wrong.rule, ROUTING if any(n.id == wrong.rule for n in routing.notices) else folder.name)
        raise CatalogueError(f"{name}: {wrong}") from wrong


def load_directory(path: Path = DIRECTORY) -> Directory:
    """Read the directory. Raises CatalogueError with the path in the file and how to mend it."""
    file = _read(path, DirectoryFile)
    try:
        return Directory(file)
    except ValueError as wrong:
        raise CatalogueError(f"{path.name}: {wrong}") from wrong


def _valuesets(rules: Path) -> ValueSets:
    folder = rules / "valuesets"
    try:
        return load_valuesets(folder if folder.is_dir() else RULES / "valuesets")
    except ValueError as wrong:
        raise CatalogueError(f"valuesets: {wrong}") from wrong


def _read(path: Path, kind: type[T]) -> T:
    try:
        written: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise CatalogueError(f"{path.name}: no such file") from missing
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise CatalogueError(f"{path.name}: is not YAML: {' '.join(str(wrong).split())}") from wrong
    try:
        return msgspec.convert(written, kind)
    except msgspec.ValidationError as wrong:
        named = written.get("id") if isinstance(written, dict) else None
        who = f"rule {named}: " if named and kind is Rule else ""
        detail, _, where = str(wrong).partition(" - at `$")
        field = where.rstrip("`").lstrip(".") or "the file"
        raise CatalogueError(f"{path.name}: {who}{field}: {detail}") from wrong
