"""What a deployment decides about its doors.

Owns the settings that turn a sender's conventions into keys, codes and zones. Reads no environment and no file: the
composition root makes one and hands it in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ANY = "*"


@dataclass(frozen=True, slots=True)
class IdentifierPreference:
    """One line of the list by which an identifier is chosen from PID-3.

    `type` is the code of table 0203 in PID-3.5, `authority` the assigning authority in PID-3.4; both are patterns of
    shell style (`NN???`), compared without case. An empty `type` fits an identifier that names none.
    """

    type: str = ANY
    authority: str = ANY


DEFAULT_IDENTIFIERS: tuple[IdentifierPreference, ...] = (
    # One person, one key, at every hospital: what the enterprise or the nation assigned comes first.
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
    # Then the hospital's own record number.
    IdentifierPreference(type="MR"),
    IdentifierPreference(type="MRN"),
    IdentifierPreference(type="PI"),
    IdentifierPreference(type="PT"),
    IdentifierPreference(type=""),
    IdentifierPreference(type=ANY),
)
"""Enterprise and national identifiers, then the hospital's own, then any other that is not in NEVER_CHOSEN."""

NEVER_CHOSEN: tuple[IdentifierPreference, ...] = (
    # Social security numbers are neither unique nor ours to key by; account, visit and card numbers name no person.
    *(
        IdentifierPreference(type=t)
        for t in ("SS", "SSN", "AN", "ANON", "ANC", "ANT", "VN", "AM", "BA", "BC", "BR", "DI", "DS", "AX", "VS", "MS")
    ),
    *(IdentifierPreference(authority=a) for a in ("USSSA", "USSSN", "SSA", "SSN")),
)
"""Identifiers that are taken only where a deployment's own list names their type or authority exactly."""

PLACEHOLDERS = frozenset({"UNKNOWN", "UNK", "NONE", "NULL", "N/A", "NA", "TBD", "TEMP", "TEST", "?", "-", ".", "X", "NEW"})
"""What is typed where there is no identifier. Keying by one would join strangers, as a row of one digit would."""


def _no_zone(_: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """The settings of the doors.

    `zone_of` gives the IANA zone of a facility, None where it is not known: then the offset of MSH-7 counts for the
    message's other times, else `default_zone`. `facilities` renames a facility, by `MSH-4|PV1-3.4` or `MSH-4`;
    `authorities` an assigning authority, by `MSH-4|authority` or `authority`. `classes` and `dispositions` add to or
    override the tables for PV1-2 and PV1-36; `levels` gives the level of care (icu, acute, step-down) of a unit, PV1-3.1, or of
    a hospital service, PV1-10.
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
    """What the list of preferences said of a type and authority before: it is asked for each message."""
