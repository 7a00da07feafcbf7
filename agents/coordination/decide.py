"""Deciding: one event, or one deadline, and a person's state make a new state and effects. The core of coordination.

Owns the order of things within one decision. Pure: no clock, no I/O, no randomness; the same arguments give the same
decision for ever. The person passed in is used up: callers keep packed states, and unpack anew.

Within one event: facts first (encounter machine, records, team), then what is taken back, then who is told, then what the
event ends or closes, then what it opens. So a readmission ends the old clocks before it starts its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agents.coordination import encounter, handoffs, merge, records, routing
from agents.coordination.directory import Organisation, split_address
from agents.coordination.draft import ENCOUNTER_RULE, Draft
from agents.coordination.encounter import Turn
from agents.coordination.facts import DISPOSITION_GROUP, Scene
from agents.coordination.ids import cause_of, derive, event_hash, text
from agents.coordination.responses import respond
from agents.coordination.state import (
    OPENERS,
    Handoff,
    Person,
    Recent,
    Stay,
    next_deadline,
    pack,
    prune,
    remember_seen,
    times_seen,
)
from agents.coordination.team import change_consent, change_team, mention, parties_of
from agents.coordination.words import happened
from agents.coordination.world import World
from streams import events as e
from streams.effects import Effect, EventForwarded, EventRefused
from streams.events import Event, Millis, PersonRef
from streams.topics import DAY_MS, FACT_OF

_MINUTE_MS: Final = 60_000
_TELLING: Final = frozenset({"admit", "plan", "transfer", "class-change", "update", "discharge"})
_BELIEVED: Final = frozenset({*_TELLING, "late-admit", "patch"})
_STAY_FACTS: Final = (
    e.EncounterPlanned,
    e.PatientAdmitted,
    e.PatientTransferred,
    e.EncounterClassChanged,
    e.EncounterUpdated,
    e.AdmissionCancelled,
    e.TransferCancelled,
    e.PatientDischarged,
    e.DischargeCancelled,
)
_RESPONSES: Final = (
    e.TaskAcknowledged,
    e.TaskClaimed,
    e.TaskReassigned,
    e.TaskSnoozed,
    e.TaskCompleted,
    e.TaskDeclined,
    e.TaskEscalated,
    e.OutreachAttempted,
)
_WITHDRAWN_KIND: Final = {"withdraw-stay": None, "withdraw-transfer": "PatientTransferred", "withdraw-discharge": "PatientDischarged"}
_GONE_REFERRAL: Final = frozenset({"cancelled", "entered-in-error"})

encode_fact: Final = msgspec.msgpack.Encoder().encode
_decoders: Final = {name: msgspec.msgpack.Decoder(kind) for name, kind in FACT_OF.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """The state to keep (None: nothing is left to keep) and the effects to publish, in their order."""

    person: Person | None
    effects: tuple[Effect, ...]


__all__ = ["Decision", "decide", "expire", "next_deadline", "spoil"]


def decide(person: Person | None, event: Event, now: Millis, world: World) -> Decision:
    """Apply *event*, whose arrival is *now* or earlier, to *person* (None: not heard of before; used up).

    An event that can't be applied gives an EventRefused with its reason and changes nothing but the count of repeats. It
    never raises for what a publisher says.
    """
    if person is None:
        person = Person(event.person)
    if person.into or isinstance(event.data, e.PersonStateMoved | e.PersonMerged):
        return _across(person, event, now, world)
    hashed = event_hash(event)
    if person.seen:
        repeats = times_seen(person, hashed)
        if repeats:
            draft = _draft(person, event, now, world.directory.default.zone, event.time, suspect=False)
            draft.suppressed("duplicate", f"Event {event.id} was applied before.", mark=str(repeats))
            return Decision(person, tuple(draft.effects))
    if person.prune_at and person.prune_at <= now:
        person = prune(person, now, world.catalogue.late_window_days) or Person(event.person)
    before = len(person.seen) + 4096 if world.settings.state_bytes_max < 1 << 20 else 0
    decision = _apply(person, event, now, world)
    remember_seen(person, hashed, event.arrival)
    person.touched = max(person.touched, now)
    person.prune_at = person.prune_at or now + 32 * DAY_MS
    if before and _too_large(person, world):
        # The caller keeps the packed state that it had: an event that grows it over its cap is refused whole.
        refused = EventRefused(
            derive(cause_of(event), ENCOUNTER_RULE, "refused", "state-cap"),
            now,
            event.person,
            event.id,
            ENCOUNTER_RULE,
            "state-cap",
            event.source,
            f"The state of this person would grow over {world.settings.state_bytes_max} bytes.",
        )
        return Decision(None, (refused,))
    return decision


def _too_large(person: Person, world: World) -> bool:
    # Packing costs; a person with few records can't be near the cap.
    few = len(person.stays) + len(person.handoffs) + len(person.told) + len(person.recent) + len(person.seats) + len(person.goals) < 256
    return not (few and len(person.seen) < 8192) and len(pack(person)) > world.settings.state_bytes_max


def expire(person: Person, now: Millis, world: World) -> Decision:
    """Fire the earliest deadline of *person* (used up), which is not after *now*; call again while one is.

    Effects bear the deadline's own instant, not *now*: a late worker says what was true when.
    """
    deadline = next_deadline(person)
    if deadline is None or deadline > now:
        return Decision(person, ())
    due = [h for h in person.handoffs if h.next_at == deadline]
    if not due:
        kept = prune(person, deadline, world.catalogue.late_window_days)
        return Decision(kept, ())
    handoff = min(due, key=lambda h: (h.opened_at, h.id))
    draft = Draft(person, deadline, handoffs.cause_text(handoff), f"{text(handoff.id)}|{handoff.rung}|{deadline}", "clock")
    handoffs.climb(draft, handoff, world)
    return Decision(person, tuple(draft.effects))


def spoil(person: Person | None, event_person: e.PersonKey, now: Millis) -> Person:
    """Return the state to keep after a rule raised: history is incomplete, and a deadline that is due is taken away."""
    person = person or Person(event_person)
    person.history_incomplete = True
    person.touched = max(person.touched, now)
    for handoff in person.handoffs:
        if handoff.next_at and handoff.next_at <= now:
            handoff.next_at = 0
    if person.prune_at and person.prune_at <= now:
        person.prune_at = now + DAY_MS
    return person


# ---- one event


def _draft(person: Person, event: Event, now: Millis, zone: str, at: int, *, suspect: bool, where: str = "") -> Draft:
    words = happened(event, Millis(at), zone, where=where, suspect=suspect)
    return Draft(person, now, event.id, cause_of(event), event.source, words)


def _apply(person: Person, event: Event, now: Millis, world: World) -> Decision:
    settings = world.settings
    suspect = event.time > event.arrival + settings.suspect_after_minutes * _MINUTE_MS
    at = event.arrival if suspect else event.time
    quiet = "backfill" if event.backfill else "too-old" if event.arrival - at > settings.history_days * DAY_MS else ""
    fact: Any = event.data
    scene = Scene(person, world, at, world.directory.default, event)
    scene.suspect = suspect
    if isinstance(fact, _STAY_FACTS):
        turn = encounter.turn(person, event, at, now, world)
        scene.stay, scene.changed = turn.stay, turn.changed
        scene.organisation = world.directory.of_facility(fact.encounter.facility)
        where = fact.encounter.facility
    else:
        turn = None
        _resolve(scene, fact)
        where = ""
    draft = _draft(person, event, now, scene.organisation.zone, at, suspect=suspect, where=where)
    if turn is not None and turn.kind == "refused":
        draft.refused(turn.reason, f"{draft.words}: no visit number is given, and {_REFUSALS[turn.reason]} at {where}.")
        return Decision(person, tuple(draft.effects))
    pcp = _pcp_before(person, fact, at, scene.organisation, world)
    members = getattr(fact, "members", ())
    if members and not isinstance(fact, e.CareTeamChanged) and (turn is None or turn.kind in _BELIEVED):
        mention(person, members, at)
        if pcp is not None and pcp != parties_of(person, "pcp", at, world.directory, scene.organisation) and pcp:
            scene.changed = (*scene.changed, "pcp")
            if turn is not None and turn.kind == "patch" and turn.reason == "no-material-change" and scene.kind == "EncounterUpdated":
                turn = Turn("update", turn.stay, "", scene.changed)
    refusal = _fold(draft, scene, fact, at, now) if turn is None else ""
    if refusal:
        draft.refused("illegal-move", f"{draft.words}: {refusal}.", scene.kind)
        return Decision(person, tuple(draft.effects))
    _remember(person, event, world, at)
    if quiet:
        _quietly(scene, turn, fact, draft)
        draft.suppressed(quiet, f"{draft.words}: changes the record only.")
        return Decision(person, tuple(draft.effects))
    if turn is not None:
        _after_turn(draft, scene, turn)
    else:
        _after_record(draft, scene, fact)
    return Decision(person, tuple(draft.effects))


_REFUSALS: Final = {"ambiguous-encounter": "more than one stay is open", "no-open-stay": "no stay is open"}


def _pcp_before(person: Person, fact: Any, at: Millis, organisation: Organisation, world: World) -> list[str] | None:
    if getattr(fact, "members", ()) and any(m.role == "pcp" for m in fact.members):
        return parties_of(person, "pcp", at, world.directory, organisation)
    return None


def _resolve(scene: Scene, fact: Any) -> None:
    """Find what an event that is no stay's own is about, and whose rules apply."""
    person, directory = scene.person, scene.world.directory
    ref = getattr(fact, "encounter", None)
    if ref is not None:
        scene.stay = _stay_named(person, ref, scene.at)
    referral = records.referral_named(person, getattr(fact, "referral", None))
    scene.referral = referral
    target = getattr(fact, "target", None)
    organisation: Organisation | None = None
    if scene.stay is not None or ref is not None:
        organisation = directory.of_facility(ref.facility if ref is not None else "")
    elif target is not None:
        organisation = _organisation_of(target, scene) or _organisation_of(getattr(fact, "requester", None), scene)
    elif referral is not None:
        organisation = directory.organisations.get(referral.target_organisation) or directory.organisations.get(
            referral.requester_organisation
        )
    scene.organisation = organisation or _usual_organisation(person, scene)


