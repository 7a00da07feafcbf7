"""What follows from an event once its facts are taken: taken back, ended, told, opened.

Owns that order: what is cancelled is withdrawn, then the event ends and closes what waits for it, then it is told, then it
opens its own. So a readmission ends the old clocks before it starts new ones. Must not know a rule or a role by name.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs import routing
from agents.coordination.handoffs.closing import react
from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import close, reopen, rule_of
from agents.coordination.handoffs.ladder import hear
from agents.coordination.handoffs.opening import open_all, same_subject
from agents.coordination.handoffs.referral_loop import follow, judge_report, stand_in
from agents.coordination.handoffs.responses import respond
from agents.coordination.person.encounter import Encounter, Status
from agents.coordination.person.state import OPENERS, Handoff
from agents.coordination.record.encounter_states import Transition
from agents.coordination.record.late_arrivals import past_events
from agents.coordination.record.subject import resolve_past
from agents.coordination.rules.catalogue import holds
from agents.coordination.rules.facts import DISPOSITION_GROUP, SETTING
from agents.coordination.rules.wording import happened
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.events import Event, Millis
from streams.contract.topics import DAY_MS, RESPONSE

TELLING: Final = frozenset({"admit", "plan", "transfer", "class-change", "update", "discharge"})
BELIEVED: Final = frozenset({*TELLING, "late-admit", "patch"})
"""Turns whose facts hold: not cancelled, not refused."""

_RESPONSES: Final = frozenset(RESPONSE.types)
_TAKEN_BACK: Final = {"withdraw-stay": "", "withdraw-transfer": "PatientTransferred", "withdraw-discharge": "PatientDischarged"}
"""What each withdrawal takes back: everything of the stay, or what one kind of event told and opened."""
_GONE: Final = frozenset({"cancelled", "entered-in-error"})


def quietly(draft: EffectsDraft, context: Context, transition: Transition | None) -> None:
    """Apply what even history changes: who has died has no clocks. Nobody is told, nothing opens."""
    if _says_death(context, transition):
        _die(draft, context)


# ---- stays


def after_turn(draft: EffectsDraft, context: Context, transition: Transition) -> None:
    """Draw the consequences of what an encounter event came to."""
    _follow(draft, context, transition)
    hear(draft, context)


def _follow(draft: EffectsDraft, context: Context, transition: Transition) -> None:
    encounter, kind = transition.encounter, transition.kind
    if transition.reason == "older-than-the-discharge" and encounter is not None and _begin_anew(draft, context, encounter):
        return
    if encounter is None or kind in {"ignored", "remembered"}:
        draft.suppressed(transition.reason, f"{draft.words}: {transition.reason.replace('-', ' ')}; nobody is told.")
        return
    if kind in _TAKEN_BACK:
        _take_back(draft, context, encounter, kind)
        return
    was_dead = bool(context.person.deceased)
    dies = _says_death(context, transition)
    if dies:
        context = replace(context, changed=(*context.changed, "death"))
        kind = "update" if kind == "patch" else kind
    else:
        react(draft, context)
    if kind not in TELLING:
        draft.suppressed(transition.reason, f"{draft.words}: {transition.reason.replace('-', ' ')}; nobody is told.")
    elif was_dead and not dies:
        draft.suppressed("deceased", f"{draft.words}: the person has died.")
    elif not routing.announce(draft, context):
        draft.suppressed("not-told-by-routing", f"{draft.words}: no row of the routing table tells anybody.")
    if dies:
        _die(draft, context)
    else:
        _open(draft, context)
        other = SETTING.get(encounter.class_) != SETTING.get(transition.class_before)
        registers = getattr(context.fact, "registration", False) and bool(
            transition.class_before
        )  # A visit that goes on under the same number.
        corrected = context.kind == "EncounterUpdated" and "disposition" in context.changed and not encounter.assumed
        if encounter.status == Status.FINISHED and (
            corrected or (other and not registers and kind != "discharge" and context.at <= encounter.discharged)
        ):
            _judge_discharge_anew(draft, context, encounter)


def _judge_discharge_anew(draft: EffectsDraft, context: Context, encounter: Encounter) -> None:
    """Let a discharge open what it would have opened, had the class of its stay been known then, and nothing else.

    An admission may arrive after the discharge that does not say what kind of stay it ends: which rules hold must not
    depend on which came first. An update may say only later where the person went.
    """
    person, world = context.person, context.world
    if context.event is None or draft.at - encounter.discharged > world.settings.history_days * DAY_MS:
        return
    at = Millis(encounter.discharged)
    fact = e.PatientDischarged(e.EncounterRef(encounter.facility, encounter.visit), encounter.disposition)
    event = Event(context.event.id, context.event.source, at, draft.at, person.key, fact)
    again = Context.of(person, world, at, context.organisation, event, encounter)
    ended = False
    for handoff in person.handoffs:
        if (
            handoff.encounter != encounter.number
            or OPENERS[handoff.opened_by] != "PatientDischarged"
            or (handoff.end is not None and not handoff.end.by_encounter and not handoff.end.by_death)
        ):
            continue
        rule = rule_of(handoff, person, world)
        if rule is None or "PatientDischarged" not in rule.triggers:
            continue
        about = replace(again, goal=next((g for g in person.goals if g.id == handoff.focus), None))
        asked = any(holds(tests, about) for _, tests in rule.triggers["PatientDischarged"])
        end = handoff.end
        if asked and end is not None and end.by_encounter == encounter.number and end.closure == "not-applicable":
            _let_live(draft, context, handoff, f"{draft.words}: it is asked for after all.")
        elif not asked and end is not None:
            end.by_encounter, end.by_death = 0, False  # Whatever is taken back, it does not come back.
        elif not asked:
            why = f"{draft.words}: a stay of this kind does not ask for it."
            close(draft, handoff, rule, "not-applicable", happened=context.at, why=why)
            _count_as_cancelled(handoff)  # It stands in the way of none, should a later word say that it is asked for after all.
            ended = True
    if ended:
        _revive(draft, context, encounter, encounter.discharged)  # What they had superseded is not.
    _open(draft, again)


def _take_back(draft: EffectsDraft, context: Context, encounter: Encounter, kind: str) -> None:
    """Take back what the cancelled message told and opened, and let live again what it had ended."""
    person = context.person
    why = f"{draft.words}."
    told_of = _TAKEN_BACK[kind]
    routing.take_back(draft, context, encounter, told_of, why)
    _cancel(
        draft,
        context,
        [h for h in person.handoffs if h.encounter == encounter.number and (not told_of or OPENERS[h.opened_by] == told_of)],
        why,
    )
    if kind != "withdraw-transfer":
        if person.deceased and person.deceased_encounter == encounter.number:
            person.deceased = person.deceased_encounter = 0
        _revive(draft, context, encounter, encounter.cancels[-1].took_back if kind == "withdraw-discharge" and encounter.cancels else None)
    react(draft, context)
    _open(draft, context)


def _cancel(draft: EffectsDraft, context: Context, opened: list[Handoff], why: str) -> None:
    """End what a message that never was had opened. What had ended of it stands in the way of no new one, nor comes back."""
    for handoff in opened:
        if handoff.notification is not None:
            continue
        if handoff.end is not None:
            _count_as_cancelled(handoff)
        else:
            rule = rule_of(handoff, context.person, context.world)
            close(draft, handoff, rule, "cancelled", happened=context.at, why=why)


def _count_as_cancelled(handoff: Handoff) -> None:
    """Let what has ended stand in the way of no new handoff, nor come back."""
    if handoff.end is not None:
        handoff.end.closure = "cancelled"


def _begin_anew(draft: EffectsDraft, context: Context, encounter: Encounter) -> bool:
    """Where a cancel comes after the discharge that replaced its target, count from the discharge that stands; say whether it did."""
    person = context.person
    stale = [
        h
        for h in person.handoffs
        if h.encounter == encounter.number and OPENERS[h.opened_by] == "PatientDischarged" and h.opened_at <= context.at
    ]
    dead = bool(person.deceased) and person.deceased_encounter == encounter.number and person.deceased <= context.at
    if not dead and all(h.closure == "cancelled" or h.notification is not None for h in stale):
        return False
    # What was told stays told: that the person was discharged is true.
    _cancel(draft, context, stale, f"{draft.words}.")
    if dead:
        died, person.deceased, person.deceased_encounter = person.deceased, 0, 0
        _revive(draft, context, encounter, died)
    fact = e.PatientDischarged(
        e.EncounterRef(encounter.facility, encounter.visit), encounter.disposition, complexity=encounter.complexity or None
    )
    id_, source = (context.event.id, context.event.source) if context.event is not None else ("", "")
    standing = Event(id_, source, Millis(encounter.discharged), draft.at, person.key, fact)
    again = Context.of(person, context.world, standing.time, context.organisation, standing, encounter)
    if dead:
        react(draft, again)
    _open(draft, again)
    return True


def _revive(draft: EffectsDraft, context: Context, encounter: Encounter, ended_at: int | None = None) -> None:
    """Let live again what the cancelled stay had ended, or its discharge of *ended_at* alone, and count what was heard since.

    What the admission before that discharge had superseded stays so.
    """
    person, world = context.person, context.world
    if person.deceased:
        return  # Nothing waits any more for who has died, whatever is taken back.
    for handoff in [h for h in person.handoffs if h.closure in {"superseded", "not-applicable"}]:
        end = handoff.end
        if end is None or end.by_encounter != encounter.number:
            continue
        if handoff.encounter == encounter.number if ended_at is None else end.happened // 1000 != ended_at // 1000:
            continue
        rule = rule_of(handoff, person, world)
        if rule is not None and any(not other.closed_at and same_subject(other, rule.rule, handoff.subject) for other in person.handoffs):
            continue
        _let_live(draft, context, handoff, f"{draft.words}: what had ended this handoff is taken back.")


def _let_live(draft: EffectsDraft, context: Context, handoff: Handoff, why: str) -> None:
    """Open *handoff* again, and let count what it did not hear while it was ended."""
    end = handoff.end
    reopen(draft, handoff, context.world, why)
    if end is not None:
        _catch_up(draft, context, [handoff], heard_until=end.at, missed_from=end.happened)


# ---- death


def _says_death(context: Context, transition: Transition | None) -> bool:
    """Take what the event says of the person's death into the state; say whether it is news."""
    person, fact = context.person, context.fact
    dead = getattr(fact, "deceased", None)
    if transition is not None and transition.kind not in BELIEVED:
        return False
    if dead is False and isinstance(fact, e.PersonUpdated) and person.deceased and context.at >= person.deceased:
        person.deceased = person.deceased_encounter = 0
    if transition is not None and DISPOSITION_GROUP.get(getattr(fact, "disposition", None) or "") == "died":
        dead = True
    if not dead or person.deceased:
        return False
    person.deceased = getattr(fact, "deceased_at", None) or context.at
    by_discharge = isinstance(fact, e.PatientDischarged) and context.encounter is not None
    person.deceased_encounter = context.encounter.number if by_discharge and context.encounter is not None else 0
    return True


