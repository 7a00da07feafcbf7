"""Failures in a shard: dead letters, and records and deadlines that are isolated."""

from __future__ import annotations

from shard_bench import ANN, BOB, DEAD, LINES, PARTITIONS, STAY, TEAM, Bench, OrdersAgent, decided, errors_of, positions, unpack

from streams.base.clock import Clock
from streams.contract.record import Outgoing
from streams.shard.deadlines import NEVER
from streams.shard.shard import Shard

# ---- failures


def test_a_rule_that_raises_leaves_the_state_but_for_the_flag_and_the_others_go_on():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "raise"), (300, "b"))
    bench.receive(TEAM, (200, "x"), key=BOB)
    bench.probe(at=900)

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
    bench.receive(STAY, (100, "raise"))
    bench.probe(at=900)

    bench.apply()

    assert bench.patient().rule_failed
    assert ANN in [out.key for out in bench.shard.changes()]


def test_a_deadline_that_raises_is_a_dead_letter_and_fires_no_more():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 raise"), (101, "in 800 call"))
    bench.receive(STAY, (102, "in 600 bob"), key=BOB)
    bench.probe(at=9000)

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
    bench.receive(STAY, (100, "in 500 stuck"), (900, "x"))
    bench.probe(at=9000)

    written = bench.written()

    [context] = written[DEAD, 0]
    assert errors_of(context)["exception"] == "DeadlineStays"
    assert bench.patient().rule_failed
    assert [out.value for out in written[LINES, 0]] == [b"in 500 stuck @100", b"x @900"]


def test_a_deadline_that_stays_after_firing_does_not_fire_again_until_the_state_changes():
    class Stubborn(OrdersAgent):
        def after_failure(self, key, packed, now):
            return packed

    bench = Bench()
    bench.shard.agent = Stubborn()
    bench.receive(STAY, (100, "in 500 raise"), (900, "x"))
    bench.probe(at=9000)

    lines = bench.apply() + bench.apply()

    assert lines == ["in 500 raise @100", "x @900"]
    assert len(bench.shard.tally.failed) <= 2


def test_a_reader_that_raises_costs_that_record_only():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "break-reader"), (300, "b"))
    bench.probe(at=900)

    written = bench.written()

    assert [out.value for out in written[LINES, 0]] == [b"a @100", b"b @300"]
    said = errors_of(written[DEAD, 0][0])
    assert (said["code"], said["stage"], said["exception"]) == ("rule-failed", "read", "ZeroDivisionError")


def test_a_dead_letter_keeps_value_key_and_headers_and_adds_origin_and_reason():
    bench = Bench()
    bench.receive(STAY, (100, "not-avro"), key=BOB)
    bench.probe(at=900)

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
    bench.receive(STAY, (100, "x"), key=None)
    bench.probe(at=900)

    [context] = bench.written()[DEAD, 0]

    assert (context.key, context.value, errors_of(context)["code"]) == (None, b"x", "no-key")


def test_event_refused_by_a_decision_is_a_dead_letter_and_the_state_stays():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (200, "too-late"))
    bench.probe(at=900)

    written = bench.written()

    assert errors_of(written[DEAD, 0][0])["code"] == "too-late"
    assert bench.patient().lines == ["a"]


# ---- isolation: one step at a time


def test_the_head_is_the_record_that_apply_takes_next():
    bench = Bench()
    bench.receive(STAY, (100, "a"), (300, "c"))
    bench.receive(TEAM, (200, "b"))
    assert bench.shard.head() is None
    bench.probe(at=900)

    heads = []
    while (head := bench.shard.head()) is not None:
        heads.append((head, bench.apply(most=1)))

    assert heads == [((STAY, 0), ["a @100"]), ((TEAM, 0), ["b @200"]), ((STAY, 1), ["c @300"])]


def test_a_record_that_is_set_aside_is_a_dead_letter_and_is_never_decided():
    bench = Bench()
    bench.receive(STAY, (100, "kill"), (200, "b"))
    bench.probe(at=900)

    written = Outgoing()
    bench.shard.set_aside(STAY, 0, written)

    assert errors_of(written[DEAD, 0][0])["code"] == "killed-worker"
    assert positions(bench.shard.changes()) == {STAY: b"1 100"}, "its time is below the position from now on"
    assert bench.apply() == ["b @200"]


def test_a_deadline_before_the_head_is_what_comes_next_and_fires_alone():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 a"), (101, "in 500 b"), (601, "x"), (900, "in 100 y"))
    bench.probe(at=9000)
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
    bench.probe(at=9000)

    written = Outgoing()
    bench.shard.set_aside_deadline(bench.shard.step_until, written)

    said = errors_of(written[DEAD, 0][0])
    assert (said["topic"], said["code"], said["stage"], said["timestamp"]) == ("deadline", "killed-worker", "expire", "600")
    assert bench.apply() == ["call! @701"]


def test_open_handoffs_are_counted_from_the_state_that_was_read():
    class Counted(OrdersAgent):
        def open_handoffs(self, packed):
            return len(unpack(packed).due)

    packed = decided("in 500 call", 100)
    shard = Shard(0, PARTITIONS, Counted(), Clock(), {ANN: packed, BOB: packed})

    shard.restored(dict.fromkeys(OrdersAgent.inbound, 0), {})
    assert shard.open_handoffs == 2

    shard.probed(dict.fromkeys(OrdersAgent.inbound, 0), shard.seal(), 9000)
    shard.apply(Outgoing(), 1)
    assert shard.open_handoffs == 1


def test_only_the_record_at_that_offset_is_set_aside():
    bench = Bench()
    bench.receive(STAY, (100, "a"))

    written = Outgoing()
    bench.shard.set_aside(STAY, 5, written)

    assert written == {}
    assert bench.shard.waiting == 1


def test_a_limit_of_one_fires_one_deadline_at_a_time():
    bench = Bench()
    bench.receive(STAY, (100, "in 500 a"))
    bench.receive(STAY, (100, "in 500 b"), key=BOB)
    bench.probe(at=9000)
    bench.apply(most=2)

    assert len(bench.apply(most=1)) + len(bench.apply(most=1)) + len(bench.apply(most=1)) <= 2
    assert bench.shard.next_due == NEVER
