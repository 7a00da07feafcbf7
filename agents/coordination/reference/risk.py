"""Risk scores and utilisation flags, computed in the stream from what is known so far.

Owns LACE, HOSPITAL in its two published forms, and four flags of use. Must not know events, rules or the present: it
takes plain inputs. A missing input is never taken as zero: it widens the score to a range, and the words say so.

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
"""How the days of a stay are counted: by nights (same day is 0), or admission and discharge day both (same day is 1)."""

HospitalVariant = Literal["derivation-2013", "international-2016"]
HOSPITAL_VARIANTS: Final[tuple[HospitalVariant, ...]] = ("derivation-2013", "international-2016")
StayKind = Literal["emergency", "observation", "inpatient", "snf"]
Tier = Literal["high", "moderate", "low"]

DAY_MS: Final = 86_400_000


class AtLeast(msgspec.Struct, frozen=True):
    """A count of which only the lower bound is known: the record does not reach back over the whole window."""

    value: int


class Score(msgspec.Struct, frozen=True):
    """A score as far as its inputs are known: it lies between *low* and *high*, which are one number when all are."""

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
        """Say whether what is missing could not change it."""
        return self.low == self.high


class LaceInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What LACE asks; None where it is not known.

    `length_days` counts as the deployment has chosen (`stay_days`); `comorbidities` are names of `LACE_WEIGHTS`, and with
    `comorbidities_complete` False more may exist than are recorded; `emergency_visits` are those of the six months before,
    without the one that led to this admission.
    """

    length_days: int | None = None
    emergency: bool | None = None
    comorbidities: Collection[str] | None = None
    comorbidities_complete: bool = True
    emergency_visits: int | AtLeast | None = None


class HospitalInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What HOSPITAL asks; None where it is not known. Haemoglobin in g/dL and sodium in mmol/L, both at discharge."""

    haemoglobin: float | None = None
    oncology_service: bool | None = None
    sodium: float | None = None
    procedure: bool | None = None
    urgent: bool | None = None
    admissions_prior_year: int | AtLeast | None = None
    length_days: int | None = None


class EncounterSpan(NamedTuple):
    """A stay anywhere, as the flags need it; `end` is None while the person is there."""

    kind: StayKind
    start: Millis
    end: Millis | None = None


class Flags(msgspec.Struct, frozen=True):
    """What the pattern of stays says."""

    high_utiliser: bool = False
    readmission_risk: bool = False
    recent_inpatient_stay: bool = False
    recent_snf_stay: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The flags that are up, as the console shows them."""
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
"""Of each variant: the most earlier admissions that give 0 points, and the most that give 2; more give 5."""

_EMERGENCY_VISITS_MOST: Final = 4
_HIGH_UTILISER_VISITS: Final = 3
_HIGH_UTILISER_DAYS: Final = 60
_RECENT_DAYS: Final = 30
_AT_HOSPITAL: Final = ("emergency", "observation", "inpatient")
_GRAMS_PER_MILLIMOLE: Final = 1.6114
"""Haemoglobin monomer: mmol/L to g/dL (IFCC)."""


def stay_days(admitted: Millis, discharged: Millis, zone: str, counting: LengthCounting = "nights") -> int | None:
    """Return the length of a stay in days of local time, or None where the discharge lies before the admission."""
    nights = (local_date(discharged, zone) - local_date(admitted, zone)).days
    if nights < 0:
        return None
    return nights + (counting == "inclusive")


def lace(inputs: LaceInputs) -> Score:
    """Compute LACE (0 to 19; low to 4, moderate to 9, high from 10).

    Raises:
        ValueError: A length or count is negative, or a comorbidity is none of `LACE_WEIGHTS`.
    """
    parts = (
        _known(inputs.length_days, 7, length_points),
        _flag(inputs.emergency, 3),
        _comorbidity_range(inputs.comorbidities, complete=inputs.comorbidities_complete),
        _known(inputs.emergency_visits, _EMERGENCY_VISITS_MOST, lambda visits: min(visits, _EMERGENCY_VISITS_MOST)),
    )
    return _score("LACE", parts, LACE_BANDS)


