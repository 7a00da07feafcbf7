"""Rules made ready to be asked: conditions compiled, overlays resolved, looked up by event type.

Owns validation of what a rule says (known facts, events that can happen, a way to close) and the view that an organisation
has of the catalogue. Must not know files (`catalogue.py`) or what happens when a rule fires (`handoffs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cache
from typing import Any, Final, cast

import msgspec

from agents.coordination.activities import why_unknown
from agents.coordination.calendar import Clock
from agents.coordination.directory import Organisation
from agents.coordination.facts import FACTS, Scene, Value
from agents.coordination.quiet import Quiet
from agents.coordination.rule import (
    COMMON_LADDER,
    Closing,
    Condition,
    Limits,
    Moment,
    Notice,
    Overlay,
    Rule,
    RuleChange,
    Step,
    Tell,
    Trigger,
    Where,
    moment_of,
)
from streams.codes import CODES
from streams.topics import ADMISSION, DISCHARGE, FACT_OF, GOAL, TEAM

Test = Callable[[Scene], bool]

ISSUED: Final = "NotificationIssued"
"""The one outbound event that may open a handoff: somebody was told and is asked to answer."""

_EVENT_FIELD: Final = {"code": "code", "status": "status", "outcome": "outcome", "by": "by", "registration": "registration"}
"""Facts that only the event itself can say: an event without the field never fulfils such a condition."""

_FIRST: Final = date(1970, 1, 1)


class RuleError(ValueError):
    """A rule that must not be loaded: names the rule and the field, and how to mend it."""

    def __init__(self, rule: str, field: str, detail: str) -> None:
        self.rule = rule
        self.field = field
        super().__init__(f"rule {rule}: {field}: {detail}")


# ---- conditions


def compile_where(where: Where, rule: str, field: str) -> tuple[Test, ...]:
    """Make tests of *where*. Raises RuleError for a fact that is not in the vocabulary."""
    return tuple(_test(name, condition, rule, f"{field}.where.{name}") for name, condition in where.items())


def holds(tests: Iterable[Test], scene: Scene) -> bool:
    """Say whether all *tests* hold."""
    # A plain loop: a generator costs as much as the tests themselves, and this runs dozens of times an event.
    for test in tests:  # noqa: SIM110
        if not test(scene):
            return False
    return True


def holds_as_known(tests: Iterable[Test], scene: Scene, known: dict[Test, bool]) -> bool:
    """Say whether all *tests* hold, asking each only once for a scene that does not change: rules share conditions."""
    for test in tests:
        verdict = known.get(test)
        if verdict is None:
            verdict = known[test] = test(scene)
        if not verdict:
            return False
    return True


def _test(name: str, condition: Condition, rule: str, field: str) -> Test:
    if name not in FACTS:
        raise RuleError(rule, field, f"no such fact; known are {', '.join(sorted(FACTS))}")
    if condition == ():
        raise RuleError(rule, field, "an empty list can never hold; name what is wanted")
    return _shared_test(name, condition, type(condition).__name__)


@cache
def _shared_test(name: str, condition: Condition, kind: str) -> Test:
    """Return the one test of a condition, so that rules that ask the same share its answer. *kind* keeps 1 and true apart."""
    del kind
    read = FACTS[name]
    if isinstance(condition, Limits):
        return _limits(read, condition)
    wanted = frozenset(condition) if isinstance(condition, tuple) else frozenset((condition,))

    def equals(scene: Scene) -> bool:
        value = read(scene)
        if value.__class__ is tuple or value.__class__ is frozenset:
            return not wanted.isdisjoint(cast("tuple[str, ...]", value))
        return value is not None and value in wanted

    return equals


def _limits(read: Callable[[Scene], Value], limits: Limits) -> Test:
    unwanted = limits.not_ if isinstance(limits.not_, tuple) else () if limits.not_ is None else (limits.not_,)

    def within(scene: Scene) -> bool:
        value = read(scene)
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


# ---- one rule


class Rung:
    """A step of the ladder, ready."""

    __slots__ = ("moment", "step", "tests")

    def __init__(self, step: Step, moment: Moment, tests: tuple[Test, ...]) -> None:
        self.step = step
        self.moment = moment
        self.tests = tests


class CompiledRule:
    """A rule with its conditions compiled and its closing events by type."""

    __slots__ = ("cases", "closes", "ends", "id", "rule", "rungs", "shortens", "triggers", "until", "version")

    def __init__(self, rule: Rule) -> None:
        _check(rule)
        self.rule = rule
        self.id = rule.id
        self.version = rule.version
        self.triggers = _by_event((t.event, t, compile_where(t.where, rule.id, f"triggers[{i}]")) for i, t in enumerate(rule.triggers))
        self.closes: Mapping[str, tuple[tuple[int, Closing, tuple[Test, ...]], ...]] = _closings(rule)
        self.ends = _by_event((t.event, t, compile_where(t.where, rule.id, f"ends[{i}]")) for i, t in enumerate(rule.ends))
        self.shortens = _by_event((s.event, s, compile_where(s.where, rule.id, f"shortens[{i}]")) for i, s in enumerate(rule.shortens))
        self.cases = tuple((compile_where(c.where, rule.id, f"cases[{i}]"), c.clock) for i, c in enumerate(rule.cases))
        self.until = FACTS[rule.until] if rule.until else None
        self.rungs = tuple(
            Rung(step, _moment(step, rule, i), compile_where(step.where, rule.id, f"steps[{i}]"))
            for i, step in enumerate(rule.steps or COMMON_LADDER)
        )

    def clock(self, scene: Scene) -> Clock:
        """Return the clock that holds for the scene: the first case whose conditions hold, else the rule's own."""
        for tests, clock in self.cases:
            if holds(tests, scene):
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


