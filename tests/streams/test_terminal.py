"""The output in a terminal: which lines are shown, and what is still open at the end."""

from __future__ import annotations

import io
from typing import Any
from zoneinfo import ZoneInfo

from hl7_building import SETTINGS, adt, pid, pv1, segment
from rich.console import Console

from streams.intake.files import read_paths
from streams.output.lines import INTAKE_KINDS, line_of_arrival, lines_of_notes, reasons_of
from streams.output.sentences import Wording, role_and_id
from streams.output.terminal import Board

UTC = ZoneInfo("UTC")

LINE = {
    "at": "2026-07-06T14:00:00Z",
    "effect": "task",
    "id": "5d9a2b1c-0000-5000-8000-000000000001",
    "cause": "event-17",
    "rule": "NOT-1",
    "rule_version": 2,
    "person": "p1.somebody",
    "handoff": "h1",
    "owner": "facility/organization:general",
    "due": "2026-07-06T14:05:00Z",
    "step": 0,
    "closure": None,
    "title": "Deliver the notification to the care team",
    "why": "Rule NOT-1 version 2: admitted at GENERAL (event event-17). facility (organization:general) is accountable.",
}
NOTIFICATION = LINE | {
    "effect": "notification",
    "id": "n1",
    "handoff": None,
    "recipient": "pcp/practitioner:8802",
    "title": "Admitted to hospital",
    "urgency": "routine",
    "asks_acknowledgement": True,
    "deliver_after": None,
}
NAMES = {"pcp/practitioner:8802": "Dr Lindgren (pcp)", "facility/organization:general": "General Hospital (facility)"}


def shown(*lines: dict[str, Any], verbose: bool = False) -> str:
    """Return what the board prints for *lines*. Each line is LINE with the given fields changed."""
    paper = io.StringIO()
    wording = Wording(UTC, lambda address: NAMES.get(address, role_and_id(address)), verbose)
    board = Board(Console(file=paper, width=200), wording)
    for line in lines:
        board.show(LINE | line)
    board.finish()
    return paper.getvalue()


def test_draft_task_is_not_shown_nor_its_end():
    paper = shown({"state": "draft"}, {"state": "completed", "closure": "met", "at": "2026-07-06T14:01:00Z"})

    assert LINE["title"] not in paper
    assert "2 task updates" in paper


def test_task_that_was_a_draft_is_shown_once_it_is_requested():
    paper = shown({"state": "draft"}, {"state": "requested", "at": "2026-07-06T14:05:00Z"})

    assert "TO DO      General Hospital (facility) has until Mon 6 Jul 14:05 to deliver the notification to the care team" in paper
    assert "Open and not overdue: 1" in paper


# ---- sentences


def test_deadline_at_midnight_is_the_end_of_the_day_before():
    paper = shown({"state": "requested", "due": "2026-07-08T00:00:00Z"})

    assert "has until the end of Tue 7 Jul to deliver" in paper


def test_title_follows_to_but_an_abbreviation_keeps_its_capitals():
    assert " to call the person" in shown({"state": "requested", "title": "Call the person"})
    assert " to X-ray the hip" in shown({"state": "requested", "title": "X-ray the hip"})


def test_address_without_a_name_is_shown_as_role_and_id():
    assert "community nurse N7 has until" in shown({"state": "requested", "owner": "community-nurse/practitioner:N7"})


def test_rules_versions_and_ids_are_shown_only_if_requested():
    short, verbose = shown({"state": "requested"}), shown({"state": "requested"}, verbose=True)

    assert "  Admitted at GENERAL. General Hospital (facility) is accountable.\n" in short
    for id_ in ("NOT-1", "version", "event-17", "h1", LINE["id"], "organization:general"):
        assert id_ not in short
        assert id_ in verbose


def test_id_of_a_task_is_left_out_of_a_refusal():
    refused = {"effect": "refused", "rule": None, "reason": "closed-task", "where": None, "field": None, "segment": None}
    why = "Task 03c8415c-1861-5a67-a5b7-1f2c04aa4c6b is already closed."

    paper = shown(refused | {"why": why})

    assert "REFUSED    Closed task\n" in paper
    assert "Task is already closed." in paper


