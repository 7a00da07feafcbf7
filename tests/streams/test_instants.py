"""Instants as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.instants import EARLIEST, LATEST, format_instant, parse_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-07-02",
        "2026-07-02T15:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-07-00T00:00:00Z",
        "2026-07-02T24:00:00Z",
        "2026-07-02T15:60:00Z",
        "2026-07-02T15:00:60Z",
        "2026-07-02T15:00:00+24:00",
        "2026-07-02x15:00:00Z",
        "2026-07-02T15-00-00Z",
        "2026-07-02T15:00:00Z ",
        "\u0662\u0660\u0662\u0666-07-02T15:00:00Z",
        "2026-07-02T15:00:00.\u0661\u0662\u0663Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "yesterday",
    ],
)
def test_text_that_is_not_an_instant_with_an_offset_is_refused(text):
    with pytest.raises(ValueError):
        parse_instant(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-02T15:00:00-04:00", "2026-07-02T19:00:00Z"),
        ("2026-07-02T15:00:00.250Z", "2026-07-02T15:00:00.250Z"),
        ("2026-07-02t15:00:00z", "2026-07-02T15:00:00Z"),
        ("2026-07-02 15:00:00+05:30", "2026-07-02T09:30:00Z"),
        ("2026-07-02T15:00+00:00", "2026-07-02T15:00:00Z"),
        ("20260702T150000Z", "2026-07-02T15:00:00Z"),
        ("2026-07-02T15:00:00.123456789Z", "2026-07-02T15:00:00.123Z"),
        ("2024-02-29T23:59:59.999-00:01", "2024-03-01T00:00:59.999Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("0950-01-02T03:04:05Z", "0950-01-02T03:04:05Z"),
    ],
)
def test_an_instant_is_read_and_written_in_utc(text, expected):
    assert format_instant(parse_instant(text)) == expected


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2150, 1, 1)),  # noqa: DTZ001 -- the zone is drawn separately
    st.integers(min_value=-23 * 60 - 59, max_value=23 * 60 + 59),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_the_tables_read_what_datetime_reads(moment, offset, digits):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = moment.isoformat(timespec=digits)

    assert parse_instant(text) == (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


@given(st.integers(min_value=EARLIEST, max_value=LATEST))
def test_what_is_written_is_read_back_the_same(instant):
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize("instant", [EARLIEST - 1, LATEST + 1, 1 << 62])
def test_an_instant_outside_the_calendar_is_not_written(instant):
    with pytest.raises(ValueError, match="years"):
        format_instant(instant)