def hospital(inputs: HospitalInputs, variant: HospitalVariant) -> Score:
    """Compute HOSPITAL (0 to 13; low to 4, intermediate to 6, high from 7) in the *variant* named.

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
    """Return LACE's points for a stay of *days*: 14 days and more give 7 (the modified LACE's 6 is another score)."""
    if days >= 14:
        return 7
    if days >= 7:
        return 5
    return min(days, 4)


def comorbidity_points(comorbidities: Collection[str]) -> int:
    """Return LACE's points for a set of comorbidities: the sum of their weights to 3, else 5.

    Diabetes counts once: who has it with end-organ damage does not also have it without complications.

    Raises:
        ValueError: One of them is none of `LACE_WEIGHTS`.
    """
    present = set(comorbidities)
    if unknown := sorted(present - LACE_WEIGHTS.keys()):
        raise ValueError(f"not a comorbidity of LACE: {', '.join(unknown)}")
    if "diabetes-with-end-organ-damage" in present:
        present.discard("diabetes-without-complications")
    total = sum(LACE_WEIGHTS[each] for each in present)
    return total if total < 4 else LACE_COMORBIDITY_CAP


def utilisation_flags(encounters: Iterable[EncounterSpan], now: Millis) -> Flags:
    """Return the flags that *stays* raise at *now*.

    The 30 days before are counted back from the beginning of the stay that the person is in, so that a flag does not fall
    while that stay goes on. Both ends of a window count.
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

    High complexity or a LACE that is surely 10 or more is high (CPT 99496). What is not known counts as moderate (99495):
    a handoff that might be needed is watched. Only a stated low complexity with a LACE that surely is not high is low.
    """
    if complexity == "high" or (score is not None and score.low >= LACE_HIGH):
        return "high"
    if complexity in {"low", "straightforward"} and (score is None or score.high < LACE_HIGH):
        return "low"
    return "moderate"


def haemoglobin_g_dl(value: float, unit: str) -> float | None:
    """Return a haemoglobin in g/dL (UCUM units `g/dL`, `g/L`, `mmol/L`), or None for a unit that is not known."""
    factor = {"g/dl": 1.0, "g/l": 0.1, "mmol/l": _GRAMS_PER_MILLIMOLE}.get(unit.strip().lower())
    return None if factor is None else value * factor


def sodium_mmol_l(value: float, unit: str) -> float | None:
    """Return a sodium in mmol/L (`mmol/L`, `meq/L`), or None for a unit that is not known."""
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
        raise ValueError(f"a count can't be {count}")
    low = points_of(count)
    return _Range(low, most if isinstance(value, AtLeast) else low)


def _comorbidity_range(comorbidities: Collection[str] | None, *, complete: bool) -> _Range:
    if comorbidities is None:
        return _Range(0, LACE_COMORBIDITY_CAP)
    low = comorbidity_points(comorbidities)
    return _Range(low, low if complete else LACE_COMORBIDITY_CAP)


def _score(name: str, parts: Sequence[_Range], bands: tuple[tuple[int, str], ...]) -> Score:
    low, high = sum(part.low for part in parts), sum(part.high for part in parts)
    # An input that is only known from below, but already gives the most, is as good as known.
    known, of = sum(part.low == part.high for part in parts), len(parts)
    band_low, band_high = _band(low, bands), _band(high, bands)
    band = band_low if band_low == band_high else f"{band_low} to {band_high}"
    words = f"all {of} inputs known; {low} ({band})" if known == of else f"{known} of {of} inputs known; between {low} and {high} ({band})"
    return Score(name, low, high, known, of, band_low, band_high, words)


def _band(points: int, bands: tuple[tuple[int, str], ...]) -> str:
    return next(name for floor, name in reversed(bands) if points >= floor)
