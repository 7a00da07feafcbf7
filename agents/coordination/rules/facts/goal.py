"""Facts about goals, their progress and their reviews."""

from __future__ import annotations

from agents.coordination.rules.facts.context import FactContext, Value, event_says, fact
from agents.coordination.rules.facts.referral import own_referral


@fact
def lifecycle_status(context: FactContext) -> Value:
    """FHIR Goal.lifecycleStatus."""
    return (context.goal.status or None) if context.goal else event_says(context, "lifecycle_status")


@fact
def achievement_status(context: FactContext) -> Value:
    """FHIR Goal.achievementStatus of the goal."""
    return (context.goal.achievement or None) if context.goal else event_says(context, "achievement_status")


@fact
def achievement_said(context: FactContext) -> Value:
    """FHIR Goal.achievementStatus in this update. Not known if the update does not contain one."""
    said: Value = event_says(context, "achievement_status")
    return said


@fact
def reviewed(context: FactContext) -> Value:
    """Whether the update is a review: it says so, or status, achievement or attainment changed."""
    return "goal-reviewed" in context.changed


@fact
def accepted_by_person(context: FactContext) -> Value:
    """Whether the person accepted the goal. Not known until the person has answered."""
    return context.goal.accepted if context.goal else event_says(context, "accepted_by_person")


@fact
def goal_setting(context: FactContext) -> Value:
    """Setting of the plan that the goal belongs to (hospice, home-health, icf, social-care ...)."""
    return (context.goal.setting or None) if context.goal else event_says(context, "setting")


@fact
def setbacks(context: FactContext) -> Value:
    """How many updates in a row reported worsening or no progress."""
    return context.goal.setbacks if context.goal else None


@fact
def active_goals(context: FactContext) -> Value:
    """How many of the person's goals are accepted, active or on hold."""
    return sum(1 for goal in context.person.goals if goal.status in {"accepted", "active", "on-hold"})


@fact
def same_goal(context: FactContext) -> Value:
    """Whether the event is about the goal that the handoff's referral serves; about any goal if the referral names none."""
    own = own_referral(context)
    return own is not None and context.goal is not None and own.goal in {"", context.goal.id}


@fact
def first_review(context: FactContext) -> Value:
    """Whether the goal has not been reviewed since it was accepted or resumed."""
    if context.goal is None or context.kind == "CareActivityRecorded":
        return False
    return not context.goal.reviewed or "lifecycle-status" in context.changed


@fact
def revised(context: FactContext) -> Value:
    """Whether the goal's description or priority changed."""
    return "goal-revised" in context.changed