def _moment(step: Step, rule: Rule, index: int) -> Moment:
    try:
        return moment_of(step.at, rule.clock)
    except ValueError as wrong:
        raise RuleError(rule.id, f"steps[{index}].at", str(wrong)) from wrong


def _check(rule: Rule) -> None:
    for field in ("id", "title", "neutral_title", "source", "accountable"):
        if not getattr(rule, field).strip():
            raise RuleError(rule.id or "?", field, "empty; every rule says it")
    if rule.version < 1:
        raise RuleError(rule.id, "version", "counts from 1")
    if not rule.triggers:
        raise RuleError(rule.id, "triggers", "nothing can open it; name at least one event")
    if not rule.closes and not rule.completable:
        raise RuleError(rule.id, "closes", "no event can close it; name one, or set completable: true")
    if rule.until is not None and rule.until not in FACTS:
        raise RuleError(rule.id, "until", f"{rule.until!r} is no fact")
    for field, clock in (("clock", rule.clock), *((f"cases[{i}].clock", c.clock) for i, c in enumerate(rule.cases))):
        if clock.amount < (0 if clock.unit in {"day", "business-day"} else 1):
            raise RuleError(rule.id, field, f"an amount of {clock.amount} {clock.unit} is no time to act in")
    for i, trigger in enumerate(rule.triggers):
        _check_event(rule, f"triggers[{i}]", trigger, trigger.event)
    for i, closing in enumerate(rule.closes):
        _check_event(rule, f"closes[{i}]", closing, closing.event)
        if closing.count < 1:
            raise RuleError(rule.id, f"closes[{i}].count", "counts from 1")
    for i, ending in enumerate(rule.ends):
        _check_event(rule, f"ends[{i}]", ending, ending.event)
    for i, shortening in enumerate(rule.shortens):
        _check_event(rule, f"shortens[{i}]", shortening, shortening.event)


def _check_event(rule: Rule, field: str, row: Any, event: str) -> None:
    """Refuse an event that does not exist, and a condition that this event can never fulfil."""
    if event == ISSUED and isinstance(row, Trigger):
        return
    kind = FACT_OF.get(event)
    if kind is None:
        known = ", ".join(sorted(FACT_OF))
        raise RuleError(rule.id, f"{field}.event", f"{event!r} is no event that can arrive; known are {known}")
    for name, condition in row.where.items():
        attribute = _EVENT_FIELD.get(name)
        if attribute is None:
            continue
        if attribute not in kind.__struct_fields__:
            raise RuleError(rule.id, f"{field}.where.{name}", f"{event} has no {name}, so this can never hold")
        codes = CODES.get((event, attribute))
        if codes is None or isinstance(condition, Limits):
            continue
        for value in condition if isinstance(condition, tuple) else (condition,):
            if value not in codes.codes:
                raise RuleError(rule.id, f"{field}.where.{name}", f"{event} never says {value!r}; it says one of {', '.join(codes.codes)}")