def _die(draft: EffectsDraft, context: Context) -> None:
    """End the person's clocks: nobody calls the family about an appointment."""
    person, world = context.person, context.world
    why = f"{draft.words}: the person has died."
    for handoff in person.handoffs:
        if handoff.end is None:
            rule, ender = rule_of(handoff, person, world), person.deceased_encounter
            close(draft, handoff, rule, "not-applicable", happened=context.at, why=why, by_encounter=ender, by_death=not ender)


def _live(draft: EffectsDraft, context: Context) -> None:
    """Open again what a death had ended that was not one: nobody may be forgotten because of a wrong tick in a record."""
    for handoff in context.person.handoffs:
        if handoff.end is not None and handoff.end.by_death and handoff.end.closure == "not-applicable":
            _let_live(draft, context, handoff, f"{draft.words}: the person has not died.")


# ---- everything else


def after_record(draft: EffectsDraft, context: Context) -> None:
    """Draw the consequences of an event that is no stay's own."""
    person, fact = context.person, context.fact
    if type(fact) in _RESPONSES:
        respond(draft, context)
        return
    if isinstance(fact, e.PersonUpdated):
        was_dead = bool(person.deceased)
        if _says_death(context, None):
            routing.announce(draft, replace(context, changed=("death",)))
            _die(draft, context)
        elif was_dead and not person.deceased:
            _live(draft, context)
        return
    _end_with_subject(draft, context)
    if person.deceased:
        if context.kind in context.world.catalogue.notices:
            draft.suppressed("deceased", f"{draft.words}: the person has died.", context.kind)
        return
    if isinstance(fact, e.ReferralRequested) and context.referral is not None and context.referral.status in _GONE:
        draft.suppressed("already-cancelled", f"{draft.words}: it was called off before this was heard of.", context.kind)
        return
    follow(draft, context)
    react(draft, context)
    judge_report(draft, context)
    if context.repeated:
        draft.suppressed("no-material-change", f"{draft.words}: it stood so before.", context.kind)
    elif isinstance(fact, e.ReferralRequested) and context.referral is not None and context.referral.linked:
        why = f"{draft.words}: the same service was asked for before; linked to referral {context.referral.linked}, which goes on alone."
        draft.suppressed("duplicate-referral", why, context.kind)
    else:
        routing.announce(draft, context)
    _open(draft, context)
    _open_of_late_goal(draft, context)
    for again in stand_in(draft, context):
        react(draft, again)
        routing.announce(draft, again)
        _open(draft, again)


