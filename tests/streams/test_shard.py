"""The shard: the order in which records are applied, the meaning of a position, when a deadline fires, and failures."""

from __future__ import annotations

import pytest
from ward import (
    ANN,
    BOB,
    CAT,
    DEAD,
    LINES,
    PARTITIONS,
    RELAY,
    STAY,
    STRANGER,
    TEAM,
    Bench,
    Record,
    Ward,
    decided,
    errors_of,
    patient_of,
    unpack,
)

from streams.base.clock import Clock
from streams.contract.person_key import partition_of
from streams.contract.record import Outgoing
from streams.shard.agent import Outcome
from streams.shard.claims import POSITION
from streams.shard.deadlines import NEVER
from streams.shard.order import Batch, OffsetGap
from streams.shard.shard import Shard


def positions(outs) -> dict[str, bytes | None]:
    return {out.key[len(POSITION) :].decode(): out.value for out in outs if out.key.startswith(POSITION)}


# ---- order


def test_records_are_applied_by_time_across_topics():
    bench = Bench()
    bench.came(STAY, (100, "a"), (300, "c"), (500, "e"))
    bench.came(TEAM, (200, "b"), (400, "d"), (600, "f"))
    bench.came(RELAY, (700, "z"))

    assert bench.apply() == ["a @100", "b @200", "c @300", "d @400", "e @500"]


def test_records_of_one_instant_are_applied_by_the_rank_of_their_topic():
    bench = Bench()
    bench.came(RELAY, (100, "relay"))
    bench.came(STAY, (100, "stay"))
    bench.came(TEAM, (100, "team"))

    bench.quiet(at=200)

    assert bench.apply() == ["team @100", "stay @100", "relay @100"]


def test_records_of_one_topic_and_instant_are_applied_by_offset():
    bench = Bench()
    bench.came(TEAM, *((100, f"n{n}") for n in range(20)))

    bench.quiet(at=200)

    assert bench.apply() == [f"n{n} @100" for n in range(20)]


def test_an_answer_is_never_applied_before_its_admission_after_an_outage():
    bench = Bench()
    bench.came(RELAY, (900, "acknowledged"))
    assert bench.apply() == []

    bench.came(STAY, (100, "admitted"), (950, "later"))
    assert bench.apply() == [], "the team topic may still hold an older record"

    bench.came(TEAM, (50, "team"), (960, "later"))
    assert bench.apply() == ["team @50", "admitted @100", "acknowledged @900"]


def test_order_within_a_partition_is_that_of_the_log_even_if_the_brokers_clock_steps_back():
    bench = Bench()
    bench.came(TEAM, (500, "first"), (100, "second"))
    bench.came(STAY, (300, "other"), (800, "later"))
    bench.came(RELAY, (900, "later"))

    assert bench.apply() == ["other @300", "first @500", "second @500"]


def test_a_limit_on_records_is_kept_and_the_rest_follows_in_order():
    bench = Bench()
    bench.came(STAY, *((100 + n, f"s{n}") for n in range(5)))
    bench.came(TEAM, *((102 + n, f"t{n}") for n in range(5)))
    bench.quiet(at=900)

    lines = [bench.apply(most=3) for _ in range(4)]

    assert list(map(len, lines)) == [3, 3, 3, 1]
    assert [line.split()[0] for part in lines for line in part] == ["s0", "s1", "t0", "s2", "t1", "s3", "t2", "s4", "t3", "t4"]


# ---- which topics block others, and what a probe proves


def test_a_topic_that_is_not_drained_holds_the_others_back():
    bench = Bench()
    bench.came(TEAM, (100, "a"), (300, "c"))
    bench.came(STAY, (200, "b"))

    assert bench.apply() == []

    bench.came(RELAY, (250, "r"))
    assert bench.apply() == ["a @100", "b @200"]