def _organisation_of(party: e.Party | None, scene: Scene) -> Organisation | None:
    directory = scene.world.directory
    if party is None:
        return None
    if party.organization and party.organization in directory.organisations:
        return directory.organisations[party.organization]
    return directory.of_party(f"practitioner:{party.practitioner.id}") if party.practitioner else None


def _usual_organisation(person: Person, scene: Scene) -> Organisation:
    """Return the organisation of the newest stay, or the default."""
    if person.stays:
        newest = max(person.stays, key=lambda s: (s.last, s.number))
        return scene.world.directory.of_facility(newest.facility)
    return scene.world.directory.default


def _stay_named(person: Person, ref: e.Encounter, at: Millis) -> Stay | None:
    """Return the stay that an activity or referral names: by visit, else the newest one there that had begun."""
    here = [s for s in person.stays if s.facility == ref.facility and (not ref.visit or s.visit == ref.visit)]
    if not here:
        return None
    begun = [s for s in here if (s.admitted or s.discharged or s.last) <= at]
    return max(begun or here, key=lambda s: (s.admitted or s.discharged, s.number))


def _fold(draft: Draft, scene: Scene, fact: Any, at: Millis, now: Millis) -> str:
    """Take what the event says into the records; return why it is refused, or nothing."""
    person = scene.person
    match fact:
        case e.ReferralRequested():
            refusal = records.request(scene, fact, at, now)
            if scene.referral is not None and scene.stay is not None:
                scene.referral.stay = scene.stay.number
            return refusal
        case e.ReferralChanged():
            return records.change_referral(scene, fact, at, now)
        case e.ReferralStatusChanged():
            return records.move_referral(scene, fact, at, now)
        case e.AppointmentChanged():
            return records.change_appointment(scene, fact, at, now)
        case e.GoalUpdated():
            return records.update_goal(scene, fact, at)
        case e.CareTeamChanged():
            change_team(person, fact, at)
        case e.ConsentChanged():
            change_consent(person, fact, at)
        case e.PersonUpdated():
            records.update_person(person, fact, at)
        case e.ConditionRecorded():
            records.record_condition(person, fact)
        case e.ObservationRecorded():
            records.record_observation(person, fact)
        case e.CareActivityRecorded():
            if fact.based_on:
                scene.goal = next((g for g in person.goals if g.id in fact.based_on), None)
                scene.referral = next((r for r in person.referrals if r.id in fact.based_on), None)
        case e.NotificationQueued() | e.NotificationDelivered() | e.NotificationFailed():
            for told in person.told:
                if any(derive(told.cause, told.rule, recipient) == fact.notification for recipient in told.recipients):
                    scene.stay = next((s for s in person.stays if s.number == told.stay), None)
        case _:
            pass
    _ = draft
    return ""


