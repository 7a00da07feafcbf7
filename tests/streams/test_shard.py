"""The shard: the order in which records are applied, which topics hold others back, keys of other shards, and counts."""

from __future__ import annotations

from shard_bench import (
    ANN,
    DEAD,
    PARTITIONS,
    RELAY,
    STAY,
    STRANGER,
    TEAM,
    Bench,
    OrdersAgent,
    Record,
    decided,
    errors_of,
    positions,
    unpack,
)

from streams.base.clock import Clock
from streams.contract.person_key import partition_of
from streams.contract.record import Outgoing
from streams.shard.agent import Outcome
from streams.shard.claims import POSITION
from streams.shard.order import Batch
from streams.shard.shard import Shard

# ---- order


def test_records_are_applied_by_time_across_topics():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (300, "c"), (500, "e"))
    bench.receive(TEAM, (200, "b"), (400, "d"), (600, "f"))
    bench.receive(RELAY, (700, "z"))

    assert bench.apply() == ["a @100", "b @200", "c @300", "d @400", "e @500"]


def test_records_of_one_instant_are_applied_by_the_rank_of_their_topic():
    bench = Bench()
    bench.receive(RELAY, (100, "relay"))
    bench.receive(STAY, (100, "stay"))
    bench.receive(TEAM, (100, "team"))

    bench.probe(at=200)

    assert bench.apply() == ["team @100", "stay @100", "relay @100"]


def test_records_of_one_topic_and_instant_are_applied_by_offset():
    bench = Bench()
    bench.receive(TEAM, *((100, f"n{n}") for n in range(20)))

    bench.probe(at=200)

    assert bench.apply() == [f"n{n} @100" for n in range(20)]


def test_an_answer_is_never_applied_before_its_admission_after_an_outage():
    bench = Bench()
    bench.receive(RELAY, (900, "acknowledged"))
    assert bench.apply() == []

    bench.receive(STAY, (100, "admitted"), (950, "later"))
    assert bench.apply() == [], "the team topic may still hold an older record"

    bench.receive(TEAM, (50, "team"), (960, "later"))
    assert bench.apply() == ["team @50", "admitted @100", "acknowledged @900"]


def test_order_within_a_partition_is_that_of_the_log_even_if_the_brokers_clock_steps_back():
    bench = Bench()
    bench.receive(TEAM, (500, "first"), (100, "second"))
    bench.receive(STAY, (300, "other"), (800, "later"))
    bench.receive(RELAY, (900, "later"))

    assert bench.apply() == ["other @300", "first @500", "second @500"]


def test_a_limit_on_records_is_kept_and_the_rest_follows_in_order():
    bench = Bench()
    bench.receive(STAY, *((100 + n, f"s{n}") for n in range(5)))
    bench.receive(TEAM, *((102 + n, f"t{n}") for n in range(5)))
    bench.probe(at=900)

    lines = [bench.apply(most=3) for _ in range(4)]

    assert list(map(len, lines)) == [3, 3, 3, 1]
    assert [line.split()[0] for part in lines for line in part] == ["s0", "s1", "t0", "s2", "t1", "s3", "t2", "s4", "t3", "t4"]


# ---- which topics block others, and what a probe proves


def test_a_topic_that_is_not_drained_holds_the_others_back():
    bench = Bench()
    bench.receive(TEAM, (100, "a"), (300, "c"))
    bench.receive(STAY, (200, "b"))

    assert bench.apply() == []

    bench.receive(RELAY, (250, "r"))
    assert bench.apply() == ["a @100", "b @200"]


def test_a_tie_in_the_same_millisecond_waits():
    bench = Bench()
    bench.receive(STAY, (100, "stay"))
    bench.receive(RELAY, (100, "relay"))

    bench.probe(at=100)

    assert bench.apply() == [], "another record of the team topic with the same time may still arrive, and has to be applied first"
    bench.receive(TEAM, (100, "team"))
    bench.probe(at=101)
    assert bench.apply() == ["team @100", "stay @100", "relay @100"]


def test_a_probe_that_found_more_than_was_fetched_clears_nothing():
    bench = Bench()
    bench.receive(STAY, (100, "a"))

    bench.shard.probed({TEAM: 1, STAY: 1, RELAY: 0}, bench.shard.seal(), 500)

    assert bench.apply() == []
    bench.receive(TEAM, (90, "first"))
    bench.shard.probed({TEAM: 1, STAY: 1, RELAY: 0}, bench.shard.seal(), 500)
    assert bench.apply() == ["first @90", "a @100"]


def test_a_probe_sent_before_a_record_came_says_nothing_about_the_time_after_it():
    bench = Bench()
    sealed = bench.shard.seal()
    bench.receive(STAY, (100, "a"), (101, "b"))

    bench.shard.probed(dict(bench.ends), sealed, 60)

    assert bench.apply() == [], "the probe is older than the record: one with time 70 may have been appended since"


