"""Quiet: what is told at once, what waits for the morning or the digest, and what is not told a second time.

Owns the three questions and the settings they are asked with (`quiet:` in `catalogue/routing.yaml`). Pure. Only notices
are asked, never the alerts of a gap: what is due does not wait.
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
    """When routine notices wait. Times of day are local to the recipient's organisation; both ends may fall on one."""

    version: int = 1
    source: str = "CareRelay default"
    hours_from: time = time(21, 0)
    hours_to: time = time(7, 0)
    """Equal to `hours_from`: there are no quiet hours."""
    digest_at: time = time(7, 30)
    bundle_minutes: int = 30
    """A routine notice about a stay that its recipient was told of so shortly before is not sent again; 0: always sent."""


def deliver_after(quiet: Quiet, delivery: Delivery, urgency: str, now: Millis, zone: str) -> Millis | None:
    """Return the instant before which a notice waits, or None for at once. Only what is routine ever waits."""
    if delivery == DIGEST:
        return _next(now, zone, quiet.digest_at)
    if urgency != _ROUTINE or not is_quiet(quiet, now, zone):
        return None
    return _next(now, zone, quiet.hours_to)


def is_quiet(quiet: Quiet, now: Millis, zone: str) -> bool:
    """Say whether *now* lies in the quiet hours of *zone*: from `hours_from` on, until before `hours_to`."""
    local = _local(now, zone).time()
    if quiet.hours_from <= quiet.hours_to:
        return quiet.hours_from <= local < quiet.hours_to
    return local >= quiet.hours_from or local < quiet.hours_to


def told_of_shortly_before(quiet: Quiet, person: Person, encounter: int, recipient: str, at: Millis) -> Millis | None:
    """Return when *recipient* was told of *stay* within the window before *at*, or None."""
    window = quiet.bundle_minutes * _MINUTE_MS
    times = [t.at for t in person.notifications if t.encounter == encounter and recipient in t.recipients and 0 <= at - t.at < window]
    return Millis(max(times)) if times and encounter else None


def _local(at: Millis, zone: str) -> datetime:
    return datetime.fromtimestamp(at / 1000, ZoneInfo(zone))


def _next(now: Millis, zone: str, clock: time) -> Millis:
    """Return the next instant at which clocks in *zone* show *clock*; one that a clock change skips is as much later."""
    local = _local(now, zone)
    found = datetime.combine(local.date(), clock, ZoneInfo(zone))
    if found <= local:
        found = datetime.combine(local.date() + timedelta(days=1), clock, ZoneInfo(zone))
    return Millis(int(found.astimezone(UTC).timestamp() * 1000))
