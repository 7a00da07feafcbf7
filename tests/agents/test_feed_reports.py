"""The reports of feeds: which events are reported, and how reports pass through shards."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from watched_source import DAY, HOUR, KEY, LIMIT, MINUTE, MONDAY, POLICY, SOURCE, silent

from agents.feeds.agent import FeedsAgent
from agents.feeds.reports import Reporting, SourceReports, event_of, feed_key
from agents.feeds.state import pack, packed_deadline
from streams.avro.codec import STANDARD
from streams.base.clock import Clock
from streams.contract.cloudevents import headers_of
from streams.contract.effects import FeedHeard
from streams.contract.events import EncounterRef, EncounterUpdated, Event, Millis, NotificationDelivered, PersonKey
from streams.contract.person_key import partition_of
from streams.contract.record import Outgoing
from streams.contract.topics import ADMISSION, DEAD_LETTER, FEED, RELAY
from streams.shard.agent import Origin, Outcome, RecordRefused
from streams.shard.avro_form import AvroForm
from streams.shard.order import Batch
from streams.shard.shard import Shard

# ---- reports


def update(number: int, at: int, source: str = SOURCE, fact: Any = None) -> Event:
    data = fact or EncounterUpdated(EncounterRef("GENERAL", f"V{number}"), "AMB")
    return Event(f"e{number}", source, Millis(at), Millis(at), PersonKey(f"p1.person{number}"), data)


def test_a_source_is_reported_at_most_once_a_minute() -> None:
    heard = SourceReports()
    news = [heard.report_for(update(n, MONDAY + n * 10_000)) for n in range(18)]
    assert [n for n, one in enumerate(news) if one] == [0, 6, 12]


def test_each_source_is_reported_by_itself() -> None:
    heard = SourceReports()
    assert heard.report_for(update(1, MONDAY))
    assert heard.report_for(update(2, MONDAY, "urn:hospital:mercy"))


def test_events_of_our_own_delivery_are_not_a_feed() -> None:
    assert SourceReports().report_for(update(1, MONDAY, "urn:carerelay:delivery", NotificationDelivered("n", "r", "c"))) is None


def test_a_restart_reports_once_more_under_the_same_id_for_the_same_event() -> None:
    event = update(1, MONDAY)
    first, again = SourceReports().report_for(event), SourceReports().report_for(event)
    assert first is not None
    assert again is not None
    assert event_of(first, event) == event_of(again, event)


def test_a_key_of_a_feed_is_no_person_s_and_has_one_length() -> None:
    keys = {feed_key(source) for source in (SOURCE, "x", "y" * 500)}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {len(KEY)}
    assert all(key.startswith("f1.") for key in keys)


# ---- through shards


class LogRecord(msgspec.Struct):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


FORM = AvroForm()


class NothingDecided:
    """An agent that keeps the person's state and publishes nothing."""

    inbound, relay, dead_letters = (ADMISSION.name,), RELAY.name, DEAD_LETTER.name

    def read(self, origin: Origin, arrival: Millis) -> Any:
        return origin.record.key, FORM.read(origin, arrival)

    def wrap(self, key: bytes, origin: Origin) -> Any:
        return origin.record.value, origin.record.headers

    def decide(self, key: bytes, packed: bytes | None, event: Any, now: Millis, origin: Origin) -> Outcome:
        return Outcome(b"kept")

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        return Outcome(packed)

    def after_failure(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        return packed

    def deadline(self, packed: bytes) -> int | None:
        return None

    def open_handoffs(self, packed: bytes) -> int:
        return 0


def feeds_agent() -> FeedsAgent:
    return FeedsAgent(POLICY.rule, POLICY.owners, FORM)


def report_record(offset: int, report: Event) -> LogRecord:
    value, headers = FORM.write(report)
    return LogRecord(offset, report.data.seen, report.person.encode(), value, headers)  # type: ignore[attr-defined]


def applied(shard: Shard) -> Outgoing:
    out = Outgoing()
    shard.apply(out, 1000)
    return out


def record(offset: int, event: Event) -> LogRecord:
    return LogRecord(offset, event.arrival, event.person.encode(), STANDARD.frame(event.data), headers_of(event))


def opened(agent: Any, number: int, partitions: int) -> Shard:
    shard = Shard(number, partitions, agent, Clock(), {})
    shard.restored(dict.fromkeys(agent.inbound, 0), {})
    return shard


def test_shards_report_a_source_under_the_partition_of_its_key_beside_their_own_effects() -> None:
    partitions = 4
    shard = opened(Reporting(NothingDecided(), FORM), 0, partitions)
    events = [e for n in range(200) if partition_of((e := update(n, MONDAY + n * 1000)).person.encode(), partitions) == 0]
    shard.arrived(Batch(ADMISSION.name, 0, 0, len(events), [record(n, e) for n, e in enumerate(events)], 0))
    shard.probed(dict.fromkeys(shard.agent.inbound, 0) | {ADMISSION.name: len(events)}, shard.seal(), MONDAY + DAY)

    out = applied(shard)

    place = (FEED.name, partition_of(KEY.encode(), partitions))
    reports = [STANDARD.read_frame(one.value) for one in out[place]]
    minutes = [report.seen // MINUTE for report in reports]
    assert len(minutes) == len(set(minutes)) == 4
    assert {topic for topic, _ in out} == {FEED.name}


def test_reports_become_a_gap_in_the_shard_that_the_source_hashes_to_and_nothing_after_a_restart() -> None:
    partitions = 4
    feeds = feeds_agent()
    number = partition_of(KEY.encode(), partitions)
    shard = opened(feeds, number, partitions)
    reports = []
    for n, at in enumerate(range(MONDAY, MONDAY + 8 * HOUR + 1, 10 * MINUTE)):
        cause = update(n, at)
        carried = event_of(FeedHeard(SOURCE, Millis(at)), cause)
        reports.append(report_record(n, carried))
    shard.arrived(Batch(FEED.name, number, 0, len(reports), reports, 0))
    shard.probed({FEED.name: len(reports)}, shard.seal(), LIMIT + 10_000)

    out = applied(shard)

    assert {topic for topic, _ in out} == {"care.gap.v1", "care.task.v1", "care.notification.v1"}
    assert all(len(outs) == 1 for outs in out.values())
    assert shard.open_handoffs == 1
    again = Shard(number, partitions, feeds, Clock(), dict(shard.persons))
    again.restored(shard.positions, {})
    again.arrived(Batch(FEED.name, number, 0, len(reports), reports, 0))
    again.probed({FEED.name: len(reports)}, again.seal(), LIMIT + 10_000)
    assert applied(again) == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"value": b"not avro"}, "not-avro"),
        ({"value": None}, "no-value"),
        ({"key": b"f1.another"}, "key-bad"),
        ({"headers": []}, "header-missing"),
        ({"value": STANDARD.frame(EncounterUpdated(EncounterRef("G")))}, "wrong-topic"),
    ],
)
def test_a_record_that_is_no_report_is_refused_with_its_reason(change: dict[str, Any], code: str) -> None:
    whole = report_record(0, event_of(FeedHeard(SOURCE, Millis(MONDAY)), update(1, MONDAY)))
    read = feeds_agent().read(Origin(FEED.name, 0, msgspec.structs.replace(whole, **change)), Millis(MONDAY))
    assert isinstance(read, RecordRefused)
    assert read.code == code


def test_a_report_that_says_nothing_new_leaves_the_very_same_bytes() -> None:
    feeds, key = feeds_agent(), KEY.encode()
    event = event_of(FeedHeard(SOURCE, Millis(MONDAY)), update(1, MONDAY))
    origin = Origin(FEED.name, 0, report_record(0, event))
    packed = feeds.decide(key, None, event, Millis(MONDAY), origin).packed
    again = feeds.decide(key, packed, event, Millis(MONDAY + 1), origin)
    assert again.packed is packed
    assert again.publish == []


def test_after_a_rule_raised_the_source_is_kept_without_its_deadline() -> None:
    feeds = feeds_agent()
    watched = silent()
    assert watched.feed is not None
    spoilt = feeds.after_failure(KEY.encode(), pack(watched.feed), Millis(LIMIT))
    assert spoilt is not None
    assert packed_deadline(spoilt) is None
    assert feeds.after_failure(KEY.encode(), None, Millis(LIMIT)) is None
