"""Acceptance: events that arrive early, late, misspelt or repeated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from replayed import Story, replayed
from timeline import Timeline

from agents.coordination.rules.loading import RULES, CatalogueError, load_catalogue

STAY = {"facility": "GENERAL", "visit": "V1"}
REFERRAL: dict[str, Any] = {
    "referral": "R1",
    "requester": {"role": "pcp", "practitioner": {"id": "8801", "name": "Dr. Example"}},
    "target": {"role": "referral-target", "organization": "heart-clinic"},
    "service": "cardiology",
    "priority": "routine",
}


def test_emergency_visit_that_became_inpatient_is_not_assumed_over_although_its_admission_arrives_later():
    t = Timeline()
    t.at("2026-07-01T12:00", "EncounterClassChanged", encounter=STAY, **{"class": "IMP"})
    t.at("2026-07-01T09:00", "PatientAdmitted", arrival="2026-07-01T12:30", encounter=STAY, **{"class": "EMER"})
    t.until("2026-07-10T00:00")
    assert t.of("ENC-1") == []
    assert t.handoffs("ENC-1") == {}


def referred() -> Story:
    return Story().add("ReferralRequested", "2026-07-06T08:00", **REFERRAL)


def moved(story: Story, status: str, when: str, recorded: str | None = None, **said: Any) -> Story:
    return story.add("ReferralStatusChanged", when, recorded=recorded, referral="R1", status=status, **{"by": "target", **said})


def test_move_that_arrives_too_early_is_applied_when_the_move_before_it_arrives():
    story = moved(moved(referred(), "in-progress", "2026-07-06T10:00"), "accepted", "2026-07-06T09:00", "2026-07-06T11:00")
    effects = story.replay("2026-08-06T00:00")
    assert len(effects.of(None, "refused")) == 1
    assert effects.last("REF-1")["closure"] == effects.last("REF-2")["closure"] == "met"
    assert {line["rule"] for line in effects.open_handoffs().values()}.isdisjoint({"REF-1", "REF-2"})


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_move_that_waited_is_notified_like_any_other(status: str):
    story = moved(moved(referred(), status, "2026-07-06T10:00"), "accepted", "2026-07-06T09:30", "2026-07-06T11:00")
    effects = story.replay("2026-07-06T12:00")
    assert [line["reason"] for line in effects.of(None, "refused")] == ([] if status == "cancelled" else ["illegal-move"])
    news = effects.of("NTF-REFERRAL-ANSWER", "notification") + effects.of("NTF-REFERRAL-END", "notification")
    assert news
    assert all(len(line["id"]) == 36 for line in news)


def test_move_that_never_becomes_legal_stays_refused_and_changes_nothing():
    story = moved(moved(referred(), "completed", "2026-07-06T10:00"), "rejected", "2026-07-06T09:00", "2026-07-06T11:00")
    effects = story.replay("2026-07-06T12:00")
    assert [line["reason"] for line in effects.of(None, "refused")] == ["illegal-move"]
    assert effects.last("REF-1")["closure"] == "met"
    assert effects.of("REF-2") == []


@pytest.mark.parametrize("before", ["hosp", "other-hcf"])
def test_disposition_that_is_corrected_to_home_starts_the_clocks_of_the_discharge_counted_from_it(before: str):
    story = Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00").discharged("2026-07-06T15:00", disposition=before)
    assert story.replay().of("TCM-1") == []
    story.add("EncounterUpdated", "2026-07-07T09:00", encounter=story.stay(), disposition="home")
    straight = Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00").discharged("2026-07-06T15:00").replay()
    late = story.replay()
    for rule in ("TCM-1", "DIS-1"):
        assert late.last(rule)["due"] == straight.last(rule)["due"]


def folder_with(tmp_path: Path, code: str) -> Path:
    shutil.copy(RULES / "routing.yaml", tmp_path)
    rule = (RULES / "REF-4.yaml").read_text().replace("consultant-report", code)
    (tmp_path / "REF-4.yaml").write_text(rule)
    return tmp_path


def test_misspelt_code_is_refused_at_load_with_the_closest_that_is_known(tmp_path: Path):
    with pytest.raises(CatalogueError, match=r"REF-4.yaml: rule REF-4: closes\[0\].where.code: .*'consultent-report'.*consultant-report"):
        load_catalogue(folder_with(tmp_path, "consultent-report"))


def test_code_that_the_deployment_names_itself_loads(tmp_path: Path):
    folder = folder_with(tmp_path, "second-opinion")
    routing = yaml.safe_load((folder / "routing.yaml").read_text())
    (folder / "routing.yaml").write_text(yaml.safe_dump({**routing, "codes": ["second-opinion"]}))
    assert "REF-4" in load_catalogue(folder).rules


def test_reopened_overdue_gap_notifies_its_owner_once_although_no_step_is_left():
    story = Story().team("2026-07-01T09:00").admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")
    story.admitted("2026-07-20T10:00", "V2")
    before = len(story.replay().of("TCM-1", "notification"))
    story.add("AdmissionCancelled", "2026-07-20T12:00", encounter=story.stay("V2"))
    effects = story.replay("2026-08-20T00:00")
    again = effects.of("TCM-1", "notification")[before:]
    assert effects.last("TCM-1", "gap")["state"] == "open"
    assert [line["recipient"] for line in again] == [effects.last("TCM-1", "gap")["owner"]]


def test_control_id_of_two_messages_is_reported_and_both_are_accepted(tmp_path: Path):
    pid, visit = "PID|1||77001^^^GENERAL", "PV1|1|I|||||||||||||||||V1"
    first = f"MSH|^~\\&|A|GENERAL|||20260701090000-0400||ADT^A01|7|P|2.5\rEVN|A01|20260701090000-0400\r{pid}\r{visit}\r"
    second = f"MSH|^~\\&|A|GENERAL|||20260702090000-0400||ADT^A08|7|P|2.5\rEVN|A08|20260702090000-0400\r{pid}\r{visit}\r"
    path = tmp_path / "feed.hl7"
    path.write_bytes((first + second).encode())
    effects = replayed([path])
    (line,) = [found for found in effects.of(None, "suppressed") if found["reason"] == "control-id-reused"]
    assert (line["at"], line["where"].rpartition("/")[2]) == ("2026-07-02T13:00:00Z", "feed.hl7:5")
    assert effects.of("NTF-ADMIT", "notification")


def test_discharge_that_arrives_after_another_visit_became_an_inpatient_encounter_leaves_no_task_open():
    story = Story().team("2026-07-01T09:00")
    story.admitted("2026-07-02T08:00", "V2", "EMER").admitted("2026-07-02T09:00", "V3", "EMER")
    story.admitted("2026-07-02T12:00", "V3", "IMP")
    late = story.discharged("2026-07-02T11:00", "V2", recorded="2026-07-02T13:00").replay()

    assert late.last("DIS-1")["closure"] == "superseded"
