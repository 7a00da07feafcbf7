"""All rules of a deployment, with overlays applied, looked up by event type.

Owns the catalogue and an organisation's view of it. Must not know files (`loading.py`), the checks of a single rule
(`validation.py`), or what happens when a rule fires (`handoffs/`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from agents.coordination.reference.directory import EVERY, Organisation
from agents.coordination.rules.compiled import CompiledNotice, CompiledRule, CompiledStep
from agents.coordination.rules.conditions import RuleError, Test, holds, holds_as_known
from agents.coordination.rules.facts import PLAIN, FactContext, Value
from agents.coordination.rules.quiet_hours import Quiet
from agents.coordination.rules.rule import Notice, Overlay, Rule, RuleChange, Tell, Trigger
from agents.coordination.rules.validation import ISSUED, check_codes, check_groups
from streams.contract.suggestions import did_you_mean
from streams.contract.topics import ADMISSION, DISCHARGE, FACT_OF, GOAL, TEAM

_KEPT_MAX: Final = 4096
"""The size limit of each cache. There is a limit because senders may use any code and any date."""


Row = tuple[CompiledRule, tuple[tuple[Trigger, tuple[Test, ...]], ...]]
"""A rule, and its triggers, each with the tests that are not computed yet."""


class Openings:
    """The rules that one type of event may open on one day, with a cache by the plain facts of a context.

    Nearly all triggers fail on the same few plain facts (setting, disposition, status ...). For given values of these facts, the
    remaining triggers are computed once. So the cost of an event depends on the rules that may apply, not on all rules.
    """

    __slots__ = ("_left", "_plain", "_rows")

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        tests = {test.fact: test for _, triggers in rows for _, tests in triggers for test in tests if test.fact in PLAIN}
        self._plain = tuple((name, tests[name].read) for name in sorted(tests))
        self._left: dict[tuple[Value, ...], tuple[Row, ...]] = {}

    def left(self, context: FactContext) -> tuple[Row, ...]:
        """Return the rules that *context* may open."""
        values = tuple([read(context) for _, read in self._plain])
        found = self._left.get(values)
        if found is None:
            if len(self._left) >= _KEPT_MAX:
                self._left.clear()
            found = self._left[values] = self._narrowed(dict(zip((name for name, _ in self._plain), values, strict=True)))
        return found

    def _narrowed(self, values: Mapping[str, Value]) -> tuple[Row, ...]:
        found = []
        for rule, triggers in self._rows:
            left = tuple(
                (trigger, tuple(test for test in tests if test.fact not in values))
                for trigger, tests in triggers
                if all(test.fits(values[test.fact]) for test in tests if test.fact in values)
            )
            if left:
                found.append((rule, left))
        return tuple(found)


class View:
    """The rules that apply to one organisation and the programmes of one person."""

    __slots__ = ("_openings", "by_id")

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.by_id: dict[str, CompiledRule] = {rule.id: rule for rule in rules}
        self._openings: dict[tuple[str, date], Openings] = {}

    def openings(self, event: str, day: date) -> Openings:
        """Return the rules that *event* may open on *day*."""
        found = self._openings.get((event, day))
        if found is None:
            if len(self._openings) >= _KEPT_MAX:
                self._openings.clear()
            rows = [(rule, rule.triggers[event]) for rule in self.by_id.values() if event in rule.triggers and in_force(rule.rule, day)]
            found = self._openings[event, day] = Openings(rows)
        return found


NO_CHANGE: Final = Quiet()


class Catalogue:
    """All rules, overlays and the routing table of a deployment, checked and compiled.

    *codes*: codes of care activities in addition to the contract's. *groups*: groups of the value sets; empty if they are unknown.
    Raises RuleError. A folder may contain several versions of a rule. The newest one opens handoffs; an older one applies to the
    handoffs that it opened.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        notices: Iterable[Notice],
        overlays: Iterable[Overlay] = (),
        quiet: Quiet = NO_CHANGE,
        codes: Iterable[str] = (),
        *,
        groups: Collection[str] = (),
    ) -> None:
        self.quiet = quiet
        self._groups = groups
        self.codes = frozenset(codes)
        self.versions: dict[tuple[str, int], CompiledRule] = {}
        newest: dict[str, Rule] = {}
        for rule in rules:
            if (rule.id, rule.version) in self.versions:
                raise RuleError(rule.id, "version", f"version {rule.version} is defined twice")
            self._check_names(rule)
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
                self._check_change(overlay, id_, change)
        self.remembered = self._remembered()
        self.listens = self._listens()
        self.silences = frozenset(rule.id for rule in (*self.versions.values(), *self._compiled.values()) if rule.rule.again == "extend")
        """The rules that wait until no more messages about an encounter arrive."""

    def _check_names(self, rule: Rule) -> None:
        check_codes(rule, self.codes)
        if self._groups:
            check_groups(rule, self._groups)

    def _check_change(self, overlay: Overlay, id_: str, change: RuleChange) -> None:
        if id_ not in self.rules:
            hint = did_you_mean(id_, self.rules, most=3)
            raise RuleError(id_, "id", f"no such rule in the catalogue; write one of {', '.join(self.rules)}{hint}", overlay.id)
        try:
            self._ready(_changed(self.rules[id_], change))
        except RuleError as wrong:
            raise RuleError(id_, wrong.field, wrong.detail, overlay.id) from wrong

    def changes_of(self, id_: str) -> Iterable[tuple[Overlay, Rule]]:
        """Yield each overlay that changes the rule, with the rule as it is if only that overlay applies."""
        for overlay in self.overlays:
            if id_ in overlay.rules:
                yield overlay, _changed(self.rules[id_], overlay.rules[id_])

    def view(self, organisation: Organisation, programmes: tuple[str, ...] = ()) -> View:
        """Return the rules that apply to *organisation*. Cached, because every event needs them."""
        key = (organisation.id, programmes)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._resolve(organisation, programmes)
        return view

    def find(self, view: View, id_: str, version: int) -> CompiledRule | None:
        """Return the rule version that a handoff was opened with, or the present one if the catalogue no longer has that version."""
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
            elif organisation.profile in overlay.profiles or not overlay.names_somebody:
                matching.append((bool(overlay.profiles) - 1, overlay.id, overlay))
        matching.sort(key=lambda row: row[:2])
        found = []
        for id_, base in self.rules.items():
            rule = base
            if rule.profiles and organisation.profile not in {*rule.profiles, EVERY}:
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
            self._check_names(rule)
            compiled = self._compiled[key] = CompiledRule(rule)
        return compiled

    def _listens(self) -> Mapping[str, frozenset[str]]:
        """Return for each rule the event types that may close, end or shorten it, in any version and with any overlay."""
        found: dict[str, frozenset[str]] = {}
        for rule in (*self.versions.values(), *self._compiled.values()):
            found[rule.id] = found.get(rule.id, frozenset()) | {*rule.closes, *rule.ends, *rule.shortens}
        return found

    def _remembered(self) -> frozenset[str]:
        """Return the event types to keep for a trigger that arrives later: those that close, end or shorten a handoff."""
        types: set[str] = set()
        for rule in (*self.versions.values(), *self._compiled.values()):
            types.update(rule.closes, rule.ends, rule.shortens)
        # A response names a handoff, so it cannot arrive before the handoff's trigger.
        needs_task = {t for t in types if t in FACT_OF and {"task", "notification"} & set(FACT_OF[t].__struct_fields__)}
        # The state has encounters, goals and care teams, so their events need not be kept. An encounter does not record when its
        # class changed, so that event is kept.
        in_state = {kind.__name__ for kind in (*ADMISSION.types, *DISCHARGE.types, *GOAL.types, *TEAM.types)} - {"EncounterClassChanged"}
        return frozenset(types - needs_task - in_state)


def _notices(notices: Iterable[Notice]) -> Mapping[str, tuple[CompiledNotice, ...]]:
    found: dict[str, list[CompiledNotice]] = {}
    seen: set[str] = set()
    for notice in notices:
        if notice.id in seen:
            raise RuleError(notice.id, "id", "is defined twice in routing.yaml")
        seen.add(notice.id)
        found.setdefault(notice.event, []).append(CompiledNotice(notice))
    return {event: tuple(rows) for event, rows in found.items()}


def _changed(rule: Rule, change: RuleChange) -> Rule:
    named = {field: value for field in change.__struct_fields__ if (value := getattr(change, field)) is not None}
    return msgspec.structs.replace(rule, **named)


def in_force(rule: Rule, day: date) -> bool:
    """Return whether *rule* opens handoffs on *day*."""
    return rule.effective_from <= day and (rule.effective_to is None or day < rule.effective_to)


__all__ = [
    "ISSUED",
    "Catalogue",
    "CompiledNotice",
    "CompiledRule",
    "CompiledStep",
    "RuleError",
    "Tell",
    "Test",
    "View",
    "holds",
    "holds_as_known",
    "in_force",
]
