"""Stories with the whole catalogue: a person with a primary care provider, hospital stays, care, referrals and goals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from timeline import Timeline, millis

NEW_YORK, LONDON = "America/New_York", "Europe/London"
DISCHARGED = "2026-07-06T15:00"  # A Monday.
STAY = {"facility": "GENERAL", "visit": "V1"}
ENGLISH = {"facility": "ST-BRIDES", "visit": "V1"}


def story(zone: str = NEW_YORK) -> Timeline:
    t = Timeline(zone)
    pcp = "8801" if zone == NEW_YORK else "G7001"
    t.at("2026-05-01T09:00", "CareTeamChanged", members=[{"role": "pcp", "party": {"role": "pcp", "practitioner": pcp}}], replace=True)
    return t


def admit(t: Timeline, at: str, encounter: dict[str, str] = STAY, class_: str = "IMP", **said: Any) -> None:
    t.at(at, "PatientAdmitted", encounter=encounter, **{"class": class_}, **said)


def discharge(
    t: Timeline, at: str = DISCHARGED, encounter: dict[str, str] = STAY, codes: tuple[str, ...] = (), disposition: str = "home", **said: Any
) -> None:
    diagnoses = [{"system": "icd10", "code": code, "rank": n + 1} for n, code in enumerate(codes)]
    t.at(at, "PatientDischarged", encounter=encounter, disposition=disposition, diagnoses=diagnoses, **said)


def inpatient(codes: tuple[str, ...] = (), zone: str = NEW_YORK, **said: Any) -> Timeline:
    t = story(zone)
    encounter = STAY if zone == NEW_YORK else ENGLISH
    admit(t, "2026-07-03T10:00", encounter)
    discharge(t, encounter=encounter, codes=codes, **said)
    return t


def emergency(codes: tuple[str, ...] = (), birth_date: str | None = None, **said: Any) -> Timeline:
    t = story()
    if birth_date:
        t.at("2026-05-02T09:00", "PersonUpdated", birth_date=birth_date)
    admit(t, "2026-07-06T11:00", class_="EMER")
    discharge(t, codes=codes, **said)
    return t


def care(t: Timeline, at: str, code: str, arrival: str | None = None, **said: Any) -> list[Any]:
    start = millis(at, t.zone)
    stamp = datetime.fromtimestamp(start / 1000, UTC).isoformat()
    record = {
        "activity": f"C-{code}-{at}",
        "code": code,
        "status": "completed",
        "start": stamp,
        "end": stamp,
        "performer": {"role": "pcp", "practitioner": "8801"},
    }
    return t.at(at if arrival is None else arrival, "CareActivityRecorded", **(record | said))


def refer(t: Timeline, at: str, referral: str = "R1", service: str = "cardiology", target: str = "heart-clinic", **said: Any) -> None:
    sides = {
        "requester": {"role": "pcp", "organization": "riverside-family"},
        "target": {"role": "referral-target", "organization": target},
    }
    t.at(at, "ReferralRequested", referral=referral, service=service, **sides, **said)


def move(t: Timeline, at: str, status: str, by: str = "target", **said: Any) -> list[Any]:
    return t.at(at, "ReferralStatusChanged", referral="R1", status=status, by=by, reason="said", **said)


def goal(t: Timeline, at: str, status: str = "active", **said: Any) -> list[Any]:
    return t.at(at, "GoalUpdated", goal="G1", lifecycle_status=status, **said)


def closure(t: Timeline, rule: str) -> str:
    return t.only(rule)["closure"]


def due(t: Timeline, rule: str) -> int:
    return t.only(rule)["due"]


def end_of_day(day: str, days: int) -> int:
    return millis(datetime.fromisoformat(day) + timedelta(days=days + 1), NEW_YORK)
