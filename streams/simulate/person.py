"""A made person: identifiers, where they belong, what they have; and how what happens to them is told.

Owns the person's identity and the form in which a story keeps what was told. Draws what a person is; what happens to
them is `stays.py`'s and `aftercare.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import msgspec

from streams.contract.events import Member, Millis, Party, Practitioner
from streams.simulate.chance import Chance, Days
from streams.simulate.model import Hospital, Model

AUTHORITY = "EMPI"
"""The assigning authority: an enterprise index, so that all hospitals mean the same person."""
ICD10 = {"US": "http://hl7.org/fhir/sid/icd-10-cm", "GB": "http://hl7.org/fhir/sid/icd-10"}
SENSITIVE = {"F1": "substance-use", "F2": "mental-health", "F3": "mental-health", "T50": "mental-health"}


NOT_YET = Millis(0)


class StoryEvent(NamedTuple):
    """One event of a story: when it happened, when it arrived, who said it, and under which of the person's identifiers."""

    arrival: Millis
    time: Millis
    source: str
    fact: msgspec.Struct
    identity: int = 0
    repeat: int = 0
    """0 for the first telling, else which repeat of the same message it is."""
    number: int = 0
    """Its place in the story: what its id is made of."""


@dataclass(frozen=True, slots=True)
class Town:
    """What all people share: model, hospitals, the days of each zone, and the window."""

    model: Model
    hospitals: list[Hospital]
    days: dict[str, Days]
    start: Millis
    end: Millis
    first: date
    faults: dict[str, float]

    def share_of(self, fault: str) -> float:
        """Return the share of a fault, 0 where it is not asked for."""
        return self.faults.get(fault, 0.0)


@dataclass(slots=True)
class SyntheticPerson:
    """One person and the story so far."""

    town: Town
    chance: Chance
    number: int
    home: Hospital
    physician: str
    conditions: list[str]
    high_need: bool
    merges_at: Millis | None
    birth_date: str
    died: Millis | None = None
    story: list[StoryEvent] = field(default_factory=list)
    goals: list[str] = field(default_factory=list)
    visits: int = 0
    ids_given: int = 0
    busy_until: Millis = NOT_YET

    @property
    def days(self) -> Days:
        return self.town.days[self.home.zone]

    @property
    def system(self) -> str:
        return ICD10[self.home.country]

    def identity_at(self, at: Millis) -> int:
        """Say under which identifier somebody who does not know of the merge names the person."""
        return 1 if self.merges_at is not None and at < self.merges_at and self.chance.share(0.5) else 0

    def add(self, at: int, source: str, fact: msgspec.Struct, identity: int = 0) -> None:
        """Add an event that happens at *at*; what lies beyond the window is not told."""
        time = Millis(int(at) // 1000 * 1000)
        if time >= self.town.end or (self.died is not None and time > self.died):
            return
        arrival = Millis(time + self.chance.milliseconds("transmission_seconds"))
        self.story.append(StoryEvent(arrival, time, source, fact, identity, 0, len(self.story)))

    def new_id(self, kind: str) -> str:
        """Name the next referral, appointment, goal or activity of this person."""
        self.ids_given += 1
        return f"{kind}-{self.number}-{self.ids_given}"

    def members(self) -> tuple[Member, ...]:
        """Return whom a message names beside the person: often the primary care physician."""
        return (self.pcp_member(),) if self.chance.happens("member_from_message") else ()

    def pcp_member(self) -> Member:
        return Member("pcp", Party("pcp", Practitioner(self.physician), self.home.practice))

    def sensitivities(self) -> list[str]:
        """Name the sensitive categories that the person's conditions fall into, sorted."""
        return sorted({kind for prefix, kind in SENSITIVE.items() if any(c.startswith(prefix) for c in self.conditions)})


def identifier(number: int, identity: int) -> str:
    """Write the identifier of a person; the second one of somebody who goes under two ends in 2."""
    return f"{1_000_000 + number}" + ("-2" if identity else "")


def make_person(town: Town, seed: object, number: int) -> SyntheticPerson:
    """Draw who the person is."""
    chance = Chance(town.model, seed, "person", number)
    home = chance.one_of(town.hospitals)
    conditions = [c.code for c in town.model.histories.conditions if chance.draw() * 30 < c.people]
    merged = chance.share(town.share_of("merged"))
    merges_at = Millis(int(town.start + (0.3 + 0.6 * chance.draw()) * (town.end - town.start)) // 1000 * 1000) if merged else None
    age = int(chance.span_of((0, 22, 42, 63, 97)) if not conditions else chance.span_of((18, 48, 63, 75, 97)))
    birth_date = f"{town.first.year - age - 1}-{1 + int(chance.draw() * 12):02d}-{1 + int(chance.draw() * 28):02d}"
    return SyntheticPerson(
        town, chance, number, home, chance.one_of(home.physicians), conditions, chance.happens("high_need"), merges_at, birth_date
    )
