"""Risk scores and utilisation flags, computed from the inputs that are known so far.

Owns LACE, HOSPITAL in its two published variants, and four utilisation flags. Must not know events, rules or the current time:
it takes plain inputs. A missing input never counts as zero: it makes the score a range, and the score's text says so.

Sources: LACE, van Walraven et al., CMAJ 2010 (PMC2845681). HOSPITAL, Donzé et al., JAMA Intern Med 2013 (derivation) and
2016 (international validation, PMC5070968), which differ in the bins of earlier admissions. Flags: PatientPing's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from agents.coordination.reference.calendar import local_date
from streams.contract.events import Millis

LengthCounting = Literal["nights", "inclusive"]
"""How the days of a stay are counted: by nights (same day: 0), or both the admission and the discharge day (same day: 1)."""

HospitalVariant = Literal["derivation-2013", "international-2016"]
HOSPITAL_VARIANTS: Final[tuple[HospitalVariant, ...]] = ("derivation-2013", "international-2016")
StayKind = Literal["emergency", "observation", "inpatient", "snf"]
Tier = Literal["high", "moderate", "low"]

DAY_MS: Final = 86_400_000


class AtLeast(msgspec.Struct, frozen=True):
    """A count of which only the lower bound is known, because the records do not cover the whole window."""

    value: int


class Score(msgspec.Struct, frozen=True):
    """A score between *low* and *high*. Both are the same if no missing input can change the score."""

    name: str
    low: int
    high: int
    known: int
    of: int
    band_low: str
    band_high: str
    words: str

    @property
    def is_exact(self) -> bool:
        """Whether no missing input can change the score."""
        return self.low == self.high


class LaceInputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of LACE; None: not known.

    `length_days` is counted as the deployment has configured it (`stay_days`). `comorbidities` are names of `LACE_WEIGHTS`; if
    `comorbidities_complete` is False, there may be more than these. `emergency_visits` are those of the six months before the
    admission, without the one that led to it.
    """

    length_days: int | None = None
    emergency: bool | None = None
    comorbidities: Collection[str] | None = None
    comorbidities_complete: bool = True
    emergency_visits: int | AtLeast | None = None


class HospitalInputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of HOSPITAL; None: not known. Haemoglobin is in g/dL and sodium in mmol/L, both at discharge."""

    haemoglobin: float | None = None
    oncology_service: bool | None = None
    sodium: float | None = None
    procedure: bool | None = None
    urgent: bool | None = None
    admissions_prior_year: int | AtLeast | None = None
    length_days: int | None = None


class EncounterSpan(NamedTuple):
    """An encounter at any facility, as an input of the flags. `end` is None while the person is there."""

    kind: StayKind
    start: Millis
    end: Millis | None = None


class Flags(msgspec.Struct, frozen=True):
    """Utilisation flags, from the pattern of encounters."""

    high_utiliser: bool = False
    readmission_risk: bool = False
    recent_inpatient_stay: bool = False
    recent_snf_stay: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the flags that are set."""
        return tuple(name.replace("_", "-") for name in self.__struct_fields__ if getattr(self, name))


LACE_WEIGHTS: Final[Mapping[str, int]] = {
    "previous-myocardial-infarction": 1,
    "cerebrovascular-disease": 1,
    "peripheral-vascular-disease": 1,
    "diabetes-without-complications": 1,
    "congestive-heart-failure": 2,
    "diabetes-with-end-organ-damage": 2,
    "chronic-pulmonary-disease": 2,
    "mild-liver-or-renal-disease": 2,
    "any-tumour": 2,
    "dementia": 3,
    "connective-tissue-disease": 3,
    "aids": 4,
    "moderate-or-severe-liver-disease": 4,
    "metastatic-solid-tumour": 6,
}
LACE_COMORBIDITY_CAP: Final = 5
"""Points for a sum of weights of four or more."""

LACE_BANDS: Final = ((0, "low"), (5, "moderate"), (10, "high"))
HOSPITAL_BANDS: Final = ((0, "low"), (5, "intermediate"), (7, "high"))
LACE_HIGH: Final = 10

