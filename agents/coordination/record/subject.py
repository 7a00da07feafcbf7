"""What an event is about: its encounter, referral, goal or appointment, and the organisation whose rules apply.

Owns these lookups. Must not change a state or know a rule.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.coordination.person.encounter import Encounter
from agents.coordination.person.state import Person
from agents.coordination.record.fold import referral_named
from agents.coordination.reference.directory import Directory, Organisation
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.events import Millis


def resolve(context: Context, fact: Any) -> Context:
    """Return *context* with the subject of an event that is not an encounter event, and the organisation whose rules apply."""
    person, directory = context.person, context.world.directory
    ref: e.EncounterRef | None = getattr(fact, "encounter", None)
    encounter = encounter_named(person, ref, context.at) if ref is not None else None
    referral, goal = referral_named(person, getattr(fact, "referral", None)), None
    based = getattr(fact, "based_on", ())
    if based:
        goal = next((g for g in person.goals if g.id in based), None)
        referral = next((r for r in person.referrals if r.id in based), None)
    organisation: Organisation | None = None
    target = getattr(fact, "target", None)
    if ref is not None:
        organisation = directory.of_facility(ref.facility)
    elif target is not None:
        organisation = _organisation_of(target, directory) or _organisation_of(getattr(fact, "requester", None), directory)
    elif referral is not None:
        known = directory.organisations
        organisation = known.get(referral.target_organisation) or known.get(referral.requester_organisation)
    organisation = organisation or _usual_organisation(person, directory)
    return replace(context, encounter=encounter, referral=referral, goal=goal, organisation=organisation)


def resolve_past(context: Context, fact: Any) -> Context:
    """Return *context* with the subject of an event that was applied earlier. The subject has its current state."""
    context = resolve(context, fact)
    person = context.person
    if isinstance(fact, e.GoalUpdated):
        goal = next((g for g in person.goals if g.id == fact.goal), None)
        return replace(context, goal=goal, changed=("goal-reviewed",) if fact.reviewed else ())
    if isinstance(fact, e.AppointmentChanged):
        appointment = next((a for a in person.appointments if a.id == fact.appointment), None)
        referral = context.referral
        if referral is None and appointment is not None:
            referral = referral_named(person, appointment.referral)
        return replace(context, appointment=appointment, referral=referral)
    return context


def _usual_organisation(person: Person, directory: Directory) -> Organisation:
    """Return the organisation of the person's newest encounter, or the default one."""
    if not person.encounters:
        return directory.default
    return directory.of_facility(max(person.encounters, key=lambda s: (s.last, s.number)).facility)


def encounter_named(person: Person, ref: e.EncounterRef, at: Millis) -> Encounter | None:
    """Return the encounter that an activity or referral names: by its visit number, else the newest one that had begun by *at*."""
    here = [s for s in person.encounters if s.facility == ref.facility and (not ref.visit or s.visit == ref.visit)]
    if not here:
        return None
    begun = [s for s in here if (s.admitted or s.discharged or s.last) <= at]
    return max(begun or here, key=lambda s: (s.admitted or s.discharged, s.number))


def with_reported(context: Context, notification: str) -> Context:
    """Return *context* with the notification that a delivery report names, and the encounter of that notification."""
    person = context.person
    for record in person.notifications:
        if record.encounter and any(record.notification(recipient) == notification for recipient in record.recipients):
            return replace(context, reported=record, encounter=person.encounter_numbered(record.encounter))
    return context


def _organisation_of(party: e.Party | None, directory: Directory) -> Organisation | None:
    if party is None:
        return None
    if party.organization and party.organization in directory.organisations:
        return directory.organisations[party.organization]
    return directory.of_party(f"practitioner:{party.practitioner.id}") if party.practitioner else None
