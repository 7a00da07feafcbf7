"""Facts about what the person wants: goals, their progress and their reviews."""

from __future__ import annotations

from agents.coordination.rules.facts.context import Scene, Value, event_says, fact
from agents.coordination.rules.facts.referral import own_referral


@fact
def lifecycle_status(scene: Scene) -> Value:
    """FHIR Goal.lifecycleStatus."""
    return (scene.goal.status or None) if scene.goal else event_says(scene, "lifecycle_status")


@fact
def achievement_status(scene: Scene) -> Value:
    """FHIR Goal.achievementStatus."""
    return (scene.goal.achievement or None) if scene.goal else event_says(scene, "achievement_status")


@fact
def achievement_said(scene: Scene) -> Value:
    """FHIR Goal.achievementStatus as this very update says it; not known where it says none."""
    said: Value = event_says(scene, "achievement_status")
    return said


@fact
def reviewed(scene: Scene) -> Value:
    """Whether the goal's update is a review: said so, or status, achievement or attainment moved."""
    return "goal-reviewed" in scene.changed


@fact
def accepted_by_person(scene: Scene) -> Value:
    """Whether the person accepted the goal; not known until they said."""
    return scene.goal.accepted if scene.goal else event_says(scene, "accepted_by_person")


@fact
def goal_setting(scene: Scene) -> Value:
    """Setting of the plan that the goal belongs to: hospice, home-health, icf, social-care ..."""
    return (scene.goal.setting or None) if scene.goal else event_says(scene, "setting")


@fact
def setbacks(scene: Scene) -> Value:
    """How many updates in a row said worsening or no progress."""
    return scene.goal.setbacks if scene.goal else None


@fact
def active_goals(scene: Scene) -> Value:
    """How many goals of the person are accepted, active or on hold."""
    return sum(1 for goal in scene.person.goals if goal.status in {"accepted", "active", "on-hold"})


@fact
def same_goal(scene: Scene) -> Value:
    """Whether the event is about the goal that the handoff's referral serves, or about any where the referral names none."""
    own = own_referral(scene)
    return own is not None and scene.goal is not None and own.goal in {"", scene.goal.id}


@fact
def first_review(scene: Scene) -> Value:
    """Whether the goal has never been reviewed since it was accepted or taken up again."""
    if scene.goal is None or scene.kind == "CareActivityRecorded":
        return False
    return not scene.goal.reviewed or "lifecycle-status" in scene.changed


@fact
def revised(scene: Scene) -> Value:
    """Whether the goal's words or priority changed."""
    return "goal-revised" in scene.changed
