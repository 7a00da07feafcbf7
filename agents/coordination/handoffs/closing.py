"""Closing: which handoffs an event closes, ends or makes due earlier.

Decides whether an event is about a handoff, whether it happened in time, and whether it is enough. Must not know a rule by
name.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    UNITS,
    appointment_focus,
    calendar_of,
    close,
    due_text,
    rule_of,
    schedule_next_step,
    skip_warnings,
)
from agents.coordination.person.referral_states import ENDED, GIVEN_UP
from agents.coordination.person.state import Handoff
from agents.coordination.reference.calendar import due_at, end_of_local_day, start_of_local_day
from agents.coordination.reference.directory import Organisation
from agents.coordination.reference.ids import uuid_text
from agents.coordination.rules.catalogue import CompiledRule, holds
from agents.coordination.rules.rule import Closing, Rule
from agents.coordination.rules.wording import moment
from agents.coordination.rules.world import Context
from streams.contract.events import Millis


def update_handoffs(draft: EffectsDraft, context: Context, only: Handoff | None = None) -> None:
    """Close or end the handoffs that wait for the context's event, or make them due earlier. *only*: consider only this handoff."""
    person, world, kind = context.person, context.world, context.kind
    listens = world.catalogue.listens
    for handoff in [only] if only is not None else list(person.handoffs):
        end = handoff.end
        if (end is not None and end.closure != "met-late") or kind not in listens.get(handoff.rule, ()):
            continue
        rule = rule_of(handoff, person, world)
        if rule is None or not (kind in rule.closes or kind in rule.ends or kind in rule.shortens):
            continue
        about = replace(context, handoff=handoff)
        _ends(draft, about, handoff, rule)
        if handoff.end is None or handoff.end.closure == "met-late":
            _closes(draft, about, handoff, rule)
        if handoff.end is None:
            _shortens(draft, about, handoff, rule)


def _ends(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule) -> None:
    if handoff.closed_at or context.kind not in rule.ends:
        return
    # An event from before the handoff ends it in two cases only. A notification may be issued after the event that makes it
    # obsolete. The end of a referral ends its handoffs, even if the end is reported late.
    ended = context.kind == "ReferralStatusChanged" and context.referral is not None and context.referral.status in ENDED
    if context.at < handoff.opened_at and rule.rule.subject != "notification" and not ended:
        return
    if rule.rule.subject != "encounter" and not _is_about(context, handoff, rule.rule, duplicates=False):
        return
    for ending, tests in rule.ends[context.kind]:
        if holds(tests, context):
            why = f"{draft.words}.{' This event makes the task obsolete.' if ending.closure == 'superseded' else ''}"
            ender = context.encounter.number if context.encounter is not None else 0
            close(draft, handoff, rule, ending.closure, happened=context.at, why=why, by_encounter=ender)
            return


def happened_at(context: Context) -> Millis:
    """Return when the reported care took place: the end of an activity, the time of an observation, the start of an appointment."""
    fact: Any = context.fact
    at: int = context.at
    match context.kind:
        case "CareActivityRecorded":
            at = fact.end or fact.start
        case "ObservationRecorded":
            at = fact.effective
        case "AppointmentChanged":
            if fact.status == "fulfilled":
                at = fact.start or (context.appointment.start if context.appointment else 0) or context.at
    # If the reported end is in the future, the event time counts instead.
    return Millis(min(at, context.at)) if at > context.at + context.world.settings.suspect_after_minutes * 60_000 else Millis(at)


def _closes(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule) -> None:
    rows = rule.closes.get(context.kind)
    if not rows:
        return
    happened = happened_at(context)
    correction = handoff.closure == "met-late"
    if correction and happened > handoff.due:
        return
    calendar = calendar_of(handoff, context.person, context.world)
    for index, closing, tests in rows:
        if not _counts(context, handoff, rule, closing, happened, calendar) or not holds(tests, context):
            continue
        if not correction and not _is_enough(handoff, rule.rule, index, closing):
            return
        closure = "met" if happened <= handoff.due else "met-late"
        # The two times differ if care is recorded after it took place.
        took_place = f" It took place on {moment(happened, calendar.zone)}." if happened // 60_000 != context.at // 60_000 else ""
        close(draft, handoff, rule, closure, happened=happened, why=f"{draft.words}.{took_place}")
        return


