"""Acceptance: a cancelled message reopens what it had ended, and nothing else; events that arrived in between are taken into account."""

from __future__ import annotations

import json

from replayed import Story


def home() -> Story:
    """Goes home on Monday 6 July; TCM-1 is due at the end of Wednesday."""
    return Story().team("2026-06-01T09:00").admitted("2026-07-01T10:00").discharged("2026-07-06T15:00")


def with_goal() -> Story:
    story = Story().team("2026-06-01T09:00")
    story.add(
        "GoalUpdated", "2026-06-10T10:00", goal="G1", lifecycle_status="active", description="Walk to the shop", expressed_by="patient"
    )
    return story.admitted("2026-07-01T10:00").discharged("2026-07-06T15:00")


def back(story: Story, cancelled: str, when: str, visit: str) -> Story:
    return story.add(cancelled, when, encounter=story.stay(visit))


def test_cancelled_discharge_of_a_readmission_does_not_reopen_what_the_readmission_ended():
    story = home().admitted("2026-07-07T09:00", "V2").discharged("2026-07-07T15:00", "V2")
    effects = back(story, "DischargeCancelled", "2026-07-07T16:00", "V2").replay()
    assert {line["rule"] for line in effects.open_handoffs().values()} & {"TCM-1", "TCM-3", "MED-1", "TRC-2", "TRC-3", "DIS-1"} == set()


def test_call_during_a_cancelled_readmission_counts_for_the_stay_before():
    story = home().admitted("2026-07-07T09:00", "V2").cared("2026-07-07T12:00", "interactive-contact")
    effects = back(story, "AdmissionCancelled", "2026-07-07T16:00", "V2").replay("2026-07-10T00:00")
    assert effects.last("TCM-1")["closure"] == "met"
    assert not effects.of("TCM-1", "gap", "notification")


def test_cancelled_readmission_reopens_the_handoffs_with_their_own_due():
    effects = back(home().admitted("2026-07-07T09:00", "V2"), "AdmissionCancelled", "2026-07-07T16:00", "V2").replay()
    assert (effects.last("TCM-1")["state"], effects.last("TCM-1")["due"]) == ("requested", "2026-07-09T04:00:00Z")


def test_clocks_of_a_cancelled_discharge_never_come_back():
    """The readmission supersedes them. Meanwhile the discharge that opened them is cancelled, then the readmission too."""
    story = home().admitted("2026-07-07T09:00", "V2")
    back(story, "DischargeCancelled", "2026-07-07T10:00", "V1")
    effects = back(story, "AdmissionCancelled", "2026-07-07T16:00", "V2").replay()
    assert "TCM-1" not in {line["rule"] for line in effects.open_handoffs().values()}


def test_admissions_goal_review_is_reopened_when_the_discharge_is_cancelled():
    effects = back(with_goal(), "DischargeCancelled", "2026-07-06T16:00", "V1").replay()
    open_ = [line for line in effects.open_handoffs().values() if line["rule"] == "GOAL-2"]
    assert [line["due"] for line in open_] == ["2026-07-16T04:00:00Z"]


def test_discharges_goal_review_is_reopened_when_the_readmission_is_cancelled():
    story = with_goal().admitted("2026-07-07T09:00", "V2")
    effects = back(story, "AdmissionCancelled", "2026-07-07T16:00", "V2").replay()
    open_ = [line for line in effects.open_handoffs().values() if line["rule"] == "GOAL-2"]
    assert [line["due"] for line in open_] == ["2026-07-21T04:00:00Z"]


def test_referral_whose_cancellation_arrives_first_opens_nothing():
    party = {"role": "referral-target", "organization": "heart-clinic"}
    said = {"requester": {"role": "pcp", "practitioner": "8801"}, "target": party, "service": "cardiology", "priority": "routine"}
    story = Story().add("ReferralStatusChanged", "2026-07-06T16:00", referral="R1", status="cancelled", by="requester", reason="died down")
    effects = story.add("ReferralRequested", "2026-07-06T15:00", recorded="2026-07-06T17:00", referral="R1", **said).replay(
        "2026-08-01T00:00"
    )
    assert [(line["effect"], line["reason"]) for line in effects.lines if line["effect"] != "notification"] == [
        ("suppressed", "already-cancelled")
    ]
    assert not [line for line in effects.of(None, "notification") if line["title"] == "A new referral"]


def test_clocks_run_from_the_second_discharge_although_the_cancellation_of_the_first_arrives_last():
    story = home()
    cancelled = back(story, "DischargeCancelled", "2026-07-06T18:00", "V1").lines.pop()
    story.discharged("2026-07-08T12:00", id_="NEW")
    in_order = story.replay(lines=[*story.lines[:-1], cancelled, story.lines[-1]])
    line = json.loads(cancelled) | {"recorded": "2026-07-08T13:00:00-04:00"}
    effects = story.replay(lines=[*story.lines, json.dumps(line)])
    dues = [{(h["rule"], h["due"]) for h in t.open_handoffs().values() if h["rule"] not in {"NOT-1", "NOT-2"}} for t in (in_order, effects)]
    assert ("TCM-1", "2026-07-11T04:00:00Z") in dues[0]
    assert dues[0] == dues[1]


def test_discharge_home_counts_although_the_cancellation_of_a_mistaken_death_arrives_last():
    story = Story().team("2026-06-01T09:00").admitted("2026-07-01T10:00")
    story.discharged("2026-07-06T15:00", disposition="exp").discharged("2026-07-06T17:00")
    effects = story.add("DischargeCancelled", "2026-07-06T16:00", recorded="2026-07-06T18:00", encounter=story.stay()).replay()
    assert effects.last("TCM-1")["state"] == "requested"


def test_call_after_a_cancelled_discharge_does_not_count_for_the_real_one():
    story = back(home().cared("2026-07-06T17:00", "interactive-contact"), "DischargeCancelled", "2026-07-06T18:00", "V1")
    effects = story.discharged("2026-07-08T12:00").replay()
    assert (effects.last("TCM-1")["state"], effects.last("TCM-1")["due"]) == ("requested", "2026-07-11T04:00:00Z")


def test_discharge_that_arrives_after_a_later_update_still_closes_the_handoff_of_the_silent_stay():
    story = Story().team("2026-06-01T09:00").admitted("2026-07-01T10:00", class_="EMER")
    story.add("EncounterUpdated", "2026-07-02T20:00", encounter=story.stay(), diagnoses=[{"system": "ICD-10", "code": "I50.9", "rank": 1}])
    effects = story.discharged("2026-07-02T12:00", recorded="2026-07-03T04:00").replay("2026-07-20T00:00")
    closures = [(line["state"], line["closure"]) for line in effects.of("ENC-1", "task", "gap")]
    assert closures == [("draft", None), ("draft", None), ("completed", "met")]
