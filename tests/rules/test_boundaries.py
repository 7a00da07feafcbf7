"""Every rule one minute before its deadline, at it and one minute after, on ordinary days, holidays, leap days and clock changes.

The deadlines are computed here, by walking a calendar day by day with the public holidays written out, not by the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tables import each
from timeline import Timeline, millis, world

from streams.contract import effects as out

NEW_YORK, LONDON = "America/New_York", "Europe/London"
MINUTE = 60_000

HOLIDAYS = {
    NEW_YORK: {date(2026, 7, 3), date(2026, 9, 7), date(2026, 10, 12), date(2026, 11, 11), date(2028, 2, 21)},
    LONDON: {date(2026, 8, 31), date(2027, 3, 26), date(2027, 3, 29), date(2027, 5, 3)},
}
"""The federal holidays of the United States and the public holidays of England in the stories' time."""

TRIGGERS = {
    "before a holiday": {NEW_YORK: "2026-07-02T15:00", LONDON: "2026-08-27T15:00"},
    "clocks go on": {NEW_YORK: "2027-03-12T23:30", LONDON: "2027-03-26T23:30"},
    "clocks go back": {NEW_YORK: "2026-10-30T00:10", LONDON: "2026-10-23T00:10"},
    "leap day": {NEW_YORK: "2028-02-28T12:00", LONDON: "2028-02-28T12:00"},
}

Story = Callable[[Timeline, datetime], None]
Closing = Callable[[Timeline, int], list[Any]]


@dataclass(frozen=True)
class Case:
    """How a rule is triggered at T and how it is closed, and its clock from the domain notes."""

    rule: str
    amount: int
    unit: str
    story: Story
    close: Closing
    zone: str = NEW_YORK
    early: tuple[timedelta, ...] = field(default=())


def days(n: float) -> timedelta:
    return timedelta(days=n)


# ---- the people


def team(t: Timeline, at: datetime, pcp: str = "8801") -> None:
    t.at(at - days(60), "CareTeamChanged", members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": pcp}}], replace=True)


def born(t: Timeline, at: datetime, age_years: int | None) -> None:
    """Report a birth date. At T the person is *age_years* old for half a year."""
    if age_years is not None:
        t.at(at - days(30), "PersonUpdated", birth_date=(at - days(365.25 * age_years + 183)).date().isoformat())


def ranked(diagnoses: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"system": "icd10", "code": code, "rank": n + 1} for n, code in enumerate(diagnoses)]


def stay(
    *,
    disposition: str = "home",
    class_: str = "IMP",
    facility: str = "GENERAL",
    before: float = 3,
    diagnoses: tuple[str, ...] = (),
    with_team: bool = True,
    age_years: int | None = None,
    **discharge: Any,
) -> Story:
    """An encounter that ends at T. *age_years*: how old the person is at T; without it, there is no birth date."""

    def story(t: Timeline, at: datetime) -> None:
        english = facility.startswith("ST-")
        if with_team:
            team(t, at, "G7001" if english else "8801")
        born(t, at, age_years)
        encounter = {"facility": facility, "visit": "V1"}
        t.at(at - days(before), "PatientAdmitted", encounter=encounter, **{"class": class_}, via_emergency=before > 10)
        t.at(at, "PatientDischarged", encounter=encounter, disposition=disposition, diagnoses=ranked(diagnoses), **discharge)

    return story


def admitted(
    *,
    class_: str = "IMP",
    facility: str = "GENERAL",
    diagnoses: tuple[str, ...] = (),
    with_team: bool = True,
    age_years: int | None = None,
) -> Story:
    """An admission at T. *age_years* as in `stay`."""

    def story(t: Timeline, at: datetime) -> None:
        if with_team:
            team(t, at)
        born(t, at, age_years)
        encounter = {"facility": facility, "visit": "V1"}
        t.at(at, "PatientAdmitted", encounter=encounter, diagnoses=ranked(diagnoses), **{"class": class_})

    return story


