"""A rule, and a row of the routing table, in the form that decisions use: conditions compiled, rows by event type.

Owns this form. Must not know overlays (`catalogue.py`) or what happens when a rule fires (`handoffs/`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from agents.coordination.reference.calendar import Clock, Unit
from agents.coordination.rules.conditions import RuleError, Test, compile_where, holds
from agents.coordination.rules.facts import FACTS, FactContext
from agents.coordination.rules.rule import COMMON_LADDER, Closing, Moment, Notice, Rule, Step, moments_of
from agents.coordination.rules.validation import check, check_urgency
from streams.contract.suggestions import did_you_mean
from streams.contract.topics import FACT_OF

_RISKS: Final = frozenset({"risk_tier", "lace", "hospital_derivation", "hospital_international", "flags"})


class CompiledStep:
    """A compiled step. *moments*: when it is reached, for each unit that the clock of a handoff may have."""

    __slots__ = ("_first", "_moments", "owner", "tells", "tests", "then")

    def __init__(self, step: Step, moments: Mapping[Unit, Moment], tests: tuple[Test, ...]) -> None:
        self.owner = step.owner
        self.tells = step.tells
        self.then = step.then
        self.tests = tests
        self._moments = moments
        self._first = next(iter(moments.values()))

    def moment(self, unit: Unit | Literal[""]) -> Moment:
        """Return when a handoff reaches the step if its clock counts in *unit*. Empty: a fact, not a clock, set the due time."""
        return self._moments.get(unit, self._first) if unit else self._first


class CompiledRule:
    """A rule with compiled conditions, and with its triggers, closings, endings and shortenings by event type."""

    __slots__ = ("asks_risk", "cases", "closes", "ends", "id", "rule", "shortens", "steps", "triggers", "until", "version")

    def __init__(self, rule: Rule) -> None:
        check(rule)
        self.rule = rule
        self.id = rule.id
        self.version = rule.version
        self.triggers = _by_event((t.event, t, compile_where(t.where, rule.id, f"triggers[{i}]")) for i, t in enumerate(rule.triggers))
        self.closes: Mapping[str, tuple[tuple[int, Closing, tuple[Test, ...]], ...]] = _closings(rule)
        self.ends = _by_event((t.event, t, compile_where(t.where, rule.id, f"ends[{i}]")) for i, t in enumerate(rule.ends))
        self.shortens = _by_event((s.event, s, compile_where(s.where, rule.id, f"shortens[{i}]")) for i, s in enumerate(rule.shortens))
        self.cases = tuple((compile_where(c.where, rule.id, f"cases[{i}]"), c.clock) for i, c in enumerate(rule.cases))
        self.asks_risk = any(_RISKS & trigger.where.keys() for trigger in rule.triggers)
        """Whether a trigger depends on the person's risk. If so, the handoff's texts state the scores."""
        self.until = FACTS[rule.until] if rule.until else None
        self.steps = tuple(
            CompiledStep(step, _moments(step, rule, i), compile_where(step.where, rule.id, f"steps[{i}]"))
            for i, step in enumerate(rule.steps or COMMON_LADDER)
        )

    def clock(self, context: FactContext) -> Clock:
        """Return the clock for *context*: that of the first case whose conditions hold, else the rule's own."""
        for tests, clock in self.cases:
            if holds(tests, context):
                return clock
        return self.rule.clock


def _by_event(rows: Iterable[tuple[str, Any, tuple[Test, ...]]]) -> Mapping[str, tuple[tuple[Any, tuple[Test, ...]], ...]]:
    found: dict[str, list[tuple[Any, tuple[Test, ...]]]] = {}
    for event, row, tests in rows:
        found.setdefault(event, []).append((row, tests))
    return {event: tuple(rows_) for event, rows_ in found.items()}


def _closings(rule: Rule) -> Mapping[str, tuple[tuple[int, Closing, tuple[Test, ...]], ...]]:
    found: dict[str, list[tuple[int, Closing, tuple[Test, ...]]]] = {}
    for i, closing in enumerate(rule.closes):
        found.setdefault(closing.event, []).append((i, closing, compile_where(closing.where, rule.id, f"closes[{i}]")))
    return {event: tuple(rows) for event, rows in found.items()}


def _moments(step: Step, rule: Rule, index: int) -> Mapping[Unit, Moment]:
    try:
        return moments_of(rule, step)
    except ValueError as wrong:
        raise RuleError(rule.id, f"steps[{index}].at", str(wrong)) from wrong


class CompiledNotice:
    """A compiled row of the routing table."""

    __slots__ = ("notice", "tests")

    def __init__(self, notice: Notice) -> None:
        kind = FACT_OF.get(notice.event)
        if kind is None:
            hint = did_you_mean(notice.event, FACT_OF, most=3)
            raise RuleError(notice.id, "event", f"{notice.event!r} is not an event (`carerelay rules codes` lists them all){hint}")
        check_urgency(notice.id, notice)
        if not notice.tells:
            raise RuleError(notice.id, "tells", "nobody is notified; name at least one role")
        self.notice = notice
        self.tests = compile_where(notice.where, notice.id, "notices")