def _check_codes(rule: Rule, further: Iterable[str]) -> None:
    """Refuse a code of a care activity that nobody sends: what waits for it would wait for ever."""
    listed: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("triggers", rule.triggers),
        ("closes", rule.closes),
        ("ends", rule.ends),
        ("shortens", rule.shortens),
    )
    for field, rows in listed:
        for i, row in enumerate(rows):
            wanted = row.where.get("code")
            if row.event != "CareActivityRecorded" or wanted is None or isinstance(wanted, Limits):
                continue
            for code in wanted if isinstance(wanted, tuple) else (wanted,):
                unknown = why_unknown(str(code), further)
                if unknown:
                    raise RuleError(rule.id, f"{field}[{i}].where.code", unknown)


class CompiledNotice:
    """A row of the routing table, ready."""

    __slots__ = ("notice", "tests")

    def __init__(self, notice: Notice) -> None:
        kind = FACT_OF.get(notice.event)
        if kind is None:
            raise RuleError(notice.id, "event", f"{notice.event!r} is no event that can arrive")
        if not notice.tells:
            raise RuleError(notice.id, "tells", "nobody is told; name at least one role")
        self.notice = notice
        self.tests = compile_where(notice.where, notice.id, "notices")


# ---- the catalogue and an organisation's view of it


class View:
    """The rules that hold for one organisation (and the programmes of one person)."""

    __slots__ = ("by_id", "by_trigger")

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.by_id: dict[str, CompiledRule] = {rule.id: rule for rule in rules}
        found: dict[str, list[CompiledRule]] = {}
        for rule in self.by_id.values():
            for event in rule.triggers:
                found.setdefault(event, []).append(rule)
        self.by_trigger = {event: tuple(rules_) for event, rules_ in found.items()}


NO_CHANGE: Final = Quiet()