def _open_of_late_goal(draft: EffectsDraft, context: Context) -> None:
    """Let the admissions and discharges since a goal's beginning open what they would have opened, had it been known then."""
    goal, person, world = context.goal, context.person, context.world
    if context.kind != "GoalUpdated" or goal is None or goal.since != context.at:
        return
    past: list[tuple[int, Encounter, Any]] = []
    for encounter in person.encounters:
        ref = e.EncounterRef(encounter.facility, encounter.visit)
        if encounter.admitted and encounter.status in {Status.IN_PROGRESS, Status.ON_LEAVE, Status.FINISHED}:
            past.append((encounter.admitted, encounter, e.PatientAdmitted(ref, encounter.class_)))
        if encounter.discharged and encounter.status == Status.FINISHED and not encounter.assumed:
            past.append((encounter.discharged, encounter, e.PatientDischarged(ref, encounter.disposition)))
    for at, encounter, fact in sorted(past, key=lambda row: row[0]):
        if at < goal.since or draft.at - at > world.settings.history_days * DAY_MS or context.event is None:
            continue
        event = Event(context.event.id, context.event.source, Millis(at), draft.at, person.key, fact)
        again = Context.of(person, world, Millis(at), world.directory.of_facility(encounter.facility), event, encounter)
        opened = open_all(draft, again, of_goal=goal)
        if opened:
            _catch_up(draft, again, opened)