def _remember(person: Person, event: Event, world: World, at: Millis) -> None:
    """Keep what may close or end a handoff whose trigger has not arrived yet."""
    if event.type in world.catalogue.remembered:
        person.recent.append(Recent(event.type, event.id, event.source, at, event.arrival, encode_fact(event.data)))


def _quietly(scene: Scene, turn: Turn | None, fact: Any, draft: Draft) -> None:
    """History still says who has died; nobody is told, and the clocks that it makes pointless end."""
    if _says_death(scene, turn, fact):
        _die(draft, scene)


# ---- stays


def _after_turn(draft: Draft, scene: Scene, turn: Turn) -> None:
    person, stay = scene.person, turn.stay
    kind = turn.kind
    if stay is None or kind in {"ignored", "remembered"}:
        draft.suppressed(turn.reason, f"{draft.words}: {turn.reason.replace('-', ' ')}; nobody is told.")
        return
    if kind in _WITHDRAWN_KIND:
        _withdraw(draft, scene, stay, kind)
        return
    dies = _says_death(scene, turn, scene.fact)
    was_dead = bool(person.deceased)
    if kind in _TELLING and not (was_dead and not dies):
        if not routing.announce(draft, scene):
            draft.suppressed("not-told-by-routing", f"{draft.words}: no row of the routing table tells anybody.")
    elif was_dead and kind in _TELLING:
        draft.suppressed("deceased", f"{draft.words}: the person has died.")
    else:
        draft.suppressed(turn.reason, f"{draft.words}: {turn.reason.replace('-', ' ')}; nobody is told.")
    if dies:
        _die(draft, scene)
        return
    handoffs.react(draft, scene)
    _open_and_catch_up(draft, scene)


