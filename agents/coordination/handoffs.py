"""Handoffs: opened with one accountable owner and a clock, moved up a ladder while nobody acts, closed with a reason.

Owns the mechanism that every rule of the catalogue runs on. Must not know a rule by name, nor which event tells whom.
Every change of a handoff is a line: its task as it stands, and the gap once it stalls. What a change says is in `why`.
"""

from __future__ import annotations

from typing import Any, Final

from agents.coordination import ruleset
from agents.coordination.calendar import Clock, after_due, due_at, end_of_local_day, fraction_at, local_date
from agents.coordination.directory import Organisation
from agents.coordination.draft import Draft, encounter_of
from agents.coordination.facts import Scene
from agents.coordination.ids import derive, raw, text
from agents.coordination.owners import accountable, next_owner, role_owner
from agents.coordination.rule import Closing, Rule
from agents.coordination.ruleset import CompiledRule, Rung
from agents.coordination.state import OPENERS, Handoff, Person, Status, Stay
from agents.coordination.team import programmes_of
from agents.coordination.tell import tell
from agents.coordination.words import clock_words, due_words, moment, person_words
from agents.coordination.world import World
from streams.effects import NotificationIssued
from streams.events import Encounter, Millis

REQUESTED, RECEIVED, ACCEPTED, IN_PROGRESS, ON_HOLD, COMPLETED, CANCELLED, REJECTED, FAILED = range(9)
DUE_SOON, OPEN = 1, 2

_LIVE_GOAL: Final = frozenset({"accepted", "active"})


# ---- opening


def open_all(draft: Draft, scene: Scene) -> list[Handoff]:
    """Open every handoff that the scene's event (or notice) triggers; return those that were opened."""
    if scene.person.deceased:
        return []
    world = scene.world
    view = world.catalogue.view(scene.organisation, programmes_of(scene.person, scene.at))
    event = scene.kind if scene.notice is None else ruleset.ISSUED
    opened: list[Handoff] = []
    for rule in view.by_trigger.get(event, ()):
        if not ruleset.always_in_force(rule.rule) and not ruleset.in_force(rule.rule, local_date(scene.at, scene.organisation.zone)):
            continue
        for trigger, tests in rule.triggers[event]:
            if rule.rule.subject == "goal" and scene.goal is None:
                started = False
                for goal in [g for g in scene.person.goals if g.status in _LIVE_GOAL]:
                    scene.goal = goal
                    if ruleset.holds(tests, scene):
                        started = True
                        opened += _open(draft, scene, rule, trigger.counts_from, event)
                scene.goal = None
                if started:
                    break
            elif ruleset.holds(tests, scene):
                opened += _open(draft, scene, rule, trigger.counts_from, event)
                break
    return opened


def _subject(scene: Scene, rule: Rule) -> tuple[int, str | bytes | None] | None:
    """Return (stay, reference) that the handoff is about, or None where the event has no such subject."""
    stay = scene.stay.number if scene.stay is not None else 0
    match rule.subject:
        case "encounter":
            return (stay, None) if stay else None
        case "referral":
            return (stay, scene.referral.id) if scene.referral else None
        case "goal":
            return (stay, scene.goal.id) if scene.goal else None
        case "appointment":
            return (stay, _appointed(scene)) if _appointed(scene) else None
        case "notification":
            return (stay, raw(scene.notice.id)) if scene.notice else None
        case _:
            return (stay, None)


def _appointed(scene: Scene) -> str:
    """Return what an appointment is about: its referral, so that another appointment for it counts too, else itself."""
    if scene.referral is not None:
        return scene.referral.id
    return scene.appointment.id if scene.appointment is not None else ""


def _same_subject(handoff: Handoff, rule: Rule, stay: int, ref: str | bytes | None) -> bool:
    if handoff.rule != rule.id:
        return False
    if rule.subject == "encounter":
        return handoff.stay == stay
    return rule.subject == "person" or handoff.ref == ref


