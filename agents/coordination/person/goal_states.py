"""Goals in the person's own words: which moves are legal, and how far they are attained.

Owns FHIR's lifecycle and achievement states of a goal as tables, and the GAS T-score. Must not know events, rules or the
present. Sources: FHIR R4 Goal; MCC eCare Plan (who expressed and who accepted a goal); goal
attainment scaling by Kiresuk and Sherman (1968) in Turner-Stokes' corrected form: her 2009 paper printed wrong formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

GoalMover = Literal["person", "team"]
"""Who moves a goal: the person (or who speaks for them), or the care team."""

_PERSON: Final[frozenset[GoalMover]] = frozenset({"person"})
_TEAM: Final[frozenset[GoalMover]] = frozenset({"team"})
_EITHER: Final[frozenset[GoalMover]] = frozenset({"person", "team"})

LIFECYCLE: Final[Mapping[str, Mapping[str, frozenset[GoalMover]]]] = {
    # Only the person accepts or rejects. A team may begin to work on a goal, which does not make it accepted (GOAL-4 stays open).
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
"""From a lifecycle status to those that may follow, and who may do it. A team may besides mark any goal `entered-in-error`."""

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
"""FHIR's achievement statuses, each with the one that it is a kind of. Any may follow any: people get better and worse."""

OPEN_STATUSES: Final = frozenset({"accepted", "active", "on-hold"})
"""Lifecycle statuses of goals that every admission and discharge is told with."""

REVIEWED_STATUSES: Final = frozenset({"accepted", "active"})
"""Lifecycle statuses in which reviews fall due; a goal on hold rests."""

STALLED_STATUSES: Final = frozenset({"worsening", "no-progress"})
ACHIEVED_MAX: Final = 8
"""How many achievement statuses of a goal are remembered: a row of setbacks is told from them, in whatever order they arrive."""

GAS_CORRELATION: Final = 0.3
"""The published score's assumption of how far a person's goals correlate (rho)."""

_ATTAINMENTS: Final = (-2, -1, 0, 1, 2)


class Moved(msgspec.Struct, frozen=True):
    """A legal move, to `status`."""

    status: str


class Illegal(msgspec.Struct, frozen=True):
    """A move that changes nothing, and why."""

    reason: str


class WeightedGoal(msgspec.Struct, frozen=True):
    """One goal of a GAS T-score: attainment -2 (much less than expected) to +2, 0 as expected; weight 1 or more."""

    attainment: int
    weight: float = 1.0


def move_goal(current: str | None, status: str, by: GoalMover) -> Moved | Illegal:
    """Decide whether *by* may move a goal from *current* (None: not heard of before) to *status*.

    Saying the same status again is no move and always legal. The first status heard may be any: the goal had a life
    before.
    """
    if status not in LIFECYCLE:
        return Illegal(f"{status} is no lifecycle status of a goal")
    if current is None or status == current:
        return Moved(status)
    if status == "entered-in-error":
        return Moved(status) if by == "team" else Illegal("only the care team marks a goal entered-in-error")
    movers = LIFECYCLE[current].get(status)
    if movers is None:
        return Illegal(f"a goal that is {current} can't become {status}")
    if by not in movers:
        return Illegal(f"only the {' or the '.join(sorted(movers))} moves a goal from {current} to {status}")
    return Moved(status)


def check_achievement(status: str) -> Moved | Illegal:
    """Decide whether *status* is an achievement status; whatever it was before, it may follow."""
    return Moved(status) if status in ACHIEVEMENT_PARENT else Illegal(f"{status} is no achievement status of a goal")


def check_scale(attainment: int | None, weight: float | None) -> Illegal | None:
    """Say what is wrong with a goal's place on the scale; None where nothing is, or nothing is said."""
    if attainment is not None and attainment not in _ATTAINMENTS:
        return Illegal(f"an attainment is -2, -1, 0, 1 or 2, not {attainment}")
    if weight is not None and not (weight >= 1 and math.isfinite(weight)):
        return Illegal(f"a weight is 1 or more, not {weight}")
    return None


def stalled_since(achieved: Sequence[tuple[int, str]]) -> tuple[int, ...]:
    """Return when each of the newest reviews in a row found the goal stalled; *achieved*: time and status, oldest first.

    An update that says nothing of achievement is no part of it: it neither counts nor breaks the row.
    """
    row: list[int] = []
    for at, status in reversed(achieved):
        if status not in STALLED_STATUSES:
            break
        row.append(at)
    return tuple(reversed(row))


def gas_t_score(goals: Iterable[WeightedGoal], correlation: float = GAS_CORRELATION) -> float | None:
    """Return the GAS T-score of all goals of a person, or None where there is none.

    T = 50 + 10 * sum(w * x) / sqrt((1 - rho) * sum(w * w) + rho * sum(w) ** 2): 50 where every goal is met as expected.

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
