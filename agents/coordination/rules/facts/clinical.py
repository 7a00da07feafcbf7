"""Facts about conditions, risk and use of care, from diagnoses, the problem list and all encounters in the person's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents.coordination.person.encounter import Encounter, Status
from agents.coordination.reference import risk
from agents.coordination.reference.calendar import local_date
from agents.coordination.reference.reference_data import ReferenceData
from agents.coordination.reference.risk import HospitalInputs, HospitalVariant, LaceInputs, Score
from agents.coordination.reference.valuesets import lace_comorbidities
from agents.coordination.rules.facts.context import FactContext, Value, fact
from agents.coordination.rules.facts.encounter import SETTING, complexity, length_of_stay_days
from streams.contract.events import Millis
from streams.contract.topics import DAY_MS


def groups_of(diagnoses: tuple[str, ...], world: ReferenceData, *, principal: bool = False) -> frozenset[str]:
    """Return the value-set groups of an encounter's diagnoses (`rank|system|code`), or only of its principal diagnosis."""
    found: frozenset[str] = frozenset()
    for diagnosis in diagnoses[:1] if principal else diagnoses:
        _, system, code = diagnosis.split("|", 2)
        found |= world.valuesets.groups_of(system, code)
    return found


@fact
def diagnosis_group(context: FactContext) -> Value:
    """Value groups of all diagnoses of the encounter."""
    return groups_of(context.encounter.diagnoses, context.world) if context.encounter else frozenset()


@fact
def principal_diagnosis_group(context: FactContext) -> Value:
    """Value groups of the principal diagnosis of the encounter."""
    return groups_of(context.encounter.diagnoses, context.world, principal=True) if context.encounter else frozenset()


def known_groups(context: FactContext) -> frozenset[str]:
    """Return the value-set groups of the problem list and of the diagnoses of all encounters in the person's state."""
    found: frozenset[str] = frozenset()
    for system, code, status in context.person.conditions:
        if status not in {"inactive", "remission", "resolved"}:
            found |= context.world.valuesets.groups_of(system, code)
    for encounter in context.person.encounters:
        found |= groups_of(encounter.diagnoses, context.world)
    return found


@fact
def condition_group(context: FactContext) -> Value:
    """Value groups of the person's active conditions and of the diagnoses of the past 13 months."""
    return known_groups(context)


@fact
def high_risk_conditions(context: FactContext) -> Value:
    """How many of HEDIS FMC's high-risk conditions the person has."""
    return sum(1 for group in known_groups(context) if group.startswith("fmc/"))


def lace_of(context: FactContext) -> Score | None:
    """Compute LACE for the context's encounter, as a range if inputs are missing. None without an encounter."""
    encounter = context.encounter
    if encounter is None:
        return None
    length = length_of_stay_days(context)
    since = (encounter.admitted or encounter.discharged or context.at) - 182 * DAY_MS
    begins = encounter.admitted or context.at
    visits = sum(
        1
        for other in context.person.encounters
        if other is not encounter
        and SETTING.get(other.class_) == "emergency"
        and since <= (other.admitted or other.discharged) < begins
        and other.status != Status.CANCELLED
    )
    known = known_groups(context)
    return risk.lace(
        LaceInputs(
            length_days=int(length) if isinstance(length, int) else None,
            emergency=encounter.via_emergency,
            comorbidities=lace_comorbidities(known) if known or encounter.diagnoses or context.person.conditions else None,
            comorbidities_complete=bool(encounter.diagnoses or context.person.conditions),
            emergency_visits=risk.AtLeast(visits),
        )
    )


_HAEMOGLOBIN: Final = frozenset({"718-7", "20509-6", "59260-0"})
_SODIUM: Final = frozenset({"2951-2", "2947-0"})
"""LOINC codes: haemoglobin in blood, by mass and by substance; sodium in serum or plasma, and in blood."""


def hospital_of(context: FactContext, variant: HospitalVariant) -> Score | None:
    """Compute *variant* of HOSPITAL for the context's encounter, as a range if inputs are missing. None without an encounter.

    No message states the oncology service, or that there was no procedure, or that the admission was elective. So these inputs
    are either true or not known.
    """
    encounter = context.encounter
    if encounter is None:
        return None
    length = length_of_stay_days(context)
    begins = encounter.admitted or context.at
    admissions = sum(
        1
        for other in context.person.encounters
        if other is not encounter
        and SETTING.get(other.class_) == "inpatient"
        and begins - 365 * DAY_MS <= (other.admitted or other.discharged) < begins
        and other.status != Status.CANCELLED
    )
    return risk.hospital(
        HospitalInputs(
            haemoglobin=_measured(context, encounter, _HAEMOGLOBIN, risk.haemoglobin_g_dl),
            sodium=_measured(context, encounter, _SODIUM, risk.sodium_mmol_l),
            procedure=True if encounter.procedures else None,
            urgent=True if encounter.via_emergency else None,
            admissions_prior_year=risk.AtLeast(admissions),
            length_days=int(length) if isinstance(length, int) else None,
        ),
        variant,
    )


