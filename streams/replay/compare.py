"""Compare what two catalogues did: counts by rule and role, and examples.

Owns what counts as an opened gap, an alert or a task, and when items of the two catalogues are the same. Pure: reads the
lines of a replay (`streams/output/lines.py`); knows no files, no topics and no care rules.
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
    """One opened gap, alert or task."""

    at: str
    rule: str
    version: int | None
    role: str
    person: str
    due: str
    why: str
    handoff: str


class Findings(msgspec.Struct):
    """Everything that one catalogue did in the window. The same item has the same key with either catalogue."""

    gap: dict[str, Found] = {}
    alert: dict[str, Found] = {}
    task: dict[str, Found] = {}
    refused: dict[str, int] = {}

    def of(self, what: What) -> dict[str, Found]:
        found: dict[str, Found] = getattr(self, what)
        return found


def findings_of(lines: Iterable[Line], since: str, until: str) -> Findings:
    """Collect the gaps, alerts, tasks and refusals in *lines* from *since* to *until*.

    Both instants are inclusive and have the format of the lines. A gap counts when it first opens, and a task when it first
    appears. An item that first appeared before the window does not count, even if it appears again in the window. The key of an alert
    about a handoff is the handoff, the recipient and a running number. Its id cannot be the key, because it depends on the
    time of the step, which may differ between the catalogues.
    """
    kept = Findings()
    before: dict[What, set[str]] = {what: set() for what in WHATS}
    times: Counter[tuple[str, str]] = Counter()
    # Instants may or may not have milliseconds. They compare correctly as text only without the Z, which sorts after the point.
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
    """The counts of one kind, rule and role. `moved` counts items with another time or due time in the new catalogue."""

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
    """One item that differs, as found with the old and with the new catalogue. None: not found."""

    what: What
    change: Change
    rule: str
    role: str
    old: Found | None
    new: Found | None


class Comparison(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    """All rules and roles, changed or not, ordered by kind, rule and role."""
    examples: tuple[Example, ...]


def compare(old: Findings, new: Findings, examples: int = 3) -> Comparison:
    """Compare *new* with *old*. Keep the earliest *examples* of each kind, rule, role and change."""
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
    """Count into *groups*, and yield what differs. A change of role counts as removed from one role and added to the other."""

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
