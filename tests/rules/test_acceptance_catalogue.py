"""Acceptance: every rule about encounters and referred services, for facilities that are not in a directory.

Event lines in, effect lines out, without a directory, a profile or rules of the user. The deadlines are written by hand:
5 January to 8 February 2027 in New York; Monday 18 January is Martin Luther King Day.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from replayed import NEW_YORK, EffectLines, Story, local, utc
from tables import each

HERE = "SUNNYDALE"
AT = "2027-01-14T15:00"  # A Thursday. Friday is the only business day before the holiday.
MINUTE = timedelta(minutes=1)
Act = Callable[[Story, str, str | None], Story]


def diagnoses(*codes: str) -> list[dict[str, Any]]:
    return [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code, "rank": rank} for rank, code in enumerate(codes, 1)]


def known(facility: str = HERE) -> Story:
    """A person whose practitioner is not in a directory either."""
    return Story(NEW_YORK, facility, "90210").team("2026-12-01T09:00", "D77")


def ward(admitted: str = "2027-01-05T10:00", arrival: dict[str, Any] | None = None, **said: Any) -> Story:
    return known().admitted(admitted, **(arrival or {})).discharged(AT, **said)


def emergency(*codes: str) -> Story:
    return known().admitted("2027-01-14T11:00", class_="EMER").discharged(AT, diagnoses=diagnoses(*codes))


def fifth_visit() -> Story:
    story = known()
    for month in (3, 5, 7, 9):
        story.admitted(f"2026-{month:02}-10T10:00", f"E{month}", "EMER").discharged(f"2026-{month:02}-10T14:00", f"E{month}")
    return story.admitted("2027-01-14T11:00", class_="EMER").discharged(AT)


def referred(service: str, target: str) -> Story:
    sides = {"requester": {"role": "attending", "practitioner": {"id": "H1", "name": "Dr. Example"}}, "target": {"role": "x"}}
    sides["target"]["organization"] = target
    return known().add("ReferralRequested", AT, referral="R1", service=service, priority="routine", **sides)


def nursing_home(class_: str = "NONAC") -> Story:
    story = known("OAKS").admitted("2027-01-05T10:00", "H1", facility=HERE).discharged("2027-01-14T11:00", "H1", "snf", HERE)
    return story.admitted(AT, "N1", class_)


def nobody_known() -> Story:
    return Story(NEW_YORK, HERE, "90210").admitted(AT)


def cared(code: str) -> Act:
    return lambda story, when, recorded: story.cared(when, code, recorded=recorded)


def visit(story: Story, when: str, recorded: str | None) -> Story:
    return story.add("AppointmentChanged", when, recorded=recorded, appointment="A1", status="fulfilled", start=local(when))


def left(story: Story, when: str, recorded: str | None) -> Story:
    return story.discharged(when, recorded=recorded)


def reached(rule: str) -> Act:
    def act(story: Story, when: str, recorded: str | None) -> Story:
        task = story.replay().handoff(rule)
        return story.add("OutreachAttempted", when, recorded=recorded, task=task, by={"role": "pcp"}, outcome="reached")

    return act


def named(story: Story, when: str, recorded: str | None) -> Story:
    return story.team(when, "D77", recorded=recorded)


def delivered(story: Story, when: str, recorded: str | None) -> Story:
    news = next(line for line in reversed(story.replay().of(None, "notification")) if line["encounter"] and line["role"] == "pcp")
    said = {"notification": news["id"], "recipient": news["recipient"], "channel": "email"}
    return story.add("NotificationDelivered", when, recorded=recorded, **said)


def delivered_and_written(story: Story, when: str, recorded: str | None) -> Story:
    return cared("care-guideline")(delivered(story, when, recorded), when, recorded)


@dataclass(frozen=True)
class Case:
    """A rule's trigger, its deadline by hand, what closes it, its first owner, and the owner and the recipients when the gap opens."""

    rule: str
    story: Callable[[], Story]
    due: str
    closes: tuple[Act, ...]
    owner: str
    then: str
    notified: tuple[str, ...]
    warned: bool = True