def _open(draft: Draft, scene: Scene, compiled: CompiledRule, counts_from: str, event: str) -> list[Handoff]:
    rule = compiled.rule
    subject = _subject(scene, rule)
    if subject is None:
        return []
    stay, ref = subject
    person = scene.person
    at = _start(scene, counts_from)
    superseded: Handoff | None = None
    for known in person.handoffs:
        if not _same_subject(known, rule, stay, ref) or known.closure == "cancelled":
            continue
        if known.opened_at >= at:
            return []
        if not known.closed_at:
            if rule.again in {"keep", "renew"}:
                return []
            if rule.again == "extend":
                _extend(draft, known, compiled, scene, at)
                return []
            superseded = known
        elif known.met_at + (rule.again == "renew") > at or (rule.subject == "encounter" and rule.again == "keep"):
            return []
    owner = accountable(rule.accountable, scene)
    home = scene.organisation
    calendar = home
    if rule.calendar == "accountable":
        calendar = scene.world.directory.of_party(owner.partition("/")[2]) or home
    clock = compiled.clock(scene)
    until = compiled.until(scene) if compiled.until is not None else None
    if isinstance(until, int) and until:
        due, clock_said = Millis(until), None
    else:
        due, clock_said = due_at(clock, at, calendar.zone, calendar.holidays), clock
    handoff = Handoff(
        raw(derive(draft.seed, rule.id, "handoff", str(stay), ref.hex() if isinstance(ref, bytes) else ref or "")),
        rule.id,
        rule.version,
        _packed_cause(draft.cause),
        at,
        due,
        owner,
        stay,
        ref,
    )
    if not stay or home is not scene.world.directory.of_facility(scene.stay.facility if scene.stay else ""):
        handoff.organisation = home.id
    if calendar is not home:
        handoff.calendar = calendar.id
    handoff.opened_by = OPENERS.index(event) if event in OPENERS else 0
    if counts_from != "event":
        handoff.opened_by = OPENERS.index("PatientAdmitted" if counts_from == "admission" else "PatientDischarged")
    if superseded is not None:
        close(draft, superseded, compiled, "superseded", scene.world, at, f"A newer trigger begins {rule.id} anew: {draft.words}.")
    person.handoffs.append(handoff)
    _first_rung(handoff, compiled, draft.at, scene.world)
    if rule.task == "opening":
        draft.task(handoff, rule, encounter_of(scene.stay), _opening_words(draft, rule, scene, clock_said, due, calendar, owner))
    return [handoff]


def _extend(draft: Draft, handoff: Handoff, compiled: CompiledRule, scene: Scene, at: Millis) -> None:
    """Count the clock of an open handoff anew from *at*; what is due already stays due."""
    place = calendar_of(handoff, scene.person, scene.world)
    due = due_at(compiled.clock(scene), at, place.zone, place.holidays)
    if handoff.gap < OPEN and due > handoff.due:
        handoff.opened_at, handoff.due, handoff.rung = at, due, 0
        _first_rung(handoff, compiled, draft.at, scene.world)


def _start(scene: Scene, counts_from: str) -> Millis:
    stay = scene.stay
    if stay is not None and counts_from == "discharge" and stay.discharged:
        return Millis(stay.discharged)
    if stay is not None and counts_from == "admission" and stay.admitted:
        return Millis(stay.admitted)
    return scene.at


def _opening_words(draft: Draft, rule: Rule, scene: Scene, clock: Clock | None, due: int, calendar: Organisation, owner: str) -> str:
    span = f"within {clock_words(clock)}, " if clock is not None else ""
    doubt = ""
    if scene.kind == "PatientDischarged" and scene.stay is not None:
        if not scene.stay.disposition or scene.stay.disposition in {"oth", "unknown"}:
            doubt = " The disposition is not known and counts as community."
        if not scene.stay.class_:
            doubt += " The class of the stay is not known."
    return (
        f"Rule {rule.id} version {rule.version}: {draft.words}. Due {span}{due_words(clock, due, calendar.zone)}; "
        f"{person_words(owner)} is accountable.{doubt}"
    )


def _packed_cause(cause: str) -> bytes | str:
    if len(cause) == 36 and cause[8] == cause[13] == cause[18] == cause[23] == "-":
        try:
            packed = raw(cause)
        except ValueError:
            return cause
        return packed if text(packed) == cause else cause
    return cause


def cause_text(handoff: Handoff) -> str:
    """Return the id of the event that opened *handoff*."""
    return text(handoff.cause) if isinstance(handoff.cause, bytes) else handoff.cause


# ---- where and when


def home_of(handoff: Handoff, person: Person, world: World) -> Organisation:
    """Return the organisation whose rules apply to *handoff*."""
    if handoff.organisation:
        return world.directory.organisations.get(handoff.organisation, world.directory.default)
    stay = stay_of(handoff, person)
    return world.directory.of_facility(stay.facility) if stay is not None else world.directory.default


