"""What follows from an event once its facts are taken: taken back, ended, told, opened.

Owns that order: what is cancelled is withdrawn, then the event ends and closes what waits for it, then it is told, then it
opens its own. So a readmission ends the old clocks before it starts new ones. Must not know a rule or a role by name.
"""

from __future__ import annotations

from typing import Any, Final

from agents.coordination.handoffs import handoff as handoffs
from agents.coordination.handoffs import referral_loop as loop
from agents.coordination.handoffs import routing
from agents.coordination.handoffs.closing import react
from agents.coordination.handoffs.effects_draft import Draft
from agents.coordination.handoffs.ladder import hear
from agents.coordination.handoffs.opening import open_all, same_subject
from agents.coordination.handoffs.responses import respond
from agents.coordination.person.state import DEATH, OPENERS, Handoff, Status, Stay
from agents.coordination.record.encounter import Turn
from agents.coordination.record.late_arrivals import told_again
from agents.coordination.record.subject import resolve_again
from agents.coordination.rules import catalogue as ruleset
from agents.coordination.rules.facts import DISPOSITION_GROUP, SETTING, Scene
from agents.coordination.rules.words import happened
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


def quietly(draft: Draft, scene: Scene, turn: Turn | None) -> None:
    """Apply what even history changes: who has died has no clocks. Nobody is told, nothing opens."""
    if _says_death(scene, turn):
        _die(draft, scene)


# ---- stays


def after_turn(draft: Draft, scene: Scene, turn: Turn) -> None:
    """Draw the consequences of what an encounter event came to."""
    _follow(draft, scene, turn)
    hear(draft, scene)


def _follow(draft: Draft, scene: Scene, turn: Turn) -> None:
    stay, kind = turn.stay, turn.kind
    if turn.reason == "older-than-the-discharge" and stay is not None and _begin_anew(draft, scene, stay):
        return
    if stay is None or kind in {"ignored", "remembered"}:
        draft.suppressed(turn.reason, f"{draft.words}: {turn.reason.replace('-', ' ')}; nobody is told.")
        return
    if kind in _TAKEN_BACK:
        _take_back(draft, scene, stay, kind)
        return
    was_dead = bool(scene.person.deceased)
    dies = _says_death(scene, turn)
    if dies:
        scene.changed = (*scene.changed, "death")
        kind = "update" if kind == "patch" else kind
    else:
        react(draft, scene)
    if kind not in TELLING:
        draft.suppressed(turn.reason, f"{draft.words}: {turn.reason.replace('-', ' ')}; nobody is told.")
    elif was_dead and not dies:
        draft.suppressed("deceased", f"{draft.words}: the person has died.")
    elif not routing.announce(draft, scene):
        draft.suppressed("not-told-by-routing", f"{draft.words}: no row of the routing table tells anybody.")
    if dies:
        _die(draft, scene)
    else:
        _open(draft, scene)
        other = SETTING.get(stay.class_) != SETTING.get(turn.class_before)
        registers = getattr(scene.fact, "registration", False) and bool(turn.class_before)  # A visit that goes on under the same number.
        corrected = scene.kind == "EncounterUpdated" and "disposition" in scene.changed and not stay.assumed
        if stay.status == Status.FINISHED and (
            corrected or (other and not registers and kind != "discharge" and scene.at <= stay.discharged)
        ):
            _judge_discharge_anew(draft, scene, stay)


