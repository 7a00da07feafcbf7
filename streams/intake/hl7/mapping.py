"""From one HL7 v2 message to events: `read_message` and the ADT triggers.

Owns which trigger makes which event and which fields it needs. MSH-9 wins over EVN-1 (measured on real samples, where
EVN-1 was left behind by whoever copied the message). A rule of care must not live here: what an event means is not
the door's affair. Every message answers with at least one item; one that can be taken in part is taken in part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo

import msgspec

from streams import events as e
from streams.events import Event, Millis
from streams.intake.hl7 import clinical, tables
from streams.intake.hl7.clinical import Letter
from streams.intake.hl7.framing import RawMessage, decode
from streams.intake.hl7.identity import facility_of, further_id, merged_person_of, message_id, person_of, source_of
from streams.intake.hl7.lexer import Message, Segment, parse
from streams.intake.hl7.referrals import appointment_facts, referral_facts, response_facts
from streams.intake.hl7.times import first_time, offset_of, zone_named
from streams.intake.outcome import Ignored, Item, Note, Reading, Refused
from streams.intake.settings import IntakeSettings

Facts = list[msgspec.Struct] | Refused | Ignored
"""What a trigger says about one person: facts in order, or why there are none."""


def read_message(raw: RawMessage, settings: IntakeSettings) -> Reading:
    """Read one framed message."""
    if raw.problem is not None:
        return Reading((raw.problem,))
    text = decode(raw)
    if isinstance(text, Refused):
        return Reading((text,))
    digest = hashlib.sha256(raw.content).digest()
    message = parse(text)
    if message is None:
        return Reading((Refused("encoding-characters-invalid", "MSH", "MSH-2", "", f"sha256:{digest.hex()[:32]}"),), digest=digest)
    return _read(message, digest, settings)


def _read(message: Message, digest: bytes, settings: IntakeSettings) -> Reading:
    header = message.header
    notes = message.notes
    control = (header.field(3), header.field(4), header.field(10).strip())
    first_id = message_id(*control, digest)
    facility = facility_of(message, settings, notes)
    source = source_of(header.get(4) or header.get(4, 2), header.get(3) or header.get(3, 2))
    if not control[2]:
        notes.append(Note("control-id-missing", "MSH", "MSH-10"))
    code, trigger = _type_of(message, notes)

    def answer(items: tuple[Item, ...], arrival: Millis | None) -> Reading:
        return Reading(items, tuple(notes), arrival, control if control[2] else None, digest)

    zone = _zone(facility or "", header.get(7), settings)
    letter = Letter(message, settings, facility or "", zone, source, first_id, code, trigger, Millis(0), Millis(0), notes)
    sent = letter.moment(header, 7)
    arrival = sent.at if sent is not None else None
    if not code:
        return answer((Refused("message-type-missing", "MSH", "MSH-9", source, first_id),), arrival)
    plan = _PLANS.get(code)
    if plan is None:
        reason = "acknowledgement" if code in ("ACK", "MCF") else "message-type-not-mapped"
        return answer((Ignored(reason, source, first_id, f"{code}^{trigger}".rstrip("^")),), arrival)
    if not trigger:
        return answer((Refused("message-type-missing", "MSH", "MSH-9", source, first_id, "no trigger in MSH-9.2 or EVN-1", code),), arrival)
    why = plan.ignored(trigger)
    if why is not None:
        return answer((Ignored(why, source, first_id, f"{code}^{trigger}"),), arrival)
    if facility is None:
        return answer((Refused("facility-missing", "MSH", "MSH-4", source, first_id, trigger=trigger),), arrival)
    event = message.first("EVN")
    visit = message.first("PV1")
    happened = first_time(
        (
            letter.moment(event, 6),
            letter.moment(visit, 44) if code == "ADT" and trigger in tables.ADMIT else None,
            letter.moment(visit, 45) if code == "ADT" and trigger == "A03" else None,
            letter.moment(event, 2),
            sent,
        )
    )
    if happened is None:
        return answer((Refused("time-missing", "MSH", "MSH-7", source, first_id, trigger=trigger),), arrival)
    if not happened.is_exact:
        letter.note("time-without-hours")
    if arrival is None:
        letter.note("arrival-missing", "MSH", "MSH-7")
        arrival = happened.at
    letter.time, letter.arrival = happened.at, arrival
    if header.get(11).upper() in ("T", "D"):
        letter.note("not-production", "MSH", "MSH-11")
    return answer(tuple(_numbered(plan.read(letter), letter)), arrival)


def _numbered(items: list[Item], letter: Letter) -> list[Item]:
    """Give each item its place in the message: source, and an id of its own from the second on."""
    numbered: list[Item] = []
    for number, item in enumerate(items, start=1):
        own = letter.id if number == 1 else further_id(letter.id, number)
        if isinstance(item, Refused):
            numbered.append(Refused(item.reason, item.segment, item.field, letter.source, own, item.detail, letter.trigger))
        elif isinstance(item, Ignored):
            numbered.append(Ignored(item.reason, letter.source, own, f"{letter.code}^{letter.trigger}"))
        else:
            numbered.append(msgspec.structs.replace(item, id=own) if number > 1 else item)
    return numbered


def _type_of(message: Message, notes: list[Note]) -> tuple[str, str]:
    """Return message code and trigger from MSH-9; EVN-1 only where MSH-9 has no trigger (as before 2.3.1)."""
    header = message.header
    code, trigger = header.get(9).upper(), header.get(9, 2).upper()
    event = message.first("EVN")
    said = event.get(1).upper() if event is not None else ""
    if "_" in code and not trigger:  # ADT_A01 names a structure, which A01, A04, A08 and A13 share
        code = code.split("_", 1)[0]
    if code and not trigger and said:
        notes.append(Note("trigger-from-event", "MSH", "MSH-9"))
        return code, said
    if said and said != trigger:
        notes.append(Note("trigger-contradicts-event", "EVN", "EVN-1"))
    return code, trigger


def _zone(facility: str, sent: str, settings: IntakeSettings) -> tzinfo:
    """Return the zone of times without offset.

    The facility's; where that is not known, the offset of MSH-7 (which by the standard is the message's default), else
    the setting.
    """
    name = settings.zone_of(facility) if facility else None
    if name:
        return zone_named(name)
    return offset_of(sent) or (UTC if settings.default_zone == "UTC" else zone_named(settings.default_zone))


# ---- one person's facts


def _read_one_person(letter: Letter, facts: Callable[[Letter, Segment], Facts], *, groups: bool = False) -> list[Item]:
    """Make events of a message about one person; with *groups*, of one about each of several (a group's appointment)."""
    persons = letter.message.every("PID")
    if not persons:
        return [Refused("segment-missing", "PID", "", "", "")]
    items: list[Item] = []
    seen: set[str] = set()
    for person in persons:
        found = person_of(person, letter.facility, letter.settings, letter.notes)
        if isinstance(found, Refused):
            items.append(found)
            continue
        key, _ = found
        if key in seen:
            letter.note("segment-repeated", "PID")
            continue
        if seen and not groups:
            # Whose are the other segments? A guess could tell one person's team about another.
            return [Refused("several-patients", "PID", "PID-3", "", "")]
        seen.add(key)
        said = facts(letter, person)
        if isinstance(said, Refused | Ignored):
            items.append(said)
        else:
            items.extend(_event(letter, key, fact) for fact in said)
    return items


def _event(letter: Letter, key: e.PersonKey, fact: msgspec.Struct) -> Event:
    return Event(letter.id, letter.source, letter.time, letter.arrival, key, fact)


def _adt_facts(letter: Letter, person: Segment) -> Facts:
    trigger = letter.trigger
    message = letter.message
    visit = message.first("PV1")
    stay = clinical.encounter_of(letter, person)
    death = clinical.death_of(letter, person)
    if trigger in tables.PERSON:
        return _person_facts(letter, person, stay, death)
    if trigger == "A08" and visit is None:
        return _person_facts(letter, person, stay, death)
    if trigger in tables.CANCEL_ADMISSION:
        return _with_death([e.AdmissionCancelled(stay, tables.CANCEL_ADMISSION[trigger])], death)
    if trigger == "A12":
        return _with_death([e.TransferCancelled(stay, "transfer-cancelled")], death)
    if trigger == "A13":
        return _with_death([e.DischargeCancelled(stay, "discharge-cancelled")], death)
    if visit is None and trigger in _NEEDS_VISIT:
        return Refused("segment-missing", "PV1", "", "", "")
    if len(message.every("PV1")) > 1:
        letter.note("segment-repeated", "PV1")
    kind = clinical.class_of(letter)
    members = clinical.members_of(letter)
    if trigger in tables.ADMIT:
        if kind is None:
            return Refused("field-missing", "PV1", "PV1-2", "", "", "patient class, table 0004")
        return _with_death([_admission(letter, visit, stay, kind, members)], death)
    if trigger in tables.PLAN:
        start = letter.instant(message.first("PV2"), 8)
        return _with_death([e.EncounterPlanned(stay, kind or "PRENC", start, members)], death)
    if trigger == "A02":
        return _with_death([e.PatientTransferred(stay, _location(letter, visit), members)], death)
    if trigger in ("A06", "A07"):
        return _with_death([e.EncounterClassChanged(stay, _changed_class(letter, kind), members)], death)
    if trigger == "A03":
        return [_discharge(letter, stay, kind, death, members)]
    leave = tables.LEAVE.get(trigger)
    disposition = clinical.disposition_of(letter)
    return [
        e.EncounterUpdated(
            stay,
            kind,
            clinical.attending_of(letter),
            clinical.diagnoses_of(letter),
            None if disposition == "unknown" else disposition,
            death.deceased,
            death.at,
            leave,
            members,
        )
    ]


_NEEDS_VISIT = frozenset({"A01", "A02", "A03", "A04"})
"""Triggers that without PV1 say nothing: a class, a place or the way home is in it."""


def _admission(letter: Letter, visit: Segment | None, stay: e.Encounter, kind: str, members: tuple[e.Member, ...]) -> e.PatientAdmitted:
    admission_type = visit.get(4).upper() if visit is not None else ""
    origin = visit.get(14).upper() if visit is not None else ""
    via_emergency: bool | None = None
    if admission_type in tables.EMERGENCY_TYPES or origin in tables.EMERGENCY_SOURCES:
        via_emergency = True
    elif admission_type in tables.OTHER_TYPES or origin in tables.OTHER_SOURCES:
        via_emergency = False
    more = letter.message.first("PV2")
    return e.PatientAdmitted(
        encounter=stay,
        class_=kind,
        via_emergency=via_emergency,
        attending=clinical.attending_of(letter),
        diagnoses=clinical.diagnoses_of(letter),
        reason=(more.get(3, 2) or more.get(3) or None) if more is not None else None,
        unit=(visit.get(3) or None) if visit is not None else None,
        members=members,
        registration=letter.trigger == "A04",
        planned=tables.PLANNED_TYPES.get(admission_type),
    )


def _discharge(
    letter: Letter, stay: e.Encounter, kind: str | None, death: clinical.Death, members: tuple[e.Member, ...]
) -> e.PatientDischarged:
    disposition = clinical.disposition_of(letter)
    if disposition is None:
        letter.note("disposition-unknown", "PV1", "PV1-36")
        disposition = "unknown"
    return e.PatientDischarged(
        encounter=stay,
        disposition=disposition,
        diagnoses=clinical.diagnoses_of(letter),
        procedures=clinical.procedures_of(letter),
        class_=kind,
        deceased=True if disposition == "exp" else death.deceased,
        members=members,
    )


def _location(letter: Letter, visit: Segment | None) -> e.Location:
    """Return where an A02 moves the person to.

    Many senders name a building or their own long name in PV1-3.4. It counts as another facility only where PV1-6, the
    prior location, names a different one, or the settings know it: else every move of beds would look like one between
    hospitals.
    """
    if visit is None:
        return e.Location(letter.facility)
    site, before = visit.get(3, 4), visit.get(6, 4)
    facilities = letter.settings.facilities
    known = facilities.get(site)
    facility = known or (site if site and before and site != before else letter.facility)
    return e.Location(facility, visit.get(3), visit.get(10))


def _changed_class(letter: Letter, kind: str | None) -> str:
    """Return the class after an A06 (to inpatient) or A07 (to outpatient); PV1-2 where it agrees with the trigger."""
    to_inpatient = letter.trigger == "A06"
    if kind is not None and (kind in tables.INPATIENT) == to_inpatient:
        return kind
    if kind is not None:
        letter.note("class-contradicts-trigger", "PV1", "PV1-2")
    return "IMP" if to_inpatient else "AMB"


def _person_facts(letter: Letter, person: Segment, stay: e.Encounter, death: clinical.Death) -> Facts:
    """A28, A29, A31, and an A08 without a stay: what changed about the person, and the stay where A31 names one."""
    facts: list[msgspec.Struct] = []
    birth = letter.moment(person, 7)
    told = letter.trigger != "A29"
    if not told:
        letter.note("person-removal-not-applied", "EVN", "EVN-1")
    update = e.PersonUpdated(
        deceased=death.deceased,
        deceased_at=death.at,
        language=(person.get(15) or None) if told else None,
        address_region=(person.get(11, 4) or None) if told else None,
        birth_date=_date(person.get(7)) if told and birth is not None else None,
        members=clinical.members_of(letter, of_stay=False) if told else (),
    )
    if update != e.PersonUpdated():
        facts.append(update)
    visit = letter.message.first("PV1")
    if letter.trigger == "A31" and visit is not None and (visit.get(19) or visit.get(50)):
        members = clinical.members_of(letter)
        facts.append(
            e.EncounterUpdated(
                stay,
                clinical.class_of(letter),
                clinical.attending_of(letter),
                clinical.diagnoses_of(letter),
                None,
                death.deceased,
                death.at,
                None,
                members,
            )
        )
    return facts or Ignored("nothing-changed", "", "", "")


def _date(text: str) -> str | None:
    """Write the date in an HL7 time as ISO 8601, as finely as it is given."""
    digits = "".join(c for c in text[:10] if c.isdigit())[:8]
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part) or None


