"""One encounter, from admission to discharge, and queries on the state and the effects that it leaves."""

from __future__ import annotations

from typing import Any

from timeline import Timeline

from agents.coordination.person.encounter import STATUS_NAMES
from agents.coordination.person.state import unpack
from streams.contract import effects as out

STAY = {"facility": "GENERAL", "visit": "V1"}
ADMITTED, DISCHARGED = "2026-07-01T09:00", "2026-07-02T15:00"


def stays(t: Timeline) -> list[Any]:
    return [] if t._packed is None else unpack(t._packed).encounters


def status(t: Timeline) -> str:
    (only,) = stays(t)
    return STATUS_NAMES[only.status]


def issued(effects: list[Any]) -> list[tuple[str, str]]:
    return [(e.rule, e.recipient) for e in effects if isinstance(e, out.NotificationIssued)]


def withdrawn(effects: list[Any]) -> set[tuple[str, str]]:
    return {(e.rule, e.recipient) for e in effects if isinstance(e, out.NotificationWithdrawn)}


def reasons(effects: list[Any]) -> list[str]:
    return [e.reason for e in effects if isinstance(e, out.EffectSuppressed | out.EventRefused)]


def open_rules(t: Timeline) -> list[str]:
    return sorted(h.rule for h in unpack(t._packed).handoffs if not h.closed_at) if t._packed else []


def pcp_member() -> list[Any]:
    return [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]


def admit_and_discharge(t: Timeline) -> None:
    t.at(ADMITTED, "PatientAdmitted", encounter=STAY, id_="A", members=pcp_member(), **{"class": "IMP"})
    t.at(DISCHARGED, "PatientDischarged", encounter=STAY, disposition="home", id_="D")
