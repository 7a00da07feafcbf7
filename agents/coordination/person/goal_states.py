"""Goals of a person: which status changes are legal, and how far the goals are attained.

Owns FHIR's lifecycle and achievement statuses of a goal as tables, and the GAS T-score. Must not know events, rules or the
current time. Sources: FHIR R4 Goal; MCC eCare Plan (who expressed and who accepted a goal); goal
attainment scaling by Kiresuk and Sherman (1968) in Turner-Stokes' corrected form: her 2009 paper printed wrong formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

GoalMover = Literal["person", "team"]
"""Who changes the status of a goal: the person (or someone who acts for them), or the care team."""

_PERSON: Final[frozenset[GoalMover]] = frozenset({"person"})
_TEAM: Final[frozenset[GoalMover]] = frozenset({"team"})
_EITHER: Final[frozenset[GoalMover]] = frozenset({"person", "team"})

LIFECYCLE: Final[Mapping[str, Mapping[str, frozenset[GoalMover]]]] = {
    # Only the person may accept or reject a goal. If the team starts to work on it, it is still not accepted (GOAL-4 stays open).
    "proposed": {"planned": _EITHER, "accepted": _PERSON, "active": _EITHER, "rejected": _PERSON, "cancelled": _EITHER},
    "planned": {"accepted": _PERSON, "active": _EITHER, "rejected": _PERSON, "cancelled": _EITHER},
    "accepted": {"active": _EITHER, "on-hold": _EITHER, "completed": _EITHER, "cancelled": _EITHER, "rejected": _PERSON},
    "active": {"accepted": _PERSON, "on-hold": _EITHER, "completed": _EITHER, "cancelled": _EITHER, "rejected": _PERSON},
    "on-hold": {"active": _EITHER, "completed": _EITHER, "cancelled": _EITHER},
    "completed": {"active": _EITHER},
    "cancelled": {"proposed": _EITHER},
    "rejected": {"proposed": _EITHER},
    "entered-in-error": {},
}
"""For each lifecycle status: which may follow, and who may set it. The care team may also mark any goal `entered-in-error`."""

ACHIEVEMENT_PARENT: Final[Mapping[str, str]] = {
    "in-progress": "in-progress",
    "improving": "in-progress",
    "worsening": "in-progress",
    "no-change": "in-progress",
    "achieved": "achieved",
    "sustaining": "achieved",
    "not-achieved": "not-achieved",
    "no-progress": "not-achieved",
    "not-attainable": "not-achieved",
}
"""FHIR's achievement statuses, each with its parent. Any status may follow any other, because people improve and get worse."""

OPEN_STATUSES: Final = frozenset({"accepted", "active", "on-hold"})
"""Lifecycle statuses of the goals that notifications of admissions and discharges list."""

REVIEWED_STATUSES: Final = frozenset({"accepted", "active"})
"""Lifecycle statuses in which reviews fall due. A goal that is on hold needs no review."""

STALLED_STATUSES: Final = frozenset({"worsening", "no-progress"})
ACHIEVED_MAX: Final = 8
"""How many achievement statuses of a goal are kept. Consecutive setbacks are counted from them, in any order of arrival."""

GAS_CORRELATION: Final = 0.3
"""The correlation between a person's goals (rho) that the published score assumes."""

_ATTAINMENTS: Final = (-2, -1, 0, 1, 2)


class Moved(msgspec.Struct, frozen=True):
    """A legal change to `status`."""

    status: str


class Illegal(msgspec.Struct, frozen=True):
    """A refused change, and why it is refused."""

    reason: str


class WeightedGoal(msgspec.Struct, frozen=True):
    """One goal of a GAS T-score: attainment -2 (much less than expected) to +2, 0 as expected; weight 1 or more."""

    attainment: int
    weight: float = 1.0


def move_goal(current: str | None, status: str, by: GoalMover) -> Moved | Illegal:
    """Decide whether *by* may change a goal from *current* (None: unknown goal) to *status*.

    The same status again is always legal. Any first status is legal, because the goal may be older than its first event.
    """
    if status not in LIFECYCLE:
        return Illegal(f"{status} is not a lifecycle status of a goal")
    if current is None or status == current:
        return Moved(status)
    if status == "entered-in-error":
        return Moved(status) if by == "team" else Illegal("only the care team may mark a goal as entered-in-error")
    movers = LIFECYCLE[current].get(status)
    if movers is None:
        return Illegal(f"a goal that is {current} can't become {status}")
    if by not in movers:
        return Illegal(f"only the {' or the '.join(sorted(movers))} may change a goal from {current} to {status}")
    return Moved(status)


def check_achievement(status: str) -> Moved | Illegal:
    """Decide whether *status* is an achievement status. Any achievement status may follow any other."""
    return Moved(status) if status in ACHIEVEMENT_PARENT else Illegal(f"{status} is not an achievement status of a goal")


def check_scale(attainment: int | None, weight: float | None) -> Illegal | None:
    """Return what is wrong with a goal's attainment or weight, or None. Either may be None (not reported)."""
    if attainment is not None and attainment not in _ATTAINMENTS:
        return Illegal(f"the attainment must be -2, -1, 0, 1 or 2, not {attainment}")
    if weight is not None and not (weight >= 1 and math.isfinite(weight)):
        return Illegal(f"the weight must be 1 or more, not {weight}")
    return None


def stalled_since(achieved: Sequence[tuple[int, str]]) -> tuple[int, ...]:
    """Return the times of the latest unbroken run of reviews that found the goal stalled, oldest first.

    *achieved*: event time in milliseconds and achievement status of each review, oldest first. Updates without an achievement
    status are not part of it.
    """
    row: list[int] = []
    for at, status in reversed(achieved):
        if status not in STALLED_STATUSES:
            break
        row.append(at)
    return tuple(reversed(row))


def gas_t_score(goals: Iterable[WeightedGoal], correlation: float = GAS_CORRELATION) -> float | None:
    """Return the GAS T-score of all goals of a person, or None without goals.

    T = 50 + 10 * sum(w * x) / sqrt((1 - rho) * sum(w * w) + rho * sum(w) ** 2). It is 50 if every goal is attained as expected.

    Raises:
        ValueError: An attainment is not one of -2 to +2, or a weight is below 1.
    """
    weights: list[float] = []
    weighted = 0.0
    for goal in goals:
        wrong = check_scale(goal.attainment, goal.weight)
        if wrong is not None:
            raise ValueError(wrong.reason)
        weights.append(goal.weight)
        weighted += goal.weight * goal.attainment
    if not weights:
        return None
    squares = sum(weight * weight for weight in weights)
    return 50 + 10 * weighted / math.sqrt((1 - correlation) * squares + correlation * sum(weights) ** 2)
