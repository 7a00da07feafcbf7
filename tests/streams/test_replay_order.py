"""The replay itself: order, deadlines, the end, and the same bytes each time. The agent here counts events and sets an alarm."""

from __future__ import annotations

import itertools
import struct

import pytest

from streams.contract.effects import EffectSuppressed
from streams.contract.events import (
    AdmissionCancelled,
    EncounterRef,
    Event,
    Millis,
    PatientAdmitted,
    PatientDischarged,
    PersonKey,
    PersonMerged,
    PersonRef,
    PersonStateMoved,
)
from streams.contract.instants import format_instant
from streams.contract.topics import ADMISSION, AUDIT, DEAD_LETTER, DISCHARGE, RELAY
from streams.intake.reading import Arrived, Ignored, Refused
from streams.output.lines import write_line
from streams.replay.replay import replay
from streams.shard.agent import BY_KEY, OWN_SHARD, Outcome
from streams.shard.memory import EndlessDeadline, MemoryForm

A, B = PersonKey("p1.a"), PersonKey("p1.b")
STAY = EncounterRef("GENERAL", "V1")
ALARM_MS = 100


def line_effect(kind: str, key: PersonKey, at: Millis, cause: str) -> EffectSuppressed:
    return EffectSuppressed(f"{kind}-{cause}", at, key, cause, kind, 1, "nobody", kind, "urn:test")


class Alarms:
    """Each admission sets an alarm 100 ms after its arrival. A cancellation removes it, and a merge moves it."""

    inbound = (ADMISSION.name, RELAY.name)
    relay, dead_letters = RELAY.name, DEAD_LETTER.name
    form = MemoryForm()

    def read(self, origin, arrival):
        return origin.record.key, self.form.read(origin, arrival)

    def wrap(self, key, origin):
        return self.form.wrap(key, origin, "", "")

    def decide(self, key, packed, event, now, origin):
        match event.data:
            case PatientAdmitted(class_="BROKEN"):
                raise KeyError("PATIENT NAME")
            case PatientAdmitted(class_="GONE-ON"):
                if event.person == B:
                    return said(packed, "forwarded", key, now, event.id)
                return Outcome(packed, [(BY_KEY, RELAY.name, B.encode(), *self.wrap(B.encode(), origin))])
            case PatientAdmitted():
                return said(struct.pack(">q", now + ALARM_MS), "set", key, now, event.id)
            case PersonMerged(into):
                moved = Event("m", "urn:test", now, now, into.key, PersonStateMoved(event.person, packed or b""))
                return Outcome(None, [(BY_KEY, RELAY.name, into.key.encode(), *self.form.write(moved))])
            case PersonStateMoved(origin, state):
                return said(state, "moved", key, now, origin)
            case _:
                return said(None, "unset", key, now, event.id)

    def expire(self, key, packed, now):
        assert now == self.deadline(packed)
        return said(None, "alarm", key, now, "clock")

    def after_failure(self, key, packed, now):
        return packed

    def deadline(self, packed):
        return struct.unpack(">q", packed[:8])[0]

    def open_handoffs(self, packed):
        return 1


def said(packed: bytes | None, kind: str, key: bytes, at: Millis, cause: str) -> Outcome:
    return Outcome(packed, [(OWN_SHARD, AUDIT.name, key, line_effect(kind, PersonKey(key.decode()), at, cause), ())], [kind])


ids = itertools.count()


def came(at: int, fact, key: PersonKey = A) -> Arrived:
    return Arrived(Event(f"e{next(ids)}", "urn:test", Millis(at), Millis(at), key, fact), Millis(at), "f:1")


def replayed(arrivals, until=None) -> list[tuple[str, str, str]]:
    return [(line["rule"], line["person"], line["at"]) for line in replay(arrivals, [Alarms()], until)]


def at(millis: int) -> str:
    return format_instant(Millis(millis))


ADMITTED, CANCELLED = PatientAdmitted(STAY, "IMP"), AdmissionCancelled(STAY)


@pytest.mark.parametrize(("later", "alarmed"), [(99, False), (100, False), (101, True)])
def test_deadline_fires_before_a_record_that_is_later_and_only_then(later, alarmed):
    kinds = [kind for kind, _, _ in replayed([came(0, ADMITTED), came(later, CANCELLED)])]
    assert kinds == (["set", "alarm", "unset"] if alarmed else ["set", "unset"])


def test_time_never_goes_back_and_an_older_arrival_fires_nothing_early():
    story = [came(500, ADMITTED), came(100, ADMITTED, B), came(600, CANCELLED), came(601, CANCELLED)]
    assert replayed(story) == [
        ("set", A, at(500)),
        ("set", B, at(500)),
        ("unset", A, at(600)),
        ("alarm", B, at(600)),
        ("unset", A, at(601)),
    ]


@pytest.mark.parametrize(("until", "alarmed"), [(None, False), (199, False), (200, True), (10_000, True)])
def test_at_the_end_what_is_due_until_the_given_time_fires(until, alarmed):
    kinds = [kind for kind, _, _ in replayed([came(100, ADMITTED)], until and Millis(until))]
    assert kinds == (["set", "alarm"] if alarmed else ["set"])


def test_deadline_at_the_last_arrival_fires_by_default():
    assert [k for k, _, _ in replayed([came(0, ADMITTED), came(100, ADMITTED, B)])] == ["set", "set", "alarm"]


