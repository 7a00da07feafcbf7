"""The events of an encounter in any order: future, old and repeated events."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from encounter_story import ADMITTED, DISCHARGED, STAY, admit_and_discharge, open_rules, reasons, status, stays
from tables import each
from timeline import PERSON, Timeline, millis

from agents.coordination.decide import decide
from agents.coordination.person.encounter import Status
from agents.coordination.person.state import unpack
from streams.contract import effects as out
from streams.contract.events import EncounterRef, Event, Millis, PatientAdmitted

# ---- time


def test_event_time_in_the_future_counts_as_its_arrival_and_says_so(story):
    effects = story.at("2026-07-02T15:16", "PatientDischarged", arrival="2026-07-02T15:00", encounter=STAY, disposition="home")
    (task,) = [e for e in effects if isinstance(e, out.TaskState) and e.rule == "DIS-1"]
    assert task.opened_at == millis("2026-07-02T15:00", story.zone)
    assert "time-suspect" in task.why


def test_event_time_fifteen_minutes_ahead_is_still_believed(story):
    effects = story.at("2026-07-02T15:15", "PatientDischarged", arrival="2026-07-02T15:00", encounter=STAY, disposition="home")
    (task,) = [e for e in effects if isinstance(e, out.TaskState) and e.rule == "DIS-1"]
    assert task.opened_at == millis("2026-07-02T15:15", story.zone)


@pytest.mark.parametrize(("arrival", "history"), [("2026-08-01T15:00", False), ("2026-08-01T15:01", True)])
def test_event_older_than_thirty_days_changes_state_only(story, arrival, history):
    effects = story.at(DISCHARGED, "PatientDischarged", arrival=arrival, encounter=STAY, disposition="home")
    assert status(story) == "finished"
    assert (reasons(effects) == ["too-old"]) is history
    assert bool(open_rules(story)) is not history


def test_backfill_changes_state_only(story, spine):
    at = millis(ADMITTED, story.zone)
    event = Event("B1", "urn:test", at, Millis(at + 1000), PERSON, PatientAdmitted(EncounterRef("GENERAL", "V1"), "IMP"), backfill=True)
    decision = decide(None, event, event.arrival, spine)
    assert [e.reason for e in decision.effects] == ["backfill"]
    assert decision.person is not None
    assert decision.person.encounters[0].status == Status.IN_PROGRESS
    assert decision.person.handoffs == []


# ---- repeats and orders


def test_event_that_comes_twice_has_no_second_effect(story):
    story.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home", id_="SAME")
    again = [story.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home", id_="SAME") for _ in range(3)]
    assert [reasons(effects) for effects in again] == [["duplicate"]] * 3
    assert len({effects[0].id for effects in again}) == 3


def test_event_repeated_after_its_hash_was_forgotten_is_harmless(story):
    admit_and_discharge(story)
    story.at("2026-07-02T17:00", "DischargeCancelled", encounter=STAY, id_="C")
    story.at("2026-07-03T10:00", "PatientDischarged", encounter=STAY, disposition="home", id_="D2")
    story.until("2026-09-20T00:00")
    assert unpack(story._packed).seen == b""
    before = len(story.effects)
    for when, kind, id_, data in (
        (ADMITTED, "PatientAdmitted", "A", {"class": "IMP"}),
        (DISCHARGED, "PatientDischarged", "D", {"disposition": "home"}),
        ("2026-07-02T17:00", "DischargeCancelled", "C", {}),
        ("2026-07-03T10:00", "PatientDischarged", "D2", {"disposition": "home"}),
    ):
        story.at(when, kind, arrival="2026-09-21T09:00", id_=id_, encounter=STAY, **data)
    assert {type(e) for e in story.effects[before:]} == {out.EffectSuppressed}
    assert status(story) == "finished"
    assert stays(story)[0].discharged == millis("2026-07-03T10:00", story.zone)


MESSAGES: list[tuple[str, str, dict[str, Any]]] = [
    ("2026-07-01T09:00", "PatientAdmitted", {"class": "IMP"}),
    ("2026-07-02T15:00", "PatientDischarged", {"disposition": "home"}),
    ("2026-07-02T16:00", "DischargeCancelled", {}),
    ("2026-07-03T10:00", "PatientDischarged", {"disposition": "home"}),
]


@each("order", list(itertools.permutations(range(4))))
def test_any_order_of_a_stays_messages_ends_in_the_same_stay_and_the_same_open_clocks(spine, order):
    straight, shuffled = Timeline(asked=spine), Timeline(asked=spine)
    for time, kind, data in MESSAGES:
        straight.at(time, kind, arrival="2026-07-03T11:00", encounter=STAY, id_=f"{kind}{time}", **data)
    for index in order:
        time, kind, data = MESSAGES[index]
        shuffled.at(time, kind, arrival="2026-07-03T11:00", encounter=STAY, id_=f"{kind}{time}", **data)

    def end(t: Timeline) -> Any:
        (stay,) = stays(t)
        clocks = {(h.rule, h.due, h.owner) for h in unpack(t._packed).handoffs if not h.closed_at}
        return stay.status, stay.admitted, stay.discharged, stay.class_, clocks

    assert end(shuffled) == end(straight)
