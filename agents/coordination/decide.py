"""Applies one event or one deadline to the state of a person, and returns the new state and the effects.

Owns what all decisions have in common: duplicates, retention, the size limit of the state, merged persons. Pure: no clock, no I/O, no
randomness, so the same arguments always give the same decision. Mutates its person argument: callers keep the packed state
and unpack it for each decision.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agents.coordination.application import apply, draft_of
from agents.coordination.handoffs import merge
from agents.coordination.handoffs.effects_draft import ENCOUNTER_RULE, EffectsDraft
from agents.coordination.handoffs.ladder import take_next_step
from agents.coordination.person.retention import count_repeat, prune, remember_seen
from agents.coordination.person.state import Person, next_deadline, pack, packed_deadline, unpack
from agents.coordination.reference.ids import derive, identity, uuid_text
from agents.coordination.rules.world import World
from streams.contract.effects import Effect, EventForwarded, EventRefused
from streams.contract.events import Event, Millis, PersonKey, PersonMerged, PersonRef, PersonStateMoved
from streams.contract.topics import DAY_MS

__all__ = ["Decision", "after_failure", "decide", "decide_packed", "expire", "expire_packed", "next_deadline", "packed_deadline"]

_MERGE_EVENTS: Final = frozenset({PersonStateMoved, PersonMerged})
"""Events about two persons."""

_PRUNE_AFTER_MS: Final = 32 * DAY_MS
"""A person is first pruned this long after an event. By then the first short-lived records have expired (`retention.KEPT`)."""


class Decision(NamedTuple):
    """The state to keep (None if there is nothing to keep) and the effects to publish, in order."""

    person: Person | None
    effects: tuple[Effect, ...]


def decide(person: Person | None, event: Event, now: Millis, world: World) -> Decision:
    """Apply *event*, which arrived at *now* or earlier, to *person* (None if the person is new; mutated).

    If the event cannot be applied, the only effect is an EventRefused with the reason. No content of an event raises an
    exception. `decide_packed` checks the size limit of the state, because that needs the packed form.
    """
    if person is None:
        person = Person(event.person)
    if person.into or type(event.data) in _MERGE_EVENTS:
        return _merge_or_forward(person, event, now, world)
    named = identity(event)
    hashed = named[:8]
    repeats = count_repeat(person, hashed) if person.seen else 0
    if repeats:
        draft = draft_of(person, event, now, named.hex(), world.directory.default.zone, event.time)
        draft.suppressed(
            "duplicate", f"This event (event {event.id}) was received before, so it changes nothing.", mark=f"{repeats}|{event.arrival}"
        )
        return Decision(person, tuple(draft.effects))
    if person.prune_at and person.prune_at <= now:
        person = prune(person, now, world.catalogue.late_window_days) or Person(event.person)
    effects = apply(person, event, now, named.hex(), world)
    remember_seen(person, hashed, event.arrival)
    person.prune_at = person.prune_at or now + _PRUNE_AFTER_MS
    return Decision(person, effects)


def decide_packed(packed: bytes | None, event: Event, now: Millis, world: World) -> tuple[bytes | None, tuple[Effect, ...]]:
    """Apply *event* to a packed state; return the packed state to keep and the effects.

    An event that would make the state larger than its limit is refused with `state-cap` and changes nothing.
    """
    decision = decide(None if packed is None else unpack(packed), event, now, world)
    kept = None if decision.person is None else pack(decision.person)
    most = world.settings.state_bytes_max
    if kept is not None and len(kept) > most and len(kept) > len(packed or b""):
        why = f"The state of this person would become larger than {most} bytes."
        id_ = derive(identity(event).hex(), ENCOUNTER_RULE, "refused", "state-cap")
        refused = EventRefused(id_, now, event.person, event.id, ENCOUNTER_RULE, "state-cap", event.source, why)
        return packed, (refused,)
    return kept, decision.effects


def expire(person: Person, now: Millis, world: World) -> Decision:
    """Fire the earliest deadline of *person* (mutated) that is not after *now*. Call it until no such deadline is left.

    The effects have the time of the deadline, not *now*: a worker that is late publishes the same effects.
    """
    deadline = next_deadline(person)
    if deadline is None or deadline > now:
        return Decision(person, ())
    due = [h for h in person.handoffs if h.next_at == deadline]
    if not due:
        return Decision(prune(person, deadline, world.catalogue.late_window_days), ())
    handoff = min(due, key=lambda h: (h.opened_at, h.id))
    seed = f"{uuid_text(handoff.id)}|{handoff.next_step}|{handoff.snoozed}|{deadline}"
    draft = EffectsDraft(person, deadline, cause=handoff.cause, seed=seed, source="clock")
    take_next_step(draft, handoff, world)
    return Decision(person, tuple(draft.effects))


def expire_packed(packed: bytes, now: Millis, world: World) -> tuple[bytes | None, tuple[Effect, ...]]:
    """Fire the earliest deadline of a packed state; return the packed state to keep and the effects."""
    decision = expire(unpack(packed), now, world)
    return None if decision.person is None else pack(decision.person), decision.effects


def after_failure(person: Person | None, key: PersonKey, now: Millis) -> Person:
    """Return the state to keep after a rule raised an exception: marked as incomplete, without the deadlines that are due."""
    person = person or Person(key)
    person.history_incomplete = True
    for handoff in person.handoffs:
        if handoff.next_at and handoff.next_at <= now:
            handoff.next_at = 0
    if person.prune_at and person.prune_at <= now:
        person.prune_at = now + DAY_MS
    return person


def _merge_or_forward(person: Person, event: Event, now: Millis, world: World) -> Decision:
    """Apply a merge, add a moved state, or forward an event to the key that the person was merged into."""
    draft = draft_of(person, event, now, identity(event).hex(), world.directory.default.zone, event.time)
    fact = event.data
    if isinstance(fact, PersonStateMoved):
        return Decision(*merge.take_in(person, fact, draft, now, world))
    if isinstance(fact, PersonMerged) and (not person.into or fact.into.key == person.into):
        # After a circle of merges this key belongs to a person again. The merge that was applied before must not be applied again.
        if person.into or count_repeat(person, identity(event)[:8]):
            draft.suppressed("duplicate", "These two records were merged before, so the event changes nothing.", mark=f"{event.arrival}")
            return Decision(person, tuple(draft.effects))
        return Decision(*merge.move_out(person, fact, draft, event))
    forward = EventForwarded(derive(draft.seed, "merge", "forwarded"), now, person.key, event.id, PersonRef(PersonKey(person.into)))
    return Decision(person, (forward,))