def test_a_tie_in_the_same_millisecond_waits():
    bench = Bench()
    bench.came(STAY, (100, "stay"))
    bench.came(RELAY, (100, "relay"))

    bench.quiet(at=100)

    assert bench.apply() == [], "another record of the team topic with the same time may still arrive, and has to be applied first"
    bench.came(TEAM, (100, "team"))
    bench.quiet(at=101)
    assert bench.apply() == ["team @100", "stay @100", "relay @100"]


def test_a_probe_that_found_more_than_was_fetched_clears_nothing():
    bench = Bench()
    bench.came(STAY, (100, "a"))

    bench.shard.probed({TEAM: 1, STAY: 1, RELAY: 0}, bench.shard.seal(), 500)

    assert bench.apply() == []
    bench.came(TEAM, (90, "first"))
    bench.shard.probed({TEAM: 1, STAY: 1, RELAY: 0}, bench.shard.seal(), 500)
    assert bench.apply() == ["first @90", "a @100"]


def test_a_probe_sent_before_a_record_came_says_nothing_about_the_time_after_it():
    bench = Bench()
    sealed = bench.shard.seal()
    bench.came(STAY, (100, "a"), (101, "b"))

    bench.shard.probed(dict(bench.ends), sealed, 60)

    assert bench.apply() == [], "the probe is older than the record: one with time 70 may have been appended since"


def test_a_record_received_before_the_probe_was_sent_proves_the_brokers_time():
    bench = Bench()
    bench.came(STAY, (100, "a"), (101, "b"))

    bench.shard.probed(dict(bench.ends), bench.shard.seal(), 0)

    assert bench.apply() == ["a @100"], "this machine's clock may be behind, but the broker's timestamp proves the broker's time"


def test_an_older_probe_result_does_not_overrule_a_newer_one():
    bench = Bench()
    bench.came(STAY, (100, "a"))
    bench.quiet(at=300)

    bench.shard.probed(dict(bench.ends), -1, 50)

    assert bench.apply() == ["a @100"]


def test_a_probe_is_needed_only_if_records_wait_beyond_the_limit():
    bench = Bench()
    assert not bench.shard.wants_probe

    bench.came(STAY, (100, "a"))
    assert bench.shard.wants_probe

    bench.quiet(at=200)
    assert not bench.shard.wants_probe


# ---- positions


def test_a_batch_that_begins_after_the_position_means_lost_records():
    bench = Bench()
    bench.came(STAY, (100, "a"))

    with pytest.raises(OffsetGap, match="stay/0: a batch begins at offset 2, but the next offset is 1"):
        bench.came(STAY, (200, "c"), start=2)


def test_a_batch_that_overlaps_applies_the_rest():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "b"))

    fresh = bench.came(STAY, (100, "a"), (200, "b"), (300, "c"), start=0)
    bench.quiet(at=900)

    assert fresh == 1
    assert bench.apply() == ["a @100", "b @200", "c @300"]


def test_a_batch_below_the_position_is_dropped():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "b"))

    assert bench.came(STAY, (100, "a"), (200, "b"), start=0) == 0
    assert bench.came(STAY, (100, "a"), start=0) == 0
    assert bench.shard.queued(STAY) == 2
    assert bench.shard.reached(STAY) == 2


def test_missing_offsets_inside_a_batch_are_not_a_loss():
    bench = Bench()
    records = [Record(3, 100, ANN, b"a"), Record(7, 200, ANN, b"b")]

    bench.shard.arrived(Batch(STAY, 0, 0, 10, records, 1))
    bench.ends[STAY] = 10
    bench.quiet(at=900)

    assert bench.apply() == ["a @100", "b @200"]
    assert bench.shard.positions[STAY] == 10


def test_an_empty_batch_moves_the_position():
    bench = Bench()

    bench.came(STAY, stop=5)

    assert bench.shard.changed
    assert positions(bench.shard.changes())[STAY] == b"5 0"


