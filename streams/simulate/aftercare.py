"""Events after an encounter: reports and letters, contacts and visits, referrals up to their report, and goals.

Owns the events of practices, services and coordinators. `stays.py` owns the events of hospitals.
"""

from __future__ import annotations

from streams.contract.events import (
    AppointmentChanged,
    CareActivityRecorded,
    EncounterRef,
    GoalUpdated,
    Member,
    Millis,
    Party,
    PatientAdmitted,
    Practitioner,
    ReferralRequested,
    ReferralStatusChanged,
)
from streams.simulate.chance import DAY_MS, HOUR_MS
from streams.simulate.model import Service
from streams.simulate.person import SENSITIVE, SyntheticPerson

_AT_HOME = frozenset({"home", "alt-home", "aadvice"})
_VISIT_MS = HOUR_MS // 2
_FIRST_CARE = {"home-health": "home-health-initial-visit", "discharge-medicines": "pharmacy-stage-one"}
"""The activity by which a service starts its care."""


# ---- after a stay


def after_admission(person: SyntheticPerson, encounter: EncounterRef, at: Millis) -> None:
    """Add an event for the practice filing the admission notice. Some admission notices are never filed."""
    if person.chance.happens("notice_filed"):
        _record(person, at + person.chance.milliseconds("notice_hours"), "admission-notice-filed", encounter)


def after_emergency(person: SyntheticPerson, encounter: EncounterRef, end: Millis, principal: str) -> None:
    """Add the events after an emergency visit that ended at home."""
    chance = person.chance
    if chance.happens("summary_received"):
        _record(person, end + chance.milliseconds("summary_hours"), "discharge-summary-received", encounter)
    kind = _sensitive_category(principal)
    if kind and chance.happens("follow_up"):
        code = "substance-use-follow-up" if kind == "substance-use" else "mental-health-follow-up"
        _record(person, _in_office_hours(person, end + chance.milliseconds("follow_up_hours")), code, encounter, role="mental-health")
    if len(person.conditions) > 1 and chance.happens("follow_up"):
        _record(person, _in_office_hours(person, end + chance.milliseconds("follow_up_hours")), "follow-up-service", encounter)
    if person.high_need and chance.happens("follow_up"):
        _record(person, _in_office_hours(person, end + chance.milliseconds("follow_up_hours")), "care-guideline", encounter)
    if chance.happens("emergency_referred"):
        refer(person, end, encounter)


def after_stay(person: SyntheticPerson, encounter: EncounterRef, end: Millis, disposition: str, principal: str) -> None:
    """Add the events after an inpatient stay. They depend on where the person goes."""
    chance = person.chance
    if disposition in {"exp", "other-hcf"}:
        return
    if chance.happens("summary_received"):
        _record(person, end + chance.milliseconds("summary_hours"), "discharge-summary-received", encounter)
    if disposition == "snf":
        _enter_nursing_home(person, end)
    if disposition == "alt-home":
        refer(person, end - HOUR_MS, encounter, service="home-health")
    if disposition in _AT_HOME:
        _transition(person, encounter, end)
        kind = _sensitive_category(principal)
        if kind and chance.happens("follow_up"):
            code = "substance-use-follow-up" if kind == "substance-use" else "mental-health-follow-up"
            _record(person, _in_office_hours(person, end + chance.milliseconds("follow_up_hours")), code, encounter, role="mental-health")
        if chance.happens("discharge_referred"):
            refer(person, end, encounter)
    for goal in person.goals:
        if chance.happens("goal_reviewed"):
            _review(person, goal, _in_office_hours(person, end + chance.milliseconds("review_days")))


def _transition(person: SyntheticPerson, encounter: EncounterRef, end: Millis) -> None:
    """Add the contact, the visit and the medication reconciliation after a discharge home."""
    chance = person.chance
    if chance.happens("contacted"):
        at = _in_office_hours(person, end + chance.milliseconds("contact_hours"))
        _record(person, at, "interactive-contact", encounter, role="care-coordinator", outcome="reached")
    visited, missed = chance.happens("visited"), chance.happens("visit_missed")
    if not (visited or missed):
        return
    visit = _in_office_hours(person, end + chance.milliseconds("visit_days"))
    booked = _book(person, min(end + 4 * HOUR_MS, visit - HOUR_MS), visit, purpose="discharge-follow-up")
    if missed:
        person.add(visit + _VISIT_MS, _practice_source(person), AppointmentChanged(booked, "noshow", visit, purpose="discharge-follow-up"))
        visit = _in_office_hours(person, visit + 3 * DAY_MS)
    if visited:
        person.add(
            visit + _VISIT_MS, _practice_source(person), AppointmentChanged(booked, "fulfilled", visit, purpose="discharge-follow-up")
        )
        _record(person, visit, "face-to-face-visit", encounter)
        if chance.happens("reconciled"):
            _record(person, visit + 60_000, "medication-reconciliation", encounter)
        if chance.happens("contacted"):
            _record(person, visit + 2 * 60_000, "patient-engagement", encounter)