def _end_with_subject(draft: EffectsDraft, context: Context) -> None:
    """Cancel the handoffs of a referral or goal that is itself called off."""
    fact: Any = context.fact
    gone = ""
    if isinstance(fact, e.ReferralStatusChanged) and context.referral is not None and fact.status in _GONE and not context.repeated:
        gone, subject = context.referral.id, f"the referral is {fact.status}"
    elif isinstance(fact, e.GoalUpdated) and context.goal is not None and fact.lifecycle_status == "entered-in-error":
        gone, subject = context.goal.id, "the goal was entered in error"
    if not gone:
        return
    for handoff in context.person.handoffs:
        if handoff.focus == gone and not handoff.closed_at:
            rule = rule_of(handoff, context.person, context.world)
            close(draft, handoff, rule, "cancelled", happened=context.at, why=f"{draft.words}: {subject}.")


# ---- opening, and what has already arrived


def _open(draft: EffectsDraft, context: Context) -> None:
    """Open what the event triggers; then let count what has already arrived although it happened after the trigger."""
    opened = open_all(draft, context)
    if opened:
        _catch_up(draft, context, opened)


def _catch_up(draft: EffectsDraft, context: Context, opened: list[Handoff], heard_until: int = -1, missed_from: int = 0) -> None:
    """Let count what arrived after *heard_until*, or had happened since *missed_from*, when *opened* were ended and heard nothing."""
    # A day earlier than the trigger: some rules count its whole date. Whether an event counts is not decided here.
    earliest = min(handoff.opened_at for handoff in opened) - DAY_MS
    words = draft.words
    for event in past_events(context):
        if event.time < earliest or (event.arrival <= heard_until and event.time < missed_from):
            continue
        again = Context.of(context.person, context.world, event.time, context.organisation, event)
        if isinstance(event.data, e.PatientAdmitted):
            ref = event.data.encounter
            admitted = (ref.facility, ref.visit, event.time)
            again = replace(again, encounter=next(s for s in context.person.encounters if (s.facility, s.visit, s.admitted) == admitted))
        else:
            again = resolve_past(again, event.data)
        draft.words = happened(event, event.time, context.organisation.zone)
        for handoff in list(opened):
            if not handoff.closed_at and event.time >= handoff.opened_at - DAY_MS:
                react(draft, again, handoff)
                opened += _renew(draft, again, handoff)
    draft.words = words


def _renew(draft: EffectsDraft, again: Context, handoff: Handoff) -> list[Handoff]:
    """Let what closed the review of a goal begin the next interval, as it would have, had the goal been known then."""
    rule = rule_of(handoff, again.person, again.world)
    goal = next((g for g in again.person.goals if g.id == handoff.focus), None)
    if not handoff.closed_at or rule is None or rule.rule.again != "renew" or goal is None:
        return []
    return open_all(draft, again, of_goal=goal)
