"""ADT: stays that begin, move, change and end, and persons that change and merge.

Owns which ADT trigger makes which event and which fields it needs. A rule of care must not live here: what an event
means is not the door's affair.
"""

from __future__ import annotations

import msgspec

from streams.contract import events as e
from streams.intake.hl7 import clinical, tables
from streams.intake.hl7.clinical import MessageContext
from streams.intake.hl7.identity import merged_person_of, person_of
from streams.intake.hl7.lexer import Segment
from streams.intake.reading import Ignored, Item, Refused

Facts = list[msgspec.Struct] | Refused | Ignored
"""What a trigger says about one person: facts in order, or why there are none."""

_READ = tables.ADMIT | tables.PLAN | tables.PERSON | tables.MERGE | tables.CANCEL_ADMISSION.keys() | tables.LEAVE.keys()
_READ |= frozenset({"A02", "A03", "A06", "A07", "A08", "A12", "A13"})


def ignored(trigger: str) -> str | None:
    """Say why an ADT trigger makes no event; None where it makes one."""
    return None if trigger in _READ else tables.IGNORED_ADT.get(trigger, "trigger-unknown")


def facts(context: MessageContext, person: Segment) -> Facts:
    """Say what an ADT message, no merge, says about its person."""
    trigger = context.trigger
    message = context.message
    visit = message.first("PV1")
    stay = clinical.encounter_of(context, person)
    death = clinical.death_of(context, person)
    if trigger in tables.PERSON:
        return _person_facts(context, person, stay, death)
    if trigger == "A08" and visit is None:
        return _person_facts(context, person, stay, death)
    if trigger in tables.CANCEL_ADMISSION:
        return _with_death([e.AdmissionCancelled(stay, tables.CANCEL_ADMISSION[trigger])], death)
    if trigger == "A12":
        return _with_death([e.TransferCancelled(stay, "transfer-cancelled")], death)
    if trigger == "A13":
        return _with_death([e.DischargeCancelled(stay, "discharge-cancelled")], death)
    if visit is None and trigger in _NEEDS_VISIT:
        return Refused("segment-missing", "PV1", "", "", "")
    if len(message.every("PV1")) > 1:
        context.note("segment-repeated", "PV1")
    kind = clinical.class_of(context)
    members = clinical.members_of(context)
    if trigger in tables.ADMIT:
        if kind is None:
            return Refused("field-missing", "PV1", "PV1-2", "", "", "patient class, HL7 table 0004")
        return _with_death([_admission(context, visit, stay, kind, members)], death)
    if trigger in tables.PLAN:
        start = context.instant(message.first("PV2"), 8)
        return _with_death([e.EncounterPlanned(stay, kind or "PRENC", start, members)], death)
    if trigger == "A02":
        return _with_death([e.PatientTransferred(stay, _location(context, visit), members)], death)
    if trigger in ("A06", "A07"):
        return _with_death([e.EncounterClassChanged(stay, _changed_class(context, kind), members)], death)
    if trigger == "A03":
        return [_discharge(context, stay, kind, death, members)]
    leave = tables.LEAVE.get(trigger)
    disposition = clinical.disposition_of(context)
    return [
        e.EncounterUpdated(
            stay,
            kind,
            clinical.attending_of(context),
            clinical.diagnoses_of(context),
            None if disposition == "unknown" else disposition,
            death.deceased,
            death.at,
            leave,
            members,
        )
    ]


_NEEDS_VISIT = frozenset({"A01", "A02", "A03", "A04"})
"""Triggers that without PV1 say nothing: a class, a place or the way home is in it."""


def _admission(
    context: MessageContext, visit: Segment | None, stay: e.EncounterRef, kind: str, members: tuple[e.Member, ...]
) -> e.PatientAdmitted:
    admission_type = visit.get(4).upper() if visit is not None else ""
    origin = visit.get(14).upper() if visit is not None else ""
    via_emergency: bool | None = None
    if admission_type in tables.EMERGENCY_TYPES or origin in tables.EMERGENCY_SOURCES:
        via_emergency = True
    elif admission_type in tables.OTHER_TYPES or origin in tables.OTHER_SOURCES:
        via_emergency = False
    more = context.message.first("PV2")
    return e.PatientAdmitted(
        encounter=stay,
        class_=kind,
        via_emergency=via_emergency,
        attending=clinical.attending_of(context),
        diagnoses=clinical.diagnoses_of(context),
        reason=(more.get(3, 2) or more.get(3) or None) if more is not None else None,
        unit=(visit.get(3) or None) if visit is not None else None,
        members=members,
        registration=context.trigger == "A04",
        planned=tables.PLANNED_TYPES.get(admission_type),
    )


