"""The stream of synthetic events: each person's events, with faults and answers added, in the order of arrival.

Owns the arguments of a simulation, faults of transmission, event ids, and the form of an event as a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha1
from typing import NamedTuple

import msgspec

from streams.base.settings import DEMO_SECRET
from streams.contract.events import (
    CareTeamChanged,
    ConditionRecorded,
    ConsentChanged,
    Event,
    Millis,
    PersonKey,
    PersonMerged,
    PersonRef,
    PersonUpdated,
)
from streams.contract.instants import format_instant
from streams.contract.json_form import fact_to_json
from streams.contract.person_key import person_key
from streams.contract.topics import TOPIC_OF
from streams.shard.agent import Agent
from streams.simulate import aftercare
from streams.simulate.answers import Answering
from streams.simulate.chance import DAY_MS, HOUR_MS, Chance, Days
from streams.simulate.model import Model, load_model
from streams.simulate.person import AUTHORITY, Environment, StoryEvent, SyntheticPerson, identifier, make_person
from streams.simulate.stays import add_encounters

DEFAULT_START = date(2026, 6, 1)
"""A Monday without a holiday in its week. Fixed, because the output must not depend on the current date."""
BASELINE_MS = HOUR_MS
"""Care teams, conditions and goals are sent within the hour before the first day."""

FAULTS: tuple[str, ...] = ("late", "repeated", "out-of-order", "cancelled", "merged")


class FaultError(ValueError):
    """A fault is unknown, or its share is not a number from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """The arguments of a simulation. The same arguments give the same bytes on any day and any machine."""

    seed: int
    people: int
    days: int
    hospitals: int = 3
    faults: Mapping[str, float] = field(default_factory=dict)
    start: date = DEFAULT_START
    secret: bytes = DEMO_SECRET


class SyntheticEvent(NamedTuple):
    """A synthetic event, with the identifiers of its keys. Only lines in files contain the identifiers."""

    event: Event
    identifier: str
    into: str = ""


def faults_of(text: str, model: Model | None = None) -> dict[str, float]:
    """Parse `late,repeated`, `late=0.1`, `all` or `none`; return shares by fault. A fault without a share gets the model's.

    Raises FaultError.
    """
    known = (model or load_model()).faults
    if text.strip() in {"", "none"}:
        return {}
    if text.strip() == "all":
        return dict(known)
    found: dict[str, float] = {}
    for part in text.split(","):
        name, given, value = part.strip().partition("=")
        if name not in known:
            raise FaultError(f"{name!r} is not a fault; write all, none, or a list of {', '.join(FAULTS)}, each optionally with =share")
        try:
            share = float(value) if given else known[name]
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise FaultError(f"{name}: the share must be a number from 0 to 1, for example {name}=0.05")
        found[name] = share
    return {name: found[name] for name in FAULTS if name in found}


def simulate(wanted: Simulation, agent: Agent | None = None) -> list[SyntheticEvent]:
    """Generate the events of *wanted*, in the order of arrival. With *agent* (in memory), answers to its decisions are added.

    Needs about 3 kB of memory per event. A month of ten thousand people takes seconds.
    """
    environment = _environment(wanted)
    answering = None if agent is None else Answering(agent, environment.model, wanted.seed, environment.end)
    made: list[tuple[int, int, int, int, SyntheticEvent]] = []
    for number in range(wanted.people):
        for index, one in enumerate(_events_of(environment, wanted, number, answering)):
            made.append((one.event.arrival, TOPIC_OF[one.event.type].rank, number, index, one))
    made.sort(key=lambda entry: entry[:4])
    return [entry[4] for entry in made]


def line_of(made: SyntheticEvent) -> dict[str, object]:
    """Return the line of *made* that `carerelay replay` and `play` can read. It contains the person's identifier, not the key."""
    event = made.event
    line: dict[str, object] = {
        "type": event.type,
        "id": event.id,
        "source": event.source,
        "time": format_instant(event.time),
        "recorded": format_instant(event.arrival),
        "person": {"authority": AUTHORITY, "identifier": made.identifier},
        "data": {"into": {"authority": AUTHORITY, "identifier": made.into}} if made.into else fact_to_json(event.data),
    }
    return line


_encode = msgspec.json.Encoder().encode


def lines_of(made: Iterable[SyntheticEvent]) -> Iterator[bytes]:
    """Yield each event as a line of JSON, without a line end."""
    for one in made:
        yield _encode(line_of(one))


# ---- private


def _environment(wanted: Simulation) -> Environment:
    model = load_model()
    hospitals = model.hospitals(wanted.hospitals)
    start = Millis(int(datetime(wanted.start.year, wanted.start.month, wanted.start.day, tzinfo=UTC).timestamp()) * 1000)
    days = {zone: Days(wanted.start, wanted.days, zone) for zone in sorted({h.zone for h in hospitals})}
    end = Millis(start + wanted.days * DAY_MS)
    return Environment(model, hospitals, days, start, end, wanted.start, dict(wanted.faults))


