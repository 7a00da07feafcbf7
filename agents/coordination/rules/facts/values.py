"""The kind of each fact, and the values of facts with a closed list.

Owns these lists, so that a condition that can never hold is refused. A text fact without a list may have any value, because
messages and directories bring their own codes and names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agents.coordination.person.encounter import STATUS_NAMES
from agents.coordination.rules.facts.encounter import DISPOSITION_GROUP, SETTING
from streams.contract.codes import GOAL_STATUS, REFERRAL_SIDE, TASK_STATUS
from streams.contract.topics import FACT_OF

_SETTINGS: Final = (*dict.fromkeys(SETTING.values()), "unknown")
_LEVELS: Final = ("low", "moderate", "high")

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "setting": _SETTINGS,
    "setting_of_stay": _SETTINGS,
    "disposition_group": (*dict.fromkeys(DISPOSITION_GROUP.values()), "unknown"),
    "status_of_stay": STATUS_NAMES,
    "changed": (
        *("class", "pcp", "disposition", "diagnosis-group", "facility", "level", "death"),
        *("goal-reviewed", "goal-revised", "lifecycle-status", "target", "referral-status"),
    ),
    "complexity": _LEVELS,
    "risk_tier": _LEVELS,
    "flags": ("high-utiliser", "readmission-risk", "recent-inpatient-stay", "recent-snf-stay"),
    "referral_status": TASK_STATUS.codes,
    "previous_status": TASK_STATUS.codes,
    "lifecycle_status": GOAL_STATUS.codes,
    "by": REFERRAL_SIDE.codes,
}

TRUTHS: Final = frozenset({
    *("accepted_by_person", "appointment_booked", "asks_acknowledgement", "at_hospital", "deceased", "first_review", "has_referral"),
    *("leave", "linked", "material_change", "other_stay", "overdue", "planned", "recipient_known", "registration", "reviewed"),
    *("revised", "same_goal", "same_need", "same_service", "same_stay", "somebody_told", "stands_booked", "status_moved"),
    *("still_stands", "team_known", "via_emergency"),
})  # fmt: skip
"""Facts that are true or false."""

NUMBERS: Final = frozenset({
    *("active_goals", "age_years", "emergency_visits_12_months", "high_risk_conditions", "hospital_derivation"),
    *("hospital_international", "lace", "length_of_stay_days", "needed_by", "setbacks"),
})  # fmt: skip
"""Facts that are numbers; `needed_by` is an instant, for `until`."""

SEVERAL: Final = frozenset({
    *("changed", "condition_group", "diagnosis_group", "flags", "open_services", "principal_diagnosis_group", "programme"),
})  # fmt: skip
"""Facts with several texts at once: a condition holds if one of them fits."""


def kind_of(fact: str) -> str:
    """Return the kind of *fact*: `true or false`, `number`, `several texts` or `text`."""
    if fact in TRUTHS:
        return "true or false"
    return "number" if fact in NUMBERS else "several texts" if fact in SEVERAL else "text"


GROUPS: Final = frozenset({"diagnosis_group", "principal_diagnosis_group", "condition_group"})
"""Facts whose values are groups of the value sets, which a deployment may define."""


_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "encounter": (
        *("complexity", "diagnosis_group", "facility", "facility_kind", "hospital_derivation", "hospital_international", "lace"),
        *("length_of_stay_days", "level", "principal_diagnosis_group", "setting_of_stay", "status_of_stay", "unit", "via_emergency"),
    ),
    "referral": (
        *("business_status", "has_referral", "linked", "previous_status", "priority", "referral_status", "service", "status_moved"),
        "target_kind",
    ),
    "goal": (
        *("accepted_by_person", "achievement_status", "first_review", "goal_setting", "lifecycle_status", "reviewed", "revised"),
        "setbacks",
    ),
    "appointment": ("appointment_status", "purpose", "still_stands"),
    "notification": ("asks_acknowledgement", "recipient_known"),
}
"""The facts that are read from one subject of the event, by that subject. Facts about the person are known for every event."""

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "achievement_said": ("achievement_status",),
    "by": ("by",),
    "code": ("code",),
    "outcome": ("outcome",),
    "performer_role": ("performer", "by"),
    "planned": ("planned",),
    "registration": ("registration",),
    "status": ("status",),
}
"""The facts that are read from fields of the event itself, with these fields."""

_SUBJECT_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    # A report about a notification and a response to a task lead to the encounter of that notification or task.
    "encounter": ("encounter", "notification", "task"),
    "referral": ("referral", "based_on"),
    "goal": ("lifecycle_status", "based_on"),
    "appointment": ("appointment",),
    "notification": (),
}
"""The fields of an event by which its subject is found."""


def events_about(subject: str) -> tuple[str, ...]:
    """Return the inbound events that can have a *subject*: `encounter`, `referral`, `goal`, `appointment` or `notification`."""
    return tuple(event for event, kind in FACT_OF.items() if set(_SUBJECT_FIELDS[subject]) & set(kind.__struct_fields__))


def events_with(fact: str) -> tuple[str, ...] | None:
    """Return the inbound events for which *fact* can be known; None if that does not depend on the event."""
    if fact in _FIELDS:
        return tuple(event for event, kind in FACT_OF.items() if set(_FIELDS[fact]) & set(kind.__struct_fields__))
    subject = subject_of(fact)
    if not subject:
        return None
    by_field = {event for event, kind in FACT_OF.items() if fact in kind.__struct_fields__}
    return tuple(event for event in FACT_OF if event in by_field or event in events_about(subject))


def subject_of(fact: str) -> str:
    """Return the subject that *fact* is read from; empty if it is about the person, the handoff or the event itself."""
    return next((subject for subject, facts in _OF.items() if fact in facts), "")
