"""History as it stands on the topics, in the order in which shards apply it. Reads only: no group, no commit, no record written.

Owns the reading of the inbound topics between two sets of offsets, and what is known of the people whose beginning is
not in it. The order of a shard is the shard's own (`streams/shard/order.py`); here shards are only put side by side. Knows no rule of care.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.avro.codec import STANDARD
from streams.base.clock import Clock
from streams.contract.events import Event, Millis, PersonKey, PersonStateMoved, RecordRelayed
from streams.contract.person_key import partition_of
from streams.contract.reasons import Refusal
from streams.contract.topics import INBOUND
from streams.intake.reading import Arrived
from streams.kafka.admin import NoTopics
from streams.shard.deadlines import NEVER
from streams.shard.order import Arrivals, Batch

QUEUED_MAX = 4000
"""Records of one partition that wait for older ones of others; beyond it the partition is not fetched."""
_FETCH_MS = 200
_BEGINNINGS: Mapping[str, str] = {"PatientAdmitted": "encounter", "EncounterPlanned": "encounter", "ReferralRequested": "referral"}
"""The events with which a stay or a referral begins, and the field that names it."""


class Span(msgspec.Struct, frozen=True):
    """What of one partition is read: from the earliest retained offset up to where the window ends."""

    topic: str
    partition: int
    begin: int
    end: int


class Boundaries(msgspec.Struct, frozen=True):
    """What of the topics is read. Found once, so that both catalogues see the same history."""

    spans: tuple[Span, ...]
    partitions: int

    @property
    def cut_shards(self) -> frozenset[int]:
        """The shards of which something was deleted: their people may have a past that nobody sees."""
        return frozenset(span.partition for span in self.spans if span.begin > 0)


async def find_boundaries(kafka: Mapping[str, Any], until_ms: int) -> Boundaries:
    """Find what is retained up to the broker's time *until_ms*. Raises KafkaError, NoTopics."""
    names = [topic.name for topic in INBOUND]
    counts = await _partitions(kafka, names)
    places = [TopicPartition(name, n) for name in names for n in range(counts[name])]
    if len(set(counts.values())) != 1:
        raise NoTopics(f"the inbound topics have different numbers of partitions: {counts}. Run: carerelay topics check")
    consumer = _consumer(kafka)
    await consumer.start()
    try:
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        later = await consumer.offsets_for_times(dict.fromkeys(places, until_ms + 1))
        spans = []
        for place in places:
            stop = later.get(place)
            end = ends[place] if stop is None else min(stop.offset, ends[place])
            spans.append(Span(place.topic, place.partition, begins[place], max(end, begins[place])))
        return Boundaries(tuple(spans), counts[names[0]])
    finally:
        await consumer.stop()


