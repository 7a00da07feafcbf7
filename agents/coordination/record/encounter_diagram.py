"""The page `docs/encounter-states.md`, generated from the table of `encounter_states.py`.

Owns the text of the page. Must not decide anything. A test compares the page with the table.
"""

from __future__ import annotations

from typing import Final

from agents.coordination.person.encounter import STATUS_NAMES
from agents.coordination.record.encounter_states import SAME, TABLE, UNKNOWN

ACTS: Final = {
    "plan": "An encounter is planned.",
    "admit": "An admission, or a registration.",
    "admit-again": "A second admission for the same encounter.",
    "admit-after-cancel": "An admission for an encounter whose earlier admission was cancelled.",
    "transfer": "A transfer to another location.",
    "transfer-already-cancelled": "A transfer whose cancellation arrived first.",
    "class-change": "A change of the class, for example from emergency to inpatient.",
    "update": "An update of the encounter.",
    "leave": "An update: the person goes on leave.",
    "return": "An update: the person returns from leave.",
    "discharge": "A discharge.",
    "discharge-already-cancelled": "A discharge whose cancellation arrived first.",
    "cancel-admission": "A cancellation of the admission.",
    "cancel-admission-outdated": "A cancellation that is older than the admission.",
    "cancel-transfer": "A cancellation of the transfer.",
    "cancel-transfer-early": "A cancellation that arrives before its transfer.",
    "cancel-discharge": "A cancellation of the discharge.",
    "cancel-discharge-outdated": "A cancellation that is older than the discharge.",
}
"""What each act of the table means."""

KINDS: Final = {
    "plan": "the encounter is planned; nobody is notified",
    "admit": "an admission: the care team is notified, and handoffs may open",
    "late-admit": "an admission that arrived after the discharge: it is recorded",
    "transfer": "a transfer: the care team is notified if the facility or the level of care changes",
    "class-change": "a new class: the care team is notified, and handoffs may open or end",
    "update": "an update: the care team is notified if something material changes",
    "discharge": "a discharge: the care team is notified, and handoffs may open, close or end",
    "patch": "missing or newer data is recorded; nobody is notified",
    "withdraw-stay": "the encounter is cancelled: its notifications are withdrawn, and its handoffs are cancelled",
    "withdraw-transfer": "the transfer is cancelled: its notifications are withdrawn",
    "withdraw-discharge": "the discharge is cancelled: its notifications are withdrawn, and its handoffs are cancelled",
    "remembered": "the cancellation is kept until the event that it cancels arrives",
    "ignored": "nothing changes",
}
"""What each result of the table means."""


def render_markdown() -> str:
    """Return `docs/encounter-states.md`: the diagram and the tables."""
    acts = list(dict.fromkeys(act for act, _ in TABLE))
    lines = [
        "# The states of an encounter",
        "",
        "Generated from `agents/coordination/record/encounter_states.py` by `make rules`; a test compares them.",
        "",
        "Events are ordered by when they happened, not by when they arrive. A late event adds missing data and never overwrites newer",
        "data. A cancellation applies to what happened before it, even if the cancellation arrives first. A leave or a return that is",
        "older than the latest one changes nothing.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {_node(before)} --> {_node(after)}: {', '.join(names)}" for (before, after), names in _moves().items()),
        "```",
        "",
        "`unknown` is the first status: only a part of the encounter is known so far.",
        "",
        "## What each event does",
        "",
        "A cell gives the new status (if it changes), the result, and in brackets the reason if nobody is notified.",
        "",
        f"| event | {' | '.join(STATUS_NAMES)} |",
        f"| --- |{' --- |' * len(STATUS_NAMES)}",
        *(f"| {act} | {' | '.join(_cell(act, status) for status in range(len(STATUS_NAMES)))} |" for act in acts),
        "",
        "| event | means |",
        "| --- | --- |",
        *(f"| {act} | {ACTS[act]} |" for act in acts),
        "",
        "| result | means |",
        "| --- | --- |",
        *(f"| {kind} | {KINDS[kind]} |" for kind in dict.fromkeys(kind for _, kind, _ in TABLE.values())),
        "",
    ]
    return "\n".join(lines)


def _moves() -> dict[tuple[int, int], list[str]]:
    """Return the acts that cause each change of status."""
    found: dict[tuple[int, int], list[str]] = {}
    for (act, before), (after, _, _) in TABLE.items():
        if after not in {SAME, before}:
            found.setdefault((before, after), []).append(act)
    return dict(sorted(found.items()))


def _cell(act: str, status: int) -> str:
    if (act, status) not in TABLE:
        return ""
    after, kind, reason = TABLE[act, status]
    moved = f"**{STATUS_NAMES[after]}**: " if after not in {SAME, status} else ""
    return f"{moved}{kind}{f' ({reason})' if reason else ''}"


def _node(status: int) -> str:
    return "[*]" if status == UNKNOWN else STATUS_NAMES[status].replace("-", "_")
