"""The positions of a shard: what a batch changes, what a commit writes, and where an opened shard continues."""

from __future__ import annotations

import pytest
from shard_bench import ANN, RELAY, STAY, TEAM, Bench, OrdersAgent, Record, positions

from streams.shard.claims import POSITION
from streams.shard.order import Batch, OffsetGap


def test_a_batch_that_begins_after_the_position_means_lost_records():
    bench = Bench()
    bench.receive(STAY, (100, "a"))

    with pytest.raises(OffsetGap, match="stay/0: a batch begins at offset 2, but the next offset is 1"):
        bench.receive(STAY, (200, "c"), start=2)


def test_a_batch_that_overlaps_applies_the_rest():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "b"))

    fresh = bench.receive(STAY, (100, "a"), (200, "b"), (300, "c"), start=0)
    bench.probe(at=900)

    assert fresh == 1
    assert bench.apply() == ["a @100", "b @200", "c @300"]


def test_a_batch_below_the_position_is_dropped():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "b"))

    assert bench.receive(STAY, (100, "a"), (200, "b"), start=0) == 0
    assert bench.receive(STAY, (100, "a"), start=0) == 0
    assert bench.shard.queued(STAY) == 2
    assert bench.shard.reached(STAY) == 2


def test_missing_offsets_inside_a_batch_are_not_a_loss():
    bench = Bench()
    records = [Record(3, 100, ANN, b"a"), Record(7, 200, ANN, b"b")]

    bench.shard.arrived(Batch(STAY, 0, 0, 10, records, 1))
    bench.ends[STAY] = 10
    bench.probe(at=900)

    assert bench.apply() == ["a @100", "b @200"]
    assert bench.shard.positions[STAY] == 10


def test_an_empty_batch_moves_the_position():
    bench = Bench()

    bench.receive(STAY, stop=5)

    assert bench.shard.changed
    assert positions(bench.shard.changes())[STAY] == b"5 0"


def test_an_empty_batch_behind_records_that_wait_moves_the_position_only_when_they_are_applied():
    bench = Bench()
    bench.receive(STAY, (100, "a"))
    bench.receive(STAY, stop=5)
    assert bench.shard.positions[STAY] == 0
    assert not bench.shard.changed

    bench.probe(at=900)
    bench.apply()

    assert positions(bench.shard.changes()) == {STAY: b"5 100"}


def test_the_position_of_a_topic_that_is_half_applied_is_after_its_last_applied_record():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "b"), (300, "c"))
    bench.probe(at=900)

    bench.apply(most=2)

    assert positions(bench.shard.changes()) == {STAY: b"2 200"}


def test_changes_are_notified_once():
    bench = Bench()
    bench.receive(STAY, (100, "a"))
    bench.probe(at=900)
    bench.apply()

    first = bench.shard.changes()

    assert [out.key for out in first] == [ANN, POSITION + STAY.encode()]
    assert bench.shard.changes() == []
    assert not bench.shard.changed


def test_a_person_who_is_forgotten_leaves_a_tombstone():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "forget"))
    bench.probe(at=900)
    bench.apply(most=1)
    bench.shard.changes()

    bench.apply()

    assert ANN not in bench.shard.persons
    assert (ANN, None) in [(out.key, out.value) for out in bench.shard.changes()]


def test_opening_again_forgets_what_had_arrived_and_begins_at_the_positions():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "b"))
    bench.receive(TEAM, (150, "t"))
    bench.probe(at=9000)

    bench.shard.restored({TEAM: 4, STAY: 1, RELAY: 0}, {STAY: 100})

    assert bench.shard.waiting == 0
    assert [bench.shard.reached(topic) for topic in OrdersAgent.inbound] == [4, 1, 0]
    bench.ends = {TEAM: 4, STAY: 1, RELAY: 0}
    assert bench.apply() == []
    bench.receive(STAY, (200, "b"))
    assert bench.apply() == [], "what was known about the other topics belonged to the earlier assignment"


def test_story_time_continues_from_the_newest_record_applied_before_the_opening():
    bench = Bench()

    bench.shard.restored(dict.fromkeys(OrdersAgent.inbound, 0), {STAY: 700, TEAM: 300})
    bench.receive(STAY, (600, "late"))
    bench.probe(at=900)

    assert bench.apply() == ["late @700"]
