"""Acceptance: handoffs keep their deadlines in a merge, and a repeated or reversed merge does no harm."""

from __future__ import annotations

from replayed import EffectLines, Story

LOSER, SURVIVOR = "77066", "77006"


def merge(story: Story, when: str, loser: str = LOSER, survivor: str = SURVIVOR, id_: str | None = None) -> Story:
    return story.add("PersonMerged", when, person=loser, into={"authority": "GENERAL", "identifier": survivor}, id_=id_)


def discharged_twice_known() -> Story:
    """The person that is merged away goes home on Monday 6 July; TCM-1 is due at the end of Wednesday."""
    story = Story(person=LOSER).team("2026-07-01T09:00")
    return story.admitted("2026-07-03T10:00").discharged("2026-07-06T15:00")


def without_repeats(effects: EffectLines) -> list[dict[str, object]]:
    return [line for line in effects.lines if line.get("reason") != "duplicate"]


def test_open_gap_continues_for_the_surviving_person():
    story = merge(discharged_twice_known(), "2026-07-09T09:00")
    effects = story.replay()
    survivor = story.replay(lines=merge(Story(person=SURVIVOR).team("2026-07-01T09:00"), "2026-07-09T09:00").lines)
    gap, task = effects.last("TCM-1", "gap"), effects.last("TCM-1", "task")
    assert (gap["person"], gap["owner"], gap["due"], gap["state"]) == (task["person"], task["owner"], task["due"], "open")
    assert gap["person"] != effects.of("TCM-1", "gap")[0]["person"]
    assert survivor.lines == []


def test_repeated_merge_in_a_circle_moves_nothing():
    story = discharged_twice_known()
    merge(story, "2026-07-06T16:00", LOSER, SURVIVOR)
    merge(story, "2026-07-06T17:00", SURVIVOR, LOSER)
    once = story.replay("2026-07-10T00:00")
    twice = story.replay("2026-07-10T00:00", lines=[*story.lines, *story.lines])
    assert without_repeats(twice) == without_repeats(once)


def test_call_reported_for_the_merged_person_after_the_merge_closes_the_handoff_that_moved():
    story = merge(discharged_twice_known(), "2026-07-07T09:00")
    effects = story.cared("2026-07-07T11:00", "interactive-contact").replay("2026-07-12T00:00")
    assert effects.last("TCM-1")["closure"] == "met"
    assert not effects.of("TCM-1", "gap")


def test_task_that_comes_back_in_a_merge_in_a_circle_still_names_its_encounter_and_its_goal():
    story = Story(person=LOSER).team("2026-07-01T09:00")
    story.add("GoalUpdated", "2026-07-02T09:00", goal="G1", lifecycle_status="active", description="Walk to church", expressed_by="patient")
    story.admitted("2026-07-03T10:00")
    merge(story, "2026-07-03T11:00", LOSER, SURVIVOR)
    merge(story, "2026-07-03T12:00", SURVIVOR, LOSER)
    effects = story.replay()

    for rule in {line["rule"] for line in effects.of(None, "task")}:
        first, last = effects.of(rule, "task")[0], effects.last(rule)
        assert first["person"] == last["person"]
        assert (last["encounter"], last["goal"]) == (first["encounter"], first["goal"]), rule
    assert effects.last("TRC-1")["encounter"]["visit"] == "V1"
