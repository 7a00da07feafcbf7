"""The codes of care activities.

Owns the list of the published contract, and the error text for an unknown code. Must not know a rule by name. A deployment adds codes
under `codes:` in its `routing.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.contract.suggestions import did_you_mean

ACTIVITY_CODES: Final = frozenset({
    "interactive-contact",
    "face-to-face-visit",
    "medication-reconciliation",
    "admission-notice-filed",
    "discharge-summary-received",
    "patient-engagement",
    "mental-health-follow-up",
    "substance-use-follow-up",
    "follow-up-service",
    "home-health-initial-visit",
    "baseline-care-plan",
    "care-guideline",
    "pharmacy-stage-one",
    "consultant-report",
    "goal-review",
    "plan-change",
})  # fmt: skip


def why_unknown(code: str, further: Iterable[str] = ()) -> str | None:
    """Return why no activity can have *code*, with the nearest known code; None if *code* is known."""
    known = ACTIVITY_CODES.union(further)
    if code in known:
        return None
    return (
        f"no care activity has the code {code!r} (`carerelay rules codes` lists them all; add your own codes under codes: "
        f"in routing.yaml){did_you_mean(code, known)}"
    )
