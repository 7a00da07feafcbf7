"""Compiles conditions of rules to tests of a context.

Owns what a condition means, and the error of a rule that cannot be loaded. Must not know the other parts of a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import cast

from agents.coordination.rules.facts import FACTS, FactContext, Value
from agents.coordination.rules.facts.values import NUMBERS, TRUTHS, VALUES
from agents.coordination.rules.rule import Condition, Limits, Scalar, Where
from streams.contract.suggestions import did_you_mean


class Test:
    """One condition: the fact to read, and whether its value fits. Equal conditions share one object."""

    __slots__ = ("fact", "fits", "read")

    def __init__(self, fact: str, fits: Callable[[Value], bool]) -> None:
        self.fact = fact
        self.read = FACTS[fact]
        self.fits = fits


class RuleError(ValueError):
    """A rule that cannot be loaded. Names the rule, the field and the remedy."""

    def __init__(self, rule: str, field: str, detail: str, overlay: str = "") -> None:
        self.rule = rule
        self.field = field
        self.detail = detail
        self.overlay = overlay
        """The overlay with the error; empty if the error is in the rule's own file."""
        super().__init__(f"{f'overlay {overlay}: ' if overlay else ''}rule {rule}: {field}: {detail}")


def compile_where(where: Where, rule: str, field: str) -> tuple[Test, ...]:
    """Compile *where* to tests. Raises RuleError for an unknown fact, and for a condition that can never hold."""
    return tuple(_test(name, condition, rule, f"{field}.where.{name}") for name, condition in where.items())


def values_in(condition: Condition) -> tuple[Scalar, ...]:
    """Return the values that *condition* names, including those under `not`."""
    named = condition.not_ if isinstance(condition, Limits) else condition
    return named if isinstance(named, tuple) else () if named is None else (named,)


def holds(tests: Iterable[Test], context: FactContext) -> bool:
    """Return whether all *tests* hold."""
    # This runs dozens of times per event. A generator would cost as much as the tests themselves.
    for test in tests:  # noqa: SIM110
        if not test.fits(test.read(context)):
            return False
    return True


def holds_as_known(tests: Iterable[Test], context: FactContext, known: dict[Test, bool]) -> bool:
    """Return whether all *tests* hold. *known* has the results so far for the same context, because rules share conditions."""
    for test in tests:
        verdict = known.get(test)
        if verdict is None:
            verdict = known[test] = test.fits(test.read(context))
        if not verdict:
            return False
    return True


def _test(name: str, condition: Condition, rule: str, field: str) -> Test:
    if name not in FACTS:
        raise RuleError(rule, field, f"no such fact (`carerelay rules facts` lists them all){did_you_mean(name, FACTS, most=3)}")
    if condition == ():
        raise RuleError(rule, field, "an empty list never holds; write at least one value")
    if mismatch := _type_mismatch(name, condition):
        raise RuleError(rule, field, mismatch)
    allowed = VALUES.get(name, ())
    for value in values_in(condition) if allowed else ():
        if value not in allowed:
            raise RuleError(rule, field, f"is never {value!r}; it is one of {', '.join(allowed)}{did_you_mean(str(value), allowed)}")
    return _shared_test(name, condition, type(condition).__name__)


def _type_mismatch(name: str, condition: Condition) -> str:
    """Return why a value of this type can never fit the fact; empty if it can."""
    values = values_in(condition)
    if name in TRUTHS and not all(isinstance(value, bool) for value in values):
        return "is true or false; write true or false"
    if name in NUMBERS and any(isinstance(value, str | bool) for value in values):
        return "is a number; write for example {at_least: 2}"
    if name not in TRUTHS and any(isinstance(value, bool) for value in values):
        return "is text; write the expected value"
    if name not in NUMBERS and isinstance(condition, Limits) and (condition.at_least, condition.at_most) != (None, None):
        return "is not a number, so at_least and at_most never hold"
    if isinstance(condition, Limits) and condition.at_least is not None and condition.at_most is not None:
        low, high = condition.at_least, condition.at_most
        if low > high:
            return f"is never at least {low:g} and at most {high:g}; write {{at_least: {high:g}, at_most: {low:g}}}"
    return ""


@cache
def _shared_test(name: str, condition: Condition, kind: str) -> Test:
    """Return the one test of a condition, so that rules with an equal condition share it. *kind* keeps 1 and true apart."""
    del kind
    return Test(name, _limits(condition) if isinstance(condition, Limits) else _equals(condition))


def _equals(condition: Scalar | tuple[Scalar, ...]) -> Callable[[Value], bool]:
    wanted = frozenset(condition) if isinstance(condition, tuple) else frozenset((condition,))

    def equals(value: Value) -> bool:
        if value.__class__ is tuple or value.__class__ is frozenset:
            return not wanted.isdisjoint(cast("tuple[str, ...]", value))
        return value is not None and value in wanted

    return equals


def _limits(limits: Limits) -> Callable[[Value], bool]:
    unwanted = limits.not_ if isinstance(limits.not_, tuple) else () if limits.not_ is None else (limits.not_,)

    def within(value: Value) -> bool:
        if limits.known is not None and (value is not None) != limits.known:
            return False
        if value is None:
            return limits.known is False or limits.or_unknown
        if isinstance(value, tuple | frozenset):
            return frozenset(unwanted).isdisjoint(value)
        if value in unwanted:
            return False
        if limits.at_least is not None and (isinstance(value, str) or value < limits.at_least):
            return False
        return limits.at_most is None or (not isinstance(value, str) and value <= limits.at_most)

    return within