def _judge_discharge_anew(draft: Draft, scene: Scene, stay: Stay) -> None:
    """Let a discharge open what it would have opened, had the class of its stay been known then, and nothing else.

    An admission may arrive after the discharge that does not say what kind of stay it ends: which rules hold must not
    depend on which came first. An update may say only later where the person went.
    """
    person, world = scene.person, scene.world
    if scene.event is None or draft.at - stay.discharged > world.settings.history_days * DAY_MS:
        return
    at = Millis(stay.discharged)
    fact = e.PatientDischarged(e.Encounter(stay.facility, stay.visit), stay.disposition)
    again = Scene(person, world, at, scene.organisation, Event(scene.event.id, scene.event.source, at, draft.at, person.key, fact))
    again.stay = stay
    ended = False
    for handoff in person.handoffs:
        if handoff.stay != stay.number or OPENERS[handoff.opened_by] != "PatientDischarged" or (handoff.closed_at and not handoff.ended_by):
            continue
        rule = handoffs.rule_of(handoff, person, world)
        if rule is None or "PatientDischarged" not in rule.triggers:
            continue
        goals, again.goal = again.goal, next((g for g in person.goals if g.id == handoff.ref), None)
        asked = any(ruleset.holds(tests, again) for _, tests in rule.triggers["PatientDischarged"])
        again.goal = goals
        if asked and handoff.closed_at and handoff.ended_by == stay.number and handoff.closure == "not-applicable":
            _let_live(draft, scene, handoff, f"{draft.words}: it is asked for after all.")
        elif not asked and handoff.closed_at:
            handoff.ended_by = 0  # Whatever is taken back, it does not come back.
        elif not asked:
            why = f"{draft.words}: a stay of this kind does not ask for it."
            handoffs.close(draft, handoff, rule, "not-applicable", happened=scene.at, why=why)
            handoff.closure = "cancelled"  # It stands in the way of none, should a later word say that it is asked for after all.
            ended = True
    if ended:
        _revive(draft, scene, stay, stay.discharged)  # What they had superseded is not.
    _open(draft, again)


def _take_back(draft: Draft, scene: Scene, stay: Stay, kind: str) -> None:
    """Take back what the cancelled message told and opened, and let live again what it had ended."""
    person = scene.person
    why = f"{draft.words}."
    told_of = _TAKEN_BACK[kind]
    routing.take_back(draft, scene, stay, told_of, why)
    _cancel(draft, scene, [h for h in person.handoffs if h.stay == stay.number and (not told_of or OPENERS[h.opened_by] == told_of)], why)
    if kind != "withdraw-transfer":
        if person.deceased and person.deceased_stay == stay.number:
            person.deceased = person.deceased_stay = 0
        _revive(draft, scene, stay, stay.cancels[-1] if kind == "withdraw-discharge" and stay.cancels else None)
    react(draft, scene)
    _open(draft, scene)


def _cancel(draft: Draft, scene: Scene, opened: list[Handoff], why: str) -> None:
    """End what a message that never was had opened. What had ended of it stands in the way of no new one, nor comes back."""
    for handoff in opened:
        if isinstance(handoff.ref, bytes):
            continue
        if handoff.closed_at:
            handoff.closure = "cancelled"
        else:
            rule = handoffs.rule_of(handoff, scene.person, scene.world)
            handoffs.close(draft, handoff, rule, "cancelled", happened=scene.at, why=why)


def _begin_anew(draft: Draft, scene: Scene, stay: Stay) -> bool:
    """Where a cancel comes after the discharge that replaced its target, count from the discharge that stands; say whether it did."""
    person = scene.person
    stale = [
        h for h in person.handoffs if h.stay == stay.number and OPENERS[h.opened_by] == "PatientDischarged" and h.opened_at <= scene.at
    ]
    dead = bool(person.deceased) and person.deceased_stay == stay.number and person.deceased <= scene.at
    if not dead and all(h.closure == "cancelled" or isinstance(h.ref, bytes) for h in stale):
        return False
    # What was told stays told: that the person was discharged is true.
    _cancel(draft, scene, stale, f"{draft.words}.")
    if dead:
        died, person.deceased, person.deceased_stay = person.deceased, 0, 0
        _revive(draft, scene, stay, died)
    fact = e.PatientDischarged(e.Encounter(stay.facility, stay.visit), stay.disposition, complexity=stay.complexity or None)
    id_, source = (scene.event.id, scene.event.source) if scene.event is not None else ("", "")
    standing = Event(id_, source, Millis(stay.discharged), draft.at, person.key, fact)
    again = Scene(person, scene.world, Millis(stay.discharged), scene.organisation, standing)
    again.stay = stay
    if dead:
        react(draft, again)
    _open(draft, again)
    return True


