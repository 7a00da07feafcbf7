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
