"""Publishing from files, and reading back the committed effects, on a real Kafka."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from reading import read_all

from streams.avro.codec import effect_record, read_record
from streams.contract.effects import TaskState
from streams.contract.events import (
    AdmissionCancelled,
    EncounterRef,
    Event,
    GoalUpdated,
    Millis,
    PatientAdmitted,
    PatientDischarged,
    PersonKey,
)
from streams.contract.person_key import partition_of, person_key
from streams.contract.topics import ADMISSION, DISCHARGE, QUARANTINE, TASK
from streams.intake.publisher import VALUE_BYTES_MAX, at_speed, publish
from streams.intake.reading import Arrived, Refused
from streams.kafka.admin import create_topics
from streams.output.follow import Watch

PARTITIONS = 3
STAY = EncounterRef("GENERAL", "V1")
AT = Millis(1_782_000_000_000)


def event(number: int, fact, person: str = "1") -> Arrived:
    at = Millis(1_782_000_000_000 + number * 1000)
    return Arrived(Event(f"e{number}", "urn:test", at, at, person_key(b"secret", "GENERAL", person), fact), at, f"story:{number}")


@pytest.fixture
async def connection(empty_kafka: str) -> dict[str, str]:
    connection = {"bootstrap_servers": empty_kafka}
    await create_topics(connection, PARTITIONS, 1)
    return connection


async def all_records(connection, topics):
    return await read_all(connection, [(t, n) for t in topics for n in range(PARTITIONS)])


async def test_events_of_a_person_are_appended_in_their_order_across_topics(connection):
    run = f"{time.time_ns()}"
    story = []
    for n in range(60):
        fact = [PatientAdmitted(STAY, "IMP"), PatientDischarged(STAY, "home"), AdmissionCancelled(STAY)][n % 3]
        story.append(event(n, fact, f"{run}-{n % 2}"))

    published = await publish(connection, story, seen=lambda _: None)

    assert published.events == {ADMISSION.name: 40, DISCHARGE.name: 20}
    keys = {a.item.person.encode() for a in story}
    records = [r for r in await all_records(connection, (ADMISSION.name, DISCHARGE.name)) if r.key in keys]
    assert {r.partition == partition_of(r.key, PARTITIONS) for r in records} == {True}
    rank = {ADMISSION.name: 0, DISCHARGE.name: 1}
    for key in keys:
        mine = sorted((r for r in records if r.key == key), key=lambda r: (r.timestamp, rank[r.topic], r.offset))
        read = [read_record(r.topic, r.key, r.value, r.headers, r.timestamp) for r in mine]
        times = [e.time for e in read]
        # Within one millisecond, the precision of the broker's time, the rank of the topic decides.
        stamps = [r.timestamp for r in mine]
        assert all(a <= b or s == t for a, b, s, t in zip(times, times[1:], stamps, stamps[1:], strict=False))
        assert sorted(e.id for e in read) == sorted(a.item.id for a in story if a.item.person.encode() == key)


async def test_event_with_a_value_outside_its_set_is_given_back_as_refused(connection):
    seen: list[Arrived] = []
    odd = event(1, PatientAdmitted(STAY, "NO-SUCH-CLASS\ud800"))

    published = await publish(connection, [odd, event(2, AdmissionCancelled(STAY))], seen=seen.append)

    assert published.total == 1
    assert published.others == 1
    assert [type(a.item) for a in seen] == [Refused, Event]


async def test_message_that_was_refused_is_in_the_quarantine_as_it_was_and_its_headers_say_why(connection):
    raw = b"MSH|^~\\&|ADT|GENERAL\rPID|1||0\r"
    refused = Refused("identifier-missing", "PID", "PID-3", "urn:hl7:GENERAL:ADT", f"q{time.time_ns()}", trigger="ADT^A01")
    huge = replace(refused, id=f"{refused.id}-huge")
    story = [
        Arrived(refused, AT, "folder of Jane Doe/feed.hl7:1", raw=raw),
        Arrived(huge, AT, "x:2", raw=b"x" * 3_000_000),
        Arrived(Refused("not-json", "", "", "", "line"), AT, "x:3"),
    ]

    published = await publish(connection, story, seen=lambda _: None)

    assert (published.quarantined, published.others) == (2, 3)
    found = {r.key.decode(): r for r in await all_records(connection, (QUARANTINE.name,)) if r.key.decode().startswith(refused.id)}
    assert found[refused.id].value == raw
    headers = dict(found[refused.id].headers)
    assert headers["__care.errors.code"] == b"identifier-missing"
    assert (headers["__care.errors.segment"], headers["__care.errors.field"]) == (b"PID", b"PID-3")
    assert headers["ce_source"] == b"urn:hl7:GENERAL:ADT"
    assert b"Jane" not in b"".join(headers.values())
    assert dict(found[huge.id].headers)["__care.errors.bytes"] == b"3000000"
    assert len(found[huge.id].value) == VALUE_BYTES_MAX


async def test_event_too_large_for_a_record_is_refused_and_what_comes_after_it_is_published(connection):
    seen: list[Arrived] = []
    long = event(1, GoalUpdated("g1", "active", "x" * 2_000_000))

    published = await publish(connection, [long, event(2, AdmissionCancelled(STAY))], seen=seen.append)

    assert published.total == 1
    assert (seen[0].item.reason, seen[0].item.field) == ("too-large", "data")


async def test_pace_publishes_nothing_before_its_time(connection):
    at: list[float] = []
    story = [event(n, AdmissionCancelled(STAY)) for n in (0, 1, 2)]
    began = time.time()

    await publish(connection, story, pace=at_speed(5), seen=lambda _: at.append(time.time() - began))

    assert at[1] >= 0.2
    assert at[2] >= 0.4


async def test_watch_shows_committed_effects_and_never_aborted_ones(connection):
    person = PersonKey("p1.x")
    task = TaskState(
        id="t", at=Millis(1_782_000_000_000), person=person, cause="c", rule="TCM-1", rule_version=1, handoff="h", state="requested",
        owner="pcp/pool:p", due=Millis(1_782_100_000_000), step=0, title="Call", neutral_title="Call", why="because",
    )  # fmt: skip
    watch = Watch(connection, from_beginning=False)
    await watch.start()
    producer = AIOKafkaProducer(**connection, transactional_id=f"test-{time.time_ns()}")
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(TASK.name, effect_record(task), key=b"never")
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(TASK.name, effect_record(task), key=b"h")
            await producer.send_and_wait(TASK.name, None, key=b"gone")
        async with asyncio.timeout(10):
            line = await anext(watch.lines())
            assert (line["effect"], line["handoff"], line["state"], line["person"]) == ("task", "h", "requested", person)
            while not await watch.is_drained():
                await anext(watch.lines())
    finally:
        await producer.stop()
        await watch.stop()