def _revive(draft: Draft, scene: Scene, stay: Stay, ended_at: int | None = None) -> None:
    """Let live again what the cancelled stay had ended, or its discharge of *ended_at* alone, and count what was heard since.

    What the admission before that discharge had superseded stays so.
    """
    person, world = scene.person, scene.world
    if person.deceased:
        return  # Nothing waits any more for who has died, whatever is taken back.
    for handoff in [h for h in person.handoffs if h.closed_at and h.closure in {"superseded", "not-applicable"}]:
        if handoff.ended_by != stay.number or (ended_at is None and handoff.stay == stay.number):
            continue
        if ended_at is not None and handoff.met_at // 1000 != ended_at // 1000:
            continue
        rule = handoffs.rule_of(handoff, person, world)
        if rule is not None and any(
            not other.closed_at and same_subject(other, rule.rule, handoff.stay, handoff.ref) for other in person.handoffs
        ):
            continue
        _let_live(draft, scene, handoff, f"{draft.words}: what had ended this handoff is taken back.")


def _let_live(draft: Draft, scene: Scene, handoff: Handoff, why: str) -> None:
    """Open *handoff* again, and let count what it did not hear while it was ended."""
    closed_at, ended = handoff.closed_at, handoff.met_at
    handoffs.reopen(draft, handoff, scene.world, why)
    _catch_up(draft, scene, [handoff], heard_until=closed_at, missed_from=ended)


# ---- death


def _says_death(scene: Scene, turn: Turn | None) -> bool:
    """Take what the event says of the person's death into the state; say whether it is news."""
    person, fact = scene.person, scene.fact
    dead = getattr(fact, "deceased", None)
    if turn is not None and turn.kind not in BELIEVED:
        return False
    if dead is False and isinstance(fact, e.PersonUpdated) and person.deceased and scene.at >= person.deceased:
        person.deceased = person.deceased_stay = 0
    if turn is not None and DISPOSITION_GROUP.get(getattr(fact, "disposition", None) or "") == "died":
        dead = True
    if not dead or person.deceased:
        return False
    person.deceased = getattr(fact, "deceased_at", None) or scene.at
    by_discharge = isinstance(fact, e.PatientDischarged) and scene.stay is not None
    person.deceased_stay = scene.stay.number if by_discharge and scene.stay is not None else 0
    return True


def _die(draft: Draft, scene: Scene) -> None:
    """End the person's clocks: nobody calls the family about an appointment."""
    person, world = scene.person, scene.world
    why = f"{draft.words}: the person has died."
    for handoff in person.handoffs:
        if not handoff.closed_at:
            handoff.ended_by = person.deceased_stay or DEATH
            handoffs.close(draft, handoff, handoffs.rule_of(handoff, person, world), "not-applicable", happened=scene.at, why=why)


def _live(draft: Draft, scene: Scene) -> None:
    """Open again what a death had ended that was not one: nobody may be forgotten because of a wrong tick in a record."""
    for handoff in scene.person.handoffs:
        if handoff.ended_by == DEATH and handoff.closure == "not-applicable":
            _let_live(draft, scene, handoff, f"{draft.words}: the person has not died.")


# ---- everything else


def after_record(draft: Draft, scene: Scene) -> None:
    """Draw the consequences of an event that is no stay's own."""
    person, fact = scene.person, scene.fact
    if type(fact) in _RESPONSES:
        respond(draft, scene)
        return
    if isinstance(fact, e.PersonUpdated):
        was_dead = bool(person.deceased)
        if _says_death(scene, None):
            scene.changed = ("death",)
            routing.announce(draft, scene)
            _die(draft, scene)
        elif was_dead and not person.deceased:
            _live(draft, scene)
        return
    _end_with_subject(draft, scene)
    if person.deceased:
        if scene.kind in scene.world.catalogue.notices:
            draft.suppressed("deceased", f"{draft.words}: the person has died.", scene.kind)
        return
    if isinstance(fact, e.ReferralRequested) and scene.referral is not None and scene.referral.status in _GONE:
        draft.suppressed("already-cancelled", f"{draft.words}: it was called off before this was heard of.", scene.kind)
        return
    loop.follow(draft, scene)
    react(draft, scene)
    loop.judge_report(draft, scene)
    if scene.repeated:
        draft.suppressed("no-material-change", f"{draft.words}: it stood so before.", scene.kind)
    elif isinstance(fact, e.ReferralRequested) and scene.referral is not None and scene.referral.linked:
        why = f"{draft.words}: the same service was asked for before; linked to referral {scene.referral.linked}, which goes on alone."
        draft.suppressed("duplicate-referral", why, scene.kind)
    else:
        routing.announce(draft, scene)
    _open(draft, scene)
    _open_of_late_goal(draft, scene)
    for again in loop.stand_in(draft, scene):
        react(draft, again)
        routing.announce(draft, again)
        _open(draft, again)