def test_an_empty_batch_behind_records_that_wait_moves_the_position_only_when_they_are_applied():
    bench = Bench()
    bench.came(STAY, (100, "a"))
    bench.came(STAY, stop=5)
    assert bench.shard.positions[STAY] == 0
    assert not bench.shard.changed

    bench.quiet(at=900)
    bench.apply()

    assert positions(bench.shard.changes()) == {STAY: b"5 100"}


def test_the_position_of_a_topic_that_is_half_applied_is_after_its_last_applied_record():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "b"), (300, "c"))
    bench.quiet(at=900)

    bench.apply(most=2)

    assert positions(bench.shard.changes()) == {STAY: b"2 200"}


def test_changes_are_notified_once():
    bench = Bench()
    bench.came(STAY, (100, "a"))
    bench.quiet(at=900)
    bench.apply()

    first = bench.shard.changes()

    assert [out.key for out in first] == [ANN, POSITION + STAY.encode()]
    assert bench.shard.changes() == []
    assert not bench.shard.changed


def test_a_person_who_is_forgotten_leaves_a_tombstone():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "forget"))
    bench.quiet(at=900)
    bench.apply(most=1)
    bench.shard.changes()

    bench.apply()

    assert ANN not in bench.shard.persons
    assert (ANN, None) in [(out.key, out.value) for out in bench.shard.changes()]


def test_opening_again_forgets_what_had_arrived_and_begins_at_the_positions():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "b"))
    bench.came(TEAM, (150, "t"))
    bench.quiet(at=9000)

    bench.shard.restored({TEAM: 4, STAY: 1, RELAY: 0}, {STAY: 100})

    assert bench.shard.waiting == 0
    assert [bench.shard.reached(topic) for topic in Ward.inbound] == [4, 1, 0]
    bench.ends = {TEAM: 4, STAY: 1, RELAY: 0}
    assert bench.apply() == []
    bench.came(STAY, (200, "b"))
    assert bench.apply() == [], "what was known about the other topics belonged to the earlier assignment"


def test_story_time_continues_from_the_newest_record_applied_before_the_opening():
    bench = Bench()

    bench.shard.restored(dict.fromkeys(Ward.inbound, 0), {STAY: 700, TEAM: 300})
    bench.came(STAY, (600, "late"))
    bench.quiet(at=900)

    assert bench.apply() == ["late @700"]


# ---- deadlines


def test_a_deadline_does_not_fire_before_a_record_of_its_own_instant():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"), (600, "cancel call"))

    bench.quiet(at=9000)

    assert bench.apply() == ["in 500 call @100", "cancel call @600"]


def test_a_deadline_fires_before_a_record_that_is_later_than_it():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"), (601, "cancel call"))

    bench.quiet(at=9000)

    assert bench.apply() == ["in 500 call @100", "call! @600", "cancel call @601"]


def test_a_deadline_fires_when_every_topic_is_drained_past_it():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"))
    bench.quiet(at=600)
    assert bench.apply() == ["in 500 call @100"]

    bench.quiet(at=601)
    assert bench.apply() == [], "a record with time 600 may still arrive, and is applied first"

    bench.quiet(at=602)
    assert bench.apply() == ["call! @600"]


def test_one_topic_that_is_not_drained_holds_every_deadline_back():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"))
    bench.quiet(at=200)
    bench.apply()

    bench.shard.probed(bench.ends | {TEAM: 1}, bench.shard.seal(), 10_000)

    assert bench.apply() == []


def test_catching_up_on_a_week_fires_no_deadline_that_was_cancelled_in_it():
    day = 86_400_000
    bench = Bench()
    bench.came(STAY, (0, f"in {2 * day} call"), (5 * day, "discharged"))
    bench.came(TEAM, (1 * day, "cancel call"), (6 * day, "x"))
    bench.came(RELAY, (7 * day, "x"))

    lines = bench.apply()

    assert not [line for line in lines if line.startswith("call!")]


