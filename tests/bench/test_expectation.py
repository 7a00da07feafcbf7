"""The expectations of the benchmarks, and their report if the result differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.coordination.agent import CoordinationAgent
from agents.coordination.rules.loading import load_world
from bench import report, run
from bench.expectation import Difference, Expectation, difference
from streams.contract.events import EncounterRef, Event, Member, Millis, Party, PatientAdmitted, PersonKey, Practitioner
from streams.intake.reading import Arrived
from streams.shard.memory import MemoryForm

MINUTE = 60_000
NOON = 1_782_000_000_000
DOCTOR = Member("pcp", Party("pcp", Practitioner("8801")))


class Topics:
    """Admissions of different persons, at the given minutes after noon."""

    def __init__(self, *minutes: float) -> None:
        self._minutes = minutes

    def arrivals(self) -> Iterator[Arrived]:
        for n, minute in enumerate(self._minutes):
            at = Millis(int(NOON + minute * MINUTE))
            fact = PatientAdmitted(EncounterRef("GENERAL", f"V{n}"), "IMP", members=(DOCTOR,))
            yield Arrived(Event(f"e{n}", "urn:test", at, at, PersonKey(f"p1.{n}"), fact), at, "")


def expected(*minutes: float) -> Expectation:
    expectation = Expectation(CoordinationAgent(load_world(), MemoryForm()))
    expectation._decide(Topics(*minutes))  # type: ignore[arg-type]
    expectation.by_records = set(expectation.effects)
    return expectation


def test_an_alarm_is_expected_before_a_later_record_of_anybody_as_in_the_worker() -> None:
    alone, with_others = expected(0), expected(0, 6)
    more = with_others.effects.keys() - alone.effects.keys()
    alarms = [name for name in more if with_others.effects[name] == NOON + 5 * MINUTE]
    assert alarms, "nobody reported a delivery, so an alarm is due five minutes after the admission"


def test_an_alarm_after_the_last_record_is_expected_once_its_time_has_come_and_is_not_of_the_backlog() -> None:
    expectation = expected(0)
    before, after = dict(expectation.until(NOON + 5 * MINUTE - 1)), dict(expectation.until(NOON + 5 * MINUTE))
    assert before.keys() == expectation.by_records
    assert after.keys() > before.keys()
    assert expectation.by_records == before.keys()


def test_effects_are_compared_by_identity_up_to_an_instant() -> None:
    wanted = {"lost": 1, "there": 2, "twice": 3, "later": 99}
    seen = [("there", 2), ("twice", 3), ("twice", 3), ("twice", 3), ("unexpected", 4), ("unexpected later", 98)]
    assert difference(wanted, seen, until=50) == Difference(lost=1, twice=2, unexpected=1)


@pytest.mark.parametrize("field", Difference._fields)
def test_a_run_with_a_lost_duplicate_or_unexpected_effect_is_named_and_no_other(field: str) -> None:
    good = dict.fromkeys(Difference._fields, 0)
    results = {"care": {"200000": {"the whole catalogue": [good, good | {field: 7}]}}}
    assert report.wrong(results) == [f"care, 200000, the whole catalogue, run 2: 7 {field}"]
    assert report.wrong({"care": {"200000": {"the whole catalogue": [good, good]}}}) == []


def test_the_benchmark_exits_1_if_something_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class NoKafka:
        bootstrap = "nowhere:1"

        def __init__(self, *_: Any, **__: Any) -> None: ...
        def erase(self) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    class Failing:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.results = {"failed": ["care / 200000: it ended"]}

        async def all(self) -> None: ...

    monkeypatch.setattr(run, "LocalKafka", NoKafka)
    monkeypatch.setattr(run, "Run", Failing)
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "OUTPUT_DIR", tmp_path)
    monkeypatch.setattr(run, "conditions", lambda **_: {"date": "", "quick": True, "versions": {}, "cores": 1, "load_before": "0"})
    monkeypatch.setattr("sys.argv", ["bench", "--quick"])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 1
    assert "it ended" in (tmp_path / "RESULTS.md").read_text()