class TopicHistory:
    """The events between *boundaries*, in the order (time, rank, partition, offset): within a shard the shard's own."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        boundaries: Boundaries,
        clock: Clock,
        learn: Callable[[list[bytes | None]], Awaitable[None]] | None = None,
    ) -> None:
        self._kafka = dict(kafka)
        self._boundaries = boundaries
        self._clock = clock
        self._learn = learn
        self.refused: Counter[str] = Counter()
        """Records that could not be read, by reason."""
        self._begins = {(span.topic, span.partition): span.begin for span in boundaries.spans}
        self._astray: set[tuple[str, int, int]] = set()

    @property
    def misrouted(self) -> int:
        """Return how many records in another partition than their key's have no relay in the history: no shard has applied them."""
        return len(self._astray)

    def arrivals(self) -> Iterator[Arrived]:
        """Yield the events. Raises KafkaError; OffsetOutOfRangeError where retention has moved on meanwhile."""
        with asyncio.Runner() as runner:
            fetching = _Fetching(self._kafka, self._boundaries, self._learn)
            try:
                runner.run(fetching.start())
                while (found := runner.run(fetching.ready())) is not None:
                    for key, record in found:
                        event = self._event(record, self._clock.to_story(key >> 4))
                        if event is not None:
                            yield Arrived(event, event.arrival, f"{record.topic}/{record.partition}/{record.offset}")
            finally:
                runner.run(fetching.stop())

    def _event(self, record: ConsumerRecord, arrival: Millis) -> Event | None:
        event = STANDARD.read_record(record.topic, record.key, record.value, record.headers, arrival)
        if not isinstance(event, Event):
            self._refuse(event)
            return None
        data = event.data
        if isinstance(data, PersonStateMoved):
            return None  # The replay moves the state itself: what was moved then came of another catalogue.
        here = partition_of(record.key, self._boundaries.partitions)
        if not isinstance(data, RecordRelayed):
            if here == record.partition:
                return event
            # Its shard relays it, and applies it where the relay puts it.
            self._astray.add((record.topic, record.partition, record.offset))
            return None
        origin = data.topic, data.partition, data.offset
        if origin in self._astray:
            self._astray.remove(origin)
        elif data.offset >= self._begins[data.topic, data.partition]:
            return None  # Its own shard had applied it and sent it on after a merge: the replay forwards it itself.
        inner = STANDARD.read_record(data.topic, record.key, data.value, list(data.headers), self._clock.to_story(data.timestamp))
        if isinstance(inner, Event):
            return inner
        self._refuse(inner)
        return None

    def _refuse(self, refusal: Refusal) -> None:
        self.refused[refusal.code] += 1


class MergedShards:
    """The records of all shards in one order, as far as it can be known: each shard's in its own, (time, rank, offset)."""

    def __init__(self, spans: Iterable[Span], topics: Sequence[str]) -> None:
        """Take the topics in the order of their rank; nothing is read of what is in no span."""
        self._spans = {(span.topic, span.partition): span for span in spans}
        self._shards: dict[int, Arrivals] = {}
        for number in sorted({partition for _, partition in self._spans}):
            begins = {topic: self._spans[topic, number].begin if (topic, number) in self._spans else 0 for topic in topics}
            self._shards[number] = shard = Arrivals(topics)
            shard.begin(begins, {})
        self.unread = {place for place, span in self._spans.items() if span.begin < span.end}
        """Partitions that are not read to their end."""
        for number in self._shards:
            self._read(number, [topic for topic in topics if (topic, number) not in self.unread])

    @property
    def done(self) -> bool:
        return not self.unread and not any(shard.waiting for shard in self._shards.values())

    def full(self) -> list[tuple[str, int]]:
        """Return the partitions of which enough waits: the others are what they wait for."""
        return sorted(place for place in self.unread if self._shards[place[1]].queued(place[0]) > QUEUED_MAX)

    def add(self, place: tuple[str, int], records: Iterable[Any], stop: int) -> None:
        """Take what was fetched of *place* up to *stop*; what lies beyond its span is left out."""
        topic, number = place
        shard, end = self._shards[number], self._spans[place].end
        shard.arrived(Batch(topic, number, shard.reached(topic), min(stop, end), [r for r in records if r.offset < end], 0))
        if stop >= end:
            self.unread.discard(place)
            self._read(number, [topic])

    def take(self) -> list[tuple[int, Any]]:
        """Return (order key, record), in their order, of the records that nothing unread can precede."""
        limit = min((shard.limit for shard in self._shards.values()), default=NEVER)
        found = [(key, number, record) for number, shard in self._shards.items() for _, key, record in shard.take(limit, NEVER)]
        # Each shard's are in order already. Those of one instant come by rank and shard, as their key and this sort leave them.
        found.sort(key=itemgetter(0, 1))
        return [(key, record) for key, _, record in found]

    def _read(self, number: int, topics: Iterable[str]) -> None:
        """Note that nothing more comes of *topics* in a shard."""
        self._shards[number].probed(dict.fromkeys(topics, 0), 0, NEVER)


