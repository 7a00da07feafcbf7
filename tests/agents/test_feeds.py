"""Silent feeds (FEED-1): the usual gap is learned, a silence that is too long opens a gap, and the next message closes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from command import run_command
from fresh import brought_by

from agents.coordination.rules.loading import load_directory
from agents.feeds.agent import FeedRuleError, FeedsAgent, load_rule, watchers_of
from agents.feeds.decide import FeedPolicy, apply_report, fall_due
from agents.feeds.explain import explain
from agents.feeds.reports import Reporting, SourceReports, event_of, feed_key
from agents.feeds.rule import Watchers
from agents.feeds.state import Feed, UnreadableStateError, pack, packed_deadline, unpack
from streams.avro.codec import STANDARD
from streams.base.clock import Clock
from streams.contract.cloudevents import headers_of
from streams.contract.effects import Effect, FeedHeard, GapState, NotificationIssued, NotificationWithdrawn, TaskState
from streams.contract.events import EncounterRef, EncounterUpdated, Event, Millis, NotificationDelivered, PersonKey
from streams.contract.person_key import partition_of
from streams.contract.record import Outgoing
from streams.contract.topics import ADMISSION, DEAD_LETTER, FEED, RELAY
from streams.shard.agent import Origin, Outcome, RecordRefused
from streams.shard.avro_form import AvroForm
from streams.shard.order import Batch
from streams.shard.shard import Shard

SOURCE = "urn:hospital:general"
KEY = feed_key(SOURCE)
POLICY = FeedPolicy(load_rule(), Watchers("interface-team/pool:interfaces", "operations/pool:ops"))
MINUTE, HOUR, DAY, WEEK = 60_000, 3_600_000, 86_400_000, 7 * 86_400_000
MONDAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1000


class Watched:
    """One source as the agent sees it. Deadlines fire before a later report."""

    def __init__(self, policy: FeedPolicy = POLICY) -> None:
        self.feed: Feed | None = None
        self.effects: list[Effect] = []
        self._policy = policy
        self._count = 0

    def heard(self, *ats: int, reported: int | None = None) -> Watched:
        for at in ats:
            now = reported or at
            self.until(now)
            self._count += 1
            self._take(apply_report(self._fresh(), FeedHeard(SOURCE, Millis(at)), KEY, Millis(now), f"c{self._count}", policy=self._policy))
        return self

    def every(self, minutes: int, begin: int, end: int) -> Watched:
        return self.heard(*range(begin, end, minutes * MINUTE))

    def until(self, at: int) -> Watched:
        """Fire the deadlines before *at*."""
        while self.feed is not None and self.feed.due and self.feed.due < at:
            self._take(fall_due(self._fresh() or self.feed, KEY, policy=self._policy))
        return self

    def _fresh(self) -> Feed | None:
        return None if self.feed is None else unpack(pack(self.feed))

    def _take(self, decision: tuple[Feed | None, tuple[Effect, ...]]) -> None:
        self.feed, effects = decision
        self.effects.extend(effects)

    def of(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def opened(self) -> list[int]:
        return [gap.at for gap in self.of(GapState) if gap.state == "open" and gap.step == 1]


# ---- when a silence is too long


def test_a_source_of_every_ten_minutes_is_silent_for_too_long_after_three_of_them_and_not_before() -> None:
    last = MONDAY + 8 * HOUR
    watched = Watched().every(10, MONDAY, last + 1)
    # A silence is counted from the end of the minute of the last message.
    limit = last + MINUTE + 30 * MINUTE
    assert watched.until(limit).opened == []
    assert watched.until(limit + 1).opened == [limit]


def test_a_source_that_sends_all_the_time_may_be_silent_for_five_minutes() -> None:
    last = MONDAY + 2 * HOUR
    watched = Watched().heard(*range(MONDAY, last + 1, 20_000))
    assert watched.until(last + 6 * MINUTE).opened == []
    assert watched.until(last + 6 * MINUTE + 1).opened == [last + 6 * MINUTE]


def test_a_source_that_is_hardly_known_is_never_silent() -> None:
    assert Watched().every(10, MONDAY, MONDAY + 100 * MINUTE).until(MONDAY + 20 * DAY).opened == []


def test_a_source_of_one_message_a_day_is_missed_after_three_of_them_and_not_in_the_hours_between() -> None:
    watched = Watched().heard(*(MONDAY + 9 * HOUR + n * DAY for n in range(40)))
    assert watched.opened == []
    # The last message is at 9:00 on the fortieth day. On the next three days that hour passes without a message.
    watched.until(MONDAY + 60 * DAY)
    assert len(watched.opened) == 1
    assert MONDAY + 42 * DAY + 9 * HOUR < watched.opened[0] <= MONDAY + 42 * DAY + 10 * HOUR


def test_a_source_that_is_silent_every_night_raises_no_alarm_at_night_and_one_in_the_morning() -> None:
    watched = Watched()
    for day in range(28):
        watched.every(5, MONDAY + day * DAY + 8 * HOUR, MONDAY + day * DAY + 18 * HOUR)
    # The first two nights are not known yet.
    first = [at for at in watched.opened if at < MONDAY + 3 * DAY]
    assert watched.opened == first
    watched.until(MONDAY + 28 * DAY + 7 * HOUR + 59 * MINUTE)
    assert watched.opened == first
    watched.until(MONDAY + 28 * DAY + 9 * HOUR)
    # The four minutes after 17:55 count too, so three gaps of five minutes are reached eleven minutes after eight.
    assert watched.opened == [*first, MONDAY + 28 * DAY + 8 * HOUR + 11 * MINUTE]


def test_a_weekend_of_few_messages_is_measured_with_its_own_gaps() -> None:
    watched = Watched()
    for day in range(56):
        gap = 5 if day % 7 < 5 else 30
        watched.every(gap, MONDAY + day * DAY, MONDAY + (day + 1) * DAY)
    saturday = MONDAY + 8 * WEEK + 5 * DAY + 12 * HOUR
    busy = [at for at in watched.opened if at > MONDAY + 3 * WEEK]
    assert busy == []
    for day in range(56, 61):
        watched.every(5, MONDAY + day * DAY, MONDAY + (day + 1) * DAY)
    watched.every(30, MONDAY + 61 * DAY, saturday + 1)
    assert watched.until(saturday + 60 * MINUTE).opened == [at for at in watched.opened if at < MONDAY + 3 * WEEK]
    watched.until(saturday + 3 * HOUR)
    assert watched.opened[-1] == saturday + MINUTE + 90 * MINUTE


def test_a_batch_every_hour_counts_as_one_message_however_large_it_is() -> None:
    watched = Watched()
    for hour in range(24 * 40):
        begin = MONDAY + hour * HOUR + 5 * MINUTE
        watched.heard(*range(begin, begin + 40_000, 1000))
    assert watched.opened == []


@pytest.mark.parametrize("weeks", [1, 2, 3, 4, 8])
def test_a_source_of_one_message_an_hour_is_missed_after_three_of_them_however_long_it_is_known(weeks: int) -> None:
    last = MONDAY + weeks * WEEK + 2 * DAY + 9 * HOUR
    watched = Watched().every(60, MONDAY, last + 1)
    watched.until(last + 3 * HOUR)
    assert watched.opened == []
    assert watched.until(last + 4 * HOUR).opened == [last + MINUTE + 3 * HOUR]


def test_a_source_that_sends_at_random_raises_few_alarms_once_it_is_known() -> None:
    draw = Random(3)
    at, times = float(MONDAY), []
    while at < MONDAY + 6 * WEEK:
        at += draw.expovariate(1 / (12 * MINUTE))
        times.append(int(at))
    watched = Watched().heard(*times)
    known = [at for at in watched.opened if at > MONDAY + WEEK]
    # One in twenty gaps is longer than three times the mean. With the mean alone there would be about 200 alarms in these five weeks.
    assert len(known) < 10


def test_silence_is_measured_in_whole_seconds() -> None:
    watched = Watched().every(7, MONDAY, MONDAY + 5 * HOUR)
    assert watched.feed is not None
    assert watched.feed.due % 1000 == 0


# ---- what a silence leads to


def silent() -> Watched:
    return Watched().every(10, MONDAY, MONDAY + 8 * HOUR + 1)


LIMIT = MONDAY + 8 * HOUR + 31 * MINUTE


def test_a_silence_opens_one_gap_and_one_task_and_notifies_the_interface_team() -> None:
    watched = silent().until(LIMIT + 1)
    gap, task, told = watched.effects
    assert isinstance(gap, GapState)
    assert isinstance(task, TaskState)
    assert isinstance(told, NotificationIssued)
    assert (gap.state, gap.owner, gap.due, gap.step) == ("open", "interface-team/pool:interfaces", LIMIT, 1)
    assert (task.state, task.handoff) == ("requested", gap.handoff)
    assert told.recipient == "interface-team/pool:interfaces"
    assert SOURCE in told.why
    assert "Mon 1 Jun 2026 08:00 UTC" in told.why
    assert "gaps of up to 10 minutes are usual" in told.why


def test_a_long_silence_is_escalated_to_operations_once() -> None:
    watched = silent().until(LIMIT + HOUR + 1)
    assert [n.recipient for n in watched.of(NotificationIssued)] == ["interface-team/pool:interfaces", "operations/pool:ops"]
    assert watched.of(TaskState)[-1].owner == "operations/pool:ops"
    count = len(watched.effects)
    assert len(watched.until(LIMIT + 20 * DAY).effects) == count


def test_a_source_that_is_heard_again_closes_the_gap_late_and_notifies_those_who_were_notified() -> None:
    watched = silent().heard(LIMIT + 2 * HOUR)
    closed = watched.of(GapState)[-1]
    assert (closed.state, closed.closure, closed.owner) == ("closed", "met-late", "operations/pool:ops")
    assert watched.of(TaskState)[-1].state == "completed"
    after = [n.recipient for n in watched.of(NotificationIssued) if n.title == "The source sends again"]
    assert after == ["interface-team/pool:interfaces", "operations/pool:ops"]


def test_a_delayed_report_withdraws_the_alarm() -> None:
    watched = silent().until(LIMIT + 1)
    told = watched.of(NotificationIssued)[0]
    watched.heard(LIMIT - 20 * MINUTE, reported=LIMIT + 5 * MINUTE)
    assert watched.of(GapState)[-1].closure == "met"
    assert [w.notification for w in watched.of(NotificationWithdrawn)] == [told.id]


def test_shards_that_catch_up_after_an_outage_do_not_raise_an_alarm_for_each_report() -> None:
    watched = silent()
    end = MONDAY + 10 * HOUR
    # No report for two hours, then the whole backlog within two minutes.
    for n, at in enumerate(range(MONDAY + 8 * HOUR + 10 * MINUTE, end, 10 * MINUTE)):
        watched.heard(at, reported=end + n * 10_000)
    assert len(watched.opened) == 1
    assert watched.of(GapState)[-1].state == "closed"


def test_a_second_silence_is_another_gap() -> None:
    watched = silent().heard(LIMIT + 10 * MINUTE).until(LIMIT + 5 * HOUR)
    assert len({gap.handoff for gap in watched.of(GapState)}) == 2


def test_a_silence_that_was_an_alarm_does_not_stretch_the_mean_gap() -> None:
    watched = Watched().every(10, MONDAY, MONDAY + 3 * HOUR).heard(MONDAY + 6 * HOUR)
    watched.until(MONDAY + 6 * HOUR + 40 * MINUTE)
    assert len(watched.opened) == 2


def test_the_same_report_twice_and_an_older_one_change_nothing() -> None:
    watched = silent()
    before = watched.feed
    watched.heard(MONDAY + 8 * HOUR)
    watched.heard(MONDAY + 7 * HOUR, reported=MONDAY + 8 * HOUR)
    assert watched.feed == before
    assert not watched.effects


def test_a_source_that_stays_silent_is_forgotten_after_four_weeks_and_its_gap_closed() -> None:
    watched = silent().until(MONDAY + 60 * DAY)
    assert watched.feed is None
    assert watched.of(GapState)[-1].closure == "not-applicable"
    assert watched.of(TaskState)[-1].state == "cancelled"
    assert len(watched.of(GapState)) == 3


def test_same_state_and_event_give_the_same_decision() -> None:
    assert silent().heard(LIMIT + 2 * HOUR).effects == silent().heard(LIMIT + 2 * HOUR).effects
    ids = [effect.id for effect in silent().heard(LIMIT + 2 * HOUR).effects]
    assert len(set(ids)) == len(ids)


def test_the_state_of_a_source_is_small() -> None:
    watched = Watched()
    watched.every(1, MONDAY, MONDAY + 17 * WEEK // 20)
    assert watched.feed is not None
    assert len(pack(watched.feed)) < 1000


def test_bytes_that_are_not_a_state_are_an_error_of_the_program() -> None:
    with pytest.raises(UnreadableStateError):
        unpack(b"\x01 something else")


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
    return FeedsAgent(POLICY.rule, POLICY.by, FORM)


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
    kept = feeds.after_failure(KEY.encode(), pack(watched.feed), Millis(LIMIT))
    assert kept is not None
    assert packed_deadline(kept) is None
    assert feeds.after_failure(KEY.encode(), None, Millis(LIMIT)) is None


# ---- the rule's file, the replay, purity


def test_a_rule_that_is_wrong_is_refused_with_file_and_field(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "agents/feeds/catalogue/FEED-1.yaml").read_text()
    for was, wrong, named in (("usual_gaps: 3", "usual_gaps: 0", "usual_gaps"), ("floor_minutes: 5", "floor: 5", "floor")):
        file = tmp_path / "FEED-1.yaml"
        file.write_text(text.replace(was, wrong))
        with pytest.raises(FeedRuleError, match=named) as error:
            load_rule(file)
        assert str(file) in str(error.value)


def test_the_directory_names_the_owner_and_a_pool_with_the_roles_name_is_the_default() -> None:
    by = watchers_of(load_directory(), load_rule())
    assert by.first.startswith("interface-team/")
    assert by.second == "operations/pool:operations"


def test_a_replay_shows_a_silent_source_between_the_lines_of_persons(tmp_path: Path) -> None:
    file = tmp_path / "feed.jsonl"
    lines = []
    for n in range(40):
        moment = datetime.fromtimestamp((MONDAY + n * 10 * MINUTE) / 1000, UTC).isoformat()
        data = {"encounter": {"facility": "GENERAL", "visit": f"V{n}"}, "class": "AMB"}
        person = {"authority": "A", "identifier": str(n)}
        lines.append({"type": "EncounterUpdated", "id": f"e{n}", "source": SOURCE, "time": moment, "person": person, "data": data})
    file.write_text("\n".join(map(json.dumps, lines)))

    result = run_command("replay", str(file), "--json", "--until", "2026-06-01T08:00:00Z")

    told = [json.loads(line) for line in result.stdout.splitlines()]
    gaps = [line for line in told if line["rule"] == "FEED-1" and line["effect"] == "gap"]
    assert [(g["at"], g["state"], g["person"]) for g in gaps][:1] == [("2026-06-01T07:01:00Z", "open", KEY)]
    assert [line["at"] for line in told] == sorted(line["at"] for line in told)


def test_the_rule_of_silence_loads_without_kafka_files_or_a_clock() -> None:
    wire = ("aiokafka", "faust", "structlog", "yaml", "asyncio", "streams.shard.shard", "streams.kafka.worker")

    found = brought_by((f"agents.feeds.{module}" for module in ("decide", "state", "rule", "wording")), wire)

    wrong = [f"{module} brings {', '.join(brought)}" for module, brought in found.items() if brought]
    assert not wrong, "\n".join(wrong)


def test_the_rule_is_explained_from_its_numbers():
    text = explain(load_rule())

    assert "longer than 3 times its usual gap for that hour of the week, and for at least\n    5 minutes" in text
    assert "60 minutes later: operations becomes accountable and is notified" in text
