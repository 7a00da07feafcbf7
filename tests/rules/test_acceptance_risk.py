"""Acceptance: risk shows in the text of the task, in its clock and in the channel."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from command import run_command
from replayed import EffectLines, Story, local, utc

OUT = date(2026, 7, 14)
"""The day of each discharge."""


def diagnoses(*codes: str) -> list[dict[str, Any]]:
    return [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code, "rank": n} for n, code in enumerate(codes, 1)]


def stayed(nights: int, codes: tuple[str, ...] = ("S52.5",), emergency: bool = True, visits: int = 0, **said: Any) -> Story:
    """A stay of *nights* nights that ends on 14 July at an unknown hospital, after *visits* emergency visits."""
    story = Story(facility="FARWAY", person="P-1")
    for n in range(visits):
        day = date(2026, 4, 1) + timedelta(days=20 * n)
        story.admitted(f"{day}T10:00", f"E{n}", "EMER").discharged(f"{day}T14:00", f"E{n}")
    story.admitted(f"{OUT - timedelta(days=nights)}T10:00", via_emergency=emergency, diagnoses=diagnoses(*codes))
    return story.discharged(f"{OUT}T11:00", diagnoses=diagnoses(*codes), **said)


def why(effects: EffectLines) -> str:
    (line,) = effects.of("TCM-2", "task") + effects.of("TCM-3", "task")
    return str(line["why"])


@pytest.mark.parametrize(
    ("nights", "codes", "emergency", "score"),
    [
        (0, ("S52.5",), False, "4 (low)"),
        (1, ("S52.5",), False, "5 (moderate)"),
        (3, ("E11.9",), False, "8 (moderate)"),
        (4, ("E11.9",), False, "9 (moderate)"),
        (4, ("I50.9",), False, "10 (high)"),
        (6, ("S52.5",), True, "11 (high)"),
        (7, ("S52.5",), True, "12 (high)"),
        (13, ("S52.5",), True, "12 (high)"),
        (14, ("S52.5",), True, "14 (high)"),
        (14, ("I50.9", "E11.9"), True, "17 (high)"),
        (14, ("I50.9", "I21.9", "C78.0"), True, "19 (high)"),
    ],
)
def test_lace_selects_the_clock_and_is_shown(nights: int, codes: tuple[str, ...], emergency: bool, score: str):
    """More than four visits in the six months before do not raise the score, so that all four inputs are known."""
    effects = stayed(nights, codes, emergency, visits=4).replay()
    assert f"LACE: all 4 inputs known; {score}" in why(effects)
    assert [line["due"] for line in effects.of("TCM-2", "task")] == ([utc("2026-07-22T00:00")] if "high" in score else [])
    assert [line["due"] for line in effects.of("TCM-3", "task")] == ([] if "high" in score else [utc("2026-07-29T00:00")])


@pytest.mark.parametrize(("counting", "score"), [("nights", "11 (high)"), ("inclusive", "12 (high)")])
def test_days_of_the_stay_count_as_the_setting_says(tmp_path: Path, counting: str, score: str):
    path = tmp_path / "story.jsonl"
    path.write_text("\n".join(stayed(6, visits=4).lines))
    done = run_command("replay", str(path), "--json", CARERELAY_LENGTH_OF_STAY=counting)
    assert done.code == 0, done.stderr
    assert f"LACE: all 4 inputs known; {score}" in done.stdout


def test_missing_input_gives_a_range_and_does_not_count_as_zero():
    effects = Story(facility="FARWAY", person="P-1").admitted("2026-07-12T10:00").discharged("2026-07-14T11:00").replay()
    assert "LACE: 1 of 4 inputs known; between 2 and 14 (low to high)" in why(effects)
    assert "HOSPITAL derivation-2013: 1 of 7 inputs known; between 0 and 11 (low to high)" in why(effects)
    assert "HOSPITAL international-2016: 1 of 7 inputs known; between 0 and 11 (low to high)" in why(effects)


def test_hospital_score_is_shown_in_both_variants():
    """Haemoglobin 1, sodium 0, procedure 1, urgent 1, one admission in the year before 2 (in the later form 0), 5 days 2."""
    story = Story(facility="FARWAY", person="P-1")
    story.admitted("2026-01-10T10:00", "OLD").discharged("2026-01-12T10:00", "OLD").admitted("2026-07-09T10:00", via_emergency=True)
    for when, code, value, unit in (
        ("2026-07-08T08:00", "718-7", 15.0, "g/dL"),  # Before the stay.
        ("2026-07-10T08:00", "718-7", 13.1, "g/dL"),
        ("2026-07-13T08:00", "718-7", 118.0, "g/L"),
        ("2026-07-13T08:00", "2951-2", 137.0, "mmol/L"),
        ("2026-07-13T08:00", "2947-0", 120.0, "stones"),
    ):
        story.add("ObservationRecorded", when, code=code, value=value, unit=unit, effective=local(when))
    effects = story.discharged("2026-07-14T11:00", procedures=["5-511"]).replay()
    words = [line["why"] for line in effects.of("TCM-3", "task")][-1]
    assert "HOSPITAL derivation-2013: 5 of 7 inputs known; between 7 and 12 (high)" in words
    assert "HOSPITAL international-2016: 5 of 7 inputs known; between 5 and 12 (intermediate to high)" in words


def test_flags_are_explained_if_they_require_a_call():
    story = Story(facility="FARWAY", person="P-1")
    for day in ("10", "20", "30"):
        story.admitted(f"2026-06-{day}T10:00", f"E{day}", "EMER").discharged(f"2026-06-{day}T14:00", f"E{day}")
    story.admitted("2026-07-02T10:00", "OLD").discharged("2026-07-03T10:00", "OLD")
    effects = story.admitted("2026-07-12T10:00").discharged("2026-07-14T11:00").replay()
    assert effects.of("NICE-1", "task")[-1]["why"].endswith("flags: high-utiliser, recent-inpatient-stay.")


SEATS = [("pcp", "501"), ("community-nurse", "N1"), ("social-care", "S1"), ("caregiver", "C1")]


def channels(story: Story) -> dict[str, tuple[str, str | None]]:
    effects = story.replay()
    news = effects.of("NTF-DISCHARGE", "notification") + effects.of("NTF-DISCHARGE-LOW", "notification")
    return {line["role"]: (line["channel"], line["deliver_after"]) for line in news}


def with_team(story: Story) -> Story:
    members = [{"role": role, "party": {"role": role, "practitioner": {"id": id_, "name": ""}}} for role, id_ in SEATS]
    story.add("CareTeamChanged", "2026-07-01T09:00", members=members)
    story.lines.insert(0, story.lines.pop())
    return story


def test_low_risk_delays_notifications_that_need_no_action_to_the_digest():
    low = channels(with_team(stayed(1, emergency=False, complexity="low")))
    assert {role for role, (channel, _) in low.items() if channel == "daily-digest"} == {"community-nurse", "social-care"}
    assert low["community-nurse"][1] == utc("2026-07-15T07:30")
    assert low["pcp"] == low["care-coordinator"] == ("at-once", None)
    unknown = channels(with_team(stayed(1, emergency=False)))
    assert {channel for channel, _ in unknown.values()} == {"at-once"}
