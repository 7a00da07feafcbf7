"""Opening: which handoffs an event opens, who owns them, and when they are due.

Owns how a trigger becomes an open handoff with one owner, a due time and a first step. Must not know a rule by name.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import (
    OPEN,
    UNITS,
    appointment_focus,
    calendar_of,
    close,
    due_text,
    first_status,
    schedule_next_step,
    skip_warnings,
)
from agents.coordination.handoffs.owners import accountable, home_of
from agents.coordination.person.care_team import programmes_of
from agents.coordination.person.goal_states import OPEN_STATUSES, REVIEWED_STATUSES, WeightedGoal, gas_t_score, stalled_since
from agents.coordination.person.referral_states import ENDED
from agents.coordination.person.state import OPENERS, Goal, Handoff, Referral, Subject
from agents.coordination.reference.calendar import Clock, due_at, local_date
from agents.coordination.reference.directory import Organisation
from agents.coordination.reference.ids import derive, uuid_bytes, uuid_text
from agents.coordination.rules.catalogue import ISSUED, CompiledRule, Test, holds, holds_as_known
from agents.coordination.rules.facts import risk_words
from agents.coordination.rules.rule import Condition, Rule
from agents.coordination.rules.wording import clock_words, person_words
from agents.coordination.rules.world import Context
from streams.contract.address import Address
from streams.contract.events import Millis


def open_all(draft: EffectsDraft, context: Context, of_goal: Goal | None = None) -> list[Handoff]:
    """Open every handoff that the context's event or its newly issued notification triggers.

    Return the handoffs that were opened, or whose clock now starts at an earlier trigger. *of_goal*: open only those about this goal.
    """
    if context.person.deceased:
        return []
    world = context.world
    view = world.catalogue.view(context.organisation, programmes_of(context.person, context.at))
    event = context.kind if context.issued is None else ISSUED
    opened: list[Handoff] = []
    day = local_date(context.at, context.organisation.zone)
    known: dict[Test, bool] = {}
    for rule, triggers in view.openings(event, day).left(context):
        if of_goal is not None and rule.rule.subject != "goal":
            continue
        for trigger, tests in triggers:
            if rule.rule.subject == "goal" and context.kind != "GoalUpdated":
                started = False
                for goal in _goals(context) if of_goal is None else [of_goal]:
                    about = replace(context, goal=goal)
                    if holds(tests, about):
                        started = True
                        opened += _open(draft, about, rule, trigger.counts_from, event)
                if started:
                    break
            elif holds_as_known(tests, context, known):
                about = context
                if context.referral is None and "open_services" in trigger.where:
                    about = replace(context, referral=_referral_for(context, trigger.where["open_services"]))
                opened += _open(draft, about, rule, trigger.counts_from, event)
                break
    return opened


def _goals(context: Context) -> list[Goal]:
    """Return the active goals that the event is about: those that it names, else all."""
    based = getattr(context.fact, "based_on", ())
    return [
        goal
        for goal in context.person.goals
        if goal.status in REVIEWED_STATUSES and goal.since <= context.at and (not based or goal.id in based)
    ]


def _open(draft: EffectsDraft, context: Context, compiled: CompiledRule, counts_from: str, event: str) -> list[Handoff]:
    rule = compiled.rule
    subject = _subject(context, rule)
    if subject is None:
        return []
    person = context.person
    # If the trigger is a notification, the clock starts when it is issued, because nobody can respond before.
    at = draft.at if event == ISSUED else _clock_start(context, rule, counts_from)
    superseded: Handoff | None = None
    for known in person.handoffs:
        if not same_subject(known, rule, subject) or known.closure == "cancelled":
            continue
        if rule.again == "extend":
            # The clock starts at the latest event of the encounter, however late the trigger arrives.
            if known.end is None or known.end.happened >= context.at:
                return []
            continue
        if known.opened_at >= at:
            if known.opened_at > at and rule.again == "keep" and rule.subject == "encounter" and not known.closed_at and known.gap < OPEN:
                _begin_earlier(draft, known, compiled, context, at)
                return [known]  # Events between the two triggers can close it now.
            return []
        if known.end is None:
            if rule.again != "restart":
                return []
            superseded = known
        elif known.end.happened >= at + (rule.again == "renew") or (rule.subject == "encounter" and rule.again == "keep"):
            return []
    owner = accountable(rule.accountable, context)
    home = context.organisation
    due, unit, calendar = deadline_of(compiled, context, owner, at)
    cause_uuid = _uuid_of(draft.cause)
    handoff = Handoff(
        _handoff_id(draft, rule, subject, at),
        rule.id,
        rule.version,
        at,
        due,
        str(owner),
        "" if cause_uuid else draft.cause,
        cause_uuid,
        subject.encounter,
        subject.focus,
        subject.notification,
    )
    if not subject.encounter or home is not context.world.directory.of_facility(context.encounter.facility if context.encounter else ""):
        handoff.organisation = home.id
    if calendar is not home:
        handoff.calendar = calendar.id
    handoff.status = first_status(rule, due, draft.at)
    handoff.opened_by = OPENERS.index(event) if event in OPENERS else 0
    handoff.unit = unit
    if counts_from in {"admission", "discharge"}:
        handoff.opened_by = OPENERS.index("PatientAdmitted" if counts_from == "admission" else "PatientDischarged")
    if superseded is not None:
        why = f"{draft.words}. A new task replaces this one."
        close(draft, superseded, compiled, "superseded", happened=at, why=why, by_encounter=subject.encounter)
    person.handoffs.append(handoff)
    skip_warnings(handoff, compiled, draft.at)
    schedule_next_step(handoff, compiled, draft.at, calendar, context.world.directory)
    why = _opening_words(draft, compiled, context, compiled.clock(context) if unit else None, handoff, calendar)
    draft.task(handoff, compiled, why)
    return [handoff]


def _begin_earlier(draft: EffectsDraft, handoff: Handoff, compiled: CompiledRule, context: Context, at: Millis) -> None:
    """Start the clock of *handoff* at *at*, because an earlier trigger has arrived. The earliest trigger counts."""
    calendar = calendar_of(handoff, context.person, context.world)
    due = due_at(compiled.clock(context), at, calendar.zone, calendar.holidays)
    handoff.opened_at = at
    if due >= handoff.due:
        return
    handoff.due, handoff.next_step = due, 0
    skip_warnings(handoff, compiled, draft.at)
    schedule_next_step(handoff, compiled, draft.at, calendar, context.world.directory)
    why = f"{draft.words}, earlier than the event that opened the task. The task is now due {due_text(handoff, calendar.zone)}."
    draft.show(handoff, compiled, why)


def _referral_for(context: Context, services: Condition) -> Referral | None:
    """Return the newest open referral for one of the *services* in a trigger's condition, or None. Its target is accountable."""
    if not isinstance(services, tuple):
        return None
    waiting = [r for r in context.person.referrals if r.service in services and r.status and r.status not in ENDED]
    return max(waiting, key=lambda r: r.requested, default=None)


