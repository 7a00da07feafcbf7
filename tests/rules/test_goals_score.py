"""The T-score against values computed by hand, the moves of a goal, and the due date of its review."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from agents.coordination.person.goal_states import (
    ACHIEVEMENT_PARENT,
    LIFECYCLE,
    Illegal,
    Moved,
    WeightedGoal,
    check_achievement,
    gas_t_score,
    move_goal,
    stalled_since,
)
from agents.coordination.reference.calendar import Clock
from agents.coordination.rules.loading import load_catalogue


@pytest.mark.parametrize(
    ("goals", "score"),
    [
        ([(1, 1)], 60.00),
        ([(-2, 1)], 30.00),
        ([(2, 1)], 70.00),
        ([(0, 1), (1, 1), (-1, 1)], 50.00),
        ([(1, 1), (1, 1), (1, 1)], 63.69),
        ([(1, 3), (-1, 1)], 55.82),
        ([(0, 5), (0, 2)], 50.00),
        ([(1, 4)], 60.00),
    ],
)
def test_t_score_is_the_one_worked_out_by_hand(goals, score):
    assert gas_t_score([WeightedGoal(x, w) for x, w in goals]) == pytest.approx(score, abs=0.005)


def test_no_goal_has_no_score():
    assert gas_t_score([]) is None


@pytest.mark.parametrize(
    "goal",
    [WeightedGoal(3), WeightedGoal(-3), WeightedGoal(0, 0.5), WeightedGoal(0, -1), WeightedGoal(0, math.nan), WeightedGoal(0, math.inf)],
)
def test_attainment_or_weight_outside_the_scale_is_refused(goal):
    with pytest.raises(ValueError):
        gas_t_score([goal])


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 12)), min_size=1, max_size=8))
def test_score_is_fifty_plus_what_the_mirrored_goals_are_below(goals):
    score = gas_t_score([WeightedGoal(x, w) for x, w in goals])
    mirrored = gas_t_score([WeightedGoal(-x, w) for x, w in goals])

    assert score is not None
    assert mirrored is not None
    assert score + mirrored == pytest.approx(100)
    assert (score > 50) == (sum(x * w for x, w in goals) > 0)


LEGAL = {
    ("proposed", "planned"): {"person", "team"},
    ("proposed", "accepted"): {"person"},
    ("proposed", "active"): {"person", "team"},
    ("proposed", "rejected"): {"person"},
    ("proposed", "cancelled"): {"person", "team"},
    ("planned", "accepted"): {"person"},
    ("planned", "active"): {"person", "team"},
    ("planned", "rejected"): {"person"},
    ("planned", "cancelled"): {"person", "team"},
    ("accepted", "active"): {"person", "team"},
    ("accepted", "on-hold"): {"person", "team"},
    ("accepted", "completed"): {"person", "team"},
    ("accepted", "cancelled"): {"person", "team"},
    ("accepted", "rejected"): {"person"},
    ("active", "accepted"): {"person"},
    ("active", "on-hold"): {"person", "team"},
    ("active", "completed"): {"person", "team"},
    ("active", "cancelled"): {"person", "team"},
    ("active", "rejected"): {"person"},
    ("on-hold", "active"): {"person", "team"},
    ("on-hold", "completed"): {"person", "team"},
    ("on-hold", "cancelled"): {"person", "team"},
    ("completed", "active"): {"person", "team"},
    ("cancelled", "proposed"): {"person", "team"},
    ("rejected", "proposed"): {"person", "team"},
}


@each("by", ["person", "team"])
@each(("current", "status"), list(itertools.permutations(LIFECYCLE, 2)))
def test_goal_moves_only_as_the_table_allows_and_by_whom_it_allows(current, status, by):
    legal = by == "team" if status == "entered-in-error" else by in LEGAL.get((current, status), set())

    assert isinstance(move_goal(current, status, by), Moved if legal else Illegal)


def test_illegal_move_says_why():
    assert move_goal("rejected", "active", "team") == Illegal("a goal that is rejected can't become active")
    assert move_goal("proposed", "accepted", "team") == Illegal("only the person may change a goal from proposed to accepted")
    assert move_goal("active", "done", "team") == Illegal("done is not a lifecycle status of a goal")


@pytest.mark.parametrize("status", list(LIFECYCLE))
def test_first_status_and_the_same_again_are_legal(status):
    assert move_goal(None, status, "team") == Moved(status)
    assert move_goal(status, status, "team") == Moved(status)


def test_goal_entered_in_error_stays_so():
    assert all(isinstance(move_goal("entered-in-error", status, "team"), Illegal) for status in LIFECYCLE if status != "entered-in-error")


def test_unknown_achievement_is_refused():
    assert all(check_achievement(status) == Moved(status) for status in ACHIEVEMENT_PARENT)
    assert check_achievement("better") == Illegal("better is not an achievement status of a goal")


@pytest.mark.parametrize(
    ("said", "asks"),
    [
        (["worsening"], False),
        (["worsening", "worsening"], True),
        (["no-progress", "worsening"], True),
        (["worsening", None, "no-progress"], True),
        (["worsening", "improving", "worsening"], False),
        (["worsening", "no-change", "worsening"], False),
        (["improving", "no-progress", "no-progress"], True),
        ([None, None], False),
        (["worsening", "worsening", "achieved"], False),
    ],
)
def test_two_stalled_reviews_in_a_row_require_a_change_of_plan(said, asks):
    row = stalled_since([(at, status) for at, status in enumerate(said) if status is not None])

    assert (len(row) >= 2) is asks


@pytest.mark.parametrize(
    ("setting", "first", "later"),
    [
        ("hospice", Clock(15, "day"), Clock(15, "day")),
        ("home-health", Clock(8, "week"), Clock(60, "day")),
        ("icf", Clock(8, "week"), Clock(90, "day")),
        ("social-care", Clock(8, "week"), Clock(12, "month")),
        (None, Clock(8, "week"), Clock(90, "day")),
        ("", Clock(8, "week"), Clock(90, "day")),
        ("somewhere", Clock(8, "week"), Clock(90, "day")),
    ],
)
def test_review_is_due_as_the_setting_says_and_first_within_eight_weeks(setting, first, later):
    rule = load_catalogue().rules["GOAL-1"]

    def of(**facts: object) -> Clock:
        return next(
            (case.clock for case in rule.cases if all(facts.get(name) == wanted for name, wanted in case.where.items())), rule.clock
        )

    assert of(goal_setting=setting, first_review=True) == first
    assert of(goal_setting=setting, first_review=False) == later