def _measured(
    context: FactContext, encounter: Encounter, codes: frozenset[str], convert: Callable[[float, str], float | None]
) -> float | None:
    """Return the newest value of *codes* that was measured during the encounter, in the score's unit, or None."""
    until = encounter.discharged or context.at
    found = [o for o in context.person.observations if o[0] in codes and encounter.admitted and encounter.admitted <= o[3] <= until]
    return convert(*max(found, key=lambda o: o[3])[1:3]) if found else None


def risk_words(context: FactContext) -> str:
    """Return the known risk as text: LACE, both variants of HOSPITAL, and the flags that are set."""
    scores = [lace_of(context), *(hospital_of(context, variant) for variant in risk.HOSPITAL_VARIANTS)]
    texts = [f"{score.name}: {score.words}" for score in scores if score is not None]
    flags_set = flags(context)
    if isinstance(flags_set, tuple) and flags_set:
        texts.append(f"flags: {', '.join(flags_set)}")
    return "; ".join(texts)


@fact
def hospital_derivation(context: FactContext) -> Value:
    """How high the HOSPITAL score is, in its first variant (2013). The lowest possible score if inputs are missing."""
    score = hospital_of(context, "derivation-2013")
    return score.low if score else None


@fact
def hospital_international(context: FactContext) -> Value:
    """How high the HOSPITAL score is, in its international variant (2016). The lowest possible score if inputs are missing."""
    score = hospital_of(context, "international-2016")
    return score.low if score else None


@fact
def lace(context: FactContext) -> Value:
    """How high the LACE score is. The lowest possible score if inputs are missing."""
    score = lace_of(context)
    return score.low if score else None


@fact
def risk_tier(context: FactContext) -> Value:
    """Risk tier, which decides how soon the person must be seen after discharge (by stated complexity and LACE)."""
    said = complexity(context)
    return risk.follow_up_tier(str(said) if said else None, lace_of(context))


def _risk_kind(encounter: Encounter, world: ReferenceData) -> risk.StayKind | None:
    if world.directory.of_facility(encounter.facility_now).kind == "snf":
        return "snf"
    kinds: dict[str, risk.StayKind] = {"emergency": "emergency", "observation": "observation", "inpatient": "inpatient"}
    return kinds.get(SETTING.get(encounter.class_, ""))


@fact
def flags(context: FactContext) -> Value:
    """Utilisation flags that are set."""
    encounters = [
        risk.EncounterSpan(
            kind, Millis(encounter.admitted or encounter.discharged), Millis(encounter.discharged) if encounter.discharged else None
        )
        for encounter in context.person.encounters
        if encounter.status in {Status.IN_PROGRESS, Status.ON_LEAVE, Status.FINISHED}
        and (encounter.admitted or encounter.discharged)
        and (kind := _risk_kind(encounter, context.world)) is not None
    ]
    # At the instant of the discharge the person still counts as an inpatient, because the follow-up needs the flag.
    discharging = context.encounter is not None and context.encounter.discharged and context.encounter.discharged <= context.at
    at = Millis(context.encounter.discharged - 1) if discharging and context.encounter else context.at
    return risk.utilisation_flags(encounters, at).names


@fact
def emergency_visits_12_months(context: FactContext) -> Value:
    """How many emergency visits the person had in the past twelve months, including this one."""
    since = context.at - 365 * DAY_MS
    return sum(
        1
        for encounter in context.person.encounters
        if SETTING.get(encounter.class_) == "emergency"
        and since <= (encounter.admitted or encounter.discharged) <= context.at
        and encounter.status != Status.CANCELLED
    )


@fact
def age_years(context: FactContext) -> Value:
    """How old the person is, in years. Not known without a date of birth."""
    known = context.person.demographics
    born = known.birth_date.replace("-", "") if known is not None else ""
    if len(born) < 8 or not born[:8].isdigit():
        return None
    day = local_date(context.at, context.organisation.zone)
    return day.year - int(born[:4]) - ((day.month, day.day) < (int(born[4:6]), int(born[6:8])))