_ADMISSION_BINS: Final[Mapping[str, tuple[int, int]]] = {"derivation-2013": (0, 5), "international-2016": (1, 5)}
"""For each variant: the highest number of earlier admissions that gives 0 points, and the highest that gives 2. More give 5."""

_EMERGENCY_VISITS_MOST: Final = 4
_HIGH_UTILISER_VISITS: Final = 3
_HIGH_UTILISER_DAYS: Final = 60
_RECENT_DAYS: Final = 30
_AT_HOSPITAL: Final = ("emergency", "observation", "inpatient")
_GRAMS_PER_MILLIMOLE: Final = 1.6114
"""Haemoglobin monomer: mmol/L to g/dL (IFCC)."""


def stay_days(admitted: Millis, discharged: Millis, zone: str, counting: LengthCounting = "nights") -> int | None:
    """Return the length of a stay in local days, or None if the discharge is before the admission."""
    nights = (local_date(discharged, zone) - local_date(admitted, zone)).days
    if nights < 0:
        return None
    return nights + (counting == "inclusive")


def lace(inputs: LaceInputs) -> Score:
    """Compute LACE, from 0 to 19: up to 4 is low, 5 to 9 is moderate, 10 or more is high.

    Raises:
        ValueError: A length or count is negative, or a comorbidity is not in `LACE_WEIGHTS`.
    """
    parts = (
        _known(inputs.length_days, 7, length_points),
        _flag(inputs.emergency, 3),
        _comorbidity_range(inputs.comorbidities, complete=inputs.comorbidities_complete),
        _known(inputs.emergency_visits, _EMERGENCY_VISITS_MOST, lambda visits: min(visits, _EMERGENCY_VISITS_MOST)),
    )
    return _score("LACE", parts, LACE_BANDS)


def hospital(inputs: HospitalInputs, variant: HospitalVariant) -> Score:
    """Compute *variant* of HOSPITAL, from 0 to 13: up to 4 is low, 5 or 6 is intermediate, 7 or more is high.

    Raises:
        ValueError: A length or count is negative.
    """
    none, some = _ADMISSION_BINS[variant]
    parts = (
        _flag(None if inputs.haemoglobin is None else inputs.haemoglobin < 12, 1),
        _flag(inputs.oncology_service, 2),
        _flag(None if inputs.sodium is None else inputs.sodium < 135, 1),
        _flag(inputs.procedure, 1),
        _flag(inputs.urgent, 1),
        _known(inputs.admissions_prior_year, 5, lambda count: 0 if count <= none else 2 if count <= some else 5),
        _known(inputs.length_days, 2, lambda days: 2 if days >= 5 else 0),
    )
    return _score(f"HOSPITAL {variant}", parts, HOSPITAL_BANDS)


def length_points(days: int) -> int:
    """Return LACE's points for a stay of *days*. 14 days and more give 7; the modified LACE, another score, gives 6."""
    if days >= 14:
        return 7
    if days >= 7:
        return 5
    return min(days, 4)


def comorbidity_points(comorbidities: Collection[str]) -> int:
    """Return LACE's points for a set of comorbidities: the sum of their weights up to 3, and 5 for a higher sum.

    Diabetes counts once: with end-organ damage, the weight without complications is left out.

    Raises:
        ValueError: A comorbidity is not in `LACE_WEIGHTS`.
    """
    present = set(comorbidities)
    if unknown := sorted(present - LACE_WEIGHTS.keys()):
        raise ValueError(f"not a comorbidity of LACE: {', '.join(unknown)}")
    if "diabetes-with-end-organ-damage" in present:
        present.discard("diabetes-without-complications")
    total = sum(LACE_WEIGHTS[each] for each in present)
    return total if total < 4 else LACE_COMORBIDITY_CAP


