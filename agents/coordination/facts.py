"""The facts that conditions of rules may ask for: one named function each.

Owns the vocabulary and the scene that a fact is read from. Must not know a rule. A fact gives text, a number, a truth,
several texts (any of them may fit), or None where it is not known; it never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agents.coordination import risk
from agents.coordination.calendar import local_date
from agents.coordination.directory import Organisation
from agents.coordination.referrals import ENDED
from agents.coordination.risk import LaceInputs, Score
from agents.coordination.state import Appointment, Goal, Handoff, Person, Referral, Status, Stay, Told
from agents.coordination.valuesets import lace_comorbidities
from streams.effects import NotificationIssued
from streams.events import Event, Millis
from streams.topics import DAY_MS

if TYPE_CHECKING:
    from agents.coordination.world import World

Value = str | int | float | bool | tuple[str, ...] | frozenset[str] | None

SETTING: Final = {
    "EMER": "emergency",
    "OBSENC": "observation",
    **dict.fromkeys(("IMP", "ACUTE", "NONAC", "B"), "inpatient"),
    **dict.fromkeys(("AMB", "SS", "VR", "FLD", "R"), "outpatient"),
    "HH": "home",
    "PRENC": "planned",
}
"""Encounter class (v3 ActCode, and HL7 table 0004's B and R, which have no code there) to the setting of care."""

DISPOSITION_GROUP: Final = {
    **dict.fromkeys(("home", "alt-home", "aadvice"), "community"),
    "other-hcf": "hospital",
    **dict.fromkeys(("snf", "long", "rehab", "psy"), "facility"),
    # FHIR's code `hosp` is displayed "Hospice".
    **dict.fromkeys(("hosp", "hospice"), "hospice"),
    "exp": "died",
}
"""FHIR discharge disposition to where life goes on. What is in no group (`oth`, none) is `unknown`."""


class Scene:
    """What a condition is read from: the event and what it is about, or a handoff whose rung is reached (no event)."""

    __slots__ = (
        "appointment",
        "at",
        "changed",
        "event",
        "fact",
        "goal",
        "handoff",
        "kind",
        "named",
        "notice",
        "organisation",
        "person",
        "referral",
        "repeated",
        "stay",
        "suspect",
        "told",
        "world",
    )

    def __init__(self, person: Person, world: World, at: Millis, organisation: Organisation, event: Event | None = None) -> None:
        self.person = person
        self.world = world
        self.at = at
        self.organisation = organisation
        self.event = event
        self.fact: Any = event.data if event is not None else None
        self.kind = event.type if event is not None else ""
        self.stay: Stay | None = None
        self.referral: Referral | None = None
        self.goal: Goal | None = None
        self.appointment: Appointment | None = None
        self.handoff: Handoff | None = None
        self.named: Handoff | None = None
        """The handoff that a response is about."""
        self.notice: NotificationIssued | None = None
        self.told: Told | None = None
        """The notice that a delivery is about."""
        self.changed: tuple[str, ...] = ()
        self.repeated = False
        self.suspect = False


Read = Callable[[Scene], Value]
FACTS: Final[dict[str, Read]] = {}
"""Every fact by its name, as a catalogue file writes it."""


def fact(read: Read) -> Read:
    """Put *read* into the vocabulary under its own name without the leading `of_` and with its docstring as description."""
    FACTS[read.__name__.removeprefix("of_")] = read
    return read


def described() -> Mapping[str, str]:
    """Return each fact's name with its one-line description."""
    return {name: (read.__doc__ or "").strip().splitlines()[0] for name, read in sorted(FACTS.items())}


def _said(scene: Scene, field: str) -> Any:
    return getattr(scene.fact, field, None) if scene.fact is not None else None


# ---- the stay


@fact
def of_class(scene: Scene) -> Value:
    """Encounter class (EMER, IMP, OBSENC, AMB ...), `unknown` where nobody said it."""
    return _said(scene, "class_") or (scene.stay.class_ if scene.stay else "") or "unknown"


@fact
def setting(scene: Scene) -> Value:
    """Setting by class: emergency, observation, inpatient, outpatient, home, planned, unknown."""
    return SETTING.get(str(of_class(scene)), "unknown")


@fact
def setting_of_stay(scene: Scene) -> Value:
    """Setting by the newest word of the stay's class, however late an older one arrives."""
    return SETTING.get(scene.stay.class_, "unknown") if scene.stay else None


@fact
def registration(scene: Scene) -> Value:
    """True for a registration (HL7 A04) in place of an admission."""
    return bool(_said(scene, "registration"))


@fact
def facility(scene: Scene) -> Value:
    """The facility's id, as messages write it."""
    return scene.stay.facility if scene.stay else None


@fact
def facility_kind(scene: Scene) -> Value:
    """The kind of organisation that runs the facility: hospital, snf, home-health, ..."""
    return scene.world.directory.of_facility(scene.stay.place or scene.stay.facility).kind if scene.stay else None


@fact
def via_emergency(scene: Scene) -> Value:
    """Whether the stay began in an emergency department."""
    return scene.stay.via_emergency if scene.stay else None


@fact
def disposition(scene: Scene) -> Value:
    """FHIR discharge disposition (home, snf, exp ...)."""
    return _said(scene, "disposition") or (scene.stay.disposition if scene.stay else "") or "unknown"


@fact
def disposition_group(scene: Scene) -> Value:
    """Where life goes on: community, hospital, facility, hospice, died, unknown."""
    return DISPOSITION_GROUP.get(str(disposition(scene)), "unknown")


@fact
def status_of_stay(scene: Scene) -> Value:
    """planned, in-progress, onleave, finished, cancelled, unknown."""
    return ("unknown", "planned", "in-progress", "onleave", "finished", "cancelled")[scene.stay.status] if scene.stay else None


@fact
def unit(scene: Scene) -> Value:
    """The unit or ward, as messages write it."""
    return (scene.stay.unit or None) if scene.stay else None


@fact
def level(scene: Scene) -> Value:
    """The level of care after a transfer, as messages write it."""
    return (scene.stay.level or None) if scene.stay else None


@fact
def changed(scene: Scene) -> Value:
    """What the event changed materially: class, attending, pcp, disposition, diagnosis-group, facility, level, death."""
    return scene.changed


@fact
def material_change(scene: Scene) -> Value:
    """Whether the event changed anything material at all."""
    return bool(scene.changed)


@fact
def other_stay(scene: Scene) -> Value:
    """Whether the event is about another stay than the handoff's."""
    return scene.handoff is not None and scene.stay is not None and scene.stay.number != scene.handoff.stay


@fact
def same_stay(scene: Scene) -> Value:
    """Whether the event is about the handoff's own stay."""
    return scene.handoff is not None and scene.stay is not None and scene.stay.number == scene.handoff.stay


@fact
def complexity(scene: Scene) -> Value:
    """Complexity of the decision making that was stated at discharge: low, moderate, high."""
    return scene.stay.complexity or None if scene.stay else None


@fact
def deceased(scene: Scene) -> Value:
    """Whether the person has died."""
    return bool(scene.person.deceased)


@fact
def planned(scene: Scene) -> Value:
    """Whether the admission was planned, where the message says so."""
    said: Value = _said(scene, "planned")
    return said


@fact
def length_of_stay_days(scene: Scene) -> Value:
    """Nights between admission and discharge, in the facility's local time."""
    stay = scene.stay
    if stay is None or not stay.admitted or not stay.discharged:
        return None
    return risk.stay_days(Millis(stay.admitted), Millis(stay.discharged), scene.organisation.zone)


# ---- conditions and risk


def groups_of(diagnoses: tuple[str, ...], world: World, *, principal: bool = False) -> frozenset[str]:
    """Return the value-set groups of a stay's diagnoses (`rank|system|code`), or of its principal one alone."""
    found: frozenset[str] = frozenset()
    for diagnosis in diagnoses[:1] if principal else diagnoses:
        _, system, code = diagnosis.split("|", 2)
        found |= world.valuesets.groups_of(system, code)
    return found


@fact
def diagnosis_group(scene: Scene) -> Value:
    """Value sets that any diagnosis of the stay belongs to."""
    return groups_of(scene.stay.diagnoses, scene.world) if scene.stay else frozenset()


@fact
def principal_diagnosis_group(scene: Scene) -> Value:
    """Value sets that the principal diagnosis of the stay belongs to."""
    return groups_of(scene.stay.diagnoses, scene.world, principal=True) if scene.stay else frozenset()


def known_groups(scene: Scene) -> frozenset[str]:
    """Return the value-set groups of the problem list and of every stay that is remembered."""
    found: frozenset[str] = frozenset()
    for system, code, status in scene.person.conditions:
        if status not in {"inactive", "remission", "resolved"}:
            found |= scene.world.valuesets.groups_of(system, code)
    for stay in scene.person.stays:
        found |= groups_of(stay.diagnoses, scene.world)
    return found


@fact
def condition_group(scene: Scene) -> Value:
    """Value sets of the person's active conditions and diagnoses of the past 13 months."""
    return known_groups(scene)


@fact
def high_risk_conditions(scene: Scene) -> Value:
    """How many of HEDIS FMC's high-risk conditions the person has."""
    return sum(1 for group in known_groups(scene) if group.startswith("fmc/"))


def lace_of(scene: Scene) -> Score | None:
    """Compute LACE for the scene's stay, ranges where inputs are missing; None without a stay."""
    stay = scene.stay
    if stay is None:
        return None
    length = length_of_stay_days(scene)
    since = (stay.admitted or stay.discharged or scene.at) - 182 * DAY_MS
    begins = stay.admitted or scene.at
    visits = sum(
        1
        for other in scene.person.stays
        if other is not stay
        and SETTING.get(other.class_) == "emergency"
        and since <= (other.admitted or other.discharged) < begins
        and other.status != Status.CANCELLED
    )
    known = known_groups(scene)
    return risk.lace(
        LaceInputs(
            length_days=int(length) if isinstance(length, int) else None,
            emergency=stay.via_emergency,
            comorbidities=lace_comorbidities(known) if known or stay.diagnoses or scene.person.conditions else None,
            comorbidities_complete=bool(stay.diagnoses or scene.person.conditions),
            emergency_visits=risk.AtLeast(visits),
        )
    )


@fact
def lace(scene: Scene) -> Value:
    """LACE as far as it is certain: the lower end where inputs are missing."""
    score = lace_of(scene)
    return score.low if score else None


@fact
def risk_tier(scene: Scene) -> Value:
    """How soon the person must be seen after discharge: high, moderate, low (stated complexity and LACE)."""
    said = complexity(scene)
    return risk.follow_up_tier(str(said) if said else None, lace_of(scene))


def _risk_kind(stay: Stay, world: World) -> risk.StayKind | None:
    if world.directory.of_facility(stay.place or stay.facility).kind == "snf":
        return "snf"
    kinds: dict[str, risk.StayKind] = {"emergency": "emergency", "observation": "observation", "inpatient": "inpatient"}
    return kinds.get(SETTING.get(stay.class_, ""))


@fact
def flags(scene: Scene) -> Value:
    """Utilisation flags: high-utiliser, readmission-risk, recent-inpatient-stay, recent-snf-stay."""
    stays = [
        risk.Stay(kind, Millis(stay.admitted or stay.discharged), Millis(stay.discharged) if stay.discharged else None)
        for stay in scene.person.stays
        if stay.status in {Status.IN_PROGRESS, Status.ON_LEAVE, Status.FINISHED}
        and (stay.admitted or stay.discharged)
        and (kind := _risk_kind(stay, scene.world)) is not None
    ]
    # At the very instant of a discharge the person still counts as being there: the flag is for what the discharge needs.
    discharging = scene.stay is not None and scene.stay.discharged and scene.stay.discharged <= scene.at
    at = Millis(scene.stay.discharged - 1) if discharging and scene.stay else scene.at
    return risk.utilisation_flags(stays, at).names


@fact
def emergency_visits_12_months(scene: Scene) -> Value:
    """Emergency visits in the twelve months up to now, this one included."""
    since = scene.at - 365 * DAY_MS
    return sum(
        1
        for stay in scene.person.stays
        if SETTING.get(stay.class_) == "emergency"
        and since <= (stay.admitted or stay.discharged) <= scene.at
        and stay.status != Status.CANCELLED
    )


@fact
def age_years(scene: Scene) -> Value:
    """Completed years of age, where the date of birth is known."""
    born = scene.person.birth_date.replace("-", "")
    if len(born) < 8 or not born[:8].isdigit():
        return None
    day = local_date(scene.at, scene.organisation.zone)
    return day.year - int(born[:4]) - ((day.month, day.day) < (int(born[4:6]), int(born[6:8])))


# ---- referrals and appointments


@fact
def status(scene: Scene) -> Value:
    """The status that the event says: Task.status of a referral, Appointment.status, or an activity's status."""
    said: Value = _said(scene, "status")
    return said


@fact
def referral_status(scene: Scene) -> Value:
    """Task.status of the referral after the event."""
    return (scene.referral.status or None) if scene.referral else None


@fact
def previous_status(scene: Scene) -> Value:
    """Task.status of the referral before its last change."""
    return (scene.referral.previous_status or None) if scene.referral else None


@fact
def business_status(scene: Scene) -> Value:
    """BSeR businessStatus of the referral (2.0 created ... 7.0 fulfilment completed)."""
    said = _said(scene, "business_status")
    return said or (scene.referral.business_status or None if scene.referral else None)


@fact
def by(scene: Scene) -> Value:
    """Who changed the referral: requester or target."""
    said = _said(scene, "by")
    return said if isinstance(said, str) else None


@fact
def priority(scene: Scene) -> Value:
    """Priority of the referral or goal: routine, urgent, asap, stat; high-priority ..."""
    if scene.referral is not None:
        return scene.referral.priority
    said: Value = _said(scene, "priority")
    return said


@fact
def service(scene: Scene) -> Value:
    """Code of the service that is asked for."""
    said: Value = scene.referral.service if scene.referral else _said(scene, "service")
    return said


@fact
def target_kind(scene: Scene) -> Value:
    """The kind of organisation that the referral goes to, where the directory knows it: home-health, pharmacy, ..."""
    if scene.referral is None:
        return None
    known = scene.world.directory.organisations.get(scene.referral.target_organisation)
    return known.kind if known is not None else None


@fact
def needed_by(scene: Scene) -> Value:
    """Until when the referral needs its answer, in milliseconds."""
    return (scene.referral.needed_by or None) if scene.referral else None


@fact
def linked(scene: Scene) -> Value:
    """Whether the referral doubles an earlier one of the same person to the same service."""
    return bool(scene.referral and scene.referral.linked)


@fact
def has_referral(scene: Scene) -> Value:
    """Whether the event is about a referral."""
    return scene.referral is not None


@fact
def purpose(scene: Scene) -> Value:
    """Purpose of the appointment."""
    return (scene.appointment.purpose or None) if scene.appointment else _said(scene, "purpose")


@fact
def appointment_booked(scene: Scene) -> Value:
    """Whether an appointment of the person stands booked between the handoff's trigger and its due."""
    handoff = scene.handoff
    since, until = (handoff.opened_at, handoff.due) if handoff is not None else (scene.at, scene.at + 30 * DAY_MS)
    for appointment in scene.person.appointments:
        if appointment.status in {"booked", "arrived", "checked-in", "fulfilled"} and (
            (handoff is not None and handoff.ref and appointment.referral == handoff.ref) or since <= appointment.start <= until
        ):
            return True
    return False


# ---- goals


@fact
def lifecycle_status(scene: Scene) -> Value:
    """FHIR Goal.lifecycleStatus."""
    return (scene.goal.status or None) if scene.goal else _said(scene, "lifecycle_status")


@fact
def achievement_status(scene: Scene) -> Value:
    """FHIR Goal.achievementStatus."""
    return (scene.goal.achievement or None) if scene.goal else _said(scene, "achievement_status")


@fact
def achievement_said(scene: Scene) -> Value:
    """FHIR Goal.achievementStatus as this very update says it; not known where it says none."""
    said: Value = _said(scene, "achievement_status")
    return said


@fact
def reviewed(scene: Scene) -> Value:
    """Whether the goal's update is a review: said so, or status, achievement or attainment moved."""
    return "goal-reviewed" in scene.changed


@fact
def accepted_by_person(scene: Scene) -> Value:
    """Whether the person accepted the goal; not known until they said."""
    return scene.goal.accepted if scene.goal else _said(scene, "accepted_by_person")


@fact
def goal_setting(scene: Scene) -> Value:
    """Setting of the plan that the goal belongs to: hospice, home-health, icf, social-care ..."""
    return (scene.goal.setting or None) if scene.goal else _said(scene, "setting")


@fact
def setbacks(scene: Scene) -> Value:
    """How many updates in a row said worsening or no progress."""
    return scene.goal.setbacks if scene.goal else None


@fact
def active_goals(scene: Scene) -> Value:
    """How many goals of the person are accepted, active or on hold."""
    return sum(1 for goal in scene.person.goals if goal.status in {"accepted", "active", "on-hold"})


# ---- activities, responses, notifications


@fact
def code(scene: Scene) -> Value:
    """Code of the activity, observation or condition."""
    said: Value = _said(scene, "code")
    return said


@fact
def outcome(scene: Scene) -> Value:
    """Outcome of the activity, completion or outreach (reached, no-answer, voicemail, refused)."""
    return _said(scene, "outcome") or None


@fact
def performer_role(scene: Scene) -> Value:
    """Role of whoever gave the care or responded."""
    party = _said(scene, "performer") or _said(scene, "by")
    return getattr(party, "role", None)


@fact
def notice(scene: Scene) -> Value:
    """Id of the routing row that told somebody (NTF-ADMIT ...)."""
    if scene.notice is not None:
        return scene.notice.rule
    if scene.handoff is not None and isinstance(scene.handoff.ref, bytes):
        return scene.world.notice_of(scene.person, scene.handoff)
    return None


@fact
def asks_acknowledgement(scene: Scene) -> Value:
    """Whether the notification asks its recipient to acknowledge."""
    return scene.notice.asks_acknowledgement if scene.notice else None


@fact
def role(scene: Scene) -> Value:
    """Role of the recipient."""
    if scene.notice is not None:
        return scene.notice.role
    return (_said(scene, "recipient") or "").partition("/")[0] or None


@fact
def somebody_told(scene: Scene) -> Value:
    """Whether somebody was told of this very event; where the person withheld that, nobody was."""
    stay = scene.stay.number if scene.stay is not None else 0
    return any(told.at == scene.at and told.stay == stay for told in scene.person.told)


@fact
def recipient_known(scene: Scene) -> Value:
    """False where only the fallback pool could be told."""
    if scene.notice is None:
        return None
    return not scene.notice.recipient.endswith(f"/{scene.world.directory.fallback_pool}")


@fact
def programme(scene: Scene) -> Value:
    """Programmes that the care team names for the person."""
    return tuple(sorted({seat.programme for seat in scene.person.seats if seat.programme}))


@fact
def leave(scene: Scene) -> Value:
    """Whether the person is on leave from the stay."""
    return scene.stay is not None and scene.stay.status == Status.ON_LEAVE


# ---- what the rest of the person's story says


@fact
def at_hospital(scene: Scene) -> Value:
    """Whether the person is in hospital now: emergency, observation or inpatient."""
    return any(
        stay.status in {Status.IN_PROGRESS, Status.ON_LEAVE} and SETTING.get(stay.class_) in {"emergency", "observation", "inpatient"}
        for stay in scene.person.stays
    )


@fact
def open_services(scene: Scene) -> Value:
    """Services that open referrals of the person ask for."""
    return tuple(sorted({r.service for r in scene.person.referrals if r.service and r.status and r.status not in ENDED}))


@fact
def team_known(scene: Scene) -> Value:
    """Whether anybody is named as caring for the person."""
    return any(not seat.to or seat.to > scene.at for seat in scene.person.seats)


def _own_referral(scene: Scene) -> Referral | None:
    """Return the referral that the handoff itself is about."""
    if scene.handoff is None:
        return None
    return next((referral for referral in scene.person.referrals if referral.id == scene.handoff.ref), None)


@fact
def same_service(scene: Scene) -> Value:
    """Whether the event's referral is another one for the service of the handoff's own, or replaces it."""
    own = _own_referral(scene)
    if own is None or scene.referral is None or scene.referral.id == own.id:
        return False
    return _said(scene, "replaces") == own.id or scene.referral.service == own.service


@fact
def same_goal(scene: Scene) -> Value:
    """Whether the event is about the goal that the handoff's referral serves, or about any where the referral names none."""
    own = _own_referral(scene)
    return own is not None and scene.goal is not None and own.goal in {"", scene.goal.id}


@fact
def first_review(scene: Scene) -> Value:
    """Whether the goal has never been reviewed since it was accepted or taken up again."""
    if scene.goal is None or scene.kind == "CareActivityRecorded":
        return False
    return not scene.goal.reviewed or "lifecycle-status" in scene.changed


@fact
def overdue(scene: Scene) -> Value:
    """Whether the handoff's clock has ended."""
    return scene.handoff is not None and scene.at >= scene.handoff.due


@fact
def same_need(scene: Scene) -> Value:
    """Whether the event's appointment is another one for the same purpose as the handoff's own, with no referral on either."""
    own = next((a for a in scene.person.appointments if scene.handoff is not None and a.id == scene.handoff.ref), None)
    other = scene.appointment
    return own is not None and other is not None and not (own.referral or other.referral) and own.purpose == other.purpose


@fact
def revised(scene: Scene) -> Value:
    """Whether the goal's words or priority changed."""
    return "goal-revised" in scene.changed
