"""Quiet hours: what waits for the morning or the digest, what is not sent twice, and what never waits."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Any

import pytest

from agents.coordination.rules.loading import RULES, load_world
from agents.coordination.rules.quiet_hours import Quiet, deliver_after, is_quiet
from streams.contract import effects as out
from streams.contract.instants import format_instant, parse_instant

NEW_YORK, LONDON = "America/New_York", "Europe/London"
STAY = {"facility": "GENERAL", "visit": "V1"}
TARGET = {"role": "specialist", "practitioner": "9901", "organization": "heart-clinic"}
REFERRAL: dict[str, Any] = {
    "referral": "R1",
    "requester": {"role": "pcp", "practitioner": "8801"},
    "target": TARGET,
    "service": "cardiology",
    "priority": "routine",
}


def waits(delivery: Any, urgency: str, at: str, zone: str = NEW_YORK, **quiet: Any) -> str | None:
    until = deliver_after(Quiet(**quiet), delivery, urgency, parse_instant(at), zone)
    return None if until is None else format_instant(until)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-07-02T20:59:59-04:00", None),
        ("2026-07-02T21:00:00-04:00", "2026-07-03T11:00:00Z"),
        ("2026-07-03T06:59:59-04:00", "2026-07-03T11:00:00Z"),
        ("2026-07-03T07:00:00-04:00", None),
    ],
)
def test_routine_notice_waits_from_nine_in_the_evening_until_seven(at, until):
    assert waits("at-once", "routine", at) == until


def test_urgent_notification_never_waits_for_the_morning():
    assert waits("at-once", "urgent", "2026-07-03T02:00:00-04:00") is None


def test_quiet_hours_are_those_of_the_recipient_and_not_of_the_hospital():
    evening_in_new_york = "2026-07-02T18:00:00-04:00"
    assert waits("at-once", "routine", evening_in_new_york) is None
    assert waits("at-once", "routine", evening_in_new_york, LONDON) == "2026-07-03T06:00:00Z"


def test_digest_waits_for_its_next_hour_and_exactly_at_it_for_tomorrows():
    assert waits("daily-digest", "urgent", "2026-07-02T07:29:00-04:00") == "2026-07-02T11:30:00Z"
    assert waits("daily-digest", "routine", "2026-07-02T07:30:00-04:00") == "2026-07-03T11:30:00Z"


def test_morning_is_found_over_both_changes_of_the_clocks():
    assert waits("at-once", "routine", "2026-10-31T23:00:00-04:00") == "2026-11-01T12:00:00Z"
    assert waits("at-once", "routine", "2027-03-13T23:00:00-05:00") == "2027-03-14T11:00:00Z"


def test_quiet_hours_with_equal_ends_are_none():
    quiet = Quiet(hours_from=time(7), hours_to=time(7))
    assert not any(is_quiet(quiet, parse_instant(f"2026-07-02T{hour:02}:00:00Z"), NEW_YORK) for hour in range(24))


def test_referral_requested_at_night_is_notified_in_the_morning(story):
    effects = story.at("2026-07-01T23:10", "ReferralRequested", **REFERRAL)
    notice = next(e for e in effects if isinstance(e, out.NotificationIssued))
    assert notice.deliver_after is not None
    assert format_instant(notice.deliver_after) == "2026-07-02T11:00:00Z"


def test_gap_that_becomes_overdue_at_night_is_notified_at_night(story):
    story.at("2026-07-01T22:00", "PatientAdmitted", encounter=STAY, **{"class": "EMER"})
    effects = story.until("2026-07-02T02:00")
    alerts = [e for e in effects if isinstance(e, out.NotificationIssued) and e.rule == "NOT-2"]
    assert alerts
    assert all(alert.deliver_after is None for alert in alerts)


def test_routine_notification_shortly_after_another_of_the_same_stay_is_bundled_and_counted(story):
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})

    early = story.at("2026-07-01T09:20", "EncounterUpdated", encounter=STAY, **{"class": "OBSENC"})
    late = story.at("2026-07-01T09:30", "EncounterUpdated", encounter=STAY, **{"class": "IMP"})

    assert [e.reason for e in early if isinstance(e, out.EffectSuppressed)] == ["bundled"] * len(early)
    assert early
    assert [e.rule for e in late if isinstance(e, out.NotificationIssued)]


def test_quiet_hours_in_the_routing_table_are_what_is_used(tmp_path: Path):
    text = (RULES / "routing.yaml").read_text().replace('hours_from: "21:00:00"', 'hours_from: "18:00:00"')
    (tmp_path / "routing.yaml").write_text(text)
    (tmp_path / "DIS-1.yaml").write_text((RULES / "DIS-1.yaml").read_text())

    assert load_world(tmp_path).catalogue.quiet.hours_from == time(18)
