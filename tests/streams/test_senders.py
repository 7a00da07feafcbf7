"""Failing sources: fifty refused records in a row are allowed, one more is failing. So is a share of more than 5 percent."""

from __future__ import annotations

from streams.base.metrics import Metrics
from streams.ops.senders import OTHER, RECORDS_KEPT, Senders

HERE, THERE = "urn:hospital:here", "urn:hospital:there"


def refused(count: int, source: str = HERE, code: str = "not-avro") -> dict[tuple[str, str], int]:
    return {(code, source): count}


def test_fifty_refused_in_a_row_are_allowed_and_one_more_is_failing():
    senders = Senders()

    assert senders.take(refused(50), {}) == {}
    assert senders.take(refused(1), {}) == {HERE: True}
    assert senders.failing == {HERE}


def test_a_source_that_keeps_failing_is_reported_once():
    senders = Senders()
    senders.take(refused(60), {})

    assert senders.take(refused(60), {}) == {}


def test_one_accepted_record_breaks_the_row():
    senders = Senders()
    senders.take(refused(30), {HERE: 900})

    assert senders.take(refused(30), {HERE: 900}) == {}
    assert senders.failing == frozenset()


def test_a_share_of_five_percent_is_allowed_and_more_is_failing():
    at, above = Senders(), Senders()

    assert at.take(refused(50), {HERE: 950}) == {}
    assert above.take(refused(51), {HERE: 949}) == {HERE: True}


def test_a_share_of_few_records_does_not_make_a_source_failing():
    assert Senders().take(refused(10), {HERE: 89}) == {}
    assert Senders().take(refused(10), {HERE: 90}) == {HERE: True}


def test_different_reasons_of_one_source_count_together():
    assert Senders().take(refused(30) | refused(30, code="cut-short"), {}) == {HERE: True}


def test_one_source_says_nothing_of_another():
    senders = Senders()
    senders.take(refused(60), {})

    senders.take({}, {THERE: 500})

    assert senders.failing == {HERE}


def test_a_failing_source_recovers_at_half_of_its_limit_and_not_before():
    senders = Senders()
    senders.take(refused(60), {HERE: 940})
    assert senders.failing == {HERE}

    assert senders.take({}, {HERE: 200}) == {}, "now at the limit; if it recovered here it would soon be reported again"
    assert senders.take({}, {HERE: RECORDS_KEPT * 2}) == {HERE: False}
    assert senders.failing == frozenset()


def test_a_source_that_failed_from_its_first_record_recovers_when_its_records_are_accepted():
    senders = Senders()
    senders.take(refused(51), {})

    changes = [senders.take({}, {HERE: 500}) for _ in range(8)]

    assert {HERE: False} in changes


def test_old_accepted_records_do_not_hide_new_refused_ones():
    senders = Senders()
    senders.take({}, {HERE: 1_000_000})

    assert senders.take(refused(49), {HERE: 1}) == {}
    assert senders.take(refused(20), {HERE: 1}) == {HERE: True}


def test_faults_of_the_program_do_not_count_against_a_source():
    senders = Senders()

    assert senders.take(refused(500, code="rule-failed") | refused(500, code="killed-worker"), {}) == {}


def test_a_sender_that_invents_names_does_not_fill_the_memory():
    senders = Senders(sources_max=3)

    senders.take({("not-avro", f"urn:{n}"): 1 for n in range(500)}, {})

    assert senders.failing == {OTHER}
    assert len(senders._sources) == 4


def test_the_metric_is_one_while_a_source_is_failing():
    metrics, senders = Metrics(), Senders()

    metrics.mark_failing(senders.take(refused(51), {}))
    assert f'care_source_failing{{source="{HERE}"}} 1.0' in metrics.text().decode()

    for _ in range(8):
        metrics.mark_failing(senders.take({}, {HERE: 500}))
    assert f'care_source_failing{{source="{HERE}"}} 0.0' in metrics.text().decode()
