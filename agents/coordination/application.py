"""Applies one event: determines its time and its subject, changes the records, and adds the consequences.

Owns the order of the steps: first the facts (encounter, records, team), then the consequences (`consequences.py`). Must
not know rules or recipients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from agents.coordination import consequences
from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.person.care_team import add_mentioned, change_consent, change_team, holders, parties_of
from agents.coordination.person.state import Person
from agents.coordination.record import encounter_states
from agents.coordination.record.encounter_states import Transition
from agents.coordination.record.fold import (
    Folded,
    change_appointment,
    change_referral,
    may_become_legal,
    move_referral,
    record_condition,
    record_observation,
    referral_named,
    request,
    update_goal,
    update_person,
)
from agents.coordination.record.late_arrivals import keep_refused_change, remember, take_legal_change
from agents.coordination.record.subject import resolve, with_reported
from agents.coordination.reference.ids import derive, identity, uuid_bytes
from agents.coordination.rules.wording import happened
from agents.coordination.rules.world import Context, World
from streams.contract import events as e
from streams.contract.effects import Effect
from streams.contract.events import Event, Millis
from streams.contract.topics import DAY_MS

_MINUTE_MS: Final = 60_000
_ENCOUNTER_FACTS: Final = frozenset(
    {
        e.EncounterPlanned,
        e.PatientAdmitted,
        e.PatientTransferred,
        e.EncounterClassChanged,
        e.EncounterUpdated,
        e.AdmissionCancelled,
        e.TransferCancelled,
        e.PatientDischarged,
        e.DischargeCancelled,
    }
)
_REMEDY: Final = "Send the visit number: in PV1-19, PV1-50 or PID-18 of an HL7 message, or in data.encounter.visit of a JSON line."
_REFUSALS: Final = {"ambiguous-encounter": "more than one encounter is open", "no-open-stay": "no encounter is open"}
_HISTORY: Final = {"backfill": "was sent as history", "too-old": "happened too long ago"}


def draft_of(  # noqa: PLR0917 -- everything that a draft needs
    person: Person, event: Event, now: Millis, seed: str, zone: str, at: int, *, suspect: bool = False, where: str = ""
) -> EffectsDraft:
    """Return an empty draft for a decision about *event*; *seed* is its identity (`ids.identity`) in hexadecimal."""
    words = happened(event, Millis(at), zone, where=where, suspect=suspect)
    return EffectsDraft(person, now, cause=event.id, seed=seed, source=event.source, words=words)


def apply(person: Person, event: Event, now: Millis, seed: str, world: World) -> tuple[Effect, ...]:
    """Apply a new event to *person* (mutated); return its effects."""
    settings = world.settings
    suspect = event.time > event.arrival + settings.suspect_after_minutes * _MINUTE_MS
    at = event.arrival if suspect else event.time
    quiet = "backfill" if event.backfill else "too-old" if event.arrival - at > settings.history_days * DAY_MS else ""
    fact: Any = event.data
    transition: Transition | None = None
    where = ""
    if type(fact) in _ENCOUNTER_FACTS:
        where = fact.encounter.facility
        transition = encounter_states.transition(person, event, at, now, world)
        context = Context.of(person, world, at, world.directory.of_facility(where), event, transition.encounter)
        context = replace(context, changed=transition.changed) if transition.changed else context
    else:
        context = resolve(Context.of(person, world, at, world.directory.default, event), fact)
    draft = draft_of(person, event, now, seed, context.organisation.zone, at, suspect=suspect, where=where)
    if transition is not None and transition.kind == "refused":
        why = f"{draft.words}. The event has no visit number, and {_REFUSALS[transition.reason]} at {where}. {_REMEDY}"
        draft.refused(transition.reason, why)
        return tuple(draft.effects)
    folded = _fold(context, fact, at, now) if transition is None else context
    if isinstance(folded, str):
        refused = referral_named(person, fact.referral) if isinstance(fact, e.ReferralStatusChanged) else None
        waits = refused is not None and may_become_legal(refused, fact)
        later = " The event is kept, and is applied if a later event makes it valid." if waits else ""
        draft.refused("illegal-move", f"{draft.words}. This is not allowed: {folded}.{later}", context.kind)
        if refused is not None and waits:
            keep_refused_change(refused, event, at)
        return tuple(draft.effects)
    context, transition = _members(folded, fact, transition, at)
    remember(person, _as_class_change(event, transition), at, world)
    if quiet:
        consequences.record_only(draft, context, transition)
        draft.suppressed(
            quiet, f"{draft.words}. The event {_HISTORY[quiet]}. It only updates the record: nobody is notified and no task opens."
        )
    elif transition is not None:
        consequences.after_encounter_event(draft, context, transition)
    else:
        consequences.after_other_event(draft, context)
    if context.referral is not None and context.referral.waiting:
        waited = take_legal_change(person, context.referral)
        if waited is not None:
            # Use another seed, so that the ids of its effects differ from the id of its refusal.
            return (*draft.effects, *apply(person, waited, now, uuid_bytes(derive(identity(waited).hex(), "waited")).hex(), world))
    return tuple(draft.effects)


def _as_class_change(event: Event, transition: Transition | None) -> Event:
    """Return the class change that a later admission of a known encounter reports. Return any other event unchanged.

    A handoff whose trigger arrives late must find this change among the past events, because the encounter only records its start.
    """
    fact = event.data
    if not isinstance(fact, e.PatientAdmitted) or transition is None or transition.encounter is None:
        return event
    if not transition.class_before or transition.class_before == transition.encounter.class_:
        return event
    return replace(event, data=e.EncounterClassChanged(fact.encounter, transition.encounter.class_))


def _members(context: Context, fact: Any, transition: Transition | None, at: Millis) -> tuple[Context, Transition | None]:
    """Add the care team members that the message mentions. A new pcp is a material change of the encounter."""
    mentioned = getattr(fact, "members", ())
    if not mentioned or isinstance(fact, e.CareTeamChanged) or (transition is not None and transition.kind not in consequences.RECORDED):
        return context, transition
    person, directory = context.person, context.world.directory
    members = person.members
    if not add_mentioned(person, mentioned, at):
        return context, transition
    before = holders(members, "pcp", at, directory, context.organisation)
    if before and before != parties_of(person, "pcp", at, directory, context.organisation):
        context = replace(context, changed=(*context.changed, "pcp"))
        if transition is not None and transition.kind == "patch" and context.kind == "EncounterUpdated":
            return context, Transition("update", transition.encounter, "", context.changed)
    return context, transition


def _fold(context: Context, fact: Any, at: Millis, now: Millis) -> Folded:
    """Apply the event to the records."""
    take = _FOLDS.get(type(fact))
    return context if take is None else take(context, fact, at, now)


def _update(change: Callable[[Person, Any, Millis], None]) -> Callable[[Context, Any, Millis, Millis], Folded]:
    """Return *change*, which changes the person's records, as a function for `_FOLDS` that never refuses an event."""

    def fold(context: Context, fact: Any, at: Millis, now: Millis) -> Folded:  # noqa: ARG001 -- a fold's arguments
        change(context.person, fact, at)
        return context

    return fold


def _delivery(context: Context, fact: Any, at: Millis, now: Millis) -> Folded:  # noqa: ARG001 -- a fold's arguments
    return with_reported(context, fact.notification)


_FOLDS: Final[Mapping[type, Callable[[Context, Any, Millis, Millis], Folded]]] = {
    e.ReferralRequested: request,
    e.ReferralChanged: change_referral,
    e.ReferralStatusChanged: move_referral,
    e.AppointmentChanged: change_appointment,
    e.GoalUpdated: lambda context, fact, at, now: update_goal(context, fact, at),  # noqa: ARG005 -- a fold's arguments
    e.CareTeamChanged: _update(change_team),
    e.ConsentChanged: _update(change_consent),
    e.PersonUpdated: _update(update_person),
    e.ConditionRecorded: _update(lambda person, fact, at: record_condition(person, fact)),  # noqa: ARG005
    e.ObservationRecorded: _update(lambda person, fact, at: record_observation(person, fact)),  # noqa: ARG005
    e.NotificationQueued: _delivery,
    e.NotificationDelivered: _delivery,
    e.NotificationFailed: _delivery,
}
"""The function that applies each fact that is not about an encounter. A fact without a function changes no records."""
