"""The state machine of an encounter: how each event changes it, in any order of arrival and with any repeats.

Owns the table (act, status) -> (status, kind), and the data of an encounter. Must not know who is notified, a clock or a rule.
Source of the table: HL7 v2 table 0003, checked against FHIR-Converter's expected files.

Events are ordered by when they happened, not by when they arrive. A late event adds missing data and never overwrites newer
data. A cancellation applies to what happened before it, even if the cancellation arrives first.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from agents.coordination.person.encounter import Cancel, Encounter, Leave, Location, Status
from agents.coordination.person.state import Person
from agents.coordination.rules.facts import DISPOSITION_GROUP, groups_of
from agents.coordination.rules.world import World
from streams.contract import events as e
from streams.contract.events import Event, Millis

UNKNOWN, PLANNED, IN_PROGRESS, ON_LEAVE, FINISHED, CANCELLED = range(6)


class Transition(NamedTuple):
    """What an event did to an encounter.

    `kind` is one of admit, late-admit, plan, transfer, class-change, update, discharge, patch (nobody is notified),
    withdraw-stay, withdraw-transfer, withdraw-discharge, remembered (a cancellation before its target), ignored, refused.
    """

    kind: str
    encounter: Encounter | None = None
    reason: str = ""
    changed: tuple[str, ...] = ()
    class_before: str = ""
    """The class of the encounter before the event. The rules for a discharge are evaluated again when the class becomes known."""


SAME: Final = -1
_OPEN: Final = (UNKNOWN, PLANNED, IN_PROGRESS, ON_LEAVE)

TABLE: Final[dict[tuple[str, int], tuple[int, str, str]]] = {
    # act, status before: status after, kind, reason why nobody is notified
    **{("plan", s): (SAME, "patch", "already-begun") for s in (IN_PROGRESS, ON_LEAVE, FINISHED)},
    ("plan", UNKNOWN): (PLANNED, "plan", ""),
    ("plan", PLANNED): (PLANNED, "patch", "no-material-change"),
    ("plan", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("admit", s): (IN_PROGRESS, "admit", "") for s in (UNKNOWN, PLANNED, IN_PROGRESS)},
    ("admit", ON_LEAVE): (ON_LEAVE, "admit", ""),
    ("admit", FINISHED): (FINISHED, "late-admit", "already-discharged"),
    ("admit", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("admit-again", s): (SAME, "patch", "no-material-change") for s in (PLANNED, IN_PROGRESS, ON_LEAVE, UNKNOWN)},
    ("admit-again", FINISHED): (FINISHED, "patch", "already-discharged"),
    ("admit-again", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    ("admit-after-cancel", CANCELLED): (IN_PROGRESS, "admit", ""),
    **{("transfer", s): (IN_PROGRESS, "transfer", "") for s in (UNKNOWN, PLANNED, IN_PROGRESS, ON_LEAVE)},
    ("transfer", FINISHED): (FINISHED, "patch", "already-discharged"),
    ("transfer", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("transfer-already-cancelled", s): (SAME, "ignored", "transfer-cancelled") for s in range(6)},
    **{("class-change", s): (IN_PROGRESS, "class-change", "") for s in (UNKNOWN, PLANNED, IN_PROGRESS)},
    ("class-change", ON_LEAVE): (ON_LEAVE, "class-change", ""),
    ("class-change", FINISHED): (FINISHED, "patch", "already-discharged"),
    ("class-change", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("update", s): (SAME, "update", "no-material-change") for s in (*_OPEN, FINISHED)},
    ("update", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    ("leave", IN_PROGRESS): (ON_LEAVE, "update", "no-material-change"),
    **{("leave", s): (SAME, "patch", "no-material-change") for s in (UNKNOWN, PLANNED, ON_LEAVE)},
    ("leave", FINISHED): (FINISHED, "patch", "already-discharged"),
    ("leave", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    ("return", ON_LEAVE): (IN_PROGRESS, "update", "no-material-change"),
    **{("return", s): (SAME, "patch", "no-material-change") for s in (UNKNOWN, PLANNED, IN_PROGRESS)},
    ("return", FINISHED): (FINISHED, "patch", "already-discharged"),
    ("return", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("discharge", s): (FINISHED, "discharge", "") for s in _OPEN},
    ("discharge", FINISHED): (FINISHED, "update", "already-discharged"),
    ("discharge", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("discharge-already-cancelled", s): (SAME, "ignored", "discharge-cancelled") for s in range(6)},
    ("cancel-admission", UNKNOWN): (CANCELLED, "remembered", "cancel-before-its-target"),
    **{("cancel-admission", s): (CANCELLED, "withdraw-stay", "") for s in (PLANNED, IN_PROGRESS, ON_LEAVE, FINISHED)},
    ("cancel-admission", CANCELLED): (CANCELLED, "ignored", "already-cancelled"),
    **{("cancel-admission-outdated", s): (SAME, "ignored", "older-than-the-admission") for s in range(6)},
    **{("cancel-transfer", s): (SAME, "withdraw-transfer", "") for s in (PLANNED, IN_PROGRESS, ON_LEAVE, FINISHED)},
    ("cancel-transfer", UNKNOWN): (UNKNOWN, "remembered", "cancel-before-its-target"),
    ("cancel-transfer", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("cancel-transfer-early", s): (SAME, "remembered", "cancel-before-its-target") for s in range(6)},
    ("cancel-discharge", FINISHED): (IN_PROGRESS, "withdraw-discharge", ""),
    **{("cancel-discharge", s): (SAME, "remembered", "cancel-before-its-target") for s in _OPEN},
    ("cancel-discharge", CANCELLED): (CANCELLED, "ignored", "stay-cancelled"),
    **{("cancel-discharge-outdated", s): (SAME, "ignored", "older-than-the-discharge") for s in range(6)},
}
"""A cancellation that arrives before its target is kept in the encounter. When the target arrives, its act is `…-already-cancelled`."""

_ADMISSION, _TRANSFER, _DISCHARGE = 1, 2, 3
"""Values of `Cancel.what`."""


def transition(person: Person, event: Event, at: Millis, now: Millis, world: World) -> Transition:
    """Apply an encounter event to the person's encounters, and return the result. Mutates *person*."""
    fact: Any = event.data
    found = _locate(person, fact, at)
    if isinstance(found, str):
        return Transition("refused", None, found)
    encounter = found
    if encounter.assumed and encounter.status == FINISHED and at > encounter.last and _shows_presence(fact):
        # The assumed end was wrong: the person is still there.
        encounter.status, encounter.discharged, encounter.assumed = IN_PROGRESS, 0, False
    act = _act(encounter, fact, at)
    before, class_before, leave = encounter.status, encounter.class_, encounter.leave
    status, kind, reason = TABLE[act, before]
    if act in {"leave", "return"} and status != CANCELLED:
        if leave is not None and at // 1000 < leave.at:
            status, kind, reason = SAME, "patch", "older-than-what-is-known"
        else:
            encounter.leave = Leave(at // 1000, began=act == "leave")
    elif status == IN_PROGRESS and before in {UNKNOWN, PLANNED} and leave is not None and leave.began and leave.at * 1000 >= at:
        status = ON_LEAVE  # The leave arrived before the admission.
    elif act == "transfer" and status == IN_PROGRESS and (leave is None or at // 1000 >= leave.at):
        encounter.leave = Leave(at // 1000, began=False)  # A transfer ends the leave.
    elif act == "transfer" and before == ON_LEAVE:
        status = SAME  # The transfer happened before the leave.
    if status != SAME:
        encounter.status = status
    encounter.touched = max(encounter.touched, now)
    encounter.last = max(encounter.last, at)
    if kind == "ignored":
        return Transition(kind, encounter, reason)
    result = _apply(encounter, act, fact, at, kind, reason, before, world)
    return Transition(result.kind, result.encounter, result.reason, result.changed, class_before)


def _shows_presence(fact: Any) -> bool:
    """Return whether *fact* proves that the person is there. A registration alone is no proof."""
    return isinstance(fact, e.EncounterClassChanged | e.PatientTransferred) or (
        isinstance(fact, e.PatientAdmitted) and not fact.registration
    )


def _act(encounter: Encounter, fact: Any, at: Millis) -> str:
    """Return the act of the table, which depends on the event's type and on what is known of the encounter."""
    match fact:
        case e.EncounterUpdated():
            return "update" if fact.leave is None else ("leave" if fact.leave else "return")
        case e.PatientAdmitted():
            cancelled_at = _newest_cancel(encounter, _ADMISSION)
            if encounter.status == CANCELLED and not fact.registration and at > cancelled_at:
                return "admit-after-cancel"
            if encounter.status == CANCELLED:
                _match_cancel(encounter, _ADMISSION, at)
            return "admit-again" if encounter.admitted else "admit"
        case e.PatientDischarged():
            return "discharge-already-cancelled" if _match_cancel(encounter, _DISCHARGE, at) else "discharge"
        case e.PatientTransferred():
            return "transfer-already-cancelled" if _match_cancel(encounter, _TRANSFER, at) else "transfer"
        case e.EncounterClassChanged():
            return "class-change"
        case e.EncounterPlanned():
            return "plan"
        case e.AdmissionCancelled():
            if encounter.admitted > at:
                _remember(encounter, _ADMISSION, at, 0)
                return "cancel-admission-outdated"
            _remember(encounter, _ADMISSION, at, encounter.admitted)
            return "cancel-admission"
        case e.TransferCancelled():
            if encounter.came_from is not None and _moved_at(encounter) <= at // 1000:
                _remember(encounter, _TRANSFER, at, _moved_at(encounter) * 1000)
                return "cancel-transfer"
            _remember(encounter, _TRANSFER, at, 0)
            return "cancel-transfer-early"
        case _:
            if encounter.status == FINISHED and encounter.discharged > at:
                _remember(encounter, _DISCHARGE, at, 0)
                return "cancel-discharge-outdated"
            _remember(encounter, _DISCHARGE, at, encounter.discharged if encounter.status == FINISHED else 0)
            return "cancel-discharge"


def _apply(  # noqa: PLR0917 -- a row of the table, and what it is applied to
    encounter: Encounter, act: str, fact: Any, at: Millis, kind: str, reason: str, before: int, world: World
) -> Transition:
    changed: tuple[str, ...] = ()
    match act:
        case "cancel-admission" | "cancel-discharge" | "cancel-transfer" | "cancel-transfer-early":
            if kind == "withdraw-discharge":
                # A new discharge brings its own time and disposition. A disposition that is newer than the cancellation belongs
                # to the new discharge.
                encounter.discharged = 0
                if encounter.disposition_at <= at // 1000:
                    encounter.disposition, encounter.disposition_at = "", 0
            elif kind == "withdraw-transfer" and encounter.came_from is not None:
                before_it = encounter.came_from
                encounter.location = Location(before_it.moved_to, before_it.unit, before_it.level, _moved_at(encounter))
                encounter.came_from = None
            return Transition(kind, encounter, reason)
        case "admit" | "admit-again" | "admit-after-cancel":
            if act == "admit-after-cancel":
                encounter.discharged = encounter.disposition_at = 0
                encounter.disposition = ""
                encounter.admitted = at
            else:
                encounter.admitted = min(encounter.admitted or at, at)
            if fact.via_emergency is not None and encounter.via_emergency is None:
                encounter.via_emergency = fact.via_emergency
            if fact.unit and at // 1000 >= _moved_at(encounter):
                encounter.location = msgspec.structs.replace(encounter.location or Location(), unit=fact.unit)
            encounter.registered_only = (encounter.registered_only or act != "admit-again") and fact.registration
            changed = _patch(encounter, fact, at, before, world)
            if act == "admit-again" and "class" in changed and before != FINISHED:
                # An emergency visit becomes an admission under the same visit number: the team must be notified.
                return Transition("admit", encounter, "", changed)
        case "transfer":
            changed = _move(encounter, fact.to, at)
            if kind == "transfer" and not changed:
                return Transition("patch", encounter, "same-facility-and-level", ())
        case "discharge":
            late = before == FINISHED and at < encounter.discharged
            if before != FINISHED:
                encounter.discharged = at
                encounter.assumed = False
            elif encounter.assumed:
                encounter.discharged, encounter.assumed = at, False
                kind, reason = "discharge", ""
            elif not late:
                encounter.discharged = at
            changed = _patch(encounter, fact, at, before, world)
            if fact.complexity and not late:
                encounter.complexity = fact.complexity
            if fact.procedures:
                encounter.procedures = fact.procedures
        case _:
            if act == "class-change" and fact.class_ == encounter.class_ and kind == "class-change":
                kind, reason = "patch", "no-material-change"
            changed = _patch(encounter, fact, at, before, world)
            if kind == "class-change" and not changed:
                # Either the class was unknown before, or this event is older than the known class.
                if encounter.class_ != fact.class_:
                    return Transition("patch", encounter, "older-than-what-is-known", ())
                changed = ("class",)
    if kind == "update" and not changed:
        return Transition("patch", encounter, reason or "no-material-change", ())
    return Transition(kind, encounter, reason, changed)


def _patch(encounter: Encounter, fact: Any, at: Millis, before: int, world: World) -> tuple[str, ...]:
    """Take class, attending, disposition and diagnoses, unless newer ones are known. Return the changes that matter to the care team.

    The attending practitioner changes with every shift, so a new one is recorded but not reported as a change.
    """
    seconds = at // 1000
    changed: list[str] = []
    class_ = getattr(fact, "class_", None)
    if class_ and seconds >= encounter.class_at:
        if encounter.class_ and encounter.class_ != class_:
            changed.append("class")
            if encounter.class_ == "EMER":
                encounter.via_emergency = True
        encounter.class_, encounter.class_at = class_, seconds
    elif class_ == "EMER" and encounter.class_ != "EMER" and encounter.via_emergency is None:
        encounter.via_emergency = True
    attending = getattr(fact, "attending", None)
    if attending is not None and attending.id and seconds >= encounter.attending_at:
        encounter.attending, encounter.attending_at = attending.id, seconds
    disposition = getattr(fact, "disposition", None)
    if disposition and seconds >= encounter.disposition_at:
        if before == FINISHED and DISPOSITION_GROUP.get(encounter.disposition) != DISPOSITION_GROUP.get(disposition):
            changed.append("disposition")
        encounter.disposition, encounter.disposition_at = disposition, seconds
    diagnoses = getattr(fact, "diagnoses", ())
    if diagnoses and seconds >= encounter.diagnoses_at:
        known = tuple(f"{d.rank}|{d.system}|{d.code}" for d in sorted(diagnoses, key=lambda d: d.rank or 99))
        if known != encounter.diagnoses and groups_of(known, world) != groups_of(encounter.diagnoses, world):
            changed.append("diagnosis-group")
        encounter.diagnoses, encounter.diagnoses_at = known, seconds
    return tuple(changed)


def _move(encounter: Encounter, to: e.Location, at: Millis) -> tuple[str, ...]:
    """Record the new location. Return which of facility and level of care changed (Carequality: a bed change is not a transfer)."""
    seconds = at // 1000
    if seconds < _moved_at(encounter):
        return ()
    before, here = encounter.location or Location(), encounter.facility_now
    changed = []
    if to.facility and to.facility != here:
        changed.append("facility")
    if to.level and before.level and to.level != before.level:
        changed.append("level")
    encounter.came_from = msgspec.structs.replace(before, at=0)
    moved_to = to.facility if to.facility != encounter.facility else ""
    encounter.location = Location(moved_to, to.unit, to.level or before.level, seconds)
    return tuple(changed)


def _moved_at(encounter: Encounter) -> int:
    """Return when the person was last transferred, in seconds, or 0."""
    return 0 if encounter.location is None else encounter.location.at


# ---- cancellations that are kept


def _remember(encounter: Encounter, what: int, at: Millis, target: int) -> None:
    if not any(cancel.what == what and cancel.at == at for cancel in encounter.cancels):
        encounter.cancels = (*encounter.cancels, Cancel(what, at, target))


def _match_cancel(encounter: Encounter, what: int, at: Millis) -> bool:
    """Return whether a cancellation that arrived earlier applies to an event of time *at*; if so, record that in the cancellation."""
    cancels = encounter.cancels
    for i, cancel in enumerate(cancels):
        if cancel.what == what and cancel.at >= at and cancel.target_at in {0, at}:
            encounter.cancels = (*cancels[:i], Cancel(what, cancel.at, at), *cancels[i + 1 :])
            return True
    return False


def _newest_cancel(encounter: Encounter, what: int) -> int:
    return max((cancel.at for cancel in encounter.cancels if cancel.what == what), default=0)


# ---- which encounter


def _locate(person: Person, fact: Any, at: Millis) -> Encounter | str:
    """Return the encounter of the event, a new one if the event may start one, or the reason why there is none."""
    ref: e.EncounterRef = fact.encounter
    if ref.visit:
        return _by_visit(person, ref, fact, at)
    here = [s for s in person.encounters if s.facility == ref.facility]
    going_on = [s for s in here if s.status in {IN_PROGRESS, ON_LEAVE}]
    if len(going_on) > 1:
        return "ambiguous-encounter"
    if going_on:
        return going_on[0]
    match fact:
        case e.PatientAdmitted() | e.EncounterPlanned():
            planned = [s for s in here if s.status == PLANNED]
            if len(planned) > 1:
                return "ambiguous-encounter"
            late = [s for s in here if s.status in {FINISHED, CANCELLED} and not s.visit and at <= (s.discharged or s.last)]
            return planned[0] if planned else late[-1] if late else _new(person, ref)
        case e.DischargeCancelled():
            # The newest discharge before the cancellation is the one that is cancelled.
            finished = [s for s in here if s.status == FINISHED and s.discharged <= at]
            return max(finished, key=lambda s: (s.discharged, s.number)) if finished else "no-open-stay"
        case e.AdmissionCancelled() | e.EncounterUpdated() | e.TransferCancelled():
            planned = [s for s in here if s.status == PLANNED]
            if len(planned) > 1:
                return "ambiguous-encounter"
            return planned[0] if planned else "no-open-stay"
        case _:
            return "no-open-stay"


def _by_visit(person: Person, ref: e.EncounterRef, fact: Any, at: Millis) -> Encounter:
    named = [s for s in person.encounters if s.visit == ref.visit and s.facility == ref.facility]
    if not named:
        return _adopt(person, ref, fact) or _new(person, ref)
    if len(named) > 1:
        # The visit number was reused: events before the start of the newer encounter belong to the older one.
        earlier = [s for s in named if (s.admitted or s.discharged) <= at]
        encounter = earlier[-1] if earlier else named[0]
    else:
        encounter = named[0]
    if (
        isinstance(fact, e.PatientAdmitted)
        and not fact.registration
        and encounter.status == FINISHED
        and at > encounter.discharged > 0
        and not encounter.assumed
    ):
        # The sender reuses visit numbers: this is a new encounter, and the old one stays finished.
        return _new(person, ref)
    return encounter


def _adopt(person: Person, ref: e.EncounterRef, fact: Any) -> Encounter | None:
    """If exactly one open encounter at the facility has no visit number, set it and return that encounter; else return None."""
    if isinstance(fact, e.EncounterPlanned):
        return None
    unnamed = [s for s in person.encounters if not s.visit and s.facility == ref.facility and s.status in {PLANNED, IN_PROGRESS, ON_LEAVE}]
    if len(unnamed) != 1:
        return None
    unnamed[0].visit = ref.visit
    return unnamed[0]


def _new(person: Person, ref: e.EncounterRef) -> Encounter:
    person.stay_count += 1
    encounter = Encounter(person.stay_count, ref.facility, ref.visit, Status.UNKNOWN)
    person.encounters.append(encounter)
    return encounter