def _discharge(
    context: MessageContext, stay: e.EncounterRef, kind: str | None, death: clinical.Death, members: tuple[e.Member, ...]
) -> e.PatientDischarged:
    disposition = clinical.disposition_of(context)
    if disposition is None:
        context.note("disposition-unknown", "PV1", "PV1-36")
        disposition = "unknown"
    return e.PatientDischarged(
        encounter=stay,
        disposition=disposition,
        diagnoses=clinical.diagnoses_of(context),
        procedures=clinical.procedures_of(context),
        class_=kind,
        deceased=True if disposition == "exp" else death.deceased,
        members=members,
    )


def _location(context: MessageContext, visit: Segment | None) -> e.Location:
    """Return where an A02 moves the person to.

    Many senders name a building or their own long name in PV1-3.4. It counts as another facility only where PV1-6, the
    prior location, names a different one, or the settings know it: else every move of beds would look like one between
    hospitals.
    """
    if visit is None:
        return e.Location(context.facility)
    site, before = visit.get(3, 4), visit.get(6, 4)
    facilities = context.settings.facilities
    known = facilities.get(site)
    facility = known or (site if site and before and site != before else context.facility)
    # HL7 has no field for a level of care: which units are intensive care is the hospital's knowledge.
    levels = context.settings.levels
    unit = visit.get(3)
    return e.Location(facility, unit, levels.get(unit) or levels.get(visit.get(10)) or "")


def _changed_class(context: MessageContext, kind: str | None) -> str:
    """Return the class after an A06 (to inpatient) or A07 (to outpatient); PV1-2 where it agrees with the trigger."""
    to_inpatient = context.trigger == "A06"
    if kind is not None and (kind in tables.INPATIENT) == to_inpatient:
        return kind
    if kind is not None:
        context.note("class-contradicts-trigger", "PV1", "PV1-2")
    return "IMP" if to_inpatient else "AMB"


def _person_facts(context: MessageContext, person: Segment, stay: e.EncounterRef, death: clinical.Death) -> Facts:
    """A28, A29, A31, and an A08 without a stay: what changed about the person, and the stay where A31 names one."""
    said: list[msgspec.Struct] = []
    birth = context.moment(person, 7)
    told = context.trigger != "A29"
    if not told:
        context.note("person-removal-not-applied", "EVN", "EVN-1")
    update = e.PersonUpdated(
        deceased=death.deceased,
        deceased_at=death.at,
        language=(person.get(15) or None) if told else None,
        address_region=(person.get(11, 4) or None) if told else None,
        birth_date=_date(person.get(7)) if told and birth is not None else None,
        members=clinical.members_of(context, of_stay=False) if told else (),
    )
    if update != e.PersonUpdated():
        said.append(update)
    visit = context.message.first("PV1")
    if context.trigger == "A31" and visit is not None and (visit.get(19) or visit.get(50)):
        members = clinical.members_of(context)
        said.append(
            e.EncounterUpdated(
                stay,
                clinical.class_of(context),
                clinical.attending_of(context),
                clinical.diagnoses_of(context),
                None,
                death.deceased,
                death.at,
                None,
                members,
            )
        )
    return said or Ignored("nothing-changed", "", "", "")


def _date(text: str) -> str | None:
    """Write the date in an HL7 time as ISO 8601, as finely as it is given."""
    digits = "".join(c for c in text[:10] if c.isdigit())[:8]
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part) or None


def _with_death(said: list[msgspec.Struct], death: clinical.Death) -> list[msgspec.Struct]:
    """Add what PID says of a death to facts that can't carry it: clocks of the dead must end whatever brought the news."""
    if death.deceased:
        said.append(e.PersonUpdated(deceased=True, deceased_at=death.at))
    return said


# ---- merges


def merges(context: MessageContext) -> list[Item]:
    """Read A34 and A40: one event for each pair of PID and the MRG that follows it."""
    items: list[Item] = []
    person: Segment | None = None
    merged = False
    for segment in context.message.segments:
        if segment.name == "PID":
            if person is not None and not merged:
                items.append(Refused("segment-missing", "MRG", "", "", ""))
            person, merged = segment, False
        elif segment.name == "MRG":
            merged = True
            items.append(Refused("segment-missing", "PID", "", "", "") if person is None else _merge(context, person, segment))
    if person is None and not items:
        items.append(Refused("segment-missing", "PID", "", "", ""))
    elif person is not None and not merged:
        items.append(Refused("segment-missing", "MRG", "", "", ""))
    return items


def _merge(context: MessageContext, person: Segment, ended: Segment) -> Item:
    survivor = person_of(person, context.facility, context.settings, context.notes)
    if isinstance(survivor, Refused):
        return survivor
    key, identifier = survivor
    loser = merged_person_of(ended, identifier, context.facility, context.settings, context.notes)
    if isinstance(loser, Refused):
        return loser
    if loser == key:
        return Ignored("merged-with-itself", "", "", "")
    return context.event(loser, e.PersonMerged(e.PersonRef(key)))