def test_overdue_task_says_when_it_was_due_and_who_is_accountable_now():
    paper = shown({"effect": "gap", "state": "open", "owner": "pcp/practitioner:8802"})

    assert f"OVERDUE    {LINE['title']}. It was due by Mon 6 Jul 14:05. Dr Lindgren (pcp) is accountable now\n" in paper
    assert "Overdue: 1" in paper


def test_withdrawal_names_the_message_that_is_withdrawn():
    withdrawal = NOTIFICATION | {"at": "2026-07-06T15:00:00Z", "effect": "withdrawal", "notification": "n1", "why": "it was a mistake."}

    paper = shown(NOTIFICATION, withdrawal)

    assert "NOTIFIED   Admitted to hospital: Dr Lindgren (pcp), who is asked to acknowledge\n" in paper
    assert "WITHDRAWN  Admitted to hospital, sent to Dr Lindgren (pcp)\n" in paper
    assert "It was a mistake." in paper


def test_notification_that_waits_says_until_when():
    assert "Dr Lindgren (pcp), not before Tue 7 Jul 07:00, who" in shown(NOTIFICATION | {"deliver_after": "2026-07-07T07:00:00Z"})


def test_notification_that_was_not_sent_says_to_whom_and_why():
    held = LINE | {"effect": "suppressed", "recipient": "pcp/practitioner:8802", "reason": "consent-missing"}

    paper = shown(held, held | {"recipient": None, "reason": "no-material-change"})

    assert "NOT SENT   Dr Lindgren (pcp) was not notified: no consent on file\n" in paper
    assert "NO ACTION  Nobody was notified: nothing important has changed\n" in paper
    assert "In all: 1 no action, 1 not sent." in paper


def test_reason_of_one_event_is_shown_once_for_all_its_handoffs():
    paper = shown({"state": "requested"}, {"state": "requested", "handoff": "h2"})

    assert paper.count("Admitted at GENERAL.") == 1


# ---- what intake reports


def arrivals(tmp_path, *messages):
    (tmp_path / "feed.hl7").write_bytes(b"".join(messages))
    return list(read_paths([tmp_path / "feed.hl7"], SETTINGS))


def rendered(lines, *, width=100, terminal=True):
    out = io.StringIO()
    board = Board(Console(file=out, force_terminal=terminal, color_system=None, width=width), Wording(UTC))
    for line in lines:
        board.show(line)
    board.flush()
    return out.getvalue()


def test_note_of_intake_names_no_recipient(tmp_path):
    (arrived,) = arrivals(tmp_path, adt("A01", event=segment("EVN", f1="A04", f2="20260702150000-0400")))

    shown = rendered(lines_of_notes(arrived))

    assert "NOTED      Trigger contradicts event" in shown
    assert "None" not in shown


def test_long_line_continues_below_its_text(tmp_path):
    (arrived,) = arrivals(tmp_path, adt("A01", visit=pv1(f2="")))
    line = line_of_arrival(arrived)
    line["where"] = "a folder with a long name/" * 6

    first, second, *_ = rendered([line], width=80).splitlines()

    assert first.startswith("Thu  2 Jul 19:00")
    assert second.startswith(" " * 37)
    assert second[37] != " "
    assert len(rendered([line], width=80, terminal=False).splitlines()) == 2


def test_text_of_a_sender_does_not_control_the_terminal(tmp_path):
    (arrived,) = arrivals(tmp_path, adt("A01", visit=pv1(f2="")))
    line = line_of_arrival(arrived)
    line["where"] = "feed\x1b[2J.hl7:1"
    assert "\x1b" not in rendered([line])


def test_everything_that_intake_reports_is_counted_by_kind_and_reason(tmp_path):
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
    assert {kind for kind, _ in counted} <= set(INTAKE_KINDS)


def test_every_line_has_the_fields_that_every_line_has(tmp_path):
    for arrived in arrivals(tmp_path, adt("A03", person=pid(f3="0")), adt("A09")):
        assert list(line_of_arrival(arrived))[:7] == ["at", "effect", "id", "cause", "rule", "rule_version", "person"]


def test_only_the_label_has_a_colour():
    out = io.StringIO()
    board = Board(Console(file=out, force_terminal=True, color_system="standard", width=200), Wording(UTC))
    board.show(LINE | {"state": "requested"})
    board.flush()
    first = out.getvalue().splitlines()[0]
    assert "\x1b[1;34mTO DO    \x1b[0m  facility general" in first
    assert "\x1b[2mMon  6 Jul" in first
