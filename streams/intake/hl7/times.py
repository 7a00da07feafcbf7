"""HL7 times (DTM, TS): from a year to fractions of a second, with or without an offset, to milliseconds in UTC.

Owns the reading of one time and the choice between several. A time without an offset is in the zone that the caller
gives; in the hour that a clock change repeats the first pass is meant, in the hour that it skips the instant is the
one that the clock before the change would have shown (PEP 495, fold 0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from streams.contract.events import Millis
from streams.contract.instants import EARLIEST, LATEST

_DTM = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:[.,](\d+))?\s*(Z|[+-]\d{4})?\Z", re.ASCII)
# Not HL7, but sent: ISO 8601 with its punctuation.
_ISO = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?)?\s*(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as read: its first instant, and the first instant after it (a day for a date, a year for a year)."""

    at: Millis
    until: Millis

    @property
    def is_exact(self) -> bool:
        """Say whether it names at least a minute."""
        return self.until - self.at <= 60_000

    def holds(self, other: Moment) -> bool:
        """Say whether *other* lies within this and names it more finely."""
        return self.at <= other.at and other.until <= self.until and other.until - other.at < self.until - self.at


def parse_time(text: str, zone: tzinfo) -> Moment | None:
    """Read an HL7 time; None where it is none. *zone* counts where the text has no offset."""
    found = _DTM.match(text) or _ISO.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    place = zone if offset is None else _offset(offset)
    if place is None:
        return None
    if hour is None:
        return _whole_days(int(year), month, day, place)
    # 24:00 ends a day, a leap second ends a minute: both are legal to write, neither is known to a datetime.
    late = hour == "24" and (minute or "00") == "00" and (second or "00") == "00"
    try:
        seconds = min(int(second or 0), 59) if second != "60" else 59
        moment = datetime(int(year), int(month), int(day), 0 if late else int(hour), int(minute or 0), seconds, tzinfo=place)
        if int(second or 0) > 60:
            return None
        if late:
            moment += timedelta(days=1)
        at = _millis(moment) + (int((fraction + "00")[:3]) if fraction else 0)
    except (ValueError, OverflowError):
        return None
    if not EARLIEST <= at <= LATEST:
        return None
    width = 3_600_000 if minute is None else 60_000 if second is None else 1_000 if fraction is None else 1
    return Moment(Millis(at), Millis(at + width))


def _whole_days(year: int, month: str | None, day: str | None, place: tzinfo) -> Moment | None:
    """Read a date, a month or a year."""
    try:
        first = datetime(year, int(month or 1), int(day or 1), tzinfo=place)
        if day is not None:
            after = first + timedelta(days=1)
        elif month is not None:
            after = first.replace(year=year + 1, month=1) if month == "12" else first.replace(month=first.month + 1)
        else:
            after = first.replace(year=year + 1)
        at, until = _millis(first), _millis(after)
    except (ValueError, OverflowError):
        return None
    return Moment(Millis(at), Millis(until)) if at >= EARLIEST and until <= LATEST else None


def first_time(moments: Iterable[Moment | None]) -> Moment | None:
    """Choose from times in order of preference: the first that could be read, made exact by a later one within it.

    A discharge on "20260702" whose message is of 15:04 that day happened at 15:04 as far as anyone can tell, and not
    at midnight, before the admission of that morning.
    """
    readable = [moment for moment in moments if moment is not None]
    if not readable:
        return None
    chosen = readable[0]
    for other in readable[1:]:
        if chosen.is_exact:
            break
        if chosen.holds(other):
            chosen = other
    return chosen


@lru_cache(maxsize=256)
def zone_named(name: str) -> tzinfo:
    """Return the zone of that IANA name. Raises ZoneInfoNotFoundError or ValueError: the name is the deployment's."""
    return ZoneInfo(name)


@lru_cache(maxsize=512)
def _offset(text: str) -> tzinfo | None:
    """Read an offset; any one under a day is legal (the samples hold +0215)."""
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        return None
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(-delta if text[0] == "-" else delta)


def offset_of(text: str) -> tzinfo | None:
    """Return the offset that stands in an HL7 time, None where there is none."""
    found = _DTM.match(text) or _ISO.match(text)
    return _offset(found.group(8)) if found is not None and found.group(8) is not None else None


def _millis(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
