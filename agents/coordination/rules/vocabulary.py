"""What a rule may name: facts, codes and value groups, from the same tables that rules are checked against.

Owns the rows that `carerelay rules facts|codes|groups` show. It has no names of its own, so an addition to a table appears
here too. Must not know a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from agents.coordination.reference.activity_codes import ACTIVITY_CODES
from agents.coordination.reference.calendar import UNITS
from agents.coordination.reference.directory import Directory
from agents.coordination.reference.valuesets import ValueSets
from agents.coordination.rules.catalogue import Catalogue
from agents.coordination.rules.facts import described
from agents.coordination.rules.facts.values import GROUPS, VALUES, events_with, kind_of, subject_of
from agents.coordination.rules.references import NAMED_BY_THE_SUBJECT
from agents.coordination.rules.rule import Again, Closure, Condition, Limits, Rule, Scalar, Subject, Where
from agents.coordination.rules.validation import ISSUED, OUTREACH, PURPOSES, SENSITIVITIES, URGENCIES
from agents.coordination.rules.wording import EVENT, ROLE, UNIT
from streams.contract.codes import CODES
from streams.contract.topics import FACT_OF, RELAY

Row = dict[str, Any]

_EXAMPLES: Final[dict[str, Condition]] = {
    "achievement_status": "worsening",
    "disposition": "snf",
    "facility": "GENERAL",
    "level": "icu",
    "open_services": "cardiology",
    "performer_role": "pcp",
    "programme": "heart-failure",
    "purpose": "follow-up",
    "unit": "ICU-2",
}
"""Example values of facts that no condition of the catalogue uses."""

_LISTED: Final = {
    "achievement_said": "FHIR goal-achievement: in-progress, improving, worsening, no-change, achieved, not-achieved, no-progress ...",
    "achievement_status": "FHIR goal-achievement: in-progress, improving, worsening, no-change, achieved, not-achieved, no-progress ...",
    "appointment_status": "carerelay rules codes AppointmentChanged",
    "business_status": "BSeR: 2.0, 5.1.1 ... as messages write it",
    "class": "v3-ActCode: EMER, IMP, OBSENC, AMB ...; unknown",
    "code": "carerelay rules codes activity, for CareActivityRecorded",
    "disposition": "FHIR discharge-disposition: home, snf, exp ...; unknown",
    "facility": "the facilities of the directory, as messages write them",
    "facility_kind": "the kinds of organisation in the directory: hospital, snf, home-health ...",
    "goal_setting": "as messages write it: hospice, home-health, icf, social-care ...",
    "level": "as messages write it",
    "notice": "the ids of routing.yaml: NTF-ADMIT ...",
    "open_services": "as messages write them",
    "outcome": "carerelay rules codes OutreachAttempted, for OutreachAttempted; else as messages write it",
    "performer_role": "carerelay rules codes role",
    "priority": "FHIR request-priority: routine, urgent, asap, stat; for goals high-priority ...",
    "programme": "as care teams name them",
    "purpose": "as messages write it",
    "role": "carerelay rules codes role",
    "service": "as messages write it",
    "status": "carerelay rules codes status",
    "target_kind": "the kinds of organisation in the directory: home-health, pharmacy ...",
    "unit": "as messages write it",
}
"""Where the values of a text fact come from, if they are not a closed list."""

_AGAIN: Final = {
    "keep": "nothing changes",
    "restart": "a new handoff with a new clock supersedes the open one",
    "extend": "the clock starts again with each event of the encounter",
    "renew": "the event that closes it may open the next one",
}
_CLOSURE: Final = {
    "met": "the closing event happened in time",
    "met-late": "the closing event happened after the due time",
    "cancelled": "the event that opened it was cancelled",
    "superseded": "a newer event replaces it",
    "not-applicable": "it is no longer needed",
}
_SUBJECT: Final = {"encounter": "the encounter", "appointment": "the appointment, or the referral that it is for"}


def list_facts(catalogue: Catalogue, groups: Iterable[str]) -> list[Row]:
    """Return a row for each fact: `fact`, `meaning`, `kind`, `values`, `listed`, `events`, `besides` and `example`.

    *values* are a closed list. Without one, *listed* says where the values of a text fact come from. *events* are those for which
    the fact can be known; it is empty if that does not depend on the event. *besides* adds what depends on the rule.
    """
    used = _first_uses(catalogue)
    first_group = next(iter(sorted(groups)), "mental-illness")
    rows: list[Row] = []
    for name, meaning in described().items():
        kind, values = kind_of(name), list(VALUES.get(name, ()))
        if name in GROUPS:
            kind = "several groups (carerelay rules groups)"
        elif name == "needed_by":
            kind = "instant"
        by_kind: Condition = values[0] if values else _EXAMPLES.get(name, "...")
        if kind in {"true or false", "number"}:
            by_kind = True if kind == "true or false" else Limits(at_least=2)
        example = used.get(name, first_group if name in GROUPS else by_kind)
        written = f"until: {name}" if name == "needed_by" else f"{name}: {_yaml(example)}"
        listed = _LISTED.get(name, "") if kind == "text" or name in _LISTED else ""
        rows.append(
            {
                "fact": name,
                "meaning": meaning,
                "kind": kind,
                "values": values,
                "listed": listed,
                "events": _events(name),
                "besides": "; in triggers of a rule about a goal for every event" if subject_of(name) == "goal" else "",
                "example": written,
            }
        )
    return rows


def list_codes(catalogue: Catalogue, directory: Directory) -> list[Row]:
    """Return each code that a rule may name: its kind, the code, and its meaning or the rules that use it."""
    used: dict[str, list[str]] = {}
    for rule in catalogue.rules.values():
        for where in _wheres(rule):
            for code in _values(where.get("code")):
                used.setdefault(code, []).append(rule.id)
    rows = [
        *(("event", event, EVENT[event].when) for event in sorted({*FACT_OF, ISSUED}) if event not in _internal()),
        *(
            ("activity", code, f"{ACTIVITY_CODES.get(code, 'a code of this deployment')}; {_used_by(used.get(code, []))}")
            for code in sorted(catalogue.codes.union(ACTIVITY_CODES))
        ),
        *(
            (f"{field} of {event}", code, "")
            for (event, field), codes in CODES.items()
            if event in FACT_OF and field != "priority"
            for code in codes.codes
        ),
        *(("outcome of OutreachAttempted", code, "") for code in OUTREACH),
        *(("closure", closure, _CLOSURE[closure]) for closure in get_args(Closure)),
        *(("role", role, meaning) for role, meaning in NAMED_BY_THE_SUBJECT.items()),
        *(("role", role, ROLE.get(role, "")) for role in sorted(directory.roles - NAMED_BY_THE_SUBJECT.keys())),
        *(("unit", unit, UNIT[unit][1]) for unit in UNITS),
        *(("subject", subject, _SUBJECT.get(subject, f"the {subject}")) for subject in get_args(Subject)),
        *(("again", again, _AGAIN[again]) for again in get_args(Again)),
        *(("urgency", code, "the notification may wait for the morning" if code == "routine" else "") for code in URGENCIES),
        *(("sensitivity", code, "") for code in SENSITIVITIES),
        *(("purpose", code, "") for code in PURPOSES),
        *(("profile", profile, "") for profile in sorted({o.profile for o in directory.organisations.values()})),
    ]
    return [{"kind": kind, "code": code, "meaning": meaning} for kind, code, meaning in rows]


def list_groups(valuesets: ValueSets) -> list[Row]:
    """Return each value group: its name, title, source, and the starts of the ICD-10 codes that it includes and excludes."""
    return [
        {
            "group": name,
            "title": group.title,
            "codes": list(group.prefixes),
            "except": list(group.except_),
            "source": " ".join(valuesets.sources[name].split()),
        }
        for name, group in sorted(valuesets.groups.items())
    ]


def _used_by(rules: list[str]) -> str:
    return f"used by {', '.join(dict.fromkeys(rules))}" if rules else "not used by a rule"


def _events(fact: str) -> list[str]:
    known = events_with(fact)
    return [] if known is None else sorted({*known, *([ISSUED] if subject_of(fact) else [])} - _internal())


def _internal() -> set[str]:
    """Return the events that shards send to each other."""
    return {kind.__name__ for kind in RELAY.types}


def _wheres(rule: Rule) -> Iterator[Where]:
    for rows in (rule.triggers, rule.closes, rule.ends, rule.cases, rule.shortens, rule.steps):
        for row in rows:
            yield row.where


def _first_uses(catalogue: Catalogue) -> dict[str, Condition]:
    """Return for each fact the first condition of the catalogue that uses it."""
    wheres = [where for rule in catalogue.rules.values() for where in _wheres(rule)]
    wheres += [row.notice.where for rows in catalogue.notices.values() for row in rows]
    found: dict[str, Condition] = {}
    for where in wheres:
        for name, condition in where.items():
            found.setdefault(name, condition)
    return found


def _values(condition: Condition | None) -> tuple[str, ...]:
    if condition is None or isinstance(condition, Limits):
        return ()
    return tuple(map(str, condition)) if isinstance(condition, tuple) else (str(condition),)


def _yaml(condition: Condition) -> str:
    """Return *condition* as one line of a rule file."""
    if isinstance(condition, Limits):
        named = {
            "not": condition.not_,
            "at_least": condition.at_least,
            "at_most": condition.at_most,
            "known": condition.known,
            "or_unknown": condition.or_unknown or None,
        }
        return f"{{{', '.join(f'{name}: {_yaml(value)}' for name, value in named.items() if value is not None)}}}"
    if isinstance(condition, tuple):
        return f"[{', '.join(map(_scalar, condition))}]"
    return _scalar(condition)


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