def _open_of_late_goal(draft: Draft, scene: Scene) -> None:
    """Let the admissions and discharges since a goal's beginning open what they would have opened, had it been known then."""
    goal, person, world = scene.goal, scene.person, scene.world
    if scene.kind != "GoalUpdated" or goal is None or goal.since != scene.at:
        return
    past: list[tuple[int, Stay, Any]] = []
    for stay in person.stays:
        ref = e.Encounter(stay.facility, stay.visit)
        if stay.admitted and stay.status in {Status.IN_PROGRESS, Status.ON_LEAVE, Status.FINISHED}:
            past.append((stay.admitted, stay, e.PatientAdmitted(ref, stay.class_)))
        if stay.discharged and stay.status == Status.FINISHED and not stay.assumed:
            past.append((stay.discharged, stay, e.PatientDischarged(ref, stay.disposition)))
    for at, stay, fact in sorted(past, key=lambda row: row[0]):
        if at < goal.since or draft.at - at > world.settings.history_days * DAY_MS or scene.event is None:
            continue
        event = Event(scene.event.id, scene.event.source, Millis(at), draft.at, person.key, fact)
        again = Scene(person, world, Millis(at), world.directory.of_facility(stay.facility), event)
        again.stay = stay
        opened = open_all(draft, again, of_goal=goal)
        if opened:
            _catch_up(draft, again, opened)


def _end_with_subject(draft: Draft, scene: Scene) -> None:
    """Cancel the handoffs of a referral or goal that is itself called off."""
    fact: Any = scene.fact
    gone = ""
    if isinstance(fact, e.ReferralStatusChanged) and scene.referral is not None and fact.status in _GONE and not scene.repeated:
        gone, subject = scene.referral.id, f"the referral is {fact.status}"
    elif isinstance(fact, e.GoalUpdated) and scene.goal is not None and fact.lifecycle_status == "entered-in-error":
        gone, subject = scene.goal.id, "the goal was entered in error"
    if not gone:
        return
    for handoff in scene.person.handoffs:
        if handoff.ref == gone and not handoff.closed_at:
            rule = handoffs.rule_of(handoff, scene.person, scene.world)
            handoffs.close(draft, handoff, rule, "cancelled", happened=scene.at, why=f"{draft.words}: {subject}.")


# ---- opening, and what has already arrived


def _open(draft: Draft, scene: Scene) -> None:
    """Open what the event triggers; then let count what has already arrived although it happened after the trigger."""
    opened = open_all(draft, scene)
    if opened:
        _catch_up(draft, scene, opened)


def _catch_up(draft: Draft, scene: Scene, opened: list[Handoff], heard_until: int = -1, missed_from: int = 0) -> None:
    """Let count what arrived after *heard_until*, or had happened since *missed_from*, when *opened* were ended and heard nothing."""
    # A day earlier than the trigger: some rules count its whole date. Whether an event counts is not decided here.
    earliest = min(handoff.opened_at for handoff in opened) - DAY_MS
    words = draft.words
    for event in told_again(scene):
        if event.time < earliest or (event.arrival <= heard_until and event.time < missed_from):
            continue
        again = Scene(scene.person, scene.world, event.time, scene.organisation, event)
        if isinstance(event.data, e.PatientAdmitted):
            ref = event.data.encounter
            again.stay = next(s for s in scene.person.stays if (s.facility, s.visit, s.admitted) == (ref.facility, ref.visit, event.time))
        else:
            resolve_again(again, event.data)
        draft.words = happened(event, event.time, scene.organisation.zone)
        for handoff in list(opened):
            if not handoff.closed_at and event.time >= handoff.opened_at - DAY_MS:
                react(draft, again, handoff)
                opened += _renew(draft, again, handoff)
    draft.words = words


def _renew(draft: Draft, again: Scene, handoff: Handoff) -> list[Handoff]:
    """Let what closed the review of a goal begin the next interval, as it would have, had the goal been known then."""
    rule = handoffs.rule_of(handoff, again.person, again.world)
    goal = next((g for g in again.person.goals if g.id == handoff.ref), None)
    if not handoff.closed_at or rule is None or rule.rule.again != "renew" or goal is None:
        return []
    return open_all(draft, again, of_goal=goal)
