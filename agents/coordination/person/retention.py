"""Forgetting: what of a person's state may go when, and the hashes by which a repeated event is known.

Owns the retention table and its carrying out. Must not know any rule. Deterministic: time is an argument, so worker and
replay forget alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from agents.coordination.person.encounter import Encounter, Status
from agents.coordination.person.state import NEVER, Handoff, NotificationRecord, Person, TeamMember
from streams.contract.events import Millis
from streams.contract.topics import DAY_MS

_SEEN_ENTRY: Final = 12
_HOUR_MS: Final = 3_600_000
_FOREVER: Final = NEVER
"""For as long as something else needs it."""


class Retention(msgspec.Struct, frozen=True):
    """What is kept how long, in days. Counted from arrival where not said."""

    event_hashes: int = 30
    """After arrival and after the close of the last open stay, so that a repeat is recognised at once. An event repeated
    later is harmless through the encounter machine and through the age limit of events."""
    recent_events: int = 31
    """Closing and ending events, kept because they may arrive before what they close. Older ones could close nothing: an
    event older than 30 days opens no clock."""
    notices: int = 31
    """Who was told what, kept after the close of the stay, so that exactly they hear of a cancellation."""
    encounters: int = 396
    """13 months after the last word of a stay: scores and flags look back twelve months."""
    referrals: int = 396
    appointments: int = 396
    """Handoffs that are closed stay for the late window of their rule; open ones, consents, goals and the asserted care
    team stay until something ends them: to forget a refusal would be to break it."""


KEPT: Final = Retention()

Until = Callable[[Any], int]
"""Says of a record until when it is kept, as an instant in milliseconds, or `_FOREVER`."""


class Policy(NamedTuple):
    """How long the records of one kind are kept."""

    until: Callable[[Person, Mapping[str, int]], Until]
    """Made anew each time, from the person as the rows above have left it and the late window of each rule in days."""
    long_lived: bool = False
    """Whether a record alone is no reason to look at the person again before the first of its kind may go."""


def times_seen(person: Person, event_hash: bytes) -> int:
    """Return how often the event was seen before, 0 for the first time, and count this time."""
    seen = person.seen
    at = seen.find(event_hash)
    while at >= 0 and at % _SEEN_ENTRY:
        at = seen.find(event_hash, at + 1)
    if at < 0:
        return 0
    count = min(seen[at + 11] + 1, 255)
    person.seen = seen[: at + 11] + bytes((count,)) + seen[at + 12 :]
    return count


def remember_seen(person: Person, event_hash: bytes, arrival: Millis) -> None:
    """Keep the hash of an event that has been applied."""
    person.seen += event_hash + (arrival // _HOUR_MS).to_bytes(3, "big") + b"\0"


def prune(person: Person, now: Millis, late_window_days: Mapping[str, int]) -> Person | None:
    """Forget what the retention table lets go at *now*; None when nothing is left to keep.

    *late_window_days*: for each rule id; a rule that is gone from the catalogue counts with 31 days.
    """
    if person.into:
        person.prune_at = 0
        return person
    expiries: list[int] = []
    long_lived: list[int] = []
    for kind, policy in POLICIES.items():
        until = policy.until(person, late_window_days)
        kept = []
        for record in getattr(person, kind):
            end = until(record)
            if end > now:
                kept.append(record)
                if end != _FOREVER:
                    (long_lived if policy.long_lived else expiries).append(end)
        setattr(person, kind, kept)
    expiries += _forget_hashes(person, now)
    # One look when the last of the short-lived things may go is enough: each event prunes on its way too.
    person.prune_at = max(expiries) if expiries else min(long_lived, default=0)
    return person if any(getattr(person, field) for field in _WORTH_KEEPING) else None


# ---- the table


def _handoffs(_: Person, late_window_days: Mapping[str, int]) -> Until:
    def until(handoff: Handoff) -> int:
        if handoff.end is None:
            return _FOREVER
        return handoff.end.at + late_window_days.get(handoff.rule, KEPT.notices) * DAY_MS

    return until


def _encounters(person: Person, _: Mapping[str, int]) -> Until:
    named = {handoff.encounter for handoff in person.handoffs}

    def until(encounter: Encounter) -> int:
        # One that nobody ended and nobody spoke of for as long goes too: its end was never sent.
        return _FOREVER if encounter.number in named else encounter.touched + KEPT.encounters * DAY_MS

    return until


def _notifications(person: Person, _: Mapping[str, int]) -> Until:
    closed = _closed(person)
    going_on = {encounter.number for encounter in person.encounters} - closed.keys()

    def until(record: NotificationRecord) -> int:
        return _FOREVER if record.encounter in going_on else closed.get(record.encounter, record.at) + KEPT.notices * DAY_MS

    return until


def _named_or_touched(days: int) -> Callable[[Person, Mapping[str, int]], Until]:
    """Return the policy of records that a handoff may be about: kept while one is, and *days* after the last word."""

    def policy(person: Person, _: Mapping[str, int]) -> Until:
        named = {handoff.focus for handoff in person.handoffs}
        return lambda record: _FOREVER if record.id in named else record.touched + days * DAY_MS

    return policy


def _members(person: Person, _: Mapping[str, int]) -> Until:
    needed = bool(person.encounters or person.notifications)

    def until(member: TeamMember) -> int:
        return _FOREVER if member.asserted or needed else 0

    return until


POLICIES: Final[Mapping[str, Policy]] = {
    "handoffs": Policy(_handoffs),
    "encounters": Policy(_encounters, long_lived=True),
    "recent": Policy(lambda _person, _windows: lambda recent: recent.arrival + KEPT.recent_events * DAY_MS),
    "notifications": Policy(_notifications),
    "referrals": Policy(_named_or_touched(KEPT.referrals), long_lived=True),
    "appointments": Policy(_named_or_touched(KEPT.appointments), long_lived=True),
    "members": Policy(_members),
}
"""What goes by time, for each field of a person that holds records, in the order in which one makes another superfluous."""

LASTING: Final = frozenset({"consents", "goals"})
"""Fields whose records stay until something ends them."""

_WORTH_KEEPING: Final = (*POLICIES, *LASTING, "seen", "deceased", "conditions")
"""Fields of which one alone is reason enough to keep a person."""


def _closed(person: Person) -> dict[int, int]:
    """Return the encounters that are over, by number, with the arrival of their last word."""
    return {encounter.number: encounter.touched for encounter in person.encounters if encounter.status >= Status.FINISHED}


def _forget_hashes(person: Person, now: Millis) -> list[int]:
    """Forget the hashes of events that may no longer be repeated; return when those may go that stay."""
    if not person.seen or any(0 < encounter.status < Status.FINISHED for encounter in person.encounters):
        return []
    kept, expiries = [], []
    floor = max(_closed(person).values(), default=0) + KEPT.event_hashes * DAY_MS
    for i in range(0, len(person.seen), _SEEN_ENTRY):
        entry = person.seen[i : i + _SEEN_ENTRY]
        until = max(floor, int.from_bytes(entry[8:11], "big") * _HOUR_MS + KEPT.event_hashes * DAY_MS + _HOUR_MS)
        if until > now:
            kept.append(entry)
            expiries.append(until)
    person.seen = b"".join(kept)
    return expiries
