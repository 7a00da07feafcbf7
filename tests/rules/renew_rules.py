"""Generate the files that depend on the rules: `make rules`.

These are the pages `docs/rules.md`, `docs/referral-states.md` and `docs/encounter-states.md`, and a row in the table of
`test_boundaries.py` for each rule without one. The row is generated if the rule's data are simple enough. Otherwise the
script says what to write by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from math import ceil, floor
from pathlib import Path
from typing import Any

from agents.coordination.person import referral_states
from agents.coordination.record import encounter_diagram
from agents.coordination.reference.valuesets import ValueSets
from agents.coordination.rules.facts.values import GROUPS
from agents.coordination.rules.loading import load_world
from agents.coordination.rules.rule import Closing, Condition, Limits, Rule, Trigger
from agents.coordination.rules.rulebook import render_rulebook

ROOT = Path(__file__).parents[2]
BOUNDARIES = ROOT / "tests" / "rules" / "test_boundaries.py"
CLASS = {"emergency": "EMER", "inpatient": "IMP", "observation": "OBSENC", "unknown": "IMP"}
KNOWN_BY_THE_STORY = {"setting", "disposition_group", "age_years", *GROUPS}
"""Facts that the stories `stay` and `admitted` can make true."""


class ByHandError(Exception):
    """A row cannot be generated from the rule's data."""


def row_of(rule: Rule, valuesets: ValueSets) -> str:
    """Return the row of *rule*: how it is triggered and closed, and its clock. Raises ByHandError with the reasons."""
    if rule.cases or rule.until:
        raise ByHandError("it has more than one clock")
    story = _first_possible(lambda trigger: _story(rule, trigger, valuesets), rule.triggers)
    close = _first_possible(_close, rule.closes)
    zone = ", LONDON" if _is_english(rule) else ""
    return f'    Case("{rule.id}", {rule.clock.amount}, "{rule.clock.unit}", {story}, {close}{zone}),\n'


def _first_possible(write: Callable[[Any], str], rows: Iterable[Any]) -> str:
    """Return what *write* makes of the first row that it can use. Raises ByHandError with the reason for each row."""
    reasons: dict[str, None] = {}
    for row in rows:
        try:
            return write(row)
        except ByHandError as why:
            reasons[str(why)] = None
    raise ByHandError("; ".join(reasons) or "no event closes it")


def _story(rule: Rule, trigger: Trigger, valuesets: ValueSets) -> str:
    if trigger.event not in {"PatientDischarged", "PatientAdmitted"}:
        raise ByHandError(f"the stories stay and admitted have no {trigger.event}")
    if unknown := sorted(set(trigger.where) - KNOWN_BY_THE_STORY):
        raise ByHandError(f"the stories stay and admitted do not set {', '.join(unknown)}")
    if trigger.counts_from != "event":
        raise ByHandError(f"its clock counts from {trigger.counts_from}")
    said = []
    setting = _first(trigger.where.get("setting", "inpatient"))
    if setting not in CLASS:
        raise ByHandError(f"the stories stay and admitted have no setting {setting or 'for this condition'}")
    if CLASS[setting] != "IMP":
        said.append(f'class_="{CLASS[setting]}"')
    if setting == "emergency" and trigger.event == "PatientDischarged":
        said.append("before=0.1")
    groups = [_first(condition) for name, condition in trigger.where.items() if name in GROUPS]
    if any(group not in valuesets.groups for group in groups):
        raise ByHandError("its condition on diagnoses names no group that the stories could have")
    codes = [valuesets.groups[str(group)].prefixes[0].replace("?", "0") for group in groups]
    if codes:
        said.append(f'diagnoses=("{codes[0]}",)' if len(codes) == 1 else f"diagnoses={tuple(codes)!r}")
    if "age_years" in trigger.where:
        said.append(f"age_years={_age(trigger.where['age_years'])}")
    if _is_english(rule):
        said.append('facility="ST-BRIDES"')
    return f"{'stay' if trigger.event == 'PatientDischarged' else 'admitted'}({', '.join(said)})"


def _age(condition: Condition) -> int:
    """Return the nearest age to the limit at which *condition* holds."""
    if isinstance(condition, Limits):
        if condition.at_least is None and condition.at_most is None:
            raise ByHandError("its condition on age_years has neither at_least nor at_most")
        return ceil(condition.at_least) if condition.at_least is not None else floor(condition.at_most or 0)
    return int(_first(condition))


def _close(closing: Closing) -> str:
    code = _first(closing.where.get("code", ""))
    if closing.event != "CareActivityRecorded" or not code:
        raise ByHandError(f"{closing.event} is not a care activity with a code")
    if closing.count > 1:
        raise ByHandError(f"care happens once, not {closing.count} times")
    if unknown := sorted(set(closing.where) - {"code", "status"}):
        raise ByHandError(f"care does not set {', '.join(unknown)}")
    return f'care("{code}")'


def _first(condition: Condition) -> str:
    if isinstance(condition, Limits):
        return ""
    return str(condition[0] if isinstance(condition, tuple) else condition)


def nearest_row(rule: Rule, rules: Iterable[Rule], table: str) -> str:
    """Return which row of *table* to copy: that of the rule whose triggers are most like those of *rule*, then its closings."""

    def wants(rows: Iterable[Trigger | Closing]) -> set[tuple[str, str]]:
        return {(row.event, fact) for row in rows for fact in ("", *row.where)}

    def likeness(other: Rule) -> tuple[int, int, int]:
        mine, theirs = wants(rule.triggers), wants(other.triggers)
        return len(mine & theirs), -len(theirs - mine), len(wants(rule.closes) & wants(other.closes))

    lines = {m[1]: table.count("\n", 0, m.start()) + 1 for m in re.finditer(r'^ +Case\(\s*"([^"]+)"', table, re.MULTILINE)}
    best = max((other for other in rules if other.id != rule.id and other.id in lines), key=likeness)
    return f"Copy the row of {best.id} in line {lines[best.id]} and change its story until one of the rule's triggers holds"


def _is_english(rule: Rule) -> bool:
    return rule.profiles == ("england",)


def renew() -> list[str]:
    """Write all files. Return what is left to do by hand, one line per rule."""
    world = load_world()
    pages = {
        "rules.md": render_rulebook(world.catalogue.rules.values()),
        "referral-states.md": referral_states.render_markdown(),
        "encounter-states.md": encounter_diagram.render_markdown(),
    }
    for name, text in pages.items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
    left = []
    table = BOUNDARIES.read_text(encoding="utf-8")
    for rule in world.catalogue.rules.values():
        if re.search(rf'\bCase\(\s*"{re.escape(rule.id)}"', table):
            continue
        try:
            head, end, tail = table.partition("\n]\n\n\ndef expected_due(")
            table = f"{head}\n{row_of(rule, world.valuesets).rstrip()}{end}{tail}"
            print(f"tests/rules/test_boundaries.py: a row for {rule.id}")  # noqa: T201
        except ByHandError as why:
            copy = nearest_row(rule, world.catalogue.rules.values(), table)
            left.append(f"tests/rules/test_boundaries.py needs a row for {rule.id}, written by hand: {why}. {copy}")
    BOUNDARIES.write_text(table, encoding="utf-8")
    return left


if __name__ == "__main__":
    sys.exit("\n".join(renew()) or 0)
