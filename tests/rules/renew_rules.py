"""Generate the files that depend on the rules: `make rules`.

These are the pages `docs/rules.md`, `docs/referral-states.md` and `docs/encounter-states.md`, and a row in the table of
`test_boundaries.py` for each rule without one. The row is generated if the rule's data are simple enough. Otherwise the
script says what to write by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

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
KNOWN_BY_THE_STORY = {"setting", "disposition_group", *GROUPS}
"""Facts that hold in the stories `stay` and `admitted`."""


class ByHandError(Exception):
    """A row cannot be generated from the rule's data."""


def row_of(rule: Rule, valuesets: ValueSets) -> str:
    """Return the row of *rule*: how it is triggered and closed, and its clock. Raises ByHandError."""
    if rule.cases or rule.until:
        raise ByHandError("it has more than one clock")
    for trigger in rule.triggers:
        for closing in rule.closes:
            story, close = _story(rule, trigger, valuesets), _close(closing)
            if story and close:
                zone = ", LONDON" if _is_english(rule) else ""
                return f'    Case("{rule.id}", {rule.clock.amount}, "{rule.clock.unit}", {story}, {close}{zone}),\n'
    raise ByHandError("no story of the file triggers it, or none closes it")


def _story(rule: Rule, trigger: Trigger, valuesets: ValueSets) -> str | None:
    if trigger.event not in {"PatientDischarged", "PatientAdmitted"} or set(trigger.where) - KNOWN_BY_THE_STORY:
        return None
    if trigger.counts_from != "event":
        return None
    said = []
    setting = _first(trigger.where.get("setting", "inpatient"))
    if setting not in CLASS:
        return None
    if CLASS[setting] != "IMP":
        said.append(f'class_="{CLASS[setting]}"')
    if setting == "emergency" and trigger.event == "PatientDischarged":
        said.append("before=0.1")
    groups = [_first(condition) for name, condition in trigger.where.items() if name in GROUPS]
    if any(group not in valuesets.groups for group in groups):
        return None
    codes = [valuesets.groups[str(group)].prefixes[0].replace("?", "0") for group in groups]
    if codes:
        said.append(f'diagnoses=("{codes[0]}",)' if len(codes) == 1 else f"diagnoses={tuple(codes)!r}")
    if _is_english(rule):
        said.append('facility="ST-BRIDES"')
    return f"{'stay' if trigger.event == 'PatientDischarged' else 'admitted'}({', '.join(said)})"


def _close(closing: Closing) -> str | None:
    code = _first(closing.where.get("code", ""))
    if closing.event != "CareActivityRecorded" or not code or closing.count > 1 or set(closing.where) - {"code", "status"}:
        return None
    return f'care("{code}")'


def _first(condition: Condition) -> str:
    if isinstance(condition, Limits):
        return ""
    return str(condition[0] if isinstance(condition, tuple) else condition)


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
            left.append(f"tests/rules/test_boundaries.py needs a row for {rule.id}, written by hand: {why}")
    BOUNDARIES.write_text(table, encoding="utf-8")
    return left


if __name__ == "__main__":
    sys.exit("\n".join(renew()) or 0)
