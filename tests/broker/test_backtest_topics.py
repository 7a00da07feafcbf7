"""A backtest from the topics of a real Kafka: it reads in the order of the shards, reports what it cannot read, and writes nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from command import run_command_in_thread

from agents.coordination.rules.loading import RULES
from agents.loaders import load_in_memory, load_intake
from streams.avro.codec import frame, headers_of
from streams.base.clock import Clock
from streams.base.settings import Settings
from streams.contract.events import (
    EncounterRef,
    Event,
    Millis,
    PatientAdmitted,
    PatientDischarged,
    PersonKey,
    PersonStateMoved,
    RecordRelayed,
)
from streams.contract.person_key import partition_of, person_key
from streams.contract.topics import ADMISSION, DISCHARGE, INBOUND, RELAY, TOPICS
from streams.intake.publisher import publish
from streams.intake.reading import Arrived
from streams.kafka.admin import NoTopics, create_topics
from streams.replay.backtest import History, Loaders, run_both
from streams.replay.history import Boundaries, Span, TopicHistory, find_boundaries
from streams.simulate.stream import Simulation, faults_of, simulate

PARTITIONS = 3
FAR = 1 << 50


class Since:
    """A connection, and the end offsets at the start of the test: records of earlier tests are not part of its history."""

    def __init__(self, connection: dict[str, Any], begins: dict[tuple[str, int], int]) -> None:
        self.connection = connection
        self._begins = begins

    async def boundaries(self, until: int = FAR) -> Boundaries:
        found = await find_boundaries(self.connection, until)
        return Boundaries(
            tuple(Span(s.topic, s.partition, self._begins[s.topic, s.partition], s.end) for s in found.spans), found.partitions
        )

    async def history(self, until: int = FAR, boundaries: Boundaries | None = None) -> tuple[list[Event], TopicHistory]:
        history = TopicHistory(self.connection, boundaries or await self.boundaries(until), Clock())
        arrived = await asyncio.to_thread(lambda: list(history.arrivals()))
        return [a.item for a in arrived if isinstance(a.item, Event)], history


@pytest.fixture
async def since(kafka_of_file: str) -> Since:
    connection = {"bootstrap_servers": kafka_of_file}
    await create_topics(connection, PARTITIONS, 1)
    found = await find_boundaries(connection, FAR)
    return Since(connection, {(s.topic, s.partition): s.end for s in found.spans})


async def send(
    connection: dict[str, Any],
    *events: Event,
    topic: str = ADMISSION.name,
    partition: int | None = None,
    txn: str = "",
    abort: bool = False,
) -> int:
    """Publish *events*; return the offset of the last one."""
    offset = -1
    producer = AIOKafkaProducer(**connection, **({"transactional_id": txn} if txn else {}))
    await producer.start()
    if txn:
        await producer.begin_transaction()
    for event in events:
        key = event.person.encode()
        where = partition_of(key, PARTITIONS) if partition is None else partition
        sent = await producer.send_and_wait(topic, frame(event.data), key=key, partition=where, headers=headers_of(event))
        offset = sent.offset
    if txn:
        await (producer.abort_transaction() if abort else producer.commit_transaction())
    await producer.stop()
    return offset


def event(number: int, fact: Any, person: str = "1") -> Event:
    at = Millis(1_782_000_000_000 + number * 1000)
    return Event(f"e{number}", "urn:test", at, at, person_key(b"secret", "GENERAL", person), fact)


ADMIT = PatientAdmitted(EncounterRef("GENERAL", "V1"), "IMP")
LEAVE = PatientDischarged(EncounterRef("GENERAL", "V1"), "home")


def wrong_partition(key: PersonKey) -> int:
    return (partition_of(key.encode(), PARTITIONS) + 1) % PARTITIONS


async def test_topics_that_are_not_there_are_named(kafka_of_file: str):
    # The first test of this file, because the other tests create the topics.
    with pytest.raises(NoTopics, match=r"topic care\.\S+ does not exist"):
        await find_boundaries({"bootstrap_servers": kafka_of_file}, FAR)


async def test_events_of_all_topics_come_in_the_order_in_which_they_were_appended(since: Since):
    made = simulate(Simulation(1, 120, 5, 2, faults_of("all")))
    await publish(since.connection, [Arrived(m.event, m.event.arrival, "") for m in made], seen=lambda _: None)

    events, _ = await since.history()

    assert len(events) == len(made)
    arrivals = [e.arrival for e in events]
    assert arrivals == sorted(arrivals)
    for person in {m.event.person for m in made}:
        assert [e.id for e in events if e.person == person] == [m.event.id for m in made if m.event.person == person]


async def test_aborted_records_are_not_history_and_the_end_is_still_found(since: Since):
    await send(since.connection, event(1, ADMIT), txn="one")
    await send(since.connection, event(2, ADMIT), txn="two", abort=True)

    events, _ = await since.history()

    assert [e.id for e in events] == ["e1"]


async def test_records_that_are_no_events_are_counted_and_passed_over(since: Since):
    producer = AIOKafkaProducer(**since.connection)
    await producer.start()
    await producer.send_and_wait(ADMISSION.name, b"not avro", key=b"p1.x", partition=0)
    await producer.stop()
    await send(since.connection, event(1, ADMIT))

    events, history = await since.history()

    assert [e.id for e in events] == ["e1"]
    assert sum(history.refused.values()) == 1


async def test_a_misrouted_record_is_read_from_the_relay_and_not_where_it_arrived(since: Since):
    wrong = event(1, ADMIT)
    offset = await send(since.connection, wrong, partition=wrong_partition(wrong.person))
    await send(since.connection, event(2, LEAVE), topic=DISCHARGE.name)
    relayed = RecordRelayed(ADMISSION.name, wrong_partition(wrong.person), offset, wrong.time, frame(ADMIT), tuple(headers_of(wrong)))
    await send(since.connection, Event("r", "urn:test", wrong.time, wrong.time, wrong.person, relayed), topic=RELAY.name)

    events, history = await since.history()

    assert [e.id for e in events] == ["e2", "e1"]
    assert history.misrouted == 0


async def test_a_misrouted_record_that_nobody_relayed_is_counted_as_not_applied(since: Since):
    wrong = event(1, ADMIT)
    await send(since.connection, wrong, partition=wrong_partition(wrong.person))

    events, history = await since.history()

    assert events == []
    assert history.misrouted == 1


async def test_states_and_events_that_a_merge_sent_over_the_relay_are_left_to_the_replay(since: Since):
    right = event(1, ADMIT)
    place = partition_of(right.person.encode(), PARTITIONS)
    offset = await send(since.connection, right)
    forwarded = RecordRelayed(ADMISSION.name, place, offset, right.time, frame(ADMIT), tuple(headers_of(right)))
    moved = PersonStateMoved(PersonKey("p1.other"), b"state")
    # The surviving person may be in the same shard as the merged one, or in another.
    keys = [right.person, *(person_key(b"secret", "GENERAL", str(n)) for n in range(2, 9))]
    assert len({partition_of(key.encode(), PARTITIONS) for key in keys}) == PARTITIONS
    for n, (fact, key) in enumerate([(moved, keys[0]), *((forwarded, key) for key in keys)]):
        await send(since.connection, Event(f"r{n}", "urn:test", right.time, right.time, key, fact), topic=RELAY.name)

    events, _ = await since.history()

    assert [e.id for e in events] == ["e1"]


async def test_records_appended_after_the_window_are_not_read(since: Since):
    await send(since.connection, event(1, ADMIT))
    events, _ = await since.history()
    until = events[0].arrival
    await asyncio.sleep(0.01)
    await send(since.connection, event(2, LEAVE), topic=DISCHARGE.name)

    events, _ = await since.history(until)

    assert [e.id for e in events] == ["e1"]


async def test_shards_of_which_records_were_deleted_are_known_and_read_from_what_is_left(since: Since):
    first, second = event(1, ADMIT), event(2, ADMIT)
    place = partition_of(first.person.encode(), PARTITIONS)
    before = await since.boundaries()
    begin = next(s.begin for s in before.spans if (s.topic, s.partition) == (ADMISSION.name, place))
    await send(since.connection, first, second)
    admin = AIOKafkaAdminClient(**since.connection)
    await admin.start()
    await admin.delete_records({TopicPartition(ADMISSION.name, place): RecordsToDelete(before_offset=begin + 1)})
    await admin.close()

    found = await find_boundaries(since.connection, FAR)
    events, _ = await since.history(boundaries=found)

    assert found.cut_shards == {place}
    assert events[-1].id == "e2"
    assert "e1" not in [e.id for e in events if e.arrival == events[-1].arrival]


async def test_a_backtest_from_topics_is_the_same_twice_and_leaves_no_trace(since: Since, kafka_of_file: str):
    made = simulate(Simulation(1, 150, 5, 2, faults_of("all")))
    await publish(since.connection, [Arrived(m.event, m.event.arrival, "") for m in made], seen=lambda _: None)
    before = await ends_and_groups(since.connection)
    arrivals = [m.event.arrival for m in made]
    # A clock that maps the topics' time to the story's. Without it all events are long past and open nothing.
    events, _ = await since.history()
    speed = (arrivals[-1] - arrivals[0]) / max(1, events[-1].arrival - events[0].arrival)
    clock = Clock(events[0].arrival, arrivals[0], speed)
    settings = Settings(bootstrap=kafka_of_file, partitions=PARTITIONS, clock=clock)
    history = History((), await since.boundaries())

    old, new = await asyncio.to_thread(run_both, Loaders(load_in_memory, load_intake), settings, settings, history)

    assert old == new
    assert old.findings.task
    assert old.events == len(made)
    assert await ends_and_groups(since.connection) == before


async def test_the_commands_publish_synthetic_events_and_backtest_rules_on_them(since: Since, kafka_of_file: str):
    before = await since.boundaries()
    begins = datetime.now(UTC).isoformat(timespec="milliseconds")
    start = datetime.now(UTC).date() - timedelta(days=3)
    arguments = ["--people", "60", "--days", "3", "--start", start.isoformat(), "--no-respond", "--bootstrap", kafka_of_file]

    kafka = {"KAFKA_BOOTSTRAP": kafka_of_file}
    published = await run_command_in_thread("simulate", "--seed", "9", *arguments, **kafka)
    ends = datetime.now(UTC).isoformat(timespec="milliseconds")
    tried = await run_command_in_thread("backtest", "--rules", str(RULES), "--from", begins, "--to", ends, "--json", **kafka)

    assert published.code == 0, published.stderr
    assert tried.code == 0, tried.stderr
    count = sum(s.end for s in (await since.boundaries()).spans) - sum(s.end for s in before.spans)
    window, *rows = [json.loads(line) for line in tried.stdout.splitlines()]
    assert window["events"] >= count > 60
    assert rows
    assert all(row["old"] == row["new"] for row in rows if row["row"] == "count")
    assert not [row for row in rows if row["row"] == "example"]


async def ends_and_groups(connection: dict[str, Any]) -> tuple[dict[Any, int], list[Any]]:
    consumer = AIOKafkaConsumer(**connection)
    await consumer.start()
    places = [TopicPartition(t.name, n) for t in TOPICS for n in range(PARTITIONS)]
    ends = await consumer.end_offsets(places)
    await consumer.stop()
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    groups = await admin.list_consumer_groups()
    await admin.close()
    assert {place.topic for place in ends} >= {t.name for t in INBOUND}
    return dict(ends), sorted(groups)
