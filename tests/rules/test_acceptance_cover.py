"""Acceptance: the owner of a handoff, with claims and refusals out of order, members of organisations, and absences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from replayed import EffectLines, Story, utc
from timeline import Timeline

from agents.coordination.rules.loading import DIRECTORY, load_directory
from agents.coordination.rules.world import World
from streams.contract import effects as out

ANN = {"role": "pcp", "practitioner": {"id": "A1", "name": "Dr. A"}}
BEN = {"role": "pcp", "practitioner": {"id": "B1", "name": "Dr. B"}}
NURSE = {"role": "community-nurse", "practitioner": {"id": "N1", "name": "Nurse"}}


def discharged() -> tuple[Story, str]:
    """A discharge from an unknown hospital. The task to call the person belongs to the fallback pool."""
    story = Story(facility="FARWAY", person="P-1").discharged("2026-07-06T15:00", complexity="moderate")
    return story, story.replay().handoff("TCM-1")


def owners(effects: EffectLines, rule: str = "TCM-1") -> list[str]:
    return [line["owner"].partition("/")[2] for line in effects.of(rule, "task")]


# ---- the newest answer counts, in whatever order answers arrive


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("TaskReassigned", {"to": NURSE}),
        ("TaskClaimed", {}),
        ("TaskDeclined", {"reason": "too much to do"}),
        ("TaskEscalated", {"reason": "no answer"}),
        ("TaskSnoozed", {"reason": "asked to", "until": "2026-07-07T12:00:00-04:00"}),
    ],
)
def test_response_older_than_the_last_change_of_owner_is_refused_and_changes_nothing(kind: str, said: dict[str, Any]):
    story, task = discharged()
    story.add("TaskReassigned", "2026-07-06T17:00", task=task, by=ANN, to=BEN)
    effects = story.add(kind, "2026-07-06T16:00", recorded="2026-07-06T18:00", task=task, by=BEN, **said).replay("2026-07-06T19:00")
    assert owners(effects) == ["pool:unassigned", "practitioner:B1"]
    (refused,) = effects.of(None, "refused")
    assert refused["reason"] == "overtaken"
    assert "practitioner:B1" in refused["why"]


def test_claim_from_before_an_escalation_that_arrives_after_it_does_not_undo_it():
    story, task = discharged()
    effects = story.add("TaskClaimed", "2026-07-08T23:59", recorded="2026-07-09T00:30", task=task, by=ANN).replay("2026-07-09T01:00")
    assert effects.last("TCM-1")["owner"].startswith("practice-manager/")
    assert [line["reason"] for line in effects.of(None, "refused")] == ["overtaken"]


def test_call_that_is_reported_late_counts_whoever_owns_the_task_then():
    story, task = discharged()
    story.add("TaskReassigned", "2026-07-06T17:00", task=task, by=ANN, to=BEN)
    story.add("OutreachAttempted", "2026-07-06T16:00", recorded="2026-07-06T18:00", task=task, by=ANN, outcome="reached")
    assert story.replay().last("TCM-1")["closure"] == "met"


# ---- pools and organisations


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("OutreachAttempted", {"outcome": "no-answer"}),
        ("TaskSnoozed", {"reason": "asked to", "until": "2026-07-07T12:00:00-04:00"}),
    ],
)
def test_task_of_a_pool_can_be_claimed_after_an_attempt_or_a_snooze(kind: str, said: dict[str, Any]):
    story, task = discharged()
    story.add(kind, "2026-07-06T16:00", task=task, by=BEN, **said)
    effects = story.add("TaskClaimed", "2026-07-06T17:00", task=task, by=ANN).replay("2026-07-08T23:00")
    assert effects.of(None, "refused") == []
    assert owners(effects)[-1] == "practitioner:A1"
    assert effects.of("TCM-1", "task")[-1]["state"] == "accepted"
    assert next(gap["at"] for gap in effects.of("TCM-1", "gap")) == utc("2026-07-07T19:30")


def test_people_of_an_organisation_speak_for_it_and_those_of_another_do_not():
    story = Story(facility="FARWAY", person="P-1")
    clinic = {"role": "specialist", "organization": "far-clinic"}
    story.add("ReferralRequested", "2026-07-06T15:00", referral="R1", requester=ANN, target=clinic, service="x", priority="routine")
    task = story.replay().handoff("REF-1")
    said = {"task": task, "reason": "not ours"}
    story.add("TaskDeclined", "2026-07-06T16:00", by={"role": "specialist", "practitioner": {"id": "9"}, "organization": "other"}, **said)
    story.add("TaskDeclined", "2026-07-06T17:00", by={**clinic, "practitioner": {"id": "9"}}, **said)
    effects = story.replay()
    assert [line["reason"] for line in effects.of(None, "refused")] == ["not-the-owner"]
    assert owners(effects, "REF-1") == ["organization:far-clinic", "pool:unassigned"]


# ---- an absence that begins while a handoff is open


def with_cover(tmp_path: Path, spine: World, *covers: tuple[str, str, str, str]) -> Timeline:
    """A story whose directory contains an absence: (who, covered by, first day, last day)."""
    rows = ", ".join(f'{{of: "practitioner:{of}", by: "practitioner:{by}", from: {first}, to: {last}}}' for of, by, first, last in covers)
    written = DIRECTORY.read_text().replace(
        'practitioners: ["8801", "8802", "8803"]', f'practitioners: ["8801", "8802", "8803"]\n    cover: [{rows}]'
    )
    (tmp_path / "directory.yaml").write_text(written)
    return Timeline(asked=World(spine.catalogue, load_directory(tmp_path / "directory.yaml"), spine.valuesets))


def discharge(t: Timeline, when: str = "2026-07-06T15:00") -> bytes:
    t.at(
        when,
        "PatientDischarged",
        encounter={"facility": "GENERAL", "visit": "V1"},
        disposition="home",
        members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": {"id": "8801", "name": ""}}}],
    )
    return next(iter(t.handoffs("TCM-1")))


def tasks(t: Timeline, rule: str = "TCM-1") -> list[str]:
    """The owners of the task of *rule*, in order."""
    return [e.owner.rpartition(":")[2] for e in t.tasks(rule)]


def test_handoff_goes_to_the_covering_person_when_the_absence_begins_and_stays_there(tmp_path, spine):
    t = with_cover(tmp_path, spine, ("8801", "8803", "2026-07-07", "2026-07-07"))
    discharge(t)
    t.until("2026-07-06T23:59:59")
    assert tasks(t) == ["8801"]
    t.until("2026-07-07T00:00")
    assert tasks(t) == ["8801", "8803"]
    assert "practitioner:8801) is absent; pcp (practitioner:8803) covers" in t.tasks("TCM-1")[-1].why
    t.until("2026-07-08T23:59")
    assert tasks(t) == ["8801", "8803"]
    assert [(g.state, g.owner.rpartition(":")[2]) for g in t.gaps("TCM-1")] == [("due-soon", "8803"), ("due-soon", "8803")]


def test_steps_come_when_they_would_have_come_without_an_absence(tmp_path, spine):
    plain, covered = Timeline(asked=spine), with_cover(tmp_path, spine, ("8801", "8803", "2026-07-07", "2026-07-20"))
    for t in (plain, covered):
        discharge(t)
        t.until("2026-08-06T00:00")
    assert [(g.at, g.state, g.step) for g in plain.gaps("TCM-1")] == [
        (g.at, g.state, g.step) for g in covered.gaps("TCM-1") if "is absent" not in g.why
    ]


def test_person_who_claims_a_task_while_away_keeps_it(tmp_path, spine):
    t = with_cover(tmp_path, spine, ("8801", "8803", "2026-07-07", "2026-07-20"))
    task = discharge(t)
    t.at("2026-07-07T09:00", "TaskReassigned", task=task.hex() if isinstance(task, bytes) else task, by=NURSE, to=NURSE)
    t.at("2026-07-07T10:00", "TaskReassigned", task=task, by=NURSE, to={"role": "pcp", "practitioner": {"id": "8801", "name": ""}})
    assert tasks(t)[-1] == "8803"
    t.at("2026-07-07T11:00", "TaskClaimed", task=task, by={"role": "pcp", "practitioner": {"id": "8801", "name": ""}})
    t.at("2026-07-07T11:05", "TaskReassigned", task=task, by=NURSE, to=NURSE)
    t.at("2026-07-07T11:10", "TaskClaimed", task=task, by={"role": "pcp", "practitioner": {"id": "8801", "name": ""}})
    t.until("2026-07-08T23:00")
    assert tasks(t)[-1] == "8801"


@pytest.mark.parametrize(
    ("covers", "who"),
    [
        ([("8801", "8802", "2026-07-06", "2026-07-08"), ("8802", "8803", "2026-07-06", "2026-07-08")], "8803"),
        ([("8801", "8802", "2026-07-06", "2026-07-08"), ("8802", "8801", "2026-07-06", "2026-07-08")], "8802"),
    ],
)
def test_covering_person_may_be_covered_too_and_a_circle_of_cover_ends(tmp_path, spine, covers, who):
    t = with_cover(tmp_path, spine, *covers)
    discharge(t)
    assert tasks(t)[-1] == who


def test_overdue_gap_after_its_last_step_still_goes_to_the_covering_person(tmp_path, spine):
    manager = "practitioner:M1"
    t = with_cover(tmp_path, spine, ("M1", "M2", "2026-09-01", "2026-09-10"))
    task = discharge(t)
    t.until("2026-08-01T00:00")
    t.at(
        "2026-08-01T09:00", "TaskReassigned", task=task, by=NURSE, to={"role": "practice-manager", "practitioner": {"id": "M1", "name": ""}}
    )
    assert t.gaps("TCM-1")[-1].owner == f"practice-manager/{manager}"
    t.until("2026-09-02T00:00")
    assert isinstance(t.effects[-1], out.GapState)
    assert t.gaps("TCM-1")[-1].owner == t.tasks("TCM-1")[-1].owner == "practice-manager/practitioner:M2"