class _Fetching:
    """A consumer without a group that fills the shards."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        boundaries: Boundaries,
        learn: Callable[[list[bytes | None]], Awaitable[None]] | None,
    ) -> None:
        self._kafka = kafka
        self._begins = {TopicPartition(s.topic, s.partition): s.begin for s in boundaries.spans if s.begin < s.end}
        self._learn = learn
        self._shards = MergedShards(boundaries.spans, [topic.name for topic in sorted(INBOUND, key=lambda t: t.rank)])
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        self._consumer = _consumer(self._kafka)
        await self._consumer.start()
        self._consumer.assign(sorted(self._begins))
        for place, offset in self._begins.items():
            self._consumer.seek(place, offset)

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def ready(self) -> list[tuple[int, ConsumerRecord]] | None:
        """Return records that nothing unread precedes, in their order; None at the end."""
        while not self._shards.done:
            found = self._shards.take()
            if found:
                return found
            await self._fetch()
        return None

    async def _fetch(self) -> None:
        consumer, shards = self._consumer, self._shards
        assert consumer is not None  # noqa: S101 -- `start` comes first
        full = {TopicPartition(*place) for place in shards.full()}
        unread = {TopicPartition(*place) for place in shards.unread}
        consumer.pause(*full)
        consumer.resume(*(unread - full))
        fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
        if self._learn is not None:
            await self._learn([record.value for records in fetched.values() for record in records])
        for place in sorted(unread):
            # Without a record too: the position moves over aborted ones.
            shards.add(place, fetched.get(place, ()), await consumer.position(place))
        consumer.pause(*(unread - {TopicPartition(*place) for place in shards.unread}))


async def _partitions(kafka: Mapping[str, Any], names: list[str]) -> dict[str, int]:
    """Return how many partitions each topic has. Raises NoTopics where one is not there."""
    admin = AIOKafkaAdminClient(**dict(kafka))
    await admin.start()
    try:
        missing = sorted(set(names) - set(await admin.list_topics()))
        if missing:
            raise NoTopics(f"topic {missing[0]} does not exist. Run: carerelay topics create")
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}
    finally:
        await admin.close()


def _consumer(kafka: Mapping[str, Any]) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **dict(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=1 << 20,
    )


class People:
    """Who is in a history, and of whom it has not the beginning."""

    def __init__(self, boundaries: Boundaries | None = None) -> None:
        self.events = 0
        self._boundaries = boundaries
        self._seen: set[PersonKey] = set()
        self._named: dict[tuple[PersonKey, str, object], None] = {}
        self._begun: set[tuple[PersonKey, str, object]] = set()

    def watch(self, arrivals: Iterable[Arrived]) -> Iterator[Arrived]:
        """Yield *arrivals* as they are."""
        for arrived in arrivals:
            if isinstance(arrived.item, Event):
                self._look(arrived.item)
            yield arrived

    @property
    def count(self) -> int:
        return len(self._seen)

    def begin_missing(self) -> list[PersonKey]:
        """Return, sorted, the people with a stay or referral that is spoken of and never begins in this history."""
        return sorted({thing[0] for thing in self._named if thing not in self._begun})

    def may_be_missing(self) -> int:
        """Count the people of shards of which something was deleted: nobody can say whether they had a past."""
        if self._boundaries is None:
            return 0
        cut, partitions = self._boundaries.cut_shards, self._boundaries.partitions
        return sum(1 for key in self._seen if partition_of(key.encode(), partitions) in cut) if cut else 0

    def _look(self, event: Event) -> None:
        self.events += 1
        key, fact = event.person, event.data
        self._seen.add(key)
        for field in ("encounter", "referral"):
            name: Any = getattr(fact, field, None)
            if not name or (field == "encounter" and not name.visit):
                continue
            thing = (key, field, name)
            if _BEGINNINGS.get(event.type) == field:
                self._begun.add(thing)
            else:
                self._named[thing] = None
