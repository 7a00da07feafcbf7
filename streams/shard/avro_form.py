"""Records as they are on Kafka: framed Avro with CloudEvents headers.

Owns which codec function reads and writes each kind of record, and how a relay record wraps another one. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streams.avro.codec import STANDARD, Codec
from streams.base.clock import Clock
from streams.contract.cloudevents import attribute_headers, headers_of
from streams.contract.effects import Effect, EventRefused
from streams.contract.events import Event, Millis, PersonKey, RecordRelayed
from streams.contract.reasons import Refusal
from streams.contract.record import Headers
from streams.shard.agent import Origin, RecordRefused
from streams.shard.dead_letters import dead_letter


class AvroForm:
    """A form in which record values are bytes."""

    def __init__(self, codec: Codec = STANDARD, clock: Clock | None = None) -> None:
        self._codec = codec
        self._clock = clock or Clock()

    def read(self, origin: Origin, arrival: Millis) -> Event | RecordRefused:
        """Return the event in a record of an inbound topic, or why it cannot be read."""
        topic, _, record = origin
        headers: Sequence[tuple[str, bytes | None]] = record.headers
        event = self._codec.read_record(topic, record.key, record.value, headers, arrival)
        if not isinstance(event, Refusal) and isinstance(event.data, RecordRelayed):
            inner = event.data
            headers = inner.headers
            event = self._codec.read_record(inner.topic, record.key, inner.value, headers, self._clock.to_story(inner.timestamp))
        if isinstance(event, Refusal):
            return RecordRefused(event.code, "read", _source(headers))
        return event

    def read_effect(self, origin: Origin) -> tuple[str, Any] | RecordRefused:
        """Return (id, effect) of a record that another agent published, or why it cannot be read."""
        record = origin.record
        effect = self._codec.read_frame(record.value)
        if isinstance(effect, Refusal):
            return RecordRefused(effect.code, "read")
        identity = next((value for name, value in record.headers if name == "ce_id"), b"")
        if not identity:
            return RecordRefused("header-missing", "read")
        return identity.decode("utf-8", "replace"), effect

    def write(self, event: Event) -> tuple[bytes, Headers]:
        """Return the value and headers of a record for *event*."""
        return self._codec.frame(event.data), headers_of(event)

    def write_effect(self, effect: Effect, source: str) -> tuple[bytes, Headers]:
        """Return the value and headers of a record for *effect*, which the agent *source* publishes."""
        return self._codec.effect_record(effect), attribute_headers(type(effect).__name__, source, effect.id, effect.at)

    def wrap(self, key: bytes, origin: Origin, identity: str, source: str) -> tuple[bytes, Headers]:
        """Return the value and headers of a relay record that carries the unchanged record in *origin* to the shard of *key*."""
        topic, partition, record = origin
        at = Millis(record.timestamp)
        fact = RecordRelayed(topic, partition, record.offset, at, record.value, tuple(record.headers))
        return self.write(Event(identity, source, at, at, PersonKey(key.decode()), fact))

    def dead_letter(self, effect: EventRefused, origin: Origin) -> tuple[bytes | None, bytes | None, Headers]:
        """Return the key, value and headers of a dead letter: the unchanged record, plus headers with the reason."""
        return dead_letter(origin, RecordRefused(effect.reason, "decide", effect.source))


def _source(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Return the sender that a refused record names. It is not validated, so it may be wrong."""
    for name, value in headers:
        if name == "ce_source" and value:
            return value.decode("utf-8", "replace")[:100]
    return "unknown"
