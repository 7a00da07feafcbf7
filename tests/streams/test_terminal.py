"""What a person at the terminal reads: which lines are shown, and what is still open at the end."""

from __future__ import annotations

import io
from typing import Any

from hl7_building import SETTINGS, adt, pid, pv1, segment
from rich.console import Console

from streams.intake.files import read_paths
from streams.output.lines import DOOR_KINDS, line_of_arrival, lines_of_notes, reasons_of
from streams.output.terminal import Board

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


# ---- what the doors say


def arrivals(tmp_path, *messages):
    (tmp_path / "feed.hl7").write_bytes(b"".join(messages))
    return list(read_paths([tmp_path / "feed.hl7"], SETTINGS))


def told(lines, *, width=100, terminal=True):
    out = io.StringIO()
    board = Board(Console(file=out, force_terminal=terminal, color_system=None, width=width), "UTC")
    for line in lines:
        board.show(line)
    board.flush()
    return out.getvalue()


def test_what_a_door_notes_names_no_recipient_for_there_is_none(tmp_path):
    (arrived,) = arrivals(tmp_path, adt("A01", event=segment("EVN", f1="A04", f2="20260702150000-0400")))

    shown = told(lines_of_notes(arrived))

    assert "noted trigger-contradicts-event" in shown
    assert "None" not in shown


def test_long_line_goes_on_under_its_words(tmp_path):
    (arrived,) = arrivals(tmp_path, adt("A01", visit=pv1(f2="")))
    line = line_of_arrival(arrived)
    line["where"] = "a folder with a long name/" * 6

    first, second, *_ = told([line], width=80).splitlines()

    assert first.startswith("Thu 02 Jul 19:00")
    assert second.startswith(" " * 28)
    assert second[28] != " "
    assert len(told([line], width=80, terminal=False).splitlines()) == 2


def test_what_a_sender_wrote_does_not_steer_the_terminal(tmp_path):
    (arrived,) = arrivals(tmp_path, adt("A01", visit=pv1(f2="")))
    line = line_of_arrival(arrived)
    line["where"] = "feed\x1b[2J.hl7:1"
    assert "\x1b" not in told([line])


def test_everything_that_a_door_says_of_a_message_is_counted_by_kind_and_reason(tmp_path):
    odd = adt("A01", event=segment("EVN", f1="A04", f2="nonsense"), visit=pv1(f2="I", f7="^Nightingale^Florence"))
    refused, ignored = adt("A03", person=pid(f3="0")), adt("A09")

    counted = [reason for arrived in arrivals(tmp_path, odd, refused, ignored) for reason in reasons_of(arrived)]

    assert {
        ("suppressed", "trigger-contradicts-event"),
        ("suppressed", "time-unreadable"),
        ("noted", "practitioner-without-id"),
        ("refused", "identifier-missing"),
        ("ignored", "tracking-only"),
    } <= set(counted)
    assert {kind for kind, _ in counted} <= set(DOOR_KINDS)


def test_every_line_has_the_fields_that_every_line_has(tmp_path):
    for arrived in arrivals(tmp_path, adt("A03", person=pid(f3="0")), adt("A09")):
        assert list(line_of_arrival(arrived))[:7] == ["at", "effect", "id", "cause", "rule", "rule_version", "person"]


def test_colour_is_for_the_word_at_the_head_alone():
    out = io.StringIO()
    board = Board(Console(file=out, force_terminal=True, color_system="standard", width=200), "UTC")
    board.show(LINE | {"state": "requested"})
    board.flush()
    first = out.getvalue().splitlines()[0]
    assert "\x1b[1;34mTASK  \x1b[0mNOT-1" in first
    assert "\x1b[2mMon 06 Jul" in first
