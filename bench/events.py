"""The care mix: events about synthetic people in hospital (admissions, updates, transfers, discharges, referrals, goals …).

The same seed gives the same events in the same order. Each person is in hospital once, unlike in `carerelay simulate`, where most
people never are. Notifications are acknowledged as often as in `carerelay simulate`. The events of `mix` are a millisecond apart and
end now, so that the benchmark measures events and not overdue deadlines of past days.
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
"""The events of one person lie within this number of days."""
ACKNOWLEDGED_AFTER = 500
"""The number of events between a notification and its acknowledgement."""
AT_ONCE = 1_000
"""How many people are in hospital at the same time."""
SYSTEM = "http://hl7.org/fhir/sid/icd-10-cm"
HOSPITALS = (("GENERAL", "urn:hospital:general", ("8801", "8802", "8803")), ("MERCY", "urn:hospital:mercy", ("8811", "8812")))
CODES = ("I50.9", "E11.9", "J44.1", "N39.0", "S72.001A", "I63.9", "A41.9", "K35.80", "F32.9", "Z51.11")


def story(number: int, start: int, *, secret: bytes = b"bench") -> list[Event]:
    """Return the events of person *number* in the window that begins at *start* (ms), in order of arrival."""
    chance = random.Random(SEED * 1_000_003 + number)
    facility, source, doctors = HOSPITALS[number % len(HOSPITALS)]
    person = person_key(secret, "bench", str(number))
    encounter = EncounterRef(facility, f"V{number}")
    doctor = Practitioner(chance.choice(doctors), "Dr. Lindqvist")
    team = (Member("pcp", Party("pcp", doctor)), Member("caregiver", Party("caregiver", caregiver="daughter")))
    facts: list[tuple[int, str, Any]] = []
    at = start + int(chance.random() * (WINDOW_DAYS - 6) * DAY)

    def emit(after_ms: float, fact: Any, by: str = source) -> None:
        nonlocal at
        at += max(1000, int(after_ms))
        facts.append((at, by, fact))

    if chance.random() < 0.6:
        emit(0, CareTeamChanged(team, replace=True), "urn:practice:riverside-family")
    if chance.random() < 0.3:
        emit(
            HOUR,
            GoalUpdated("G1", "active", "Walk to the café on my own", "person", accepted_by_person=True),
            "urn:practice:riverside-family",
        )
    inpatient = chance.random() < 0.6
    class_ = "IMP" if inpatient else "EMER"
    diagnoses = tuple(Diagnosis(SYSTEM, chance.choice(CODES), rank) for rank in (1, 2)[: chance.randint(1, 2)])
    members = (Member("attending", Party("attending", Practitioner("A1", "Dr. Okafor"))), *(team[:1] if chance.random() < 0.7 else ()))
    emit(HOUR, PatientAdmitted(encounter, class_, not inpatient, Practitioner("A1"), diagnoses, "shortness of breath", "4-WEST", members))
    if chance.random() < 0.02:
        emit(HOUR, AdmissionCancelled(encounter, "entered in error"))
        return _events(number, person, facts)
    # A visit commonly causes 5 to 15 messages, most of them updates (A08).
    for _ in range(chance.randint(4, 12) if inpatient else chance.randint(2, 6)):
        emit(
            chance.expovariate(1 / (6 * HOUR if inpatient else HOUR)),
            EncounterUpdated(encounter, class_, diagnoses=diagnoses, members=members),
        )
    if inpatient and chance.random() < 0.3:
        emit(2 * HOUR, PatientTransferred(encounter, Location(facility, "ICU", "intensive")))
    discharged = PatientDischarged(
        encounter, chance.choice(("home", "home", "home", "snf", "home-health")), diagnoses, ("0SR90JZ",), class_=class_, members=members
    )
    emit(4 * HOUR, discharged)
    if chance.random() < 0.02:
        emit(HOUR, DischargeCancelled(encounter))
        emit(DAY, discharged)
    if chance.random() < 0.35:
        asks = Party("referral-source", organization="general")
        emit(HOUR, ReferralRequested("R1", asks, Party("referral-target", organization="heart-clinic"), "cardiology", encounter=encounter))
        if chance.random() < 0.8:
            emit(20 * HOUR, ReferralStatusChanged("R1", "accepted" if chance.random() < 0.9 else "rejected", "target"), "urn:clinic:heart")
    if chance.random() < 0.5:
        begin = Millis(at + 20 * HOUR)
        nurse = Party("care-coordinator", Practitioner("maria"))
        call = CareActivityRecorded("C1", "telephone-contact", "completed", begin, nurse, encounter=encounter, outcome="reached")
        emit(21 * HOUR, call, "urn:practice:riverside-family")
    if chance.random() < 0.3:
        emit(DAY, GoalUpdated("G1", "active", achievement_status="improving", reviewed=True), "urn:practice:riverside-family")
    return _events(number, person, facts)


def _events(number: int, person: Any, facts: Sequence[tuple[int, str, Any]]) -> list[Event]:
    return [Event(f"bench-{number}-{i}", by, Millis(at // 1000 * 1000), Millis(at), person, fact) for i, (at, by, fact) in enumerate(facts)]


def mix(count: int, agent: Any) -> list[Event]:
    """Return *count* events in order of arrival; the last one arrives now. *agent* decides which notifications to acknowledge."""
    model = load_model()
    now = int(time.time() * 1000)
    memory = Memory([agent])
    events: list[Event] = []
    acknowledgements: deque[tuple[int, str, NotificationIssued, TaskAcknowledged]] = deque()
    for event in _interleaved():
        due = len(events)
        while acknowledgements and acknowledgements[0][0] <= due:
            _, key, notice, fact = acknowledgements.popleft()
            acknowledgement = Event(f"{notice.id}-ack", "urn:carerelay:worklist", event.time, event.arrival, event.person, fact)
            events.append(_at(acknowledgement, key, now - count + len(events)))
            memory.apply(events[-1], events[-1].arrival)
        events.append(_at(event, event.person, now - count + len(events)))
        for published in memory.apply(events[-1], events[-1].arrival):
            effect = published.value
            if isinstance(effect, NotificationIssued):
                for answer in answers_to(effect, model, SEED):
                    if isinstance(answer.fact, TaskAcknowledged):
                        acknowledgements.append((due + ACKNOWLEDGED_AFTER, event.person, effect, answer.fact))
        if len(events) >= count:
            return events[:count]
    raise AssertionError("the generator of events never ends")


def _at(event: Event, person: Any, at: int) -> Event:
    """Return *event* for *person*, arriving at *at* (ms) and happening at least a second earlier."""
    return msgspec.structs.replace(event, person=person, time=Millis(at // 1000 * 1000 - 1000), arrival=Millis(at))


def _interleaved() -> Iterator[Event]:
    """Yield events endlessly: AT_ONCE people in random alternation, each person's events in order."""
    chance = random.Random(SEED + 1)
    numbers = iter(range(1 << 40))
    running = [iter(story(next(numbers), 0)) for _ in range(AT_ONCE)]
    while True:
        index = int(chance.random() * AT_ONCE)
        event = next(running[index], None)
        if event is None:
            running[index] = iter(story(next(numbers), 0))
        else:
            yield event


def rows(events: Sequence[Event]) -> Iterator[Row]:
    """Yield the records for *events*, as a publisher writes them."""
    partitions: dict[str, int] = {}
    for event in events:
        key = event.person.encode()
        number = partitions.get(event.person)
        if number is None:
            number = partitions[event.person] = partition_of(key, PARTITIONS)
        yield TOPIC_OF[event.type].name, number, key, frame(event.data), headers_of(event), None


def type_counts(events: Sequence[Event]) -> list[tuple[str, int]]:
    """Return (type, number of events), the most frequent type first."""
    return Counter(event.type for event in events).most_common()
