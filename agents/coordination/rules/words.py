"""The words of `why`: instants in local time, clocks and events as a coordinator would say them.

Owns wording only. Must not decide anything, and names no person: a state holds no name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from agents.coordination.reference.calendar import Clock
from streams.contract.events import Event, Millis

_UNITS: Final = {
    "minute": "minute",
    "hour": "hour",
    "open-hour": "hour of open days",
    "day": "day",
    "business-day": "business day",
    "week": "week",
    "month": "month",
}

HAPPENED: Final = {
    "EncounterPlanned": "a stay was planned",
    "PatientAdmitted": "admitted",
    "PatientTransferred": "transferred",
    "EncounterClassChanged": "the kind of stay changed",
    "EncounterUpdated": "the stay was updated",
    "AdmissionCancelled": "the admission was cancelled",
    "TransferCancelled": "the transfer was cancelled",
    "PersonMerged": "two records were merged",
    "PersonStateMoved": "two records were merged",
    "RecordRelayed": "a record was passed on",
    "PersonUpdated": "the person's record was updated",
    "PatientDischarged": "discharged",
    "DischargeCancelled": "the discharge was cancelled",
    "ReferralRequested": "a referral was requested",
    "ReferralChanged": "the referral was changed",
    "ReferralStatusChanged": "the referral's status changed",
    "AppointmentChanged": "the appointment changed",
    "GoalUpdated": "the goal was updated",
    "CareTeamChanged": "the care team changed",
    "ConsentChanged": "consent changed",
    "CareActivityRecorded": "care was recorded",
    "ObservationRecorded": "an observation was recorded",
    "ConditionRecorded": "a condition was recorded",
    "TaskAcknowledged": "acknowledged",
    "TaskClaimed": "claimed",
    "TaskReassigned": "reassigned",
    "TaskSnoozed": "put off",
    "TaskCompleted": "completed",
    "TaskDeclined": "declined",
    "TaskEscalated": "escalated",
    "OutreachAttempted": "outreach was attempted",
    "NotificationQueued": "the notification was queued",
    "NotificationDelivered": "the notification was delivered",
    "NotificationFailed": "the notification failed",
    "NotificationIssued": "somebody was told",
}


def moment(at: int, zone: str) -> str:
    """Return an instant as `Thu 2 Jul 2026 15:00 EDT` in *zone*."""
    return _moment(at // 60_000, zone)


@lru_cache(maxsize=16_384)
def _moment(minute: int, zone: str) -> str:
    local = datetime.fromtimestamp(minute * 60, UTC).astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b %Y %H:%M %Z}"


def due_words(by_days: bool, due: int, zone: str) -> str:
    """Return when a clock ends: the end of a day for day-based clocks (24:00), else the instant."""
    return _end_of_day(due // 60_000, zone) if by_days else f"by {moment(due, zone)}"


@lru_cache(maxsize=16_384)
def _end_of_day(minute: int, zone: str) -> str:
    last = datetime.fromtimestamp(minute * 60 - 1, UTC).astimezone(ZoneInfo(zone))
    return f"by the end of {last:%a} {last.day} {last:%b %Y} ({zone})"


@lru_cache(maxsize=256)
def clock_words(clock: Clock) -> str:
    """Return a clock as `2 business days`."""
    unit = _UNITS[clock.unit]
    return (
        f"{clock.amount} {unit}"
        if clock.amount == 1
        else f"{clock.amount} {unit.replace('hour', 'hours') if ' of ' in unit else unit + 's'}"
    )


def happened(event: Event, at: Millis, zone: str, *, where: str = "", suspect: bool = False) -> str:
    """Return what happened, where and when: `discharged at GENERAL on Thu 2 Jul 2026 15:00 EDT (event GENERAL-4711)`."""
    what = HAPPENED.get(event.type, event.type)
    place = f" at {where}" if where else ""
    doubt = "; time-suspect: the event's own time lies after its arrival, so the arrival counts" if suspect else ""
    return f"{what}{place} on {_moment(at // 60_000, zone)} (event {event.id}{doubt})"


def person_words(address: str) -> str:
    """Return an owner or recipient as `the pcp (practitioner:8801)`."""
    role, _, party = address.partition("/")
    return f"{role} ({party})"
