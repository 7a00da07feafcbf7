"""What a person at the terminal reads: which lines are shown, and what is still open at the end."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from streams.terminal import Board

LINE = {
    "at": "2026-07-06T14:00:00Z",
    "effect": "task",
    "rule": "NOT-1",
    "person": "p1.somebody",
    "handoff": "h1",
    "owner": "facility/organization:general",
    "due": "2026-07-06T14:05:00Z",
    "step": 0,
    "closure": None,
    "title": "Get the news of the stay to the care team",
    "why": "because",
}


def shown(*lines: dict[str, Any]) -> str:
    """What the board prints of *lines*, each but for what it says otherwise the line above."""
    paper = io.StringIO()
    board = Board(Console(file=paper, width=200), "UTC")
    for line in lines:
        board.show(LINE | line)
    board.finish()
    return paper.getvalue()


def test_task_that_asks_nobody_yet_is_not_shown_nor_its_end():
    paper = shown({"state": "draft"}, {"state": "completed", "closure": "met", "at": "2026-07-06T14:01:00Z"})

    assert "NOT-1" not in paper
    assert "2 task" in paper


def test_task_that_was_a_draft_is_shown_once_it_is_asked_for():
    paper = shown({"state": "draft"}, {"state": "requested", "at": "2026-07-06T14:05:00Z"})

    assert "TASK  NOT-1 Get the news of the stay to the care team" in paper
    assert "Open tasks: 1" in paper
