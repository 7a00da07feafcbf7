"""The coordination agent: connects the care rules to their topics.

Owns the topic and key of each effect, and what one shard sends to another. `decide.py` makes the decisions, and the agent's
`Form` reads and writes the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agents.coordination.decide import after_failure, decide_packed, expire_packed
from agents.coordination.person.state import pack, packed_deadline, packed_open, unpack
from agents.coordination.reference.ids import derive
from agents.coordination.rules.world import World
from streams.contract.effects import Effect, EventForwarded, EventRefused, StateMoved
from streams.contract.events import Event, Millis, PersonKey, PersonStateMoved
from streams.contract.record import Headers
from streams.contract.topics import DEAD_LETTER, INBOUND, KEYED_BY_HANDOFF, RELAY, TOPIC_OF_EFFECT
from streams.shard.agent import BY_KEY, OWN_SHARD, Form, Origin, Outcome, Publication, RecordRefused

SOURCE: Final = "urn:carerelay:coordination"


class CoordinationAgent:
    """Applies the rules of *world*. *form* reads and writes the records."""

    inbound: Sequence[str] = tuple(topic.name for topic in sorted(INBOUND, key=lambda t: t.rank))
    relay = RELAY.name
    dead_letters = DEAD_LETTER.name

    def __init__(self, world: World, form: Form) -> None:
        self._world = world
        self._form = form

    def read(self, origin: Origin, arrival: Millis) -> tuple[bytes, Event] | RecordRefused:
        """Return (person key, event) of a record, or why it cannot be read."""
        event = self._form.read(origin, arrival)
        if isinstance(event, RecordRefused):
            return event
        return origin.record.key or b"", event

    def decide(self, key: bytes, packed: bytes | None, event: Event, now: Millis, origin: Origin) -> Outcome:  # noqa: ARG002 -- the event holds the key
        """Apply one event."""
        kept, effects = decide_packed(packed, event, now, self._world)
        return self._outcome(kept, effects, event.source, origin)

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:  # noqa: ARG002 -- the state holds the key
        """Fire the earliest deadline of the person."""
        kept, effects = expire_packed(packed, now, self._world)
        return self._outcome(kept, effects)

    def after_failure(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state without due deadlines and with the history marked as incomplete, because a rule raised an exception."""
        return pack(after_failure(None if packed is None else unpack(packed), PersonKey(key.decode()), now))

    deadline = staticmethod(packed_deadline)
    open_handoffs = staticmethod(packed_open)

    def wrap(self, key: bytes, origin: Origin) -> tuple[object, Headers]:
        """Return the value and headers of a relay record that carries the record in *origin* to the shard of *key*.

        A record that is already a relay record is not wrapped again.
        """
        record = origin.record
        if origin.topic == RELAY.name:
            return record.value or b"", record.headers
        identity = derive("relay", origin.topic, str(origin.partition), str(record.offset))
        return self._form.wrap(key, origin, identity, SOURCE)

    def _outcome(self, kept: bytes | None, effects: Sequence[Effect], source: str = "", origin: Origin | None = None) -> Outcome:
        if not effects:
            return Outcome(kept, source=source)
        publish: list[Publication] = []
        kinds: list[str] = []
        refused: RecordRefused | None = None
        write = self._form.write_effect
        for effect in effects:
            kind = type(effect)
            kinds.append(kind.__name__)
            topic = TOPIC_OF_EFFECT.get(kind)
            if topic is not None:
                key: str = effect.handoff if kind in KEYED_BY_HANDOFF else effect.person  # type: ignore[union-attr, assignment]
                publish.append((OWN_SHARD, topic, key.encode(), *write(effect, SOURCE)))
            elif isinstance(effect, StateMoved):
                publish.append((BY_KEY, RELAY.name, effect.into.key.encode(), *self._form.write(moved_event(effect))))
            elif isinstance(effect, EventForwarded) and origin is not None:
                into = effect.into.key.encode()
                publish.append((BY_KEY, RELAY.name, into, *self.wrap(into, origin)))
            elif isinstance(effect, EventRefused) and origin is not None:
                refused = RecordRefused(effect.reason, "decide", effect.source)
                publish.append((OWN_SHARD, DEAD_LETTER.name, *self._form.dead_letter(effect, origin)))
        return Outcome(kept, publish, kinds, source, refused)


def moved_event(effect: StateMoved) -> Event:
    """Return the event that carries the state of a merged person to the surviving person key."""
    return Event(effect.id, SOURCE, effect.at, effect.at, effect.into.key, PersonStateMoved(effect.person, effect.state))
