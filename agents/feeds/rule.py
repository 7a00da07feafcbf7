"""The rule FEED-1: the shape of its file, and who is accountable for it.

Owns the names of its numbers. Must not know a file or a record.
"""

from __future__ import annotations

import msgspec


class FeedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`catalogue/FEED-1.yaml`. Times are in the unit that the name ends in."""

    id: str
    version: int
    title: str
    neutral_title: str
    about: str
    source: str
    usual_gaps: float
    """How many usual gaps a silence may last before it is a gap."""
    floor_minutes: int
    """How long a silence may last in any case."""
    hour_known_after: int
    """How often an hour of the week must be watched from beginning to end before it counts as known."""
    hour_known_after_minutes: int
    """In how many minutes of that hour the source must have sent, over all those weeks; or once each time, if it sends in that
    hour on most days. An hour with fewer has no usual gap."""
    source_known_after_minutes: int
    """In how many minutes a source must have sent before its gap over all hours counts as known."""
    any_hour_gap_minutes_max: int
    """The longest gap over all hours that is used for an hour that is not known."""
    escalates_after_minutes: int
    forgotten_after_days: int
    accountable: str
    next: str
    urgency: str = "urgent"

    def __post_init__(self) -> None:
        for name in (
            "usual_gaps",
            "floor_minutes",
            "hour_known_after",
            "hour_known_after_minutes",
            "source_known_after_minutes",
            "any_hour_gap_minutes_max",
            "escalates_after_minutes",
            "forgotten_after_days",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")


class Watchers(msgspec.Struct, frozen=True):
    """Who is accountable for a silent source, as addresses (role/kind:id): first, and after the escalation."""

    first: str
    second: str
