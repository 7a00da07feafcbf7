"""The model's tables: rates, distributions, profiles, hospitals, services, conditions and goals.

Owns the schema of `model.yaml` and `histories.yaml` and their checks. Knows no event and draws nothing: `chance.py` draws,
`stays.py` and `aftercare.py` make the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import msgspec

from streams.base.yaml_files import read_yaml


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number of the model, with its unit and its source."""

    value: float
    unit: str
    source: str


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A distribution: quantiles at equal steps, from the minimum to the maximum."""

    value: tuple[float, ...]
    unit: str
    source: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of the 24 hours of a local day and of the seven weekdays, Monday first."""

    hours: tuple[int, ...]
    weekdays: tuple[int, ...]


class Hospital(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    facility: str
    source: str
    zone: str
    country: str
    practice: str
    physicians: tuple[str, ...]


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A possible target of a referral."""

    service: str
    role: str
    organization: str
    weight: int
    practitioner: str = ""


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition or a reason for a visit: its ICD-10 code, and its count in the sample."""

    term: str
    code: str
    people: int = 0
    encounters: int = 0
    source: str = "synthea"

    @property
    def weight(self) -> int:
        return self.people or self.encounters


class GoalTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """A goal: the sample's term, and a person's words for it. `for_` are ICD-10 codes of conditions; empty: for everybody."""

    term: str
    people: int
    words: str
    for_: tuple[str, ...] = ()
    source: str = "synthea"


class _Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rates: dict[str, Rate]
    spreads: dict[str, Spread]
    faults: dict[str, Rate]
    spreads_of_faults: dict[str, Spread]
    dispositions: dict[str, dict[str, int]]
    profiles: dict[str, Profile]
    hospitals: tuple[Hospital, ...]
    services: dict[str, tuple[Service, ...]]
    nursing_home: dict[str, str]


class Histories(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Counts from the sample."""

    conditions: tuple[Term, ...]
    emergency: tuple[Term, ...]
    inpatient: tuple[Term, ...]
    goals: tuple[GoalTerm, ...]


class Model:
    """All tables of the model. `rate` and `spread` raise KeyError for an unknown name."""

    def __init__(self, tables: _Tables, histories: Histories) -> None:
        self._rates = {name: rate.value for name, rate in tables.rates.items()}
        spreads = tables.spreads | tables.spreads_of_faults
        self._spreads = {name: spread.value for name, spread in spreads.items()}
        self.faults: Mapping[str, float] = {name: rate.value for name, rate in tables.faults.items()}
        self.dispositions: Mapping[str, Mapping[str, int]] = tables.dispositions
        self.profiles: Mapping[str, Profile] = tables.profiles
        self.services: Mapping[str, Sequence[Service]] = tables.services
        self.nursing_home: Mapping[str, str] = tables.nursing_home
        self.histories = histories
        self.described: Mapping[str, Rate | Spread] = tables.rates | tables.spreads | tables.faults | tables.spreads_of_faults
        self._hospitals = tables.hospitals
        shares = [
            name for name, rate in (tables.rates | tables.faults).items() if rate.unit.startswith("share") and not 0 <= rate.value <= 1
        ]
        if shares:
            raise ValueError(f"model.yaml: {shares[0]} is a share and must be between 0 and 1")

    def rate(self, name: str) -> float:
        """Return the rate or share *name*."""
        return self._rates[name]

    def spread(self, name: str) -> Sequence[float]:
        """Return the quantiles of the distribution *name*."""
        return self._spreads[name]

    def hospitals(self, count: int) -> list[Hospital]:
        """Return *count* hospitals: those of the table, then invented ones in the time zone of the first."""
        first = self._hospitals[0]
        invented = (
            Hospital(f"HOSPITAL-{n}", f"hospital-{n}", first.zone, first.country, f"practice-{n}", (f"P{n}01", f"P{n}02"))
            for n in range(len(self._hospitals) + 1, count + 1)
        )
        return [*self._hospitals[:count], *invented]


@cache
def load_model() -> Model:
    """Read the tables of the package. Raises msgspec.ValidationError if one does not match its schema."""
    here = files("streams.simulate")
    tables = msgspec.convert(read_yaml(here.joinpath("model.yaml").read_text(encoding="utf-8")), _Tables)
    histories = msgspec.convert(read_yaml(here.joinpath("histories.yaml").read_text(encoding="utf-8")), Histories)
    return Model(tables, histories)