def test_records_that_may_be_applied_go_before_the_deadlines_that_come_after_them():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"), (550, "x"), (560, "cancel call"), (570, "y"))
    bench.quiet(at=9000)

    lines = [line for _ in range(4) for line in bench.apply(most=1)]

    assert "call! @600" not in lines


def test_two_deadlines_of_one_person_at_one_instant_both_fire():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"), (100, "in 500 visit"))

    bench.quiet(at=9000)

    assert bench.apply()[2:] == ["call! @600", "visit! @600"]


def test_a_deadline_that_sets_the_next_one_fires_that_too_as_far_as_time_has_come():
    bench = Bench()
    bench.came(STAY, (100, "in 500 again"))

    bench.quiet(at=3000)

    assert bench.apply()[1:] == ["again! @600", "again! @1600", "again! @2600"]
    assert bench.shard.next_due == 3600


def test_deadlines_of_several_persons_fire_in_the_order_of_their_time():
    bench = Bench()
    bench.came(STAY, (100, "in 900 ann"), key=ANN)
    bench.came(STAY, (101, "in 100 bob"), key=BOB)
    bench.came(STAY, (102, "in 500 cat"), key=CAT)

    bench.quiet(at=9000)

    assert bench.apply()[3:] == ["bob! @201", "cat! @602", "ann! @1000"]


def test_a_deadline_before_a_record_fires_with_its_own_time_however_late_the_record_is():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"), (99_000, "x"))

    bench.quiet(at=100_000)

    assert bench.apply() == ["in 500 call @100", "call! @600", "x @99000"]


def test_more_deadlines_than_fit_in_one_commit_fire_over_several_in_order():
    bench = Bench()
    for n in range(30):
        bench.came(STAY, (100 + n, f"in {500 - n % 7} d{n}"), key=patient_of(0, n))
    bench.quiet(at=200)
    bench.apply()
    bench.quiet(at=9000)

    lines = [bench.apply(most=8) for _ in range(5)]

    assert list(map(len, lines)) == [8, 8, 8, 6, 0]
    times = [int(line.rpartition("@")[2]) for part in lines for line in part]
    assert times == sorted(times)
    assert bench.shard.next_due == NEVER


def test_a_deadline_on_an_accelerated_clock_fires_at_its_story_time():
    bench = Bench(clock=Clock(broker_origin=1_000, story_origin=50_000, speed=10.0))
    bench.came(STAY, (1_010, "in 1000 call"))
    assert bench.shard.clock.to_broker(51_100) == 1_110
    bench.quiet(at=1_111)
    assert bench.apply() == ["in 1000 call @50100"]

    bench.quiet(at=1_112)

    assert bench.apply() == ["call! @51100"]


def test_a_shard_that_is_opened_again_knows_its_deadlines():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"))
    bench.quiet(at=200)
    bench.apply()

    again = Bench(persons=dict(bench.shard.persons))

    assert again.shard.next_due == 600
    assert not again.shard.due(599)
    assert again.shard.due(600)
    again.quiet(at=700)
    assert again.apply() == ["call! @600"]


# ---- failures


def test_a_rule_that_raises_leaves_the_state_but_for_the_flag_and_the_others_go_on():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "raise"), (300, "b"))
    bench.came(TEAM, (200, "x"), key=BOB)
    bench.quiet(at=900)

    written = bench.written()

    assert [out.value for out in written[LINES, 0]] == [b"a @100", b"x @200", b"b @300"]
    assert (bench.patient().lines, bench.patient().rule_failed) == (["a", "b"], True)
    assert not bench.patient(BOB).rule_failed
    [context] = written[DEAD, 0]
    assert errors_of(context) == {
        "topic": STAY,
        "partition": "0",
        "offset": "1",
        "timestamp": "200",
        "stage": "decide",
        "code": "rule-failed",
        "exception": "ZeroDivisionError",
        "group": "coordination",
        "attempt": "1",
    }
    assert b"Jones" not in b"".join(value for _, value in context.headers)
    assert bench.shard.tally.failed == ["ZeroDivisionError"]
    assert positions(bench.shard.changes())[STAY] == b"3 300"


