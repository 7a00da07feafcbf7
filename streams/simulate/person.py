"""A synthetic person: identifiers, home hospital, conditions, and the list of their events.

Owns the random choice of a person's properties, and the form of the events in the list. `stays.py` and `aftercare.py` add
the events.
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
"""The assigning authority: an enterprise index, so that all hospitals use the same identifiers."""
ICD10 = {"US": "http://hl7.org/fhir/sid/icd-10-cm", "GB": "http://hl7.org/fhir/sid/icd-10"}
SENSITIVE = {"F1": "substance-use", "F2": "mental-health", "F3": "mental-health", "T50": "mental-health"}


NOT_YET = Millis(0)


class StoryEvent(NamedTuple):
    """One event of a person's story."""

    arrival: Millis
    time: Millis
    """When it happened."""
    source: str
    fact: msgspec.Struct
    identity: int = 0
    """Index of the person's identifier in the message: 0 or 1."""
    repeat: int = 0
    """0 for the first message, else the number of the repeat."""
    number: int = 0
    """Index in the story; the event's id is derived from it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The data that all persons of a simulation share."""

    model: Model
    hospitals: list[Hospital]
    days: dict[str, Days]
    """The local days of the simulation, for each IANA time zone."""
    start: Millis
    end: Millis
    first: date
    faults: dict[str, float]
    """Shares of the faults that were requested, by fault."""

    def share_of(self, fault: str) -> float:
        """Return the share of a fault, 0 if it was not requested."""
        return self.faults.get(fault, 0.0)


@dataclass(slots=True)
class SyntheticPerson:
    """One person and the events so far."""

    environment: Environment
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
        return self.environment.days[self.home.zone]

    @property
    def system(self) -> str:
        return ICD10[self.home.country]

    def identity_at(self, at: Millis) -> int:
        """Draw the index of the identifier that a hospital uses at *at*. Before a merge it may be the second one."""
        return 1 if self.merges_at is not None and at < self.merges_at and self.chance.share(0.5) else 0

    def add(self, at: int, source: str, fact: msgspec.Struct, identity: int = 0) -> None:
        """Add an event that happens at *at*. Leaves out an event after the end of the simulation or after the person's death."""
        time = Millis(int(at) // 1000 * 1000)
        if time >= self.environment.end or (self.died is not None and time > self.died):
            return
        arrival = Millis(time + self.chance.milliseconds("transmission_seconds"))
        self.story.append(StoryEvent(arrival, time, source, fact, identity, 0, len(self.story)))

    def new_id(self, kind: str) -> str:
        """Return a new id of a referral, appointment, goal or activity of this person."""
        self.ids_given += 1
        return f"{kind}-{self.number}-{self.ids_given}"

    def members(self) -> tuple[Member, ...]:
        """Draw the care team members that a message names: the primary care physician, or none."""
        return (self.pcp_member(),) if self.chance.happens("member_from_message") else ()

    def pcp_member(self) -> Member:
        return Member("pcp", Party("pcp", Practitioner(self.physician), self.home.practice))

    def sensitivities(self) -> list[str]:
        """Return the sensitive categories of the person's conditions, sorted."""
        return sorted({kind for prefix, kind in SENSITIVE.items() if any(c.startswith(prefix) for c in self.conditions)})


def identifier(number: int, identity: int) -> str:
    """Return an identifier of person *number*. The second identifier of a person ends in `-2`."""
    return f"{1_000_000 + number}" + ("-2" if identity else "")


def make_person(environment: Environment, seed: object, number: int) -> SyntheticPerson:
    """Draw the properties of person *number*."""
    chance = Chance(environment.model, seed, "person", number)
    home = chance.one_of(environment.hospitals)
    conditions = [c.code for c in environment.model.histories.conditions if chance.draw() * 30 < c.people]
    merged = chance.share(environment.share_of("merged"))
    merges_at = (
        Millis(int(environment.start + (0.3 + 0.6 * chance.draw()) * (environment.end - environment.start)) // 1000 * 1000)
        if merged
        else None
    )
    age = int(chance.span_of((0, 22, 42, 63, 97)) if not conditions else chance.span_of((18, 48, 63, 75, 97)))
    birth_date = f"{environment.first.year - age - 1}-{1 + int(chance.draw() * 12):02d}-{1 + int(chance.draw() * 28):02d}"
    return SyntheticPerson(
        environment, chance, number, home, chance.one_of(home.physicians), conditions, chance.happens("high_need"), merges_at, birth_date
    )
