"""The checks that a rule must pass to be loaded: known facts, existing events and codes, a way to close.

Owns the checks. Each error names the rule, the field and the remedy. Must not know what happens when a rule fires.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from agents.coordination.reference.activity_codes import why_unknown
from agents.coordination.rules.conditions import RuleError, compile_where, values_in
from agents.coordination.rules.facts import FACTS
from agents.coordination.rules.facts.values import GROUPS, events_about, events_with, kind_of, subject_of
from agents.coordination.rules.rule import Limits, Notice, Rule, Trigger
from streams.contract.codes import CODES, REQUEST_PRIORITY
from streams.contract.suggestions import did_you_mean
from streams.contract.topics import FACT_OF

ISSUED: Final = "NotificationIssued"
"""The only outbound event that may open a handoff: a notification was issued, and its recipient has to respond."""

OUTREACH: Final = ("reached", "no-answer", "voicemail", "refused")
"""The outcomes of an attempt to reach a person, as the contract lists them."""

URGENCIES: Final = REQUEST_PRIORITY.codes
SENSITIVITIES: Final = (
    *("normal", "mental-health", "substance-use", "sexual-health", "reproductive-health", "hiv", "genetic", "violence"),
    *("ETH", "GDIS", "HIV", "MH", "PSY", "PSYTHPN", "SCA", "SDV", "SEX", "SPI", "STD", "SUD"),
)
"""The categories of a rule: CareRelay's own, and the codes of v3-ActCode (InformationSensitivityPolicy) as consents name them."""
PURPOSES: Final = ("treatment", "TREAT", "ETREAT", "COC", "CAREMGT", "HOPERAT", "HPAYMT", "HRESCH", "PATRQT", "PUBHLTH")
"""What a notification is for: CareRelay's own, and codes of v3-ActReason (PurposeOfUse) as consents name them."""
CONSENT_CODES: Final = {"sensitivity": SENSITIVITIES, "purpose": PURPOSES}
"""The usual codes. Others may be right: a deployment's consents may have categories of their own (see `references.notes`)."""

_EVENT_FIELD: Final = {"code": "code", "status": "status", "outcome": "outcome", "by": "by", "registration": "registration"}
"""Facts that are a field of the event itself. An event without the field can never meet such a condition."""


def check(rule: Rule) -> None:
    """Refuse a rule that cannot work. Raises RuleError."""
    for field in ("id", "title", "neutral_title", "source", "accountable"):
        if not getattr(rule, field).strip():
            raise RuleError(rule.id or "?", field, "empty; every rule needs it")
    if rule.version < 1:
        raise RuleError(rule.id, "version", "must be 1 or more")
    check_urgency(rule.id, rule)
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
        _check_subject(rule, f"triggers[{i}]", trigger)
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


def _check_subject(rule: Rule, field: str, trigger: Trigger) -> None:
    """Refuse an event that is never about the rule's subject, and a fact that is never known for the event."""
    event, subject = trigger.event, rule.subject
    if event == ISSUED:
        return
    about = {
        # GOAL-2 shows why: an event without a goal opens one handoff for each goal of the person.
        "goal": tuple(FACT_OF),
        "person": tuple(FACT_OF),
        "appointment": (*events_about("appointment"), *events_about("referral")),
        "notification": (ISSUED,),
        # The fact leads to an open referral for one of these services.
        "referral": (*events_about("referral"), *([event] if "open_services" in trigger.where else [])),
    }.get(subject) or events_about(subject)
    if event not in about:
        never = f"{event} is about no {subject}, so it never opens a rule with subject: {subject}"
        raise RuleError(rule.id, f"{field}.event", f"{never}; write another subject (`carerelay rules codes subject`), or {_one_of(about)}")
    for name, condition in trigger.where.items():
        known = events_with(name)
        if known is None or event in known or (subject == "goal" and subject_of(name) == "goal"):
            continue
        unknown = {"true or false": (None, False), "several texts": (frozenset[str](),)}.get(kind_of(name), (None,))
        (test,) = compile_where({name: condition}, rule.id, field)
        if not any(test.fits(value) for value in unknown):
            never = f"it is not known for {event}, so this can never hold"
            raise RuleError(rule.id, f"{field}.where.{name}", f"{never}; it is known for {_one_of((*known, ISSUED))}")


def _one_of(events: Collection[str]) -> str:
    return f"one of {', '.join(dict.fromkeys(events))}" if len(events) > 1 else next(iter(events))


def check_urgency(id_: str, row: Rule | Notice) -> None:
    """Refuse an urgency that does not exist. Raises RuleError."""
    if row.urgency not in URGENCIES:
        hint = did_you_mean(row.urgency, URGENCIES)
        raise RuleError(id_, "urgency", f"{row.urgency!r} is not known; write one of {', '.join(URGENCIES)}{hint}")


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
