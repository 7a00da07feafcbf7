"""Facts about referrals and appointments."""

from __future__ import annotations

from agents.coordination.person.referral_states import ENDED
from agents.coordination.person.state import Referral
from agents.coordination.rules.facts.context import FactContext, Value, event_says, fact
from streams.contract.topics import DAY_MS


@fact
def status(context: FactContext) -> Value:
    """Status that the event reports: of the referral (Task.status), the appointment or the activity."""
    said: Value = event_says(context, "status")
    return said


@fact
def referral_status(context: FactContext) -> Value:
    """Task.status of the referral after the event."""
    return (context.referral.status or None) if context.referral else None


@fact
def previous_status(context: FactContext) -> Value:
    """Task.status of the referral before its last change."""
    return (context.referral.previous_status or None) if context.referral else None


@fact
def status_moved(context: FactContext) -> Value:
    """Whether the event gave the referral a new Task.status. A business status may change alone."""
    return "referral-status" in context.changed


@fact
def business_status(context: FactContext) -> Value:
    """BSeR businessStatus of the referral (2.0 created to 7.0 fulfilment completed)."""
    said = event_says(context, "business_status")
    return said or (context.referral.business_status or None if context.referral else None)


@fact
def by(context: FactContext) -> Value:
    """Which side changed the referral."""
    said = event_says(context, "by")
    return said if isinstance(said, str) else None


@fact
def priority(context: FactContext) -> Value:
    """Priority of the referral or goal (routine, urgent, asap, stat; high-priority ...)."""
    if context.referral is not None:
        return context.referral.priority
    said: Value = event_says(context, "priority")
    return said


@fact
def service(context: FactContext) -> Value:
    """Code of the service that the referral asks for."""
    said: Value = context.referral.service if context.referral else event_says(context, "service")
    return said


@fact
def target_kind(context: FactContext) -> Value:
    """Kind of the organisation that the referral goes to, by the directory (home-health, pharmacy ...)."""
    if context.referral is None:
        return None
    known = context.world.directory.organisations.get(context.referral.target_organisation)
    return known.kind if known is not None else None


@fact
def needed_by(context: FactContext) -> Value:
    """Instant by which the referral needs its answer, for `until`."""
    return (context.referral.needed_by or None) if context.referral else None


@fact
def linked(context: FactContext) -> Value:
    """Whether the referral is a duplicate of an earlier one of the same person to the same service."""
    return bool(context.referral and context.referral.linked)


@fact
def has_referral(context: FactContext) -> Value:
    """Whether the event is about a referral."""
    return context.referral is not None


@fact
def open_services(context: FactContext) -> Value:
    """Service codes of the person's open referrals."""
    return tuple(sorted({r.service for r in context.person.referrals if r.service and r.status and r.status not in ENDED}))


def own_referral(context: FactContext) -> Referral | None:
    """Return the referral that the handoff itself is about."""
    if context.handoff is None:
        return None
    return next((referral for referral in context.person.referrals if referral.id == context.handoff.focus), None)


@fact
def same_service(context: FactContext) -> Value:
    """Whether the event's referral is another one for the same service as the handoff's, or replaces it."""
    own = own_referral(context)
    if own is None or context.referral is None or context.referral.id == own.id:
        return False
    return event_says(context, "replaces") == own.id or context.referral.service == own.service


@fact
def purpose(context: FactContext) -> Value:
    """Purpose of the appointment."""
    return (context.appointment.purpose or None) if context.appointment else event_says(context, "purpose")


@fact
def appointment_booked(context: FactContext) -> Value:
    """Whether an appointment is booked between the handoff's trigger and its due time."""
    handoff = context.handoff
    since, until = (handoff.opened_at, handoff.due) if handoff is not None else (context.at, context.at + 30 * DAY_MS)
    for appointment in context.person.appointments:
        if appointment.status in {"booked", "arrived", "checked-in", "fulfilled"} and (
            (handoff is not None and handoff.focus and appointment.referral == handoff.focus) or since <= appointment.start <= until
        ):
            return True
    return False


@fact
def appointment_status(context: FactContext) -> Value:
    """Status of the appointment by its latest report, even if an older report arrives later."""
    return (context.appointment.status or None) if context.appointment else None


@fact
def still_stands(context: FactContext) -> Value:
    """Whether the event's own appointment, by its latest report, is still booked for a time in the future."""
    own = context.appointment
    since = context.handoff.opened_at if context.handoff is not None else context.at
    return own is not None and own.status in {"booked", "arrived", "checked-in"} and own.start >= since


@fact
def stands_booked(context: FactContext) -> Value:
    """Whether another appointment for the same referral (or the same purpose) is booked."""
    own = context.appointment
    named = context.referral.id if context.referral is not None else own.referral if own is not None else ""
    for other in context.person.appointments:
        if other is own or other.status not in {"booked", "arrived", "checked-in"} or other.start < context.at:
            continue
        if named:
            if other.referral == named:
                return True
        elif own is not None and not other.referral and own.purpose and own.purpose == other.purpose:
            return True
    return False


@fact
def same_need(context: FactContext) -> Value:
    """Whether the event's appointment is another one for the same purpose as the handoff's, both without a referral."""
    own = next((a for a in context.person.appointments if context.handoff is not None and a.id == context.handoff.focus), None)
    other = context.appointment
    return own is not None and other is not None and not (own.referral or other.referral) and own.purpose == other.purpose