def _counts(  # noqa: PLR0917 -- one question and everything that the answer depends on
    context: Context, handoff: Handoff, rule: CompiledRule, closing: Closing, happened: Millis, calendar: Organisation
) -> bool:
    """Return whether the event is about the handoff and happened within the time that *closing* allows."""
    if closing.of_person:
        based = getattr(context.fact, "based_on", ())
        if based and handoff.focus not in based:
            return False
    elif not _is_about(context, handoff, rule.rule, based_on=closing.based_on):
        return False
    elif closing.based_on and context.fact.end is None:
        return False  # CMS50: the period of the report must have an end, and end after the request.
    begins = handoff.opened_at
    if closing.from_day_zero:
        begins = start_of_local_day(Millis(begins), calendar.zone)
    if rule.rule.again == "extend":
        begins = Millis(0)  # Each event moves `opened_at`, and the closing event may be older than the newest event.
    if closing.standing:
        begins = Millis(0)
    if happened < begins or (closing.based_on and happened == handoff.opened_at):
        return False
    if not rule.rule.clock.day_zero and happened < end_of_local_day(Millis(handoff.opened_at), calendar.zone):
        return False
    return closing.not_before is None or happened >= due_at(closing.not_before, Millis(handoff.opened_at), calendar.zone, calendar.holidays)


def _is_enough(handoff: Handoff, rule: Rule, index: int, closing: Closing) -> bool:
    """Count a closing event and return whether the handoff has all the events that it needs."""
    if closing.count == 1 and rule.closes_when == "any":
        return True
    progress = list(handoff.progress) or [0] * len(rule.closes)
    progress[index] += 1
    handoff.progress = tuple(progress)
    full = [seen >= row.count for seen, row in zip(progress, rule.closes, strict=False)]
    return all(full) if rule.closes_when == "all" else full[index]


def _is_about(context: Context, handoff: Handoff, rule: Rule, *, based_on: bool = False, duplicates: bool = True) -> bool:
    """Return whether the event and the handoff have the same subject.

    *duplicates*: an event about a duplicate referral counts for the first referral, unless it ends the duplicate and
    the service was not provided. Only the first referral has handoffs.
    """
    fact: Any = context.fact
    task = getattr(fact, "task", None)
    if task is not None:
        # A response names one handoff, but a contact that it reports counts for all handoffs of the encounter.
        answered = context.answered
        return bool(answered is handoff) or (
            answered is not None
            and context.kind == "OutreachAttempted"
            and bool(handoff.encounter)
            and answered.encounter == handoff.encounter
        )
    based: tuple[str, ...] = getattr(fact, "based_on", ())
    if based and rule.subject == "referral":
        return handoff.focus in based or any(handoff.focus == r.linked for r in context.person.referrals if r.id in based)
    if based_on and handoff.focus not in based:
        return False
    match rule.subject:
        case "referral":
            referral = context.referral
            if referral is None:
                return context.kind == "CareTeamChanged"
            counts = duplicates and not (context.kind == "ReferralStatusChanged" and fact.status in GIVEN_UP)
            return bool(referral.id == handoff.focus or (counts and referral.linked == handoff.focus))
        case "goal":
            if context.kind == "GoalUpdated":
                return context.goal is not None and context.goal.id == handoff.focus
            # A review that names no goal is a review of all goals.
            return not based or handoff.focus in based
        case "appointment":
            return handoff.focus in {appointment_focus(context), context.appointment.id if context.appointment is not None else ""}
        case "notification":
            notification = getattr(fact, "notification", None)
            return notification is None or (handoff.notification is not None and uuid_text(handoff.notification) == notification)
        case "encounter":
            notification = getattr(fact, "notification", None)
            if notification is not None:
                # The delivery of a notification that was issued before the handoff opened does not count.
                reported = context.reported
                return reported is not None and reported.encounter == handoff.encounter and reported.at >= handoff.opened_at
            return context.encounter is None or getattr(fact, "encounter", None) is None or context.encounter.number == handoff.encounter
        case _:
            return True


def _shortens(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule) -> None:
    calendar = calendar_of(handoff, context.person, context.world)
    for row, tests in rule.shortens.get(context.kind, ()):
        if not _is_about(context, handoff, rule.rule, duplicates=False) or context.at < handoff.opened_at or not holds(tests, context):
            continue
        due = due_at(row.clock, happened_at(context), calendar.zone, calendar.holidays)
        if handoff.opened_at < due < handoff.due:
            handoff.due, handoff.unit = due, UNITS.index(row.clock.unit)
            skip_warnings(handoff, rule, draft.at)
            schedule_next_step(handoff, rule, draft.at, calendar, context.world.directory)
            draft.show(handoff, rule, f"{draft.words}. The task is now due earlier, {due_text(handoff, calendar.zone)}.")
            return
