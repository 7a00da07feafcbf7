"""Emergency visits and inpatient stays: the events of hospitals.

Owns the messages of a stay from admission to discharge, with updates, transfers and cancellations. `aftercare.py` owns the
events after a discharge.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.contract.events import (
    AdmissionCancelled,
    Diagnosis,
    DischargeCancelled,
    EncounterClassChanged,
    EncounterRef,
    EncounterUpdated,
    Location,
    Millis,
    ObservationRecorded,
    PatientAdmitted,
    PatientDischarged,
    PatientTransferred,
    PersonUpdated,
    Practitioner,
    TransferCancelled,
)
from streams.simulate import aftercare
from streams.simulate.chance import HOUR_MS
from streams.simulate.model import Hospital, Term
from streams.simulate.person import NOT_YET, SyntheticPerson

_COMPLEXITIES = ("low", "moderate", "high")
_LOINC_HEMOGLOBIN, _LOINC_SODIUM = "718-7", "2951-2"


def add_encounters(person: SyntheticPerson) -> None:
    """Add all visits and stays of *person*. They do not overlap."""
    model, chance, environment = person.environment.model, person.chance, person.environment
    share = model.rate("high_need")
    # People without high need get fewer visits, so that the mean over all people is the rate.
    times = model.rate("high_need_times") if person.high_need else (1 - share * model.rate("high_need_times")) / (1 - share)
    years = (environment.end - environment.start) / (365 * 24 * HOUR_MS)
    visits = model.rate("emergency_visits") / 1000
    planned = max(0.0, model.rate("inpatient_stays") / 1000 - visits * model.rate("emergency_admitted"))
    begins = [(person.days.instant(chance, model.profiles["emergency"]), True) for _ in range(chance.count(visits * times * years))]
    begins += [(person.days.instant(chance, model.profiles["planned"]), False) for _ in range(chance.count(planned * times * years))]
    for at, emergency in sorted(begins):
        if at <= person.busy_until or (person.died is not None and at >= person.died):
            continue
        if emergency:
            _visit_emergency(person, at)
        else:
            _stay(person, at, _new_encounter(person, at), begun=False)


class _Stay:
    """The data that all messages of one stay share."""

    def __init__(self, hospital: Hospital, encounter: EncounterRef, identity: int, attending: Practitioner) -> None:
        self.hospital = hospital
        self.encounter = encounter
        self.class_ = "EMER"
        self.at = self.end = NOT_YET
        self.identity = identity
        self.attending = attending
        self.source = f"urn:hospital:{hospital.source}"


def _new_encounter(person: SyntheticPerson, at: Millis) -> _Stay:
    chance = person.chance
    others = [h for h in person.environment.hospitals if h is not person.home and h.country == person.home.country]
    hospital = chance.one_of(others) if others and chance.happens("away") else person.home
    person.visits += 1
    visit = f"V{person.number}-{person.visits}"
    attending = Practitioner(f"{hospital.source}-dr-{1 + int(chance.draw() * 9)}")
    return _Stay(hospital, EncounterRef(hospital.facility, visit), person.identity_at(at), attending)


def _visit_emergency(person: SyntheticPerson, at: Millis) -> None:
    chance, model = person.chance, person.environment.model
    stay = _new_encounter(person, at)
    diagnoses = _diagnoses(person, model.histories.emergency)
    registration = chance.happens("registered")
    fact = PatientAdmitted(
        stay.encounter, "EMER", attending=stay.attending, diagnoses=diagnoses, members=person.members(), registration=registration
    )
    person.add(at, stay.source, fact, stay.identity)
    end = Millis(at + chance.milliseconds("emergency_hours"))
    person.busy_until = end
    if chance.share(person.environment.share_of("cancelled")):
        person.add(at + (end - at) // 4, stay.source, AdmissionCancelled(stay.encounter, "registered in error"), stay.identity)
        return
    stay.at, stay.end = at, end
    _add_updates(person, stay, int(chance.span("updates_emergency")))
    if chance.happens("left_open"):
        return
    if chance.happens("emergency_admitted"):
        person.add(end, stay.source, EncounterClassChanged(stay.encounter, "IMP", person.members()), stay.identity)
        _stay(person, end, stay, begun=True)
        return
    disposition = chance.weighted(model.dispositions["emergency"])
    _discharge(person, stay, disposition, diagnoses)
    if disposition in {"home", "aadvice"}:
        aftercare.after_emergency(person, stay.encounter, end, diagnoses[0].code)


def _stay(person: SyntheticPerson, at: Millis, stay: _Stay, *, begun: bool) -> None:
    chance, model = person.chance, person.environment.model
    diagnoses = _diagnoses(person, model.histories.inpatient)
    if not begun:
        fact = PatientAdmitted(
            stay.encounter,
            "IMP",
            via_emergency=False,
            attending=stay.attending,
            diagnoses=diagnoses,
            members=person.members(),
            planned=True,
        )
        person.add(at, stay.source, fact, stay.identity)
    leaving = Millis(at + chance.milliseconds("inpatient_hours"))
    end = person.days.next_instant(chance, model.profiles["leaving"], leaving)
    person.busy_until = end
    if not begun and chance.share(person.environment.share_of("cancelled")):
        person.add(at + HOUR_MS, stay.source, AdmissionCancelled(stay.encounter, "did not come"), stay.identity)
        return
    stay.class_, stay.at, stay.end = "IMP", at, end
    _add_updates(person, stay, int(chance.span("updates_inpatient")))
    _add_observations(person, stay)
    if chance.happens("transferred"):
        _move(person, stay)
    aftercare.after_admission(person, stay.encounter, at)
    disposition = chance.weighted(model.dispositions["inpatient"])
    _discharge(person, stay, disposition, diagnoses)
    aftercare.after_stay(person, stay.encounter, end, disposition, diagnoses[0].code)


def _diagnoses(person: SyntheticPerson, reasons: Sequence[Term]) -> tuple[Diagnosis, ...]:
    reason = person.chance.one_of(reasons, [term.weight for term in reasons]).code
    codes = [reason, *(code for code in person.conditions if code != reason)][:6]
    return tuple(Diagnosis(person.system, code, rank) for rank, code in enumerate(codes, 1))


def _add_updates(person: SyntheticPerson, stay: _Stay, count: int) -> None:
    """Add updates that report nothing new, as most A08 messages do."""
    for n in range(count):
        when = stay.at + (stay.end - stay.at) * (n + person.chance.draw()) / (count + 1)
        changes = person.chance.draw()
        attending = stay.attending if changes > 0.3 else None
        person.add(
            int(when), stay.source, EncounterUpdated(stay.encounter, stay.class_, attending, members=person.members()), stay.identity
        )


def _add_observations(person: SyntheticPerson, stay: _Stay) -> None:
    chance = person.chance
    for code, unit, quantiles in (
        (_LOINC_HEMOGLOBIN, "g/dL", (7, 11, 12.5, 14, 17)),
        (_LOINC_SODIUM, "mmol/L", (125, 135, 138, 141, 147)),
    ):
        value = int(chance.span_of(quantiles) * 10) / 10
        at = Millis(int(stay.end - (2 + 6 * chance.draw()) * HOUR_MS) // 1000 * 1000)
        person.add(at, stay.source, ObservationRecorded(code, value, unit, at), stay.identity)


def _move(person: SyntheticPerson, stay: _Stay) -> None:
    chance = person.chance
    when = int(stay.at + (stay.end - stay.at) * (0.2 + 0.4 * chance.draw()))
    facility = stay.hospital.facility + ("-REHAB" if chance.happens("moved_facility") else "")
    level = chance.one_of(("intensive-care", "step-down", "ward"))
    person.add(when, stay.source, PatientTransferred(stay.encounter, Location(facility, level[:4].upper(), level)), stay.identity)
    if chance.share(person.environment.share_of("cancelled")):
        person.add(when + HOUR_MS // 2, stay.source, TransferCancelled(stay.encounter, "no bed"), stay.identity)


def _discharge(person: SyntheticPerson, stay: _Stay, disposition: str, diagnoses: tuple[Diagnosis, ...]) -> None:
    chance, at, end = person.chance, stay.at, stay.end
    principal = diagnoses[0].code
    late = chance.happens("diagnosis_added")
    complexity = chance.one_of(_COMPLEXITIES, (5, 3, 2)) if stay.class_ == "IMP" and chance.share(0.6) else None
    died = disposition == "exp"
    fact = PatientDischarged(
        stay.encounter,
        disposition,
        diagnoses=diagnoses[1:] if late and len(diagnoses) > 1 else diagnoses,
        complexity=complexity,
        class_=stay.class_,
        deceased=True if died else None,
        members=person.members(),
    )
    if chance.share(person.environment.share_of("cancelled")):
        early = Millis(max(at + 1000, end - 20 * HOUR_MS))
        person.add(early, stay.source, fact, stay.identity)
        person.add(early + HOUR_MS, stay.source, DischargeCancelled(stay.encounter, "stays another day"), stay.identity)
    person.add(end, stay.source, fact, stay.identity)
    if late and not died:
        added = Diagnosis(person.system, principal, 1)
        person.add(end + 30 * HOUR_MS, stay.source, EncounterUpdated(stay.encounter, diagnoses=(added, *diagnoses[1:])), stay.identity)
    if died:
        person.add(end + HOUR_MS, stay.source, PersonUpdated(deceased=True, deceased_at=end), stay.identity)
        person.died = Millis(end + HOUR_MS)
