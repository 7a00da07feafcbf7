"""States of version 1, read as version 2: what one field held in two meanings gets a field each.

Owns that translation of decoded arrays. Must not know what a state means. It can go once no state of version 1 is left: a
person's state is written anew with each of their events and deadlines.
"""

from __future__ import annotations

from typing import Any, Final

_ENCOUNTER: Final = ("", 0, "", 0, 0, 0, 0, 0, 0, 0, "", "", "", "", "", None, "", (), (), (), None, 0, 0, False, False, 0)
_HANDOFF: Final = (0, None, 0, 0, 0, 0, "", 0, (), (), 0, 0, "", "", 0, 0, 0, 0)
_REFERRAL: Final = ("", "", "", "", "", "", "", "routine", 0, 0, 0, 0, "", 0, "", "", "", (), ())
_PERSON: Final = ((), (), (), (), b"", (), (), (), (), (), 0, 0, "", 0, 0, 0, False, "", "", "", (), (), 0)
"""The defaults of the fields that a record of each kind may lack, since its first releases did not write them."""

_DEATH: Final = -1
"""What `ended_by` said where no encounter, but the person's record, ended a handoff."""


def from_version_1(person: Any) -> list[Any]:
    """Return the fields of a person of version 2 for those of version 1. Raises LookupError or TypeError for what is no person."""
    key, encounters, handoffs, members, notified, seen, recent, consents, referrals, *rest = _whole(person, 1, _PERSON)
    *others, language, region, birth_date, conditions, observations, updated_at = rest
    return [
        *(key, [_encounter(row) for row in encounters], [_handoff(row) for row in handoffs]),
        *(members, notified, seen, recent, consents, [_referral(row) for row in referrals], *others),
        [language, region, birth_date, updated_at] if any((language, region, birth_date, updated_at)) else None,
        *(conditions, observations),
    ]


def _whole(row: Any, required: int, defaults: tuple[Any, ...]) -> list[Any]:
    """Return *row*, whose first *required* fields must be there, with all its fields and none of a later release."""
    if len(row) < required:
        raise LookupError(f"only {len(row)} fields of {required} that are always there")
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
        # The seconds were negative where the person came back.
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
        0 if closed_at else met_at,  # While a handoff was open the field held when it came to its owner.
        [closure, closed_at, met_at, max(ended_by, 0), ended_by == _DEATH] if closed_at else None,
    ]


def _referral(row: Any) -> list[Any]:
    row = _whole(row, 1, _REFERRAL)
    *head, said_at, waiting = row
    return [*head, said_at or None, waiting]
