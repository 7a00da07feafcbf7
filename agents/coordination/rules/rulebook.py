"""The book of rules: `docs/rules.md`, drawn from the catalogue's data, so that it can't say anything else.

Owns the page's order and wording around each rule. Must not know a file's place or decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agents.coordination.rules.explain import clock_in_words, explain
from agents.coordination.rules.rule import Rule

_CHAPTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "News": ("NOT", "ENC"),
    "After a discharge": ("DIS", "TCM", "TRC", "MED", "NHS", "NICE", "EDIE"),
    "Mental health and substance use": ("FUH", "FUM", "FUA", "MH72"),
    "Many conditions, nursing, pharmacy": ("FMC", "HHA", "SNF", "PHARM"),
    "Referrals": ("REF",),
    "Goals": ("GOAL",),
}


def render_rulebook(rules: Iterable[Rule]) -> str:
    """Return the page: a table of all *rules*, then each in plain words, in chapters."""
    known = {rule.id: rule for rule in rules}
    order = sorted(known.values(), key=_place)
    lines = [
        "# The rules",
        "",
        "Drawn from `agents/coordination/catalogue/` by `python -m agents.coordination.rules.rulebook > docs/rules.md`; a test compares.",
        "`carerelay rules show TCM-1` says the same of one rule. Death, and the cancellation of what opened it, end every handoff.",
        "",
        "| rule | what is to be done | within | accountable | where |",
        "| --- | --- | --- | --- | --- |",
        *map(_row, order),
    ]
    chapter = ""
    for rule in order:
        if _chapter(rule) != chapter:
            chapter = _chapter(rule)
            lines += ["", f"## {chapter}"]
        title, _, text = explain(rule).partition("\n")
        lines += ["", f"### {rule.id}", "", title.partition(": ")[2] + ".", "", "```", text.strip("\n"), "```"]
    return "\n".join(lines) + "\n"


def _row(rule: Rule) -> str:
    where = ", ".join(rule.profiles) or "everywhere"
    return f"| [{rule.id}](#{rule.id.lower()}) | {rule.title} | {_within(rule)} | {rule.accountable} | {where} |"


def _within(rule: Rule) -> str:
    said = clock_in_words(rule.clock)
    others = dict.fromkeys(clock_in_words(case.clock) for case in rule.cases)
    return f"{said} ({', '.join(others)})" if others else said


def _chapter(rule: Rule) -> str:
    prefix = rule.id.partition("-")[0]
    return next((name for name, prefixes in _CHAPTERS.items() if prefix in prefixes), "Others")


def _place(rule: Rule) -> tuple[int, int, str, int, str]:
    prefix, _, number = rule.id.partition("-")
    chapters = list(_CHAPTERS)
    chapter = _chapter(rule)
    at = chapters.index(chapter) if chapter in _CHAPTERS else len(chapters)
    inside = _CHAPTERS[chapter].index(prefix) if chapter in _CHAPTERS else 0
    return at, inside, prefix, int(number) if number.isdigit() else 0, rule.id


if __name__ == "__main__":
    # Reads files, which a pure module does not: only the script that writes the page needs it.
    from agents.coordination.rules.loading import load_catalogue

    print(render_rulebook(load_catalogue().rules.values()), end="")  # noqa: T201 -- the page is what this prints
