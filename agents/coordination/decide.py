"""Deciding: one event, or one deadline, and a person's state make a new state and effects. The core of coordination.

Owns the frame of a decision: what was seen before, what is forgotten, what is too large, what goes elsewhere. Pure: no clock,
no I/O, no randomness; the same arguments give the same decision for ever. The person passed in is used up: callers keep
packed states and unpack anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agents.coordination.application import apply, draft_of
from agents.coordination.handoffs import merge
from agents.coordination.handoffs.effects_draft import ENCOUNTER_RULE, EffectsDraft
from agents.coordination.handoffs.ladder import climb
from agents.coordination.person.retention import prune, remember_seen, times_seen
from agents.coordination.person.state import Person, next_deadline, pack, packed_deadline, unpack
from agents.coordination.reference.ids import derive, identity, uuid_text
from agents.coordination.rules.world import World
from streams.contract.effects import Effect, EventForwarded, EventRefused
from streams.contract.events import Event, Millis, PersonKey, PersonMerged, PersonRef, PersonStateMoved
from streams.contract.topics import DAY_MS

__all__ = ["Decision", "decide", "decide_packed", "expire", "expire_packed", "next_deadline", "packed_deadline", "spoil"]

_ACROSS: Final = frozenset({PersonStateMoved, PersonMerged})
"""Facts about two persons."""

_PRUNE_AFTER_MS: Final = 32 * DAY_MS
"""When the first of a person's short-lived records may go (`retention.KEPT`)."""


class Decision(NamedTuple):
    """The state to keep (None: nothing is left to keep) and the effects to publish, in their order."""

    person: Person | None
    effects: tuple[Effect, ...]


def decide(person: Person | None, event: Event, now: Millis, world: World) -> Decision:
    """Apply *event*, whose arrival is *now* or earlier, to *person* (None: not heard of before; used up).

    What can't be applied gives an EventRefused with its reason. It never raises for what a publisher says. The cap of a
    state's size is `decide_packed`'s, for it can only be told from the packed form.
    """
    if person is None:
        person = Person(event.person)
    if person.into or type(event.data) in _ACROSS:
        return _across(person, event, now, world)
    named = identity(event)
    hashed = named[:8]
    repeats = times_seen(person, hashed) if person.seen else 0
    if repeats:
        draft = draft_of(person, event, now, named.hex(), world.directory.default.zone, event.time)
        draft.suppressed("duplicate", f"Event {event.id} was applied before.", mark=f"{repeats}|{event.arrival}")
        return Decision(person, tuple(draft.effects))
    if person.prune_at and person.prune_at <= now:
        person = prune(person, now, world.catalogue.late_window_days) or Person(event.person)
    effects = apply(person, event, now, named.hex(), world)
    remember_seen(person, hashed, event.arrival)
    person.prune_at = person.prune_at or now + _PRUNE_AFTER_MS
    return Decision(person, effects)


def decide_packed(packed: bytes | None, event: Event, now: Millis, world: World) -> tuple[bytes | None, tuple[Effect, ...]]:
    """Apply *event* to a packed state; return the packed state to keep and the effects.

    An event that would make the state larger than its cap is refused with `state-cap`, and the state stays as it was.
    """
    decision = decide(None if packed is None else unpack(packed), event, now, world)
    kept = None if decision.person is None else pack(decision.person)
    most = world.settings.state_bytes_max
    if kept is not None and len(kept) > most and len(kept) > len(packed or b""):
        why = f"The state of this person would grow over {most} bytes."
        id_ = derive(identity(event).hex(), ENCOUNTER_RULE, "refused", "state-cap")
        refused = EventRefused(id_, now, event.person, event.id, ENCOUNTER_RULE, "state-cap", event.source, why)
        return packed, (refused,)
    return kept, decision.effects


def expire(person: Person, now: Millis, world: World) -> Decision:
    """Fire the earliest deadline of *person* (used up), which is not after *now*; call again while one is.

    Effects bear the deadline's own instant, not *now*: a late worker says what was true when.
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
    climb(draft, handoff, world)
    return Decision(person, tuple(draft.effects))


def expire_packed(packed: bytes, now: Millis, world: World) -> tuple[bytes | None, tuple[Effect, ...]]:
    """Fire the earliest deadline of a packed state; return the packed state to keep and the effects."""
    decision = expire(unpack(packed), now, world)
    return None if decision.person is None else pack(decision.person), decision.effects


def spoil(person: Person | None, key: PersonKey, now: Millis) -> Person:
    """Return the state to keep after a rule raised: history is incomplete, and a deadline that is due is taken away."""
    person = person or Person(key)
    person.history_incomplete = True
    for handoff in person.handoffs:
        if handoff.next_at and handoff.next_at <= now:
            handoff.next_at = 0
    if person.prune_at and person.prune_at <= now:
        person.prune_at = now + DAY_MS
    return person


def _across(person: Person, event: Event, now: Millis, world: World) -> Decision:
    """Apply a merge, take in a moved state, or send on what came for a person who goes on under another key."""
    draft = draft_of(person, event, now, identity(event).hex(), world.directory.default.zone, event.time)
    fact = event.data
    if isinstance(fact, PersonStateMoved):
        return Decision(*merge.take_in(person, fact, draft, now, world))
    if isinstance(fact, PersonMerged) and (not person.into or fact.into.key == person.into):
        # Who was merged in a circle is alive again, and knows the merge that it once ended with.
        if person.into or times_seen(person, identity(event)[:8]):
            draft.suppressed("duplicate", "The two records were merged before.", mark=f"{event.arrival}")
            return Decision(person, tuple(draft.effects))
        return Decision(*merge.give_up(person, fact, draft, event))
    forward = EventForwarded(derive(draft.seed, "merge", "forwarded"), now, person.key, event.id, PersonRef(PersonKey(person.into)))
    return Decision(person, (forward,))