MIND, ALCOHOL = ("F32.1",), ("F10.20",)
LEAD = "coordinator-lead"
CASES = [
    Case("NOT-1", lambda: known().admitted(AT), "2027-01-14T15:05", (delivered,), "facility", "operations", ("operations",), False),
    Case("NOT-3", nobody_known, "2027-01-15T15:00", (named,), "registration", "registration", ("registration", LEAD)),
    Case("TRC-1", lambda: known().admitted(AT), "2027-01-17T00:00", (cared("admission-notice-filed"),), "pcp", "pcp", ("pcp", LEAD)),
    Case("TRC-2", ward, "2027-01-17T00:00", (cared("discharge-summary-received"),), "attending", "ward-lead", ("ward-lead", LEAD)),
    Case("NHS-1", ward, "2027-01-15T15:00", (cared("discharge-summary-received"),), "attending", "ward-lead", ("ward-lead", LEAD)),
    Case(
        "TCM-1",
        ward,
        "2027-01-20T00:00",
        (cared("interactive-contact"), reached("TCM-1"), reached("DIS-1")),
        "pcp",
        "practice-manager",
        ("practice-manager", LEAD),
    ),
    Case(
        "TCM-2", lambda: ward(complexity="high"), "2027-01-22T00:00", (cared("face-to-face-visit"), visit), "pcp", "pcp", ("pcp", LEAD)
    ),
    Case("TCM-3", ward, "2027-01-29T00:00", (cared("face-to-face-visit"), visit), "pcp", "pcp", ("pcp", LEAD)),
    Case("MED-1", ward, "2027-02-14T00:00", (cared("medication-reconciliation"),), "pcp", "pharmacist", ("pharmacist", LEAD)),
    Case("TRC-3", ward, "2027-02-14T00:00", (cared("patient-engagement"),), "pcp", "pcp", ("pcp", LEAD)),
    Case(
        "NICE-1",
        lambda: ward("2026-12-28T10:00", {"via_emergency": True}),
        "2027-01-17T15:00",
        (cared("interactive-contact"), cared("face-to-face-visit")),
        "community-nurse",
        "community-nurse",
        ("community-nurse", "care-coordinator"),
    ),
    # Without a permission nobody is notified about mental health or substance use. The clock and the owner remain.
    Case("FUH-7", lambda: ward(diagnoses=diagnoses(*MIND)), "2027-01-22T00:00", (cared("mental-health-follow-up"),), "mental-health", "mental-health", ()),
    Case("FUH-30", lambda: ward(diagnoses=diagnoses(*MIND)), "2027-02-14T00:00", (cared("mental-health-follow-up"),), "mental-health", "mental-health", ()),
    Case("MH72", lambda: ward(diagnoses=diagnoses(*MIND)), "2027-01-17T15:00", (cared("mental-health-follow-up"),), "mental-health", "mental-health-lead", ()),
    Case("FMC", lambda: emergency("I50.9", "J44.1"), "2027-01-22T00:00", (cared("follow-up-service"),), "pcp", "pcp", ("pcp", LEAD)),
    Case("FUM-7", lambda: emergency(*MIND), "2027-01-22T00:00", (cared("mental-health-follow-up"),), "mental-health", "mental-health", ()),
    Case("FUM-30", lambda: emergency(*MIND), "2027-02-14T00:00", (cared("mental-health-follow-up"),), "mental-health", "mental-health", ()),
    Case(
        "FUA-7",
        lambda: emergency(*ALCOHOL),
        "2027-01-22T00:00",
        (cared("substance-use-follow-up"), cared("mental-health-follow-up")),
        "behavioural-health",
        "behavioural-health",
        (),
    ),
    Case("FUA-30", lambda: emergency(*ALCOHOL), "2027-02-14T00:00", (cared("substance-use-follow-up"),), "behavioural-health", "behavioural-health", ()),
    Case("EDIE", fifth_visit, "2027-01-17T15:00", (delivered_and_written,), "facility", "plan-care-manager", ("plan-care-manager", LEAD)),
    Case(
        "HHA",
        lambda: referred("home-health", "agency"),
        "2027-01-16T15:00",
        (cared("home-health-initial-visit"),),
        "referral-target",
        "care-coordinator",
        ("care-coordinator",),
    ),
    Case("SNF", nursing_home, "2027-01-16T15:00", (cared("baseline-care-plan"),), "attending", "attending", ("attending", "transferring-facility")),
    # Nine hours of Thursday, 24 of Friday, none of the weekend and the holiday, 24 of Tuesday, and fifteen of Wednesday.
    Case(
        "PHARM",
        lambda: referred("discharge-medicines", "corner-pharmacy"),
        "2027-01-20T15:00",
        (cared("pharmacy-stage-one"),),
        "referral-target",
        "referral-target",
        ("referral-target", "trust-pharmacy"),
    ),
    Case("ENC-1", lambda: known().admitted(AT, class_="EMER"), "2027-01-20T00:00", (left,), "registration", "data-quality", (), False),
]  # fmt: skip
EACH = each("case", CASES, ids=lambda case: case.rule)
CLOSED = each(
    ("case", "close"), [(case, close) for case in CASES for close in case.closes], ids=lambda of: of.rule if isinstance(of, Case) else ""
)


