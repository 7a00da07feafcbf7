"""Times in HL7: precision, offsets, clock changes, and which of several times is the event's."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hl7_building import SECRET, adt, event, evn, millis, notes, pid, pv1, read
from hypothesis import given
from hypothesis import strategies as st

from streams.intake.hl7.times import parse_time
from streams.intake.settings import IntakeSettings

DAY_THREE, LAST_DAYS = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001 - hypothesis wants them naive
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "expected", "width_s"),
    [
        ("2026", "2026-01-01T00:00:00-05:00", 365 * 86400),
        ("202607", "2026-07-01T00:00:00-04:00", 31 * 86400),
        ("202612", "2026-12-01T00:00:00-05:00", 31 * 86400),
        ("20260702", "2026-07-02T00:00:00-04:00", 86400),
        ("2026070215", "2026-07-02T15:00:00-04:00", 3600),
        ("202607021504", "2026-07-02T15:04:00-04:00", 60),
        ("20260702150405", "2026-07-02T15:04:05-04:00", 1),
        ("20260702150405.1", "2026-07-02T15:04:05.100-04:00", 0.001),
        ("20260702150405.1239", "2026-07-02T15:04:05.123-04:00", 0.001),
        ("202607021504+0000", "2026-07-02T15:04:00+00:00", 60),
        ("198908181126+0215", "1989-08-18T11:26:00+02:15", 60),
        ("20260702150405-0330", "2026-07-02T15:04:05-03:30", 1),
        ("20260702-0400", "2026-07-02T00:00:00-04:00", 86400),
        ("20260702150405Z", "2026-07-02T15:04:05+00:00", 1),
        ("20260702240000", "2026-07-03T00:00:00-04:00", 1),
        ("20261231235960", "2026-12-31T23:59:59-05:00", 1),
        ("2026-07-02T15:04:05-04:00", "2026-07-02T15:04:05-04:00", 1),
        ("2026-07-02 15:04", "2026-07-02T15:04:00-04:00", 60),
        ("2026-07-02", "2026-07-02T00:00:00-04:00", 86400),
        ("20290801070624", "2029-08-01T07:06:24-04:00", 1),
        ("18500101", "1850-01-01T00:00:00-04:56:02", 86400),
    ],
)
def test_time_is_read_as_finely_as_it_is_written(text, expected, width_s):
    found = parse_time(text, NEW_YORK)

    assert found.at == millis(expected)
    assert (found.until - found.at) / 1000 == width_s


@pytest.mark.parametrize(
    "text",
    ["", "0", "00000000", "20261301", "20260230", "20260702250000", "20260702156000", "20260702150461", "yesterday", "202", "2026070", "20260702150405+2500", "20260702150405+0260", "99999999", "٢٠٢٦", "20260702240001", "9999", "00010101+1400"],
)  # fmt: skip
def test_invalid_time_is_none(text):
    assert parse_time(text, NEW_YORK) is None


def test_spring_change_skips_an_hour_and_the_clock_before_it_counts():
    # In New York 8 March 2026 has no 02:30. A clock that was not changed would show 02:30 at 03:30 EDT.
    assert parse_time("20260308023000", NEW_YORK).at == millis("2026-03-08T03:30:00-04:00")
    assert parse_time("20260308015959", NEW_YORK).at == millis("2026-03-08T01:59:59-05:00")
    assert parse_time("20260308030000", NEW_YORK).at == millis("2026-03-08T03:00:00-04:00")


def test_autumn_change_repeats_an_hour_and_the_first_pass_counts():
    assert parse_time("20261101013000", NEW_YORK).at == millis("2026-11-01T01:30:00-04:00")
    assert parse_time("20261101020000", NEW_YORK).at == millis("2026-11-01T02:00:00-05:00")
    # An offset in the message says which of the two hours is meant.
    assert parse_time("20261101013000-0500", NEW_YORK).at == millis("2026-11-01T01:30:00-05:00")


def test_days_of_clock_changes_are_23_and_25_hours_long():
    for text, hours in (("20260308", 23), ("20261101", 25)):
        found = parse_time(text, NEW_YORK)
        assert found.until - found.at == hours * 3_600_000


@given(st.datetimes(DAY_THREE, LAST_DAYS), st.integers(-14 * 60, 14 * 60))
def test_time_with_an_offset_agrees_with_the_calendar(moment, minutes):
    zone = timezone(timedelta(minutes=minutes))
    sign = "-" if minutes < 0 else "+"
    text = f"{moment.year:04d}{moment:%m%d%H%M%S}.{moment.microsecond // 1000:03d}{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"

    found = parse_time(text, NEW_YORK)

    expected = (moment.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert found.at == expected


@given(st.text("0123456789+-.:TZ ", max_size=30))
def test_no_text_makes_it_raise(text):
    found = parse_time(text, NEW_YORK)

    assert found is None or found.at < found.until


@pytest.mark.parametrize(
    ("trigger", "event_segment", "visit", "expected"),
    [
        ("A03", evn(f2="20260702145000", f6="20260702144000"), pv1(f45="20260702143000"), "2026-07-02T14:40:00-04:00"),
        ("A03", evn(f2="20260702145000"), pv1(f44="20260630080000", f45="20260702143000"), "2026-07-02T14:30:00-04:00"),
        ("A01", evn(f2="20260702145000"), pv1(f44="20260702140000", f45="20260702143000"), "2026-07-02T14:00:00-04:00"),
        ("A04", evn(f2="20260702145000"), pv1(f44="20260702140000"), "2026-07-02T14:00:00-04:00"),
        ("A08", evn(f2="20260702145000"), pv1(f44="20260630080000", f45="20260702143000"), "2026-07-02T14:50:00-04:00"),
        ("A13", evn(f2="20260702145000"), pv1(f45="20260702143000"), "2026-07-02T14:50:00-04:00"),
        ("A03", evn(f2=""), pv1(), "2026-07-02T15:00:04-04:00"),
        ("A03", "", pv1(f45="nonsense"), "2026-07-02T15:00:04-04:00"),
        ("A03", evn(f2="20260702145000", f6="00000000"), pv1(), "2026-07-02T14:50:00-04:00"),
    ],
)
def test_time_of_the_event_is_evn_6_else_pv1_44_or_45_by_trigger_else_evn_2_else_msh_7(trigger, event_segment, visit, expected):
    assert event(adt(trigger, event=event_segment, visit=visit)).time == millis(expected)


def test_time_that_cannot_be_read_is_noted():
    assert "time-unreadable" in notes(adt("A03", event=evn(f6="soon"), visit=pv1(f36="01")))


def test_date_without_hours_gets_its_time_from_a_later_field_of_the_same_day():
    same_day = adt("A03", event=evn(f2="20260702145000"), visit=pv1(f45="20260702"))
    day_before = adt("A03", event=evn(f2="20260702145000"), visit=pv1(f45="20260701", f36="01"))

    assert event(same_day).time == millis("2026-07-02T14:50:00-04:00")
    assert event(day_before).time == millis("2026-07-01T00:00:00-04:00")
    assert "time-without-hours" in notes(day_before)


def test_arrival_is_msh_7_and_falls_back_to_the_event():
    content = adt("A03", f7="")

    assert event(content).arrival == event(content).time == millis("2026-07-02T15:00:00-04:00")
    assert "arrival-missing" in notes(content)


def test_message_without_any_time_is_refused():
    (item,) = read(adt("A03", event="", f7="")).items

    assert (item.reason, item.field) == ("time-missing", "MSH-7")


def test_future_and_long_past_times_are_kept_unchanged():
    assert event(adt("A03", event=evn(f2="20990101000000"))).time == millis("2099-01-01T00:00:00-05:00")
    assert event(adt("A03", event=evn(f2="19240101000000"))).time == millis("1924-01-01T00:00:00-05:00")


def test_zone_is_the_facilitys_else_msh_7s_offset_else_the_setting():
    content = adt("A03", event=evn(f2="20260702150000"), f7="20260702150004+0200")
    bare = adt("A03", event=evn(f2="20260702150000"), f7="20260702150004")

    known = IntakeSettings(SECRET, zone_of={"GENERAL": "America/Chicago"}.get)
    unknown = IntakeSettings(SECRET, default_zone="Europe/London")

    assert event(content, known).time == millis("2026-07-02T15:00:00-05:00")
    assert event(content, unknown).time == millis("2026-07-02T15:00:00+02:00")
    assert event(bare, unknown).time == millis("2026-07-02T15:00:00+01:00")


def test_time_of_death_is_in_the_facilitys_zone():
    assert event(adt("A08", person=pid(f29="202607021400", f30="Y"))).data.deceased_at == millis("2026-07-02T14:00:00-04:00")