def test_a_rule_that_raises_for_an_unknown_person_flags_the_person_too():
    bench = Bench()
    bench.came(STAY, (100, "raise"))
    bench.quiet(at=900)

    bench.apply()

    assert bench.patient().rule_failed
    assert ANN in [out.key for out in bench.shard.changes()]


def test_a_deadline_that_raises_is_a_dead_letter_and_fires_no_more():
    bench = Bench()
    bench.came(STAY, (100, "in 500 raise"), (101, "in 800 call"))
    bench.came(STAY, (102, "in 600 bob"), key=BOB)
    bench.quiet(at=9000)

    written = bench.written()

    assert [out.value for out in written[LINES, 0]][3:] == [b"bob! @702", b"call! @901"]
    [context] = written[DEAD, 0]
    assert (context.key, context.value) == (ANN, None)
    said = errors_of(context)
    assert (said["topic"], said["offset"], said["timestamp"], said["stage"], said["code"]) == (
        "deadline",
        "-1",
        "600",
        "expire",
        "rule-failed",
    )
    assert (bench.patient().lines, bench.patient().rule_failed) == (["in 500 raise", "in 800 call", "call!"], True)


def test_a_deadline_that_changes_nothing_is_a_failure_and_not_a_loop():
    bench = Bench()
    bench.came(STAY, (100, "in 500 stuck"), (900, "x"))
    bench.quiet(at=9000)

    written = bench.written()

    [context] = written[DEAD, 0]
    assert errors_of(context)["exception"] == "DeadlineStays"
    assert bench.patient().rule_failed
    assert [out.value for out in written[LINES, 0]] == [b"in 500 stuck @100", b"x @900"]


def test_a_deadline_that_stays_after_firing_does_not_fire_again_until_the_state_changes():
    class Stubborn(Ward):
        def after_failure(self, key, packed, now):
            return packed

    bench = Bench()
    bench.shard.agent = Stubborn()
    bench.came(STAY, (100, "in 500 raise"), (900, "x"))
    bench.quiet(at=9000)

    lines = bench.apply() + bench.apply()

    assert lines == ["in 500 raise @100", "x @900"]
    assert len(bench.shard.tally.failed) <= 2


def test_a_reader_that_raises_costs_that_record_only():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "break-reader"), (300, "b"))
    bench.quiet(at=900)

    written = bench.written()

    assert [out.value for out in written[LINES, 0]] == [b"a @100", b"b @300"]
    said = errors_of(written[DEAD, 0][0])
    assert (said["code"], said["stage"], said["exception"]) == ("rule-failed", "read", "ZeroDivisionError")


def test_a_dead_letter_keeps_value_key_and_headers_and_adds_origin_and_reason():
    bench = Bench()
    bench.came(STAY, (100, "not-avro"), key=BOB)
    bench.quiet(at=900)

    written = bench.written()

    [context] = written[DEAD, 0]
    assert (context.key, context.value) == (BOB, b"not-avro")
    assert context.headers[0] == ("h", b"1")
    said = errors_of(context)
    assert (said["topic"], said["partition"], said["offset"], said["timestamp"], said["stage"], said["code"], said["exception"]) == (
        STAY,
        "0",
        "0",
        "100",
        "read",
        "not-avro",
        "",
    )
    assert bench.shard.tally.refused == {("not-avro", "urn:s"): 1}
    assert BOB not in bench.shard.persons


def test_a_record_without_a_key_is_refused_as_it_was():
    bench = Bench()
    bench.came(STAY, (100, "x"), key=None)
    bench.quiet(at=900)

    [context] = bench.written()[DEAD, 0]

    assert (context.key, context.value, errors_of(context)["code"]) == (None, b"x", "no-key")


