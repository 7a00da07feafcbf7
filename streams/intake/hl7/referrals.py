"""Mapping of referrals (REF, RRI) and appointments (SIU), from the segments RF1, PRD, SCH and TQ1.

Owns the meaning of the fields of these segments. Knows neither ADT messages nor the state machine of a referral: it
reports only what the sender wrote, and which side of the referral reported it.
"""

from __future__ import annotations

import msgspec

from streams.contract import events as e
from streams.contract.events import Millis
from streams.intake.hl7 import clinical, tables
from streams.intake.hl7.clinical import MessageContext
from streams.intake.hl7.lexer import Segment
from streams.intake.reading import Ignored, Refused

_UNSPECIFIED = "unspecified"


def referral_facts(context: MessageContext, person: Segment) -> list[msgspec.Struct] | Refused | Ignored:
    """Read a REF message: request (I12), change (I13) or cancellation (I14) of a referral."""
    order = context.message.first("RF1")
    if order is None:
        return Refused("segment-missing", "RF1", "", "", "")
    referral = _referral_id(order)
    if not referral:
        return Refused("field-missing", "RF1", "RF1-6", "", "", "originating referral identifier")
    facts: list[msgspec.Struct] = []
    status = tables.REFERRAL_STATUS.get(order.get(1).upper())
    if context.trigger == "I14":
        facts.append(e.ReferralStatusChanged(referral, "cancelled", "requester"))
        status = None
    elif context.trigger == "I13":
        changed = e.ReferralChanged(
            referral, _party(context, "RT"), _service(context, order), _priority(context, order), _needed_by(context)
        )
        if changed != e.ReferralChanged(referral):
            facts.append(changed)
    else:
        target = _party(context, "RT") or e.Party("referred-to")
        requester = _party(context, "RP") or e.Party("referring")
        service = _service(context, order)
        if service is None:
            context.note("service-missing", "RF1", "RF1-3")
        encounter = clinical.encounter_of(context, None)
        facts.append(
            e.ReferralRequested(
                referral,
                requester,
                target,
                service or _UNSPECIFIED,
                _priority(context, order) or "routine",
                _needed_by(context),
                encounter if encounter.visit else None,
            )
        )
    if status is not None:
        facts.append(e.ReferralStatusChanged(referral, *status))
    return _with_death(context, person, facts) or Ignored("nothing-changed", "", "", "")


def response_facts(context: MessageContext, person: Segment) -> list[msgspec.Struct] | Refused | Ignored:
    """Read an RRI message: the target accepts or rejects the referral (RF1-1), or only acknowledges its receipt."""
    order = context.message.first("RF1")
    status = tables.REFERRAL_STATUS.get(order.get(1).upper()) if order is not None else None
    if order is None or status is None:
        return Ignored("acknowledgement", "", "", "")
    referral = _referral_id(order)
    if not referral:
        return Refused("field-missing", "RF1", "RF1-6", "", "", "originating referral identifier")
    return _with_death(context, person, [e.ReferralStatusChanged(referral, *status)])


def appointment_facts(context: MessageContext, person: Segment) -> list[msgspec.Struct] | Refused | Ignored:
    """Read an appointment message (SIU): S12 to S17 and S26."""
    schedule = context.message.first("SCH")
    if schedule is None:
        return Refused("segment-missing", "SCH", "", "", "")
    # Every message has the filler's appointment id, because the filler owns the schedule. The placer's id is present
    # only if a placer requested the appointment (chapter 10.6.1).
    appointment = schedule.get(2) or schedule.get(1)
    if not appointment:
        return Refused("field-missing", "SCH", "SCH-2", "", "", "filler appointment id; SCH-1 is read if SCH-2 is empty")
    status = tables.APPOINTMENT[context.trigger]
    filler_status = tables.FILLER_STATUS.get(schedule.get(25).upper())
    if filler_status is not None and filler_status in tables.SCHEDULING_REFINEMENTS.get(context.trigger, ()):
        status = filler_status
    start, end = _period(context, schedule)
    if start is None and status == "booked":
        context.note("start-missing", "SCH", "SCH-11")
    return _with_death(
        context,
        person,
        [
            e.AppointmentChanged(
                appointment,
                status,
                start,
                # SCH-26 is the placer's number of the scheduled order; SCH-27 is the filler's number. SCH-24 is the
                # parent appointment, not the order.
                schedule.get(26) or schedule.get(27) or None,
                schedule.get(7) or schedule.get(8) or None,
                end,
            )
        ],
    )


