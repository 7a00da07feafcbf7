"""What is remembered of one source: when it is usually heard, and whether it is silent.

Owns the shape, its packed form and the learning of the usual gap. Pure. Must not know what a silence leads to.

A source is heard or not heard in a minute; how much came in it does not matter, so a batch every hour is no busy source.
Hours are those of the week in UTC: where a country changes its clocks, two weeks later the new hours are known.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from agents.feeds.rule import FeedRule
from streams.contract.events import Millis

MINUTE_MS: Final = 60_000
HOUR_MINUTES: Final = 60
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 7 * DAY_HOURS
FORGET_WEEKS: Final = 8
"""A source that was away for longer begins anew."""
REMEMBERED_WEEKS: Final = 16
"""What was learned of an hour is halved when so many weeks have gone into it: a feed that changes is known by what it does now."""
LOOK_AHEAD_HOURS: Final = 4 * WEEK_HOURS

_EVEN_ENOUGH: Final = 25
_UNEVEN_MAX: Final = 1000

STATE_VERSION: Final = 0xF1
"""The first byte. No person's state begins so, and a replay may hold both side by side."""
NEVER: Final = (1 << 62) - 1
_HEAD: Final = struct.Struct("<BQ")


class Feed(msgspec.Struct, array_like=True):
    """One source. Minutes and hours are counted since 1970 in UTC."""

    source: str
    seen: int
    """Milliseconds: when it was last heard, as reported."""
    last: int
    """The minute of that."""
    since: int
    """The minute from which the gap over all hours is counted; silences that were alarms are left out by moving it on."""
    active: int = 1
    """In how many minutes since then it was heard."""
    hour: int = 0
    """The hour that is being counted."""
    count: int = 1
    """In how many of its minutes the source was heard."""
    whole: bool = False
    """Whether that hour has been watched from its beginning."""
    heard: list[int] = []
    """For each hour of the week: in how many minutes it was heard, over all the weeks in `watched`."""
    watched: list[int] = []
    """For each hour of the week: how often it was watched from end to end."""
    uneven: int = 100
    """Hundredths: how many mean gaps long a gap usually is at most (95 of 100 gaps are shorter). 100: it comes like a clock."""
    due: int = 0
    """Milliseconds: when the next thing happens; 0: nothing does."""
    step: int = 0
    """0: not silent; 1: the first watcher was told; 2: the second too."""
    cause: str = ""
    """Id of the report that was heard last."""
    handoff: str = ""
    """Id of the gap that is open."""
    opened: int = 0
    """Milliseconds: when the silence was too long, which is the gap's due."""
    told: tuple[tuple[str, str], ...] = ()
    """Notifications about it: id and recipient."""


