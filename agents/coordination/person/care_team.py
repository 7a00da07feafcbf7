"""The care team of a person: who has which role, who outranks whom, and who may be told.

Owns seats and consents of a state and their reading. Must not know which event tells whom (`routing.yaml`) or any clock.

A seat that a care team's own event asserts outranks one that a message merely mentions (provisional). A consent that is
withheld is not an unknown recipient: it never opens the way to the fallback pool.
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


# ---- seats


def change_team(person: Person, fact: CareTeamChanged, at: Millis) -> None:
    """Apply the care team's own event. With `replace` it is the whole team as of *at*."""
    if fact.replace:
        if at < person.team_at:
            return
        person.team_at = at
        person.members = [member for member in person.members if max(member.asserted, 0 if member.asserted else member.from_) > at]
    for entry in fact.members:
        if not fact.replace and at < person.team_at:
            continue
        _add_member(person, entry, at, asserted=True)


def mention(person: Person, entries: Iterable[Member], at: Millis) -> bool:
    """Take provisional members from a message; of a role the newest message's are kept. Return whether anybody new has a seat."""
    if at < person.team_at:
        return False
    named: dict[str, list[Member]] = {}
    for entry in entries:
        named.setdefault(entry.role, []).append(entry)
    news = False
    for role, those in named.items():
        provisional = [member for member in person.members if member.role == role and not member.asserted]
        if any(member.from_ > at for member in provisional):
            continue
        if len(those) == 1 == len(provisional) and _is_member(provisional[0], those[0]):
            provisional[0].from_ = at  # Most messages say only once more what is known.
            continue
        news = True
        person.members = [member for member in person.members if member.asserted or member.role != role]
        for entry in those:
            _add_member(person, entry, at, asserted=False)
    return news


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
    """Return which of *seats* count for *role* at *at*: asserted ones if there are any, else provisional; newest first."""
    found: list[TeamMember] = []
    mentioned: list[TeamMember] = []
    for member in members:
        if member.role != role or (member.to and member.to <= at):
            continue
        if not member.asserted:
            # A provisional seat counts from its message on, whatever the order in which messages come.
            mentioned.append(member)
        elif member.from_ <= at:
            found.append(member)
    found = found or mentioned
    if len(found) > 1:
        found.sort(key=lambda member: (-member.asserted, -member.from_, member.party))
    return found


def parties_of(person: Person, role: str, at: Millis, directory: Directory, organisation: Organisation) -> list[str]:
    """Return the parties that hold *role* for the person, cover applied; a seat with a role alone means that role's pool."""
    return holders(person.members, role, at, directory, organisation)


def holders(members: Iterable[TeamMember], role: str, at: Millis, directory: Directory, organisation: Organisation) -> list[str]:
    """Return the parties that hold *role* by *seats*, as `parties_of`."""
    parties: list[str] = []
    for member in members_of(members, role, at):
        party: str | None = member.party
        if not party:
            home = directory.organisations.get(member.organisation, organisation)
            party = directory.holder(role, home)
        elif party.startswith("organization:"):
            # An organisation of the directory says which pool of it answers for the role.
            home_ = directory.organisations.get(split_party(party)[1])
            party = (directory.holder(role, home_) if home_ else None) or party
        if party:
            party = directory.covered(party, at)
            if party not in parties:
                parties.append(party)
    return parties


def programmes_of(person: Person, at: Millis) -> tuple[str, ...]:
    """Return the programmes that the care team names at *at*, sorted."""
    if not _in_programmes(person):
        return ()
    return tuple(sorted({s.programme for s in person.members if s.programme and s.from_ <= at and not (s.to and s.to <= at)}))


def _in_programmes(person: Person) -> bool:
    # A loop: this is asked several times with each event, and a generator costs three times as much.
    for member in person.members:  # noqa: SIM110
        if member.programme:
            return True
    return False


def watchers_of(person: Person, owner: str, at: Millis, purpose: str, sensitivity: str) -> tuple[str, ...]:
    """Return who watches a handoff beside its *owner*: whom the person's programmes have put into the care team.

    Somebody who is in several programmes has one task with one owner, and as many who follow it; who may not be told does not.
    """
    if not _in_programmes(person):
        return ()
    party = Address.parse(owner).party
    found = {
        f"{member.role}/{member.party}"
        for member in person.members
        if member.programme and member.party and member.party != party and member.from_ <= at and not (member.to and member.to <= at)
    }
    return tuple(watcher for watcher in sorted(found) if may_tell(person, Address.parse(watcher), purpose, sensitivity) == "permitted")


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


def may_tell(person: Person, recipient: Address, purpose: str, sensitivity: str, home: str = "") -> Verdict:
    """Say whether *recipient*, who belongs to organisation *home*, may be told something of *sensitivity* for *purpose*.

    Without a word from the person ordinary care is permitted and a sensitive category is not (fails closed; in the United
    States 42 CFR Part 2). A refusal stands against every permission that is less specific or older than it.
    """
    # Who is refused as an organisation is refused with its people and pools.
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
