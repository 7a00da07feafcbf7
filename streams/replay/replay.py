"""The replay: the decisions of the worker, from files, in memory, without a broker.

Owns the order of records and deadlines when there is no log to give it. Pure: the same arrivals and rules give the
same lines, byte for byte. Knows no rule of care; what an event means is the `Deciding`'s, the same that the worker asks.

The order: records as they are read; "now" is the running maximum of their arrivals. A deadline at T fires before the
first record later than T, deadlines among themselves by (T, person key). At the end, what is due until a given time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from streams.contract.effects import Effect, EventForwarded, StateMoved
from streams.contract.events import Event, Millis, PersonKey
from streams.contract.instants import format_instant
from streams.intake.reading import Arrived
from streams.output.lines import Line, line_of_arrival, line_of_effect, lines_of_notes

SAME_INSTANT_MAX = 10_000
"""Deadlines of one person at one instant. More is a rule that never lets go of its deadline: ours to mend."""

Decided = tuple[bytes | None, Sequence[Effect]]
"""The state to keep, packed (None: forget the person), and the effects."""


class Deciding(Protocol):
    """What a replay asks of an agent. Pure: same arguments, same answer."""

    def decide(self, key: PersonKey, packed: bytes | None, event: Event, now: Millis) -> Decided:
        """Apply one event."""

    def expire(self, key: PersonKey, packed: bytes, now: Millis) -> Decided:
        """Fire the earliest deadline of the person, which is due at *now*."""

    def spoil(self, key: PersonKey, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state with the flag that history is incomplete, after a rule raised for this person."""

    def deadline(self, packed: bytes) -> Millis | None:
        """Return the earliest deadline in *packed*."""

    def moved(self, effect: StateMoved, now: Millis) -> Event:
        """Return the event by which a merged person's state arrives at the key that goes on."""


class EndlessDeadline(Exception):  # noqa: N818 -- it names the finding
    """A deadline fired and is still there."""


def replay(arrivals: Iterable[Arrived], rules: Deciding, until: Millis | None = None) -> Iterator[Line]:
    """Yield a line for everything that *arrivals* lead to; what is due until *until* (default: the last arrival) fires.

    *until* before the last arrival changes nothing: a deadline before it has fired ahead of a later record by then.
    """
    persons = _Persons(rules)
    now: Millis | None = None
    for arrived in arrivals:
        now = arrived.arrival if now is None else max(now, arrived.arrival)
        yield from persons.fire(before=now)
        if arrived.notes:
            yield from lines_of_notes(arrived)
        item = arrived.item
        if isinstance(item, Event):
            yield from persons.apply(item, now)
        else:
            line = line_of_arrival(arrived)
            if line is not None:
                yield line
    limit = until if until is not None else now
    if limit is not None:
        yield from persons.fire(before=Millis(limit + 1))


class _Persons:
    """The packed states, and an index of their deadlines."""

    def __init__(self, rules: Deciding) -> None:
        self._rules = rules
        self._packed: dict[PersonKey, bytes] = {}
        self._due: list[tuple[Millis, PersonKey]] = []
        self._next: dict[PersonKey, Millis] = {}

    def fire(self, before: Millis) -> Iterator[Line]:
        """Fire what is due before *before*, in the order of time and key."""
        streak, last = 0, None
        while self._due and self._due[0][0] < before:
            at, key = heapq.heappop(self._due)
            if self._next.get(key) != at:  # The state has moved on since this entry was made.
                continue
            del self._next[key]
            streak = streak + 1 if last == (at, key) else 0
            last = at, key
            if streak > SAME_INSTANT_MAX:
                raise EndlessDeadline(f"the deadline at {format_instant(at)} fires again and again; this is an error in a rule")
            packed = self._packed[key]
            try:
                kept, effects = self._rules.expire(key, packed, at)
            except Exception as exc:  # noqa: BLE001 -- as in the worker: one rule must not stop the other persons
                yield _failed(exc, at, key, cause=None)
                self._keep(key, self._rules.spoil(key, packed, at))
                continue
            self._keep(key, kept)
            yield from self._tell(effects)

    def apply(self, event: Event, now: Millis) -> Iterator[Line]:
        """Decide *event* and keep what comes of it."""
        key = event.person
        packed = self._packed.get(key)
        try:
            kept, effects = self._rules.decide(key, packed, event, now)
        except Exception as exc:  # noqa: BLE001 -- as in the worker: one rule must not stop the other persons
            yield _failed(exc, now, key, cause=event)
            self._keep(key, self._rules.spoil(key, packed, now))
            return
        self._keep(key, kept)
        yield from self._tell(effects)
        for effect in effects:
            # What the worker's shards send each other over the relay arrives here at once.
            if isinstance(effect, StateMoved):
                yield from self.apply(self._rules.moved(effect, now), now)
            elif isinstance(effect, EventForwarded):
                yield from self.apply(msgspec.structs.replace(event, person=effect.into.key), now)

    @staticmethod
    def _tell(effects: Sequence[Effect]) -> Iterator[Line]:
        for effect in effects:
            line = line_of_effect(effect)
            if line is not None:
                yield line

    def _keep(self, key: PersonKey, packed: bytes | None) -> None:
        if packed is None:
            self._packed.pop(key, None)
            self._next.pop(key, None)
            return
        self._packed[key] = packed
        deadline = self._rules.deadline(packed)
        if deadline is None:
            self._next.pop(key, None)
        elif self._next.get(key) != deadline:
            self._next[key] = deadline
            heapq.heappush(self._due, (deadline, key))


def _failed(exc: Exception, at: Millis, key: PersonKey, cause: Event | None) -> Line:
    return {
        "at": format_instant(at),
        "effect": "refused",
        "id": cause.id if cause else None,
        "cause": cause.id if cause else None,
        "rule": None,
        "rule_version": None,
        "person": key,
        "reason": "rule-failed",
        "source": cause.source if cause else None,
        "why": f"a rule failed with {type(exc).__name__}; from now on the person's history is incomplete",
    }
