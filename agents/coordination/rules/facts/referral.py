"""Facts about referrals and appointments."""

from __future__ import annotations

from agents.coordination.person.referral_states import ENDED
from agents.coordination.person.state import Referral
from agents.coordination.rules.facts.context import Scene, Value, event_says, fact
from streams.contract.topics import DAY_MS


@fact
def status(scene: Scene) -> Value:
    """The status that the event says: Task.status of a referral, Appointment.status, or an activity's status."""
    said: Value = event_says(scene, "status")
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
def status_moved(scene: Scene) -> Value:
    """Whether the event moved the referral to another Task.status; a business status may move alone."""
    return "referral-status" in scene.changed


@fact
def business_status(scene: Scene) -> Value:
    """BSeR businessStatus of the referral (2.0 created ... 7.0 fulfilment completed)."""
    said = event_says(scene, "business_status")
    return said or (scene.referral.business_status or None if scene.referral else None)


@fact
def by(scene: Scene) -> Value:
    """Who changed the referral: requester or target."""
    said = event_says(scene, "by")
    return said if isinstance(said, str) else None


@fact
def priority(scene: Scene) -> Value:
    """Priority of the referral or goal: routine, urgent, asap, stat; high-priority ..."""
    if scene.referral is not None:
        return scene.referral.priority
    said: Value = event_says(scene, "priority")
    return said


@fact
def service(scene: Scene) -> Value:
    """Code of the service that is asked for."""
    said: Value = scene.referral.service if scene.referral else event_says(scene, "service")
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
def open_services(scene: Scene) -> Value:
    """Services that open referrals of the person ask for."""
    return tuple(sorted({r.service for r in scene.person.referrals if r.service and r.status and r.status not in ENDED}))


def own_referral(scene: Scene) -> Referral | None:
    """Return the referral that the handoff itself is about."""
    if scene.handoff is None:
        return None
    return next((referral for referral in scene.person.referrals if referral.id == scene.handoff.ref), None)


@fact
def same_service(scene: Scene) -> Value:
    """Whether the event's referral is another one for the service of the handoff's own, or replaces it."""
    own = own_referral(scene)
    if own is None or scene.referral is None or scene.referral.id == own.id:
        return False
    return event_says(scene, "replaces") == own.id or scene.referral.service == own.service


@fact
def purpose(scene: Scene) -> Value:
    """Purpose of the appointment."""
    return (scene.appointment.purpose or None) if scene.appointment else event_says(scene, "purpose")


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


@fact
def appointment_status(scene: Scene) -> Value:
    """The appointment's status by the newest word, however late an older one arrives."""
    return (scene.appointment.status or None) if scene.appointment else None


@fact
def still_stands(scene: Scene) -> Value:
    """Whether the event's own appointment is booked by the newest word, for a time to come."""
    own = scene.appointment
    since = scene.handoff.opened_at if scene.handoff is not None else scene.at
    return own is not None and own.status in {"booked", "arrived", "checked-in"} and own.start >= since


@fact
def stands_booked(scene: Scene) -> Value:
    """Whether an appointment for the same referral (else the same purpose), other than the event's own, stands booked."""
    own = scene.appointment
    named = scene.referral.id if scene.referral is not None else own.referral if own is not None else ""
    for other in scene.person.appointments:
        if other is own or other.status not in {"booked", "arrived", "checked-in"} or other.start < scene.at:
            continue
        if named:
            if other.referral == named:
                return True
        elif own is not None and not other.referral and own.purpose and own.purpose == other.purpose:
            return True
    return False


@fact
def same_need(scene: Scene) -> Value:
    """Whether the event's appointment is another one for the same purpose as the handoff's own, with no referral on either."""
    own = next((a for a in scene.person.appointments if scene.handoff is not None and a.id == scene.handoff.ref), None)
    other = scene.appointment
    return own is not None and other is not None and not (own.referral or other.referral) and own.purpose == other.purpose
