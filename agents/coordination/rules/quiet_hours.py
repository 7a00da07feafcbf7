"""Quiet hours: which notifications go out immediately, which wait for the morning or the digest, and which are not repeated.

Owns these three decisions and their settings (`quiet:` in `catalogue/routing.yaml`). Pure. They apply to notifications of events,
never to alerts about a gap, because an alert does not wait.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from agents.coordination.person.state import Person
from streams.contract.events import Millis

Delivery = Literal["at-once", "daily-digest"]
DIGEST: Final = "daily-digest"
AT_ONCE: Final = "at-once"
_MINUTE_MS: Final = 60_000
_ROUTINE: Final = "routine"


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When routine notifications wait. Times of day are local to the recipient's organisation."""

    version: int = 1
    source: str = "CareRelay default"
    hours_from: time = time(21, 0)
    hours_to: time = time(7, 0)
    """If it equals `hours_from`, there are no quiet hours."""
    digest_at: time = time(7, 30)
    bundle_minutes: int = 30
    """A routine notification is not sent if its recipient was notified about the same encounter within this time. 0: always sent."""


def deliver_after(quiet: Quiet, delivery: Delivery, urgency: str, now: Millis, zone: str) -> Millis | None:
    """Return the time until which a notification waits, or None if it goes out immediately. In quiet hours only routine ones wait."""
    if delivery == DIGEST:
        return _next(now, zone, quiet.digest_at)
    if urgency != _ROUTINE or not is_quiet(quiet, now, zone):
        return None
    return _next(now, zone, quiet.hours_to)


def is_quiet(quiet: Quiet, now: Millis, zone: str) -> bool:
    """Return whether *now* is in the quiet hours of *zone*: from `hours_from` (included) to `hours_to` (excluded)."""
    local = _local(now, zone).time()
    if quiet.hours_from <= quiet.hours_to:
        return quiet.hours_from <= local < quiet.hours_to
    return local >= quiet.hours_from or local < quiet.hours_to


def recently_notified_at(quiet: Quiet, person: Person, encounter: int, recipient: str, at: Millis) -> Millis | None:
    """Return when *recipient* was last notified about *encounter* within `bundle_minutes` before *at*, or None."""
    window = quiet.bundle_minutes * _MINUTE_MS
    times = [t.at for t in person.notifications if t.encounter == encounter and recipient in t.recipients and 0 <= at - t.at < window]
    return Millis(max(times)) if times and encounter else None


def _local(at: Millis, zone: str) -> datetime:
    return datetime.fromtimestamp(at / 1000, ZoneInfo(zone))


def _next(now: Millis, zone: str, clock: time) -> Millis:
    """Return the next instant at which it is *clock* in *zone*. If a clock change skips it, the instant is later by the change."""
    local = _local(now, zone)
    found = datetime.combine(local.date(), clock, ZoneInfo(zone))
    if found <= local:
        found = datetime.combine(local.date() + timedelta(days=1), clock, ZoneInfo(zone))
    return Millis(int(found.astimezone(UTC).timestamp() * 1000))