def test_a_record_received_before_the_probe_was_sent_proves_the_brokers_time():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (101, "b"))

    bench.shard.probed(dict(bench.ends), bench.shard.seal(), 0)

    assert bench.apply() == ["a @100"], "this machine's clock may be behind, but the broker's timestamp proves the broker's time"


def test_an_older_probe_result_does_not_overrule_a_newer_one():
    bench = Bench()
    bench.receive(STAY, (100, "a"))
    bench.probe(at=300)

    bench.shard.probed(dict(bench.ends), -1, 50)

    assert bench.apply() == ["a @100"]


def test_a_probe_is_needed_only_if_records_wait_beyond_the_limit():
    bench = Bench()
    assert not bench.shard.needs_probe

    bench.receive(STAY, (100, "a"))
    assert bench.shard.needs_probe

    bench.probe(at=200)
    assert not bench.shard.needs_probe


# ---- keys of other shards


def test_a_key_that_hashes_elsewhere_is_relayed_to_its_shard_and_not_applied():
    bench = Bench()
    bench.receive(STAY, (100, "x"), key=STRANGER)
    bench.probe(at=900)

    written = bench.written()

    assert written == {(RELAY, partition_of(STRANGER, PARTITIONS)): [(STRANGER, b"x", [("from", b"stay/0/0")])]}
    assert STRANGER not in bench.shard.persons
    assert bench.shard.tally.misrouted == 1
    assert positions(bench.shard.changes()) == {STAY: b"1 100"}


def test_a_relayed_record_in_the_wrong_partition_is_refused_and_not_relayed_again():
    bench = Bench()
    bench.receive(RELAY, (100, "x"), key=STRANGER)
    bench.probe(at=900)

    written = bench.written()

    assert list(written) == [(DEAD, 0)]
    assert errors_of(written[DEAD, 0][0])["code"] == "relay-misrouted"


def test_a_relayed_record_of_ones_own_is_applied():
    bench = Bench()
    bench.receive(RELAY, (100, "x"))
    bench.probe(at=900)

    assert bench.apply() == ["x @100"]


def test_record_for_another_person_goes_to_that_persons_shard():
    bench = Bench()
    bench.receive(STAY, (100, f"move {STRANGER.decode()}"))
    bench.probe(at=900)

    assert bench.written() == {(RELAY, partition_of(STRANGER, PARTITIONS)): [(STRANGER, b"moved", ())]}


def test_a_record_of_a_merged_person_is_forwarded_unchanged_to_the_shard_of_the_other():
    bench = Bench()
    bench.receive(STAY, (100, f"forward {STRANGER.decode()}"))
    bench.probe(at=900)

    [(place, [out])] = bench.written().items()

    assert place == (RELAY, partition_of(STRANGER, PARTITIONS))
    assert out == (STRANGER, f"forward {STRANGER.decode()}".encode(), [("from", b"stay/0/0")])
    assert bench.shard.tally.misrouted == 0, "it is not misrouted, because nobody published it wrongly"


# ---- what is counted


def test_events_effects_and_deadlines_are_counted():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 call"), (200, "x"))
    bench.receive(TEAM, (150, "y"))
    bench.probe(at=9000)

    bench.apply()

    assert bench.shard.tally.events == {STAY: 2, TEAM: 1}
    assert bench.shard.tally.effects == {"line": 4}
    assert bench.shard.tally.deadlines == 1
    bench.shard.tally.clear()
    assert (bench.shard.tally.events, bench.shard.tally.deadlines) == ({}, 0)


def test_state_that_comes_back_unchanged_is_not_written():
    class Idle(OrdersAgent):
        def decide(self, key, packed, event, now, origin):
            return Outcome(packed)

    shard = Shard(0, PARTITIONS, Idle(), Clock(), {ANN: decided("a", 1)})
    shard.restored(dict.fromkeys(OrdersAgent.inbound, 0), {})
    shard.arrived(Batch(STAY, 0, 0, 1, [Record(0, 100, ANN, b"x")], 1))
    shard.probed({TEAM: 0, STAY: 1, RELAY: 0}, shard.seal(), 900)

    shard.apply(Outgoing(), 10)

    assert [out.key for out in shard.changes()] == [POSITION + STAY.encode()]
    assert unpack(shard.persons[ANN]).lines == ["a"]


def test_accepted_records_are_counted_by_source_for_the_limit_of_refused_records():
    bench = Bench()
    bench.receive(STAY, (100, "a"))
    bench.probe(at=200)

    bench.apply()

    assert sum(bench.shard.tally.accepted.values()) == 1
