"""The coordination agent: joins the rules of care to their topics.

Owns the translation between records and decisions, both ways: how a record becomes an event, which topic an effect goes
to, under which key, with which headers. Decides nothing itself: `Coordination` asks the rules, for the replay as for the
worker, and `CoordinationRecords` is what a shard sees of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agents.coordination.decide import decide_packed, expire_packed, spoil
from agents.coordination.person.state import pack, packed_deadline, packed_open, unpack
from agents.coordination.reference.ids import derive
from agents.coordination.rules.world import World
from agents.feeds.reports import Heard, event_of, record_of
from streams.avro.codec import STANDARD, Codec
from streams.base.clock import Clock
from streams.contract.cloudevents import headers_of, headers_said
from streams.contract.effects import (
    Effect,
    EffectSuppressed,
    EventForwarded,
    EventRefused,
    GapState,
    NotificationIssued,
    NotificationWithdrawn,
    StateMoved,
    TaskState,
)
from streams.contract.events import Event, Millis, PersonKey, PersonStateMoved, RecordRelayed
from streams.contract.reasons import Refusal
from streams.contract.topics import AUDIT, DEAD_LETTER, GAP, INBOUND, NOTIFICATION, RELAY, TASK
from streams.kafka.transactions import Headers
from streams.shard.agent import Outcome, Record, Refused

SOURCE: Final = "urn:carerelay:coordination"

PLACE_OF: Final[Mapping[type, str]] = {
    NotificationIssued: NOTIFICATION.name,
    NotificationWithdrawn: NOTIFICATION.name,
    TaskState: TASK.name,
    GapState: GAP.name,
    EffectSuppressed: AUDIT.name,
}
"""Where each effect goes. A refused event is a dead letter, a moved state goes over the relay: both are the shard's."""

_BY_HANDOFF: Final = frozenset({TaskState, GapState})
"""Effects whose key is their handoff's id: a read model keeps the newest of each. The others go under the person."""

Decided = tuple[bytes | None, Sequence[Effect]]


class Coordination:
    """The rules on packed states, as the replay asks for them. Pure: same arguments, same answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def decide(self, key: PersonKey, packed: bytes | None, event: Event, now: Millis) -> Decided:  # noqa: ARG002 -- the event has it
        """Apply one event: the state to keep (None: forget the person), and the effects."""
        return decide_packed(packed, event, now, self._world)

    def expire(self, key: PersonKey, packed: bytes, now: Millis) -> Decided:  # noqa: ARG002 -- the state has it
        """Fire the earliest deadline of the person, which is due at *now*."""
        return expire_packed(packed, now, self._world)

    def spoil(self, key: PersonKey, packed: bytes | None, now: Millis) -> bytes | None:
        """Flag that the person's history is incomplete: a rule raised, which is ours to mend."""
        return pack(spoil(None if packed is None else unpack(packed), key, now))

    def deadline(self, packed: bytes) -> Millis | None:
        """Return the earliest deadline in *packed*."""
        return packed_deadline(packed)

    def moved(self, effect: StateMoved, now: Millis) -> Event:
        """Return the event by which a merged person's state arrives at the key that goes on."""
        return Event(effect.id, SOURCE, effect.at, now, effect.into.key, PersonStateMoved(effect.person, effect.state))


class CoordinationRecords:
    """The same, as a shard asks for it: records in, records out."""

    inbound: Sequence[str] = tuple(topic.name for topic in sorted(INBOUND, key=lambda t: t.rank))
    relay = RELAY.name
    dead_letters = DEAD_LETTER.name

    def __init__(self, rules: Coordination, codec: Codec = STANDARD, clock: Clock | None = None) -> None:
        self._rules = rules
        self._codec = codec
        self._clock = clock or Clock()
        self._heard = Heard()

    def read(self, topic: str, record: Record, arrival: Millis) -> tuple[bytes, Event] | Refused:
        """Return (person key, event) of *record*, or why it can't be read. A relayed record is read as what it carries."""
        headers: Sequence[tuple[str, bytes | None]] = record.headers
        event = self._codec.read_record(topic, record.key, record.value, headers, arrival)
        if not isinstance(event, Refusal) and isinstance(event.data, RecordRelayed):
            inner = event.data
            headers = inner.headers
            event = self._codec.read_record(inner.topic, record.key, inner.value, headers, self._clock.to_story(inner.timestamp))
        if isinstance(event, Refusal):
            return Refused(event.code, "read", _source(headers))
        return record.key or b"", event

    def decide(self, key: bytes, packed: bytes | None, event: Event, now: Millis) -> Outcome:  # noqa: ARG002 -- the event has it
        """Apply one event."""
        kept, effects = self._rules.decide(event.person, packed, event, now)
        outcome = self._outcome(kept, effects, event.source)
        heard = self._heard.news(event)
        return outcome if heard is None else outcome._replace(keyed=(record_of(event_of(heard, event), self._codec),))

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        """Fire the earliest deadline of the person."""
        kept, effects = self._rules.expire(PersonKey(key.decode()), packed, now)
        return self._outcome(kept, effects)

    def spoil(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        """Flag that the person's history is incomplete."""
        return self._rules.spoil(PersonKey(key.decode()), packed, now)

    deadline = staticmethod(packed_deadline)
    open_handoffs = staticmethod(packed_open)

    def wrap(self, topic: str, partition: int, key: bytes, record: Record) -> tuple[bytes, Headers]:
        """Return value and headers of the relay record that carries *record* as it is to the shard of *key*."""
        if topic == RELAY.name:
            return record.value or b"", record.headers
        at = Millis(record.timestamp)
        fact = RecordRelayed(topic, partition, record.offset, at, record.value, tuple(record.headers))
        identity = derive("relay", topic, str(partition), str(record.offset))
        event = Event(identity, SOURCE, at, at, PersonKey(key.decode()), fact)
        return self._codec.frame(fact), headers_of(event)

    def _outcome(self, kept: bytes | None, effects: Sequence[Effect], source: str = "") -> Outcome:
        if not effects:
            return Outcome(kept, source=source)
        records: list[tuple[str, bytes, bytes | None, Headers]] = []
        relayed: list[tuple[bytes, bytes, Headers]] = []
        kinds: list[str] = []
        refused: Refused | None = None
        forward: bytes | None = None
        encode = self._codec.effect_record
        for effect in effects:
            kind = type(effect)
            name = kind.__name__
            kinds.append(name)
            place = PLACE_OF.get(kind)
            if place is not None:
                key: str = effect.handoff if kind in _BY_HANDOFF else effect.person  # type: ignore[union-attr, assignment]
                records.append((place, key.encode(), encode(effect), headers_said(name, SOURCE, effect.id, effect.at)))
            elif isinstance(effect, EventRefused):
                refused = Refused(effect.reason, "decide", effect.source)
            elif isinstance(effect, StateMoved):
                event = self._rules.moved(effect, effect.at)
                relayed.append((event.person.encode(), self._codec.frame(event.data), headers_of(event)))
            elif isinstance(effect, EventForwarded):
                forward = effect.into.key.encode()
        return Outcome(kept, records, refused, relayed, kinds, forward, source=source)


def _source(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Return the sender that a refused record names; who may be wrong about it too."""
    for name, value in headers:
        if name == "ce_source" and value:
            return value.decode("utf-8", "replace")[:100]
    return "unknown"