def utilisation_flags(encounters: Iterable[EncounterSpan], now: Millis) -> Flags:
    """Return the flags that *encounters* set at *now*.

    A window of 30 days ends at the start of the current encounter, so that no flag is cleared during that encounter. Both ends
    of a window are included.
    """
    past = [encounter for encounter in encounters if encounter.start <= now]
    emergency_visits = sum(encounter.kind == "emergency" and encounter.start >= now - _HIGH_UTILISER_DAYS * DAY_MS for encounter in past)
    here = [encounter for encounter in past if encounter.kind in _AT_HOSPITAL and (encounter.end is None or encounter.end > now)]
    readmission = recent = snf = False
    for encounter in here:
        since = encounter.start - _RECENT_DAYS * DAY_MS
        earlier = any(each.kind == "inpatient" and each is not encounter and since <= each.start <= encounter.start for each in past)
        readmission |= earlier and encounter.kind != "inpatient"
        recent |= earlier and encounter.kind == "inpatient"
        snf |= any(each.kind == "snf" and each.end is not None and since <= each.end <= encounter.start for each in past)
    return Flags(emergency_visits >= _HIGH_UTILISER_VISITS, readmission, recent, snf)


def follow_up_tier(complexity: str | None, score: Score | None) -> Tier:
    """Return how soon a person must be seen after discharge: within 7 days (`high`), 14 (`moderate`), or as arranged (`low`).

    The tier is high if the complexity is high, or if LACE is 10 or more even without the missing inputs (CPT 99496). It is low
    only if a low complexity is stated and LACE cannot reach 10. Otherwise, and if nothing is known, it is moderate (99495): a
    follow-up that may be needed is tracked.
    """
    if complexity == "high" or (score is not None and score.low >= LACE_HIGH):
        return "high"
    if complexity in {"low", "straightforward"} and (score is None or score.high < LACE_HIGH):
        return "low"
    return "moderate"


def haemoglobin_g_dl(value: float, unit: str) -> float | None:
    """Convert a haemoglobin to g/dL from the UCUM units `g/dL`, `g/L` or `mmol/L`; return None for another unit."""
    factor = {"g/dl": 1.0, "g/l": 0.1, "mmol/l": _GRAMS_PER_MILLIMOLE}.get(unit.strip().lower())
    return None if factor is None else value * factor


def sodium_mmol_l(value: float, unit: str) -> float | None:
    """Convert a sodium to mmol/L from `mmol/L` or `meq/L`; return None for another unit."""
    return value if unit.strip().lower() in {"mmol/l", "meq/l"} else None


class _Range(NamedTuple):
    low: int
    high: int


def _flag(value: bool | None, points: int) -> _Range:
    if value is None:
        return _Range(0, points)
    return _Range(points, points) if value else _Range(0, 0)


def _known(value: int | AtLeast | None, most: int, points_of: Callable[[int], int]) -> _Range:
    if value is None:
        return _Range(0, most)
    count = value.value if isinstance(value, AtLeast) else value
    if count < 0:
        raise ValueError(f"a count must be 0 or more, not {count}")
    low = points_of(count)
    return _Range(low, most if isinstance(value, AtLeast) else low)


def _comorbidity_range(comorbidities: Collection[str] | None, *, complete: bool) -> _Range:
    if comorbidities is None:
        return _Range(0, LACE_COMORBIDITY_CAP)
    low = comorbidity_points(comorbidities)
    return _Range(low, low if complete else LACE_COMORBIDITY_CAP)


def _score(name: str, parts: Sequence[_Range], bands: tuple[tuple[int, str], ...]) -> Score:
    low, high = sum(part.low for part in parts), sum(part.high for part in parts)
    # An input with only a lower bound counts as known if the bound already gives the most points.
    known, of = sum(part.low == part.high for part in parts), len(parts)
    band_low, band_high = _band(low, bands), _band(high, bands)
    band = band_low if band_low == band_high else f"{band_low} to {band_high}"
    words = f"all {of} inputs known; {low} ({band})" if known == of else f"{known} of {of} inputs known; between {low} and {high} ({band})"
    return Score(name, low, high, known, of, band_low, band_high, words)


def _band(points: int, bands: tuple[tuple[int, str], ...]) -> str:
    return next(name for floor, name in reversed(bands) if points >= floor)
