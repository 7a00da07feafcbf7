"""Facts about the stay that an event or a handoff is about: its class, setting, place, length and end."""

from __future__ import annotations

from typing import Final

from agents.coordination.person.state import Status
from agents.coordination.reference import risk
from agents.coordination.rules.facts.context import Scene, Value, event_says, fact
from streams.contract.events import Millis

SETTING: Final = {
    "EMER": "emergency",
    "OBSENC": "observation",
    **dict.fromkeys(("IMP", "ACUTE", "NONAC", "B"), "inpatient"),
    **dict.fromkeys(("AMB", "SS", "VR", "FLD", "R"), "outpatient"),
    "HH": "home",
    "PRENC": "planned",
}
"""Encounter class (v3 ActCode, and HL7 table 0004's B and R, which have no code there) to the setting of care."""

DISPOSITION_GROUP: Final = {
    **dict.fromkeys(("home", "alt-home", "aadvice"), "community"),
    "other-hcf": "hospital",
    **dict.fromkeys(("snf", "long", "rehab", "psy"), "facility"),
    # FHIR's code `hosp` is displayed "Hospice".
    **dict.fromkeys(("hosp", "hospice"), "hospice"),
    "exp": "died",
}
"""FHIR discharge disposition to where life goes on. What is in no group (`oth`, none) is `unknown`."""


@fact
def of_class(scene: Scene) -> Value:
    """Encounter class (EMER, IMP, OBSENC, AMB ...), `unknown` where nobody said it."""
    return event_says(scene, "class_") or (scene.stay.class_ if scene.stay else "") or "unknown"


@fact
def setting(scene: Scene) -> Value:
    """Setting by class: emergency, observation, inpatient, outpatient, home, planned, unknown."""
    return SETTING.get(str(of_class(scene)), "unknown")


@fact
def setting_of_stay(scene: Scene) -> Value:
    """Setting by the newest word of the stay's class, however late an older one arrives."""
    return SETTING.get(scene.stay.class_, "unknown") if scene.stay else None


@fact
def registration(scene: Scene) -> Value:
    """True for a registration (HL7 A04) in place of an admission."""
    return bool(event_says(scene, "registration"))


@fact
def facility(scene: Scene) -> Value:
    """The facility's id, as messages write it."""
    return scene.stay.facility if scene.stay else None


@fact
def facility_kind(scene: Scene) -> Value:
    """The kind of organisation that runs the facility: hospital, snf, home-health, ..."""
    return scene.world.directory.of_facility(scene.stay.place or scene.stay.facility).kind if scene.stay else None


@fact
def via_emergency(scene: Scene) -> Value:
    """Whether the stay began in an emergency department."""
    return scene.stay.via_emergency if scene.stay else None


@fact
def disposition(scene: Scene) -> Value:
    """FHIR discharge disposition (home, snf, exp ...) by the newest word of it, however late an older one arrives."""
    return (scene.stay.disposition if scene.stay else "") or event_says(scene, "disposition") or "unknown"


@fact
def disposition_group(scene: Scene) -> Value:
    """Where life goes on: community, hospital, facility, hospice, died, unknown."""
    return DISPOSITION_GROUP.get(str(disposition(scene)), "unknown")


@fact
def status_of_stay(scene: Scene) -> Value:
    """planned, in-progress, onleave, finished, cancelled, unknown."""
    return ("unknown", "planned", "in-progress", "onleave", "finished", "cancelled")[scene.stay.status] if scene.stay else None


@fact
def unit(scene: Scene) -> Value:
    """The unit or ward, as messages write it."""
    return (scene.stay.unit or None) if scene.stay else None


@fact
def level(scene: Scene) -> Value:
    """The level of care after a transfer, as messages write it."""
    return (scene.stay.level or None) if scene.stay else None


@fact
def changed(scene: Scene) -> Value:
    """What the event changed materially, as `facts.values` lists it: class, disposition, diagnosis-group, facility, death ..."""
    return scene.changed


@fact
def material_change(scene: Scene) -> Value:
    """Whether the event changed anything material at all."""
    return bool(scene.changed)


@fact
def other_stay(scene: Scene) -> Value:
    """Whether the event is about another stay than the handoff's."""
    return scene.handoff is not None and scene.stay is not None and scene.stay.number != scene.handoff.stay


@fact
def same_stay(scene: Scene) -> Value:
    """Whether the event is about the handoff's own stay."""
    return scene.handoff is not None and scene.stay is not None and scene.stay.number == scene.handoff.stay


@fact
def complexity(scene: Scene) -> Value:
    """Complexity of the decision making that was stated at discharge: low, moderate, high."""
    return scene.stay.complexity or None if scene.stay else None


@fact
def deceased(scene: Scene) -> Value:
    """Whether the person has died."""
    return bool(scene.person.deceased)


@fact
def planned(scene: Scene) -> Value:
    """Whether the admission was planned, where the message says so."""
    said: Value = event_says(scene, "planned")
    return said


@fact
def length_of_stay_days(scene: Scene) -> Value:
    """Days between admission and discharge in the facility's local time: nights, or both days counted, as a setting says."""
    stay = scene.stay
    if stay is None or not stay.admitted or not stay.discharged:
        return None
    return risk.stay_days(Millis(stay.admitted), Millis(stay.discharged), scene.organisation.zone, scene.world.settings.length_of_stay)


@fact
def leave(scene: Scene) -> Value:
    """Whether the person is on leave from the stay."""
    return scene.stay is not None and scene.stay.status == Status.ON_LEAVE


@fact
def at_hospital(scene: Scene) -> Value:
    """Whether the person is in hospital now: emergency, observation or inpatient."""
    return any(
        stay.status in {Status.IN_PROGRESS, Status.ON_LEAVE} and SETTING.get(stay.class_) in {"emergency", "observation", "inpatient"}
        for stay in scene.person.stays
    )