def fifth_emergency_visit(t: Timeline, at: datetime) -> None:
    team(t, at)
    for n in range(1, 6):
        encounter = {"facility": "GENERAL", "visit": f"V{n}"}
        t.at(at - days(10 * (5 - n)) - timedelta(hours=4), "PatientAdmitted", encounter=encounter, **{"class": "EMER"})
        t.at(at - days(10 * (5 - n)), "PatientDischarged", encounter=encounter, disposition="home")


def referral(
    *moves: tuple[float, str, str],
    service: str = "cardiology",
    target: str = "heart-clinic",
    requester: str = "riverside-family",
    **said: Any,
) -> Story:
    """A referral at T or before it, with moves (days before T, status, by)."""

    def story(t: Timeline, at: datetime) -> None:
        ago = max((before for before, _, _ in moves), default=0)
        if moves:
            ago += 0.5
        t.at(
            at - days(ago),
            "ReferralRequested",
            referral="R1",
            requester={"role": "pcp", "organization": requester},
            target={"role": "referral-target", "organization": target},
            service=service,
            **said,
        )
        for before, status, by in moves:
            t.at(at - days(before), "ReferralStatusChanged", referral="R1", status=status, by=by, reason="said")

    return story


def missed_appointment(t: Timeline, at: datetime) -> None:
    referral((4, "accepted", "target"))(t, at)
    t.at(at - days(3), "AppointmentChanged", appointment="A1", referral="R1", status="booked", start=stamp(at, t.zone))
    t.at(at, "AppointmentChanged", appointment="A1", referral="R1", status="noshow")


def goal(*updates: dict[str, Any]) -> Story:
    """A goal whose last update is at T, with earlier ones at intervals of a week."""

    def story(t: Timeline, at: datetime) -> None:
        team(t, at)
        for n, update in enumerate(updates):
            said = {"goal": "G1", "lifecycle_status": "active", "description": "Walk to the shop again", "expressed_by": "person", **update}
            t.at(at - days(7 * (len(updates) - 1 - n)), "GoalUpdated", **said)

    return story


def goal_and_discharge(t: Timeline, at: datetime) -> None:
    goal({"accepted_by_person": True})(t, at - days(5))
    stay()(t, at)


def stamp(at: datetime | int, zone: str) -> str:
    when = millis(at, zone) if isinstance(at, datetime) else at
    return datetime.fromtimestamp(when / 1000, UTC).isoformat()


# ---- how rules are closed


def care(code: str, **said: Any) -> Closing:
    def close(t: Timeline, at: int) -> list[Any]:
        performer = {"role": "pcp", "practitioner": "8801"}
        return t.at(
            at,
            "CareActivityRecorded",
            activity=f"C-{code}",
            code=code,
            status="completed",
            start=stamp(at, t.zone),
            end=stamp(at, t.zone),
            performer=performer,
            **said,
        )

    return close


def status(to: str, by: str = "target", **said: Any) -> Closing:
    return lambda t, at: t.at(at, "ReferralStatusChanged", referral="R1", status=to, by=by, reason="said", **said)


def said(kind: str, **data: Any) -> Closing:
    return lambda t, at: t.at(at, kind, **data)


def delivered(t: Timeline, at: int) -> list[Any]:
    issued = next(e for e in t.effects if isinstance(e, out.NotificationIssued) and e.role == "pcp" and e.encounter is not None)
    return t.at(at, "NotificationDelivered", notification=issued.id, recipient=issued.recipient, channel="email")


def delivered_and_guideline(t: Timeline, at: int) -> list[Any]:
    issued = [e for e in t.effects if isinstance(e, out.NotificationIssued) and e.rule == "NTF-DISCHARGE" and e.role == "pcp"][-1]
    return t.at(at, "NotificationDelivered", notification=issued.id, recipient=issued.recipient, channel="email") + care("care-guideline")(
        t, at
    )


