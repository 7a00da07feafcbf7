"""The explanation of a rule from its data, for readers who do not read Python."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import msgspec
import pytest
import yaml
from tables import each

from agents.coordination.reference.calendar import Clock
from agents.coordination.rules import facts, rule
from agents.coordination.rules.explain import COMMON, common_steps, conditions_in_words, explain, explain_change
from agents.coordination.rules.rule import Case, Closing, Ending, Limits, Overlay, Rule, Shortening, Step, Tell, Trigger
from agents.coordination.rules.rulebook import render_rulebook
from agents.coordination.rules.wording import EVENT, clock_words
from streams.contract.topics import FACT_OF

FOLDER = Path(rule.__file__).parents[1] / "catalogue"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if re.match(r"[A-Z]", path.stem))


def read(path: Path) -> Rule:
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Rule)


def words(text: str) -> str:
    """The text without line breaks, so that whole sentences can be searched."""
    return " ".join(text.split())


PLAIN = Rule(
    id="X-1",
    version=3,
    title="Call the person",
    neutral_title="Make a call",
    source="a test",
    subject="encounter",
    triggers=(Trigger("PatientDischarged", {"setting": ("inpatient", "observation")}),),
    clock=Clock(2, "business-day", day_zero=False),
    accountable="pcp",
    closes=(Closing("CareActivityRecorded", {"code": "interactive-contact", "status": "completed"}),),
)


def changed(**fields: object) -> str:
    return words(explain(msgspec.structs.replace(PLAIN, **fields)))


@each("path", FILES, ids=lambda path: path.stem)
def test_every_rule_of_the_catalogue_is_explained_without_technical_terms(path):
    described = read(path)

    text = explain(described)

    assert text.startswith(f"{described.id}: {described.title}\n")
    for heading in (
        "When it opens",
        "Who is accountable",
        "When it is due",
        "What happens until it is closed",
        "What closes it",
        *(("What else ends it",) if described.ends else ()),
        "Where it comes from",
        "For every rule",
    ):
        assert f"\n{heading}\n  - " in text
    assert "_" not in text
    assert not re.search(r"\b(None|True|False|PatientDischarged|[A-Z][a-z]+[A-Z][a-z]+(Recorded|Changed|Updated))\b", text)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert words(described.source) in words(text)


def test_every_fact_that_the_catalogue_asks_for_is_in_the_vocabulary():
    asked = set()
    for path in FILES:
        described = read(path)
        rows = (*described.triggers, *described.closes, *described.ends, *described.cases, *described.shortens, *described.steps)
        asked |= {name for row in rows for name in row.where}

    assert asked <= facts.FACTS.keys()


def test_trigger_clock_calendar_owner_and_source_are_explained():
    text = words(explain(PLAIN))

    assert "When the person is discharged, if the setting is inpatient or observation." in text
    assert "Who is accountable - The primary care practice (pcp)." in text
    assert "When it is due - 2 business days." in text
    assert "Care on the day of the trigger does not count." in text
    assert "When care is recorded as interactive-contact and completed." in text
    assert "Completing the task by hand does not close it." in text
    assert "A test. - Version 3, in force in every profile." in text


def test_general_remarks_are_shown_with_each_rule_and_once_in_the_page():
    text, book = words(explain(PLAIN)), render_rulebook([PLAIN, msgspec.structs.replace(PLAIN, id="X-2")])

    for said in (
        "ends at 24:00 local time of its last day. The day after the trigger is the first day.",
        "Business days are Monday to Friday without public holidays.",
        "They are those of the facility if the rule says so",
        "Minutes and hours are elapsed time",
        "Hours of open days leave out Saturdays, Sundays and public holidays.",
        "It is no longer applicable when the person dies.",
    ):
        assert said in text
        assert any(said in sentence for sentence in COMMON)
    assert [book.count(sentence) for sentence in COMMON] == [1] * len(COMMON)
    assert [book.count(f"\n- {step}\n") for step in common_steps()] == [3, 3, 3], (
        "once for all rules, and once for each rule without steps of its own"
    )


def test_common_steps_are_explained_one_by_one():
    text = words(explain(PLAIN))

    assert 'The common steps: - At half of the time: the worklist shows "due soon"; nobody is notified.' in text
    assert "At the due time: the gap is open; the owner and the coordinators' lead are notified." in text
    assert "1 business day after the due time: the next role in the line of escalation becomes accountable" in text


def test_own_steps_replace_the_common_ladder():
    steps = (
        Step("75%", tells=(Tell("coordinator-lead"),)),
        Step("trigger + 5 day", where={"appointment_booked": False}, tells=(Tell("owner", asks_acknowledgement=True),)),
        Step("due - 12 hour"),
        Step("due", owner="ward-lead"),
    )

    text = changed(steps=steps)

    assert "common steps" not in text
    assert 'At 75 % of the time: the worklist shows "due soon"; the coordinators\' lead is notified.' in text
    assert "5 days after the trigger, if an appointment is not booked in time:" in text
    assert "the owner is notified; the owner is asked to acknowledge." in text
    assert "12 hours before the due time:" in text
    assert "At the due time: the gap is open; the ward lead becomes accountable; nobody is notified." in text


def test_step_with_a_moment_for_each_unit_is_explained_with_both():
    steps = (Step({"hour": "due + 1 hour", "business-day": "due + 1 business-day"}, owner="next"),)

    text = changed(steps=steps, cases=(Case({"priority": "urgent"}, Clock(4, "hour")),))

    assert (
        "1 hour after the due time if the clock counts in hours, or 1 business day after the due time if the clock counts in business days:"
        in text
    )


def test_start_of_the_clock_is_explained_if_it_is_not_the_event():
    assert "When the encounter is updated. The clock starts at the discharge." in changed(
        triggers=(Trigger("EncounterUpdated", {}, "discharge"),)
    )


def test_other_clocks_are_explained_with_their_conditions():
    text = changed(
        clock=Clock(60, "day"),
        until="needed_by",
        cases=(Case({"priority": ("urgent", "stat")}, Clock(1, "hour")),),
        shortens=(Shortening("AppointmentChanged", Clock(0, "day"), {"status": "fulfilled"}),),
    )

    assert "On the date by which the answer is needed; 60 days if that is not known." in text
    assert "1 hour if the priority is urgent or stat." in text
    assert "Earlier, at the end of that day, when an appointment is reported, if the status is fulfilled." in text


def test_use_of_the_facilitys_calendar_is_explained():
    assert "The local time and the holidays of the facility count." in changed(clock=Clock(72, "open-hour"), calendar="facility")
    assert "The local time and the holidays of the facility count." not in changed(clock=Clock(72, "open-hour"))


def test_special_closings_are_explained():
    text = changed(
        closes=(
            Closing("CareActivityRecorded", {"code": ("consultant-report",), "status": "completed"}, based_on=True),
            Closing("OutreachAttempted", {"outcome": "no-answer"}, count=2, not_before=Clock(24, "hour")),
        ),
        closes_when="all",
        completable=True,
    )

    assert "All of these are needed:" in text
    assert "and it names the referral that it is based on, and when it ended." in text
    assert "2 times when somebody tries to reach the person, if the outcome is no-answer, not before 24 hours after the trigger." in text
    assert "When the owner completes the task." in text
    assert "Completing the task by hand does not close it." not in text


def test_endings_dates_profiles_and_sensitivity_are_explained():
    text = changed(
        ends=(Ending("PatientAdmitted", {"other_stay": True}), Ending("GoalUpdated", closure="not-applicable")),
        profiles=("us", "england"),
        effective_from=date(2026, 2, 28),
        effective_to=date(2027, 1, 1),
        sensitivity="mental-health",
        enabled=False,
        again="restart",
        task="due",
    )

    assert "Superseded when the person is admitted or registered, if it is another encounter." in text
    assert "No longer applicable when the goal is updated." in text
    assert (
        "in force in the profiles us and england, but switched off unless an overlay switches it on, from 28 February 2026 until 1 January 2027."
        in text
    )
    assert "It is sensitive (mental-health)" in text
    assert 'see: "Make a call".' in text
    assert "a new handoff with a new clock supersedes it" in text
    assert "Until it is due, its task is a draft" in text


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"setting": "inpatient"}, "the setting is inpatient"),
        ({"disposition": Limits(not_=("hospice", "exp"))}, "the disposition is not hospice or exp"),
        ({"age_years": Limits(at_least=6, or_unknown=True)}, "the age in years is at least 6 or not known"),
        ({"age_years": Limits(at_least=6, at_most=17)}, "the age in years is at least 6 and is at most 17"),
        ({"risk_tier": Limits(known=False)}, "the risk (reported complexity and LACE) is not known"),
        ({"accepted_by_person": Limits(known=True)}, "the person's own answer is known"),
        ({"condition_group": ("fmc/heart-failure", "self-harm")}, "one of the person's conditions is heart failure or self-harm"),
        ({"linked": False}, "it is not a duplicate of an earlier referral"),
        ({"first_review": False}, "the goal has been reviewed"),
        ({"at_hospital": True, "reviewed": False}, "the person is in hospital, and it is not a review"),
    ],
)
def test_condition_is_put_into_words(condition, said):
    assert conditions_in_words(condition) == said


@pytest.mark.parametrize(
    ("clock", "said"),
    [
        (Clock(1, "business-day"), "1 business day"),
        (Clock(2, "business-day"), "2 business days"),
        (Clock(72, "open-hour"), "72 hours of open days"),
        (Clock(1, "month"), "1 month"),
    ],
)
def test_clock_is_put_into_words(clock, said):
    assert clock_words(clock) == said


def test_page_of_rules_is_generated_from_the_catalogue():
    book = Path(__file__).parents[2] / "docs" / "rules.md"

    assert book.read_text(encoding="utf-8") == render_rulebook(read(path) for path in FILES), "the page is outdated: run make rules"


def test_rule_of_a_deployment_is_in_the_page_of_rules_too():
    assert "## Others\n\n### X-1\n\nCall the person.\n" in render_rulebook([PLAIN])


def test_overlay_is_explained_by_what_it_changes_and_where():
    slower = msgspec.structs.replace(PLAIN, clock=Clock(3, "business-day", day_zero=False))

    text = words(explain_change(PLAIN, slower, Overlay(id="slow", localities=("riverside-county",), rules={})))

    assert text == (
        "With the overlay slow, in the locality riverside-county - now: When it is due: 3 business days. "
        "- no longer: When it is due: 2 business days."
    )


def test_overlay_that_switches_a_rule_off_says_so():
    text = words(explain_change(PLAIN, msgspec.structs.replace(PLAIN, enabled=False), Overlay(id="off", rules={})))

    assert text == "With the overlay off, everywhere - The rule is switched off."


def test_every_event_has_words_for_a_coordinator():
    assert set(FACT_OF) <= set(EVENT)
