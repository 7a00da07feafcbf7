"""Events that may matter to a handoff whose trigger has not arrived yet.

A trigger may arrive after the event that closes or ends its handoff. Owns how such events are kept in the state, and how they are
read when the trigger arrives. Must not know a rule.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from agents.coordination.person.encounter import Status
from agents.coordination.person.state import Person, Recent, Referral
from agents.coordination.record.fold import is_legal
from agents.coordination.rules.world import Context, World
from streams.contract import events as e
from streams.contract.events import Event, Millis
from streams.contract.topics import FACT_OF

_encode: Final = msgspec.msgpack.Encoder().encode
_decoders: Final = {name: msgspec.msgpack.Decoder(kind) for name, kind in FACT_OF.items()}


def remember(person: Person, event: Event, at: Millis, world: World) -> None:
    """Keep *event* if it may close or end a handoff whose trigger may arrive later."""
    if event.type in world.catalogue.remembered:
        fields = _without_defaults(event.data)
        person.recent.append(Recent(event.type, event.id, event.source, at, event.arrival, _encode(fields)))


def _without_defaults(record: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of *record* without empty optional ones. Required fields are kept even if empty, such as an empty care team."""
    said = {}
    for name, outer, required in _fields(type(record)):
        value = getattr(record, name)
        if value or required or value is False or value == 0:
            said[outer] = _without_empty(value)
    return said


def _without_empty(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _without_defaults(value)
    return [_without_empty(each) for each in value] if isinstance(value, tuple) else value


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, bool], ...]:
    """Return (name, encoded name, required) of each field. Cached, because the lookup costs more than the encoding."""
    return tuple((field.name, field.encode_name, field.required) for field in msgspec.structs.fields(kind))


def _visit(fact: e.EncounterClassChanged) -> tuple[str, str]:
    return fact.encounter.facility, fact.encounter.visit


REFUSED_CHANGES_MAX: Final = 8
"""How many refused status changes of one referral are kept. The oldest is dropped first."""


def keep_refused_change(referral: Referral, event: Event, at: Millis) -> None:
    """Keep a refused status change of *referral*, which may become legal when another event arrives."""
    kept = Recent(event.type, event.id, event.source, at, event.arrival, _encode(_without_defaults(event.data)))
    referral.waiting = (*referral.waiting, kept)[-REFUSED_CHANGES_MAX:]


def take_legal_change(person: Person, referral: Referral) -> Event | None:
    """Remove and return the earliest kept status change of *referral* that is legal now, or None."""
    for waiting in sorted(referral.waiting, key=lambda w: (w.time, w.source, w.id)):
        fact: Any = _decoders[waiting.type].decode(waiting.fact)
        if is_legal(referral, fact, Millis(waiting.time)):
            referral.waiting = tuple(other for other in referral.waiting if other is not waiting)
            return Event(waiting.id, waiting.source, Millis(waiting.time), Millis(waiting.arrival), person.key, fact)
    return None


def past_events(context: Context) -> list[Event]:
    """Return the kept events of the person in order of event time, without the context's own event.

    Admissions and goal reviews are not kept as events. They are rebuilt from the encounters and goals in the state.
    """
    person, own = context.person, context.event
    past = [
        Event(r.id, r.source, Millis(r.time), Millis(r.arrival), person.key, _decoders[r.type].decode(r.fact))
        for r in person.recent
        if own is None or (r.id, r.source) != (own.id, own.source)
    ]
    cancelled = {(encounter.facility, encounter.visit) for encounter in person.encounters if encounter.status == Status.CANCELLED}
    past = [event for event in past if not (isinstance(event.data, e.EncounterClassChanged) and _visit(event.data) in cancelled)]
    id_, source = (own.id, own.source) if own is not None else ("", "")
    for encounter in person.encounters:
        known = encounter.admitted and encounter.status in {Status.IN_PROGRESS, Status.ON_LEAVE, Status.FINISHED}
        if known and (context.encounter is None or encounter.number != context.encounter.number):
            fact = e.PatientAdmitted(e.EncounterRef(encounter.facility, encounter.visit), encounter.class_)
            past.append(Event(id_, source, Millis(encounter.admitted), Millis(encounter.touched), person.key, fact))
    for goal in person.goals:
        if goal.reviewed and not (context.kind == "GoalUpdated" and context.goal is goal):
            review = e.GoalUpdated(goal.id, goal.status, reviewed=True)
            past.append(Event(id_, source, Millis(goal.reviewed), Millis(goal.reviewed), person.key, review))
    past.sort(key=lambda event: event.time)
    return past
