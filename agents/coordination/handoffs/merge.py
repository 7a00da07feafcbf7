"""Merges the states of two person keys: the old key sends its state, and the surviving key adds it without duplicates.

Owns both halves of a merge (HL7 A40, A34). Must not know how a state is transported: the shards relay it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import close, rule_of
from agents.coordination.person.encounter import Encounter, Status
from agents.coordination.person.retention import remember_seen
from agents.coordination.person.state import (
    Consent,
    Demographics,
    Handoff,
    NotificationRecord,
    Person,
    Referral,
    TeamMember,
    pack,
    unpack,
)
from agents.coordination.reference.ids import derive, identity
from agents.coordination.rules.world import World
from streams.contract.effects import Effect, StateMoved
from streams.contract.events import Event, Millis, PersonKey, PersonMerged, PersonRef, PersonStateMoved


def move_out(person: Person, fact: PersonMerged, draft: EffectsDraft, event: Event) -> tuple[Person, tuple[Effect, ...]]:
    """Move the state of *person* to the surviving key. A stub remains under the old key and forwards later events."""
    if fact.into.key == person.key:
        draft.refused("merged-into-itself", "A record cannot be merged into itself.", "merge")
        return person, tuple(draft.effects)
    remember_seen(person, identity(event)[:8], event.arrival)
    stub = Person(person.key, into=fact.into.key)
    moved = StateMoved(derive(draft.seed, "merge", "moved"), draft.at, person.key, event.id, PersonRef(fact.into.key), pack(person))
    return stub, (moved,)


def take_in(person: Person, fact: PersonStateMoved, draft: EffectsDraft, now: Millis, world: World) -> tuple[Person, tuple[Effect, ...]]:
    """Add the moved state to *person*, the surviving key.

    A stub forwards the state to the key that it was merged into. A stub that receives its own state becomes a person again: the
    merges formed a circle, and one key must survive.
    """
    if person.into and fact.origin not in {person.key, person.into}:
        moved = StateMoved(
            derive(draft.seed, "merge", "sent-on"), now, fact.origin, draft.cause, PersonRef(PersonKey(person.into)), fact.state
        )
        return person, (moved,)
    other = unpack(fact.state)
    if person.into:
        # The draft looks up encounters, referrals and goals in its person, so it needs the new one.
        person = draft.person = Person(person.key)
    _renumber(other, _merge_encounters(person, other))
    moved_in = _merge_handoffs(draft, person, other, world)
    for field, merge in MERGED.items():
        setattr(person, field, merge(getattr(person, field), getattr(other, field)))
    if not person.deceased:
        person.deceased, person.deceased_encounter = other.deceased, other.deceased_encounter
    for handoff in moved_in:
        rule = rule_of(handoff, person, world)
        draft.show(handoff, rule, f"{draft.words}. The task continues under the surviving record.")
    if person.deceased:
        for handoff in person.handoffs:
            if not handoff.closed_at:
                rule = rule_of(handoff, person, world)
                close(draft, handoff, rule, "not-applicable", happened=now, why=f"{draft.words}. The person has died.")
    return person, tuple(draft.effects)


def _merge_encounters(person: Person, other: Person) -> dict[int, int]:
    """Add the encounters of *other*, and return the new number for each old one. A visit that both have becomes one encounter."""
    numbers: dict[int, int] = {}
    for encounter in other.encounters:
        same = next(
            (s for s in person.encounters if encounter.visit and (s.facility, s.visit) == (encounter.facility, encounter.visit)), None
        )
        if same is not None:
            numbers[encounter.number] = same.number
            _join(same, encounter)
            continue
        person.stay_count += 1
        numbers[encounter.number] = person.stay_count
        encounter.number = person.stay_count
        person.encounters.append(encounter)
    return numbers


def _join(encounter: Encounter, other: Encounter) -> None:
    """Add the data of *other*, a second record of the same encounter. The record with the newer event decides the status."""
    if other.last > encounter.last and other.status != Status.UNKNOWN:
        encounter.status, encounter.discharged, encounter.disposition = other.status, other.discharged, other.disposition
        encounter.class_ = other.class_ or encounter.class_
    encounter.admitted = min(filter(None, (encounter.admitted, other.admitted)), default=0)
    encounter.class_ = encounter.class_ or other.class_
    encounter.attending = encounter.attending or other.attending
    encounter.diagnoses = encounter.diagnoses or other.diagnoses
    encounter.cancels = (*encounter.cancels, *other.cancels)
    encounter.last, encounter.touched = max(encounter.last, other.last), max(encounter.touched, other.touched)


def _renumber(other: Person, numbers: Mapping[int, int]) -> None:
    """Replace the numbers of encounters in *other* by the new *numbers*."""
    records: list[Handoff | NotificationRecord | Referral] = [*other.handoffs, *other.notifications, *other.referrals]
    for record in records:
        record.encounter = numbers.get(record.encounter, 0)
    for handoff in other.handoffs:
        if handoff.end is not None:
            # A correction of the death must not reopen the handoff: the surviving record may have the same handoff open.
            handoff.end.by_encounter, handoff.end.by_death = numbers.get(handoff.end.by_encounter, 0), False
    other.deceased_encounter = numbers.get(other.deceased_encounter, 0)


def _merge_handoffs(draft: EffectsDraft, person: Person, other: Person, world: World) -> list[Handoff]:
    """Add the handoffs of *other*, and return those that are still open. If both have the same open handoff, the newer one is closed."""
    moved: list[Handoff] = []
    for handoff in other.handoffs:
        duplicate = next(
            (
                h
                for h in person.handoffs
                if h.rule == handoff.rule and h.subject == handoff.subject and not h.closed_at and not handoff.closed_at
            ),
            None,
        )
        person.handoffs.append(handoff)
        if duplicate is None:
            if not handoff.closed_at:
                moved.append(handoff)
            continue
        newer = handoff if duplicate.opened_at <= handoff.opened_at else duplicate
        if newer is duplicate:
            moved.append(handoff)
        rule = rule_of(newer, person, world)
        close(
            draft, newer, rule, "superseded", happened=draft.at, why=f"{draft.words}. Both records had this task. The older one stays open."
        )
    return moved


# ---- the table


def _concatenate(mine: Any, theirs: Any) -> Any:
    return mine + theirs


def _by_id(mine: list[Any], theirs: list[Any]) -> list[Any]:
    known = {record.id for record in mine}
    return [*mine, *(record for record in theirs if record.id not in known)]


def _add_rows(mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*mine, *(row for row in theirs if row not in mine))


def _members(mine: list[TeamMember], theirs: list[TeamMember]) -> list[TeamMember]:
    merged = list(mine)
    for member in theirs:
        if not any((m.role, m.party) == (member.role, member.party) and m.asserted >= member.asserted for m in merged):
            merged.append(member)
    return merged


def _consents(mine: list[Consent], theirs: list[Consent]) -> list[Consent]:
    """Keep the newest decision for each combination. If two have the same time, keep the refusal."""
    merged = {(c.recipient, c.purpose, c.sensitivity): c for c in mine}
    for consent in theirs:
        key = (consent.recipient, consent.purpose, consent.sensitivity)
        known = merged.get(key)
        if known is None or consent.at > known.at or (consent.at == known.at and not consent.permit):
            merged[key] = consent
    return list(merged.values())


def _demographics(mine: Demographics | None, theirs: Demographics | None) -> Demographics | None:
    if mine is None or theirs is None:
        return mine or (theirs and replace(theirs, at=0))
    return Demographics(mine.language or theirs.language, mine.region or theirs.region, mine.birth_date or theirs.birth_date, mine.at)


MERGED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "notifications": _concatenate,
    "members": _members,
    "team_at": max,
    "consents": _consents,
    "referrals": _by_id,
    "goals": _by_id,
    "appointments": _by_id,
    "recent": _concatenate,
    "seen": _concatenate,
    "conditions": _add_rows,
    "observations": _add_rows,
    "history_incomplete": operator.or_,
    "demographics": _demographics,
}
"""How each field of a person is merged: from the value of the surviving key and the value of the old key."""

OWN: Final = frozenset({"key", "into", "stay_count", "prune_at"})
"""Fields of the surviving key that a merge does not change. Encounters, handoffs and death are merged by the code above."""
