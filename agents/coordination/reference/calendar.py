"""When a clock ends: local days, business days, holidays and elapsed time.

Owns the one meaning of a clock of the catalogue: day-based clocks (`day`, `business-day`, `week`, `month`) end at 24:00
local time, elapsed ones (`minute`, `hour`) run through nights and closed days, `open-hour` leaves closed days out. Must
not know a rule, a person or the present: every instant is an argument, and the zone and holidays are the accountable
organisation's (else the facility's), chosen by the caller.

Day zero is the trigger's own local date. It never moves the end: "7 days" ends with the seventh day after day zero
whether or not care on day zero counts ("8 days in all" in HEDIS' words). What day zero decides is from when care counts;
`end_of_local_day` gives that instant.
"""

from __future__ import annotations

import calendar as _gregorian
from collections.abc import Container
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import holidays
import msgspec

from streams.contract.events import Millis
from streams.contract.suggestions import did_you_mean

Unit = Literal["minute", "hour", "open-hour", "day", "business-day", "week", "month"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a handoff may take: *amount* of *unit*, and whether care on the trigger's own date counts."""

    amount: int
    unit: Unit
    day_zero: bool = True


class HolidayRegion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose public holidays: ISO 3166-1 country and, where it matters, the code of a subdivision (`US`+`NY`, `GB`+`ENG`)."""

    country: str
    subdivision: str = ""


MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
ELAPSED_MS: Final = {"minute": MINUTE_MS, "hour": HOUR_MS}
SATURDAY: Final = 5
"""`date.weekday` of the first day that is not a business day, everywhere (CPT's TCM definition: Monday to Friday)."""

_QUARTER_MS: Final = 900_000
"""Within one quarter of an hour of UTC the local date is one: every zone's offset since 1972 is a multiple of 15 minutes."""


def due_at(clock: Clock, trigger: Millis, zone: str, region: HolidayRegion) -> Millis:
    """Return the instant at which *clock*, started at *trigger*, ends; what happens at that very instant is still in time.

    Args:
        clock: The amount and its unit.
        trigger: Milliseconds UTC of what started the clock, in event time.
        zone: IANA name of the local time.
        region: Whose holidays are no business days.

    Raises:
        ValueError: The zone or the region is not known; say so at start with `check_calendar`.
    """
    unit = clock.unit
    span = ELAPSED_MS.get(unit)
    if span is not None:
        return Millis(trigger + clock.amount * span)
    if unit == "open-hour":
        return _open_hours_end(clock.amount, trigger, zone, region)
    return _day_end(clock.amount, unit, trigger // _QUARTER_MS, zone, region)


def after_due(clock: Clock, due: Millis, zone: str, region: HolidayRegion) -> Millis:
    """Return the end of *clock* counted on from an earlier clock's end, as a step "two business days after due".

    A day-based end is 24:00 of the last day, which is already 00:00 of the next: counted from there a step would come a
    day late. So the day that the earlier clock ended with is day zero here.
    """
    if clock.unit in ELAPSED_MS or clock.unit == "open-hour":
        return due_at(clock, due, zone, region)
    return due_at(clock, Millis(due - 1), zone, region)


def fraction_at(opened: Millis, due: Millis, share: float) -> Millis:
    """Return the instant at which *share* (0 to 1) of the elapsed time between *opened* and *due* has gone."""
    return Millis(opened + int((due - opened) * share))


def end_of_local_day(at: Millis, zone: str) -> Millis:
    """Return 24:00 local time of the date that *at* falls on: the end of day zero."""
    return _midnight(zone, _local_ordinal(zone, at // _QUARTER_MS) + 1)


def start_of_local_day(at: Millis, zone: str) -> Millis:
    """Return 00:00 local time of the date that *at* falls on: the beginning of day zero."""
    return _midnight(zone, _local_ordinal(zone, at // _QUARTER_MS))


def local_date(at: Millis, zone: str) -> date:
    """Return the calendar date of *at* in *zone*."""
    return date.fromordinal(_local_ordinal(zone, at // _QUARTER_MS))


def first_instant(day: date, zone: str) -> Millis:
    """Return 00:00 local time of *day*, or the first instant of it where clocks skip that."""
    return _midnight(zone, day.toordinal())


def is_business_day(day: date, region: HolidayRegion) -> bool:
    """Say whether *day* is Monday to Friday and no public holiday of *region*."""
    return _is_business(day.toordinal(), region)


def check_calendar(zone: str, region: HolidayRegion) -> None:
    """Raise ValueError, naming what is wrong, unless *zone* and *region* are known."""
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
    """Return the same day of the month, or the month's last where it has none: 31 January + 1 is 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, _gregorian.monthrange(year, month + 1)[1]))


def _open_hours_end(hours: int, trigger: Millis, zone: str, region: HolidayRegion) -> Millis:
    """Walk whole local days: a day that is open gives its real length (23 or 25 hours where clocks change), a closed one none."""
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

    `fold=0` is right in all three cases: where 00:00 comes twice it is the first, where it is skipped (Santiago, Beirut)
    the offset before the change gives the very instant of the change, and else there is only one.
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
        raise ValueError(f"{zone!r} is no IANA time zone{did_you_mean(zone, available_timezones())}") from unknown


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