def test_event_refused_by_a_decision_is_a_dead_letter_and_the_state_stays():
    bench = Bench()
    bench.came(STAY, (100, "a"), (200, "too-late"))
    bench.quiet(at=900)

    written = bench.written()

    assert errors_of(written[DEAD, 0][0])["code"] == "too-late"
    assert bench.patient().lines == ["a"]


# ---- keys of other shards


def test_a_key_that_hashes_elsewhere_is_relayed_to_its_shard_and_not_applied():
    bench = Bench()
    bench.came(STAY, (100, "x"), key=STRANGER)
    bench.quiet(at=900)

    written = bench.written()

    assert written == {(RELAY, partition_of(STRANGER, PARTITIONS)): [(STRANGER, b"x", [("from", b"stay/0/0")])]}
    assert STRANGER not in bench.shard.persons
    assert bench.shard.tally.misrouted == 1
    assert positions(bench.shard.changes()) == {STAY: b"1 100"}


def test_a_relayed_record_in_the_wrong_partition_is_refused_and_not_relayed_again():
    bench = Bench()
    bench.came(RELAY, (100, "x"), key=STRANGER)
    bench.quiet(at=900)

    written = bench.written()

    assert list(written) == [(DEAD, 0)]
    assert errors_of(written[DEAD, 0][0])["code"] == "relay-misrouted"


def test_a_relayed_record_of_ones_own_is_applied():
    bench = Bench()
    bench.came(RELAY, (100, "x"))
    bench.quiet(at=900)

    assert bench.apply() == ["x @100"]


def test_record_for_another_person_goes_to_that_persons_shard():
    bench = Bench()
    bench.came(STAY, (100, f"move {STRANGER.decode()}"))
    bench.quiet(at=900)

    assert bench.written() == {(RELAY, partition_of(STRANGER, PARTITIONS)): [(STRANGER, b"moved", ())]}


def test_a_record_of_a_merged_person_is_forwarded_unchanged_to_the_shard_of_the_other():
    bench = Bench()
    bench.came(STAY, (100, f"forward {STRANGER.decode()}"))
    bench.quiet(at=900)

    [(place, [out])] = bench.written().items()

    assert place == (RELAY, partition_of(STRANGER, PARTITIONS))
    assert out == (STRANGER, f"forward {STRANGER.decode()}".encode(), [("from", b"stay/0/0")])
    assert bench.shard.tally.misrouted == 0, "it is not misrouted, because nobody published it wrongly"


# ---- isolation: one step at a time


def test_the_head_is_the_record_that_apply_takes_next():
    bench = Bench()
    bench.came(STAY, (100, "a"), (300, "c"))
    bench.came(TEAM, (200, "b"))
    assert bench.shard.head() is None
    bench.quiet(at=900)

    heads = []
    while (head := bench.shard.head()) is not None:
        heads.append((head, bench.apply(most=1)))

    assert heads == [((STAY, 0), ["a @100"]), ((TEAM, 0), ["b @200"]), ((STAY, 1), ["c @300"])]


def test_a_record_that_is_set_aside_is_a_dead_letter_and_is_never_decided():
    bench = Bench()
    bench.came(STAY, (100, "kill"), (200, "b"))
    bench.quiet(at=900)

    written = Outgoing()
    bench.shard.set_aside(STAY, 0, written)

    assert errors_of(written[DEAD, 0][0])["code"] == "killed-worker"
    assert positions(bench.shard.changes()) == {STAY: b"1 100"}, "its time is below the position from now on"
    assert bench.apply() == ["b @200"]


def test_a_deadline_before_the_head_is_what_comes_next_and_fires_alone():
    bench = Bench()
    bench.came(STAY, (100, "in 500 a"), (101, "in 500 b"), (601, "x"), (900, "in 100 y"))
    bench.quiet(at=9000)
    bench.apply(most=2)

    steps = []
    for _ in range(4):
        due = bench.next_deadline()
        written = bench.fired() if due else bench.written(1, 0)
        steps.append((due, [out.value for out in written[LINES, 0]]))

    assert steps == [((600, ANN), [b"a! @600"]), (None, [b"x @601"]), ((601, ANN), [b"b! @601"]), (None, [b"in 100 y @900"])]
    assert bench.next_deadline() == (1000, ANN), "a record is applied alone, without the deadlines after it"
    bench.fired()
    assert bench.next_deadline() is None