def _withdraw(draft: Draft, scene: Scene, stay: Stay, kind: str) -> None:
    """Take back what the cancelled message told and opened, and let live again what it had ended."""
    person, world = scene.person, scene.world
    why = f"{draft.words}."
    routing.take_back(draft, scene, stay, _WITHDRAWN_KIND[kind], why)
    opener = {"withdraw-transfer": "PatientTransferred", "withdraw-discharge": "PatientDischarged"}.get(kind)
    for handoff in person.handoffs:
        if handoff.closed_at or handoff.stay != stay.number or isinstance(handoff.ref, bytes):
            continue
        if opener is None or OPENERS[handoff.opened_by] == opener:
            handoffs.close(draft, handoff, handoffs.rule_of(handoff, person, world), "cancelled", world, scene.at, why)
    if person.deceased and person.deceased_stay == stay.number and kind != "withdraw-transfer":
        person.deceased = person.deceased_stay = 0
    if kind == "withdraw-transfer":
        return
    for handoff in person.handoffs:
        if handoff.ended_by == stay.number and handoff.closure in {"superseded", "not-applicable"}:
            handoffs.reopen(draft, handoff, world, f"{draft.words}: what had ended this handoff is taken back.")
    handoffs.react(draft, scene)
    _open_and_catch_up(draft, scene)


def _says_death(scene: Scene, turn: Turn | None, fact: Any) -> bool:
    person = scene.person
    if getattr(fact, "deceased", None) is False and isinstance(fact, e.PersonUpdated) and person.deceased:
        if scene.at >= person.deceased:
            person.deceased = person.deceased_stay = 0
        return False
    dead = getattr(fact, "deceased", None) is True
    if turn is not None and turn.kind in _BELIEVED:
        disposition = getattr(fact, "disposition", None) or ""
        dead = dead or (DISPOSITION_GROUP.get(disposition) == "died" and turn.reason != "discharge-cancelled")
    elif turn is not None:
        dead = False
    if not dead or person.deceased:
        return False
    person.deceased = getattr(fact, "deceased_at", None) or scene.at
    said_by_discharge = isinstance(fact, e.PatientDischarged) and scene.stay is not None
    person.deceased_stay = scene.stay.number if said_by_discharge and scene.stay is not None else 0
    return True


def _die(draft: Draft, scene: Scene) -> None:
    """End the person's clocks: nobody calls the family about an appointment."""
    person, world = scene.person, scene.world
    for handoff in person.handoffs:
        if not handoff.closed_at:
            handoff.ended_by = person.deceased_stay
            handoffs.close(
                draft,
                handoff,
                handoffs.rule_of(handoff, person, world),
                "not-applicable",
                world,
                scene.at,
                f"{draft.words}: the person has died.",
            )


# ---- everything else


