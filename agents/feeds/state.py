"""The state of one source: when it usually sends, and whether it is silent.

Owns the record, its packed form, and how the usual gap is learned. Pure. Must not know the effects of a silence.

The state counts the minutes in which the source sent, not the records. So one batch per hour does not look like a busy source.
Hours are hours of the week in UTC. After a clock change, the new hours are learned within two weeks.
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
"""After a silence that is longer than this, learning starts from the beginning."""
REMEMBERED_WEEKS: Final = 16
"""After this many observations of an hour its counts are halved, so that recent weeks count more if a source changes."""
LOOK_AHEAD_HOURS: Final = 4 * WEEK_HOURS

_EVEN_ENOUGH: Final = 25
_UNEVEN_MAX: Final = 1000

STATE_VERSION: Final = 0xF1
"""The first byte of a packed state. It differs from that of a person's state, because a replay may hold both kinds."""
NEVER: Final = (1 << 62) - 1
_HEAD: Final = struct.Struct("<BQ")


class Feed(msgspec.Struct, array_like=True):
    """One source. Minutes and hours are counted from 1970 in UTC."""

    source: str
    seen: int
    """When it last sent, as reported, in milliseconds."""
    last: int
    """The minute of `seen`."""
    since: int
    """The minute at which counting for the mean gap over all hours starts. Each silence with an alarm moves it forward, so that
    the silence does not count."""
    active: int = 1
    """Number of minutes since `since` in which it sent."""
    hour: int = 0
    """The hour that is being counted."""
    count: int = 1
    """Number of minutes of `hour` in which it sent."""
    whole: bool = False
    """Whether `hour` has been observed from its start."""
    sent: list[int] = []
    """For each hour of the week: the number of minutes in which it sent, over all the weeks in `observed`."""
    observed: list[int] = []
    """For each hour of the week: how often it was observed from start to end."""
    uneven: int = 100
    """Length of a usual gap in hundredths of the mean gap; 95 of 100 gaps are shorter. 100: the source sends at regular intervals."""
    due: int = 0
    """The next deadline in milliseconds; 0: none."""
    step: int = 0
    """0: not silent; 1: the first owner was notified; 2: the second owner too."""
    cause: str = ""
    """Id of the newest report."""
    handoff: str = ""
    """Id of the open handoff; empty if the source is not silent."""
    opened: int = 0
    """When the silence became too long, in milliseconds. It is published as the due time."""
    notified: tuple[tuple[str, str], ...] = ()
    """The notifications about the silence: id and recipient."""