def test_a_deadline_that_is_set_aside_is_a_dead_letter_and_never_fires():
    bench = Bench(persons={ANN: decided("in 600 call", 101, decided("in 500 kill", 100))})
    bench.quiet(at=9000)

    written = Outgoing()
    bench.shard.set_aside_deadline(bench.shard.step_until, written)

    said = errors_of(written[DEAD, 0][0])
    assert (said["topic"], said["code"], said["stage"], said["timestamp"]) == ("deadline", "killed-worker", "expire", "600")
    assert bench.apply() == ["call! @701"]


def test_open_handoffs_are_counted_from_the_state_that_was_read():
    class Counted(Ward):
        def open_handoffs(self, packed):
            return len(unpack(packed).due)

    packed = decided("in 500 call", 100)
    shard = Shard(0, PARTITIONS, Counted(), Clock(), {ANN: packed, BOB: packed})

    shard.restored(dict.fromkeys(Ward.inbound, 0), {})
    assert shard.open_handoffs == 2

    shard.probed(dict.fromkeys(Ward.inbound, 0), shard.seal(), 9000)
    shard.apply(Outgoing(), 1)
    assert shard.open_handoffs == 1


def test_only_the_record_at_that_offset_is_set_aside():
    bench = Bench()
    bench.came(STAY, (100, "a"))

    written = Outgoing()
    bench.shard.set_aside(STAY, 5, written)

    assert written == {}
    assert bench.shard.waiting == 1


def test_a_limit_of_one_fires_one_deadline_at_a_time():
    bench = Bench()
    bench.came(STAY, (100, "in 500 a"))
    bench.came(STAY, (100, "in 500 b"), key=BOB)
    bench.quiet(at=9000)
    bench.apply(most=2)

    assert len(bench.apply(most=1)) + len(bench.apply(most=1)) + len(bench.apply(most=1)) <= 2
    assert bench.shard.next_due == NEVER


# ---- what is counted


def test_events_effects_and_deadlines_are_counted():
    bench = Bench()
    bench.came(STAY, (100, "in 500 call"), (200, "x"))
    bench.came(TEAM, (150, "y"))
    bench.quiet(at=9000)

    bench.apply()

    assert bench.shard.tally.events == {STAY: 2, TEAM: 1}
    assert bench.shard.tally.effects == {"line": 4}
    assert bench.shard.tally.deadlines == 1
    bench.shard.tally.clear()
    assert (bench.shard.tally.events, bench.shard.tally.deadlines) == ({}, 0)


def test_state_that_comes_back_unchanged_is_not_written():
    class Idle(Ward):
        def decide(self, key, packed, event, now, origin):
            return Outcome(packed)

    shard = Shard(0, PARTITIONS, Idle(), Clock(), {ANN: decided("a", 1)})
    shard.restored(dict.fromkeys(Ward.inbound, 0), {})
    shard.arrived(Batch(STAY, 0, 0, 1, [Record(0, 100, ANN, b"x")], 1))
    shard.probed({TEAM: 0, STAY: 1, RELAY: 0}, shard.seal(), 900)

    shard.apply(Outgoing(), 10)

    assert [out.key for out in shard.changes()] == [POSITION + STAY.encode()]
    assert unpack(shard.persons[ANN]).lines == ["a"]


def test_accepted_records_are_counted_by_source_for_the_limit_of_refused_records():
    bench = Bench()
    bench.came(STAY, (100, "a"))
    bench.quiet(at=200)

    bench.apply()

    assert sum(bench.shard.tally.accepted.values()) == 1
