"""The rule FEED-1: the fields of its file, and who is accountable.

Must not know where the file is, or what a Kafka record contains.
"""

from __future__ import annotations

import msgspec


class FeedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of `catalogue/FEED-1.yaml`. Durations are in the unit at the end of the field's name."""

    id: str
    version: int
    title: str
    neutral_title: str
    about: str
    source: str
    usual_gaps: float
    """How many usual gaps a silence may last before the rule opens."""
    floor_minutes: int
    """The minimum: a shorter silence never opens the rule."""
    hour_known_after: int
    """How often an hour of the week must be observed from start to end before it counts as known."""
    hour_known_after_minutes: int
    """Number of minutes of that hour in which the source must have sent, over all those weeks. An hour with fewer has no usual gap. One
    minute per week is enough if the source sends in that hour on most days."""
    source_known_after_minutes: int
    """Number of minutes in which a source must have sent before its mean gap over all hours counts as known."""
    any_hour_gap_minutes_max: int
    """The mean gap over all hours is used for an unknown hour only if it is at most this long."""
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


class FeedOwners(msgspec.Struct, frozen=True):
    """Who is accountable for a silent source, as addresses (role/kind:id): first, and after the escalation."""

    first: str
    second: str
