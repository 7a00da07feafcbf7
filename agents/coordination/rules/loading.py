"""Loads catalogue, overlays, routing table, directory and value sets from files into a checked `World`.

Owns reading, and the error texts (file, rule, field, remedy). Must not decide anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from agents.coordination.reference.directory import Directory, DirectoryFile
from agents.coordination.reference.reference_data import DEFAULTS, CareSettings
from agents.coordination.reference.valuesets import ValueSets, load_valuesets
from agents.coordination.rules.catalogue import Catalogue, RuleError
from agents.coordination.rules.rule import Overlay, Routing, Rule
from agents.coordination.rules.world import World
from streams.base.yaml_files import RepeatedKeyError, mismatch, read_yaml

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
    """Read the rules of *folder* (`*.yaml`), its overlays (`overlays/*.yaml`) and its routing table.

    If there are overlays but no rules, the overlays change the built-in rules.

    Raises:
        CatalogueError: Something is wrong. The text has one line for each file: the first mistake in it.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: no such folder; name the folder that contains the rule files")
    mistakes: list[str] = [f"{_shown(path, folder)}: is not read; rename it to {path.stem}.yaml" for path in _misnamed(folder)]
    overlays = _read_all(sorted((folder / "overlays").glob("*.yaml")), Overlay, mistakes)
    paths = _rules_in(folder) or (_rules_in(RULES) if overlays or mistakes else [])
    if not paths:
        raise CatalogueError(f"{folder}: no rule in this folder; write each rule to a file NAME.yaml")
    rules = _read_all(paths, Rule, mistakes)
    routing_at = folder / ROUTING if (folder / ROUTING).exists() else RULES / ROUTING
    routing = _read(routing_at, Routing)
    groups = (valuesets or load_value_sets(folder)).groups
    mistakes += _duplicates(rules)
    if not mistakes:
        try:
            return Catalogue(rules.values(), routing.notices, overlays.values(), routing.quiet, routing.codes, groups=groups)
        except RuleError:
            pass  # The catalogue stops at the first mistake. Check each part on its own to report all of them.
    good: dict[tuple[str, int], Rule] = {}
    for name, rule in rules.items():
        if mistake := _mistake_in([rule], Routing(()), [], routing.codes, groups):
            mistakes.append(f"{name}: {mistake}")
        else:
            good.setdefault((rule.id, rule.version), rule)
    # An overlay of a rule with a mistake cannot be checked.
    broken = {rule.id for rule in rules.values()} - {id_ for id_, _ in good}
    for name, overlay in overlays.items():
        usable = msgspec.structs.replace(overlay, rules={id_: change for id_, change in overlay.rules.items() if id_ not in broken})
        if mistake := _mistake_in(good.values(), Routing(()), [usable], routing.codes, groups):
            mistakes.append(f"{name}: {mistake}")
    if mistake := _mistake_in([], routing, [], routing.codes, groups):
        mistakes.append(f"{ROUTING}: {mistake}")
    raise CatalogueError("\n".join(mistakes))


def files_of(folder: Path) -> dict[str, str]:
    """Return the file of each rule and overlay of a *folder* that loads: `rule TCM-1`, `overlay riverside` to the name."""
    rules = _read_all(_rules_in(folder), Rule, [])
    overlays = _read_all(sorted((folder / "overlays").glob("*.yaml")), Overlay, [])
    newest = sorted(rules.items(), key=lambda row: row[1].version)
    return {f"rule {rule.id}": name for name, rule in newest} | {f"overlay {overlay.id}": name for name, overlay in overlays.items()}


def _mistake_in(
    rules: Iterable[Rule], routing: Routing, overlays: Iterable[Overlay], codes: Iterable[str], groups: Collection[str]
) -> RuleError | None:
    try:
        Catalogue(rules, routing.notices, overlays, routing.quiet, codes, groups=groups)
    except RuleError as wrong:
        return wrong
    return None


def _duplicates(rules: Mapping[str, Rule]) -> Iterator[str]:
    """Yield a line for each file whose rule has the id and version of another file's. A file with the name of its rule is right."""
    first: dict[tuple[str, int], str] = {}
    for name in sorted(rules, key=lambda name: (Path(name).stem != rules[name].id, name)):
        rule = rules[name]
        other = first.setdefault((rule.id, rule.version), name)
        if other != name:
            yield f"{name}: id {rule.id} version {rule.version} is also in {other}: choose another id, or raise the version"


def _misnamed(folder: Path) -> list[Path]:
    """Return the files that look like rules, overlays or value sets but are not read."""
    return [path for part in (folder, folder / "overlays", folder / "valuesets") for path in sorted(part.glob("*.yml"))]


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _read_all(paths: Iterable[Path], kind: type[T], mistakes: list[str]) -> dict[str, T]:
    """Read *paths* by name. A file that cannot be read is left out, and its mistake is appended to *mistakes*."""
    found: dict[str, T] = {}
    for path in paths:
        try:
            found[_name_of(path, kind)] = _read(path, kind)
        except CatalogueError as wrong:
            mistakes.append(str(wrong))
    return found


def _name_of(path: Path, kind: type[msgspec.Struct]) -> str:
    return f"overlays/{path.name}" if kind is Overlay else path.name


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
    name = _name_of(path, kind)
    try:
        written: Any = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise CatalogueError(f"{name}: no such file") from missing
    except RepeatedKeyError as wrong:
        raise CatalogueError(f"{name}: {wrong}") from wrong
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise CatalogueError(f"{name}: is not YAML: {' '.join(str(wrong).split())}") from wrong
    try:
        return msgspec.convert(written, kind)
    except msgspec.ValidationError as wrong:
        where, detail = mismatch(kind, wrong, written)
        written = written if isinstance(written, dict) else {}
        who = f"rule {written['id']}: " if kind is Rule and written.get("id") else ""
        if kind is Overlay:
            who = f"overlay {written.get('id', '?')}: "
            if in_rule := _RULE_OF_OVERLAY.match(where):
                who, where = f"{who}rule {in_rule['id']}: ", in_rule["where"]
        raise CatalogueError(f"{name}: {who}{where or 'the file'}: {detail}") from wrong


_RULE_OF_OVERLAY: Final = re.compile(r"rules\.(?P<id>[^.]+)\.?(?P<where>.*)")