def _with_death(facts: list[msgspec.Struct], death: clinical.Death) -> list[msgspec.Struct]:
    """Add what PID says of a death to facts that can't carry it: clocks of the dead must end whatever brought the news."""
    if death.deceased:
        facts.append(e.PersonUpdated(deceased=True, deceased_at=death.at))
    return facts


# ---- merges


def _read_merge(letter: Letter) -> list[Item]:
    """A34, A40: one event for each pair of PID and the MRG that follows it."""
    items: list[Item] = []
    person: Segment | None = None
    merged = False
    for segment in letter.message.segments:
        if segment.name == "PID":
            if person is not None and not merged:
                items.append(Refused("segment-missing", "MRG", "", "", ""))
            person, merged = segment, False
        elif segment.name == "MRG":
            merged = True
            items.append(Refused("segment-missing", "PID", "", "", "") if person is None else _merge(letter, person, segment))
    if person is None and not items:
        items.append(Refused("segment-missing", "PID", "", "", ""))
    elif person is not None and not merged:
        items.append(Refused("segment-missing", "MRG", "", "", ""))
    return items


def _merge(letter: Letter, person: Segment, ended: Segment) -> Item:
    survivor = person_of(person, letter.facility, letter.settings, letter.notes)
    if isinstance(survivor, Refused):
        return survivor
    key, identifier = survivor
    loser = merged_person_of(ended, identifier, letter.facility, letter.settings, letter.notes)
    if isinstance(loser, Refused):
        return loser
    if loser == key:
        return Ignored("merged-with-itself", "", "", "")
    return _event(letter, loser, e.PersonMerged(e.PersonRef(key)))