def _handoff_id(draft: EffectsDraft, rule: Rule, subject: Subject, at: Millis) -> bytes:
    """Return the id of a new handoff.

    One event can open two handoffs about the same subject, if an admission arrives after its discharge.
    """
    about = subject.focus or (subject.notification or b"").hex()
    parts = (draft.seed, rule.id, "handoff", str(subject.encounter), about)
    id_ = uuid_bytes(derive(*parts))
    return uuid_bytes(derive(*parts, str(at))) if any(known.id == id_ for known in draft.person.handoffs) else id_


def deadline_of(compiled: CompiledRule, context: Context, owner: Address, at: Millis) -> tuple[Millis, int, Organisation]:
    """Return the due time of a clock that starts at *at*, the index of its unit (0: a fact gives the due time), and its calendar."""
    calendar = context.organisation
    if compiled.rule.calendar == "accountable":
        calendar = home_of(owner, context) or calendar
    until = compiled.until(context) if compiled.until is not None else None
    if isinstance(until, int) and until:
        return Millis(until), 0, calendar
    clock = compiled.clock(context)
    return due_at(clock, at, calendar.zone, calendar.holidays), UNITS.index(clock.unit), calendar


def _clock_start(context: Context, rule: Rule, counts_from: str) -> Millis:
    """Return when the clock of a handoff of *rule* starts."""
    encounter = context.encounter
    if encounter is not None and rule.again == "extend":
        return Millis(encounter.last)
    if encounter is not None and counts_from == "discharge" and encounter.discharged:
        return Millis(encounter.discharged)
    if encounter is not None and counts_from == "admission" and encounter.admitted:
        return Millis(encounter.admitted)
    if counts_from == "second-setback" and context.goal is not None:
        row = stalled_since(context.goal.achieved)
        return Millis(max(context.at, row[1])) if len(row) > 1 else context.at
    return context.at


