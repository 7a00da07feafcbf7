"""Merging two persons' states: the one that ends sends all it has, the one that goes on takes it in, nothing doubled.

Owns both halves of a merge (HL7 A40, A34). Must not know how a state travels: that is the shards' relay.
"""

from __future__ import annotations

import msgspec

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import close, rule_of
from agents.coordination.person.retention import remember_seen
from agents.coordination.person.state import Demographics, Encounter, Handoff, Person, Status, pack, unpack
from agents.coordination.reference.ids import derive, identity
from agents.coordination.rules.world import World
from streams.contract.effects import Effect, StateMoved
from streams.contract.events import Event, Millis, PersonKey, PersonMerged, PersonRef, PersonStateMoved


def give_up(person: Person, fact: PersonMerged, draft: EffectsDraft, event: Event) -> tuple[Person, tuple[Effect, ...]]:
    """End *person*: a stub remains, which knows only where to send what still comes."""
    if fact.into.key == person.key:
        draft.refused("merged-into-itself", "A person can't go on as the same key.", "merge")
        return person, tuple(draft.effects)
    remember_seen(person, identity(event)[:8], event.arrival)
    stub = Person(person.key, into=fact.into.key)
    moved = StateMoved(derive(draft.seed, "merge", "moved"), draft.at, person.key, event.id, PersonRef(fact.into.key), pack(person))
    return stub, (moved,)


def take_in(person: Person, fact: PersonStateMoved, draft: EffectsDraft, now: Millis, world: World) -> tuple[Person, tuple[Effect, ...]]:
    """Add the moved state to *person*, the one that goes on.

    A stub sends it on. One that gets its own state back revives: it was merged in a circle, and somebody must go on.
    """
    if person.into and fact.origin not in {person.key, person.into}:
        moved = StateMoved(
            derive(draft.seed, "merge", "sent-on"), now, fact.origin, draft.cause, PersonRef(PersonKey(person.into)), fact.state
        )
        return person, (moved,)
    other = unpack(fact.state)
    if person.into:
        person = Person(person.key)
    numbers = _encounters(person, other)
    moved_in = _handoffs(draft, person, other, numbers, world)
    _rest(person, other, numbers)
    for handoff in moved_in:
        rule = rule_of(handoff, person, world)
        draft.show(handoff, rule, f"{draft.words}: the handoff goes on for the person that the records were merged into.")
    if person.deceased:
        for handoff in person.handoffs:
            if not handoff.closed_at:
                rule = rule_of(handoff, person, world)
                close(draft, handoff, rule, "not-applicable", happened=now, why=f"{draft.words}: the person has died.")
    return person, tuple(draft.effects)


def _encounters(person: Person, other: Person) -> dict[int, int]:
    """Take in the other's stays; return their old numbers with the new ones. The same visit in both is one stay."""
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
    """Let *stay* take what the other knows newer: the one heard of last decides its status."""
    if other.last > encounter.last and other.status != Status.UNKNOWN:
        encounter.status, encounter.discharged, encounter.disposition = other.status, other.discharged, other.disposition
        encounter.class_ = other.class_ or encounter.class_
    encounter.admitted = min(filter(None, (encounter.admitted, other.admitted)), default=0)
    encounter.class_ = encounter.class_ or other.class_
    encounter.attending = encounter.attending or other.attending
    encounter.diagnoses = encounter.diagnoses or other.diagnoses
    encounter.cancels = (*encounter.cancels, *other.cancels)
    encounter.last, encounter.touched = max(encounter.last, other.last), max(encounter.touched, other.touched)


def _handoffs(draft: EffectsDraft, person: Person, other: Person, numbers: dict[int, int], world: World) -> list[Handoff]:
    """Take in the other's handoffs; of two open ones of one rule about one subject the older goes on."""
    moved: list[Handoff] = []
    for handoff in other.handoffs:
        handoff.encounter = numbers.get(handoff.encounter, 0)
        if handoff.end is not None:
            handoff.end.by_encounter = numbers.get(handoff.end.by_encounter, 0)
        double = next(
            (
                h
                for h in person.handoffs
                if h.rule == handoff.rule and h.subject == handoff.subject and not h.closed_at and not handoff.closed_at
            ),
            None,
        )
        person.handoffs.append(handoff)
        if double is None:
            if not handoff.closed_at:
                moved.append(handoff)
            continue
        newer = handoff if double.opened_at <= handoff.opened_at else double
        if newer is double:
            moved.append(handoff)
        rule = rule_of(newer, person, world)
        close(draft, newer, rule, "superseded", happened=draft.at, why=f"{draft.words}: both records had this handoff; the older goes on.")
    return moved


def _rest(person: Person, other: Person, numbers: dict[int, int]) -> None:
    for notified in other.notifications:
        notified.encounter = numbers.get(notified.encounter, 0)
        person.notifications.append(notified)
    for member in other.members:
        if not any((s.role, s.party) == (member.role, member.party) and s.asserted >= member.asserted for s in person.members):
            person.members.append(member)
    person.team_at = max(person.team_at, other.team_at)
    for consent in other.consents:
        key = (consent.recipient, consent.purpose, consent.sensitivity)
        mine = next((c for c in person.consents if (c.recipient, c.purpose, c.sensitivity) == key), None)
        if mine is None:
            person.consents.append(consent)
        elif consent.at > mine.at or (consent.at == mine.at and not consent.permit):
            mine.permit, mine.at = consent.permit, consent.at
    for referral in other.referrals:
        if not any(r.id == referral.id for r in person.referrals):
            referral.encounter = numbers.get(referral.encounter, 0)
            person.referrals.append(referral)
    for goal in other.goals:
        if not any(g.id == goal.id for g in person.goals):
            person.goals.append(goal)
    for appointment in other.appointments:
        if not any(a.id == appointment.id for a in person.appointments):
            person.appointments.append(appointment)
    person.recent += other.recent
    person.seen += other.seen
    person.conditions = (*person.conditions, *(c for c in other.conditions if c not in person.conditions))
    person.observations = (*person.observations, *(o for o in other.observations if o not in person.observations))
    if other.deceased and not person.deceased:
        person.deceased, person.deceased_encounter = other.deceased, numbers.get(other.deceased_encounter, 0)
    person.history_incomplete = person.history_incomplete or other.history_incomplete
    person.demographics = _joined(person.demographics, other.demographics)


def _joined(mine: Demographics | None, theirs: Demographics | None) -> Demographics | None:
    if mine is None or theirs is None:
        return mine or (theirs and msgspec.structs.replace(theirs, at=0))
    return Demographics(mine.language or theirs.language, mine.region or theirs.region, mine.birth_date or theirs.birth_date, mine.at)
