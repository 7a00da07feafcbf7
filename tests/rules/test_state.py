"""A person's state: its packed form, its size, its retention, and the size limit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from timeline import PERSON, Timeline, millis

from agents.coordination.decide import after_failure, decide, decide_packed, expire
from agents.coordination.person.retention import LASTING, POLICIES
from agents.coordination.person.state import (
    HEAD_BYTES,
    Person,
    TeamMember,
    UnreadableStateError,
    next_deadline,
    pack,
    packed_deadline,
    unpack,
)
from agents.coordination.reference.reference_data import CareSettings
from agents.coordination.rules.world import World
from streams.contract import effects as out
from streams.contract.events import (
    Diagnosis,
    EncounterRef,
    Event,
    GoalUpdated,
    Member,
    Millis,
    Party,
    PatientAdmitted,
    PatientDischarged,
    PersonKey,
    Practitioner,
)

STAY = {"facility": "GENERAL", "visit": "V1"}
PCP = [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]
DAY = 86_400_000


def discharged(t: Timeline) -> Timeline:
    t.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=PCP)
    return t


def test_packed_state_reads_back_equal_and_shows_its_deadline_without_decoding(story):
    packed = discharged(story)._packed
    person = unpack(packed)
    assert unpack(pack(person)) == person
    assert packed_deadline(packed) == next_deadline(person)
    assert packed_deadline(packed[:HEAD_BYTES]) == next_deadline(person)
    assert packed_deadline(pack(Person(PERSON))) is None


def test_newer_state_version_and_broken_bytes_are_never_guessed():
    packed = pack(Person(PERSON))
    for broken in (b"", packed[:5], packed[:-3], bytes((packed[0] + 1,)) + packed[1:], packed[:HEAD_BYTES] + b"\x93\x01"):
        with pytest.raises(UnreadableStateError):
            unpack(broken)


def test_state_of_the_next_release_with_more_fields_is_read():
    person = Person(PERSON, members=[TeamMember("pcp", "practitioner:8801")])
    written = msgspec.msgpack.decode(pack(person)[HEAD_BYTES:])
    written[3][0].append("a field of the next release")
    written.append({"and": "another"})
    assert unpack(pack(person)[:HEAD_BYTES] + msgspec.msgpack.encode(written)) == person


def test_state_of_the_last_release_with_fewer_fields_is_read():
    written = msgspec.msgpack.decode(pack(Person(PERSON))[HEAD_BYTES:])
    assert unpack(pack(Person(PERSON))[:HEAD_BYTES] + msgspec.msgpack.encode(written[:4])) == Person(PERSON)


def test_open_handoff_costs_at_most_450_bytes_with_key_slot_and_timer(spine):
    """Three handoffs per person, after an admission, updates and a discharge: the case for which the size is guaranteed."""
    key = PersonKey("p1." + "k" * 43)
    stay = EncounterRef("GENERAL", "V770001")
    members = (Member("pcp", Party("pcp", Practitioner("8801"))), Member("attending", Party("attending", Practitioner("771"))))
    at = millis("2026-07-01T09:00", "America/New_York")
    packed = None
    for i, fact in enumerate(
        (
            PatientAdmitted(stay, "IMP", via_emergency=True, diagnoses=(Diagnosis("icd10", "I50.9", 1),), members=members),
            PatientDischarged(stay, "home"),
        )
    ):
        when = Millis(at + i * 3_600_000)
        packed, _ = decide_packed(
            packed, Event(f"{i}b0c7d2e-aaaa-5bbb-8ccc-1234567890ab", "urn:hospital:general", when, when, key, fact), when, spine
        )
    handoffs = sum(1 for h in unpack(packed).handoffs if not h.closed_at)
    assert handoffs == 3
    bytes_object, key_object, dict_slot, timer = 33, 33 + 46, 104, 32 + 16
    assert (len(packed) + bytes_object + key_object + dict_slot + timer) / handoffs <= 450


def test_hashes_are_kept_for_thirty_days_after_arrival_and_after_the_end_of_the_stay(story):
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, **{"class": "IMP"})
    story.at("2026-08-20T09:00", "TaskClaimed", task="x", by={"role": "pcp", "practitioner": "1"})
    assert len(unpack(story._packed).seen) == 24, "the encounter is open, so nothing is deleted"
    story.at("2026-08-21T09:00", "PatientDischarged", encounter=STAY, disposition="home")
    story.until("2026-09-20T08:00")
    assert len(unpack(story._packed).seen) == 36
    story.until("2026-10-30T00:00")
    assert unpack(story._packed).seen == b""


def test_closed_handoff_is_kept_for_its_late_window_and_the_stay_for_thirteen_months_then_nothing_is_left(story):
    discharged(story)
    story.at("2026-07-03T09:00", "TaskCompleted", task=story.tasks("DIS-1")[0].handoff, by={"role": "care-coordinator"}, outcome="done")
    story.at(
        "2026-07-03T10:00",
        "CareActivityRecorded",
        activity="A",
        code="interactive-contact",
        status="completed",
        start="2026-07-03T10:00:00-04:00",
        performer={"role": "pcp"},
    )
    story.at("2026-07-03T10:00", "TaskAcknowledged", task=story.tasks("NOT-2")[0].handoff, by={"role": "pcp", "practitioner": "8801"})
    story.until("2026-08-01T00:00")
    assert len(unpack(story._packed).handoffs) == 3
    story.until("2026-09-01T00:00")
    person = unpack(story._packed)
    assert (person.handoffs, person.notifications, person.seen, person.recent) == ([], [], b"", [])
    assert len(person.encounters) == 1
    story.until("2027-07-31T00:00")
    assert story._packed is not None
    story.until("2027-09-30T00:00")
    assert story._packed is None


def test_consent_goals_and_the_asserted_team_are_never_forgotten_by_time(story):
    story.at("2026-06-01T09:00", "ConsentChanged", decision="deny")
    story.at("2026-06-01T09:00", "CareTeamChanged", members=PCP)
    discharged(story)
    story.until("2030-01-01T00:00")
    person = unpack(story._packed)
    assert person.consents
    assert person.members


def test_event_that_would_outgrow_the_cap_is_refused_and_the_state_stays(spine):
    small = World(spine.catalogue, spine.directory, spine.valuesets, CareSettings(state_bytes_max=4_000))
    at = millis("2026-07-01T09:00", "America/New_York")

    def event(n: int, words: str) -> Event:
        return Event(f"G{n}", "urn:test", Millis(at + n), Millis(at + n), PERSON, GoalUpdated(f"G{n}", "active", words))

    packed, _ = decide_packed(None, event(1, "short"), at, small)
    kept, effects = decide_packed(packed, event(2, "x" * 5_000), Millis(at + 2), small)
    assert kept == packed
    assert [(type(e), e.reason) for e in effects] == [(out.EventRefused, "state-cap")]
    kept, effects = decide_packed(packed, event(3, "short again"), Millis(at + 3), small)
    assert kept is not None
    assert effects == ()


def test_state_after_a_rule_raised_is_flagged_and_has_no_due_deadline(story):
    discharged(story)
    person = unpack(story._packed)
    due = next_deadline(person)
    kept = unpack(pack(after_failure(person, PERSON, due)))
    assert kept.history_incomplete
    assert next_deadline(kept) > due


def test_same_input_gives_the_same_bytes(spine):
    def run() -> tuple[bytes, list[Any]]:
        t = discharged(Timeline(asked=spine))
        t.until("2026-07-10T00:00")
        assert t._packed
        return t._packed, t.effects

    assert run() == run()


def test_decision_leaves_nothing_due_at_or_before_the_deadline_that_it_fired(story):
    discharged(story)
    person = unpack(story._packed)
    limit = millis("2027-12-01T00:00", story.zone)
    last, steps = Millis(0), 0
    while person is not None and (deadline := next_deadline(person)) is not None and deadline <= limit:
        assert deadline >= last
        last, steps = deadline, steps + 1
        assert steps < 50
        decision = expire(person, deadline, story.world)
        assert {e.at for e in decision.effects} <= {deadline}
        person = decision.person


def test_expire_before_the_deadline_does_nothing(story):
    discharged(story)
    person = unpack(story._packed)
    decision = expire(person, Millis(next_deadline(person) - 1), story.world)
    assert decision.effects == ()
    assert decision.person == unpack(story._packed)


def test_unknown_person_is_kept_after_an_event_without_handoffs(spine):
    at = millis("2026-07-01T09:00", "America/New_York")
    decision = decide(None, Event("E", "urn:test", at, at, PERSON, GoalUpdated("G", "active", "sleep")), at, spine)
    assert decision.person is not None
    assert decision.person.goals[0].words == "sleep"


def test_stay_without_an_end_is_forgotten_thirteen_months_after_its_last_event(story):
    story.at("2026-07-01T09:00", "PatientAdmitted", encounter=STAY, **{"class": "AMB"})
    story.at("2026-07-01T10:00", "TaskAcknowledged", task=story.tasks("NOT-2")[0].handoff, by={"role": "pcp"})
    story.until("2027-07-30T00:00")
    assert len(unpack(story._packed).encounters) == 1
    story.until("2027-09-30T00:00")
    assert story._packed is None


def test_every_list_of_a_person_has_a_retention_policy_or_is_kept():
    records = {field for field in Person.__struct_fields__ if isinstance(getattr(Person(PERSON), field), list)}
    assert records == POLICIES.keys() | LASTING
    assert not POLICIES.keys() & LASTING
