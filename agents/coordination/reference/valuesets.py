"""Value sets: the groups of conditions that an ICD-10 code belongs to.

Owns the reading of `catalogue/valuesets/*.yaml` and the matching of codes. Must not know rules, persons or scores. Codes of other code
systems, malformed codes, and codes that no prefix matches belong to no group.

A prefix is the start of an ICD-10 code, with or without dots; `?` stands for any one character. Within a group the longest
matching prefix decides between `prefixes` and `except`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from streams.base.yaml_files import mismatch, read_yaml

CATALOGUE_VALUESETS: Final = Path(__file__).parents[1] / "catalogue" / "valuesets"

_SYSTEMS: Final = frozenset(
    re.sub(r"[^a-z0-9]", "", name)
    for name in (
        *("icd-10", "icd-10-cm", "icd-10-who", "icd-10-nhs", "icd-10-am", "icd-10-ca", "icd-10-gm", "i10", "i10c"),
        *("http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10-nl"),
        *("urn:oid:2.16.840.1.113883.6.3", "2.16.840.1.113883.6.3", "urn:oid:2.16.840.1.113883.6.90", "2.16.840.1.113883.6.90"),
    )
)
"""Names of ICD-10 and its national editions in HL7 v2, in FHIR and as OID: letters and digits only, without ICD-10-PCS."""

_CODE: Final = re.compile(r"[A-Z][0-9][0-9A-Z]{1,5}")
_PREFIX: Final = re.compile(r"[A-Z][0-9?][0-9A-Z?]{0,5}")
_DAGGER_ASTERISK: Final = "*†+!"
"""Marks of aetiology and manifestation (WHO) that may follow a code."""


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"except_": "except"}):
    """A group of conditions. `weight` is its LACE weight, or 0 if it is not a LACE comorbidity."""

    name: str
    title: str
    prefixes: tuple[str, ...]
    except_: tuple[str, ...] = ()
    weight: int = 0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    groups: tuple[Group, ...]


class ValueSets:
    """All groups of a deployment, prepared for matching."""

    def __init__(self, groups: Iterable[tuple[Group, str]]) -> None:
        """Take checked *groups*, each with its source (`load_valuesets`)."""
        found = {group.name: (group, source) for group, source in groups}
        self.groups: Mapping[str, Group] = {name: group for name, (group, _) in found.items()}
        self.sources: Mapping[str, str] = {name: source for name, (_, source) in found.items()}
        # The first two characters select the patterns to try. A pattern with `?` as its digit is listed under each digit.
        self._patterns: dict[str, list[tuple[re.Pattern[str], int, str, bool]]] = {}
        for group, _ in found.values():
            for prefixes, counts in ((group.prefixes, True), (group.except_, False)):
                for prefix in prefixes:
                    bare = _bare(prefix)
                    pattern = re.compile(bare.replace("?", "[0-9A-Z]"))
                    for digit in "0123456789" if bare[1] == "?" else bare[1]:
                        self._patterns.setdefault(bare[0] + digit, []).append((pattern, len(bare), group.name, counts))
        # A few thousand codes make up nearly all diagnoses.
        self._match = lru_cache(maxsize=32_768)(self._match_bare)

    def groups_of(self, system: str, code: str) -> frozenset[str]:
        """Return the names of the groups that *code* of *system* belongs to; none if the system is not ICD-10."""
        return self._match(_bare(code).rstrip(_DAGGER_ASTERISK)) if is_icd10(system) else frozenset()

    def _match_bare(self, code: str) -> frozenset[str]:
        if not _CODE.fullmatch(code):
            return frozenset()
        longest: dict[str, tuple[int, bool]] = {}
        for pattern, length, name, counts in self._patterns.get(code[:2], ()):
            if length > longest.get(name, (0, False))[0] and pattern.match(code):
                longest[name] = (length, counts)
        return frozenset(name for name, (_, counts) in longest.items() if counts)


@lru_cache(maxsize=1_024)
def is_icd10(system: str) -> bool:
    """Return whether *system* names ICD-10 or a national edition of it, in any spelling. Procedures (PCS) do not count."""
    return re.sub(r"[^a-z0-9]", "", system.lower()) in _SYSTEMS


def lace_comorbidities(groups: Iterable[str]) -> frozenset[str]:
    """Return the LACE comorbidities among the names of *groups*, as `risk.LACE_WEIGHTS` names them."""
    return frozenset(name.removeprefix("lace/") for name in groups if name.startswith("lace/"))


def load_valuesets(folder: Path = CATALOGUE_VALUESETS) -> ValueSets:
    """Read all value sets of *folder*.

    Raises:
        ValueError: A file is wrong. The text names the file, the group and the field.
    """
    found: dict[str, tuple[Group, str]] = {}
    for path in sorted(folder.glob("*.yaml")):
        for group, source in _read(path):
            if group.name in found:
                raise ValueError(f"{path.name}: group {group.name}: defined twice")
            found[group.name] = (group, source)
    if not found:
        raise ValueError(f"{folder.name}: no value set in this folder")
    return ValueSets(found.values())


def _read(path: Path) -> list[tuple[Group, str]]:
    try:
        written: Any = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise ValueError(f"{path.name}: {wrong}") from wrong
    try:
        file = msgspec.convert(written, _File)
    except msgspec.ValidationError as wrong:
        raise ValueError(f"{path.name}: {': '.join(filter(None, mismatch(_File, wrong, written)))}") from wrong
    if not file.source.strip():
        raise ValueError(f"{path.name}: source: empty; name where the value set comes from")
    for group in file.groups:
        for name, prefixes in (("prefixes", group.prefixes), ("except", group.except_)):
            for prefix in prefixes:
                if not _PREFIX.fullmatch(_bare(prefix)):
                    raise ValueError(f"{path.name}: group {group.name}: {name}: {prefix!r} is not the start of an ICD-10 code")
        if not group.prefixes:
            raise ValueError(f"{path.name}: group {group.name}: prefixes: empty; add at least one prefix")
        if both := sorted(set(group.prefixes) & set(group.except_)):
            raise ValueError(f"{path.name}: group {group.name}: except: {both[0]} is also in prefixes")
    return [(group, file.source) for group in file.groups]


def _bare(code: str) -> str:
    return code.strip().upper().replace(".", "")