def _enter_nursing_home(person: SyntheticPerson, end: Millis) -> None:
    facility = person.environment.model.nursing_home[person.home.country]
    person.visits += 1
    stay = EncounterRef(facility, f"V{person.number}-{person.visits}")
    at = end + 2 * HOUR_MS
    person.add(at, f"urn:facility:{facility.lower()}", PatientAdmitted(stay, "NONAC", members=person.members()))
    person.busy_until = Millis(at + 6 * DAY_MS)
    if person.chance.happens("follow_up"):
        _record(person, at + person.chance.milliseconds("notice_hours"), "baseline-care-plan", stay, role="attending")


# ---- referrals


def refer(person: SyntheticPerson, at: int, encounter: EncounterRef | None = None, service: str = "") -> None:
    """Add a referral and its course: accepted or declined, scheduled, seen, and the report that closes the loop."""
    chance, model = person.chance, person.environment.model
    services = [s for s in model.services[person.home.country] if not service or s.service == service]
    if not services:
        return
    to = chance.one_of(services, [s.weight for s in services])
    referral = _request(person, at, to, encounter)
    if chance.happens("referral_repeated"):
        _request(person, at + 5 * HOUR_MS, to, encounter)
    source = f"urn:service:{to.organization}"
    answered = _in_office_hours(person, at + chance.milliseconds("answer_hours"))
    if chance.happens("referral_cancelled"):
        fact = ReferralStatusChanged(referral, "cancelled", "requester", reason="no longer needed")
        person.add(at + 3 * HOUR_MS, _practice_source(person), fact)
        return
    answer = chance.draw()
    if answer < model.rate("referral_declined"):
        person.add(answered, source, ReferralStatusChanged(referral, "rejected", "target", "4.0", "no capacity"))
        refer(person, _in_office_hours(person, answered + DAY_MS), encounter)
        return
    if answer > model.rate("referral_declined") + model.rate("referral_accepted"):
        return
    person.add(answered, source, ReferralStatusChanged(referral, "accepted", "target", "3.0"))
    first = _FIRST_CARE.get(to.service)
    if first and chance.happens("follow_up"):
        when = max(answered, int(at) + chance.milliseconds("first_care_hours"))
        _record(person, when, first, encounter, role=to.role, based_on=(referral,))
    if chance.happens("referral_scheduled"):
        _schedule_visit(person, referral, to, Millis(answered))


