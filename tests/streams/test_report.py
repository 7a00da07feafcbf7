"""The weekly report: what is overdue at its end, who owns it, and how the gaps of the week ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from command import run_command

from streams.contract.instants import parse_instant
from streams.output.report import Week
from streams.output.sentences import Wording

UTC = Wording(ZoneInfo("UTC"))
END = parse_instant("2026-07-20T00:00:00Z")


def gap(at: str, state: str = "open", handoff: str = "h1", closure: str | None = None, **said: Any) -> dict[str, Any]:
    return {
        "at": at,
        "effect": "gap",
        "rule": "TCM-1",
        "person": "p1.somebody",
        "handoff": handoff,
        "state": state,
        "owner": "pcp/practitioner:8801",
        "due": "2026-07-09T04:00:00Z",
        "step": 2,
        "closure": closure,
        "neutral_title": "Speak with the person",
        **said,
    }


def test_gap_that_is_open_is_overdue_until_it_closes():
    opened, closed = gap("2026-07-09T04:00:00Z"), gap("2026-07-15T10:00:00Z", "closed", closure="met-late")

    assert [(line["report"], line["weeks_overdue"]) for line in Week([opened], END).lines()] == [("overdue", 1)]
    assert [(line["report"], line["closure"], line["count"]) for line in Week([opened, closed], END).lines()] == [("closed", "met-late", 1)]


def test_newest_line_of_a_gap_counts_although_an_older_one_is_read_after_it():
    opened, closed = gap("2026-07-15T09:59:59.500Z"), gap("2026-07-15T10:00:00Z", "closed", closure="met-late")

    assert Week([closed, opened], END).overdue() == []


def test_gap_that_is_due_soon_or_was_closed_before_the_week_is_not_in_it():
    soon, before = gap("2026-07-19T10:00:00Z", "due-soon"), gap("2026-07-13T00:00:00Z", "closed", "h2", "met-late")

    assert list(Week([soon, before], END).lines()) == []
    assert list(Week([soon, before], END).text(UTC)) == [
        "Overdue on Mon 20 Jul 2026 00:00 (UTC): 0",
        "\nClosed in the seven days before: none",
    ]


def test_report_is_sorted_by_owner_and_the_oldest_first():
    gaps = [
        gap("2026-07-18T04:00:00Z", handoff="h2", due="2026-07-18T04:00:00Z"),
        gap("2026-07-09T04:00:00Z"),
        gap("2026-07-10T04:00:00Z", handoff="h3", owner="coordinator-lead/pool:leads"),
    ]

    assert [line["handoff"] for line in Week(gaps, END).lines()] == ["h3", "h1", "h2"]
    assert "pcp 8801: 2" in "\n".join(Week(gaps, END).text(UTC))


def test_command_reports_of_files_without_a_kafka(tmp_path: Path) -> None:
    line = {
        "type": "PatientDischarged",
        "id": "E1",
        "source": "urn:test",
        "time": "2026-07-02T15:00:00-04:00",
        "person": {"authority": "GENERAL", "identifier": "1"},
        "data": {"encounter": {"facility": "GENERAL", "visit": "V1"}, "disposition": "home"},
    }
    (tmp_path / "story.jsonl").write_text(json.dumps(line) + "\n")
    done = run_command("report", "story.jsonl", "--until", "2026-07-20T00:00:00-04:00", "--json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    overdue = {row["rule"]: row for row in map(json.loads, done.stdout.splitlines()) if row["report"] == "overdue"}

    assert overdue["TCM-1"]["due"] == "2026-07-08T04:00:00Z"
    assert overdue["TCM-1"]["weeks_overdue"] == 1