_ToStep = msgspec.defstruct("_ToStep", [*((f"before_{n}", msgspec.Raw) for n in range(12)), ("step", int)], array_like=True)
"""As much of a `Feed` as says whether it is silent: what stands before `step` is passed over, not read."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_step: Final = msgspec.msgpack.Decoder(_ToStep).decode
_decode: Final = msgspec.msgpack.Decoder(Feed).decode


class UnreadableStateError(Exception):
    """The state was written by another release: ours to mend, never to skip."""


def pack(feed: Feed) -> bytes:
    """Return *feed* as one version byte, eight bytes of its deadline, and MessagePack."""
    return _HEAD.pack(STATE_VERSION, feed.due or NEVER) + _encode(feed)


def unpack(packed: bytes) -> Feed:
    """Return the source in *packed*. Raises UnreadableStateError."""
    if packed[:1] != bytes((STATE_VERSION,)):
        raise UnreadableStateError("these bytes are no feed's state")
    try:
        return _decode(memoryview(packed)[_HEAD.size :])
    except msgspec.MsgspecError as broken:
        raise UnreadableStateError("these bytes are no feed's state") from broken


def packed_deadline(packed: bytes) -> Millis | None:
    """Return the deadline in *packed* without decoding it."""
    deadline: int = _HEAD.unpack_from(packed)[1]
    return None if deadline == NEVER else Millis(deadline)


def packed_silent(packed: bytes) -> int:
    """Return 1 where the source in *packed* is silent, else 0, without decoding it all."""
    return 1 if _decode_step(memoryview(packed)[_HEAD.size :]).step else 0  # type: ignore[attr-defined]


def new_feed(source: str, seen: Millis, cause: str) -> Feed:
    """Return what is known of a source that was heard for the first time."""
    minute = seen // MINUTE_MS
    return Feed(source, seen, minute, minute, hour=minute // HOUR_MINUTES, heard=[0] * WEEK_HOURS, watched=[0] * WEEK_HOURS, cause=cause)


def missed_gaps(feed: Feed, begin: int, end: int, rule: FeedRule) -> float:
    """Return how many mean gaps lie between the minutes *begin* and *end*, each stretch measured with the gap of its own hour."""
    missed = 0.0
    for hour in range(begin // HOUR_MINUTES, min(end // HOUR_MINUTES, begin // HOUR_MINUTES + LOOK_AHEAD_HOURS) + 1):
        gap = mean_gap_minutes(feed, hour, rule)
        if gap:
            missed += (min(end, (hour + 1) * HOUR_MINUTES) - max(begin, hour * HOUR_MINUTES)) / gap
    return missed


def learn_unevenness(feed: Feed, missed: float) -> None:
    """Take in a gap of so many mean gaps: the estimate goes up by much where it was longer, down by little where not.

    Both steps balance where 95 of 100 gaps are shorter (Robbins and Monro's estimate of a quantile). A quarter more is no unevenness.
    """
    longer = missed * 100 > feed.uneven + _EVEN_ENOUGH
    feed.uneven = min(feed.uneven + 19, _UNEVEN_MAX) if longer else max(100, feed.uneven - 1)


def learn(feed: Feed, minute: int, *, was_silent: bool) -> None:
    """Take in that *feed* was heard in *minute*, later than before.

    The hours between count as watched and silent, also those of an alarm: who is silent every night is learned by it. The
    mean over all hours leaves an alarm's silence out, for it has no weeks to even one out.
    """
    hour = minute // HOUR_MINUTES
    if was_silent:
        feed.since += max(0, minute - feed.last - 1)
    if hour != feed.hour:
        if feed.whole:
            _end_hour(feed, feed.hour, feed.count)
        for between in range(feed.hour + 1, hour):
            _end_hour(feed, between, 0)
        feed.hour, feed.whole, feed.count = hour, True, 0
    feed.count += 1
    feed.active += 1
    feed.last = minute


def _end_hour(feed: Feed, hour: int, count: int) -> None:
    """Add an hour that was watched from end to end."""
    place = hour % WEEK_HOURS
    if feed.watched[place] >= REMEMBERED_WEEKS:
        feed.watched[place] //= 2
        feed.heard[place] = (feed.heard[place] + 1) // 2
    feed.watched[place] += 1
    feed.heard[place] += count


def _on_most_days(feed: Feed, every_day: range, rule: FeedRule) -> bool:
    """Say whether the source comes in that hour on most days: then once each time in an hour of the week is no chance."""
    heard = sum(feed.heard[n] for n in every_day)
    return heard >= rule.hour_known_after_minutes and 2 * heard >= sum(feed.watched[n] for n in every_day)


def mean_gap_minutes(feed: Feed, hour: int, rule: FeedRule) -> float:
    """Return how many minutes lie on average between two in which the source is heard in *hour*; 0.0: none can be said.

    The hour of the week itself where it was watched often enough; before that the same hour of all days; before that the
    mean over all hours of a source that speaks often. An hour in which the source was heard by chance at most has none.
    """
    place = hour % WEEK_HOURS
    every_day = range(place % DAY_HOURS, WEEK_HOURS, DAY_HOURS)
    for places in ((place,), every_day):
        watched = sum(feed.watched[n] for n in places)
        if watched >= rule.hour_known_after:
            heard = sum(feed.heard[n] for n in places)
            known = heard >= rule.hour_known_after_minutes or (heard >= watched and _on_most_days(feed, every_day, rule))
            return watched * HOUR_MINUTES / heard if known else 0.0
    if feed.active < rule.source_known_after_minutes:
        return 0.0
    mean = (feed.last - feed.since) / (feed.active - 1)
    return mean if mean <= rule.any_hour_gap_minutes_max else 0.0
