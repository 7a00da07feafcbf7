"""The care team of a person: who has which role, who outranks whom, and who may be told.

Owns seats and consents of a state and their reading. Must not know which event tells whom (`routing.yaml`) or any clock.

A seat that a care team's own event asserts outranks one that a message merely mentions (provisional). A consent that is
withheld is not an unknown recipient: it never opens the way to the fallback pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from agents.coordination.person.state import Consent, Person, Seat
from agents.coordination.reference.directory import Directory, Organisation, party_of
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
        person.seats = [seat for seat in person.seats if max(seat.asserted, 0 if seat.asserted else seat.from_) > at]
    for member in fact.members:
        if not fact.replace and at < person.team_at:
            continue
        _seat(person, member, at, asserted=True)


def mention(person: Person, members: Iterable[Member], at: Millis) -> bool:
    """Take provisional members from a message; of a role the newest message's are kept. Return whether anybody new has a seat."""
    if at < person.team_at:
        return False
    named: dict[str, list[Member]] = {}
    for member in members:
        named.setdefault(member.role, []).append(member)
    news = False
    for role, those in named.items():
        seated = [seat for seat in person.seats if seat.role == role and not seat.asserted]
        if any(seat.from_ > at for seat in seated):
            continue
        if len(those) == 1 == len(seated) and _is_seat(seated[0], those[0]):
            seated[0].from_ = at  # Most messages say only once more what is known.
            continue
        news = True
        person.seats = [seat for seat in person.seats if seat.asserted or seat.role != role]
        for member in those:
            _seat(person, member, at, asserted=False)
    return news


def _is_seat(seat: Seat, member: Member) -> bool:
    party = member.party
    return (
        seat.address == (party_of(party) or "")
        and seat.organisation == (party.organization or "")
        and seat.to == (member.to or 0)
        and seat.programme == (member.programme or "")
        and bool(member.role)
    )


def _seat(person: Person, member: Member, at: Millis, *, asserted: bool) -> None:
    role = member.role or member.party.role
    address = party_of(member.party) or ""
    organisation = member.party.organization or ""
    for seat in person.seats:
        if seat.role == role and seat.address == address and bool(seat.asserted) == asserted:
            if asserted and seat.asserted > at:
                return
            seat.from_ = (member.from_ or 0) if asserted else at
            seat.to = member.to or 0
            seat.asserted = at if asserted else 0
            seat.programme = member.programme or ""
            seat.organisation = organisation
            return
    begins = (member.from_ or 0) if asserted else at
    person.seats.append(Seat(role, address, begins, member.to or 0, at if asserted else 0, member.programme or "", organisation))


def seats_of(seats: Iterable[Seat], role: str, at: Millis) -> list[Seat]:
    """Return which of *seats* count for *role* at *at*: asserted ones if there are any, else provisional; newest first."""
    found: list[Seat] = []
    mentioned: list[Seat] = []
    for seat in seats:
        if seat.role != role or (seat.to and seat.to <= at):
            continue
        if not seat.asserted:
            # A provisional seat counts from its message on, whatever the order in which messages come.
            mentioned.append(seat)
        elif seat.from_ <= at:
            found.append(seat)
    found = found or mentioned
    if len(found) > 1:
        found.sort(key=lambda seat: (-seat.asserted, -seat.from_, seat.address))
    return found


def parties_of(person: Person, role: str, at: Millis, directory: Directory, organisation: Organisation) -> list[str]:
    """Return the parties that hold *role* for the person, cover applied; a seat with a role alone means that role's pool."""
    return seated(person.seats, role, at, directory, organisation)


def seated(seats: Iterable[Seat], role: str, at: Millis, directory: Directory, organisation: Organisation) -> list[str]:
    """Return the parties that hold *role* by *seats*, as `parties_of`."""
    parties: list[str] = []
    for seat in seats_of(seats, role, at):
        party: str | None = seat.address
        if not party:
            home = directory.organisations.get(seat.organisation, organisation)
            party = directory.holder(role, home)
        elif party.startswith("organization:"):
            # An organisation of the directory says which pool of it answers for the role.
            home_ = directory.organisations.get(party.partition(":")[2])
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
    return tuple(sorted({s.programme for s in person.seats if s.programme and s.from_ <= at and not (s.to and s.to <= at)}))


def _in_programmes(person: Person) -> bool:
    # A loop: this is asked several times with each event, and a generator costs three times as much.
    for seat in person.seats:  # noqa: SIM110
        if seat.programme:
            return True
    return False


def watchers_of(person: Person, owner: str, at: Millis, purpose: str, sensitivity: str) -> tuple[str, ...]:
    """Return who watches a handoff beside its *owner*: whom the person's programmes have put into the care team.

    Somebody who is in several programmes has one task with one owner, and as many who follow it; who may not be told does not.
    """
    if not _in_programmes(person):
        return ()
    party = owner.partition("/")[2]
    found = {
        f"{seat.role}/{seat.address}"
        for seat in person.seats
        if seat.programme and seat.address and seat.address != party and seat.from_ <= at and not (seat.to and seat.to <= at)
    }
    return tuple(watcher for watcher in sorted(found) if may_tell(person, watcher, purpose, sensitivity) == "permitted")


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


def may_tell(person: Person, recipient: str, purpose: str, sensitivity: str, home: str = "") -> Verdict:
    """Say whether *recipient* (role/kind:id), who belongs to organisation *home*, may be told something of *sensitivity* for *purpose*.

    Without a word from the person ordinary care is permitted and a sensitive category is not (fails closed; in the United
    States 42 CFR Part 2). A refusal stands against every permission that is less specific or older than it.
    """
    role, _, party = recipient.partition("/")
    # Who is refused as an organisation is refused with its people and pools.
    names = {recipient, party, role, party.partition(":")[2], *((home, f"organization:{home}") if home else ())}
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
