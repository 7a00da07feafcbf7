"""The checks that a rule must pass to be loaded: known facts, existing events and codes, a way to close.

Owns the checks. Each error names the rule, the field and the remedy. Must not know what happens when a rule fires.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from agents.coordination.reference.activity_codes import why_unknown
from agents.coordination.rules.conditions import RuleError, values_in
from agents.coordination.rules.facts import FACTS
from agents.coordination.rules.facts.values import GROUPS
from agents.coordination.rules.rule import Limits, Rule, Trigger
from streams.contract.codes import CODES
from streams.contract.suggestions import did_you_mean
from streams.contract.topics import FACT_OF

ISSUED: Final = "NotificationIssued"
"""The only outbound event that may open a handoff: a notification was issued, and its recipient has to respond."""

OUTREACH: Final = ("reached", "no-answer", "voicemail", "refused")
"""The outcomes of an attempt to reach a person, as the contract lists them."""

_EVENT_FIELD: Final = {"code": "code", "status": "status", "outcome": "outcome", "by": "by", "registration": "registration"}
"""Facts that are a field of the event itself. An event without the field can never meet such a condition."""


def check(rule: Rule) -> None:
    """Refuse a rule that cannot work. Raises RuleError."""
    for field in ("id", "title", "neutral_title", "source", "accountable"):
        if not getattr(rule, field).strip():
            raise RuleError(rule.id or "?", field, "empty; every rule needs it")
    if rule.version < 1:
        raise RuleError(rule.id, "version", "must be 1 or more")
    if not rule.triggers:
        raise RuleError(rule.id, "triggers", "nothing can open it; name at least one event")
    if not rule.closes and not rule.completable:
        raise RuleError(rule.id, "closes", "no event can close it; name one, or set completable: true")
    if rule.until is not None and rule.until not in FACTS:
        raise RuleError(
            rule.id,
            "until",
            f"{rule.until!r} is not a fact{did_you_mean(rule.until, FACTS) or ';'} write a fact that is an instant: needed_by",
        )
    for field, clock in (("clock", rule.clock), *((f"cases[{i}].clock", c.clock) for i, c in enumerate(rule.cases))):
        if clock.amount < (0 if clock.unit in {"day", "business-day"} else 1):
            raise RuleError(rule.id, field, f"{clock.amount} {clock.unit} leaves no time to act; write a larger amount")
    for i, trigger in enumerate(rule.triggers):
        _check_event(rule, f"triggers[{i}]", trigger, trigger.event)
    for i, closing in enumerate(rule.closes):
        _check_event(rule, f"closes[{i}]", closing, closing.event)
        if closing.count < 1:
            raise RuleError(rule.id, f"closes[{i}].count", "must be 1 or more")
    for i, ending in enumerate(rule.ends):
        _check_event(rule, f"ends[{i}]", ending, ending.event)
    for i, shortening in enumerate(rule.shortens):
        _check_event(rule, f"shortens[{i}]", shortening, shortening.event)


def _check_event(rule: Rule, field: str, row: Any, event: str) -> None:
    """Refuse an event that does not exist, and a condition that the event can never meet."""
    if event == ISSUED and isinstance(row, Trigger):
        return
    kind = FACT_OF.get(event)
    if kind is None:
        hint = did_you_mean(event, FACT_OF, most=3)
        raise RuleError(rule.id, f"{field}.event", f"{event!r} is not an event (`carerelay rules codes` lists them all){hint}")
    for name, condition in row.where.items():
        attribute = _EVENT_FIELD.get(name)
        if attribute is None:
            continue
        if attribute not in kind.__struct_fields__:
            raise RuleError(rule.id, f"{field}.where.{name}", f"{event} has no {name}, so this can never hold")
        codes = CODES.get((event, attribute))
        said = OUTREACH if (event, attribute) == ("OutreachAttempted", "outcome") else codes.codes if codes is not None else ()
        for value in values_in(condition) if said else ():
            if value not in said:
                never = f"the {name} of {event} is never {value!r}; it is one of {', '.join(said)}{did_you_mean(str(value), said)}"
                raise RuleError(rule.id, f"{field}.where.{name}", never)


def check_groups(rule: Rule, groups: Collection[str]) -> None:
    """Refuse a condition on a group that no value set defines, because it could never hold."""
    rows = [
        (f"{field}[{i}]", row.where)
        for field in ("triggers", "closes", "ends", "cases", "steps")
        for i, row in enumerate(getattr(rule, field))
    ]
    for field, where in rows:
        for name in GROUPS & where.keys():
            for value in values_in(where[name]):
                if value not in groups:
                    hint = did_you_mean(str(value), groups, most=3)
                    raise RuleError(
                        rule.id,
                        f"{field}.where.{name}",
                        f"no value set has the group {value!r} (`carerelay rules groups` lists them all){hint}",
                    )


def check_codes(rule: Rule, further: Iterable[str]) -> None:
    """Refuse an unknown code of a care activity, because no such activity would ever arrive."""
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