def _subject(context: Context, rule: Rule) -> Subject | None:
    """Return the subject of a handoff of *rule*, or None if the event has no such subject."""
    encounter = context.encounter.number if context.encounter is not None else 0
    match rule.subject:
        case "encounter":
            return Subject(encounter, None, None) if encounter else None
        case "referral":
            return Subject(encounter, context.referral.id, None) if context.referral else None
        case "goal":
            return Subject(encounter, context.goal.id, None) if context.goal else None
        case "appointment":
            return Subject(encounter, appointment_focus(context), None) if appointment_focus(context) else None
        case "notification":
            return Subject(encounter, None, uuid_bytes(context.issued.id)) if context.issued else None
        case _:
            return Subject(encounter, None, None)


def same_subject(handoff: Handoff, rule: Rule, subject: Subject) -> bool:
    """Return whether *handoff* is of *rule* and about *subject*. At most one such handoff is open at a time."""
    if handoff.rule != rule.id:
        return False
    if rule.subject == "encounter":
        return handoff.encounter == subject.encounter
    return rule.subject == "person" or (handoff.focus, handoff.notification) == subject[1:]


def _opening_words(  # noqa: PLR0917
    draft: EffectsDraft, compiled: CompiledRule, context: Context, clock: Clock | None, handoff: Handoff, calendar: Organisation
) -> str:
    """Return the `why` of a new handoff: what happened, when it is due, who is accountable, and what is uncertain."""
    rule = compiled.rule
    span = f"within {clock_words(clock)}, " if clock is not None else ""
    doubt = ""
    if context.kind == "PatientDischarged" and context.encounter is not None:
        if not context.encounter.disposition or context.encounter.disposition in {"oth", "unknown"}:
            doubt = " The destination after discharge is not known and counts as community (home or similar)."
        if not context.encounter.class_:
            doubt += " The class of the encounter is not known."
    if compiled.asks_risk and context.encounter is not None:
        doubt += f" Readmission risk: {risk_words(context)}."
    elif rule.subject == "goal":
        scaled = [g for g in context.person.goals if g.status in OPEN_STATUSES and g.attainment is not None]
        attained = gas_t_score(WeightedGoal(g.attainment or 0, g.weight or 1) for g in scaled)
        goals = f"{len(scaled)} goal{'s' if len(scaled) > 1 else ''}"
        doubt += f" The T-score of goal attainment is {attained:.2f}, from {goals}." if attained is not None else ""
    return f"{draft.words}. The task is due {span}{due_text(handoff, calendar.zone)}; {person_words(handoff.owner)} is accountable.{doubt}"


def _uuid_of(cause: str) -> bytes:
    """Return the 16 bytes of an event id that is a UUID in its usual lower-case form; empty bytes for any other id."""
    if len(cause) == 36 and cause[8] == cause[13] == cause[18] == cause[23] == "-":
        try:
            packed = uuid_bytes(cause)
        except ValueError:
            return b""
        return packed if uuid_text(packed) == cause else b""
    return b""
