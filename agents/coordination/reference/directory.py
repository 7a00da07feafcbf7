"""The directory of organisations: who holds which role, and which time zone and holidays apply.

Owns pools, cover and the line of escalation. Must not read a file (`rules/loading.py` does), or know a person's care
team (`person/care_team.py`) or a rule.

A party is written `kind:id`, as in an address. Kinds: practitioner, organization, caregiver, pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import msgspec

from agents.coordination.reference.calendar import HolidayRegion, check_calendar, first_instant
from streams.contract.address import Address, split_party
from streams.contract.events import Millis, Party
from streams.contract.suggestions import did_you_mean

KINDS: Final = ("practitioner", "organization", "caregiver", "pool")

EVERY: Final = "every"
"""The profile in which the rules of all profiles apply, for facilities whose profile is unknown."""


class RoleHolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who holds a role at an organisation. Exactly one field is set."""

    pool: str | None = None
    practitioner: str | None = None
    caregiver: str | None = None
    organization: str | None = None

    @property
    def party(self) -> str:
        """The party as `kind:id`; empty unless exactly one is named."""
        named = [
            f"{kind}:{value}"
            for kind, value in (
                ("pool", self.pool),
                ("practitioner", self.practitioner),
                ("caregiver", self.caregiver),
                ("organization", self.organization),
            )
            if value
        ]
        return named[0] if len(named) == 1 else ""


