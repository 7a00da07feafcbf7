"""Conversion of one HL7 v2 message to events.

Owns the envelope (message type, trigger event, sender, id, times, person) and the choice of the mapping for each
message type. If MSH-9 and EVN-1 differ, MSH-9 is used: in real samples, EVN-1 was often copied from another message and
not changed. Every message gives at least one item. If a part of a message is invalid, the other parts are still used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, tzinfo

import msgspec

from streams.contract.events import Millis, PersonKey
from streams.intake.hl7 import adt, tables
from streams.intake.hl7.clinical import MessageContext
from streams.intake.hl7.framing import RawMessage, decode
from streams.intake.hl7.identity import Identifier, facility_of, item_id, message_id, person_of, source_of
from streams.intake.hl7.lexer import Message, Segment, parse
from streams.intake.hl7.referrals import appointment_facts, referral_facts, response_facts
from streams.intake.hl7.times import first_time, offset_of, zone_named
from streams.intake.reading import Ignored, Item, Note, Reading, Refused
from streams.intake.settings import IntakeSettings

_TYPE = re.compile(r"[A-Z]{3}(\^[A-Z][A-Z0-9][0-9])?\Z")


def read_message(raw: RawMessage, settings: IntakeSettings) -> Reading:
    """Read one framed message."""
    reading = _read_raw(raw, settings)
    if any(isinstance(item, Refused) for item in reading.items):
        return replace(reading, raw=raw.content)
    return reading


def _read_raw(raw: RawMessage, settings: IntakeSettings) -> Reading:
    if raw.problem is not None:
        return Reading((replace(raw.problem, source=_sender(raw)),))
    text = decode(raw)
    if isinstance(text, Refused):
        return Reading((replace(text, source=_sender(raw)),))
    digest = hashlib.sha256(raw.content).digest()
    message = parse(text)
    if message is None:
        return Reading((Refused("encoding-characters-invalid", "MSH", "MSH-2", "", f"sha256:{digest.hex()[:32]}"),), digest=digest)
    if not raw.ended:
        message.notes.append(Note("end-missing", message.segments[-1].name))
    return _read(message, digest, settings)


def _sender(raw: RawMessage) -> str:
    """Return the source of an unreadable message, so that its refusal is counted for its sender; empty if unknown."""
    header = raw.lines[0].decode("latin-1")
    found = parse(header) if header.startswith("MSH") else None
    return _source(found.header) if found is not None else ""


def _source(header: Segment) -> str:
    return source_of(header.get(4) or header.get(4, 2), header.get(3) or header.get(3, 2))


def _read(message: Message, digest: bytes, settings: IntakeSettings) -> Reading:
    header = message.header
    notes = message.notes
    control = (header.field(3), header.field(4), header.field(10).strip())
    first_id = message_id(*control, digest)
    facility = facility_of(message, settings, notes)
    source = _source(header)
    if not control[2]:
        notes.append(Note("control-id-missing", "MSH", "MSH-10"))
    code, trigger = _type_of(message, notes)

    def answer(items: tuple[Item, ...], arrival: Millis | None) -> Reading:
        return Reading(items, tuple(notes), arrival, control if control[2] else None, digest)

    zone = _zone(facility or "", header.get(7), settings)
    context = MessageContext(message, settings, facility or "", zone, source, first_id, code, trigger, Millis(0), Millis(0), notes)
    sent = context.moment(header, 7)
    arrival = sent.at if sent is not None else None
    if not code:
        return answer((Refused("message-type-missing", "MSH", "MSH-9", source, first_id),), arrival)
    plan = _PLANS.get(code)
    if plan is None:
        reason = "acknowledgement" if code in ("ACK", "MCF") else "message-type-not-mapped"
        return answer((Ignored(reason, source, first_id, _shown(code, trigger)),), arrival)
    if not trigger:
        return answer(
            (
                Refused(
                    "message-type-missing",
                    "MSH",
                    "MSH-9",
                    source,
                    first_id,
                    "there is no trigger event in MSH-9.2 or EVN-1",
                    _shown(code, ""),
                ),
            ),
            arrival,
        )
    why = plan.ignored(trigger)
    if why is not None:
        return answer((Ignored(why, source, first_id, _shown(code, trigger)),), arrival)
    if facility is None:
        return answer((Refused("facility-missing", "MSH", "MSH-4", source, first_id, trigger=trigger),), arrival)
    events = message.every("EVN")
    if len(events) > 1:  # A message has one EVN. With two, the MSH between two messages is missing.
        return answer((Refused("run-together", "EVN", "", source, first_id, trigger=trigger),), arrival)
    event = events[0] if events else None
    visit = message.first("PV1")
    happened = first_time(
        (
            context.moment(event, 6),
            context.moment(visit, 44) if code == "ADT" and trigger in tables.ADMIT else None,
            context.moment(visit, 45) if code == "ADT" and trigger == "A03" else None,
            context.moment(event, 2),
            sent,
        )
    )
    if happened is None:
        return answer((Refused("time-missing", "MSH", "MSH-7", source, first_id, trigger=trigger),), arrival)
    if not happened.is_exact:
        context.note("time-without-hours")
    if arrival is None:
        context.note("arrival-missing", "MSH", "MSH-7")
        arrival = happened.at
    context.time, context.arrival = happened.at, arrival
    if header.get(11).upper() in ("T", "D"):
        context.note("not-production", "MSH", "MSH-11")
    return answer(tuple(_numbered(plan.read(context), context)), arrival)


def _numbered(items: list[Item], context: MessageContext) -> list[Item]:
    """Add the source and the id to each item. From the second item on, the id is derived from the message's id."""
    numbered: list[Item] = []
    for number, item in enumerate(items, start=1):
        own = context.id if number == 1 else item_id(context.id, number)
        if isinstance(item, Refused):
            numbered.append(Refused(item.reason, item.segment, item.field, context.source, own, item.detail, context.trigger))
        elif isinstance(item, Ignored):
            numbered.append(Ignored(item.reason, context.source, own, f"{context.code}^{context.trigger}"))
        else:
            numbered.append(msgspec.structs.replace(item, id=own) if number > 1 else item)
    return numbered


