"""The consequences of an event whose facts are already recorded: what is withdrawn, closed, notified and opened.

Owns their order: first withdraw what the event cancels, then close and end the handoffs that wait for it, then notify, then
open new handoffs. So a readmission ends the old clocks before it starts new ones. Must not know a rule or a role by name.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from agents.coordination.handoffs import routing
from agents.coordination.handoffs.closing import update_handoffs
from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import close, reopen, rule_of
from agents.coordination.handoffs.ladder import restart_silence_clocks
from agents.coordination.handoffs.opening import open_all, same_subject
from agents.coordination.handoffs.referral_loop import explain_open_loop, promote_duplicate, update_referral_handoffs
from agents.coordination.handoffs.responses import respond
from agents.coordination.person.encounter import Encounter, Status
from agents.coordination.person.state import OPENERS, Handoff
from agents.coordination.record.encounter_states import Transition
from agents.coordination.record.late_arrivals import past_events
from agents.coordination.record.subject import resolve_past
from agents.coordination.rules.catalogue import holds
from agents.coordination.rules.facts import DISPOSITION_GROUP, SETTING
from agents.coordination.rules.wording import happened, reason_words
from agents.coordination.rules.world import Context
from streams.contract import events as e
from streams.contract.events import Event, Millis
from streams.contract.topics import DAY_MS, RESPONSE

NOTIFYING: Final = frozenset({"admit", "plan", "transfer", "class-change", "update", "discharge"})
"""Kinds of transitions that the care team may be notified of."""
RECORDED: Final = frozenset({*NOTIFYING, "late-admit", "patch"})
"""Kinds of transitions that leave their facts in the state. The others withdraw an event, or are refused, ignored or kept for later."""

_RESPONSES: Final = frozenset(RESPONSE.types)
_WITHDRAWS: Final = {"withdraw-stay": "", "withdraw-transfer": "PatientTransferred", "withdraw-discharge": "PatientDischarged"}
"""For each kind of withdrawal, the type of the event whose notifications and handoffs it withdraws. Empty: all of the encounter's."""
_CANCELLED: Final = frozenset({"cancelled", "entered-in-error"})


def record_only(draft: EffectsDraft, context: Context, transition: Transition | None) -> None:
    """Handle an event that only updates the state: if it reports a death, record it and close the person's handoffs. Notify nobody."""
    if _record_death(context, transition):
        _close_all(draft, context)


# ---- encounters


def after_encounter_event(draft: EffectsDraft, context: Context, transition: Transition) -> None:
    """Add the consequences of an event about an encounter."""
    _apply(draft, context, transition)
    restart_silence_clocks(draft, context)


def _apply(draft: EffectsDraft, context: Context, transition: Transition) -> None:
    encounter, kind = transition.encounter, transition.kind
    if transition.reason == "older-than-the-discharge" and encounter is not None and _start_from_discharge(draft, context, encounter):
        return
    if encounter is None or kind in {"ignored", "remembered"}:
        draft.suppressed(transition.reason, _nobody_notified(draft, transition.reason))
        return
    if kind in _WITHDRAWS:
        _withdraw(draft, context, encounter, kind)
        return
    was_dead = bool(context.person.deceased)
    dies = _record_death(context, transition)
    if dies:
        context = replace(context, changed=(*context.changed, "death"))
        kind = "update" if kind == "patch" else kind
    else:
        update_handoffs(draft, context)
    if kind not in NOTIFYING:
        draft.suppressed(transition.reason, _nobody_notified(draft, transition.reason))
    elif was_dead and not dies:
        draft.suppressed("deceased", _nobody_notified(draft, "deceased"))
    elif not routing.announce(draft, context):
        draft.suppressed("not-told-by-routing", _nobody_notified(draft, "not-told-by-routing"))
    if dies:
        _close_all(draft, context)
    else:
        _open(draft, context)
        other = SETTING.get(encounter.class_) != SETTING.get(transition.class_before)
        # A registration under the number of a known visit continues that visit.
        registers = getattr(context.fact, "registration", False) and bool(transition.class_before)
        corrected = context.kind == "EncounterUpdated" and "disposition" in context.changed and not encounter.assumed
        if encounter.status == Status.FINISHED and (
            corrected or (other and not registers and kind != "discharge" and context.at <= encounter.discharged)
        ):
            _reevaluate_discharge(draft, context, encounter)


def _nobody_notified(draft: EffectsDraft, reason: str) -> str:
    """Return what happened, and why nobody is notified of it."""
    return f"{draft.words}. Nobody is notified: {reason_words(reason)}."