class Cover(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """*by* covers for *of* from the day `from` to the day `to`, both included, in the organisation's local time.

    When the first day begins, the open handoffs of *of* move to *by*. They stay with *by* until somebody reassigns them.
    """

    of: str
    by: str
    from_: date
    to: date


class _Absence(msgspec.Struct, frozen=True):
    begins: Millis
    ends: Millis
    by: str


class Organisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One organisation: a hospital, a practice, a community service."""

    id: str = ""
    name: str
    kind: str = "hospital"
    zone: str
    holidays: HolidayRegion
    profile: str = "us"
    """Which rules apply: `us`, `england`, a deployment's own profile, or `every`."""
    localities: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()
    """Facility ids as messages write them (MSH-4, PV1-3.4)."""
    practitioners: tuple[str, ...] = ()
    """Practitioners of this organisation. Its time zone and holidays apply to them."""
    roles: dict[str, RoleHolder] = {}
    escalation: dict[str, str] = {}
    """For each role, the next role in the line of escalation. The directory's line applies to roles that are not listed."""
    cover: tuple[Cover, ...] = ()


class DirectoryFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of `directory.yaml`."""

    version: int
    default_organisation: str
    """The organisation of facilities that no organisation lists. The profile setting can replace its profile."""
    fallback_pool: str
    """The pool that is notified and accountable if nobody else is known. People must watch it."""
    escalation: dict[str, str] = {}
    organisations: dict[str, Organisation]
    names: dict[str, str] = {}
    """Names of parties for readers (`practitioner:8801`: Dr Okonjo). No decision depends on them."""


class Directory:
    """A checked directory and its lookups. Raises ValueError with the path in the file and the remedy.

    *profile*: replaces the profile, time zone and holidays of the default organisation. Empty: they stay as in the file.
    """

    def __init__(self, file: DirectoryFile, profile: str = "") -> None:
        self.version = file.version
        self.organisations: dict[str, Organisation] = {
            id_: msgspec.structs.replace(organisation, id=id_) for id_, organisation in file.organisations.items()
        }
        if file.default_organisation not in self.organisations:
            raise ValueError(
                f"default_organisation: {file.default_organisation!r} is not under organisations; name one of "
                f"{_names(self.organisations)}{did_you_mean(file.default_organisation, self.organisations)}"
            )
        if not file.fallback_pool.strip():
            raise ValueError("fallback_pool: empty; name the pool that is notified if nobody else is known")
        self.default = self.organisations[file.default_organisation]
        if profile and profile != self.default.profile:
            self.default = self.organisations[file.default_organisation] = self._default_with(profile)
        self.fallback_pool = f"pool:{file.fallback_pool}"
        self._line = dict(file.escalation)
        self._by_facility: dict[str, Organisation] = {}
        self._by_party: dict[str, Organisation] = {}
        self._covers: dict[str, tuple[_Absence, ...]] = {}
        self._names = dict(file.names)
        for party, name in file.names.items():
            if not _is_party(party) or not name.strip():
                raise ValueError(f"names: {party!r}: {name!r} must be a party and its name; write for example practitioner:8801: Dr Okonjo")
        for id_, organisation in self.organisations.items():
            self._add(id_, organisation)
        for id_, organisation in self.organisations.items():
            _check_line({**self._line, **organisation.escalation}, f"organisations.{id_}.escalation")

    def _default_with(self, profile: str) -> Organisation:
        """Return the default organisation with *profile*, and with the zone and holidays of the first organisation that has it."""
        of_it = next((o for o in self.organisations.values() if o.profile == profile), None)
        if of_it is None:
            there = dict.fromkeys(o.profile for o in self.organisations.values())
            hint = did_you_mean(profile, there)
            raise ValueError(f"profile: no organisation has the profile {profile!r}; write one of {_names(there)}{hint}")
        return msgspec.structs.replace(self.default, profile=profile, zone=of_it.zone, holidays=of_it.holidays)

    def _add(self, id_: str, organisation: Organisation) -> None:
        at = f"organisations.{id_}"
        try:
            check_calendar(organisation.zone, organisation.holidays)
        except (ValueError, KeyError) as unknown:
            raise ValueError(
                f"{at}: {unknown}. Write for example zone: America/New_York, holidays: {{country: US, subdivision: NY}}"
            ) from unknown
        for facility in organisation.facilities:
            if facility in self._by_facility:
                raise ValueError(f"{at}.facilities: {facility!r} is already a facility of {self._by_facility[facility].id}; list it once")
            self._by_facility[facility] = organisation
        for role, holder in organisation.roles.items():
            if not holder.party:
                raise ValueError(f"{at}.roles.{role}: name exactly one of pool, practitioner, caregiver, organization")
            self._by_party.setdefault(holder.party, organisation)
        for practitioner in organisation.practitioners:
            self._by_party[f"practitioner:{practitioner}"] = organisation
        self._by_party[f"organization:{id_}"] = organisation
        for number, cover in enumerate(organisation.cover):
            for field, value in (("of", cover.of), ("by", cover.by)):
                if not _is_party(value):
                    raise ValueError(f"{at}.cover[{number}].{field}: {value!r} is not a party; write for example practitioner:8801")
            if cover.to < cover.from_:
                raise ValueError(f"{at}.cover[{number}]: ends before it begins; swap from and to")
            begins = first_instant(cover.from_, organisation.zone)
            ends = first_instant(cover.to + timedelta(days=1), organisation.zone)
            self._covers[cover.of] = (*self._covers.get(cover.of, ()), _Absence(begins, ends, cover.by))

    def of_facility(self, facility: str) -> Organisation:
        """Return the organisation that runs *facility*; the default organisation if *facility* is unknown."""
        return self._by_facility.get(facility) or self.organisations.get(facility) or self.default

    def knows_facility(self, facility: str) -> bool:
        return facility in self._by_facility or facility in self.organisations

    def of_party(self, party: str) -> Organisation | None:
        """Return the organisation of a party (`practitioner:8801`), or None."""
        return self._by_party.get(party)

    def name_of(self, address: str) -> str:
        """Return the name of the holder of *address* (`role/kind:id`) for readers, for example `Dr Lindgren (pcp)`.

        A holder without a name is named by role and id. A pool without a name is named after its organisation:
        `General Hospital (care coordinator)`.
        """
        holder = Address.parse(address)
        role = holder.role.replace("-", " ")
        name = self._names.get(holder.party)
        if name is None and holder.kind != "practitioner" and (organisation := self._by_party.get(holder.party)):
            name = organisation.name
        return f"{name} ({role})" if name else f"{role} {holder.id}".strip()

    def holder(self, role: str, organisation: Organisation) -> str | None:
        """Return the party that holds *role* at *organisation*, or None."""
        holder = organisation.roles.get(role)
        return holder.party if holder else None

    def cover_for(self, party: str, at: Millis) -> str:
        """Return who covers for *party* at *at*, or *party* itself if nobody does. An absent cover may be covered too."""
        seen = {party}
        while party in self._covers:
            by = next((absence.by for absence in self._covers[party] if absence.begins <= at < absence.ends), party)
            if by in seen:
                break  # Nobody covers, or two parties cover each other.
            seen.add(by)
            party = by
        return party

    def cover_begins(self, party: str, after: int) -> Millis | None:
        """Return when the next absence of *party* begins after *after*, or None."""
        absences = self._covers.get(party)
        return min((absence.begins for absence in absences if absence.begins > after), default=None) if absences else None

    def absent_since(self, party: str, at: Millis) -> Millis | None:
        """Return when the absence of *party* began, or None if *party* is not absent at *at*."""
        return next((a.begins for a in self._covers.get(party, ()) if a.begins <= at < a.ends), None)

    @property
    def roles(self) -> frozenset[str]:
        """Every role that an organisation fills, or that a line of escalation has a next role for."""
        held = {role for organisation in self.organisations.values() for role in (*organisation.roles, *organisation.escalation)}
        return frozenset({*held, *self._line} - {"*"})

    def escalations(self) -> list[tuple[str, str]]:
        """Return each entry of the lines of escalation: its path in the file, and the next role."""
        lines = [("escalation", self._line), *((f"organisations.{id_}.escalation", o.escalation) for id_, o in self.organisations.items())]
        return [(f"{where}.{role}", following) for where, line in lines for role, following in line.items()]

    def next_role(self, role: str, organisation: Organisation) -> str | None:
        """Return the next role in the line of escalation, or None at its end."""
        return organisation.escalation.get(role) or self._line.get(role) or self._line.get("*")


def party_of(party: Party) -> str | None:
    """Return an event's party as `kind:id`, or None if it has only a role."""
    if party.practitioner is not None and party.practitioner.id:
        return f"practitioner:{party.practitioner.id}"
    if party.caregiver:
        return f"caregiver:{party.caregiver}"
    if party.organization:
        return f"organization:{party.organization}"
    return None


def _is_party(text: str) -> bool:
    kind, id_ = split_party(text)
    return kind in KINDS and bool(id_)


def _check_line(line: Mapping[str, str], at: str) -> None:
    for start in line:
        seen, role = {start}, line[start]
        while role in line:
            if role in seen:
                raise ValueError(f"{at}: the line of escalation from {start} comes back to {role}; remove an entry so that it ends")
            seen.add(role)
            role = line[role]


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(sorted(known)) or "(none)"