def _type_of(message: Message, notes: list[Note]) -> tuple[str, str]:
    """Return message code and trigger event from MSH-9. If MSH-9 has no trigger (before version 2.3.1), use EVN-1."""
    header = message.header
    code, trigger = header.get(9).upper(), header.get(9, 2).upper()
    event = message.first("EVN")
    event_trigger = event.get(1).upper() if event is not None else ""
    if "_" in code and not trigger:  # ADT_A01 is a message structure, which A01, A04, A08 and A13 share.
        code = code.split("_", 1)[0]
    if code and not trigger and event_trigger:
        notes.append(Note("trigger-from-event", "MSH", "MSH-9"))
        return code, event_trigger
    if event_trigger and event_trigger != trigger:
        notes.append(Note("trigger-contradicts-event", "EVN", "EVN-1"))
    return code, trigger


def _shown(code: str, trigger: str) -> str:
    """Return the message type for display, or an empty string if it has another form, because it may be patient data."""
    text = f"{code}^{trigger}" if trigger else code
    return text if _TYPE.match(text) else ""


def _zone(facility: str, sent: str, settings: IntakeSettings) -> tzinfo:
    """Return the time zone for times without an offset.

    It is the zone of the facility. If that is unknown, it is the offset of MSH-7, which the standard defines as the default
    of the message. If MSH-7 has no offset, it is the `default_zone` of the settings.
    """
    name = settings.zone_of(facility) if facility else None
    if name:
        return zone_named(name)
    return offset_of(sent) or (UTC if settings.default_zone == "UTC" else zone_named(settings.default_zone))


# ---- one person's facts


def _read_one_person(context: MessageContext, facts: Callable[[MessageContext, Segment], adt.Facts], *, groups: bool = False) -> list[Item]:
    """Return the items of a message about one person. With *groups*, several persons are allowed (a group appointment)."""
    persons = context.message.every("PID")
    if not persons:
        return [Refused("segment-missing", "PID", "", "", "")]
    if len(persons) > 1 and not groups:
        # Nothing shows to whom the other segments belong. A wrong guess could send one person's data to another
        # person's care team.
        keys = {found if isinstance(found, Refused) else found[0] for found in (_person(context, person) for person in persons)}
        if len(keys) > 1:
            return [Refused("several-patients", "PID", "PID-3", "", "")]
        if len(context.message.every("PV1")) > 1:
            return [Refused("run-together", "PID", "", "", "")]
        context.note("segment-repeated", "PID")
        persons = persons[:1]
    items: list[Item] = []
    seen: set[str] = set()
    for person in persons:
        found = _person(context, person)
        if isinstance(found, Refused):
            items.append(found)
            continue
        key, _ = found
        if key in seen:
            context.note("segment-repeated", "PID")
            continue
        seen.add(key)
        result = facts(context, person)
        if isinstance(result, Refused | Ignored):
            items.append(result)
        else:
            items.extend(context.event(key, fact) for fact in result)
    return items


def _person(context: MessageContext, segment: Segment) -> tuple[PersonKey, Identifier] | Refused:
    return person_of(segment, context.facility, context.settings, context.notes)


# ---- the mapping of each message type


def _read_adt(context: MessageContext) -> list[Item]:
    return adt.merges(context) if context.trigger in tables.MERGE else _read_one_person(context, adt.facts)


class _Plan:
    """The mapping of one message code: the reason for each ignored trigger, and the reader for the other triggers."""

    __slots__ = ("ignored", "read")

    def __init__(self, read: Callable[[MessageContext], list[Item]], ignored: Callable[[str], str | None]) -> None:
        self.read = read
        self.ignored = ignored


def _ignored_referral(trigger: str) -> str | None:
    if trigger in ("I12", "I13", "I14"):
        return None
    return "status-query" if trigger == "I15" else "trigger-not-mapped"


def _ignored_response(trigger: str) -> str | None:
    return "acknowledgement" if trigger == "I14" else _ignored_referral(trigger)


_PLANS: Mapping[str, _Plan] = {
    "ADT": _Plan(_read_adt, adt.ignored),
    "REF": _Plan(lambda context: _read_one_person(context, referral_facts), _ignored_referral),
    "RRI": _Plan(lambda context: _read_one_person(context, response_facts), _ignored_response),
    "SIU": _Plan(
        lambda context: _read_one_person(context, appointment_facts, groups=True),
        lambda trigger: None if trigger in tables.APPOINTMENT else "trigger-not-mapped",
    ),
}
