"""Person keys, facilities, sources and event ids, from HL7 fields.

Owns the choice of one identifier from the repetitions of PID-3. The same rules apply to both persons of a merge, so
that each gets the key of its earlier messages. The identifier is used only to derive the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote
from uuid import UUID, uuid5

from streams.contract.cloudevents import attribute_fits
from streams.contract.events import PersonKey
from streams.contract.person_key import person_key
from streams.intake.hl7.lexer import Message, Segment
from streams.intake.reading import Note, Refused
from streams.intake.settings import ANY, PLACEHOLDERS, IdentifierPreference, IntakeSettings

MESSAGES = UUID("6f0f1f1c-5d0e-5b55-9a3c-6a0b5f3a7d21")
"""The namespace of message ids (RFC 9562, version 5). It must never change, because all ids would change."""

_RANKS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Identifier:
    """One repetition of a CX field: the identifier, its type (table 0203) and its assigning authority."""

    identifier: str
    type: str
    authority: str


def message_id(application: str, facility: str, control_id: str, digest: bytes) -> str:
    """Return the id of a message, derived from MSH-3, MSH-4, MSH-10 and the SHA-256 of its content."""
    return str(uuid5(MESSAGES, f"{application}\x1f{facility}\x1f{control_id}\x1f{digest.hex()}"))


def item_id(first: str, number: int) -> str:
    """Return the id of item *number* (from 2) in the message whose first item has the id *first*."""
    return str(uuid5(UUID(first), str(number)))


@lru_cache(maxsize=1024)
def source_of(facility: str, application: str) -> str:
    """Return the source of a sender's messages: `urn:hl7:<MSH-4>:<MSH-3>`, percent-encoded.

    If that is too long for a record's header, the source contains a hash of it instead.
    """
    source = f"urn:hl7:{quote(facility, safe='')}:{quote(application, safe='')}"
    return source if attribute_fits(source) else f"urn:hl7:sha256:{sha256(source.encode()).hexdigest()}"


def facility_of(message: Message, settings: IntakeSettings, notes: list[Note]) -> str | None:
    """Return the facility of a message, or None if neither the message nor the settings name one.

    It is MSH-4.1 and not PV1-3.4, because an encounter keeps its facility while the person moves between sites, and
    because cancellations, merges and appointments often have no PV1-3. If one MSH-4 covers several hospitals, the
    settings can distinguish them by `MSH-4|PV1-3.4`.
    """
    header = message.header
    sender = header.get(4) or header.get(4, 2)
    visit = message.first("PV1")
    site = visit.get(3, 4) if visit is not None and (settings.facilities or not sender) else ""
    if not sender:
        sender = site or settings.default_facility
        if not sender:
            return None
        notes.append(Note("facility-assumed", "MSH", "MSH-4"))
    facilities = settings.facilities
    if not facilities:
        return sender
    return facilities.get(f"{sender}|{site}") or facilities.get(sender) or sender


def person_of(segment: Segment, facility: str, settings: IntakeSettings, notes: list[Note]) -> tuple[PersonKey, Identifier] | Refused:
    """Return the key of the person in a PID segment, and the identifier from which it is derived.

    The identifier comes from PID-3. PID-2 and then PID-4 (external and alternate ids, used by old senders) are used only
    if PID-3 has no usable identifier.
    """
    for number in (3, 2, 4):
        chosen = choose(_identifiers(segment, number, facility, settings), facility, settings)
        if chosen is not None:
            if number != 3:
                notes.append(Note("identifier-fallback", "PID", f"PID-{number}"))
            return person_key(settings.secret, chosen.authority, chosen.identifier), chosen
    return Refused("identifier-missing", "PID", "PID-3", "", "")


def merged_person_of(
    segment: Segment, survivor: Identifier, facility: str, settings: IntakeSettings, notes: list[Note]
) -> PersonKey | Refused:
    """Return the key of the person in an MRG segment, who is merged into the survivor.

    Prefer an identifier with the survivor's authority and type, because the merge happened in that authority's index.
    Otherwise the preference list decides, as for the survivor. An identifier without an authority gets the survivor's.
    """
    found = _identifiers(segment, 1, "", settings) or _identifiers(segment, 4, "", settings)
    of_authority = [one for one in found if one.authority == survivor.authority and _may_be_chosen(one, settings)]
    chosen = next((one for one in of_authority if one.type == survivor.type), None) or (of_authority[0] if of_authority else None)
    if chosen is None:
        chosen = choose(found, facility, settings)
    if chosen is None:
        return Refused("identifier-missing", "MRG", "MRG-1", "", "")
    if not chosen.authority:
        notes.append(Note("merge-authority-assumed", "MRG", "MRG-1"))
    return person_key(settings.secret, chosen.authority or survivor.authority, chosen.identifier)


def choose(identifiers: list[Identifier], facility: str, settings: IntakeSettings) -> Identifier | None:
    """Return the identifier with the best rank in the preference list, or None if none is usable.

    Among equal ranks, prefer one that the sender's facility assigned, then the first in the message.
    """
    best: tuple[tuple[int, int, int], Identifier] | None = None
    for position, one in enumerate(identifiers):
        rank = _rank(one, settings)
        if rank is None:
            continue
        order = (rank, 0 if one.authority == facility else 1, position)
        if best is None or order < best[0]:
            best = (order, one)
    return best[1] if best is not None else None


def _identifiers(segment: Segment, number: int, facility: str, settings: IntakeSettings) -> list[Identifier]:
    """Read a CX field: id from CX.1, authority from CX.4 (namespace or universal id), type from CX.5.

    Without an authority, use the assigning facility (CX.6) or else *facility*, because a hospital's own numbers are
    unique only within that hospital.
    """
    found = []
    for repetition in segment.repetitions(number):
        identifier = segment.part(repetition)
        if not identifier or _is_placeholder(identifier):
            continue
        authority = (
            segment.part(repetition, 4)
            or segment.part(repetition, 4, 2)
            or segment.part(repetition, 6)
            or segment.part(repetition, 6, 2)
            or facility
        )
        if settings.authorities:
            authority = settings.authorities.get(f"{facility}|{authority}") or settings.authorities.get(authority) or authority
        found.append(Identifier(identifier, segment.part(repetition, 5).upper(), authority))
    return found


def _is_placeholder(identifier: str) -> bool:
    bare = identifier.upper()
    return bare in PLACEHOLDERS or not bare.strip("0") or (len(bare) >= 5 and not bare.strip("9")) or not any(c.isalnum() for c in bare)


def _may_be_chosen(one: Identifier, settings: IntakeSettings) -> bool:
    return _rank(one, settings) is not None


def _rank(one: Identifier, settings: IntakeSettings) -> int | None:
    """Return the rank in the preference list (0 is best), or None if the identifier must not be used."""
    known = (one.type, one.authority)
    ranks = settings.ranks
    if known not in ranks:
        if len(ranks) >= _RANKS_KEPT:
            ranks.clear()
        ranks[known] = _find_rank(*known, settings)
    return ranks[known]


def _find_rank(kind: str, authority: str, settings: IntakeSettings) -> int | None:
    excluded = [one for one in settings.never if _matches(one, kind, authority)]
    excluded_type = any(one.type.upper() == kind for one in excluded)
    for rank, one in enumerate(settings.identifiers):
        if not _matches(one, kind, authority):
            continue
        # An excluded identifier is allowed only if an entry names its excluded type or its authority; a wildcard does
        # not allow it.
        if not excluded or (excluded_type and one.type.upper() == kind) or one.authority.upper() == authority.upper():
            return rank
    return None


def _matches(preference: IdentifierPreference, kind: str, authority: str) -> bool:
    return _matches_pattern(preference.type, kind) and _matches_pattern(preference.authority, authority)


def _matches_pattern(wanted: str, value: str) -> bool:
    """Return whether *value* matches the pattern *wanted*. An empty pattern matches only an empty value."""
    return wanted == ANY or _pattern(wanted.upper()).match(value.upper()) is not None


@lru_cache(maxsize=512)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))