def calendar_of(handoff: Handoff, person: Person, world: World) -> Organisation:
    """Return the organisation whose zone and holidays *handoff* was opened with."""
    known = world.directory.organisations.get(handoff.calendar) if handoff.calendar else None
    return known or home_of(handoff, person, world)


def stay_of(handoff: Handoff, person: Person) -> Stay | None:
    if handoff.stay:
        for stay in person.stays:
            if stay.number == handoff.stay:
                return stay
    return None


def rule_of(handoff: Handoff, person: Person, world: World) -> CompiledRule | None:
    """Return the rule that *handoff* was opened with, or None when it left the catalogue: then people alone close it."""
    view = world.catalogue.view(home_of(handoff, person, world), programmes_of(person, Millis(handoff.opened_at)))
    return world.catalogue.find(view, handoff.rule, handoff.version)


def encounter_for(handoff: Handoff, person: Person) -> Encounter | None:
    return encounter_of(stay_of(handoff, person))


def _rung_at(rung: Rung, handoff: Handoff, place: Organisation) -> Millis:
    m = rung.moment
    opened, due = Millis(handoff.opened_at), Millis(handoff.due)
    if m.base == "share":
        return fraction_at(opened, due, m.share)
    if m.clock is None:
        return due
    if m.sign < 0:
        return Millis(due - (due_at(m.clock, Millis(0), "UTC", place.holidays)))
    if m.base == "due":
        return after_due(m.clock, due, place.zone, place.holidays)
    return due_at(m.clock, opened, place.zone, place.holidays)


def _first_rung(handoff: Handoff, rule: CompiledRule, now: Millis, world: World) -> None:
    """Set the first rung. What would have come while nobody knew of the handoff is passed over, but for being open at due."""
    rungs = rule.rungs
    place = (
        world.directory.organisations.get(handoff.calendar or handoff.organisation) if handoff.calendar or handoff.organisation else None
    )
    if handoff.due <= now:
        while handoff.rung < len(rungs) and rungs[handoff.rung].moment.before_due:
            handoff.rung += 1
    _next_rung(handoff, rule, now, place, world)


def _next_rung(handoff: Handoff, rule: CompiledRule | None, not_before: int, place: Organisation | None, world: World) -> None:
    if rule is None or handoff.rung >= len(rule.rungs):
        handoff.next_at = 0
        return
    at = _rung_at(rule.rungs[handoff.rung], handoff, place or world.directory.default)
    handoff.next_at = max(at, not_before)


def set_next_rung(handoff: Handoff, rule: CompiledRule | None, not_before: int, person: Person, world: World) -> None:
    """Set when the next rung is reached, anew: the handoff was put off, or its due moved."""
    _next_rung(handoff, rule, not_before, calendar_of(handoff, person, world), world)


# ---- the ladder


def climb(draft: Draft, handoff: Handoff, world: World) -> None:
    """Reach the handoff's next rung at its own instant, `draft.at`; or wake it where it was put off until then."""
    person, at = draft.person, draft.at
    rule = rule_of(handoff, person, world)
    place = calendar_of(handoff, person, world)
    if handoff.snoozed:
        handoff.snoozed = 0
        handoff.status = ACCEPTED if "/pool:" not in handoff.owner else REQUESTED
        draft.task(
            handoff, rule.rule if rule else None, encounter_for(handoff, person), f"Put off until {moment(at, place.zone)}; that is now."
        )
        _next_rung(handoff, rule, at, place, world)
        return
    if rule is None or handoff.rung >= len(rule.rungs):
        handoff.next_at = 0
        return
    rung = rule.rungs[handoff.rung]
    handoff.rung += 1
    stay = stay_of(handoff, person)
    scene = Scene(person, world, at, home_of(handoff, person, world))
    scene.handoff, scene.stay = handoff, stay
    _name_subject(scene, rule.rule)
    if ruleset.holds(rung.tests, scene):
        _reach(draft, handoff, rule, rung, scene, place)
    if not handoff.closed_at:
        _next_rung(handoff, rule, at, place, world)


def _name_subject(scene: Scene, rule: Rule) -> None:
    handoff = scene.handoff
    if handoff is None or not isinstance(handoff.ref, str):
        return
    if rule.subject == "referral":
        scene.referral = next((r for r in scene.person.referrals if r.id == handoff.ref), None)
    elif rule.subject == "goal":
        scene.goal = next((g for g in scene.person.goals if g.id == handoff.ref), None)
    elif rule.subject == "appointment":
        scene.appointment = next((a for a in scene.person.appointments if a.id == handoff.ref), None)
        scene.referral = next((r for r in scene.person.referrals if r.id == handoff.ref), None)


