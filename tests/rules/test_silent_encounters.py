"""Emergency encounters without news (ENC-1): when they are assumed to be over, and what corrects that."""

from __future__ import annotations

import pytest
from care_story import NEW_YORK, STAY, admit, closure, discharge, due, story
from timeline import millis


def test_event_of_the_stay_restarts_the_five_days():
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.at("2026-07-04T10:00", "EncounterUpdated", encounter=STAY, attending="9901")

    assert due(t, "ENC-1") == millis("2026-07-10T00:00", NEW_YORK)
    t.until("2026-07-09T23:59")
    assert t.gaps("ENC-1") == []
    assert [(line.state, line.due) for line in t.tasks("ENC-1")] == [
        ("draft", millis("2026-07-07T00:00", NEW_YORK)),
        ("draft", millis("2026-07-10T00:00", NEW_YORK)),
    ]


@pytest.mark.parametrize("first", ["PatientDischarged", "DischargeCancelled"])
def test_five_days_count_from_the_cancelled_discharge_whichever_message_arrives_first(first):
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    messages = {
        "PatientDischarged": ("2026-07-02T10:00", {"disposition": "home"}),
        "DischargeCancelled": ("2026-07-03T10:00", {}),
    }
    for kind in (first, *(k for k in messages if k != first)):
        happened, said = messages[kind]
        t.at(happened, kind, arrival="2026-07-03T12:00", encounter=STAY, **said)
    t.until("2026-07-08T23:59")
    assert t.gaps("ENC-1") == []
    t.until("2026-07-09T00:00")

    assert [(gap.state, gap.due) for gap in t.gaps("ENC-1")] == [("open", millis("2026-07-09T00:00", NEW_YORK))]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("EncounterUpdated", {"diagnoses": [{"system": "icd10", "code": "I10", "rank": 1}]}),
        ("PatientTransferred", {"to": {"facility": "GENERAL", "unit": "ED-2"}}),
        ("DischargeCancelled", {}),
    ],
)
def test_any_later_event_of_a_stay_that_was_assumed_over_closes_its_gap(word, said):
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.at("2026-07-08T10:00", word, encounter=STAY, **said)

    assert [gap.state for gap in t.gaps("ENC-1")][:2] == ["open", "closed"]
    assert "met-late" in {handoff["closure"] for handoff in t.handoffs("ENC-1").values()}


def test_stay_that_an_update_says_is_on_a_ward_is_not_assumed_over():
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.at("2026-07-01T12:00", "EncounterUpdated", encounter=STAY, **{"class": "IMP"})
    t.until("2026-07-20T00:00")

    assert t.gaps("ENC-1") == []
    assert closure(t, "ENC-1") == "met"


def test_silent_stay_is_assumed_over_and_a_later_discharge_is_right():
    t = story()
    admit(t, "2026-07-01T10:00", class_="EMER")
    t.until("2026-07-07T00:00")
    assert [gap.state for gap in t.gaps("ENC-1")] == ["open"]
    discharge(t, "2026-07-08T15:00")

    assert closure(t, "ENC-1") == "met-late"
    assert [e.encounter.visit for e in t.notifications("NTF-DISCHARGE")][:1] == ["V1"]


def test_ward_stay_is_never_assumed_over():
    t = story()
    admit(t, "2026-07-01T10:00")
    t.until("2026-09-01T10:00")

    assert t.handoffs("ENC-1") == {}
