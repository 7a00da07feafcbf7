"""The tests' own tools: a table reports every row that fails, and a test cannot start a broker without the kafka mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tables import each

from streams.local import LocalKafka, LocalKafkaError
from streams.local.jars import COORDINATES


class Reported:
    """Replaces pytest's subtests, and records the names of the rows that failed."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    @contextmanager
    def test(self, name: str) -> Iterator[None]:
        try:
            yield
        except AssertionError:
            self.rows.append(name)


def test_every_row_that_fails_is_reported_by_its_name_and_the_rows_after_it_run():
    seen, reported = [], Reported()

    @each("number, word", [(1, "a"), (2, "b"), (3, "c")])
    @each("sign", "+-", ids=str)
    def no_even_minus(number: int, word: str, sign: str) -> None:
        seen.append((number, word, sign))
        assert number % 2 or sign == "+"

    no_even_minus(reported)

    assert seen == [(n, word, sign) for n, word in ((1, "a"), (2, "b"), (3, "c")) for sign in "+-"]
    assert reported.rows == ["2-'b'--"]


def test_a_test_without_the_kafka_mark_cannot_start_a_broker_and_is_reported(java_without_kafka: Path | None, tmp_path: Path):
    assert java_without_kafka, "Java is not installed"
    jars = tmp_path / "jars"
    jars.mkdir()
    (jars / "jars.json").write_text(json.dumps({"of": COORDINATES, "jars": {}}))

    with pytest.raises(LocalKafkaError, match="not marked kafka"):
        LocalKafka(tmp_path / "broker", jars=jars).start()

    noticed = java_without_kafka / "bin" / "java-ran"
    assert noticed.exists(), "the test would fail at its end"
    noticed.unlink()
