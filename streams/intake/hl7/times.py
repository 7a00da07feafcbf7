"""HL7 times (DTM, TS): conversion to milliseconds in UTC.

Owns the parsing of a time and the choice between several. A time has a precision from a year to a fraction of a second.
A time without an offset is in the zone that the caller gives. If a clock change repeats the hour, the time is in the
first of the two. If a clock change skips the hour, the offset before the change applies (PEP 495, fold 0).
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
# ISO 8601 with punctuation is not valid in HL7, but some senders use it.
_ISO = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?)?\s*(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time and its precision: the first instant, and the first instant after it. A date lasts one day, a year one year."""

    at: Millis
    until: Millis

    @property
    def is_exact(self) -> bool:
        """Return whether the time has at least the precision of a minute."""
        return self.until - self.at <= 60_000

    def contains(self, other: Moment) -> bool:
        """Return whether *other* lies within this time and is more precise."""
        return self.at <= other.at and other.until <= self.until and other.until - other.at < self.until - self.at


def parse_time(text: str, zone: tzinfo) -> Moment | None:
    """Parse an HL7 time. Return None if *text* is not one. *zone* applies if the text has no offset."""
    found = _DTM.match(text) or _ISO.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    time_zone = zone if offset is None else _offset(offset)
    if time_zone is None:
        return None
    if hour is None:
        return _whole_days(int(year), month, day, time_zone)
    # 24:00 and leap seconds (:60) are valid in HL7, but `datetime` accepts neither.
    late = hour == "24" and (minute or "00") == "00" and (second or "00") == "00"
    try:
        seconds = min(int(second or 0), 59) if second != "60" else 59
        moment = datetime(int(year), int(month), int(day), 0 if late else int(hour), int(minute or 0), seconds, tzinfo=time_zone)
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


def _whole_days(year: int, month: str | None, day: str | None, time_zone: tzinfo) -> Moment | None:
    """Return a date, a month or a year as a `Moment`."""
    try:
        first = datetime(year, int(month or 1), int(day or 1), tzinfo=time_zone)
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
    """Return the first readable time of *moments* (in order of preference), or a later, more precise one that lies within it.

    For example, a discharge on "20260702" in a message from 15:04 on that day gets the time 15:04. Midnight would be
    before an admission on that morning.
    """
    readable = [moment for moment in moments if moment is not None]
    if not readable:
        return None
    chosen = readable[0]
    for other in readable[1:]:
        if chosen.is_exact:
            break
        if chosen.contains(other):
            chosen = other
    return chosen


@lru_cache(maxsize=256)
def zone_named(name: str) -> tzinfo:
    """Return the time zone with this IANA name. Raises ZoneInfoNotFoundError or ValueError if it does not exist."""
    return ZoneInfo(name)


@lru_cache(maxsize=512)
def _offset(text: str) -> tzinfo | None:
    """Parse an offset. Return None if it is a day or longer. Unusual offsets are valid: samples contain +0215."""
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        return None
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(-delta if text[0] == "-" else delta)


def offset_of(text: str) -> tzinfo | None:
    """Return the offset in an HL7 time, or None if it has none."""
    found = _DTM.match(text) or _ISO.match(text)
    return _offset(found.group(8)) if found is not None and found.group(8) is not None else None


def _millis(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
