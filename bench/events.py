"""The care mix: made persons in hospital, told by admissions, updates, moves, discharges, cancellations, referrals, goals.

The same seed gives the same stories in the same order. Every person is in hospital once, unlike in `carerelay simulate`,
where most people never are. What the rules ask to be acknowledged is acknowledged, as often as in `carerelay simulate`. All of it happens
within the minutes before it is published, so that what is measured are events and not the alarms of a past week.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.kafka import PARTITIONS, Row
from streams.avro.codec import frame, headers_of
from streams.contract.effects import NotificationIssued
from streams.contract.events import (
    AdmissionCancelled,
    CareActivityRecorded,
    CareTeamChanged,
    Diagnosis,
    DischargeCancelled,
    EncounterRef,
    EncounterUpdated,
    Event,
    GoalUpdated,
    Location,
    Member,
    Millis,
    Party,
    PatientAdmitted,
    PatientDischarged,
    PatientTransferred,
    Practitioner,
    ReferralRequested,
    ReferralStatusChanged,
    TaskAcknowledged,
)
from streams.contract.person_key import partition_of, person_key
from streams.shard.memory import Memory
from streams.simulate.answers import answers_to
from streams.simulate.model import load_model
from streams.contract.topics import TOPIC_OF

SEED = 20261123
HOUR, DAY = 3_600_000, 86_400_000
WINDOW_DAYS = 20
"""Stories lie in the last so many days: a backlog is read as it would be after an outage of that length."""
ACKNOWLEDGED_AFTER = 500
"""Events until an acknowledgement comes."""
AT_ONCE = 1_000
"""How many persons are in hospital at a time."""
SYSTEM = "http://hl7.org/fhir/sid/icd-10-cm"
HOSPITALS = (("GENERAL", "urn:hospital:general", ("8801", "8802", "8803")), ("MERCY", "urn:hospital:mercy", ("8811", "8812")))
CODES = ("I50.9", "E11.9", "J44.1", "N39.0", "S72.001A", "I63.9", "A41.9", "K35.80", "F32.9", "Z51.11")


def story(number: int, start: int, *, secret: bytes = b"bench") -> list[Event]:
    """Return what happens to person *number* within the window from *start* (ms), in the order of arrival."""
    chance = random.Random(SEED * 1_000_003 + number)
    facility, source, doctors = HOSPITALS[number % len(HOSPITALS)]
    person = person_key(secret, "bench", str(number))
    encounter = EncounterRef(facility, f"V{number}")
    doctor = Practitioner(chance.choice(doctors), "Dr. Lindqvist")
    seats = (Member("pcp", Party("pcp", doctor)), Member("caregiver", Party("caregiver", caregiver="daughter")))
    told: list[tuple[int, str, Any]] = []
    at = start + int(chance.random() * (WINDOW_DAYS - 6) * DAY)

    def tell(after_ms: float, what: Any, by: str = source) -> None:
        nonlocal at
        at += max(1000, int(after_ms))
        told.append((at, by, what))

    if chance.random() < 0.6:
        tell(0, CareTeamChanged(seats, replace=True), "urn:practice:riverside-family")
    if chance.random() < 0.3:
        tell(
            HOUR,
            GoalUpdated("G1", "active", "Walk to the café on my own", "person", accepted_by_person=True),
            "urn:practice:riverside-family",
        )
    inpatient = chance.random() < 0.6
    class_ = "IMP" if inpatient else "EMER"
    diagnoses = tuple(Diagnosis(SYSTEM, chance.choice(CODES), rank) for rank in (1, 2)[: chance.randint(1, 2)])
    members = (Member("attending", Party("attending", Practitioner("A1", "Dr. Okafor"))), *(seats[:1] if chance.random() < 0.7 else ()))
    tell(HOUR, PatientAdmitted(encounter, class_, not inpatient, Practitioner("A1"), diagnoses, "shortness of breath", "4-WEST", members))
    if chance.random() < 0.02:
        tell(HOUR, AdmissionCancelled(encounter, "entered in error"))
        return _events(number, person, told)
    # 5 to 15 messages a visit are general knowledge; updates (A08) are most of them.
    for _ in range(chance.randint(4, 12) if inpatient else chance.randint(2, 6)):
        tell(
            chance.expovariate(1 / (6 * HOUR if inpatient else HOUR)),
            EncounterUpdated(encounter, class_, diagnoses=diagnoses, members=members),
        )
    if inpatient and chance.random() < 0.3:
        tell(2 * HOUR, PatientTransferred(encounter, Location(facility, "ICU", "intensive")))
    discharged = PatientDischarged(
        encounter, chance.choice(("home", "home", "home", "snf", "home-health")), diagnoses, ("0SR90JZ",), class_=class_, members=members
    )
    tell(4 * HOUR, discharged)
    if chance.random() < 0.02:
        tell(HOUR, DischargeCancelled(encounter))
        tell(DAY, discharged)
    if chance.random() < 0.35:
        asks = Party("referral-source", organization="general")
        tell(HOUR, ReferralRequested("R1", asks, Party("referral-target", organization="heart-clinic"), "cardiology", encounter=encounter))
        if chance.random() < 0.8:
            tell(20 * HOUR, ReferralStatusChanged("R1", "accepted" if chance.random() < 0.9 else "rejected", "target"), "urn:clinic:heart")
    if chance.random() < 0.5:
        begin = Millis(at + 20 * HOUR)
        nurse = Party("care-coordinator", Practitioner("maria"))
        call = CareActivityRecorded("C1", "telephone-contact", "completed", begin, nurse, encounter=encounter, outcome="reached")
        tell(21 * HOUR, call, "urn:practice:riverside-family")
    if chance.random() < 0.3:
        tell(DAY, GoalUpdated("G1", "active", achievement_status="improving", reviewed=True), "urn:practice:riverside-family")
    return _events(number, person, told)


def _events(number: int, person: Any, told: Sequence[tuple[int, str, Any]]) -> list[Event]:
    return [Event(f"bench-{number}-{i}", by, Millis(at // 1000 * 1000), Millis(at), person, what) for i, (at, by, what) in enumerate(told)]


def mix(count: int, agent: Any) -> list[Event]:
    """Return *count* events in the order of arrival; the last happens now."""
    model = load_model()
    now = int(time.time() * 1000)
    memory = Memory([agent])
    made: list[Event] = []
    acknowledgements: deque[tuple[int, str, NotificationIssued, TaskAcknowledged]] = deque()
    for event in _in_turn():
        due = len(made)
        while acknowledgements and acknowledgements[0][0] <= due:
            _, key, notice, fact = acknowledgements.popleft()
            told = Event(f"{notice.id}-ack", "urn:carerelay:worklist", event.time, event.arrival, event.person, fact)
            made.append(_at(told, key, now - count + len(made)))
            memory.apply(made[-1], made[-1].arrival)
        made.append(_at(event, event.person, now - count + len(made)))
        for published in memory.apply(made[-1], made[-1].arrival):
            effect = published.value
            if isinstance(effect, NotificationIssued):
                for answer in answers_to(effect, model, SEED):
                    if isinstance(answer.fact, TaskAcknowledged):
                        acknowledgements.append((due + ACKNOWLEDGED_AFTER, event.person, effect, answer.fact))
        if len(made) >= count:
            return made[:count]
    raise AssertionError("stories never end")


def _at(event: Event, person: Any, at: int) -> Event:
    """Return *event* as happening at *at* (ms) and arriving a second later."""
    return msgspec.structs.replace(event, person=person, time=Millis(at // 1000 * 1000 - 1000), arrival=Millis(at))


def _in_turn() -> Iterator[Event]:
    """Yield the events of ever more persons, AT_ONCE of them at a time, each one's in their order."""
    chance = random.Random(SEED + 1)
    numbers = iter(range(1 << 40))
    running = [iter(story(next(numbers), 0)) for _ in range(AT_ONCE)]
    while True:
        place = int(chance.random() * AT_ONCE)
        event = next(running[place], None)
        if event is None:
            running[place] = iter(story(next(numbers), 0))
        else:
            yield event


def rows(events: Sequence[Event]) -> Iterator[Row]:
    """Yield the records of *events* as publishers write them."""
    partitions: dict[str, int] = {}
    for event in events:
        key = event.person.encode()
        number = partitions.get(event.person)
        if number is None:
            number = partitions[event.person] = partition_of(key, PARTITIONS)
        yield TOPIC_OF[event.type].name, number, key, frame(event.data), headers_of(event), None


def said(events: Sequence[Event]) -> list[tuple[str, int]]:
    """Return how many there are of each type, the most first."""
    return Counter(event.type for event in events).most_common()
