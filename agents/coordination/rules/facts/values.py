"""What the facts with a closed list of values may say, so that a misspelt condition is refused and not one that never holds.

Owns the lists. A fact that is not here is open: codes, names and numbers that messages and directories bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agents.coordination.person.state import STATUS_NAMES
from agents.coordination.rules.facts.encounter import DISPOSITION_GROUP, SETTING
from streams.contract.codes import GOAL_STATUS, TASK_STATUS

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
}

GROUPS: Final = frozenset({"diagnosis_group", "principal_diagnosis_group", "condition_group"})
"""Facts that name groups of the value sets, which are a deployment's own."""