def _reach(draft: Draft, handoff: Handoff, rule: CompiledRule, rung: Rung, scene: Scene, place: Organisation) -> None:
    person, world, at = draft.person, scene.world, draft.at
    encounter = encounter_of(scene.stay)
    handoff.step += 1
    overdue = at >= handoff.due
    was = handoff.owner
    if rung.step.owner == "next":
        handoff.owner = next_owner(handoff.owner, scene)
    elif rung.step.owner is not None:
        handoff.owner = role_owner(rung.step.owner, scene)
    moved = handoff.owner != was
    first_shown = overdue and rule.rule.task == "due" and handoff.gap < OPEN
    handoff.gap = OPEN if overdue else max(DUE_SOON, handoff.gap)
    why = _rung_words(handoff, rule, place, overdue=overdue, was=was)
    if moved:
        handoff.status = REQUESTED
    if moved or first_shown:
        draft.task(handoff, rule.rule, encounter, why)
    draft.gap(handoff, rule.rule, encounter, why)
    if rung.step.tells:
        told = {recipient.partition("/")[2] for _, recipient in handoff.told}
        hid = text(handoff.id)
        issued = tell(
            draft,
            scene,
            rung.step.tells,
            rule=rule.id,
            version=handoff.version,
            title=f"{'Overdue' if overdue else 'Due soon'}: {rule.rule.title}",
            neutral_title=f"{'Overdue' if overdue else 'Due soon'}: {rule.rule.neutral_title}",
            why=why,
            urgency=rule.rule.urgency if not overdue or rule.rule.urgency != "routine" else "urgent",
            purpose=rule.rule.purpose,
            sensitivity=rule.rule.sensitivity,
            handoff=hid,
            already=told,
        )
        handoff.told = (*handoff.told, *((raw(n.id), n.recipient) for n in issued))
    if rung.step.then == "assume-finished" and scene.stay is not None and scene.stay.status in {Status.IN_PROGRESS, Status.ON_LEAVE}:
        scene.stay.status, scene.stay.discharged, scene.stay.assumed = Status.FINISHED, at, True
        scene.stay.touched = max(scene.stay.touched, at)
        person.touched = max(person.touched, at)
    _ = world


def _rung_words(handoff: Handoff, rule: CompiledRule, place: Organisation, *, overdue: bool, was: str) -> str:
    due = due_words(rule.rule.clock, handoff.due, place.zone)
    head = f"Rule {rule.id} version {handoff.version}: {rule.rule.neutral_title.lower()} was due {due}, counted from {moment(handoff.opened_at, place.zone)}"
    if not overdue:
        head = f"Rule {rule.id} version {handoff.version}: due {due}, counted from {moment(handoff.opened_at, place.zone)}; nobody has closed it"
    else:
        head += ", and nobody has closed it"
    if handoff.owner != was:
        return f"{head}. It goes from {person_words(was)} to {person_words(handoff.owner)}, who is accountable now."
    return f"{head}. {person_words(handoff.owner)} is accountable."


# ---- closing


def react(draft: Draft, scene: Scene, only: Handoff | None = None) -> None:
    """Let the scene's event end, close or bring forward the handoffs that wait for it; *only* one of them if given."""
    person, world, kind = scene.person, scene.world, scene.kind
    for handoff in [only] if only is not None else list(person.handoffs):
        if handoff.closed_at and not handoff.closure == "met-late":
            continue
        rule = rule_of(handoff, person, world)
        if rule is None or not (kind in rule.closes or kind in rule.ends or kind in rule.shortens):
            continue
        stay, referral, goal, appointment = scene.stay, scene.referral, scene.goal, scene.appointment
        scene.handoff = handoff
        _ends(draft, scene, handoff, rule)
        if not handoff.closed_at or handoff.closure == "met-late":
            _closes(draft, scene, handoff, rule)
        if not handoff.closed_at:
            _shortens(draft, scene, handoff, rule)
        scene.stay, scene.referral, scene.goal, scene.appointment, scene.handoff = stay, referral, goal, appointment, None


