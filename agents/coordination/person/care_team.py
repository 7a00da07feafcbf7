"""The care team of a person: who holds which role, and who may be notified.

Owns the team members and consents of a state. Must not know which event notifies whom (`routing.yaml`), or read a clock.

A member named by a care-team event is asserted. A member mentioned only by other messages is provisional, and counts only if
the role has no asserted member. If consent is withheld for a recipient, the fallback pool is not notified in their place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from agents.coordination.person.state import Consent, Person, TeamMember
from agents.coordination.reference.directory import Directory, Organisation, party_of
from streams.contract.address import Address, split_party
from streams.contract.events import CareTeamChanged, ConsentChanged, Member, Millis

NORMAL: Final = "normal"

Verdict = Literal["permitted", "consent-withheld", "consent-missing"]


# ---- members


def change_team(person: Person, fact: CareTeamChanged, at: Millis) -> None:
    """Apply a care-team event. An event with `replace` lists the whole team as of *at*."""
    if fact.replace:
        if at < person.team_at:
            return
        person.team_at = at
        person.members = [member for member in person.members if max(member.asserted, 0 if member.asserted else member.from_) > at]
    for entry in fact.members:
        if not fact.replace and at < person.team_at:
            continue
        _add_member(person, entry, at, asserted=True)


def add_mentioned(person: Person, entries: Iterable[Member], at: Millis) -> bool:
    """Add the members that a message mentions as provisional. Return whether the team changed. The newest message about a role wins."""
    if at < person.team_at:
        return False
    named: dict[str, list[Member]] = {}
    for entry in entries:
        named.setdefault(entry.role, []).append(entry)
    team_changed = False
    for role, those in named.items():
        provisional = [member for member in person.members if member.role == role and not member.asserted]
        if any(member.from_ > at for member in provisional):
            continue
        if len(those) == 1 == len(provisional) and _is_member(provisional[0], those[0]):
            provisional[0].from_ = at  # Most messages only repeat the known member.
            continue
        team_changed = True
        person.members = [member for member in person.members if member.asserted or member.role != role]
        for entry in those:
            _add_member(person, entry, at, asserted=False)
    return team_changed


def _is_member(member: TeamMember, entry: Member) -> bool:
    return (
        member.party == (party_of(entry.party) or "")
        and member.organisation == (entry.party.organization or "")
        and member.to == (entry.to or 0)
        and member.programme == (entry.programme or "")
        and bool(entry.role)
    )


def _add_member(person: Person, entry: Member, at: Millis, *, asserted: bool) -> None:
    role = entry.role or entry.party.role
    party = party_of(entry.party) or ""
    organisation = entry.party.organization or ""
    for member in person.members:
        if member.role == role and member.party == party and bool(member.asserted) == asserted:
            if asserted and member.asserted > at:
                return
            member.from_ = (entry.from_ or 0) if asserted else at
            member.to = entry.to or 0
            member.asserted = at if asserted else 0
            member.programme = entry.programme or ""
            member.organisation = organisation
            return
    begins = (entry.from_ or 0) if asserted else at
    person.members.append(TeamMember(role, party, begins, entry.to or 0, at if asserted else 0, entry.programme or "", organisation))


def members_of(members: Iterable[TeamMember], role: str, at: Millis) -> list[TeamMember]:
    """Return the members who hold *role* at *at*, newest first: the asserted ones, or the provisional ones if none is asserted."""
    found: list[TeamMember] = []
    mentioned: list[TeamMember] = []
    for member in members:
        if member.role != role or (member.to and member.to <= at):
            continue
        if not member.asserted:
            # A provisional member counts even before `from_`, so that the order of arrival makes no difference.
            mentioned.append(member)
        elif member.from_ <= at:
            found.append(member)
    found = found or mentioned
    if len(found) > 1:
        found.sort(key=lambda member: (-member.asserted, -member.from_, member.party))
    return found


def parties_of(person: Person, role: str, at: Millis, directory: Directory, organisation: Organisation) -> list[str]:
    """Return the parties that hold *role* for the person.

    A cover replaces an absent party. The organisation's holder of the role replaces a member without a party.
    """
    return holders(person.members, role, at, directory, organisation)


def holders(members: Iterable[TeamMember], role: str, at: Millis, directory: Directory, organisation: Organisation) -> list[str]:
    """Return the parties that hold *role* among *members*, like `parties_of`."""
    parties: list[str] = []
    for member in members_of(members, role, at):
        party: str | None = member.party
        if not party:
            home = directory.organisations.get(member.organisation, organisation)
            party = directory.holder(role, home)
        elif party.startswith("organization:"):
            # The directory names the organisation's pool for the role.
            home_ = directory.organisations.get(split_party(party)[1])
            party = (directory.holder(role, home_) if home_ else None) or party
        if party:
            party = directory.cover_for(party, at)
            if party not in parties:
                parties.append(party)
    return parties


def programmes_of(person: Person, at: Millis) -> tuple[str, ...]:
    """Return the programmes of the team members at *at*, sorted."""
    if not _in_programmes(person):
        return ()
    return tuple(sorted({s.programme for s in person.members if s.programme and s.from_ <= at and not (s.to and s.to <= at)}))


def _in_programmes(person: Person) -> bool:
    # This runs several times per event. A generator costs three times as much as the loop.
    for member in person.members:  # noqa: SIM110
        if member.programme:
            return True
    return False


def watchers_of(person: Person, owner: str, at: Millis, purpose: str, sensitivity: str) -> tuple[str, ...]:
    """Return the addresses that follow a handoff besides its *owner*: the team members of the person's programmes.

    A person in several programmes has one task with one owner; members of the other programmes follow it. A member who may not
    be notified does not follow it.
    """
    if not _in_programmes(person):
        return ()
    party = Address.parse(owner).party
    found = {
        f"{member.role}/{member.party}"
        for member in person.members
        if member.programme and member.party and member.party != party and member.from_ <= at and not (member.to and member.to <= at)
    }
    return tuple(watcher for watcher in sorted(found) if may_notify(person, Address.parse(watcher), purpose, sensitivity) == "permitted")


# ---- consent


def change_consent(person: Person, fact: ConsentChanged, at: Millis) -> None:
    """Keep the newest decision for each combination of recipient, purpose and sensitivity."""
    key = (fact.recipient or "", fact.purpose or "", fact.sensitivity or "")
    for consent in person.consents:
        if (consent.recipient, consent.purpose, consent.sensitivity) == key:
            if at >= consent.at:
                consent.permit = fact.decision == "permit"
                consent.at = at
            return
    person.consents.append(Consent(fact.decision == "permit", at, *key))


def may_notify(person: Person, recipient: Address, purpose: str, sensitivity: str, home: str = "") -> Verdict:
    """Return whether *recipient*, of organisation *home*, may receive information of category *sensitivity* for *purpose*.

    Without a decision of the person, ordinary care is permitted and a sensitive category is not (fails closed; in the United
    States 42 CFR Part 2). A refusal holds until there is a newer permission that is at least as specific.
    """
    # A refusal of an organisation also covers its people and pools.
    names = {str(recipient), recipient.party, recipient.role, recipient.id, *((home, f"organization:{home}") if home else ())}
    permits: list[Consent] = []
    denials: list[Consent] = []
    for consent in person.consents:
        if (
            (not consent.recipient or consent.recipient in names)
            and (not consent.purpose or consent.purpose == purpose)
            and (not consent.sensitivity or consent.sensitivity == sensitivity)
        ):
            (permits if consent.permit else denials).append(consent)
    for denial in denials:
        if not any(p.at > denial.at and _specificity(p) >= _specificity(denial) for p in permits):
            return "consent-withheld"
    if sensitivity != NORMAL and not any(p.sensitivity == sensitivity for p in permits):
        return "consent-missing"
    return "permitted"


def _specificity(consent: Consent) -> int:
    return 4 * bool(consent.recipient) + 2 * bool(consent.sensitivity) + bool(consent.purpose)
