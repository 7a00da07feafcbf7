"""Converts states of version 1 to version 2. In version 1 some fields had two meanings.

Owns the conversion of decoded arrays. Must not know what the fields mean. Delete this file when no state of version 1 is left.
Each event and each deadline of a person rewrites their state in the current version.
"""

from __future__ import annotations

from typing import Any, Final

_ENCOUNTER: Final = ("", 0, "", 0, 0, 0, 0, 0, 0, 0, "", "", "", "", "", None, "", (), (), (), None, 0, 0, False, False, 0)
_HANDOFF: Final = (0, None, 0, 0, 0, 0, "", 0, (), (), 0, 0, "", "", 0, 0, 0, 0)
_REFERRAL: Final = ("", "", "", "", "", "", "", "routine", 0, 0, 0, 0, "", 0, "", "", "", (), ())
_PERSON: Final = ((), (), (), (), b"", (), (), (), (), (), 0, 0, "", 0, 0, 0, False, "", "", "", (), (), 0)
"""Defaults of the fields that are missing from records of the first releases."""

_DEATH: Final = -1
"""The value of `ended_by` if the handoff ended because of a death that was not reported by a discharge."""


def from_version_1(person: Any) -> list[Any]:
    """Convert the fields of a person to version 2. Raises LookupError or TypeError if *person* is not a person."""
    key, encounters, handoffs, members, notified, seen, recent, consents, referrals, *rest = _whole(person, 1, _PERSON)
    *others, language, region, birth_date, conditions, observations, updated_at = rest
    return [
        *(key, [_encounter(row) for row in encounters], [_handoff(row) for row in handoffs]),
        *(members, notified, seen, recent, consents, [_referral(row) for row in referrals], *others),
        [language, region, birth_date, updated_at] if any((language, region, birth_date, updated_at)) else None,
        *(conditions, observations),
    ]


def _whole(row: Any, required: int, defaults: tuple[Any, ...]) -> list[Any]:
    """Return *row* with defaults for missing fields and without fields of later releases. The first *required* fields must exist."""
    if len(row) < required:
        raise LookupError(f"only {len(row)} of {required} required fields")
    size = required + len(defaults)
    return [*row, *defaults[len(row) - required :]][:size]


def _encounter(row: Any) -> list[Any]:
    row = _whole(row, 2, _ENCOUNTER)
    *head, place_at, disposition, attending, unit, level, place = row[:17]
    via_emergency, complexity, diagnoses, procedures, cancels, came_from, *tail, leave_at = row[17:]
    return [
        *(*head, disposition, attending),
        [place, unit, level, place_at] if any((place, unit, level, place_at)) else None,
        [*came_from, 0] if came_from else None,
        *(via_emergency, complexity, diagnoses, procedures),
        [cancels[i : i + 3] for i in range(0, len(cancels), 3)],
        *tail,
        # Negative seconds meant that the person came back.
        [abs(leave_at), leave_at > 0] if leave_at else None,
    ]


def _handoff(row: Any) -> list[Any]:
    row = _whole(row, 7, _HANDOFF)
    id_, rule, version, cause, opened_at, due, owner, encounter, ref, next_at, step, status, gap, closure, closed_at = row[:15]
    alerts, progress, snoozed, met_at, organisation, calendar, next_step, opened_by, unit, ended_by = row[15:]
    return [
        *(id_, rule, version, opened_at, due, owner),
        *(("", cause) if isinstance(cause, bytes) else (cause, b"")),
        encounter,
        *((None, ref) if isinstance(ref, bytes) else (ref, None)),
        *(organisation, calendar, opened_by, unit, next_at, next_step, step, status, gap, alerts, progress, snoozed),
        0 if closed_at else met_at,  # In version 1, this field of an open handoff was the time of its last change of owner.
        [closure, closed_at, met_at, max(ended_by, 0), ended_by == _DEATH] if closed_at else None,
    ]


def _referral(row: Any) -> list[Any]:
    row = _whole(row, 1, _REFERRAL)
    *head, field_times, waiting = row
    return [*head, field_times or None, waiting]
