"""What an event is about: its stay, referral, goal or appointment, and whose rules apply to it.

Owns the lookups. Must not change a state or know a rule.
"""

from __future__ import annotations

from typing import Any

from agents.coordination.person.state import Encounter, Person
from agents.coordination.record.fold import referral_named
from agents.coordination.reference.directory import Organisation
from agents.coordination.rules.facts import Context
from streams.contract import events as e
from streams.contract.events import Millis


def resolve(context: Context, fact: Any) -> None:
    """Name in *context* what an event that is no stay's own is about, and the organisation whose rules apply."""
    person, directory = context.person, context.world.directory
    ref: e.EncounterRef | None = getattr(fact, "encounter", None)
    if ref is not None:
        context.encounter = encounter_named(person, ref, context.at)
    context.referral = referral_named(person, getattr(fact, "referral", None))
    based = getattr(fact, "based_on", ())
    if based:
        context.goal = next((g for g in person.goals if g.id in based), None)
        context.referral = next((r for r in person.referrals if r.id in based), None)
    organisation: Organisation | None = None
    target = getattr(fact, "target", None)
    if ref is not None:
        organisation = directory.of_facility(ref.facility)
    elif target is not None:
        organisation = _organisation_of(target, context) or _organisation_of(getattr(fact, "requester", None), context)
    elif context.referral is not None:
        known = directory.organisations
        organisation = known.get(context.referral.target_organisation) or known.get(context.referral.requester_organisation)
    context.organisation = organisation or usual_organisation(context)


def resolve_again(context: Context, fact: Any) -> None:
    """Name what a remembered event is about, by what is known of it now."""
    resolve(context, fact)
    person = context.person
    if isinstance(fact, e.GoalUpdated):
        context.goal = next((g for g in person.goals if g.id == fact.goal), None)
        context.changed = ("goal-reviewed",) if fact.reviewed else ()
    elif isinstance(fact, e.AppointmentChanged):
        context.appointment = next((a for a in person.appointments if a.id == fact.appointment), None)
        if context.referral is None and context.appointment is not None:
            context.referral = referral_named(person, context.appointment.referral)


def usual_organisation(context: Context) -> Organisation:
    """Return the organisation of the person's newest stay, or the default."""
    directory = context.world.directory
    if not context.person.encounters:
        return directory.default
    return directory.of_facility(max(context.person.encounters, key=lambda s: (s.last, s.number)).facility)


def encounter_named(person: Person, ref: e.EncounterRef, at: Millis) -> Encounter | None:
    """Return the stay that an activity or referral names: by visit, else the newest one there that had begun."""
    here = [s for s in person.encounters if s.facility == ref.facility and (not ref.visit or s.visit == ref.visit)]
    if not here:
        return None
    begun = [s for s in here if (s.admitted or s.discharged or s.last) <= at]
    return max(begun or here, key=lambda s: (s.admitted or s.discharged, s.number))


def name_told(context: Context, notification: str) -> None:
    """Name in *context* the notice that *notification* was one of, and the stay that it told of."""
    for notified in context.person.notifications:
        if notified.encounter and any(notified.notification(recipient) == notification for recipient in notified.recipients):
            context.notified = notified
            context.encounter = next((s for s in context.person.encounters if s.number == notified.encounter), None)
            return


def _organisation_of(party: e.Party | None, context: Context) -> Organisation | None:
    directory = context.world.directory
    if party is None:
        return None
    if party.organization and party.organization in directory.organisations:
        return directory.organisations[party.organization]
    return directory.of_party(f"practitioner:{party.practitioner.id}") if party.practitioner else None
