"""Read past events from the inbound topics, in the order in which the shards apply them.

Owns how the topics are read between two sets of offsets, and which people's history is incomplete there. Read-only: it joins
no consumer group, commits no offset and writes no record. The order within a shard comes from `streams/shard/order.py`; this
file only merges the shards. Knows no care rules.
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
"""A partition with more queued records than this is not fetched until older records of other partitions have arrived."""
_FETCH_MS = 200
_BEGINNINGS: Mapping[str, str] = {"PatientAdmitted": "encounter", "EncounterPlanned": "encounter", "ReferralRequested": "referral"}
"""The events that begin an encounter or a referral, and the field that identifies it."""


class Span(msgspec.Struct, frozen=True):
    """The offsets of one partition to read: from the earliest retained offset to the end of the window."""

    topic: str
    partition: int
    begin: int
    end: int


class Boundaries(msgspec.Struct, frozen=True):
    """The offsets of all topics to read. Determined once, so that both catalogues see the same history."""

    spans: tuple[Span, ...]
    partitions: int

    @property
    def cut_shards(self) -> frozenset[int]:
        """The shards with deleted records: the history of their people may be incomplete."""
        return frozenset(span.partition for span in self.spans if span.begin > 0)


async def find_boundaries(kafka: Mapping[str, Any], until_ms: int) -> Boundaries:
    """Find the retained offsets up to the append time *until_ms* (ms). Raises KafkaError, NoTopics."""
    names = [topic.name for topic in INBOUND]
    counts = await _partitions(kafka, names)
    tps = [TopicPartition(name, n) for name in names for n in range(counts[name])]
    if len(set(counts.values())) != 1:
        raise NoTopics(f"the inbound topics have different numbers of partitions: {counts}. Run: carerelay topics check")
    consumer = _consumer(kafka)
    await consumer.start()
    try:
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        later = await consumer.offsets_for_times(dict.fromkeys(tps, until_ms + 1))
        spans = []
        for tp in tps:
            stop = later.get(tp)
            end = ends[tp] if stop is None else min(stop.offset, ends[tp])
            spans.append(Span(tp.topic, tp.partition, begins[tp], max(end, begins[tp])))
        return Boundaries(tuple(spans), counts[names[0]])
    finally:
        await consumer.stop()


class TopicHistory:
    """The events within *boundaries*, in the order (append time, rank, partition, offset).

    Within a shard, this is the order in which the shard applies them. *learn* is awaited with the values of the fetched
    records before they are decoded.
    """

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
        """The number of records that could not be read, by reason."""
        self._begins = {(span.topic, span.partition): span.begin for span in boundaries.spans}
        self._misrouted: set[tuple[str, int, int]] = set()

    @property
    def misrouted(self) -> int:
        """How many records are in the wrong partition for their key and have no relay record in this history. No shard has applied them."""
        return len(self._misrouted)

    def arrivals(self) -> Iterator[Arrived]:
        """Yield the events. Raises KafkaError, and OffsetOutOfRangeError if retention has deleted records in the meantime."""
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
            return None  # The replay moves the state of merged people itself. This record holds state from another catalogue.
        here = partition_of(record.key, self._boundaries.partitions)
        if not isinstance(data, RecordRelayed):
            if here == record.partition:
                return event
            # The shard that reads this record relays it to the right shard, which applies the relay record.
            self._misrouted.add((record.topic, record.partition, record.offset))
            return None
        origin = data.topic, data.partition, data.offset
        if origin in self._misrouted:
            self._misrouted.remove(origin)
        elif data.offset >= self._begins[data.topic, data.partition]:
            return None  # The original is in this history and was forwarded because of a merge. The replay forwards it itself.
        inner = STANDARD.read_record(data.topic, record.key, data.value, list(data.headers), self._clock.to_story(data.timestamp))
        if isinstance(inner, Event):
            return inner
        self._refuse(inner)
        return None

    def _refuse(self, refusal: Refusal) -> None:
        self.refused[refusal.code] += 1


class MergedShards:
    """The records of all shards, merged by (append time, rank, partition, offset)."""

    def __init__(self, spans: Iterable[Span], topics: Sequence[str]) -> None:
        """Prepare to read *spans*. *topics* are ordered by rank; partitions without a span are not read."""
        self._spans = {(span.topic, span.partition): span for span in spans}
        self._shards: dict[int, Arrivals] = {}
        for number in sorted({partition for _, partition in self._spans}):
            begins = {topic: self._spans[topic, number].begin if (topic, number) in self._spans else 0 for topic in topics}
            self._shards[number] = shard = Arrivals(topics)
            shard.begin(begins, {})
        self.unread = {tp for tp, span in self._spans.items() if span.begin < span.end}
        """The partitions that are not yet read to the end of their span."""
        for number in self._shards:
            self._end(number, [topic for topic in topics if (topic, number) not in self.unread])

    @property
    def done(self) -> bool:
        return not self.unread and not any(shard.waiting for shard in self._shards.values())

    def full(self) -> list[tuple[str, int]]:
        """Return the partitions that have enough queued records and wait for other partitions."""
        return sorted(tp for tp in self.unread if self._shards[tp[1]].queued(tp[0]) > QUEUED_MAX)

    def add(self, tp: tuple[str, int], records: Iterable[Any], stop: int) -> None:
        """Queue the fetched *records* of the partition *tp* up to the offset *stop*. Ignore records beyond its span."""
        topic, number = tp
        shard, end = self._shards[number], self._spans[tp].end
        shard.arrived(Batch(topic, number, shard.reached(topic), min(stop, end), [r for r in records if r.offset < end], 0))
        if stop >= end:
            self.unread.discard(tp)
            self._end(number, [topic])

    def take(self) -> list[tuple[int, Any]]:
        """Remove the records that no unread record can precede; return (order key, record) in order."""
        limit = min((shard.limit for shard in self._shards.values()), default=NEVER)
        found = [(key, number, record) for number, shard in self._shards.items() for _, key, record in shard.take(limit, NEVER)]
        # Records with the same order key are sorted by shard. Within a shard they are already in order, and the sort is stable.
        found.sort(key=itemgetter(0, 1))
        return [(key, record) for key, _, record in found]

    def _end(self, number: int, topics: Iterable[str]) -> None:
        """Record that *topics* have no more records in the shard *number*."""
        self._shards[number].probed(dict.fromkeys(topics, 0), 0, NEVER)


class _Fetching:
    """A consumer without a group, which fetches the records of all spans."""

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
        for tp, offset in self._begins.items():
            self._consumer.seek(tp, offset)

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def ready(self) -> list[tuple[int, ConsumerRecord]] | None:
        """Return the next records that no unread record can precede, in order, or None at the end."""
        while not self._shards.done:
            found = self._shards.take()
            if found:
                return found
            await self._fetch()
        return None

    async def _fetch(self) -> None:
        consumer, shards = self._consumer, self._shards
        assert consumer is not None  # noqa: S101 -- `start` comes first
        full = {TopicPartition(*tp) for tp in shards.full()}
        unread = {TopicPartition(*tp) for tp in shards.unread}
        consumer.pause(*full)
        consumer.resume(*(unread - full))
        fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
        if self._learn is not None:
            await self._learn([record.value for records in fetched.values() for record in records])
        for tp in sorted(unread):
            # Add even without records, because the position also moves past aborted records.
            shards.add(tp, fetched.get(tp, ()), await consumer.position(tp))
        consumer.pause(*(unread - {TopicPartition(*tp) for tp in shards.unread}))


async def _partitions(kafka: Mapping[str, Any], names: list[str]) -> dict[str, int]:
    """Return the number of partitions of each topic. Raises NoTopics if a topic does not exist."""
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
    """The people in a history, and whose history is incomplete."""

    def __init__(self, boundaries: Boundaries | None = None) -> None:
        self.events = 0
        self._boundaries = boundaries
        self._seen: set[PersonKey] = set()
        self._named: dict[tuple[PersonKey, str, object], None] = {}
        self._begun: set[tuple[PersonKey, str, object]] = set()

    def watch(self, arrivals: Iterable[Arrived]) -> Iterator[Arrived]:
        """Yield *arrivals* unchanged, and record their people."""
        for arrived in arrivals:
            if isinstance(arrived.item, Event):
                self._record(arrived.item)
            yield arrived

    @property
    def count(self) -> int:
        return len(self._seen)

    def begin_missing(self) -> list[PersonKey]:
        """Return, sorted, the people with an encounter or referral whose start is not in this history."""
        return sorted({subject[0] for subject in self._named if subject not in self._begun})

    def may_be_missing(self) -> int:
        """Count the people in shards with deleted records. Some of the deleted records may be theirs."""
        if self._boundaries is None:
            return 0
        cut, partitions = self._boundaries.cut_shards, self._boundaries.partitions
        return sum(1 for key in self._seen if partition_of(key.encode(), partitions) in cut) if cut else 0

    def _record(self, event: Event) -> None:
        self.events += 1
        key, fact = event.person, event.data
        self._seen.add(key)
        for field in ("encounter", "referral"):
            name: Any = getattr(fact, field, None)
            if not name or (field == "encounter" and not name.visit):
                continue
            subject = (key, field, name)
            if _BEGINNINGS.get(event.type) == field:
                self._begun.add(subject)
            else:
                self._named[subject] = None
