"""The settings of the intake.

Owns the settings that map a sender's conventions to keys, codes and time zones. Reads no environment and no file; the
entry point creates the settings and passes them in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ANY = "*"


@dataclass(frozen=True, slots=True)
class IdentifierPreference:
    """One entry of the preference list that selects an identifier from PID-3.

    `type` is a code of table 0203 (PID-3.5); `authority` is the assigning authority (PID-3.4). Both are shell-style
    patterns (`NN???`) and ignore case. An empty `type` matches an identifier without a type.
    """

    type: str = ANY
    authority: str = ANY


DEFAULT_IDENTIFIERS: tuple[IdentifierPreference, ...] = (
    # Enterprise and national identifiers come first, because they give a person the same key at every hospital.
    IdentifierPreference(type="EMPI"),
    IdentifierPreference(type="MPI"),
    IdentifierPreference(type="EPI"),
    IdentifierPreference(type="PI", authority="*EMPI*"),
    IdentifierPreference(type="PI", authority="*MPI*"),
    IdentifierPreference(type="PI", authority="*ENTERPRISE*"),
    IdentifierPreference(type="NI"),
    IdentifierPreference(type="NH"),
    IdentifierPreference(type="NN???"),
    IdentifierPreference(type="NHSNMBR"),
    IdentifierPreference(authority="NHS"),
    IdentifierPreference(authority="NHSNBR"),
    IdentifierPreference(type="JHN"),
    # The hospital's own record number comes next.
    IdentifierPreference(type="MR"),
    IdentifierPreference(type="MRN"),
    IdentifierPreference(type="PI"),
    IdentifierPreference(type="PT"),
    IdentifierPreference(type=""),
    IdentifierPreference(type=ANY),
)
"""Enterprise and national identifiers, then the hospital's own, then any other that NEVER_CHOSEN does not exclude."""

NEVER_CHOSEN: tuple[IdentifierPreference, ...] = (
    # Social security numbers are not unique and must not be used as keys. Account, visit and card numbers do not
    # identify a person.
    *(
        IdentifierPreference(type=t)
        for t in ("SS", "SSN", "AN", "ANON", "ANC", "ANT", "VN", "AM", "BA", "BC", "BR", "DI", "DS", "AX", "VS", "MS")
    ),
    *(IdentifierPreference(authority=a) for a in ("USSSA", "USSSN", "SSA", "SSN")),
)
"""Identifiers that are used only if the deployment's own preference list names their exact type or authority."""

PLACEHOLDERS = frozenset({"UNKNOWN", "UNK", "NONE", "NULL", "N/A", "NA", "TBD", "TEMP", "TEST", "?", "-", ".", "X", "NEW"})
"""Values that senders enter if there is no identifier. As a key, such a value would join the records of strangers."""


def _no_zone(_: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """The settings of the intake.

    `secret` derives the person keys. `identifiers` and `never` are the preference list and its exclusions.

    `zone_of` returns the IANA time zone of a facility. If it returns None, times without an offset use the offset of
    MSH-7, or `default_zone` if MSH-7 has none. `default_facility` is the facility of messages that name none.

    `facilities` renames a facility, by `MSH-4|PV1-3.4` or `MSH-4`. `authorities` renames an assigning authority, by
    `MSH-4|authority` or `authority`. `classes` and `dispositions` extend or override the tables for PV1-2 and PV1-36.
    `levels` gives the level of care (icu, acute, step-down) of a unit (PV1-3.1) or a hospital service (PV1-10).
    """

    secret: bytes
    identifiers: tuple[IdentifierPreference, ...] = DEFAULT_IDENTIFIERS
    never: tuple[IdentifierPreference, ...] = NEVER_CHOSEN
    zone_of: Callable[[str], str | None] = _no_zone
    default_zone: str = "UTC"
    default_facility: str = ""
    facilities: Mapping[str, str] = field(default_factory=dict)
    authorities: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    dispositions: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    ranks: dict[tuple[str, str], int | None] = field(default_factory=dict, compare=False, repr=False)
    """A cache of the preference rank of each identifier type and authority, because every message needs it."""