def _ends(draft: Draft, scene: Scene, handoff: Handoff, rule: CompiledRule) -> None:
    if handoff.closed_at or scene.at < handoff.opened_at or scene.kind not in rule.ends:
        return
    if rule.rule.subject != "encounter" and not _about(scene, handoff, rule.rule, based_on=False):
        return
    for ending, tests in rule.ends[scene.kind]:
        if ruleset.holds(tests, scene):
            if scene.stay is not None and scene.stay.number != handoff.stay:
                handoff.ended_by = scene.stay.number
            close(draft, handoff, rule, ending.closure, scene.world, scene.at, f"{draft.words}: this handoff is {ending.closure}.")
            return


def happened_at(scene: Scene) -> Millis:
    """Return when what the event reports took place: the end of an activity, an observation's time, the start of a visit."""
    fact: Any = scene.fact
    at = scene.at
    match scene.kind:
        case "CareActivityRecorded":
            at = fact.end or fact.start
        case "ObservationRecorded":
            at = fact.effective
        case "AppointmentChanged":
            if fact.status == "fulfilled":
                at = fact.start or (scene.appointment.start if scene.appointment else 0) or scene.at
    # Care cannot be over before it is reported; a record from the future counts when it is reported.
    return Millis(min(at, scene.at)) if at > scene.at + scene.world.settings.suspect_after_minutes * 60_000 else Millis(at)


def _closes(draft: Draft, scene: Scene, handoff: Handoff, rule: CompiledRule) -> None:
    rows = rule.closes.get(scene.kind)
    if not rows:
        return
    happened = happened_at(scene)
    correction = handoff.closure == "met-late"
    if correction and happened > handoff.due:
        return
    place = calendar_of(handoff, scene.person, scene.world)
    for index, closing, tests in rows:
        if not _counts(scene, handoff, rule, closing, happened, place) or not ruleset.holds(tests, scene):
            continue
        if not correction and not _enough(handoff, rule.rule, index, closing):
            return
        closure = "met" if happened <= handoff.due else "met-late"
        when = moment(happened, place.zone)
        verdict = "in time" if closure == "met" else "after it was due"
        close(
            draft,
            handoff,
            rule,
            closure,
            scene.world,
            happened,
            f"Rule {rule.id} version {handoff.version}: closed by {draft.words}; it took place on {when}, {verdict}.",
        )
        return


def _counts(scene: Scene, handoff: Handoff, rule: CompiledRule, closing: Closing, happened: Millis, place: Organisation) -> bool:
    if closing.of_person:
        based = getattr(scene.fact, "based_on", ())
        if based and handoff.ref not in based:
            return False
    elif not _about(scene, handoff, rule.rule, based_on=closing.based_on):
        return False
    if happened < handoff.opened_at or (closing.based_on and happened == handoff.opened_at):
        return False
    if not rule.rule.clock.day_zero and happened < end_of_local_day(Millis(handoff.opened_at), place.zone):
        return False
    return closing.not_before is None or happened >= due_at(closing.not_before, Millis(handoff.opened_at), place.zone, place.holidays)


def _enough(handoff: Handoff, rule: Rule, index: int, closing: Closing) -> bool:
    """Count a closing event and say whether the handoff has all that it needs."""
    if closing.count == 1 and rule.closes_when == "any":
        return True
    progress = list(handoff.progress) or [0] * len(rule.closes)
    progress[index] += 1
    handoff.progress = tuple(progress)
    full = [seen >= row.count for seen, row in zip(progress, rule.closes, strict=False)]
    return all(full) if rule.closes_when == "all" else full[index]


def _about(scene: Scene, handoff: Handoff, rule: Rule, *, based_on: bool) -> bool:
    """Say whether the event is about what the handoff is about."""
    fact: Any = scene.fact
    task = getattr(fact, "task", None)
    if task is not None:
        # A response names one handoff; a contact that it reports counts for all of the same stay.
        named = scene.named
        return named is handoff or (
            named is not None and scene.kind == "OutreachAttempted" and bool(handoff.stay) and named.stay == handoff.stay
        )
    based = getattr(fact, "based_on", ())
    if based_on and handoff.ref not in based:
        return False
    match rule.subject:
        case "referral":
            if scene.referral is not None:
                return scene.referral.id == handoff.ref
            return handoff.ref in based if based or scene.kind != "CareTeamChanged" else True
        case "goal":
            if scene.kind == "GoalUpdated":
                return scene.goal is not None and scene.goal.id == handoff.ref
            # A review that names no goal is one of the whole plan.
            return not based or handoff.ref in based
        case "appointment":
            return handoff.ref in {_appointed(scene), scene.appointment.id if scene.appointment is not None else ""}
        case "notification":
            notification = getattr(fact, "notification", None)
            return notification is None or (isinstance(handoff.ref, bytes) and text(handoff.ref) == notification)
        case "encounter":
            notification = getattr(fact, "notification", None)
            if notification is not None:
                return scene.stay is not None and scene.stay.number == handoff.stay
            return scene.stay is None or getattr(fact, "encounter", None) is None or scene.stay.number == handoff.stay
        case _:
            return True


