"""Texts about a silent source. Owns phrases only. Times are in UTC, because a source has no time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from agents.feeds.rule import FeedRule
from agents.feeds.state import HOUR_MINUTES, Feed, mean_gap_minutes

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def instant(at_ms: int) -> str:
    """Return an instant as `Mon 1 Jun 2026 10:14 UTC`."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    day = _DAYS[moment.weekday()][:3]
    return f"{day} {moment.day} {_MONTHS[moment.month - 1]} {moment.year} {moment:%H:%M} UTC"


def span(milliseconds: int) -> str:
    """Return a duration in minutes (below 2 hours), in hours (below 2 days) or in days."""
    minutes = milliseconds // 60_000
    if minutes < 120:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    if minutes < 48 * 60:
        return f"{minutes // 60} hours"
    return f"{minutes // 1440} days"


def allowed(feed: Feed, rule: FeedRule) -> str:
    """Return the usual gap in the hour in which the silence began, and how long the silence may last."""
    minute = feed.last + 1
    moment = _EPOCH + timedelta(minutes=minute)
    hour = f"on {_DAYS[moment.weekday()]} from {moment:%H}:00 to {(moment.hour + 1) % 24:02d}:00 UTC"
    limit = f"the limit is {rule.usual_gaps:g} usual gaps and at least {rule.floor_minutes} minutes"
    gap = mean_gap_minutes(feed, minute // HOUR_MINUTES, rule) * feed.uneven / 100
    if not gap:
        return f"{hour} it rarely sends, but it should have sent in the hours since; {limit}"
    usual = f"{gap:.0f} minutes" if gap >= 1.5 else "a minute"
    return f"{hour} gaps of up to {usual} are usual; {limit}"
