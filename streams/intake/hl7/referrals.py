"""Referrals (REF, RRI) and appointments (SIU) from HL7 v2: RF1 and PRD, SCH and TQ1.

Owns which field of those segments says what. Knows nothing of ADT and nothing of the referral's state machine: it
says what the sender reported and who may report it.
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
    """I12 request, I13 change, I14 cancel."""
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
        stay = clinical.encounter_of(context, None)
        facts.append(
            e.ReferralRequested(
                referral,
                requester,
                target,
                service or _UNSPECIFIED,
                _priority(context, order) or "routine",
                _needed_by(context),
                stay if stay.visit else None,
            )
        )
    if status is not None:
        facts.append(e.ReferralStatusChanged(referral, *status))
    return _with_death(context, person, facts) or Ignored("nothing-changed", "", "", "")


def response_facts(context: MessageContext, person: Segment) -> list[msgspec.Struct] | Refused | Ignored:
    """RRI: the target's answer, which says accepted or rejected in RF1-1, or nothing but that it arrived."""
    order = context.message.first("RF1")
    status = tables.REFERRAL_STATUS.get(order.get(1).upper()) if order is not None else None
    if order is None or status is None:
        return Ignored("acknowledgement", "", "", "")
    referral = _referral_id(order)
    if not referral:
        return Refused("field-missing", "RF1", "RF1-6", "", "", "originating referral identifier")
    return _with_death(context, person, [e.ReferralStatusChanged(referral, *status)])


def appointment_facts(context: MessageContext, person: Segment) -> list[msgspec.Struct] | Refused | Ignored:
    """S12 to S17 and S26."""
    schedule = context.message.first("SCH")
    if schedule is None:
        return Refused("segment-missing", "SCH", "", "", "")
    # The filler owns the schedule and names the appointment in every message about it; the placer's name is there
    # only where a placer asked (chapter 10.6.1).
    appointment = schedule.get(2) or schedule.get(1)
    if not appointment:
        return Refused("field-missing", "SCH", "SCH-2", "", "", "filler appointment id; SCH-1 is read if SCH-2 is empty")
    status = tables.APPOINTMENT[context.trigger]
    said = tables.FILLER_STATUS.get(schedule.get(25).upper())
    if said is not None and said in tables.SCHEDULING_REFINEMENTS.get(context.trigger, ()):
        status = said
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
                # SCH-26: the placer's order, which is the request being scheduled; SCH-27: the filler's name for it.
                # (SCH-24 is the parent appointment, not the order.)
                schedule.get(26) or schedule.get(27) or None,
                schedule.get(7) or schedule.get(8) or None,
                end,
            )
        ],
    )


def _period(context: MessageContext, schedule: Segment) -> tuple[Millis | None, Millis | None]:
    """Return start and end: TQ1-7 and 8, else SCH-11.4 and 5, else the start of a resource.

    SCH-11 is kept "for backward compatibility only" since 2.5 (chapter 10.6.1.11), and senders leave old times in it.
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
    """Return the referral's id: RF1-6, which its originator gave and every message repeats, else RF1-11."""
    return order.get(6) or order.get(11)


def _service(context: MessageContext, order: Segment) -> str | None:
    """Return what is asked for: RF1-3 (referral type, table 0281), else the first order's or procedure's code."""
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
    """Return TQ1-8, the needed-by date (as 360X uses it). RF1-8 is when the authorisation expires, another thing.

    A day lasts until its end, like the days of the rules.
    """
    moment = context.moment(context.message.first("TQ1"), 8)
    return None if moment is None else moment.at if moment.is_exact else moment.until


def _party(context: MessageContext, role: str) -> e.Party | None:
    """Read the PRD of that role (PRD-1, table 0286): id PRD-7, name PRD-2, organisation PRD-10, else the facility of PRD-4."""
    for segment in context.message.every("PRD"):
        if role not in {segment.part(one).upper() for one in segment.repetitions(1)}:
            continue
        identifier = segment.get(7)
        name = clinical.person_name(segment, 2)
        if not identifier and name:
            context.note("practitioner-without-id", "PRD", "PRD-7")
        # XON.10, or XON.3 before 2.5: an id can be routed to, a name has to be known in the directory.
        organization = segment.get(10, 10) or segment.get(10, 3) or segment.get(10) or segment.get(4, 4)
        return e.Party(tables.ROLE[role], e.Practitioner(identifier, name) if identifier else None, organization or None)
    return None


def _with_death(context: MessageContext, person: Segment, facts: list[msgspec.Struct]) -> list[msgspec.Struct]:
    death = clinical.death_of(context, person)
    if death.deceased:
        facts.append(e.PersonUpdated(deceased=True, deceased_at=death.at))
    return facts