def _shortens(draft: Draft, scene: Scene, handoff: Handoff, rule: CompiledRule) -> None:
    place = calendar_of(handoff, scene.person, scene.world)
    for row, tests in rule.shortens.get(scene.kind, ()):
        if not _about(scene, handoff, rule.rule, based_on=False) or scene.at < handoff.opened_at or not ruleset.holds(tests, scene):
            continue
        due = due_at(row.clock, happened_at(scene), place.zone, place.holidays)
        if handoff.opened_at < due < handoff.due:
            handoff.due = due
            _next_rung(handoff, rule, draft.at, place, scene.world)
            why = f"Rule {rule.id}: {draft.words}, so it is due {due_words(row.clock, due, place.zone)} already."
            if rule.rule.task == "opening" or handoff.gap == OPEN:
                draft.task(handoff, rule.rule, encounter_for(handoff, scene.person), why)
            return


def close(
    draft: Draft,
    handoff: Handoff,
    rule: CompiledRule | None,
    closure: str,
    world: World,
    happened: int,
    why: str,
) -> None:
    """Close *handoff*: its task's final state, its gap's if one was shown, and word to whom it was told as a gap.

    Whoever was alerted hears once more: the alert is taken back where it was never so (met in time, cancelled, pointless),
    else a message says that it is closed.
    """
    person = draft.person
    encounter = encounter_for(handoff, person)
    handoff.closure = closure
    handoff.closed_at = draft.at
    handoff.met_at = happened
    handoff.next_at = handoff.snoozed = 0
    handoff.status = COMPLETED if closure in {"met", "met-late"} else CANCELLED
    definition = rule.rule if rule is not None else None
    if definition is None or definition.task == "opening" or handoff.gap == OPEN:
        draft.task(handoff, definition, encounter, why)
    if handoff.gap:
        draft.gap(handoff, definition, encounter, why)
    if not handoff.told:
        return
    for notification, recipient in handoff.told:
        if closure in {"met-late", "superseded"}:
            title, neutral = (definition.title, definition.neutral_title) if definition else (handoff.rule, handoff.rule)
            draft.issued(
                id_=derive(draft.seed, handoff.rule, text(handoff.id), "closed", recipient),
                rule=handoff.rule,
                version=handoff.version,
                recipient=recipient,
                title=f"Closed: {title}",
                neutral_title=f"Closed: {neutral}",
                why=why,
                urgency="routine",
                encounter=encounter,
                handoff=text(handoff.id),
            )
        else:
            draft.withdrawn(text(notification), recipient, handoff.rule, handoff.version, why)
    if closure != "met-late":
        handoff.told = ()
    _ = world


def reopen(draft: Draft, handoff: Handoff, world: World, why: str) -> None:
    """Take back the end of *handoff*: what superseded it or made it pointless has itself been cancelled."""
    person = draft.person
    rule = rule_of(handoff, person, world)
    handoff.closure, handoff.closed_at, handoff.met_at, handoff.ended_by = "", 0, 0, 0
    handoff.status = REQUESTED
    handoff.gap = handoff.gap and min(handoff.gap, OPEN)
    if rule is not None and handoff.due > draft.at:
        handoff.rung = min(handoff.rung, len(rule.rungs))
    _next_rung(handoff, rule, draft.at, calendar_of(handoff, person, world), world)
    draft.task(handoff, rule.rule if rule else None, encounter_for(handoff, person), why)
    if handoff.gap:
        draft.gap(handoff, rule.rule if rule else None, encounter_for(handoff, person), why)


def asked_of(notice: NotificationIssued, handoffs: list[Handoff]) -> Handoff | None:
    """Return the handoff that waits for *notice* to be acknowledged."""
    wanted = raw(notice.id)
    return next((h for h in handoffs if h.ref == wanted), None)