def acknowledged(t: Timeline, at: int) -> list[Any]:
    return t.at(at, "TaskAcknowledged", task=t.tasks("NOT-2")[-1].handoff, by={"role": "pcp", "practitioner": "8801"})


def another_referral(t: Timeline, at: int) -> list[Any]:
    return t.at(
        at,
        "ReferralRequested",
        referral="R2",
        requester={"role": "pcp", "organization": "riverside-family"},
        target={"role": "referral-target", "organization": "meals-and-rides"},
        service="cardiology",
    )


MIND, ALCOHOL = ("F32.1",), ("F10.20",)

CASES = [
    Case("NOT-1", 5, "minute", admitted(), delivered),
    Case("NOT-2", 4, "hour", admitted(), acknowledged),
    Case(
        "NOT-3",
        24,
        "hour",
        admitted(with_team=False),
        lambda t, at: t.at(at, "CareTeamChanged", members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]),
    ),
    Case("TRC-1", 2, "day", admitted(), care("admission-notice-filed")),
    Case("TRC-2", 2, "day", stay(), care("discharge-summary-received")),
    Case("NHS-1", 24, "hour", stay(facility="ST-BRIDES"), care("discharge-summary-received"), LONDON),
    Case("TCM-1", 2, "business-day", stay(), care("interactive-contact")),
    Case("TCM-2", 7, "day", stay(complexity="high"), care("face-to-face-visit")),
    Case("TCM-3", 14, "day", stay(complexity="moderate"), care("face-to-face-visit")),
    Case("MED-1", 30, "day", stay(), care("medication-reconciliation")),
    Case("TRC-3", 30, "day", stay(), care("patient-engagement")),
    Case("NICE-1", 72, "hour", stay(facility="ST-BRIDES", before=15), care("interactive-contact"), LONDON),
    Case("FUH-7", 7, "day", stay(diagnoses=MIND), care("mental-health-follow-up")),
    Case("FUH-30", 30, "day", stay(diagnoses=MIND), care("mental-health-follow-up")),
    Case("MH72", 72, "hour", stay(diagnoses=MIND, facility="ST-BRIDES"), care("mental-health-follow-up"), LONDON),
    Case("FMC", 7, "day", stay(class_="EMER", before=0.1, diagnoses=("I50.9", "N18.4")), care("follow-up-service")),
    Case("FUM-7", 7, "day", stay(class_="EMER", before=0.1, diagnoses=MIND), care("mental-health-follow-up")),
    Case("FUM-30", 30, "day", stay(class_="EMER", before=0.1, diagnoses=MIND), care("mental-health-follow-up")),
    Case("FUA-7", 7, "day", stay(class_="EMER", before=0.1, diagnoses=ALCOHOL), care("substance-use-follow-up")),
    Case("FUA-30", 30, "day", stay(class_="EMER", before=0.1, diagnoses=ALCOHOL), care("mental-health-follow-up")),
    Case("EDIE", 72, "hour", fifth_emergency_visit, delivered_and_guideline),
    Case("HHA", 48, "hour", referral(service="home-health", target="home-nursing"), care("home-health-initial-visit")),
    Case("SNF", 48, "hour", admitted(facility="HARBOUR-SNF"), care("baseline-care-plan")),
    Case(
        "PHARM",
        72,
        "open-hour",
        referral(service="discharge-medicines", target="thames-surgery", requester="st-brides"),
        care("pharmacy-stage-one"),
        LONDON,
    ),
    Case("REF-1", 2, "business-day", referral(), status("accepted")),
    Case("REF-2", 5, "business-day", referral((0, "accepted", "target")), status("in-progress")),
    Case(
        "REF-3",
        2,
        "business-day",
        missed_appointment,
        lambda t, at: t.at(
            at, "AppointmentChanged", appointment="A2", referral="R1", status="booked", start=stamp(at + 86_400_000, t.zone)
        ),
    ),
    Case("REF-4", 60, "day", referral(), care("consultant-report", based_on=["R1"])),
    Case("REF-5", 14, "day", referral((1, "accepted", "target"), (0, "on-hold", "target")), status("in-progress")),
    Case("REF-6", 2, "business-day", referral((0, "rejected", "target")), another_referral),
    Case("GOAL-1", 56, "day", goal({"accepted_by_person": True}), said("GoalUpdated", goal="G1", lifecycle_status="active", reviewed=True)),
    Case("GOAL-2", 14, "day", goal_and_discharge, said("GoalUpdated", goal="G1", lifecycle_status="active", reviewed=True)),
    Case(
        "GOAL-3",
        14,
        "day",
        goal({}, {"achievement_status": "worsening"}, {"achievement_status": "no-progress"}),
        care("plan-change", based_on=["G1"]),
    ),
    Case(
        "GOAL-4",
        14,
        "day",
        goal({"lifecycle_status": "proposed"}),
        said("GoalUpdated", goal="G1", lifecycle_status="accepted", accepted_by_person=True),
    ),
    Case(
        "DIS-1",
        1,
        "business-day",
        stay(),
        lambda t, at: t.at(at, "TaskCompleted", task=t.tasks("DIS-1")[-1].handoff, by={"role": "care-coordinator"}, outcome="done"),
    ),
    Case(
        "ENC-1",
        5,
        "day",
        admitted(class_="EMER"),
        lambda t, at: t.at(at, "PatientDischarged", encounter={"facility": "GENERAL", "visit": "V1"}, disposition="home"),
    ),
]


