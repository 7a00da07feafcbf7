"""The codes of care activities.

Owns the list of the published contract, and the error text for an unknown code. Must not know a rule by name. A deployment adds codes
under `codes:` in its `routing.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from streams.contract.suggestions import did_you_mean

ACTIVITY_CODES: Final[Mapping[str, str]] = {
    "interactive-contact": "a telephone call, video call or visit in which the person or their carer was spoken with",
    "face-to-face-visit": "a visit at which the person was seen",
    "medication-reconciliation": "the medicines before and after the stay were compared, and the list was corrected",
    "admission-notice-filed": "the notice of the admission is in the record of the practice",
    "discharge-summary-received": "the summary of the discharge is in the record of the practice",
    "patient-engagement": "an office visit, home visit or telehealth contact after the discharge",
    "mental-health-follow-up": "a visit or contact with a mental health professional",
    "substance-use-follow-up": "a visit or contact about the use of alcohol or drugs",
    "follow-up-service": "a visit, call or care management contact after an emergency visit",
    "home-health-initial-visit": "the first visit of the home health agency",
    "baseline-care-plan": "the first care plan of a nursing facility",
    "care-guideline": "a plan for the emergency department about a person who comes often",
    "pharmacy-stage-one": "the pharmacy has checked the medicines of a discharge referral for changes",
    "consultant-report": "the report of the specialist to the clinician who referred",
    "goal-review": "the goal was discussed with the person",
    "plan-change": "the care plan was changed",
}
"""The codes of the published contract, each with what it says was done."""


def why_unknown(code: str, further: Iterable[str] = ()) -> str | None:
    """Return why no activity can have *code*, with the nearest known code; None if *code* is known."""
    known = {*ACTIVITY_CODES, *further}
    if code in known:
        return None
    return (
        f"no care activity has the code {code!r} (`carerelay rules codes` lists them all; add your own codes under codes: "
        f"in routing.yaml){did_you_mean(code, known)}"
    )