_ToStep = msgspec.defstruct("_ToStep", [*((f"before_{n}", msgspec.Raw) for n in range(12)), ("step", int)], array_like=True)
"""The start of a `Feed`, up to `step`. The fields before `step` are skipped and not decoded."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_step: Final = msgspec.msgpack.Decoder(_ToStep).decode
_decode: Final = msgspec.msgpack.Decoder(Feed).decode


class UnreadableStateError(Exception):
    """This release cannot read the state. The report that is being applied is not at fault, so it must not be skipped."""


def pack(feed: Feed) -> bytes:
    """Return *feed* as a version byte, its deadline (8 bytes), and MessagePack."""
    return _HEAD.pack(STATE_VERSION, feed.due or NEVER) + _encode(feed)


def unpack(packed: bytes) -> Feed:
    """Return the source in *packed*. Raises UnreadableStateError."""
    if packed[:1] != bytes((STATE_VERSION,)):
        raise UnreadableStateError("these bytes are not the state of a feed")
    try:
        return _decode(memoryview(packed)[_HEAD.size :])
    except msgspec.MsgspecError as broken:
        raise UnreadableStateError("these bytes are not the state of a feed") from broken


def packed_deadline(packed: bytes) -> Millis | None:
    """Return the deadline in *packed* without decoding it."""
    deadline: int = _HEAD.unpack_from(packed)[1]
    return None if deadline == NEVER else Millis(deadline)


def packed_silent(packed: bytes) -> int:
    """Return 1 if the source in *packed* is silent, else 0, without decoding all of it."""
    return 1 if _decode_step(memoryview(packed)[_HEAD.size :]).step else 0  # type: ignore[attr-defined]


def new_feed(source: str, seen: Millis, cause: str) -> Feed:
    """Return the state of a source after its first report."""
    minute = seen // MINUTE_MS
    return Feed(source, seen, minute, minute, hour=minute // HOUR_MINUTES, sent=[0] * WEEK_HOURS, observed=[0] * WEEK_HOURS, cause=cause)


def missed_gaps(feed: Feed, begin: int, end: int, rule: FeedRule) -> float:
    """Return how many mean gaps lie between the minutes *begin* and *end*. Each hour counts with its own mean gap."""
    missed = 0.0
    for hour in range(begin // HOUR_MINUTES, min(end // HOUR_MINUTES, begin // HOUR_MINUTES + LOOK_AHEAD_HOURS) + 1):
        gap = mean_gap_minutes(feed, hour, rule)
        if gap:
            missed += (min(end, (hour + 1) * HOUR_MINUTES) - max(begin, hour * HOUR_MINUTES)) / gap
    return missed


def learn_unevenness(feed: Feed, missed: float) -> None:
    """Update `uneven` after a gap of *missed* mean gaps: a large step up if it was longer than usual, else a small step down.

    The steps balance when 95 of 100 gaps are shorter (Robbins and Monro's estimate of a quantile). A gap that exceeds the usual one
    by at most a quarter of a mean gap does not count as longer.
    """
    longer = missed * 100 > feed.uneven + _EVEN_ENOUGH
    feed.uneven = min(feed.uneven + 19, _UNEVEN_MAX) if longer else max(100, feed.uneven - 1)


def learn(feed: Feed, minute: int, *, was_silent: bool) -> None:
    """Record that *feed* sent in *minute*, which is later than its last one.

    The hours in between count as observed and silent, even if there was an alarm, so that a regular silence at night is learned. The
    mean gap over all hours leaves out a silence with an alarm, because one long silence would change that mean for all hours.
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
    """Add an hour that was observed from start to end."""
    index = hour % WEEK_HOURS
    if feed.observed[index] >= REMEMBERED_WEEKS:
        feed.observed[index] //= 2
        feed.sent[index] = (feed.sent[index] + 1) // 2
    feed.observed[index] += 1
    feed.sent[index] += count


def _on_most_days(feed: Feed, every_day: range, rule: FeedRule) -> bool:
    """Return whether the source sends in that hour on most days. If so, a single minute in each such hour is not a coincidence."""
    sent = sum(feed.sent[n] for n in every_day)
    return sent >= rule.hour_known_after_minutes and 2 * sent >= sum(feed.observed[n] for n in every_day)


def mean_gap_minutes(feed: Feed, hour: int, rule: FeedRule) -> float:
    """Return the mean gap between two minutes in which the source sends in *hour*, in minutes; 0.0 if it is unknown.

    It is the mean of this hour of the week if that was observed often enough, else of the same hour of all days, else of all hours
    if the source sends often. It is unknown for an hour in which the source sent only by chance.
    """
    index = hour % WEEK_HOURS
    every_day = range(index % DAY_HOURS, WEEK_HOURS, DAY_HOURS)
    for hours in ((index,), every_day):
        observed = sum(feed.observed[n] for n in hours)
        if observed >= rule.hour_known_after:
            sent = sum(feed.sent[n] for n in hours)
            known = sent >= rule.hour_known_after_minutes or (sent >= observed and _on_most_days(feed, every_day, rule))
            return observed * HOUR_MINUTES / sent if known else 0.0
    if feed.active < rule.source_known_after_minutes:
        return 0.0
    mean = (feed.last - feed.since) / (feed.active - 1)
    return mean if mean <= rule.any_hour_gap_minutes_max else 0.0
