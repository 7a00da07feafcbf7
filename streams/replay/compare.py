"""What one catalogue would have done beside another: counts by role and rule, and examples.

Owns what counts as a gap opened, an alert, a task, and when two of them are the same one. Pure: reads lines of a replay
(`streams/output/lines.py`), knows neither files nor topics nor a rule of care.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec

from streams.contract.address import Address
from streams.output.lines import Line

What = Literal["gap", "alert", "task"]
WHATS: Final[tuple[What, ...]] = ("gap", "alert", "task")
Change = Literal["added", "removed", "moved"]


class Found(msgspec.Struct, frozen=True):
    """One gap opened, alert or task, as a catalogue has it."""

    at: str
    rule: str
    version: int | None
    role: str
    person: str
    due: str
    why: str
    handoff: str


class Findings(msgspec.Struct):
    """All that one catalogue did in the window, each under a key that the other catalogue's same one has too."""

    gap: dict[str, Found] = {}
    alert: dict[str, Found] = {}
    task: dict[str, Found] = {}
    refused: dict[str, int] = {}

    def of(self, what: What) -> dict[str, Found]:
        found: dict[str, Found] = getattr(self, what)
        return found


def findings_of(lines: Iterable[Line], since: str, until: str) -> Findings:
    """Count what *lines* say happened from *since* to *until*, both as the lines write instants, both included.

    A gap counts when it is first open, a task when it is first seen; what had happened before the window is not counted
    when it is heard of again. An alert about a handoff is the n-th to its recipient: its id hangs on the step's instant.
    """
    kept = Findings()
    before: dict[What, set[str]] = {what: set() for what in WHATS}
    times: Counter[tuple[str, str]] = Counter()
    # Without the Z, which sorts after a point, instants compare as text with and without thousandths.
    first, last = since.removesuffix("Z"), until.removesuffix("Z")
    for line in lines:
        at: str = line["at"].removesuffix("Z")
        inside = first <= at <= last
        match line["effect"]:
            case "gap" if line["state"] == "open":
                _keep(kept.gap, before["gap"], line["handoff"], line, inside=inside)
            case "task":
                _keep(kept.task, before["task"], line["handoff"], line, inside=inside)
            case "notification":
                key: str = line["id"]
                if line["handoff"]:
                    about = line["handoff"], line["recipient"]
                    times[about] += 1
                    key = f"{line['handoff']} {line['recipient']} {times[about]}"
                _keep(kept.alert, before["alert"], key, line, inside=inside)
            case "refused" if inside:
                kept.refused[line["reason"]] = kept.refused.get(line["reason"], 0) + 1
            case _:
                pass
    return kept


def _keep(found: dict[str, Found], before: set[str], key: str, line: Line, *, inside: bool) -> None:
    if key in found or key in before:
        return
    if not inside:
        before.add(key)
        return
    role = line["role"] if "role" in line else Address.parse(line["owner"]).role
    found[key] = Found(
        line["at"], line["rule"], line["rule_version"], role, line["person"], line.get("due") or "", line["why"], line["handoff"] or ""
    )


class Row(msgspec.Struct, frozen=True):
    """Counts of one kind for one rule and role. `moved`: in both, at another time or with another due."""

    what: What
    rule: str
    role: str
    old: int
    new: int
    added: int
    removed: int
    moved: int

    @property
    def changed(self) -> bool:
        return bool(self.added or self.removed or self.moved)


class Example(msgspec.Struct, frozen=True):
    """One that differs: as the old catalogue has it, as the new one has it, or both."""

    what: What
    change: Change
    rule: str
    role: str
    old: Found | None
    new: Found | None


class Comparison(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    """All rules and roles, changed or not, in the order of what, rule and role."""
    examples: tuple[Example, ...]


def compare(old: Findings, new: Findings, examples: int = 3) -> Comparison:
    """Set *new* beside *old*; at most *examples* of each kind, rule, role and change, the earliest."""
    rows: list[Row] = []
    shown: list[Example] = []
    for what in WHATS:
        groups: dict[tuple[str, str], _Group] = {}
        differing: dict[tuple[str, str, Change], list[Example]] = {}
        for example in _pairs(what, old.of(what), new.of(what), groups):
            differing.setdefault((example.rule, example.role, example.change), []).append(example)
        for (rule, role), group in sorted(groups.items()):
            rows.append(Row(what, rule, role, group.old, group.new, group.added, group.removed, group.moved))
        for _, found in sorted(differing.items(), key=lambda item: item[0]):
            found.sort(key=_when)
            shown.extend(found[:examples])
    return Comparison(tuple(rows), tuple(shown))


class _Group(msgspec.Struct):
    old: int = 0
    new: int = 0
    added: int = 0
    removed: int = 0
    moved: int = 0


def _pairs(what: What, old: Mapping[str, Found], new: Mapping[str, Found], groups: dict[tuple[str, str], _Group]) -> Iterator[Example]:
    """Count into *groups*, and yield what differs. One that goes to another role is removed from one and added to the other."""

    def group(found: Found) -> _Group:
        return groups.setdefault((found.rule, found.role), _Group())

    for key, was in old.items():
        group(was).old += 1
        now = new.get(key)
        if now is None or now.role != was.role:
            group(was).removed += 1
            yield Example(what, "removed", was.rule, was.role, was, now)
        elif (now.at, now.due) != (was.at, was.due):
            group(was).moved += 1
            yield Example(what, "moved", was.rule, was.role, was, now)
    for key, now in new.items():
        group(now).new += 1
        before = old.get(key)
        if before is None or before.role != now.role:
            group(now).added += 1
            yield Example(what, "added", now.rule, now.role, before, now)


def _when(example: Example) -> tuple[str, str]:
    found = example.new or example.old
    return (found.at, found.handoff) if found else ("", "")
