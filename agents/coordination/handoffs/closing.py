"""Closing: which handoffs an event ends, and how well.

Owns the question whether an event is about a handoff, happened in time, and is enough. Must not know a rule by name.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    UNITS,
    appointed,
    calendar_of,
    close,
    due_said,
    pass_over_warnings,
    rule_of,
    schedule_next_step,
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


def react(draft: EffectsDraft, context: Context, only: Handoff | None = None) -> None:
    """Let the context's event end, close or bring forward the handoffs that wait for it; *only* one of them if given."""
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
    # News may go out after what it is overtaken by, and after what has ended a referral nothing follows, whenever that is heard of.
    ended = context.kind == "ReferralStatusChanged" and context.referral is not None and context.referral.status in ENDED
    if context.at < handoff.opened_at and rule.rule.subject != "notification" and not ended:
        return
    if rule.rule.subject != "encounter" and not _about(context, handoff, rule.rule, doubles=False):
        return
    for ending, tests in rule.ends[context.kind]:
        if holds(tests, context):
            why = f"Rule {rule.id} version {handoff.version}: {draft.words}, so it is {ending.closure.replace('-', ' ')}."
            ender = context.encounter.number if context.encounter is not None else 0
            close(draft, handoff, rule, ending.closure, happened=context.at, why=why, by_encounter=ender)
            return


def happened_at(context: Context) -> Millis:
    """Return when what the event reports took place: the end of an activity, an observation's time, the start of a visit."""
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
    # Care cannot be over before it is reported; a record from the future counts when it is reported.
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
        if not correction and not _enough(handoff, rule.rule, index, closing):
            return
        closure = "met" if happened <= handoff.due else "met-late"
        when = moment(happened, calendar.zone)
        verdict = "in time" if closure == "met" else "after it was due"
        close(
            draft,
            handoff,
            rule,
            closure,
            happened=happened,
            why=f"Rule {rule.id} version {handoff.version}: closed by {draft.words}; it took place on {when}, {verdict}.",
        )
        return


def _counts(  # noqa: PLR0917 -- one question, with all that it depends on
    context: Context, handoff: Handoff, rule: CompiledRule, closing: Closing, happened: Millis, calendar: Organisation
) -> bool:
    if closing.of_person:
        based = getattr(context.fact, "based_on", ())
        if based and handoff.focus not in based:
            return False
    elif not _about(context, handoff, rule.rule, based_on=closing.based_on):
        return False
    elif closing.based_on and context.fact.end is None:
        return False  # What does not say that it has ended has not (CMS50: the report's period ends after the request).
    begins = handoff.opened_at
    if closing.from_day_zero:
        begins = start_of_local_day(Millis(begins), calendar.zone)
    if rule.rule.again == "extend":
        begins = Millis(0)  # Each event moves the beginning; one that ends the stay may be older than the last of them.
    if closing.standing:
        begins = Millis(0)
    if happened < begins or (closing.based_on and happened == handoff.opened_at):
        return False
    if not rule.rule.clock.day_zero and happened < end_of_local_day(Millis(handoff.opened_at), calendar.zone):
        return False
    return closing.not_before is None or happened >= due_at(closing.not_before, Millis(handoff.opened_at), calendar.zone, calendar.holidays)


def _enough(handoff: Handoff, rule: Rule, index: int, closing: Closing) -> bool:
    """Count a closing event and say whether the handoff has all that it needs."""
    if closing.count == 1 and rule.closes_when == "any":
        return True
    progress = list(handoff.progress) or [0] * len(rule.closes)
    progress[index] += 1
    handoff.progress = tuple(progress)
    full = [seen >= row.count for seen, row in zip(progress, rule.closes, strict=False)]
    return all(full) if rule.closes_when == "all" else full[index]


def _about(context: Context, handoff: Handoff, rule: Rule, *, based_on: bool = False, doubles: bool = True) -> bool:
    """Say whether the event is about what the handoff is about.

    *doubles*: what happens to a doubled referral counts for the first, which alone is watched; not that the double is given up.
    """
    fact: Any = context.fact
    task = getattr(fact, "task", None)
    if task is not None:
        # A response names one handoff; a contact that it reports counts for all of the same stay.
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
            counts = doubles and not (context.kind == "ReferralStatusChanged" and fact.status in GIVEN_UP)
            return bool(referral.id == handoff.focus or (counts and referral.linked == handoff.focus))
        case "goal":
            if context.kind == "GoalUpdated":
                return context.goal is not None and context.goal.id == handoff.focus
            # A review that names no goal is one of the whole plan.
            return not based or handoff.focus in based
        case "appointment":
            return handoff.focus in {appointed(context), context.appointment.id if context.appointment is not None else ""}
        case "notification":
            notification = getattr(fact, "notification", None)
            return notification is None or (handoff.notification is not None and uuid_text(handoff.notification) == notification)
        case "encounter":
            notification = getattr(fact, "notification", None)
            if notification is not None:
                # Old news that arrives is no news of what has happened since.
                reported = context.reported
                return reported is not None and reported.encounter == handoff.encounter and reported.at >= handoff.opened_at
            return context.encounter is None or getattr(fact, "encounter", None) is None or context.encounter.number == handoff.encounter
        case _:
            return True


def _shortens(draft: EffectsDraft, context: Context, handoff: Handoff, rule: CompiledRule) -> None:
    calendar = calendar_of(handoff, context.person, context.world)
    for row, tests in rule.shortens.get(context.kind, ()):
        if not _about(context, handoff, rule.rule, doubles=False) or context.at < handoff.opened_at or not holds(tests, context):
            continue
        due = due_at(row.clock, happened_at(context), calendar.zone, calendar.holidays)
        if handoff.opened_at < due < handoff.due:
            handoff.due, handoff.unit = due, UNITS.index(row.clock.unit)
            pass_over_warnings(handoff, rule, draft.at)
            schedule_next_step(handoff, rule, draft.at, calendar, context.world.directory)
            why = f"Rule {rule.id}: {draft.words}, so it is due {due_said(handoff, calendar.zone)} already."
            draft.show(handoff, rule, why)
            return
