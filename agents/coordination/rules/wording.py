"""The words for events, reasons, facts, roles, clocks and instants, for `why` texts and for `carerelay rules show`.

Owns one table for each. Must not know a rule, decide anything, or name a person: the state holds no names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

from agents.coordination.reference.calendar import Clock
from streams.contract.events import Event, Millis


class EventWords(NamedTuple):
    """An event in words."""

    happened: str
    """That it happened, as a clause in the past tense. `{status}` stands for the status that the event reports."""
    when: str
    """What a rule waits for, as a clause in the present tense."""


EVENT: Final = {
    "EncounterPlanned": EventWords("an encounter was planned", "an encounter is planned"),
    "PatientAdmitted": EventWords("the person was admitted", "the person is admitted or registered"),
    "PatientTransferred": EventWords("the person was transferred", "the person is transferred"),
    "EncounterClassChanged": EventWords("the class of the encounter changed", "the class of the encounter changes"),
    "EncounterUpdated": EventWords("the encounter was updated", "the encounter is updated"),
    "AdmissionCancelled": EventWords("the admission was cancelled", "the admission is cancelled"),
    "TransferCancelled": EventWords("the transfer was cancelled", "the transfer is cancelled"),
    "PersonMerged": EventWords("two records of the person were merged", "two records of the person are merged"),
    "PersonStateMoved": EventWords("two records of the person were merged", "two records of the person are merged"),
    "RecordRelayed": EventWords("a record was relayed", "a record is relayed"),
    "PersonUpdated": EventWords("the person's record was updated", "the person's record is updated"),
    "PatientDischarged": EventWords("the person was discharged", "the person is discharged"),
    "DischargeCancelled": EventWords("the discharge was cancelled", "the discharge is cancelled"),
    "ReferralRequested": EventWords("a referral was requested", "a referral is requested"),
    "ReferralChanged": EventWords("the referral was changed", "the referral is changed"),
    "ReferralStatusChanged": EventWords("the referral was reported as {status}", "the status of a referral is reported"),
    "AppointmentChanged": EventWords("an appointment was reported as {status}", "an appointment is reported"),
    "GoalUpdated": EventWords("the goal was updated", "the goal is updated"),
    "CareTeamChanged": EventWords("the care team was changed", "the care team is changed"),
    "ConsentChanged": EventWords("the person's consent changed", "the person's consent changes"),
    "CareActivityRecorded": EventWords("care was recorded", "care is recorded"),
    "ObservationRecorded": EventWords("an observation was recorded", "an observation is recorded"),
    "ConditionRecorded": EventWords("a condition was recorded", "a condition is recorded"),
    "TaskAcknowledged": EventWords("the recipient acknowledged it", "the recipient acknowledges it"),
    "TaskClaimed": EventWords("the task was claimed", "somebody claims the task"),
    "TaskReassigned": EventWords("the task was reassigned", "the task is reassigned"),
    "TaskSnoozed": EventWords("the task was postponed", "the task is postponed"),
    "TaskCompleted": EventWords("the task was completed", "the owner completes the task"),
    "TaskDeclined": EventWords("the task was declined", "the owner declines the task"),
    "TaskEscalated": EventWords("the task was escalated", "somebody escalates the task"),
    "OutreachAttempted": EventWords("somebody tried to reach the person", "somebody tries to reach the person"),
    "NotificationQueued": EventWords("a notification was queued for delivery", "a notification is queued for delivery"),
    "NotificationDelivered": EventWords("a notification was delivered", "a notification is delivered"),
    "NotificationFailed": EventWords("a notification could not be delivered", "a notification cannot be delivered"),
    "NotificationIssued": EventWords("a notification was issued", "a notification is issued"),
}

FACT: Final = {
    "achievement_said": "the achievement status in this update",
    "accepted_by_person": "the person's own answer",
    "active_goals": "the number of active goals",
    "age_years": "the age in years",
    "asks_acknowledgement": "the notification asks for an acknowledgement",
    "at_hospital": "the person is in hospital",
    "appointment_status": "the latest status of the appointment",
    "appointment_booked": "an appointment is booked in time",
    "business_status": "the business status",
    "by": "the side that reports it",
    "changed": "the change",
    "class": "the class of the encounter",
    "condition_group": "one of the person's conditions",
    "diagnosis_group": "one of the diagnoses",
    "disposition_group": "the destination",
    "emergency_visits_12_months": "the number of emergency visits in 12 months",
    "facility_kind": "the kind of facility",
    "first_review": "the goal has never been reviewed",
    "overdue": "the handoff is overdue",
    "same_need": "it is for the same purpose",
    "flags": "a utilisation flag",
    "has_referral": "it is part of a referral",
    "high_risk_conditions": "the number of high-risk conditions",
    "hospital_derivation": "the HOSPITAL score (2013 form, as far as it is certain)",
    "hospital_international": "the HOSPITAL score (2016 international form, as far as it is certain)",
    "lace": "the LACE score (as far as it is certain)",
    "length_of_stay_days": "the length of stay in days",
    "lifecycle_status": "the goal's lifecycle status",
    "linked": "it is a duplicate of an earlier referral",
    "material_change": "it is a material change",
    "needed_by": "the date by which the answer is needed",
    "open_services": "the service of an open referral",
    "other_stay": "it is another encounter",
    "planned": "it was planned",
    "principal_diagnosis_group": "the principal diagnosis",
    "recipient_known": "a recipient is known",
    "registration": "it is a registration",
    "reviewed": "it is a review",
    "revised": "it is a change of the goal's description or priority",
    "risk_tier": "the risk (reported complexity and LACE)",
    "role": "the recipient's role",
    "same_goal": "it is the goal that the referral serves",
    "same_service": "it is for the same service or replaces the referral",
    "same_stay": "it is the same encounter",
    "service": "the service",
    "setbacks": "the number of setbacks in a row",
    "setting": "the setting",
    "setting_of_stay": "the setting",
    "somebody_told": "somebody is notified of it",
    "stands_booked": "another appointment for the same purpose is booked",
    "status_moved": "the status is new",
    "still_stands": "the appointment is still booked",
    "status_of_stay": "the status of the encounter",
    "target_kind": "the kind of organisation that the referral goes to",
    "team_known": "a care team is known",
    "via_emergency": "the emergency department is where the encounter began",
}
"""Facts in words. A fact that is missing here is shown by its own name. A fact that is true or false is a sentence with `is` or
`has`, so that it can be negated."""

_GROUP: Final = {
    "mental-illness": "a mental illness",
    "substance-use": "the use of alcohol or another drug",
    "drug-overdose": "a drug overdose",
    "self-harm": "self-harm",
}
_SETTING: Final = {"emergency": "the emergency department", "unknown": "not known"}
VALUE: Final = {
    "status_of_stay": {"onleave": "on leave"},
    "setting": _SETTING,
    "setting_of_stay": _SETTING,
    "disposition_group": {
        "community": "the community (home or similar)",
        "hospital": "another hospital",
        "facility": "a nursing or other facility",
        "hospice": "a hospice",
        "unknown": "not known",
    },
    "disposition": {"psy": "a psychiatric hospital"},
    "facility_kind": {"snf": "skilled nursing", "unknown": "not known"},
    "changed": {"diagnosis-group": "a new group of diagnoses", "level": "a new level of care", "facility": "a new facility"},
    "diagnosis_group": _GROUP,
    "principal_diagnosis_group": _GROUP,
    "condition_group": _GROUP,
}
"""Values of facts in words. A value that is missing here is shown as it is written."""

ROLE: Final = {
    "pcp": "the primary care practice (pcp)",
    "owner": "the owner",
    "recipient": "the recipient of the notification",
    "referral-target": "the organisation that the referral goes to",
    "referral-requester": "the requester of the referral",
    "goal-owner": "the owner of the goal",
    "facility": "the hospital or other facility",
    "transferring-facility": "the hospital that the person came from",
    "operations": "the operations team on call",
    "registration": "the facility's registration desk",
    "attending": "the attending clinician",
    "data-quality": "the data quality team",
    "panel-admin": "the administrator of the practice's panels (panel-admin)",
    "medical-director": "the medical director",
    "home-health": "the home health agency",
    "setter": "the side that set the status",
    "mental-health": "the mental health provider",
    "behavioural-health": "the behavioural health provider",
    "coordinator-lead": "the coordinators' lead",
    "patient": "the person",
    "next": "the next role in the line of escalation",
    "mdt": "the whole care team",
}
"""Roles in words. A role that is missing here is shown by its own name."""


def role_in_words(role: str) -> str:
    """Return a role in words: `the care coordinator`."""
    return ROLE.get(role, f"the {role.replace('-', ' ')}")


UNIT: Final = {
    "minute": ("minute", "minutes"),
    "hour": ("hour", "hours"),
    "open-hour": ("hour of open days", "hours of open days"),
    "day": ("day", "days"),
    "business-day": ("business day", "business days"),
    "week": ("week", "weeks"),
    "month": ("month", "months"),
}


REASON: Final = {
    "already-begun": "the encounter has already begun",
    "already-cancelled": "the encounter was already cancelled",
    "already-discharged": "the person was already discharged",
    "cancel-before-its-target": "the event that this cancels has not arrived yet",
    "consent-missing": "there is no consent on file",
    "consent-withheld": "the person withholds consent",
    "deceased": "the person has died",
    "discharge-cancelled": "this discharge was already cancelled",
    "no-material-change": "nothing important has changed",
    "not-told-by-routing": "no notification is set up for this event",
    "older-than-the-admission": "the cancellation is older than the admission",
    "older-than-the-discharge": "the cancellation is older than the discharge",
    "older-than-what-is-known": "newer information is already on file",
    "same-facility-and-level": "the facility and the level of care are the same",
    "stay-cancelled": "the encounter was cancelled",
    "transfer-cancelled": "this transfer was already cancelled",
}
"""Why nobody is notified, in words, by reason code."""


def reason_words(reason: str) -> str:
    """Return a reason code as a clause. A code that the table does not have is returned with spaces instead of hyphens."""
    return REASON.get(reason, reason.replace("-", " "))


@lru_cache(maxsize=256)
def clock_words(clock: Clock) -> str:
    """Return a clock as `2 business days`."""
    one, many = UNIT[clock.unit]
    return f"{clock.amount} {one if clock.amount == 1 else many}"


def moment(at: int, zone: str) -> str:
    """Return an instant as `Thu 2 Jul 2026 15:00 EDT` in *zone*."""
    return _moment(at // 60_000, zone)


@lru_cache(maxsize=16_384)
def _moment(minute: int, zone: str) -> str:
    local = datetime.fromtimestamp(minute * 60, UTC).astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b %Y %H:%M %Z}"


def due_words(by_days: bool, due: int, zone: str) -> str:
    """Return when a clock ends, as `by …`: the end of a day (24:00) if *by_days*, else the instant."""
    return _end_of_day(due // 60_000, zone) if by_days else f"by {moment(due, zone)}"


@lru_cache(maxsize=16_384)
def _end_of_day(minute: int, zone: str) -> str:
    last = datetime.fromtimestamp(minute * 60 - 1, UTC).astimezone(ZoneInfo(zone))
    return f"by the end of {last:%a} {last.day} {last:%b %Y} ({zone})"


def happened(event: Event, at: Millis, zone: str, *, where: str = "", suspect: bool = False) -> str:
    """Return what happened, where and when: `the person was discharged at GENERAL on Thu 2 Jul 2026 15:00 EDT (event GENERAL-4711)`.

    *suspect*: the event's own time is in the future, so its arrival is used.
    """
    place = f" at {where}" if where else ""
    doubt = "; time-suspect: the time in the event is after its arrival, so the arrival time is used" if suspect else ""
    return f"{_what(event)}{place} on {_moment(at // 60_000, zone)} (event {event.id}{doubt})"


def _what(event: Event) -> str:
    """Return what happened, as a clause."""
    words, fact = EVENT.get(event.type), cast(Any, event.data)
    if words is None:
        return event.type
    if event.type == "PatientAdmitted" and fact.registration:
        return "the person was registered"
    if event.type == "OutreachAttempted" and fact.outcome == "reached":
        return "somebody reached the person"
    if "{status}" in words.happened:
        status = fact.status
        return words.happened.format(status=_STATUS.get(status, status.replace("-", " ")))
    return words.happened


_STATUS: Final = {"noshow": "missed", "fulfilled": "kept", "entered-in-error": "entered by mistake"}
"""Statuses of referrals and appointments in words, if the code with spaces says too little."""


def by_rule(rule: str, version: int, text: str) -> str:
    """Return *text* with its rule in front; every `why` that a rule gives begins this way."""
    return f"Rule {rule} version {version}: {text}"


def person_words(address: str) -> str:
    """Return an owner or recipient as `pcp (practitioner:8801)`."""
    role, _, party = address.partition("/")
    return f"{role} ({party})"


def passes(was: str, now: str) -> str:
    """Return a sentence: the accountability passes from the owner *was* to the owner *now* (both addresses)."""
    return f"Accountability passes from {person_words(was)} to {person_words(now)}."