def test_until_before_the_last_arrival_drops_no_message():
    assert [k for k, _, _ in replayed([came(0, ADMITTED), came(500, ADMITTED, B)], Millis(50))] == ["set", "alarm", "set"]


def test_deadlines_of_one_instant_fire_by_person_key_whatever_came_first():
    assert replayed([came(0, ADMITTED, B), came(0, ADMITTED, A), came(900, CANCELLED)])[2:4] == [
        ("alarm", A, at(100)),
        ("alarm", B, at(100)),
    ]


def test_alarm_that_was_moved_fires_once_at_its_new_time():
    assert replayed([came(0, ADMITTED), came(50, ADMITTED), came(900, CANCELLED)])[2] == ("alarm", A, at(150))
    assert [k for k, _, _ in replayed([came(0, ADMITTED), came(50, ADMITTED), came(900, CANCELLED)])].count("alarm") == 1


def test_merged_person_takes_state_and_alarm_along():
    story = [came(0, ADMITTED), came(10, PersonMerged(PersonRef(B))), came(900, CANCELLED, A)]
    assert replayed(story) == [("set", A, at(0)), ("moved", B, at(10)), ("alarm", B, at(100)), ("unset", A, at(900))]


def test_event_of_a_merged_person_is_decided_for_the_surviving_one():
    assert replayed([came(3, PatientAdmitted(STAY, "GONE-ON"))]) == [("forwarded", B, at(3))]


def test_refused_and_ignored_messages_are_lines_in_their_place():
    refused = Arrived(Refused("segment-missing", "PV1", "", "urn:h", "r1", trigger="A03"), Millis(5), "a.hl7:9")
    ignored = Arrived(Ignored("tracking-only", "urn:h", "i1", "ADT^A10"), Millis(6), "a.hl7:12")
    lines = list(replay([came(0, ADMITTED), refused, ignored], [Alarms()]))
    assert [line["effect"] for line in lines] == ["suppressed", "refused", "ignored"]
    assert (lines[1]["reason"], lines[1]["segment"], lines[1]["source"], lines[1]["where"]) == (
        "segment-missing",
        "PV1",
        "urn:h",
        "a.hl7:9",
    )
    assert lines[2]["at"] == at(6)


def test_rule_that_raises_is_a_line_without_the_exceptions_text_and_the_replay_continues():
    broken = came(1, PatientAdmitted(STAY, "BROKEN"))
    lines = list(replay([came(0, ADMITTED), broken, came(2, ADMITTED, B)], [Alarms()]))
    assert [line.get("reason") for line in lines] == ["set", "rule-failed", "set"]
    assert b"PATIENT NAME" not in b"".join(map(write_line, lines))


def test_deadline_that_changes_nothing_is_given_up_like_a_rule_that_raises():
    class Stuck(Alarms):
        def expire(self, key, packed, now):
            return Outcome(packed)

    lines = list(replay([came(0, ADMITTED), came(900, ADMITTED, B)], [Stuck()]))
    assert [(line["reason"], line["person"], line["at"]) for line in lines] == [
        ("set", A, at(0)),
        ("rule-failed", A, at(100)),
        ("set", B, at(900)),
    ]


def test_deadline_that_stays_after_firing_is_an_error_and_not_an_endless_loop():
    class Endless(Alarms):
        def expire(self, key, packed, now):
            return Outcome(packed + b"x")

    with pytest.raises(EndlessDeadline):
        list(replay([came(0, ADMITTED), came(900, CANCELLED)], [Endless()]))


def test_deadlines_of_several_agents_fire_in_the_order_of_their_time():
    class Others(Alarms):
        inbound = (DISCHARGE.name,)

        def decide(self, key, packed, event, now, origin):
            return said(struct.pack(">q", now + ALARM_MS), "set", key, now, event.id)

    left = PatientDischarged(STAY, "home")
    story = [came(0, ADMITTED, B), came(0, left, B), came(0, left, A), came(10, ADMITTED, A), came(900, CANCELLED)]
    lines = list(replay(story, [Alarms(), Others()]))
    fired = [(line["person"], line["at"]) for line in lines if line["rule"] == "alarm"]
    assert fired == [(A, at(100)), (B, at(100)), (B, at(100)), (A, at(110))]


def test_record_of_one_agent_for_another_is_decided_after_the_deadlines_that_were_due():
    class Sending(Alarms):
        """Sends each admission to the other agent. Its own deadline is in the past."""

        def decide(self, key, packed, event, now, origin):
            other = Event("other", "urn:test", now, now, B, PatientDischarged(STAY, "home"))
            outcome = said(struct.pack(">q", now - 1), "set", key, now, event.id)
            return outcome._replace(publish=[(BY_KEY, DISCHARGE.name, B.encode(), *self.form.write(other)), *outcome.publish])

    class Receiving(Alarms):
        inbound = (DISCHARGE.name,)

    lines = list(replay([came(50, ADMITTED)], [Sending(), Receiving()]))
    assert [(line["rule"], line["person"], line["at"]) for line in lines] == [
        ("set", A, at(50)),
        ("alarm", A, at(49)),
        ("unset", B, at(50)),
    ]


def test_empty_input_gives_empty_output():
    assert list(replay([], [Alarms()])) == []


def test_same_arrivals_give_the_same_bytes():
    story = [came(n * 7, [ADMITTED, CANCELLED][n % 3 == 0], [A, B][n % 2]) for n in range(200)]
    assert [write_line(line) for line in replay(story, [Alarms()])] == [write_line(line) for line in replay(story, [Alarms()])]
