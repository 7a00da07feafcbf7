"""The rule book `docs/rules.md`, generated from the catalogue, so that both agree.

Owns the order of the page. Must not know where files are, or decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agents.coordination.rules.explain import COMMON, common_steps, due_in_words, parts
from agents.coordination.rules.rule import Rule
from agents.coordination.rules.wording import role_in_words

_CHAPTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Notifications and encounters": ("NOT", "ENC"),
    "After a discharge": ("DIS", "TCM", "TRC", "MED", "NHS", "NICE", "EDIE"),
    "Mental health and substance use": ("FUH", "FUM", "FUA", "MH72"),
    "Chronic conditions, home health, nursing, pharmacy": ("FMC", "HHA", "SNF", "PHARM"),
    "Referrals": ("REF",),
    "Goals": ("GOAL",),
}


def render_rulebook(rules: Iterable[Rule]) -> str:
    """Return the page: what applies to every rule, a table of all *rules*, then what is specific to each."""
    order = sorted(rules, key=_position)
    lines = [
        "# The rules",
        "",
        "Generated from `agents/coordination/catalogue/` by `make rules`; a test compares them. `carerelay rules show TCM-1` explains",
        "one rule. [Write a rule](write-a-rule.md) explains how to add one.",
        "",
        "## For every rule",
        "",
        *(f"- {sentence}" for sentence in COMMON),
        "",
        "The common steps, for a rule that has no steps of its own:",
        "",
        *(f"- {step}" for step in common_steps()),
        "",
        "## All rules",
        "",
        "| rule | profile | what is to be done | opens on | accountable | due | source |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *map(_row, order),
    ]
    chapter = ""
    for rule in order:
        if _chapter(rule) != chapter:
            chapter = _chapter(rule)
            lines += ["", f"## {chapter}"]
        lines += ["", f"### {rule.id}", "", f"{rule.title}."]
        if rule.about.strip():
            lines += ["", " ".join(rule.about.split())]
        for heading, sentences in parts(rule):
            # The table already has the owner, the clock and the source.
            shown = {"Who is accountable": sentences[1:], "When it is due": sentences[1:], "Where it comes from": []}.get(
                heading, sentences
            )
            if shown:
                lines += ["", f"{heading}:", "", *(f"- {sentence}" for sentence in shown)]
    return "\n".join(lines) + "\n"


def _row(rule: Rule) -> str:
    cells = (
        f"[{rule.id}](#{rule.id.lower()})",
        ", ".join(rule.profiles) or "all",
        rule.title,
        ", ".join(dict.fromkeys(trigger.event for trigger in rule.triggers)),
        role_in_words(rule.accountable).removeprefix("the "),
        due_in_words(rule),
        " ".join(rule.source.split()).replace("|", "/"),
    )
    return f"| {' | '.join(cells)} |"


def _chapter(rule: Rule) -> str:
    prefix = rule.id.partition("-")[0]
    return next((name for name, prefixes in _CHAPTERS.items() if prefix in prefixes), "Others")


def _position(rule: Rule) -> tuple[int, int, str, int, str]:
    prefix, _, number = rule.id.partition("-")
    chapters = list(_CHAPTERS)
    chapter = _chapter(rule)
    at = chapters.index(chapter) if chapter in _CHAPTERS else len(chapters)
    inside = _CHAPTERS[chapter].index(prefix) if chapter in _CHAPTERS else 0
    return at, inside, prefix, int(number) if number.isdigit() else 0, rule.id
