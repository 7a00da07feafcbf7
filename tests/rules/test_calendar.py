"""The end of a clock: local midnights, both clock changes of the year, leap days, year ends and public holidays."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from agents.coordination.reference.calendar import (
    Clock,
    HolidayRegion,
    after_due,
    check_calendar,
    due_at,
    end_of_local_day,
    fraction_at,
    is_business_day,
    local_date,
)
from streams.contract.events import Millis

NEW_YORK = "America/New_York"
LONDON = "Europe/London"
US = HolidayRegion("US")
ENGLAND = HolidayRegion("GB", "ENG")


def at(local: str, zone: str, *, second: bool = False) -> Millis:
    """The milliseconds of a local time. If it occurs twice, *second* selects the later one."""
    when = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=int(second))
    return Millis(int(when.astimezone(UTC).timestamp() * 1000))


def wall(when: Millis, zone: str) -> str:
    return datetime.fromtimestamp(when / 1000, ZoneInfo(zone)).isoformat(timespec="minutes")[:16]


# (what it shows, amount, unit, trigger, zone, region, end). Each end was taken from a printed calendar.
ENDS = [
    ("thursday_before_observed_holiday", 2, "business-day", "2026-07-02T15:00", NEW_YORK, US, "2026-07-08T00:00"),
    ("plain_week", 2, "business-day", "2026-07-07T09:00", NEW_YORK, US, "2026-07-10T00:00"),
    ("friday", 2, "business-day", "2026-07-10T23:59", NEW_YORK, US, "2026-07-15T00:00"),
    ("saturday", 2, "business-day", "2026-07-11T10:00", NEW_YORK, US, "2026-07-15T00:00"),
    ("sunday", 1, "business-day", "2026-07-12T10:00", NEW_YORK, US, "2026-07-14T00:00"),
    ("discharged_on_the_holiday", 2, "business-day", "2026-07-03T12:00", NEW_YORK, US, "2026-07-08T00:00"),
    ("thanksgiving", 2, "business-day", "2026-11-25T12:00", NEW_YORK, US, "2026-12-01T00:00"),
    ("new_year_us", 2, "business-day", "2026-12-30T12:00", NEW_YORK, US, "2027-01-05T00:00"),
    ("new_year_observed_in_the_old_year", 1, "business-day", "2027-12-30T12:00", NEW_YORK, US, "2028-01-04T00:00"),
    ("england_easter", 2, "business-day", "2026-04-02T12:00", LONDON, ENGLAND, "2026-04-09T00:00"),
    ("england_boxing_day_observed", 2, "business-day", "2026-12-24T12:00", LONDON, ENGLAND, "2026-12-31T00:00"),
    ("england_late_summer", 1, "business-day", "2026-08-28T12:00", LONDON, ENGLAND, "2026-09-02T00:00"),
    ("july_third_is_no_holiday_in_england", 1, "business-day", "2026-07-02T12:00", LONDON, ENGLAND, "2026-07-04T00:00"),
    ("weekends_count_as_days", 7, "day", "2026-07-02T15:00", NEW_YORK, US, "2026-07-10T00:00"),
    ("last_minute_of_day_zero", 2, "day", "2026-07-02T23:59", NEW_YORK, US, "2026-07-05T00:00"),
    ("first_minute_of_day_zero", 2, "day", "2026-07-02T00:00", NEW_YORK, US, "2026-07-05T00:00"),
    ("year_end", 7, "day", "2026-12-28T12:00", LONDON, ENGLAND, "2027-01-05T00:00"),
    ("leap_day_is_a_day", 1, "day", "2028-02-28T12:00", NEW_YORK, US, "2028-03-01T00:00"),
    ("no_leap_day", 1, "day", "2027-02-28T12:00", NEW_YORK, US, "2027-03-02T00:00"),
    ("from_the_leap_day", 30, "day", "2028-02-29T12:00", LONDON, ENGLAND, "2028-03-31T00:00"),
    ("week", 6, "week", "2026-03-02T12:00", LONDON, ENGLAND, "2026-04-14T00:00"),
    ("month_is_clipped", 1, "month", "2027-01-31T12:00", LONDON, ENGLAND, "2027-03-01T00:00"),
    ("month_is_clipped_to_the_leap_day", 1, "month", "2028-01-31T12:00", LONDON, ENGLAND, "2028-03-01T00:00"),
    ("twelve_months_from_the_leap_day", 12, "month", "2028-02-29T12:00", NEW_YORK, US, "2029-03-01T00:00"),
    ("month_over_the_year", 3, "month", "2026-11-30T12:00", NEW_YORK, US, "2027-03-01T00:00"),
    ("spring_forward_us", 2, "day", "2026-03-07T12:00", NEW_YORK, US, "2026-03-10T00:00"),
    ("fall_back_us", 2, "day", "2026-10-31T12:00", NEW_YORK, US, "2026-11-03T00:00"),
    ("spring_forward_uk", 2, "day", "2026-03-28T12:00", LONDON, ENGLAND, "2026-03-31T00:00"),
    ("fall_back_uk", 2, "day", "2026-10-24T12:00", LONDON, ENGLAND, "2026-10-27T00:00"),
    ("hours_over_spring_forward", 24, "hour", "2026-03-07T12:00", NEW_YORK, US, "2026-03-08T13:00"),
    ("hours_over_fall_back", 24, "hour", "2026-10-31T12:00", NEW_YORK, US, "2026-11-01T11:00"),
    ("hours_over_spring_forward_uk", 72, "hour", "2026-03-27T12:00", LONDON, ENGLAND, "2026-03-30T13:00"),
    ("hours_run_through_a_holiday", 48, "hour", "2026-07-02T15:00", NEW_YORK, US, "2026-07-04T15:00"),
    ("minutes", 5, "minute", "2026-07-02T23:58", NEW_YORK, US, "2026-07-03T00:03"),
    ("open_hours_over_a_weekend", 72, "open-hour", "2026-07-10T15:00", LONDON, ENGLAND, "2026-07-15T15:00"),
    ("open_hours_over_easter", 72, "open-hour", "2026-04-02T12:00", LONDON, ENGLAND, "2026-04-09T12:00"),
    ("open_hours_from_a_closed_day", 72, "open-hour", "2026-07-11T15:00", LONDON, ENGLAND, "2026-07-16T00:00"),
    ("open_hours_within_open_days", 72, "open-hour", "2026-07-06T09:00", LONDON, ENGLAND, "2026-07-09T09:00"),
]


@each("row", [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_clock_ends_at_the_instant_from_a_printed_calendar(row):
    amount, unit, trigger, zone, region, end = row

    due = due_at(Clock(amount, unit), at(trigger, zone), zone, region)

    assert wall(due, zone) == end
    assert due == at(end, zone)


def test_day_zero_does_not_move_the_end():
    trigger = at("2026-07-02T15:00", NEW_YORK)

    counted = due_at(Clock(7, "day", day_zero=True), trigger, NEW_YORK, US)
    not_counted = due_at(Clock(7, "day", day_zero=False), trigger, NEW_YORK, US)

    assert counted == not_counted


def test_same_instant_in_two_zones_has_two_day_zeros():
    late_evening_in_new_york = at("2026-07-06T23:30", NEW_YORK)

    assert local_date(late_evening_in_new_york, NEW_YORK) == date(2026, 7, 6)
    assert local_date(late_evening_in_new_york, LONDON) == date(2026, 7, 7)
    assert wall(due_at(Clock(1, "business-day"), late_evening_in_new_york, LONDON, ENGLAND), LONDON) == "2026-07-09T00:00"


def test_both_hours_that_come_twice_share_their_day():
    first, second = at("2026-11-01T01:30", NEW_YORK), at("2026-11-01T01:30", NEW_YORK, second=True)

    assert second - first == 3_600_000
    assert due_at(Clock(1, "day"), first, NEW_YORK, US) == due_at(Clock(1, "day"), second, NEW_YORK, US)
    assert due_at(Clock(1, "hour"), first, NEW_YORK, US) == second


def test_day_whose_midnight_is_skipped_begins_with_the_change():
    # Santiago turned its clocks forward at 24:00 on 5 September 2026, so the 6th began at 01:00.
    assert wall(end_of_local_day(at("2026-09-05T12:00", "America/Santiago"), "America/Santiago"), "America/Santiago") == "2026-09-06T01:00"


def test_day_whose_midnight_comes_twice_begins_with_the_first():
    # Havana turns its clocks back from 01:00 to 00:00 of the same day.
    end = end_of_local_day(at("2026-10-31T12:00", "America/Havana"), "America/Havana")

    assert end == at("2026-11-01T00:00", "America/Havana")
    assert local_date(Millis(end - 1), "America/Havana") == date(2026, 10, 31)


def test_step_after_due_counts_from_the_day_that_the_clock_ended_with():
    due = due_at(Clock(2, "business-day"), at("2026-07-06T10:00", NEW_YORK), NEW_YORK, US)

    assert wall(due, NEW_YORK) == "2026-07-09T00:00"
    assert wall(after_due(Clock(2, "business-day"), due, NEW_YORK, US), NEW_YORK) == "2026-07-11T00:00"
    assert after_due(Clock(4, "hour"), due, NEW_YORK, US) == due + 4 * 3_600_000
    assert after_due(Clock(24, "open-hour"), due, NEW_YORK, US) == due + 24 * 3_600_000


def test_share_of_a_clock_is_elapsed_time():
    opened, due = at("2026-07-02T15:00", NEW_YORK), at("2026-07-08T00:00", NEW_YORK)

    assert fraction_at(opened, due, 0.0) == opened
    assert fraction_at(opened, due, 0.5) == opened + (due - opened) // 2
    assert fraction_at(opened, due, 1.0) == due


def test_share_of_a_clock_over_a_clock_change_is_elapsed_time_too():
    opened, due = at("2026-10-31T12:00", NEW_YORK), at("2026-11-01T12:00", NEW_YORK)

    assert due - opened == 25 * 3_600_000
    assert wall(fraction_at(opened, due, 0.5), NEW_YORK) == "2026-11-01T00:30"


def test_state_holidays_are_business_days_elsewhere():
    lincolns_birthday = date(2027, 2, 12)

    assert not is_business_day(lincolns_birthday, HolidayRegion("US", "NY"))
    assert is_business_day(lincolns_birthday, US)


@pytest.mark.parametrize(
    ("zone", "region", "named"),
    [
        ("America/Nowhere", US, "America/Nowhere"),
        ("", US, "''"),
        ("/etc/passwd", US, "/etc/passwd"),
        (LONDON, HolidayRegion("XX"), "XX"),
        (LONDON, HolidayRegion("GB", "MARS"), "MARS"),
    ],
)
def test_unknown_place_is_refused_by_its_name(zone, region, named):
    with pytest.raises(ValueError, match=named):
        check_calendar(zone, region)


@given(
    trigger=st.integers(at("2024-01-01T00:00", LONDON), at("2032-12-31T00:00", LONDON)),
    days=st.integers(1, 400),
    zone=st.sampled_from([LONDON, NEW_YORK, "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"]),
)
def test_day_clock_agrees_with_datetime_and_ends_with_a_local_midnight(trigger, days, zone):
    due = due_at(Clock(days, "day"), Millis(trigger), zone, US)

    day_zero = datetime.fromtimestamp(trigger / 1000, ZoneInfo(zone)).date()
    assert local_date(due, zone) == day_zero + timedelta(days=days + 1)
    assert local_date(Millis(due - 1), zone) == day_zero + timedelta(days=days)


@given(
    trigger=st.integers(at("2024-01-01T00:00", LONDON), at("2032-12-31T00:00", LONDON)),
    days=st.integers(1, 40),
    place=st.sampled_from([(LONDON, ENGLAND), (NEW_YORK, US)]),
)
def test_business_day_clock_ends_with_a_business_day_and_spans_as_many_as_it_says(trigger, days, place):
    zone, region = place
    due = due_at(Clock(days, "business-day"), Millis(trigger), zone, region)

    day_zero, last = local_date(Millis(trigger), zone), local_date(Millis(due - 1), zone)
    between = [day_zero + timedelta(days=n) for n in range(1, (last - day_zero).days + 1)]
    assert is_business_day(last, region)
    assert sum(is_business_day(day, region) for day in between) == days


@given(
    trigger=st.integers(at("2024-01-01T00:00", LONDON), at("2032-12-31T00:00", LONDON)),
    later=st.integers(0, 10 * 86_400_000),
    unit=st.sampled_from(["minute", "hour", "open-hour", "day", "business-day", "week", "month"]),
)
def test_later_trigger_never_ends_earlier(trigger, later, unit):
    clock = Clock(3, unit)

    assert trigger < due_at(clock, Millis(trigger), LONDON, ENGLAND) <= due_at(clock, Millis(trigger + later), LONDON, ENGLAND)


def test_month_lengths_agree_with_the_gregorian_calendar():
    for month in range(1, 13):
        start = at(f"2027-{month:02}-01T12:00", LONDON)
        end = due_at(Clock(1, "month"), start, LONDON, ENGLAND)
        assert (local_date(Millis(end - 1), LONDON) - local_date(start, LONDON)).days == calendar.monthrange(2027, month)[1]
