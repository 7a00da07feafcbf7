"""Silent feeds (FEED-1): the usual gap is learned, a silence that is too long opens a gap, and the next message closes it."""

from __future__ import annotations

from random import Random

import pytest
from watched_source import DAY, HOUR, LIMIT, MINUTE, MONDAY, SOURCE, WEEK, Watched, silent

from agents.feeds.state import UnreadableStateError, pack, unpack
from streams.contract.effects import GapState, NotificationIssued, NotificationWithdrawn, TaskState

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


def test_a_silence_opens_one_gap_and_one_task_and_notifies_the_interface_team() -> None:
    watched = silent().until(LIMIT + 1)
    gap, task, alert = watched.effects
    assert isinstance(gap, GapState)
    assert isinstance(task, TaskState)
    assert isinstance(alert, NotificationIssued)
    assert (gap.state, gap.owner, gap.due, gap.step) == ("open", "interface-team/pool:interfaces", LIMIT, 1)
    assert (task.state, task.handoff) == ("requested", gap.handoff)
    assert alert.recipient == "interface-team/pool:interfaces"
    assert SOURCE in alert.why
    assert "Mon 1 Jun 2026 08:00 UTC" in alert.why
    assert "gaps of up to 10 minutes are usual" in alert.why


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
    alert = watched.of(NotificationIssued)[0]
    watched.heard(LIMIT - 20 * MINUTE, reported=LIMIT + 5 * MINUTE)
    assert watched.of(GapState)[-1].closure == "met"
    assert [w.notification for w in watched.of(NotificationWithdrawn)] == [alert.id]


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
