"""Retention: when records of a person's state are deleted, and the hashes that identify repeated events.

Owns the retention table and applies it. Must not know any rule. Time is an argument, so worker and replay delete the same
records.
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
"""The record has no expiry: another record needs it, or only an event can end it."""


class Retention(msgspec.Struct, frozen=True):
    """How long each kind of record is kept, in days after its arrival or its last event, unless the field says otherwise.

    A closed handoff is kept for the late window of its rule. Open handoffs, consents, goals and asserted team members are kept
    until an event ends them: a refusal of consent must not expire.
    """

    event_hashes: int = 30
    """After arrival, and after the end of the last encounter. The hash detects a repeated event before it is applied. A repeat
    that arrives later is harmless because of the encounter's state machine and the age limit of events."""
    recent_events: int = 31
    """Events that may close or end a handoff, kept because they may arrive before its trigger. An older event cannot
    close a handoff, because a trigger older than 30 days starts no clock."""
    notices: int = 31
    """After the end of the encounter. A cancellation must be able to withdraw the encounter's notifications from their recipients."""
    encounters: int = 396
    """13 months after the last event of an encounter, because scores and flags look back twelve months."""
    referrals: int = 396
    appointments: int = 396


KEPT: Final = Retention()

Until = Callable[[Any], int]
"""Returns the time until which a record is kept, in milliseconds, or `_FOREVER`."""


class Policy(NamedTuple):
    """How long the records of one kind are kept."""

    until: Callable[[Person, Mapping[str, int]], Until]
    """Returns the `Until` for one pruning. The arguments are the person, already pruned by the policies above this one, and the late
    window of each rule in days."""
    long_lived: bool = False
    """The expiry of these records sets the next pruning only if no record of another kind expires."""


def count_repeat(person: Person, event_hash: bytes) -> int:
    """Count a repeat of an event. Return 1 for the first repeat, 2 for the second, and so on; 0 if the event is new."""
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
    """Keep the hash of an event that was applied."""
    person.seen += event_hash + (arrival // _HOUR_MS).to_bytes(3, "big") + b"\0"


def prune(person: Person, now: Millis, late_window_days: Mapping[str, int]) -> Person | None:
    """Delete the records that have expired at *now*. Return the person, or None if nothing is left.

    *late_window_days*: the late window of each rule, by rule id. For a rule that is no longer in the catalogue it is 31 days.
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
    expiries += _delete_expired_hashes(person, now)
    # One pruning when the last short-lived record expires is enough, because each event prunes too.
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
        # An open encounter is deleted too if it had no events for that long: its end was never sent.
        return _FOREVER if encounter.number in named else encounter.touched + KEPT.encounters * DAY_MS

    return until


def _notifications(person: Person, _: Mapping[str, int]) -> Until:
    closed = _ended_encounters(person)
    still_open = {encounter.number for encounter in person.encounters} - closed.keys()

    def until(record: NotificationRecord) -> int:
        return _FOREVER if record.encounter in still_open else closed.get(record.encounter, record.at) + KEPT.notices * DAY_MS

    return until


def _named_or_touched(days: int) -> Callable[[Person, Mapping[str, int]], Until]:
    """Return the policy for records that handoffs may name: kept while a handoff names them, and *days* after their last event."""

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
"""The policy of each list of records. The order matters: only records in the lists above a record may need it."""

LASTING: Final = frozenset({"consents", "goals"})
"""Fields whose records are kept until an event ends them."""

_WORTH_KEEPING: Final = (*POLICIES, *LASTING, "seen", "deceased", "conditions")
"""A person is kept as long as one of these fields is not empty."""


def _ended_encounters(person: Person) -> dict[int, int]:
    """Return the number of each ended encounter with the arrival of its last event."""
    return {encounter.number: encounter.touched for encounter in person.encounters if encounter.status >= Status.FINISHED}


def _delete_expired_hashes(person: Person, now: Millis) -> list[int]:
    """Delete the expired hashes, and return the expiry of each remaining one."""
    if not person.seen or any(0 < encounter.status < Status.FINISHED for encounter in person.encounters):
        return []
    kept, expiries = [], []
    floor = max(_ended_encounters(person).values(), default=0) + KEPT.event_hashes * DAY_MS
    for i in range(0, len(person.seen), _SEEN_ENTRY):
        entry = person.seen[i : i + _SEEN_ENTRY]
        until = max(floor, int.from_bytes(entry[8:11], "big") * _HOUR_MS + KEPT.event_hashes * DAY_MS + _HOUR_MS)
        if until > now:
            kept.append(entry)
            expiries.append(until)
    person.seen = b"".join(kept)
    return expiries