def expected_due(case: Case, trigger: datetime) -> int:
    """Walk the calendar: clocks in days end at 24:00 local time, business days skip weekends and holidays, hours are elapsed time."""
    start = millis(trigger, case.zone)
    if case.unit in {"minute", "hour"}:
        return start + case.amount * (MINUTE if case.unit == "minute" else 60 * MINUTE)

    def closed(day: date) -> bool:
        return day.weekday() >= 5 or day in HOLIDAYS[case.zone]

    day = trigger.date()
    if case.unit == "open-hour":
        at, left = start, case.amount * 60 * MINUTE
        while True:
            midnight = millis(datetime.combine(day + days(1), datetime.min.time()), case.zone)
            if not closed(day):
                if left <= midnight - at:
                    return at + left
                left -= midnight - at
            at, day = midnight, day + days(1)
    left = case.amount
    while left:
        day += days(1)
        left -= case.unit == "day" or not closed(day)
    return millis(datetime.combine(day + days(1), datetime.min.time()), case.zone)


def test_row_whose_story_does_not_open_the_rule_says_so():
    """The rule asks for two conditions, and the person of the story has one."""
    case = Case("FMC", 7, "day", stay(class_="EMER", before=0.1, diagnoses=("I50.9",)), care("follow-up-service"))

    with pytest.raises(AssertionError, match=r"FMC did not open in this story: .*high_risk_conditions"):
        newest(told_until(case, "leap day")[0], case)


WHEN = each("when", TRIGGERS)
EACH = each("case", CASES, ids=lambda case: case.rule)


def told_until(case: Case, when: str) -> tuple[Timeline, int]:
    t = Timeline(case.zone)
    trigger = datetime.fromisoformat(TRIGGERS[when][case.zone])
    case.story(t, trigger)
    return t, expected_due(case, trigger)


def newest(t: Timeline, case: Case) -> dict[str, Any]:
    """Return the last handoff of the rule. If there is none, say what its triggers ask for."""
    found = list(t.handoffs(case.rule).values())
    triggers = [(trigger.event, trigger.where) for trigger in world().catalogue.rules[case.rule].triggers]
    assert found, f"{case.rule} did not open in this story: change the story of its row so that one of its triggers holds: {triggers}"
    return found[-1]