def _after_record(draft: Draft, scene: Scene, fact: Any) -> None:
    person, world = scene.person, scene.world
    if isinstance(fact, _RESPONSES):
        respond(draft, scene)
        return
    if isinstance(fact, e.PersonUpdated):
        if _says_death(scene, None, fact):
            _die(draft, scene)
        return
    if isinstance(fact, e.ReferralStatusChanged) and scene.referral is not None and fact.status in _GONE_REFERRAL and not scene.repeated:
        _end_referral(draft, scene, scene.referral.id)
    elif isinstance(fact, e.GoalUpdated) and scene.goal is not None and fact.lifecycle_status == "entered-in-error":
        for handoff in person.handoffs:
            if handoff.ref == scene.goal.id and not handoff.closed_at:
                rule = handoffs.rule_of(handoff, person, world)
                handoffs.close(draft, handoff, rule, "cancelled", world, scene.at, f"{draft.words}: the goal was entered in error.")
    if person.deceased:
        return
    if scene.repeated:
        draft.suppressed("no-material-change", f"{draft.words}: it stood so before.", scene.kind)
    else:
        routing.announce(draft, scene)
    handoffs.react(draft, scene)
    _open_and_catch_up(draft, scene)


def _end_referral(draft: Draft, scene: Scene, referral: str) -> None:
    person, world = scene.person, scene.world
    for handoff in person.handoffs:
        if handoff.ref == referral and not handoff.closed_at:
            rule = handoffs.rule_of(handoff, person, world)
            if rule is not None and rule.rule.subject == "referral":
                handoffs.close(draft, handoff, rule, "cancelled", world, scene.at, f"{draft.words}: the referral is {scene.fact.status}.")


def _open_and_catch_up(draft: Draft, scene: Scene) -> None:
    """Open what the event triggers; then let count what has already arrived although it happened after the trigger."""
    opened = handoffs.open_all(draft, scene)
    if opened:
        _catch_up(draft, scene, opened)


def _catch_up(draft: Draft, scene: Scene, opened: list[Handoff]) -> None:
    person, world = scene.person, scene.world
    own = scene.event
    past: list[Event] = [
        Event(r.id, r.source, Millis(r.time), Millis(r.arrival), person.key, _decoders[r.type].decode(r.fact))
        for r in person.recent
        if own is None or (r.id, r.source) != (own.id, own.source)
    ]
    # Stays that began after the trigger, but were heard of before it.
    past += [
        Event(
            own.id if own else "",
            own.source if own else "",
            Millis(s.admitted),
            Millis(s.touched),
            person.key,
            e.PatientAdmitted(e.Encounter(s.facility, s.visit), s.class_),
        )
        for s in person.stays
        if s.admitted and s.status in {2, 3, 4} and (scene.stay is None or s.number != scene.stay.number)
    ]
    for event in sorted(past, key=lambda p: p.time):
        for handoff in opened:
            if handoff.closed_at or event.time < handoff.opened_at:
                continue
            at = event.time
            replayed = Scene(person, world, at, scene.organisation, event)
            _resolve_again(replayed, event.data)
            words, draft.words = draft.words, happened(event, at, scene.organisation.zone)
            handoffs.react(draft, replayed, handoff)
            draft.words = words


def _resolve_again(scene: Scene, fact: Any) -> None:
    person = scene.person
    _resolve(scene, fact)
    if isinstance(fact, e.GoalUpdated):
        scene.goal = next((g for g in person.goals if g.id == fact.goal), None)
        if scene.goal is not None and scene.goal.reviewed >= scene.at:
            scene.changed = ("goal-reviewed",)
    elif isinstance(fact, e.AppointmentChanged):
        scene.appointment = next((a for a in person.appointments if a.id == fact.appointment), None)
        if scene.referral is None and scene.appointment is not None:
            scene.referral = records.referral_named(person, scene.appointment.referral)


# ---- merges


def _across(person: Person, event: Event, now: Millis, world: World) -> Decision:
    """Apply a merge, take in a moved state, or send on what came for a person who goes on under another key."""
    draft = _draft(person, event, now, world.directory.default.zone, event.time, suspect=False)
    fact = event.data
    if isinstance(fact, e.PersonStateMoved):
        return Decision(*merge.take_in(person, fact, draft, now, world))
    if person.into:
        if isinstance(fact, e.PersonMerged) and fact.into.key == person.into:
            draft.suppressed("duplicate", "The two records were merged before.", mark=str(now))
            return Decision(person, tuple(draft.effects))
        forward = EventForwarded(derive(draft.seed, "merge", "forwarded"), now, person.key, event.id, PersonRef(e.PersonKey(person.into)))
        return Decision(person, (forward,))
    if isinstance(fact, e.PersonMerged):
        return Decision(*merge.give_up(person, fact, draft, event))
    raise AssertionError("only merges and stubs come here")


_ = split_address