def _events_of(environment: Environment, wanted: Simulation, number: int, answering: Answering | None) -> Iterator[SyntheticEvent]:
    person = make_person(environment, wanted.seed, number)
    _add_baseline(person)
    add_encounters(person)
    _add_other_events(person)
    if not person.story:
        return
    story = _with_faults(person, Chance(environment.model, wanted.seed, "faults", number))
    names = (identifier(number, 0), identifier(number, 1))
    keys = [person_key(wanted.secret, AUTHORITY, name) for name in names[: 1 if person.merges_at is None else 2]]
    events = [Event(_id(wanted.seed, number, t.number), t.source, t.time, t.arrival, keys[t.identity], _fact(t.fact, keys)) for t in story]
    if answering is not None:
        events = answering.answered(events)
    for event in events:
        into = ""
        if isinstance(event.data, PersonMerged):
            into = names[0]
        yield SyntheticEvent(event, names[keys.index(event.person)], into)


def _fact(fact: msgspec.Struct, keys: list[PersonKey]) -> msgspec.Struct:
    """Return *fact*. A merge gets the key of the surviving identifier here, because it is not known when the story is generated."""
    return PersonMerged(PersonRef(keys[0])) if isinstance(fact, PersonMerged) else fact


def _id(seed: int, number: int, index: int) -> str:
    return "M" + sha1(f"{seed}|{number}|{index}".encode(), usedforsecurity=False).hexdigest()[:23]


def _add_baseline(person: SyntheticPerson) -> None:
    """Add the state at the start of the simulation: care team, conditions, consents, goals."""
    chance, environment = person.chance, person.environment
    at = int(environment.start - BASELINE_MS * (0.05 + 0.9 * chance.draw()))
    practice = f"urn:practice:{person.home.practice}"
    if chance.happens("roster"):
        person.add(at, practice, CareTeamChanged(aftercare.team_of(person), replace=True))
        person.add(at + 1000, practice, PersonUpdated(birth_date=person.birth_date))
        for code in person.conditions:
            person.add(at + 2000, practice, ConditionRecorded(code, person.system, "active"))
    sensitive = person.sensitivities()
    for kind in sensitive:
        if chance.happens("consent_sensitive"):
            person.add(at + 3000, practice, ConsentChanged("permit", sensitivity=kind))
    if chance.happens("consent_denied"):
        recipient = chance.one_of(("caregiver", "social-care", "community-nurse", "care-coordinator", "pcp"))
        person.add(at + 4000, practice, ConsentChanged("deny", recipient=recipient))
    if chance.happens("with_goal"):
        aftercare.begin_goal(person, at + 5000, proposed=False)


def _add_other_events(person: SyntheticPerson) -> None:
    """Add events that do not follow from a stay: referrals, new goals, death at home, and the merge of two identifiers."""
    chance, environment = person.chance, person.environment
    model = environment.model
    years = (environment.end - environment.start) / (365 * DAY_MS)
    office = model.profiles["office"]
    for _ in range(chance.count(model.rate("referrals") / 1000 * years)):
        aftercare.refer(person, person.days.instant(chance, office))
    for _ in range(chance.count(model.rate("goal_proposed") / 1000 * years)):
        aftercare.begin_goal(person, person.days.instant(chance, office), proposed=True)
    if person.died is None and chance.count(model.rate("deaths") / 1000 * years):
        at = person.days.instant(chance, model.profiles["emergency"])
        if at > person.busy_until:
            person.add(at, f"urn:practice:{person.home.practice}", PersonUpdated(deceased=True, deceased_at=at))
            person.story = [t for t in person.story if t.time <= at]
    if person.merges_at is not None:
        person.add(person.merges_at, f"urn:hospital:{person.home.source}", PersonMerged(PersonRef(PersonKey(""))), 1)


def _with_faults(person: SyntheticPerson, chance: Chance) -> list[StoryEvent]:
    """Add the faults of transmission; return the events in the order of arrival."""
    environment = person.environment
    late, repeated, overtaken = (environment.share_of(fault) for fault in ("late", "repeated", "out-of-order"))
    story = sorted(person.story, key=lambda t: (t.arrival, t.number))
    found: list[StoryEvent] = []
    for n, one in enumerate(story):
        arrival = one.arrival
        if chance.share(late):
            arrival = Millis(arrival + chance.milliseconds("late_hours"))
        elif chance.share(overtaken) and n + 1 < len(story):
            # This event arrives after the next one.
            arrival = Millis(max(arrival, story[n + 1].arrival + 1000))
        found.append(one._replace(arrival=arrival))
        if chance.share(repeated):
            found.extend(
                one._replace(arrival=Millis(arrival + chance.milliseconds("repeat_hours")), repeat=again)
                for again in range(1, 2 + int(chance.draw() * 1.3))
            )
    found.sort(key=lambda t: (t.arrival, t.number, t.repeat))
    return found