def opened(t: Timeline, case: Case) -> list[out.GapState]:
    return [gap for gap in t.gaps(case.rule) if gap.state == "open" and gap.due == newest(t, case)["due"]]


def test_every_rule_of_the_catalogue_is_in_the_table():
    assert {case.rule for case in CASES} == set(world().catalogue.rules), "make rules adds the row of a new rule"


@WHEN
@EACH
def test_clock_ends_when_a_printed_calendar_says(case, when):
    t, due = told_until(case, when)

    assert newest(t, case)["due"] == due
    assert newest(t, case)["closure"] == ""


@WHEN
@EACH
def test_nothing_is_open_one_minute_before_the_end_and_it_is_open_at_the_end(case, when):
    t, due = told_until(case, when)

    t.until(due - MINUTE)
    before = opened(t, case)
    t.until(due - 1)
    just_before = opened(t, case)
    t.until(due)

    assert before == just_before == []
    assert [gap.at for gap in opened(t, case)] == [due]


@WHEN
@EACH
def test_care_one_minute_before_the_end_is_met_and_nobody_is_notified_of_a_gap(case, when):
    t, due = told_until(case, when)

    case.close(t, due - MINUTE)
    t.until(due + 60 * MINUTE)

    assert closures(t, case, due) == ["met"]
    assert [gap for gap in t.gaps(case.rule) if gap.state == "open" and gap.due == due] == []


@WHEN
@EACH
def test_care_exactly_at_the_end_is_met_and_nobody_is_notified_of_a_gap(case, when):
    t, due = told_until(case, when)

    case.close(t, due)
    t.until(due + 60 * MINUTE)

    assert closures(t, case, due) == ["met"]
    assert [gap for gap in t.gaps(case.rule) if gap.state == "open" and gap.due == due] == []


@WHEN
@EACH
def test_care_one_minute_after_the_end_closes_the_gap_as_met_late(case, when):
    t, due = told_until(case, when)

    case.close(t, due + MINUTE)

    assert closures(t, case, due) == ["met-late"]
    gaps = [gap for gap in t.gaps(case.rule) if gap.due == due and gap.state != "due-soon"]
    assert [(gap.state, gap.at) for gap in gaps] == [("open", due), ("closed", due + MINUTE)]
    assert [task.closure for task in t.tasks(case.rule) if task.due == due and task.closure] == ["met-late"]


def closures(t: Timeline, case: Case, due: int) -> list[str]:
    """Return the closures of the rule's handoffs that were due then. One that was closed before it was shown is read from the state."""
    return [handoff["closure"] for handoff in t.handoffs(case.rule).values() if handoff["due"] == due and handoff["closure"]]


@EACH
def test_there_is_one_owner_and_one_task_from_the_beginning(case):
    t, _ = told_until(case, "before a holiday")

    task = world().catalogue.rules[case.rule].task
    lines = [line for line in t.tasks(case.rule) if line.due == newest(t, case)["due"]]

    assert [line.state for line in lines] == ["requested" if task == "opening" else "draft"]
    assert newest(t, case)["owner"].count("/") == 1
    assert all(line.owner == newest(t, case)["owner"] for line in lines)


@EACH
def test_the_same_story_twice_changes_nothing(case):
    t, due = told_until(case, "before a holiday")
    effects = list(t.effects)
    again = Timeline(case.zone)
    case.story(again, datetime.fromisoformat(TRIGGERS["before a holiday"][case.zone]))

    assert again.effects == effects
    assert due == newest(again, case)["due"]


def test_zones_of_the_table_change_their_clocks_within_the_stories():
    for zone in (NEW_YORK, LONDON):
        for when, hours in (("clocks go on", -1), ("clocks go back", 1)):
            start = datetime.fromisoformat(TRIGGERS[when][zone]).replace(tzinfo=ZoneInfo(zone))
            later = start + days(3)
            assert (later.astimezone(UTC) - start.astimezone(UTC)) - days(3) == timedelta(hours=hours)
