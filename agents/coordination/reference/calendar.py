"""When a clock ends: local days, business days, holidays and elapsed time.

Owns the meaning of the clocks in the catalogue. Day-based clocks (`day`, `business-day`, `week`, `month`) end at 24:00 local time.
Elapsed clocks (`minute`, `hour`) also run at night and on closed days. `open-hour` skips closed days. Must not know a rule,
a person or the current time. The caller passes every instant, and the time zone and holidays that apply.

Day zero is the trigger's local date. It never moves the end: "7 days" ends with the seventh day after day zero, whether or not
care on day zero counts ("8 days in all" in HEDIS' words). It only decides when care starts to count: at the trigger, or at
`end_of_local_day`.
"""

from __future__ import annotations

import calendar as _gregorian
from collections.abc import Container
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Final, Literal, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import holidays
import msgspec

from streams.contract.events import Millis
from streams.contract.suggestions import did_you_mean

Unit = Literal["minute", "hour", "open-hour", "day", "business-day", "week", "month"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a handoff may take: *amount* of *unit*. `day_zero`: whether care on the trigger's date counts."""

    EXAMPLE: ClassVar[str] = "{amount: 48, unit: hour}"
    amount: int
    unit: Unit
    day_zero: bool = True


class HolidayRegion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A region with its own public holidays: ISO 3166-1 country and, if needed, subdivision code (`US`+`NY`, `GB`+`ENG`)."""

    country: str
    subdivision: str = ""


MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
ELAPSED_MS: Final = {"minute": MINUTE_MS, "hour": HOUR_MS}
SATURDAY: Final = 5
"""`date.weekday` of the first day of the weekend. Business days are Monday to Friday in every region (CPT's TCM definition)."""

_QUARTER_MS: Final = 900_000
"""The local date never changes within a quarter of an hour: every zone's offset since 1972 is a multiple of 15 minutes."""


def due_at(clock: Clock, trigger: Millis, zone: str, region: HolidayRegion) -> Millis:
    """Return the instant at which *clock*, started at *trigger*, ends. An event at exactly that instant is in time.

    Args:
        clock: The amount and its unit.
        trigger: Event time of the trigger, in milliseconds UTC.
        zone: IANA name of the local time zone.
        region: The region whose public holidays apply.

    Raises:
        ValueError: The zone or the region is unknown. Call `check_calendar` at start to find this early.
    """
    unit = clock.unit
    span = ELAPSED_MS.get(unit)
    if span is not None:
        return Millis(trigger + clock.amount * span)
    if unit == "open-hour":
        return _open_hours_end(clock.amount, trigger, zone, region)
    return _day_end(clock.amount, unit, trigger // _QUARTER_MS, zone, region)


def after_due(clock: Clock, due: Millis, zone: str, region: HolidayRegion) -> Millis:
    """Return the end of *clock* if it starts when another clock ends, for a step such as `due + 2 business-day`.

    A day-based clock ends at 24:00, which is 00:00 of the next day. A clock that starts there would end a day late. So day zero
    is the last day of the other clock.
    """
    if clock.unit in ELAPSED_MS or clock.unit == "open-hour":
        return due_at(clock, due, zone, region)
    return due_at(clock, Millis(due - 1), zone, region)


def fraction_at(opened: Millis, due: Millis, share: float) -> Millis:
    """Return the instant at which *share* (0 to 1) of the time between *opened* and *due* has passed."""
    return Millis(opened + int((due - opened) * share))


def end_of_local_day(at: Millis, zone: str) -> Millis:
    """Return 24:00 local time of the date of *at*: the end of day zero."""
    return _midnight(zone, _local_ordinal(zone, at // _QUARTER_MS) + 1)


def start_of_local_day(at: Millis, zone: str) -> Millis:
    """Return 00:00 local time of the date of *at*: the start of day zero."""
    return _midnight(zone, _local_ordinal(zone, at // _QUARTER_MS))


def local_date(at: Millis, zone: str) -> date:
    """Return the calendar date of *at* in *zone*."""
    return date.fromordinal(_local_ordinal(zone, at // _QUARTER_MS))


def first_instant(day: date, zone: str) -> Millis:
    """Return 00:00 local time of *day*, or its first instant if a clock change skips 00:00."""
    return _midnight(zone, day.toordinal())


def is_business_day(day: date, region: HolidayRegion) -> bool:
    """Return whether *day* is Monday to Friday and not a public holiday of *region*."""
    return _is_business(day.toordinal(), region)


def check_calendar(zone: str, region: HolidayRegion) -> None:
    """Raise ValueError if *zone* or *region* is unknown."""
    _zone(zone)
    _holidays(region)


@lru_cache(maxsize=65_536)
def _day_end(amount: int, unit: str, quarter: int, zone: str, region: HolidayRegion) -> Millis:
    ordinal = _local_ordinal(zone, quarter)
    if unit == "business-day":
        left = amount
        while left > 0:
            ordinal += 1
            left -= _is_business(ordinal, region)
    elif unit == "month":
        ordinal = _months_later(date.fromordinal(ordinal), amount).toordinal()
    else:
        ordinal += amount * (7 if unit == "week" else 1)
    return _midnight(zone, ordinal + 1)


def _months_later(day: date, months: int) -> date:
    """Return the same day of a later month, or its last day if it has no such day: 31 January + 1 is 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, _gregorian.monthrange(year, month + 1)[1]))


def _open_hours_end(hours: int, trigger: Millis, zone: str, region: HolidayRegion) -> Millis:
    """Count day by day: an open day adds its real length (23 or 25 hours on a clock change), a closed day adds nothing."""
    left = hours * HOUR_MS
    ordinal = _local_ordinal(zone, trigger // _QUARTER_MS)
    start = trigger
    while True:
        end = _midnight(zone, ordinal + 1)
        if _is_business(ordinal, region):
            if left <= end - start:
                return Millis(start + left)
            left -= end - start
        ordinal, start = ordinal + 1, end


@lru_cache(maxsize=65_536)
def _local_ordinal(zone: str, quarter: int) -> int:
    return datetime.fromtimestamp(quarter * (_QUARTER_MS // 1000), UTC).astimezone(_zone(zone)).toordinal()


@lru_cache(maxsize=16_384)
def _midnight(zone: str, ordinal: int) -> Millis:
    """Return the first instant of a local day.

    `fold=0` is right in all three cases. If 00:00 occurs twice, it selects the first. If 00:00 is skipped (Santiago, Beirut), the
    offset before the change gives exactly the instant of the change. Otherwise there is only one 00:00.
    """
    first = datetime.combine(date.fromordinal(ordinal), datetime.min.time(), _zone(zone))
    return Millis((first.astimezone(UTC) - _EPOCH) // _MILLISECOND)


@lru_cache(maxsize=16_384)
def _is_business(ordinal: int, region: HolidayRegion) -> bool:
    day = date.fromordinal(ordinal)
    return day.weekday() < SATURDAY and day not in _holidays(region)


@lru_cache(maxsize=256)
def _holidays(region: HolidayRegion) -> Container[date]:
    try:
        return cast("Container[date]", holidays.country_holidays(region.country, subdiv=region.subdivision or None))
    except NotImplementedError as unknown:
        raise ValueError(f"no public holidays are known for {region.country} {region.subdivision}".rstrip()) from unknown


@lru_cache(maxsize=1_024)
def _zone(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise ValueError(f"{zone!r} is not an IANA time zone{did_you_mean(zone, available_timezones())}") from unknown


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