def _request(person: SyntheticPerson, at: int, to: Service, encounter: EncounterRef | None) -> str:
    chance = person.chance
    referral = person.new_id("R")
    requester = Party("pcp", Practitioner(person.physician), person.home.practice)
    target = Party(to.role, Practitioner(to.practitioner) if to.practitioner else None, to.organization)
    urgent = chance.share(0.1)
    fact = ReferralRequested(
        referral,
        requester,
        target,
        to.service,
        "urgent" if urgent else "routine",
        needed_by=Millis(int(at) // 1000 * 1000 + 30 * DAY_MS) if chance.share(0.3) else None,
        encounter=encounter,
        goal=person.goals[0] if person.goals and chance.share(0.3) else None,
    )
    person.add(at, _practice_source(person), fact)
    return referral


def _schedule_visit(person: SyntheticPerson, referral: str, to: Service, accepted: Millis) -> None:
    chance = person.chance
    source = f"urn:service:{to.organization}"
    booked = _in_office_hours(person, accepted + chance.milliseconds("schedule_hours"))
    visit = _in_office_hours(person, booked + chance.milliseconds("wait_days"))
    appointment = _book(person, booked, visit, referral=referral, source=source)
    person.add(booked + 60_000, source, ReferralStatusChanged(referral, "in-progress", "target", "5.1.1"))
    if not chance.happens("referral_seen"):
        missed = "noshow" if chance.share(0.6) else "cancelled"
        person.add(visit + _VISIT_MS, source, AppointmentChanged(appointment, missed, visit, referral))
        if not chance.happens("no_show_rebooked"):
            return
        visit = _in_office_hours(person, visit + chance.milliseconds("wait_days"))
        appointment = _book(person, visit - DAY_MS, visit, referral=referral, source=source)
    person.add(visit + _VISIT_MS, source, AppointmentChanged(appointment, "fulfilled", visit, referral))
    if not chance.happens("referral_reported"):
        return
    report = Millis((visit + chance.milliseconds("report_hours")) // 1000 * 1000)
    performer = Party(to.role, Practitioner(to.practitioner) if to.practitioner else None, to.organization)
    activity = CareActivityRecorded(person.new_id("A"), "consultant-report", "completed", Millis(visit), performer, report, (referral,))
    person.add(report, source, activity)
    person.add(report + 60_000, source, ReferralStatusChanged(referral, "completed", "target", "7.0"))


def _book(
    person: SyntheticPerson, at: int, start: int, *, referral: str | None = None, purpose: str | None = None, source: str = ""
) -> str:
    appointment = person.new_id("S")
    starts = Millis(int(start) // 1000 * 1000)
    fact = AppointmentChanged(appointment, "booked", starts, referral, purpose, Millis(starts + _VISIT_MS))
    person.add(at, source or _practice_source(person), fact)
    return appointment


# ---- goals


def begin_goal(person: SyntheticPerson, at: int, *, proposed: bool) -> None:
    """Add a goal in the person's own words. The person may answer a proposed goal later."""
    chance = person.chance
    goals = [g for g in person.environment.model.histories.goals if not g.for_ or set(g.for_) & set(person.conditions)]
    term = chance.one_of(goals, [g.people for g in goals])
    goal = person.new_id("G")
    by = "caregiver" if chance.share(0.15) else "patient"
    owner = Party("care-coordinator", organization=person.home.practice)
    first = GoalUpdated(goal, "proposed" if proposed else "active", term.words, by, None if proposed else True, owner, "in-progress")
    person.add(at, _practice_source(person), first)
    if not proposed:
        person.goals.append(goal)
    elif chance.happens("goal_accepted"):
        answered = _in_office_hours(person, at + chance.milliseconds("review_days"))
        agreed = chance.share(0.9)
        fact = GoalUpdated(goal, "accepted" if agreed else "rejected", term.words, by, agreed, owner)
        person.add(answered, _practice_source(person), fact)
        if agreed:
            person.goals.append(goal)


def _review(person: SyntheticPerson, goal: str, at: int) -> None:
    chance = person.chance
    worse = chance.happens("goal_worsening")
    status = "worsening" if worse else chance.one_of(("improving", "no-change", "achieved"), (5, 3, 1))
    attainment = {"worsening": -1, "no-change": 0, "improving": 1, "achieved": 2}[status]
    fact = GoalUpdated(goal, "active", achievement_status=status, attainment=attainment, reviewed=True)
    person.add(at, _practice_source(person), fact)
    if worse and chance.happens("plan_changed"):
        when = _in_office_hours(person, at + chance.milliseconds("review_days"))
        _record(person, when, "plan-change", None, role="care-coordinator", based_on=(goal,))


# ---- shared


def team_of(person: SyntheticPerson) -> tuple[Member, ...]:
    """Return the care team that the practice maintains."""
    members = [person.pcp_member()]
    if person.high_need:
        members.append(Member("care-coordinator", Party("care-coordinator", organization=person.home.practice), programme="high-need"))
    if person.chance.share(0.2):
        members.append(Member("community-nurse", Party("community-nurse", organization=person.home.practice)))
    if person.chance.share(0.15):
        members.append(Member("caregiver", Party("caregiver", caregiver=f"C{person.number}")))
    return tuple(members)


def _record(
    person: SyntheticPerson,
    at: int,
    code: str,
    encounter: EncounterRef | None,
    *,
    role: str = "pcp",
    outcome: str | None = None,
    based_on: tuple[str, ...] = (),
) -> None:
    start = Millis(int(at) // 1000 * 1000)
    who = Party(role, Practitioner(person.physician) if role == "pcp" else None, person.home.practice)
    fact = CareActivityRecorded(person.new_id("A"), code, "completed", start, who, Millis(start + 600_000), based_on, encounter, outcome)
    person.add(start + 600_000, _practice_source(person), fact)


def _in_office_hours(person: SyntheticPerson, at: int) -> Millis:
    """Return an instant in office hours, at or soon after *at*."""
    return person.days.next_instant(person.chance, person.environment.model.profiles["office"], Millis(int(at) // 1000 * 1000))


def _practice_source(person: SyntheticPerson) -> str:
    return f"urn:practice:{person.home.practice}"


def _sensitive_category(code: str) -> str:
    return next((kind for prefix, kind in SENSITIVE.items() if code.startswith(prefix)), "")
