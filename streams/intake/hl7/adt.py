"""Mapping of ADT messages: admissions, transfers, discharges, and updates and merges of persons.

Owns which event each ADT trigger event produces, and which fields it requires. Knows no care rules.
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
"""The facts of a message about one person, in order, or the reason why there are none."""

_READ = tables.ADMIT | tables.PLAN | tables.PERSON | tables.MERGE | tables.CANCEL_ADMISSION.keys() | tables.LEAVE.keys()
_READ |= frozenset({"A02", "A03", "A06", "A07", "A08", "A12", "A13"})


def ignored(trigger: str) -> str | None:
    """Return the reason (a key of IGNORED) why an ADT trigger produces no event, or None if it produces one."""
    return None if trigger in _READ else tables.IGNORED_ADT.get(trigger, "trigger-unknown")


def facts(context: MessageContext, person: Segment) -> Facts:
    """Return the facts of an ADT message about *person* (a PID segment). Merges are read by `merges`."""
    trigger = context.trigger
    message = context.message
    visit = message.first("PV1")
    encounter = clinical.encounter_of(context, person)
    death = clinical.death_of(context, person)
    if trigger in tables.PERSON:
        return _person_facts(context, person, encounter, death)
    if trigger == "A08" and visit is None:
        return _person_facts(context, person, encounter, death)
    if trigger in tables.CANCEL_ADMISSION:
        return _with_death([e.AdmissionCancelled(encounter, tables.CANCEL_ADMISSION[trigger])], death)
    if trigger == "A12":
        return _with_death([e.TransferCancelled(encounter, "transfer-cancelled")], death)
    if trigger == "A13":
        return _with_death([e.DischargeCancelled(encounter, "discharge-cancelled")], death)
    if visit is None and trigger in _NEEDS_VISIT:
        return Refused("segment-missing", "PV1", "", "", "")
    if len(message.every("PV1")) > 1:
        context.note("segment-repeated", "PV1")
    kind = clinical.class_of(context)
    members = clinical.members_of(context)
    if trigger in tables.ADMIT:
        if kind is None:
            return Refused("field-missing", "PV1", "PV1-2", "", "", "patient class, HL7 table 0004")
        return _with_death([_admission(context, visit, encounter, kind, members)], death)
    if trigger in tables.PLAN:
        start = context.instant(message.first("PV2"), 8)
        return _with_death([e.EncounterPlanned(encounter, kind or "PRENC", start, members)], death)
    if trigger == "A02":
        return _with_death([e.PatientTransferred(encounter, _location(context, visit), members)], death)
    if trigger in ("A06", "A07"):
        return _with_death([e.EncounterClassChanged(encounter, _changed_class(context, kind), members)], death)
    if trigger == "A03":
        return [_discharge(context, encounter, kind, death, members)]
    leave = tables.LEAVE.get(trigger)
    disposition = clinical.disposition_of(context)
    return [
        e.EncounterUpdated(
            encounter,
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
"""Triggers that require PV1, because it contains the class, the location or the disposition."""


def _admission(
    context: MessageContext, visit: Segment | None, encounter: e.EncounterRef, kind: str, members: tuple[e.Member, ...]
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
        encounter=encounter,
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
    context: MessageContext, encounter: e.EncounterRef, kind: str | None, death: clinical.Death, members: tuple[e.Member, ...]
) -> e.PatientDischarged:
    disposition = clinical.disposition_of(context)
    if disposition is None:
        context.note("disposition-unknown", "PV1", "PV1-36")
        disposition = "unknown"
    return e.PatientDischarged(
        encounter=encounter,
        disposition=disposition,
        diagnoses=clinical.diagnoses_of(context),
        procedures=clinical.procedures_of(context),
        class_=kind,
        deceased=True if disposition == "exp" else death.deceased,
        members=members,
    )


def _location(context: MessageContext, visit: Segment | None) -> e.Location:
    """Return the new location of the person in an A02 (transfer).

    Many senders write a building or their own long name in PV1-3.4. It is treated as another facility only if PV1-6, the
    prior location, names a different one or if the settings contain it. Otherwise, every bed transfer would look like a
    transfer to another hospital.
    """
    if visit is None:
        return e.Location(context.facility)
    site, before = visit.get(3, 4), visit.get(6, 4)
    facilities = context.settings.facilities
    known = facilities.get(site)
    facility = known or (site if site and before and site != before else context.facility)
    # HL7 has no field for the level of care, so the settings map units to levels.
    levels = context.settings.levels
    unit = visit.get(3)
    return e.Location(facility, unit, levels.get(unit) or levels.get(visit.get(10)) or "")


def _changed_class(context: MessageContext, kind: str | None) -> str:
    """Return the class after an A06 (to inpatient) or A07 (to outpatient): PV1-2, unless it contradicts the trigger."""
    to_inpatient = context.trigger == "A06"
    if kind is not None and (kind in tables.INPATIENT) == to_inpatient:
        return kind
    if kind is not None:
        context.note("class-contradicts-trigger", "PV1", "PV1-2")
    return "IMP" if to_inpatient else "AMB"


def _person_facts(context: MessageContext, person: Segment, encounter: e.EncounterRef, death: clinical.Death) -> Facts:
    """Read A28, A29, A31, and A08 without PV1: changes of the person, and of the encounter if an A31 names one."""
    found: list[msgspec.Struct] = []
    birth = context.moment(person, 7)
    is_update = context.trigger != "A29"
    if not is_update:
        context.note("person-removal-not-applied", "EVN", "EVN-1")
    update = e.PersonUpdated(
        deceased=death.deceased,
        deceased_at=death.at,
        language=(person.get(15) or None) if is_update else None,
        address_region=(person.get(11, 4) or None) if is_update else None,
        birth_date=_date(person.get(7)) if is_update and birth is not None else None,
        members=clinical.members_of(context, of_encounter=False) if is_update else (),
    )
    if update != e.PersonUpdated():
        found.append(update)
    visit = context.message.first("PV1")
    if context.trigger == "A31" and visit is not None and (visit.get(19) or visit.get(50)):
        members = clinical.members_of(context)
        found.append(
            e.EncounterUpdated(
                encounter,
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
    return found or Ignored("nothing-changed", "", "", "")


def _date(text: str) -> str | None:
    """Return the date of an HL7 time as ISO 8601, with the precision of *text* (year, month or day)."""
    digits = "".join(c for c in text[:10] if c.isdigit())[:8]
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part) or None


def _with_death(found: list[msgspec.Struct], death: clinical.Death) -> list[msgspec.Struct]:
    """Add a PersonUpdated if PID reports a death and the facts in *found* have no field for it.

    Deadlines of a deceased person must end, even if another kind of message reports the death.
    """
    if death.deceased:
        found.append(e.PersonUpdated(deceased=True, deceased_at=death.at))
    return found


# ---- merges


def merges(context: MessageContext) -> list[Item]:
    """Read a merge message: one event for each PID and the MRG that follows it."""
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
