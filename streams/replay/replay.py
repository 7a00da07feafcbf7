"""The replay: make the same decisions as the worker, in memory and without a broker.

Owns which lines are written for an arrival, an effect and a failed rule, and their order. Pure: the same arrivals and agents
give the same lines, byte for byte. Knows no care rules. The shards in memory (`streams/shard/memory.py`) make the decisions
and order the deadlines.

Records are applied in the order in which they are read. The current time is the latest arrival so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from streams.contract.effects import EventRefused
from streams.contract.events import Event, Millis
from streams.contract.instants import format_instant
from streams.contract.topics import DEAD_LETTER
from streams.intake.reading import Arrived
from streams.output.lines import Line, line_of_arrival, line_of_effect, lines_of_notes
from streams.shard.agent import Agent
from streams.shard.dead_letters import errors_in
from streams.shard.memory import Memory, Published


def replay(arrivals: Iterable[Arrived], agents: Sequence[Agent], until: Millis | None = None) -> Iterator[Line]:
    """Yield the lines for *arrivals* and for the effects that they cause.

    Args:
        arrivals: The events and refused records, in the order to apply them.
        agents: The agents, which must use a `MemoryForm`.
        until: After the last arrival, fire the deadlines up to this time, inclusive. Default: the latest arrival. An earlier
            time has no effect.
    """
    memory = Memory(agents)
    now: Millis | None = None
    for arrived in arrivals:
        if now is None or arrived.arrival > now:
            now = arrived.arrival
        if memory.due(before=now):
            yield from filter(None, map(_line, memory.fire(before=now)))
        if arrived.notes:
            yield from lines_of_notes(arrived)
        item = arrived.item
        if isinstance(item, Event):
            yield from filter(None, map(_line, memory.apply(item, now)))
        else:
            line = line_of_arrival(arrived)
            if line is not None:
                yield line
    limit = until if until is not None else now
    if limit is not None:
        yield from filter(None, map(_line, memory.fire(before=Millis(limit + 1))))


def _line(published: Published) -> Line | None:
    if published.topic == DEAD_LETTER.name and not isinstance(published.value, EventRefused):
        return _failed(published)
    return line_of_effect(published.value)


def _failed(dead_letter: Published) -> Line:
    """Return the line for a dead letter that the shard itself wrote because a rule raised an exception, for an event or a deadline."""
    errors = errors_in(dead_letter.headers)
    cause: Event | None = dead_letter.value
    return {
        "at": format_instant(Millis(int(errors["timestamp"]))),
        "effect": "refused",
        "id": cause.id if cause else None,
        "cause": cause.id if cause else None,
        "rule": None,
        "rule_version": None,
        "person": (dead_letter.key or b"").decode(),
        "reason": errors["code"],
        "source": cause.source if cause else None,
        "why": f"a rule failed with {errors['exception']}; from now on the person's history is incomplete",
    }