class Catalogue:
    """All rules, overlays and the routing table of a deployment, checked and compiled.

    Raises RuleError. Several versions of a rule may stand in the folder: the newest opens handoffs, the others serve those
    that were opened with them.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        notices: Iterable[Notice],
        overlays: Iterable[Overlay] = (),
        quiet: Quiet = NO_CHANGE,
        codes: Iterable[str] = (),
    ) -> None:
        self.quiet = quiet
        self._codes = frozenset(codes)
        self.versions: dict[tuple[str, int], CompiledRule] = {}
        newest: dict[str, Rule] = {}
        for rule in rules:
            if (rule.id, rule.version) in self.versions:
                raise RuleError(rule.id, "version", f"version {rule.version} is there twice")
            _check_codes(rule, self._codes)
            self.versions[rule.id, rule.version] = CompiledRule(rule)
            if rule.id not in newest or newest[rule.id].version < rule.version:
                newest[rule.id] = rule
        self.rules: Mapping[str, Rule] = dict(sorted(newest.items()))
        self.overlays = tuple(overlays)
        self._views: dict[tuple[str, tuple[str, ...]], View] = {}
        self._compiled: dict[bytes, CompiledRule] = {}
        self.notices: Mapping[str, tuple[CompiledNotice, ...]] = _notices(notices)
        self.late_window_days = {id_: rule.late_window_days for id_, rule in self.rules.items()}
        for overlay in self.overlays:
            for id_, change in overlay.rules.items():
                if id_ not in self.rules:
                    raise RuleError(id_, f"overlay {overlay.id}", "no such rule in the catalogue")
                self._ready(_changed(self.rules[id_], change))
        self.remembered = self._remembered()
        self.listens = self._listens()

    def view(self, organisation: Organisation, programmes: tuple[str, ...] = ()) -> View:
        """Return the rules that hold for *organisation*; cached, for it is asked with every event."""
        key = (organisation.id, programmes)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._resolve(organisation, programmes)
        return view

    def find(self, view: View, id_: str, version: int) -> CompiledRule | None:
        """Return the rule that a handoff was opened with; the present one where that version is no longer in the catalogue."""
        present = view.by_id.get(id_)
        if present is not None and present.version == version:
            return present
        return self.versions.get((id_, version)) or present or self._last_known(id_)

    def _last_known(self, id_: str) -> CompiledRule | None:
        rule = self.rules.get(id_)
        return self.versions[id_, rule.version] if rule else None

    def _resolve(self, organisation: Organisation, programmes: tuple[str, ...]) -> View:
        matching: list[tuple[int, str, Overlay]] = []
        for overlay in self.overlays:
            if set(overlay.programmes) & set(programmes):
                matching.append((3, overlay.id, overlay))
            elif organisation.id in overlay.organisations:
                matching.append((2, overlay.id, overlay))
            elif set(overlay.localities) & set(organisation.localities):
                matching.append((1, overlay.id, overlay))
            elif organisation.profile in overlay.profiles:
                matching.append((0, overlay.id, overlay))
        matching.sort(key=lambda row: row[:2])
        found = []
        for id_, base in self.rules.items():
            rule = base
            if rule.profiles and organisation.profile not in rule.profiles:
                rule = msgspec.structs.replace(rule, enabled=False)
            for _, _, overlay in matching:
                if id_ in overlay.rules:
                    rule = _changed(rule, overlay.rules[id_])
            if rule.enabled:
                found.append(self.versions[id_, base.version] if rule is base else self._ready(rule))
        return View(found)

    def _ready(self, rule: Rule) -> CompiledRule:
        key = msgspec.json.encode(rule)
        compiled = self._compiled.get(key)
        if compiled is None:
            _check_codes(rule, self._codes)
            compiled = self._compiled[key] = CompiledRule(rule)
        return compiled

    def _listens(self) -> Mapping[str, frozenset[str]]:
        """Return for each rule, all its versions and overlays together, the event types that may close, end or shorten it."""
        found: dict[str, frozenset[str]] = {}
        for rule in (*self.versions.values(), *self._compiled.values()):
            found[rule.id] = found.get(rule.id, frozenset()) | {*rule.closes, *rule.ends, *rule.shortens}
        return found

    def _remembered(self) -> frozenset[str]:
        """Return the event types that a later-arriving trigger may need: what closes, ends or shortens, but for responses."""
        types: set[str] = set()
        for rule in (*self.versions.values(), *self._compiled.values()):
            types.update(rule.closes, rule.ends, rule.shortens)
        # What happens to a stay is kept in the state as the stay, and an update of it is most of what comes; a response names
        # a handoff, so it can't come before it.
        needs_task = {t for t in types if t in FACT_OF and {"task", "notification"} & set(FACT_OF[t].__struct_fields__)}
        # Goals and care teams stand in the state too.
        kept = {kind.__name__ for kind in (*ADMISSION.types, *DISCHARGE.types, *GOAL.types, *TEAM.types)}
        return frozenset(types - needs_task - kept)


def _notices(notices: Iterable[Notice]) -> Mapping[str, tuple[CompiledNotice, ...]]:
    found: dict[str, list[CompiledNotice]] = {}
    seen: set[str] = set()
    for notice in notices:
        if notice.id in seen:
            raise RuleError(notice.id, "id", "is there twice in routing.yaml")
        seen.add(notice.id)
        found.setdefault(notice.event, []).append(CompiledNotice(notice))
    return {event: tuple(rows) for event, rows in found.items()}


def _changed(rule: Rule, change: RuleChange) -> Rule:
    named = {field: value for field in change.__struct_fields__ if (value := getattr(change, field)) is not None}
    return msgspec.structs.replace(rule, **named)


def in_force(rule: Rule, day: date) -> bool:
    """Say whether *rule* opens handoffs on *day*."""
    return rule.effective_from <= day and (rule.effective_to is None or day < rule.effective_to)


def always_in_force(rule: Rule) -> bool:
    """Say whether *rule* has no effective dates to look at."""
    return rule.effective_to is None and rule.effective_from == _FIRST


__all__ = [
    "ISSUED",
    "Catalogue",
    "CompiledNotice",
    "CompiledRule",
    "RuleError",
    "Rung",
    "Tell",
    "View",
    "always_in_force",
    "holds",
    "in_force",
]
