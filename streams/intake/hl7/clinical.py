"""The parts that many messages share: practitioners, care team members, diagnoses, the encounter and death.

Owns the reading of these parts from HL7 segments. Does not know which message has which part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

import msgspec

from streams.contract.events import Diagnosis, EncounterRef, Event, Member, Millis, Party, PersonKey, Practitioner
from streams.intake.hl7 import tables
from streams.intake.hl7.lexer import Message, Segment
from streams.intake.hl7.times import Moment, parse_time
from streams.intake.reading import Note
from streams.intake.settings import IntakeSettings

_AFTER_VISIT_GROUP = frozenset({"DG1", "PR1", "GT1", "IN1", "OBX", "AL1"})
"""A ROL after one of these belongs to a diagnosis, a procedure or an insurance, not to the care team."""

_FINAL_FIRST = {"F": 0, "W": 1, "A": 2}
"""The order of diagnosis types (DG1-6, table 0052): final, working, admitting."""


@dataclass(slots=True)
class MessageContext:
    """The state of reading one message: its content, the sender's facility and zone, its id, times and notes."""

    message: Message
    settings: IntakeSettings
    facility: str
    zone: tzinfo
    source: str
    id: str
    code: str
    trigger: str
    time: Millis
    arrival: Millis
    notes: list[Note] = field(default_factory=list)

    def note(self, reason: str, segment: str = "", field_name: str = "") -> None:
        """Add a note; *reason* is a key of NOTES."""
        self.notes.append(Note(reason, segment, field_name))

    def event(self, person: PersonKey, fact: msgspec.Struct) -> Event:
        """Return the event for a fact about *person*, with the envelope of this message."""
        return Event(self.id, self.source, self.time, self.arrival, person, fact)

    def moment(self, segment: Segment | None, number: int, component: int = 1) -> Moment | None:
        """Read the time in a component of a field. If it is not a valid time, add a note and return None."""
        text = segment.get(number, component) if segment is not None else ""
        return self.moment_of(text, segment.name if segment is not None else "", number)

    def moment_of(self, text: str, segment: str, number: int) -> Moment | None:
        """Read the time *text* from field *number* of *segment*. If it is not a valid time, add a note and return None."""
        if not text:
            return None
        moment = parse_time(text, self.zone)
        if moment is None:
            self.note("time-unreadable", segment, f"{segment}-{number}")
        return moment

    def instant(self, segment: Segment | None, number: int, component: int = 1) -> Millis | None:
        """Read a time and return its first instant."""
        moment = self.moment(segment, number, component)
        return None if moment is None else moment.at


@dataclass(frozen=True, slots=True)
class Death:
    """The content of PID-30 and PID-29; None means that the message does not say."""

    deceased: bool | None = None
    at: Millis | None = None


def encounter_of(context: MessageContext, person: Segment | None) -> EncounterRef:
    """Return the encounter, with the visit number from PV1-19, else PV1-50, else PID-18, else empty."""
    visit = context.message.first("PV1")
    number = ""
    if visit is not None:
        number = visit.get(19) or visit.get(50)
    if not number and person is not None:
        number = person.get(18)
    return EncounterRef(context.facility, number)


def class_of(context: MessageContext) -> str | None:
    """Return the encounter class from PV1-2 as the code that events use, or None if PV1-2 is empty."""
    visit = context.message.first("PV1")
    code = visit.get(2) if visit is not None else ""
    if not code:
        return None
    bare = code.upper()
    known = context.settings.classes.get(bare) or tables.CLASS.get(bare)
    if known is None:
        context.note("class-unknown", "PV1", "PV1-2")
        return code
    return known


def disposition_of(context: MessageContext) -> str | None:
    """Return the discharge disposition from PV1-36: None if it is empty, `unknown` if it is in no table."""
    visit = context.message.first("PV1")
    code = (visit.get(36) or visit.get(36, 2)) if visit is not None else ""
    if not code:
        return None
    bare = code.upper()
    own = context.settings.dispositions
    found = own.get(bare) or tables.DISPOSITION.get(bare.rjust(2, "0"))
    if found is None and visit is not None:
        text = visit.get(36, 2).upper()
        found = tables.DISPOSITION.get(text) if text else None
    if found is None:
        context.note("disposition-unknown", "PV1", "PV1-36")
        return "unknown"
    return found


def death_of(context: MessageContext, person: Segment | None) -> Death:
    """Read PID-30 and PID-29. If PID-30 says "alive" and PID-29 has a time of death, add a note and use neither."""
    if person is None:
        return Death()
    indicator = person.get(30).upper()
    at = context.instant(person, 29)
    if indicator in tables.YES:
        return Death(deceased=True, at=at)
    if indicator in tables.NO:
        if at is not None:
            context.note("death-contradicts", "PID", "PID-30")
            return Death()
        return Death(deceased=False)
    return Death(deceased=True, at=at) if at is not None else Death()


