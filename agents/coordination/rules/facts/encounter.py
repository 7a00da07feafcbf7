"""Facts about the encounter of an event or a handoff: its class, setting, location, length and end."""

from __future__ import annotations

from typing import Final

from agents.coordination.person.encounter import STATUS_NAMES, Status
from agents.coordination.reference import risk
from agents.coordination.rules.facts.context import FactContext, Value, event_says, fact
from streams.contract.events import Millis

SETTING: Final = {
    "EMER": "emergency",
    "OBSENC": "observation",
    **dict.fromkeys(("IMP", "ACUTE", "NONAC", "B"), "inpatient"),
    **dict.fromkeys(("AMB", "SS", "VR", "FLD", "R"), "outpatient"),
    "HH": "home",
    "PRENC": "planned",
}
"""Encounter class to setting of care. Classes are v3 ActCode, and B and R of HL7 table 0004, which ActCode lacks."""

DISPOSITION_GROUP: Final = {
    **dict.fromkeys(("home", "alt-home", "aadvice"), "community"),
    "other-hcf": "hospital",
    **dict.fromkeys(("snf", "long", "rehab", "psy"), "facility"),
    # FHIR's display of the code `hosp` is "Hospice".
    **dict.fromkeys(("hosp", "hospice"), "hospice"),
    "exp": "died",
}
"""FHIR discharge disposition to where the person goes. Every other disposition (`oth`, or none) is `unknown`."""


@fact
def of_class(context: FactContext) -> Value:
    """Class of the encounter (EMER, IMP, OBSENC, AMB ...); `unknown` if no message names it."""
    return event_says(context, "class_") or (context.encounter.class_ if context.encounter else "") or "unknown"


@fact
def setting(context: FactContext) -> Value:
    """Setting of care, by the class of the encounter."""
    return SETTING.get(str(of_class(context)), "unknown")


@fact
def setting_of_stay(context: FactContext) -> Value:
    """Setting of care by the latest report of the class, even if an older report arrives later."""
    return SETTING.get(context.encounter.class_, "unknown") if context.encounter else None


@fact
def registration(context: FactContext) -> Value:
    """Whether the event is a registration (HL7 A04) and not an admission."""
    return bool(event_says(context, "registration"))


@fact
def facility(context: FactContext) -> Value:
    """Id of the facility, as messages write it."""
    return context.encounter.facility if context.encounter else None


@fact
def facility_kind(context: FactContext) -> Value:
    """Kind of the organisation that runs the facility, by the directory (hospital, snf, home-health ...)."""
    return context.world.directory.of_facility(context.encounter.facility_now).kind if context.encounter else None


@fact
def via_emergency(context: FactContext) -> Value:
    """Whether the encounter began in an emergency department."""
    return context.encounter.via_emergency if context.encounter else None


@fact
def disposition(context: FactContext) -> Value:
    """FHIR discharge disposition (home, snf, exp ...) by its latest report; `unknown` if no message names it."""
    return (context.encounter.disposition if context.encounter else "") or event_says(context, "disposition") or "unknown"


@fact
def disposition_group(context: FactContext) -> Value:
    """Where the person goes after discharge, by the disposition."""
    return DISPOSITION_GROUP.get(str(disposition(context)), "unknown")


@fact
def status_of_stay(context: FactContext) -> Value:
    """Status of the encounter."""
    return STATUS_NAMES[context.encounter.status] if context.encounter else None


@fact
def unit(context: FactContext) -> Value:
    """Unit or ward, as messages write it."""
    location = context.encounter.location if context.encounter else None
    return (location.unit or None) if location else None


@fact
def level(context: FactContext) -> Value:
    """Level of care after a transfer, as messages write it."""
    location = context.encounter.location if context.encounter else None
    return (location.level or None) if location else None


@fact
def changed(context: FactContext) -> Value:
    """What the event changed."""
    return context.changed


@fact
def material_change(context: FactContext) -> Value:
    """Whether the event changed anything that matters to the care team."""
    return bool(context.changed)


@fact
def other_stay(context: FactContext) -> Value:
    """Whether the event is about a different encounter than the handoff's."""
    return context.handoff is not None and context.encounter is not None and context.encounter.number != context.handoff.encounter


@fact
def same_stay(context: FactContext) -> Value:
    """Whether the event is about the handoff's own encounter."""
    return context.handoff is not None and context.encounter is not None and context.encounter.number == context.handoff.encounter


@fact
def complexity(context: FactContext) -> Value:
    """Complexity of medical decision making, as stated at discharge."""
    return context.encounter.complexity or None if context.encounter else None


@fact
def deceased(context: FactContext) -> Value:
    """Whether the person has died."""
    return bool(context.person.deceased)


@fact
def planned(context: FactContext) -> Value:
    """Whether the admission was planned. Not known if the message does not say so."""
    said: Value = event_says(context, "planned")
    return said


@fact
def length_of_stay_days(context: FactContext) -> Value:
    """How long the stay lasted, in days of the facility's local time (CARERELAY_LENGTH_OF_STAY sets how they are counted)."""
    encounter = context.encounter
    if encounter is None or not encounter.admitted or not encounter.discharged:
        return None
    return risk.stay_days(
        Millis(encounter.admitted), Millis(encounter.discharged), context.organisation.zone, context.world.settings.length_of_stay
    )


@fact
def leave(context: FactContext) -> Value:
    """Whether the person is on leave from the encounter."""
    return context.encounter is not None and context.encounter.status == Status.ON_LEAVE


@fact
def at_hospital(context: FactContext) -> Value:
    """Whether the person is in hospital now (emergency, observation or inpatient)."""
    return any(
        encounter.status in {Status.IN_PROGRESS, Status.ON_LEAVE}
        and SETTING.get(encounter.class_) in {"emergency", "observation", "inpatient"}
        for encounter in context.person.encounters
    )
