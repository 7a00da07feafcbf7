"""Merging two persons: nothing is lost or duplicated, and later records of the merged person reach the surviving one."""

from __future__ import annotations

from typing import Any

import pytest
from timeline import millis

from agents.coordination.decide import decide
from agents.coordination.handoffs.merge import MERGED, OWN
from agents.coordination.person.state import Person, pack, unpack
from agents.coordination.rules.world import World
from streams.contract import effects as out
from streams.contract import events as e
from streams.contract.events import EncounterRef, Event, Member, Millis, Party, PersonKey, PersonRef, Practitioner

ANNA, ANNE, THIRD = PersonKey("p1.anna"), PersonKey("p1.anne"), PersonKey("p1.third")
START = millis("2026-07-02T15:00", "America/New_York")


class Two:
    """Several persons, with the relay between them: moved states and forwarded events arrive immediately."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.states: dict[str, bytes] = {}
        self.effects: list[Any] = []
        self.now = START
        self.count = 0

    def at(self, person: PersonKey, fact: Any, hours: float = 0, id_: str = "") -> list[Any]:
        self.count += 1
        time = Millis(START + int(hours * 3_600_000))
        self.now = max(self.now, time)
        event = Event(id_ or f"E{self.count}", "urn:test", time, self.now, person, fact)
        return self._apply(event)

    def _apply(self, event: Event, hops: int = 0) -> list[Any]:
        assert hops < 10, "a record is forwarded in an endless loop"
        packed = self.states.get(event.person)
        decision = decide(unpack(packed) if packed else None, event, self.now, self.world)
        if decision.person is None:
            self.states.pop(event.person, None)
        else:
            self.states[event.person] = pack(decision.person)
        found = list(decision.effects)
        for effect in decision.effects:
            if isinstance(effect, out.StateMoved):
                moved = e.PersonStateMoved(effect.person, effect.state)
                found += self._apply(Event(effect.id, "urn:relay", self.now, self.now, effect.into.key, moved), hops + 1)
            elif isinstance(effect, out.EventForwarded):
                found += self._apply(Event(event.id, event.source, event.time, event.arrival, effect.into.key, event.data), hops + 1)
        if not hops:
            self.effects += found
        return found

    def person(self, key: PersonKey) -> Person:
        return unpack(self.states[key])

    def open(self, key: PersonKey) -> list[tuple[str, int]]:
        return sorted((h.rule, h.due) for h in self.person(key).handoffs if not h.closed_at)


@pytest.fixture
def two(spine: World) -> Two:
    return Two(spine)


def discharge(visit: str, facility: str = "GENERAL") -> e.PatientDischarged:
    return e.PatientDischarged(EncounterRef(facility, visit), "home", members=(Member("pcp", Party("pcp", Practitioner("8801"))),))


def merged(into: PersonKey) -> e.PersonMerged:
    return e.PersonMerged(PersonRef(into))


def test_handoffs_move_with_their_ids_and_dues_and_a_stub_remains(two):
    two.at(ANNE, discharge("V1"))
    before = two.open(ANNE)
    ids = {h.id for h in two.person(ANNE).handoffs}
    effects = two.at(ANNE, merged(ANNA), 1)
    assert two.open(ANNA) == before
    assert {h.id for h in two.person(ANNA).handoffs} == ids
    stub = two.person(ANNE)
    assert (stub.into, stub.handoffs, stub.encounters) == (ANNA, [], [])
    lines = [x for x in effects if isinstance(x, out.TaskState)]
    assert {x.person for x in lines} == {ANNA}
    assert len(lines) == 3


def test_later_events_of_the_merged_person_reach_the_surviving_one(two):
    two.at(ANNE, discharge("V1"))
    task = next(x.handoff for x in two.effects if isinstance(x, out.TaskState) and x.rule == "DIS-1")
    two.at(ANNE, merged(ANNA), 1)
    effects = two.at(ANNE, e.TaskCompleted(task, Party("care-coordinator"), "done"), 2)
    assert isinstance(effects[0], out.EventForwarded)
    assert [(x.rule, x.state, x.person) for x in effects if isinstance(x, out.TaskState)] == [("DIS-1", "completed", ANNA)]


def test_same_handoff_of_both_persons_continues_once_as_the_older_one(two):
    two.at(ANNA, discharge("V1"), 0)
    two.at(ANNE, discharge("V1"), 1)
    two.at(ANNE, merged(ANNA), 2)
    rules = [rule for rule, _ in two.open(ANNA)]
    assert rules.count("TCM-1") == 1
    assert rules.count("DIS-1") == 1
    (contact,) = [h for h in two.person(ANNA).handoffs if h.rule == "TCM-1" and not h.closed_at]
    assert contact.opened_at == START
    assert len(two.person(ANNA).encounters) == 1


def test_merge_that_comes_twice_changes_nothing(two):
    two.at(ANNE, discharge("V1"))
    two.at(ANNE, merged(ANNA), 1, id_="M")
    before = two.states[ANNA]
    effects = two.at(ANNE, merged(ANNA), 2, id_="M")
    assert [x.reason for x in effects] == ["duplicate"]
    assert two.states[ANNA] == before


def test_event_that_both_persons_had_is_a_duplicate_after_their_merge(two):
    two.at(ANNE, discharge("V1"), id_="D")
    two.at(ANNE, merged(ANNA), 1)
    effects = two.at(ANNA, discharge("V1"), id_="D")
    assert [x.reason for x in effects] == ["duplicate"]


def test_chain_of_merges_ends_at_the_last(two):
    two.at(ANNE, discharge("V1"))
    two.at(ANNE, merged(ANNA), 1)
    two.at(ANNA, merged(THIRD), 2)
    assert len(two.open(THIRD)) == 3
    effects = two.at(ANNE, e.AdmissionCancelled(EncounterRef("GENERAL", "V1")), 3)
    assert two.open(THIRD) == []
    assert {x.person for x in effects if isinstance(x, out.TaskState)} == {THIRD}


def test_state_that_arrives_at_a_stub_is_sent_on(two):
    two.at(ANNA, merged(THIRD), 0)
    two.at(ANNE, discharge("V1"), 1)
    two.at(ANNE, merged(ANNA), 2)
    assert len(two.open(THIRD)) == 3
    assert two.person(ANNA).into == THIRD


@pytest.mark.parametrize("round_", [(ANNE, ANNA), (ANNE, ANNA, THIRD)])
def test_records_merged_in_a_circle_do_not_lose_the_person(two, round_):
    two.at(ANNE, discharge("V1"))
    for i, key in enumerate(round_):
        two.at(key, merged(round_[(i + 1) % len(round_)]), i + 1)
    alive = [key for key in round_ if not two.person(key).into]
    assert len(alive) == 1
    assert len(two.open(alive[0])) == 3
    for key in round_:
        two.at(key, e.GoalUpdated(f"G-{key}", "active", "sleep"), 10)
    assert len(two.person(alive[0]).goals) == len(round_)


def test_person_merged_into_themselves_is_refused(two):
    two.at(ANNE, discharge("V1"))
    effects = two.at(ANNE, merged(ANNE), 1)
    assert [x.reason for x in effects] == ["merged-into-itself"]
    assert len(two.open(ANNE)) == 3


def test_refusal_to_share_moves_with_the_person(two):
    two.at(ANNE, e.ConsentChanged("deny"), 0)
    two.at(ANNA, e.ConsentChanged("permit"), -1)
    two.at(ANNE, merged(ANNA), 1)
    effects = two.at(ANNA, discharge("V1"), 2)
    assert not any(isinstance(x, out.NotificationIssued) for x in effects)


def test_clocks_of_one_record_end_with_the_death_known_to_the_other(two):
    two.at(ANNE, discharge("V1"))
    two.at(ANNA, e.PersonUpdated(deceased=True), 0.5)
    two.at(ANNE, merged(ANNA), 1)
    assert two.open(ANNA) == []


def test_every_field_of_a_person_has_its_way_of_being_merged():
    told_apart = {"encounters", "handoffs", "deceased", "deceased_encounter"}
    assert set(Person.__struct_fields__) == MERGED.keys() | OWN | told_apart


def test_newest_consent_counts_after_a_merge_and_of_one_instant_the_refusal(two):
    two.at(ANNE, e.ConsentChanged("permit", "pcp"), 0)
    two.at(ANNA, e.ConsentChanged("deny", "pcp"), 0)
    two.at(ANNE, e.ConsentChanged("deny", "lead"), 1)
    two.at(ANNA, e.ConsentChanged("permit", "lead"), 2)
    two.at(ANNE, merged(ANNA), 3)
    assert {c.recipient: c.permit for c in two.person(ANNA).consents} == {"pcp": False, "lead": True}