def practitioners_of(context: MessageContext, segment: Segment | None, number: int) -> list[Practitioner]:
    """Read an XCN field: the id from XCN.1, the name from XCN.2 to 6.

    A practitioner with a name but no id cannot be notified and is left out, with a note.
    """
    if segment is None or not segment.field(number):
        return []
    found = []
    for repetition in segment.repetitions(number):
        identifier = segment.part(repetition)
        if identifier:
            found.append(Practitioner(identifier, _name(segment, repetition, 2)))
        elif segment.part(repetition, 2):
            context.note("practitioner-without-id", segment.name, f"{segment.name}-{number}")
    return found


def members_of(context: MessageContext, *, of_encounter: bool = True) -> tuple[Member, ...]:
    """Return provisional members of the care team, from PD1-4, ROL and PRT.

    With *of_encounter*, include PV1-7, 8, 9 and 17 and the ROL and PRT segments after PV1.
    """
    message = context.message
    found: dict[tuple[str, str], Member] = {}

    def add(role: str, practitioner: Practitioner, begin: Millis | None = None, end: Millis | None = None) -> None:
        found.setdefault((role, practitioner.id), Member(role, Party(role, practitioner), begin, end))

    for one in practitioners_of(context, message.first("PD1"), 4):
        add("pcp", one)
    visit = message.first("PV1") if of_encounter else None
    for number, role in tables.PV1_ROLES:
        for one in practitioners_of(context, visit, number):
            add(role, one)
    for segment in message.segments:
        if segment.name in _AFTER_VISIT_GROUP or (segment.name == "PV1" and not of_encounter):
            break
        if segment.name == "ROL":
            action, code, person, begin, end = 2, 3, 4, 5, 6
        elif segment.name == "PRT":
            action, code, person, begin, end = 2, 4, 5, 11, 12
        else:
            continue
        known = tables.ROLE.get(segment.get(code).upper())
        if known is None or segment.get(action).upper() in tables.ROLE_ENDED:
            continue
        for one in practitioners_of(context, segment, person):
            add(known, one, context.instant(segment, begin), context.instant(segment, end))
    return tuple(found.values())


def attending_of(context: MessageContext) -> Practitioner | None:
    """Return the first attending practitioner (PV1-7) that has an id."""
    visit = context.message.first("PV1")
    for repetition in visit.repetitions(7) if visit is not None else ():
        identifier = visit.part(repetition) if visit is not None else ""
        if visit is not None and identifier:
            return Practitioner(identifier, _name(visit, repetition, 2))
    return None


def diagnoses_of(context: MessageContext) -> tuple[Diagnosis, ...]:
    """Read the diagnoses: code and alternate code from DG1-3, rank from DG1-15; final diagnoses come before admitting ones.

    If no DG1 has a rank, the order of the segments is the rank. The standard (chapter 6.5.2) numbers the segments in
    sequence, and senders before version 2.3 could mark the principal diagnosis in no other way. 0 means "not ranked"
    (DG1-15).
    """
    rows = [segment for segment in context.message.segments if segment.name == "DG1" and segment.get(21).upper() != "D"]
    if not rows:
        return ()
    if len(rows) > 1:
        rows.sort(key=lambda row: _FINAL_FIRST.get(row.get(6).upper(), 3))
    ranked = any(row.get(15) for row in rows)
    found: dict[tuple[str, str], Diagnosis] = {}
    for position, row in enumerate(rows, start=1):
        rank = row.get(15)
        number = (int(rank) if rank.isascii() and rank.isdigit() and len(rank) < 4 else 0) if ranked else position
        coded = False
        for code_at in (1, 4):
            code = row.get(3, code_at)
            if not code or (code_at == 4 and not row.get(3, 6)):
                continue
            coded = True
            named = row.get(3, code_at + 2) or (row.get(2) if code_at == 1 else "")
            system = tables.CODE_SYSTEM.get(named.upper()) or named.lower() or "unknown"
            found.setdefault((system, code), Diagnosis(system, code, number))
        if not coded:
            context.note("diagnosis-without-code", "DG1", "DG1-3")
    return tuple(found.values())


def procedures_of(context: MessageContext) -> tuple[str, ...]:
    """Return the distinct procedure codes (PR1-3)."""
    return tuple(dict.fromkeys(code for row in context.message.every("PR1") if (code := row.get(3))))


def _name(segment: Segment, repetition: str, family_at: int) -> str:
    """Return a name for display: prefix, given, family. *family_at* is the number of the family name's component."""
    family, given, prefix = (segment.part(repetition, family_at + step) for step in (0, 1, 4))
    return " ".join(part for part in (prefix, given, family) if part)


def person_name(segment: Segment, number: int) -> str:
    """Return the name in an XPN field for display."""
    repetitions = segment.repetitions(number)
    return _name(segment, repetitions[0], 1) if repetitions else ""