def moved(when: str, by: timedelta) -> str:
    return (datetime.fromisoformat(when) + by).isoformat()


def role(line: dict[str, Any]) -> str:
    return str(line["owner"].partition("/")[0])


def alerts(effects: EffectLines, rule: str) -> list[str]:
    return [line["id"] for line in effects.of(rule, "notification") if not line["title"].startswith("Closed")]


@EACH
def test_opening_is_one_line_that_says_whose_it_is_and_until_when(case):
    (line,) = case.story().replay(AT).of(case.rule, "task", "gap")

    assert (line["at"], line["due"], line["closure"]) == (utc(AT), utc(case.due), None)
    assert line["state"] == ("requested" if case.warned else "draft")
    assert role(line) == case.owner


@EACH
def test_gap_is_due_soon_at_half_time_and_open_at_due_and_not_a_minute_before(case):
    effects = case.story().replay(moved(case.due, -MINUTE))
    soon = [line["at"] for line in effects.of(case.rule, "gap")]
    half = datetime.fromisoformat(AT) + (datetime.fromisoformat(case.due) - datetime.fromisoformat(AT)) / 2
    at_due = case.story().replay(case.due)
    opened = [line for line in at_due.of(case.rule, "gap") if line["state"] == "open"]

    assert {line["state"] for line in effects.of(case.rule, "gap")} == ({"due-soon"} if case.warned else set())
    assert soon[:1] == ([utc(half.isoformat())] if case.warned else [])
    assert [(line["at"], role(line)) for line in opened] == [(utc(case.due), case.then)]
    assert tuple(line["role"] for line in at_due.of(case.rule, "notification") if line["at"] == utc(case.due)) == case.notified


@CLOSED
@each("late", [-MINUTE, timedelta(0), MINUTE], ids=["a minute before", "at due", "a minute after"])
def test_closing_event_is_met_up_to_due_and_late_after_it(case, close, late):
    when = moved(case.due, late)
    effects = close(case.story(), when, None).replay(moved(when, timedelta(days=3)))
    opened = [line for line in effects.of(case.rule, "gap") if line["state"] == "open"]

    assert effects.last(case.rule)["closure"] == ("met-late" if late > timedelta(0) else "met")
    assert bool(opened) is (late > timedelta(0))


@CLOSED
def test_care_in_time_that_is_reported_late_is_met_and_every_alert_is_withdrawn(case, close):
    recorded = moved(case.due, timedelta(days=1))
    effects = close(case.story(), moved(case.due, -MINUTE), recorded).replay(moved(recorded, timedelta(days=3)))

    assert effects.last(case.rule)["closure"] == effects.last(case.rule, "gap")["closure"] == "met"
    assert sorted(line["notification"] for line in effects.of(case.rule, "withdrawal")) == sorted(alerts(effects, case.rule))