# ---- which message goes where


class _Plan:
    """How messages of one code are read: which triggers are ignored and why, and how the others are read."""

    __slots__ = ("ignored", "read")

    def __init__(self, read: Callable[[Letter], list[Item]], ignored: Callable[[str], str | None]) -> None:
        self.read = read
        self.ignored = ignored


_ADT_READ = tables.ADMIT | tables.PLAN | tables.PERSON | tables.MERGE | tables.CANCEL_ADMISSION.keys() | tables.LEAVE.keys()
_ADT_READ |= frozenset({"A02", "A03", "A06", "A07", "A08", "A12", "A13"})


def _read_adt(letter: Letter) -> list[Item]:
    if letter.trigger in tables.MERGE:
        return _read_merge(letter)
    return _read_one_person(letter, _adt_facts)


def _ignored_adt(trigger: str) -> str | None:
    return None if trigger in _ADT_READ else tables.IGNORED_ADT.get(trigger, "trigger-unknown")


def _ignored_referral(trigger: str) -> str | None:
    if trigger in ("I12", "I13", "I14"):
        return None
    return "status-query" if trigger == "I15" else "trigger-not-mapped"


def _ignored_response(trigger: str) -> str | None:
    return _ignored_referral(trigger) if trigger != "I14" else "acknowledgement"


_PLANS: Mapping[str, _Plan] = {
    "ADT": _Plan(_read_adt, _ignored_adt),
    "REF": _Plan(lambda letter: _read_one_person(letter, referral_facts), _ignored_referral),
    "RRI": _Plan(lambda letter: _read_one_person(letter, response_facts), _ignored_response),
    "SIU": _Plan(
        lambda letter: _read_one_person(letter, appointment_facts, groups=True),
        lambda trigger: None if trigger in tables.APPOINTMENT else "trigger-not-mapped",
    ),
}
