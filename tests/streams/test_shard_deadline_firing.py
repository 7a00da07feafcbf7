"""When a deadline of a shard fires, relative to the records around it."""

from __future__ import annotations

from shard_bench import ANN, BOB, CAT, RELAY, STAY, TEAM, Bench, patient_of

from streams.base.clock import Clock
from streams.shard.deadlines import NEVER


def test_a_deadline_does_not_fire_before_a_record_of_its_own_instant():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"), (600, "cancel call"))

    bench.probe(at=9000)

    assert bench.apply() == ["in 500 call @100", "cancel call @600"]


def test_a_deadline_fires_before_a_record_that_is_later_than_it():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"), (601, "cancel call"))

    bench.probe(at=9000)

    assert bench.apply() == ["in 500 call @100", "call! @600", "cancel call @601"]


def test_a_deadline_fires_when_every_topic_is_drained_past_it():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"))
    bench.probe(at=600)
    assert bench.apply() == ["in 500 call @100"]

    bench.probe(at=601)
    assert bench.apply() == [], "a record with time 600 may still arrive, and is applied first"

    bench.probe(at=602)
    assert bench.apply() == ["call! @600"]


def test_one_topic_that_is_not_drained_holds_every_deadline_back():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"))
    bench.probe(at=200)
    bench.apply()

    bench.shard.probed(bench.ends | {TEAM: 1}, bench.shard.seal(), 10_000)

    assert bench.apply() == []


def test_catching_up_on_a_week_fires_no_deadline_that_was_cancelled_in_it():
    day = 86_400_000
    bench = Bench()
    bench.receive(STAY, (0, f"in {2 * day} call"), (5 * day, "discharged"))
    bench.receive(TEAM, (1 * day, "cancel call"), (6 * day, "x"))
    bench.receive(RELAY, (7 * day, "x"))

    lines = bench.apply()

    assert not [line for line in lines if line.startswith("call!")]


def test_records_that_may_be_applied_go_before_the_deadlines_that_come_after_them():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"), (550, "x"), (560, "cancel call"), (570, "y"))
    bench.probe(at=9000)

    lines = [line for _ in range(4) for line in bench.apply(most=1)]

    assert "call! @600" not in lines


def test_two_deadlines_of_one_person_at_one_instant_both_fire():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"), (100, "in 500 visit"))

    bench.probe(at=9000)

    assert bench.apply()[2:] == ["call! @600", "visit! @600"]


def test_a_deadline_that_sets_the_next_one_fires_that_too_as_far_as_time_has_come():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 again"))

    bench.probe(at=3000)

    assert bench.apply()[1:] == ["again! @600", "again! @1600", "again! @2600"]
    assert bench.shard.next_due == 3600


def test_deadlines_of_several_persons_fire_in_the_order_of_their_time():
    bench = Bench()
    bench.receive(STAY, (100, "in 900 ann"), key=ANN)
    bench.receive(STAY, (101, "in 100 bob"), key=BOB)
    bench.receive(STAY, (102, "in 500 cat"), key=CAT)

    bench.probe(at=9000)

    assert bench.apply()[3:] == ["bob! @201", "cat! @602", "ann! @1000"]


def test_a_deadline_before_a_record_fires_with_its_own_time_however_late_the_record_is():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"), (99_000, "x"))

    bench.probe(at=100_000)

    assert bench.apply() == ["in 500 call @100", "call! @600", "x @99000"]


def test_more_deadlines_than_fit_in_one_commit_fire_over_several_in_order():
    bench = Bench()
    for n in range(30):
        bench.receive(STAY, (100 + n, f"in {500 - n % 7} d{n}"), key=patient_of(0, n))
    bench.probe(at=200)
    bench.apply()
    bench.probe(at=9000)

    lines = [bench.apply(most=8) for _ in range(5)]

    assert list(map(len, lines)) == [8, 8, 8, 6, 0]
    times = [int(line.rpartition("@")[2]) for part in lines for line in part]
    assert times == sorted(times)
    assert bench.shard.next_due == NEVER


def test_a_deadline_on_an_accelerated_clock_fires_at_its_story_time():
    bench = Bench(clock=Clock(broker_origin=1_000, story_origin=50_000, speed=10.0))
    bench.receive(STAY, (1_010, "in 1000 call"))
    assert bench.shard.clock.to_broker(51_100) == 1_110
    bench.probe(at=1_111)
    assert bench.apply() == ["in 1000 call @50100"]

    bench.probe(at=1_112)

    assert bench.apply() == ["call! @51100"]


def test_a_shard_that_is_opened_again_knows_its_deadlines():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"))
    bench.probe(at=200)
    bench.apply()

    again = Bench(persons=dict(bench.shard.persons))

    assert again.shard.next_due == 600
    assert not again.shard.due(599)
    assert again.shard.due(600)
    again.probe(at=700)
    assert again.apply() == ["call! @600"]