@EACH
def test_cancelled_admission_or_discharge_ends_it_and_leaves_no_gap(case):
    if case.rule in {"HHA", "PHARM"}:
        gone = case.story().add("ReferralStatusChanged", "2027-01-14T15:02", referral="R1", status="cancelled", by="requester", reason="x")
    else:
        last = json.loads(case.story().lines[-1])
        kind = {"PatientAdmitted": "AdmissionCancelled", "PatientDischarged": "DischargeCancelled"}[last["type"]]
        gone = case.story().add(kind, "2027-01-14T15:02", encounter=last["data"]["encounter"])
    effects = gone.replay("2027-04-01T00:00")

    assert [line["closure"] for line in effects.of(case.rule, "task")] == [None, "cancelled"]
    assert effects.of(case.rule, "gap") == []


@each("died", ["PersonUpdated", "EncounterUpdated"])
@EACH
def test_death_ends_it(case, died):
    story = case.story()
    said = {"encounter": story.stay("V1")} if died == "EncounterUpdated" else {}
    effects = story.add(died, "2027-01-14T15:02", deceased=True, **said).replay("2027-04-01T00:00")

    assert [line["closure"] for line in effects.of(case.rule, "task")] == [None, "not-applicable"]
    assert effects.of(case.rule, "gap") == []


# ---- what the domain notes say about single rules


def test_home_health_agency_of_the_referral_is_accountable_also_from_the_return_home():
    sides = {"requester": {"role": "attending", "organization": "x"}, "target": {"role": "home-health", "organization": "agency"}}
    story = known().admitted("2027-01-05T10:00")
    story.add("ReferralRequested", "2027-01-13T10:00", referral="R1", service="home-health", priority="routine", **sides)
    assert story.replay().of("HHA") == []
    (line,) = story.discharged(AT).replay().of("HHA", "task")

    assert (line["owner"], line["due"]) == ("referral-target/organization:agency", utc("2027-01-16T15:00"))


def test_hospital_that_sent_the_person_is_notified_that_the_nursing_home_has_no_plan():
    story = Story(NEW_YORK, "OAKS", "90210").admitted("2027-01-05T10:00", "H1", facility="GENERAL")
    story.discharged("2027-01-14T11:00", "H1", "snf", "GENERAL").admitted(AT, "N1", "NONAC")
    effects = story.replay("2027-01-20T00:00")

    assert "transferring-facility/pool:general-discharge" in [line["recipient"] for line in effects.of("SNF", "notification")]
    assert effects.last("SNF")["owner"] == "transferring-facility/pool:general-discharge"


@pytest.mark.parametrize(("class_", "opens"), [("SS", True), ("AMB", False), ("EMER", True), ("OBSENC", True)])
def test_summary_is_due_after_a_day_case_a_ward_stay_or_an_emergency_visit_but_not_after_a_clinic_visit(class_, opens):
    effects = known().admitted("2027-01-14T08:00", class_=class_).discharged(AT).replay()

    assert bool(effects.of("NHS-1")) is opens


def test_person_who_moves_to_another_mental_health_ward_has_not_left():
    assert ward(diagnoses=diagnoses(*MIND), disposition="psy").replay().of("MH72") == []


def test_care_guideline_that_was_written_during_the_visit_counts():
    story = fifth_visit()
    story.lines.pop()
    story = delivered(cared("care-guideline")(story, "2027-01-14T12:00", None).discharged(AT), "2027-01-14T15:03", None)

    assert story.replay().last("EDIE")["closure"] == "met"


def test_warned_recipient_is_notified_once_of_the_open_gap_and_once_of_its_closure():
    story = cared("face-to-face-visit")(ward(complexity="high"), "2027-01-25T10:00", None)
    heard = [(line["at"], line["title"]) for line in story.replay().of("TCM-2", "notification") if line["role"] == LEAD]

    assert heard == [
        (utc("2027-01-20T00:00"), "Due soon: See the person face to face within 7 days of discharge"),
        (utc("2027-01-22T00:00"), "Overdue: See the person face to face within 7 days of discharge"),
        (utc("2027-01-25T10:00"), "Closed: See the person face to face within 7 days of discharge"),
    ]
