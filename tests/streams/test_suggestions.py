"""The nearest known name to an unknown one."""

from __future__ import annotations

import pytest

from streams.contract.suggestions import closest, did_you_mean

NAMES = ("setting", "setting_of_stay", "status", "age_years", "TaskCompleted", "owner", "pcp")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("seting", ["setting"]),
        ("SETTING", ["setting", "setting_of_stay"]),
        ("age", ["age_years"]),
        ("taskcompleted", ["TaskCompleted"]),
        ("colour", []),
        ("fone", []),
        ("pcb", ["pcp"]),
        ("", []),
    ],
)
def test_names_that_look_like_it_or_contain_it_are_found_nearest_first(name, found):
    assert closest(name, NAMES, 3) == found


def test_no_more_names_than_requested_are_suggested():
    assert closest("setting", NAMES, 1) == ["setting"]


@pytest.mark.parametrize(
    ("known", "words"),
    [((), ""), (("abcd",), "; did you mean abcd?"), (("abcdef", "abcd", "abcde"), "; did you mean abcd, abcde or abcdef?")],
)
def test_suggestion_is_put_after_the_error(known, words):
    assert did_you_mean("abc", known, most=3) == words