def _reevaluate_discharge(draft: EffectsDraft, context: Context, encounter: Encounter) -> None:
    """Evaluate the rules for a discharge again, now that the class of its encounter or its destination is known.

    The admission that gives the class may arrive after the discharge, and an update may correct the destination. Which rules
    apply must not depend on the order of arrival.
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
            _reopen(draft, context, handoff, f"{draft.words}. The rule applies to the corrected encounter.")
        elif not asked and end is not None:
            end.by_encounter, end.by_death = 0, False  # A later cancellation must not reopen it.
        elif not asked:
            why = f"{draft.words}. The rule does not apply to the corrected encounter."
            close(draft, handoff, rule, "not-applicable", happened=context.at, why=why)
            _count_as_cancelled(handoff)  # A later correction may open it again.
            ended = True
    if ended:
        _reopen_ended_by(draft, context, encounter, encounter.discharged)  # Reopen what the closed handoffs had superseded.
    _open(draft, again)


def _withdraw(draft: EffectsDraft, context: Context, encounter: Encounter, kind: str) -> None:
    """Withdraw the notifications and cancel the handoffs of the cancelled event, and reopen the handoffs that it had ended."""
    person = context.person
    why = f"{draft.words}."
    event = _WITHDRAWS[kind]
    routing.withdraw(draft, context, encounter, event, why)
    _cancel(
        draft,
        context,
        [h for h in person.handoffs if h.encounter == encounter.number and (not event or OPENERS[h.opened_by] == event)],
        why,
    )
    if kind != "withdraw-transfer":
        if person.deceased and person.deceased_encounter == encounter.number:
            person.deceased = person.deceased_encounter = 0
        _reopen_ended_by(
            draft, context, encounter, encounter.cancels[-1].target_at if kind == "withdraw-discharge" and encounter.cancels else None
        )
    update_handoffs(draft, context)
    _open(draft, context)


def _cancel(draft: EffectsDraft, context: Context, opened: list[Handoff], why: str) -> None:
    """Cancel the handoffs in *opened*, which a cancelled event had opened. A handoff that is already closed is marked as cancelled."""
    for handoff in opened:
        if handoff.notification is not None:
            continue
        if handoff.end is not None:
            _count_as_cancelled(handoff)
        else:
            rule = rule_of(handoff, context.person, context.world)
            close(draft, handoff, rule, "cancelled", happened=context.at, why=why)


def _count_as_cancelled(handoff: Handoff) -> None:
    """Mark a closed handoff as cancelled: it does not prevent a new handoff, and is not reopened."""
    if handoff.end is not None:
        handoff.end.closure = "cancelled"


def _start_from_discharge(draft: EffectsDraft, context: Context, encounter: Encounter) -> bool:
    """Replace the handoffs of a cancelled discharge by those of the valid one, which arrived before the cancellation.

    Return whether anything changed.
    """
    person = context.person
    stale = [
        h
        for h in person.handoffs
        if h.encounter == encounter.number and OPENERS[h.opened_by] == "PatientDischarged" and h.opened_at <= context.at
    ]
    dead = bool(person.deceased) and person.deceased_encounter == encounter.number and person.deceased <= context.at
    if not dead and all(h.closure == "cancelled" or h.notification is not None for h in stale):
        return False
    # The notifications are not withdrawn, because the person was discharged.
    _cancel(draft, context, stale, f"{draft.words}.")
    if dead:
        died, person.deceased, person.deceased_encounter = person.deceased, 0, 0
        _reopen_ended_by(draft, context, encounter, died)
    fact = e.PatientDischarged(
        e.EncounterRef(encounter.facility, encounter.visit), encounter.disposition, complexity=encounter.complexity or None
    )
    id_, source = (context.event.id, context.event.source) if context.event is not None else ("", "")
    valid = Event(id_, source, Millis(encounter.discharged), draft.at, person.key, fact)
    again = Context.of(person, context.world, valid.time, context.organisation, valid, encounter)
    if dead:
        update_handoffs(draft, again)
    _open(draft, again)
    return True


def _reopen_ended_by(draft: EffectsDraft, context: Context, encounter: Encounter, ended_at: int | None = None) -> None:
    """Reopen the handoffs that the cancelled encounter had ended.

    *ended_at*: reopen only those that its discharge at that time (ms) had ended. Those that its admission had superseded stay closed.
    """
    person, world = context.person, context.world
    if person.deceased:
        return  # A person who has died has no open handoffs.
    for handoff in [h for h in person.handoffs if h.closure in {"superseded", "not-applicable"}]:
        end = handoff.end
        if end is None or end.by_encounter != encounter.number:
            continue
        if handoff.encounter == encounter.number if ended_at is None else end.happened // 1000 != ended_at // 1000:
            continue
        rule = rule_of(handoff, person, world)
        if rule is not None and any(not other.closed_at and same_subject(other, rule.rule, handoff.subject) for other in person.handoffs):
            continue
        _reopen(draft, context, handoff, f"{draft.words}. The event that closed this task no longer counts.")


def _reopen(draft: EffectsDraft, context: Context, handoff: Handoff, why: str) -> None:
    """Reopen *handoff*, and apply the events that arrived while it was closed."""
    end = handoff.end
    reopen(draft, handoff, context.world, why)
    if end is not None:
        _catch_up(draft, context, [handoff], arrived_after=end.at, missed_from=end.happened)


# ---- death


def _record_death(context: Context, transition: Transition | None) -> bool:
    """Record a death, or the correction of one, that the event reports. Return whether a new death was recorded."""
    person, fact = context.person, context.fact
    dead = getattr(fact, "deceased", None)
    if transition is not None and transition.kind not in RECORDED:
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


def _close_all(draft: EffectsDraft, context: Context) -> None:
    """Close all handoffs of a person who has died, so that nobody calls the family about an appointment."""
    person, world = context.person, context.world
    why = f"{draft.words}. The person has died."
    for handoff in person.handoffs:
        if handoff.end is None:
            rule, ender = rule_of(handoff, person, world), person.deceased_encounter
            close(draft, handoff, rule, "not-applicable", happened=context.at, why=why, by_encounter=ender, by_death=not ender)


def _reopen_all(draft: EffectsDraft, context: Context) -> None:
    """Reopen the handoffs that were closed because a death was reported by mistake."""
    for handoff in context.person.handoffs:
        if handoff.end is not None and handoff.end.by_death and handoff.end.closure == "not-applicable":
            _reopen(draft, context, handoff, f"{draft.words}. The person has not died.")


# ---- everything else


def after_other_event(draft: EffectsDraft, context: Context) -> None:
    """Add the consequences of an event that is not about an encounter."""
    person, fact = context.person, context.fact
    if type(fact) in _RESPONSES:
        respond(draft, context)
        return
    if isinstance(fact, e.PersonUpdated):
        was_dead = bool(person.deceased)
        if _record_death(context, None):
            routing.announce(draft, replace(context, changed=("death",)))
            _close_all(draft, context)
        elif was_dead and not person.deceased:
            _reopen_all(draft, context)
        return
    _end_with_subject(draft, context)
    if person.deceased:
        if context.kind in context.world.catalogue.notices:
            draft.suppressed("deceased", _nobody_notified(draft, "deceased"), context.kind)
        return
    if isinstance(fact, e.ReferralRequested) and context.referral is not None and context.referral.status in _CANCELLED:
        draft.suppressed("already-cancelled", f"{draft.words}. The referral was cancelled before this request arrived.", context.kind)
        return
    update_referral_handoffs(draft, context)
    update_handoffs(draft, context)
    explain_open_loop(draft, context)
    if context.repeated:
        draft.suppressed("no-material-change", f"{draft.words}. Nobody is notified: this was already known.", context.kind)
    elif isinstance(fact, e.ReferralRequested) and context.referral is not None and context.referral.linked:
        first = f"referral {context.referral.linked} already requests the same service"
        why = f"{draft.words}. It is a duplicate: {first}. Only that referral is followed up."
        draft.suppressed("duplicate-referral", why, context.kind)
    else:
        routing.announce(draft, context)
    _open(draft, context)
    _open_for_late_goal(draft, context)
    for again in promote_duplicate(draft, context):
        update_handoffs(draft, again)
        routing.announce(draft, again)
        _open(draft, again)


def _open_for_late_goal(draft: EffectsDraft, context: Context) -> None:
    """If a goal arrives late, open the handoffs that admissions and discharges would have opened if it had been known."""
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
    """Cancel the handoffs of a referral that is cancelled, or of a goal that was entered by mistake."""
    fact: Any = context.fact
    cancelled, mistake = "", ""
    if isinstance(fact, e.ReferralStatusChanged) and context.referral is not None and fact.status in _CANCELLED and not context.repeated:
        cancelled = context.referral.id
    elif isinstance(fact, e.GoalUpdated) and context.goal is not None and fact.lifecycle_status == "entered-in-error":
        cancelled, mistake = context.goal.id, " The goal was entered by mistake."
    if not cancelled:
        return
    for handoff in context.person.handoffs:
        if handoff.focus == cancelled and not handoff.closed_at:
            rule = rule_of(handoff, context.person, context.world)
            close(draft, handoff, rule, "cancelled", happened=context.at, why=f"{draft.words}.{mistake}")


# ---- opening, and events that arrived before their trigger


def _open(draft: EffectsDraft, context: Context) -> None:
    """Open the handoffs that the event triggers, then apply to them the later events that have already arrived."""
    opened = open_all(draft, context)
    if opened:
        _catch_up(draft, context, opened)


def _catch_up(draft: EffectsDraft, context: Context, opened: list[Handoff], arrived_after: int = -1, missed_from: int = 0) -> None:
    """Apply to *opened* the kept events that arrived after *arrived_after* or happened at *missed_from* or later (ms)."""
    # Include the day before the trigger, because some rules count its whole date. `update_handoffs` decides which events count.
    earliest = min(handoff.opened_at for handoff in opened) - DAY_MS
    words = draft.words
    for event in past_events(context):
        if event.time < earliest or (event.arrival <= arrived_after and event.time < missed_from):
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
                update_handoffs(draft, again, handoff)
                opened += _renew(draft, again, handoff)
    draft.words = words


def _renew(draft: EffectsDraft, again: Context, handoff: Handoff) -> list[Handoff]:
    """If *handoff* is a goal review that was closed, open the next review of that goal."""
    rule = rule_of(handoff, again.person, again.world)
    goal = next((g for g in again.person.goals if g.id == handoff.focus), None)
    if not handoff.closed_at or rule is None or rule.rule.again != "renew" or goal is None:
        return []
    return open_all(draft, again, of_goal=goal)
