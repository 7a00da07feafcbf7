"""The calendars of the model: days and business days in the United States and in England, written out from printed calendars.

Must not import a calendar or a table of the product.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NEW_YORK, CHICAGO, LONDON = "America/New_York", "America/Chicago", "Europe/London"

_FEDERAL = frozenset(
    date(*day)
    for day in (
        (2026, 7, 3), (2026, 9, 7), (2026, 10, 12), (2026, 11, 11), (2026, 11, 26), (2026, 12, 25),
        (2027, 1, 1), (2027, 1, 18), (2027, 2, 15), (2027, 5, 31), (2027, 6, 18), (2027, 7, 5),
    )
)  # fmt: skip
_ENGLAND = frozenset(
    date(*day)
    for day in ((2026, 8, 31), (2026, 12, 25), (2026, 12, 28), (2027, 1, 1), (2027, 3, 26), (2027, 3, 29), (2027, 5, 3), (2027, 5, 31))
)
HOLIDAYS = {NEW_YORK: _FEDERAL, CHICAGO: _FEDERAL, LONDON: _ENGLAND}
"""Public holidays on weekdays in the stories' time, from printed calendars: the federal ones, and those of England."""


def local(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at / 1000, ZoneInfo(zone))


def midnight_after(day: date, zone: str) -> int:
    return int(datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC).timestamp() * 1000)


def days_after(at: int, count: int, zone: str) -> int:
    """24:00 local time on the *count*th day after the local date of *at*."""
    return midnight_after(local(at, zone).date() + timedelta(days=count), zone)


def business_days_after(at: int, count: int, zone: str) -> int:
    """24:00 local time on the *count*th weekday that is not a holiday after the local date of *at*."""
    day = local(at, zone).date()
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5 and day not in HOLIDAYS[zone]
    return midnight_after(day, zone)