def _period(context: MessageContext, schedule: Segment) -> tuple[Millis | None, Millis | None]:
    """Return start and end: TQ1-7 and 8, else SCH-11.4 and 5, else the start time of a resource.

    TQ1 comes first, because since version 2.5 SCH-11 is "for backward compatibility only" (chapter 10.6.1.11), and
    senders leave outdated times in it.
    """
    message = context.message
    timing = message.first("TQ1")
    start, end = context.instant(timing, 7), context.instant(timing, 8)
    if start is None:
        start, end = context.instant(schedule, 11, 4), context.instant(schedule, 11, 5)
    for name, number in (("AIS", 4), ("AIG", 8), ("AIL", 6), ("AIP", 6)):
        if start is None:
            start = context.instant(message.first(name), number)
    return start, end if start is not None and end is not None and end >= start else None


def _referral_id(order: Segment) -> str:
    """Return the referral's id: RF1-6, which the originator assigns and every message repeats, else RF1-11."""
    return order.get(6) or order.get(11)


def _service(context: MessageContext, order: Segment) -> str | None:
    """Return the requested service: RF1-3 (referral type, table 0281), else the first OBR-4, else the first PR1-3."""
    kind = order.get(3)
    if kind:
        return kind
    for name, number in (("OBR", 4), ("PR1", 3)):
        segment = context.message.first(name)
        if segment is not None and segment.get(number):
            return segment.get(number)
    return None


def _priority(context: MessageContext, order: Segment) -> str | None:
    code = order.get(2).upper()
    if not code:
        return None
    known = tables.REFERRAL_PRIORITY.get(code)
    if known is None:
        context.note("priority-unknown", "RF1", "RF1-2")
    return known


def _needed_by(context: MessageContext) -> Millis | None:
    """Return the needed-by instant: TQ1-8, as in the 360X profile. RF1-8 is the expiry of the authorisation instead.

    A date without a time means the end of that day, as for the deadlines of rules.
    """
    moment = context.moment(context.message.first("TQ1"), 8)
    return None if moment is None else moment.at if moment.is_exact else moment.until


def _party(context: MessageContext, role: str) -> e.Party | None:
    """Read the PRD with this role (PRD-1, table 0286): id PRD-7, name PRD-2, organisation PRD-10, else the facility in PRD-4."""
    for segment in context.message.every("PRD"):
        if role not in {segment.part(one).upper() for one in segment.repetitions(1)}:
            continue
        identifier = segment.get(7)
        name = clinical.person_name(segment, 2)
        if not identifier and name:
            context.note("practitioner-without-id", "PRD", "PRD-7")
        # Prefer the organisation's id (XON.10, or XON.3 before version 2.5). A name works only if the directory has it.
        organization = segment.get(10, 10) or segment.get(10, 3) or segment.get(10) or segment.get(4, 4)
        return e.Party(tables.ROLE[role], e.Practitioner(identifier, name) if identifier else None, organization or None)
    return None


def _with_death(context: MessageContext, person: Segment, facts: list[msgspec.Struct]) -> list[msgspec.Struct]:
    death = clinical.death_of(context, person)
    if death.deceased:
        facts.append(e.PersonUpdated(deceased=True, deceased_at=death.at))
    return facts
