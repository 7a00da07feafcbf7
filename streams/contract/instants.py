"""Conversion between timestamps as text (RFC 3339, ISO 8601) and milliseconds since 1970 in UTC.

Owns the only parser and the only formatter of instants. Knows no time zone. A text without an offset is an error,
because a guessed offset would move a deadline by hours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from streams.contract.events import Millis

EARLIEST = Millis(-62_135_510_400_000)
"""0001-01-02T00:00Z: one day after Python's earliest date, so that a local time is valid in every zone."""

LATEST = Millis(253_402_214_400_000)
"""9999-12-31T00:00Z: one day before the end of Python's calendar, for the same reason."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SEPARATORS = frozenset("Tt ")
_EPOCH_DAY = _EPOCH.toordinal()
_MONTH_STARTS = {
    f"{y:04d}-{m:02d}-": datetime(y, m, 1, tzinfo=UTC).toordinal() - _EPOCH_DAY - 1 for y in range(1950, 2100) for m in range(1, 13)
}
_MONTH_LENGTHS = {
    k: (datetime.fromordinal(d + _EPOCH_DAY + 33).replace(day=1).toordinal() - _EPOCH_DAY - 1 - d) for k, d in _MONTH_STARTS.items()
}
_TWO_DIGITS = {f"{n:02d}": n for n in range(60)}
_OFFSETS = {"Z": 0, "z": 0} | {
    f"{sign}{h:02d}:{m:02d}": n * (h * 60 + m) for sign, n in (("+", 1), ("-", -1)) for h in range(24) for m in range(60)
}


def parse_instant(text: str) -> Millis:
    """Parse *text*, an ISO 8601 timestamp with an offset, into milliseconds. Digits below a millisecond are cut off.

    Raises ValueError if it is not a timestamp, has no offset, or lies outside the years 1 to 9999.
    """
    # Tables parse the common forms, YYYY-MM-DDTHH:MM:SS[.fff] with Z or ±hh:mm, in a third of the time of
    # fromisoformat and datetime arithmetic. `_parse_any` parses all other texts.
    try:
        month = text[:8]
        day = _TWO_DIGITS[text[8:10]]
        if text[19] == ".":
            fraction = text[20:23]
            if not (fraction.isascii() and fraction.isdigit() and len(fraction) == 3):
                return _parse_any(text)
            millis, offset = int(fraction), _OFFSETS[text[23:]]
        else:
            millis, offset = 0, _OFFSETS[text[19:]]
        hour = _TWO_DIGITS[text[11:13]]
        if text[10] in "Tt" and text[13] == text[16] == ":" and hour < 24 and 0 < day <= _MONTH_LENGTHS[month]:
            minutes = ((_MONTH_STARTS[month] + day) * 24 + hour) * 60 + _TWO_DIGITS[text[14:16]] - offset
            return Millis((minutes * 60 + _TWO_DIGITS[text[17:19]]) * 1000 + millis)
    except (KeyError, IndexError):
        pass
    return _parse_any(text)


def _parse_any(text: str) -> Millis:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not an ISO 8601 timestamp") from None
    if not _SEPARATORS.intersection(text):  # Python accepts any character between date and time.
        raise ValueError("not an ISO 8601 timestamp")
    if parsed.tzinfo is None:
        raise ValueError("a timestamp without an offset from UTC")
    found = (parsed - _EPOCH) // _MILLISECOND
    if not EARLIEST <= found <= LATEST:
        raise ValueError("a timestamp outside the years 1 to 9999")
    return Millis(found)


@lru_cache(8192)
def format_instant(instant: Millis) -> str:
    """Format *instant* (milliseconds) in UTC: `2026-07-02T19:00:00Z`, with three decimals if they are not zero.

    Raises ValueError if it lies outside the years 1 to 9999.
    """
    if not EARLIEST <= instant <= LATEST:
        raise ValueError("a timestamp outside the years 1 to 9999")
    minute, millis = divmod(instant, 60_000)
    second, millis = divmod(millis, 1000)
    return f"{_minute(minute)}{second:02d}.{millis:03d}Z" if millis else f"{_minute(minute)}{second:02d}Z"


@lru_cache(8192)
def _minute(minute: int) -> str:
    """Format a minute since 1970 as `2026-07-02T19:00:`."""
    # Cached because many instants share a minute, and strftime takes as long as the rest of a header.
    return (_EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:").rjust(17, "0")
