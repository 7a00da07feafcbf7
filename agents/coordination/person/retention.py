"""Forgetting: what of a person's state may go when, and the hashes by which a repeated event is known.

Owns the carrying out of the retention table (`state.KEPT`). Must not know any rule. Deterministic: time is an argument,
so worker and replay forget alike.
"""

from __future__ import annotations

from typing import Final

from agents.coordination.person.state import KEPT, Person, Status
from streams.contract.events import Millis
from streams.contract.topics import DAY_MS

_SEEN_ENTRY: Final = 12
_HOUR_MS: Final = 3_600_000


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


def has_open_encounter(person: Person) -> bool:
    """Say whether a stay is going on or planned; while it is, no event hash is forgotten."""
    return any(0 < encounter.status < Status.FINISHED for encounter in person.encounters)


def prune(person: Person, now: Millis, late_window_days: dict[str, int]) -> Person | None:
    """Forget what the retention table lets go at *now*; None when nothing is left to keep.

    *late_window_days*: for each rule id; a rule that is gone from the catalogue counts with 30 days.
    """
    if person.into:
        person.prune_at = 0
        return person
    expiries: list[int] = []
    long_lived: list[int] = []

    def keeps(until: int) -> bool:
        if until > now:
            expiries.append(until)
            return True
        return False

    def keeps_long(until: int) -> bool:
        if until > now:
            long_lived.append(until)
            return True
        return False

    person.handoffs = [
        h for h in person.handoffs if not h.closed_at or keeps(h.closed_at + late_window_days.get(h.rule, KEPT.notices) * DAY_MS)
    ]
    named = {h.encounter for h in person.handoffs}
    # A stay that nobody ended and nobody spoke of for as long goes too: its end was never sent.
    person.encounters = [
        encounter
        for encounter in person.encounters
        if encounter.number in named or keeps_long(encounter.touched + KEPT.encounters * DAY_MS)
    ]
    closed = {encounter.number: encounter.touched for encounter in person.encounters if encounter.status >= Status.FINISHED}
    open_or_unknown = {encounter.number for encounter in person.encounters} - closed.keys()
    if person.seen:
        open_encounter = has_open_encounter(person)
        floor = max(closed.values(), default=0) + KEPT.event_hashes * DAY_MS
        person.seen = b"".join(
            entry
            for entry in (person.seen[i : i + _SEEN_ENTRY] for i in range(0, len(person.seen), _SEEN_ENTRY))
            if open_encounter or keeps(max(floor, int.from_bytes(entry[8:11], "big") * _HOUR_MS + KEPT.event_hashes * DAY_MS + _HOUR_MS))
        )
    person.recent = [recent for recent in person.recent if keeps(recent.arrival + KEPT.recent_events * DAY_MS)]
    person.notifications = [
        notified
        for notified in person.notifications
        if notified.encounter in open_or_unknown or keeps(closed.get(notified.encounter, notified.at) + KEPT.notices * DAY_MS)
    ]
    refs = {h.focus for h in person.handoffs}
    person.referrals = [r for r in person.referrals if r.id in refs or keeps_long(r.touched + KEPT.referrals * DAY_MS)]
    person.appointments = [a for a in person.appointments if a.id in refs or keeps_long(a.touched + KEPT.appointments * DAY_MS)]
    if not (person.encounters or person.notifications):
        person.members = [member for member in person.members if member.asserted]
    # One look when the last of the short-lived things may go is enough: each event prunes on its way too.
    person.prune_at = max(expiries) if expiries else min(long_lived, default=0)
    holds = (
        person.encounters
        or person.handoffs
        or person.members
        or person.notifications
        or person.seen
        or person.recent
        or person.consents
        or person.referrals
        or person.goals
        or person.appointments
        or person.deceased
        or person.conditions
    )
    return person if holds else None
