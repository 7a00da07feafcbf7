"""Lines: one flat object for each effect, refused message and ignored message.

Owns the names and the order of the fields of `carerelay replay --json` and `carerelay show --json`, described in
`docs/replay.md`. Knows effects and the results of intake; knows no rule, no file and no terminal. The same effect always
gives the same bytes: the order of the fields is fixed, times are in UTC, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from streams.contract.effects import (
    Effect,
    EffectSuppressed,
    EventRefused,
    GapState,
    GoalWords,
    NotificationIssued,
    NotificationWithdrawn,
    TaskState,
)
from streams.contract.events import EncounterRef, Event, Millis
from streams.contract.instants import format_instant
from streams.intake.reading import IGNORED, NOTES, SHOWN_NOTES, Arrived, Ignored, Refused

Line = dict[str, Any]
"""A line before it is written; it contains JSON values only."""

_encode = msgspec.json.Encoder().encode


def write_line(line: Line) -> bytes:
    """Return *line* as JSON, without a line end."""
    return _encode(line)


def line_of_effect(effect: Effect) -> Line | None:
    """Return the line of *effect*; None if it is internal (a state that moves to another key)."""
    make = _MAKERS.get(type(effect))
    return None if make is None else make(effect)


def line_of_arrival(arrived: Arrived) -> Line | None:
    """Return the line of a message that intake refused or ignored; None for an event."""
    item = arrived.item
    if isinstance(item, Event):
        return None
    line: Line = {
        "at": format_instant(arrived.arrival),
        "effect": "refused" if isinstance(item, Refused) else "ignored",
        "id": item.id,
        "cause": item.id,
        "rule": None,
        "rule_version": None,
        "person": None,
        "reason": item.reason,
        "source": item.source,
        "trigger": item.trigger,
    }
    if isinstance(item, Refused):
        line |= {"segment": item.segment, "field": item.field, "why": item.remedy}
    else:
        line["why"] = _why_ignored(item)
    line["where"] = arrived.where
    return line


def lines_of_notes(arrived: Arrived) -> Iterator[Line]:
    """Yield a line for each part of a message that intake dropped or replaced."""
    item = arrived.item
    for reason in dict.fromkeys(note.reason for note in arrived.notes if note.reason in SHOWN_NOTES):
        yield {
            "at": format_instant(arrived.arrival),
            "effect": "suppressed",
            "id": f"{item.id}:{reason}",
            "cause": item.id,
            "rule": None,
            "rule_version": None,
            "person": item.person if isinstance(item, Event) else None,
            "recipient": None,
            "reason": reason,
            "source": item.source,
            "why": NOTES[reason],
            "where": arrived.where,
        }


INTAKE_KINDS = ("refused", "ignored", "suppressed", "noted")
"""The kinds of intake's reports about a message. `noted` means that the message was unusual but nothing was lost."""


def reasons_of(arrived: Arrived) -> Iterator[tuple[str, str]]:
    """Yield (kind, reason) of everything that intake reports about a message, for counting. Some of it has no line."""
    if not isinstance(arrived.item, Event):
        yield "refused" if isinstance(arrived.item, Refused) else "ignored", arrived.item.reason
    for note in arrived.notes:
        yield "suppressed" if note.reason in SHOWN_NOTES else "noted", note.reason


def _why_ignored(item: Ignored) -> str:
    return IGNORED.get(item.reason, item.reason.replace("-", " "))


def _head(effect: Any, kind: str) -> Line:
    return {
        "at": format_instant(effect.at),
        "effect": kind,
        "id": effect.id,
        "cause": effect.cause,
        "rule": effect.rule,
        "rule_version": getattr(effect, "rule_version", None),
        "person": effect.person,
    }


def _notification(effect: NotificationIssued) -> Line:
    return _head(effect, "notification") | {
        "recipient": effect.recipient,
        "role": effect.role,
        "title": effect.title,
        "neutral_title": effect.neutral_title,
        "why": effect.why,
        "urgency": effect.urgency,
        "channel": effect.channel,
        "deliver_after": _instant(effect.deliver_after),
        "asks_acknowledgement": effect.asks_acknowledgement,
        "handoff": effect.handoff,
        "encounter": _encounter(effect.encounter),
        "goals": [_goal(goal) for goal in effect.goals],
    }


def _withdrawal(effect: NotificationWithdrawn) -> Line:
    return _head(effect, "withdrawal") | {
        "recipient": effect.recipient,
        "role": effect.role,
        "notification": effect.notification,
        "why": effect.why,
    }


def _handoff(kind: str) -> Callable[[Any], Line]:
    def make(effect: TaskState | GapState) -> Line:
        return _head(effect, kind) | {
            "handoff": effect.handoff,
            "state": effect.state,
            "owner": effect.owner,
            "due": format_instant(effect.due),
            "step": effect.step,
            "closure": effect.closure,
            "title": effect.title,
            "neutral_title": effect.neutral_title,
            "why": effect.why,
            "opened_at": _instant(effect.opened_at),
            "encounter": _encounter(effect.encounter),
            "referral": effect.referral,
            "goal": effect.goal,
            "watchers": list(effect.watchers),
        }

    return make


def _suppressed(effect: EffectSuppressed) -> Line:
    return _head(effect, "suppressed") | {
        "recipient": effect.recipient,
        "reason": effect.reason,
        "source": effect.source,
        "why": effect.why,
    }


def _refused(effect: EventRefused) -> Line:
    return _head(effect, "refused") | {"reason": effect.reason, "source": effect.source, "why": effect.why}


_MAKERS: dict[type, Callable[[Any], Line]] = {
    NotificationIssued: _notification,
    NotificationWithdrawn: _withdrawal,
    TaskState: _handoff("task"),
    GapState: _handoff("gap"),
    EffectSuppressed: _suppressed,
    EventRefused: _refused,
}


def _instant(at: Millis | None) -> str | None:
    return None if at is None else format_instant(at)


def _encounter(encounter: EncounterRef | None) -> Line | None:
    return None if encounter is None else {"facility": encounter.facility, "visit": encounter.visit}


def _goal(goal: GoalWords) -> Line:
    return {"goal": goal.goal, "description": goal.description, "expressed_by": goal.expressed_by}
