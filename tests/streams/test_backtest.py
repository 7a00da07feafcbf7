"""A backtest of a changed rule: what is counted, what counts as the same handoff, and that nothing is written."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from command import Done, run_command

from agents.coordination.agent import CoordinationAgent
from agents.coordination.rules.loading import RULES, load_world
from agents.loaders import load_in_memory, load_intake
from streams.base.settings import Settings
from streams.cli.exits import Exit
from streams.cli.simulate import write_files
from streams.contract.events import (
    EncounterRef,
    Event,
    Millis,
    Party,
    PatientAdmitted,
    PatientDischarged,
    PersonKey,
    ReferralRequested,
    ReferralStatusChanged,
)
from streams.contract.instants import parse_instant
from streams.intake.reading import Arrived
from streams.replay.backtest import History, Loaders, run_both, run_one, with_rules
from streams.replay.compare import Findings, compare, findings_of
from streams.replay.history import Boundaries, MergedShards, People, Span
from streams.shard.memory import MemoryForm
from streams.simulate.stream import Simulation, faults_of, simulate

LOADERS = Loaders(load_in_memory, load_intake)
SINCE, UNTIL = "2026-06-01T00:00:00Z", "2026-06-30T23:59:59Z"


def gap(
    handoff: str, at: str = "2026-06-03T12:00:00Z", *, state: str = "open", owner: str = "pcp/pool:a", due: str = "", rule: str = "TCM-1"
):
    return line("gap", at, rule=rule) | {"handoff": handoff, "state": state, "owner": owner, "due": due or at}


def task(handoff: str, at: str = "2026-06-03T12:00:00Z", *, state: str = "requested", owner: str = "pcp/pool:a"):
    return line("task", at) | {"handoff": handoff, "state": state, "owner": owner, "due": at}


def alert(identity: str, at: str = "2026-06-03T12:00:00Z", *, handoff: str | None = None, role: str = "pcp"):
    return line("notification", at) | {"id": identity, "handoff": handoff, "role": role, "recipient": f"{role}/pool:a"}


def line(effect: str, at: str, *, rule: str = "TCM-1"):
    return {"at": at, "effect": effect, "rule": rule, "rule_version": 1, "person": "p1.x", "why": "because"}


def counted(lines: Iterable[dict]) -> Findings:
    return findings_of(lines, SINCE, UNTIL)


def rows(old: Iterable[dict], new: Iterable[dict]) -> dict[tuple[str, str, str], tuple[int, ...]]:
    found = compare(counted(old), counted(new)).rows
    return {(r.what, r.rule, r.role): (r.old, r.new, r.added, r.removed, r.moved) for r in found}


# ---- counting


def test_a_gap_counts_once_when_it_is_first_open_and_not_when_it_is_due_soon() -> None:
    lines = [gap("h1", state="due-soon"), gap("h1"), gap("h1", "2026-06-04T12:00:00Z"), gap("h1", state="closed")]
    assert [found.at for found in counted(lines).gap.values()] == ["2026-06-03T12:00:00Z"]


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        ("2026-05-31T23:59:59.999Z", 0),
        ("2026-06-01T00:00:00Z", 1),
        ("2026-06-01T00:00:00.001Z", 1),
        ("2026-06-30T23:59:59Z", 1),
        ("2026-06-30T23:59:59.001Z", 0),
    ],
)
def test_events_at_the_edges_of_the_window_count_and_those_outside_do_not(at: str, counts: int) -> None:
    kept = counted([gap("h1", at), task("h1", at), alert("n1", at)])
    assert (len(kept.gap), len(kept.task), len(kept.alert)) == (counts, counts, counts)


def test_a_gap_that_opened_before_the_window_is_not_counted_when_it_changes_in_it() -> None:
    assert not counted([gap("h1", "2026-05-20T12:00:00Z"), gap("h1")]).gap


def test_a_refusal_is_counted_by_its_reason() -> None:
    lines = [line("refused", "2026-06-02T00:00:00Z") | {"reason": "closed-task"}] * 2
    assert counted(lines).refused == {"closed-task": 2}


# ---- comparing


def test_the_same_lines_under_both_catalogues_change_nothing() -> None:
    lines = [gap("h1"), task("h1"), alert("n1"), alert("n2", handoff="h1")]
    found = compare(counted(lines), counted(lines))
    assert not found.examples
    assert not any(row.changed for row in found.rows)


def test_a_gap_that_only_the_new_catalogue_opens_is_added() -> None:
    assert rows([], [gap("h1")]) == {("gap", "TCM-1", "pcp"): (0, 1, 1, 0, 0)}


def test_a_gap_that_the_new_catalogue_no_longer_opens_is_removed() -> None:
    assert rows([gap("h1")], []) == {("gap", "TCM-1", "pcp"): (1, 0, 0, 1, 0)}


def test_a_gap_that_opens_at_another_time_is_moved_and_not_added() -> None:
    assert rows([gap("h1")], [gap("h1", "2026-06-02T12:00:00Z")]) == {("gap", "TCM-1", "pcp"): (1, 1, 0, 0, 1)}


def test_a_task_with_another_due_is_moved() -> None:
    later = task("h1") | {"due": "2026-06-09T12:00:00Z"}
    assert rows([task("h1")], [later]) == {("task", "TCM-1", "pcp"): (1, 1, 0, 0, 1)}


def test_a_task_that_goes_to_another_role_leaves_one_row_and_enters_the_other() -> None:
    found = rows([task("h1")], [task("h1", owner="practice-manager/pool:b")])
    assert found == {("task", "TCM-1", "pcp"): (1, 0, 0, 1, 0), ("task", "TCM-1", "practice-manager"): (0, 1, 1, 0, 0)}


def test_alerts_about_a_handoff_are_matched_by_their_number_although_their_ids_differ() -> None:
    old = [alert("a", handoff="h1"), alert("b", "2026-06-05T12:00:00Z", handoff="h1")]
    new = [alert("c", handoff="h1"), alert("d", "2026-06-05T12:00:00Z", handoff="h1"), alert("e", "2026-06-06T12:00:00Z", handoff="h1")]
    assert rows(old, new) == {("alert", "TCM-1", "pcp"): (2, 3, 1, 0, 0)}


def test_examples_are_the_earliest_of_each_change_up_to_the_requested_number() -> None:
    new = [gap(f"h{n}", f"2026-06-{n:02d}T12:00:00Z") for n in range(9, 1, -1)]
    found = compare(counted([]), counted(new), examples=2).examples
    assert [e.new.at for e in found if e.new] == ["2026-06-02T12:00:00Z", "2026-06-03T12:00:00Z"]


# ---- people whose earlier state is unknown


def arrived(fact, person: str = "p1.a") -> Arrived:
    at = parse_instant("2026-06-02T12:00:00Z")
    return Arrived(Event("e", "urn:test", at, at, PersonKey(person), fact), Millis(at), "story:1")


def people_of(*facts, boundaries: Boundaries | None = None) -> People:
    people = People(boundaries)
    assert len(list(people.watch(arrived(f) for f in facts))) == len(facts)
    return people


def test_a_discharge_without_its_admission_is_a_person_of_unknown_earlier_state() -> None:
    assert people_of(PatientDischarged(EncounterRef("G", "V1"), "home")).begin_missing() == ["p1.a"]


def test_an_admission_that_arrives_after_its_discharge_is_a_beginning_all_the_same() -> None:
    stay = EncounterRef("G", "V1")
    assert people_of(PatientDischarged(stay, "home"), PatientAdmitted(stay, "IMP")).begin_missing() == []


def test_an_answer_to_a_referral_without_its_request_means_a_missing_history() -> None:
    party = Party("specialist")
    assert people_of(ReferralStatusChanged("R1", "accepted", "target")).begin_missing() == ["p1.a"]
    assert people_of(ReferralRequested("R1", party, party, "x"), ReferralStatusChanged("R1", "accepted", "target")).begin_missing() == []


def test_everybody_in_a_shard_with_deleted_records_may_have_earlier_events() -> None:
    spans = (Span("care.admission.v1", 0, 17, 20),)
    stay = PatientAdmitted(EncounterRef("G", "V1"), "IMP")
    assert people_of(stay, boundaries=Boundaries(spans, 1)).may_be_missing() == 1
    assert people_of(stay, boundaries=Boundaries((Span("care.admission.v1", 0, 0, 20),), 1)).may_be_missing() == 0


# ---- the order of topics


class Appended(NamedTuple):
    """The parts of a record that determine its order."""

    offset: int
    timestamp: int
    name: str = ""


RANKED = ("care.admission.v1", "care.discharge.v1")
ADMISSIONS, DISCHARGES = ((topic, 0) for topic in RANKED)
OTHER_SHARD = ("care.admission.v1", 1)


def merged(ends: dict[tuple[str, int], int]) -> MergedShards:
    return MergedShards([Span(*place, 0, end) for place, end in ends.items()], RANKED)


def names(shards: MergedShards) -> list[str]:
    return [record.name for _, record in shards.take()]


def test_no_record_is_taken_while_a_partition_may_still_have_an_older_one() -> None:
    shards = merged({ADMISSIONS: 2, DISCHARGES: 2})
    shards.add(DISCHARGES, [Appended(0, 50, "left")], 1)
    assert names(shards) == []
    shards.add(ADMISSIONS, [Appended(0, 40, "came")], 1)
    assert names(shards) == ["came"]
    shards.add(ADMISSIONS, [Appended(1, 60, "came again")], 2)
    assert names(shards) == ["left"]
    assert not shards.done
    shards.add(DISCHARGES, [], 2)
    assert names(shards) == ["came again"]
    assert shards.done


def test_no_record_is_taken_while_another_shard_may_still_have_an_older_one() -> None:
    shards = merged({ADMISSIONS: 1, OTHER_SHARD: 2})
    shards.add(ADMISSIONS, [Appended(0, 50, "here")], 1)
    assert names(shards) == []
    shards.add(OTHER_SHARD, [Appended(0, 40, "there"), Appended(1, 50, "there too")], 2)
    assert names(shards) == ["there", "here", "there too"]


def test_records_of_one_instant_come_in_the_order_of_their_topics_rank() -> None:
    shards = merged({DISCHARGES: 1, ADMISSIONS: 1, OTHER_SHARD: 1})
    shards.add(DISCHARGES, [Appended(0, 50, "left")], 1)
    shards.add(OTHER_SHARD, [Appended(0, 50, "came elsewhere")], 1)
    shards.add(ADMISSIONS, [Appended(0, 50, "came")], 1)
    assert names(shards) == ["came", "came elsewhere", "left"]


def test_a_broker_s_clock_that_steps_back_does_not_reorder_a_partition() -> None:
    shards = merged({ADMISSIONS: 3, OTHER_SHARD: 1})
    shards.add(ADMISSIONS, [Appended(0, 50, "first"), Appended(1, 10, "second"), Appended(2, 60, "third")], 3)
    shards.add(OTHER_SHARD, [Appended(0, 55, "elsewhere")], 1)
    assert names(shards) == ["first", "second", "elsewhere", "third"]


def test_events_beyond_the_end_are_left_out() -> None:
    shards = merged({ADMISSIONS: 1})
    shards.add(ADMISSIONS, [Appended(0, 50, "in"), Appended(1, 60, "beyond")], 2)
    assert names(shards) == ["in"]
    assert shards.done


def test_a_partition_with_many_waiting_records_is_not_fetched_further() -> None:
    shards = merged({ADMISSIONS: 10_000, DISCHARGES: 1})
    shards.add(ADMISSIONS, [Appended(n, n) for n in range(5000)], 5000)
    assert shards.full() == [ADMISSIONS]


# ---- from files


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of synthetic events of ten thousand people, with answers."""
    out = tmp_path_factory.mktemp("month") / "made.jsonl.gz"
    write_files(simulate(Simulation(4, 10_000, 30, 3, faults_of("all")), CoordinationAgent(load_world(), MemoryForm())), out)
    return out


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of synthetic events of some people, without answers."""
    out = tmp_path_factory.mktemp("fortnight") / "made.jsonl"
    write_files(simulate(Simulation(4, 600, 14, 2, faults_of("all"))), out)
    return out


@pytest.fixture
def quicker(tmp_path: Path) -> Path:
    """The built-in catalogue, with one business day for TCM-1 instead of two."""
    rules = tmp_path / "quicker"
    shutil.copytree(RULES, rules)
    text = (rules / "TCM-1.yaml").read_text()
    assert "clock: {amount: 2, unit: business-day}" in text
    changed = text.replace("clock: {amount: 2, unit: business-day}", "clock: {amount: 1, unit: business-day}")
    (rules / "TCM-1.yaml").write_text(changed)
    return rules


def cpu_of_children_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def test_a_month_of_ten_thousand_people_takes_less_than_a_minute_and_shows_one_changed_rule_alone(month: Path, quicker: Path) -> None:
    settings = Settings()
    began = cpu_of_children_s()
    old, new = run_both(LOADERS, settings, with_rules(settings, quicker), History((month,)))
    # CPU time of each of the two processes. Wall time would depend on what else the machine does.
    took = (cpu_of_children_s() - began) / 2
    found = compare(old.findings, new.findings)
    assert {row.rule for row in found.rows if row.changed} <= {"TCM-1", "NOT-2"}
    gaps = [row for row in found.rows if row.what == "gap" and row.rule == "TCM-1"]
    assert sum(row.new for row in gaps) > sum(row.old for row in gaps), "a shorter clock opens more gaps"
    assert old.events > 40_000
    assert took < 60


def test_a_catalogue_against_itself_changes_nothing(fortnight: Path) -> None:
    result = run_one(LOADERS, Settings(), History((fortnight,)))
    again = run_one(LOADERS, Settings(), History((fortnight,)))
    assert result.findings.gap
    assert result == again
    assert not compare(result.findings, again.findings).examples


def test_only_the_window_counts_although_history_before_it_is_read(fortnight: Path) -> None:
    since, until = parse_instant("2026-06-10T00:00:00Z"), parse_instant("2026-06-12T00:00:00Z")
    part = run_one(LOADERS, Settings(), History((fortnight,), since=since, until=until))
    assert part.findings.task
    assert all("2026-06-10T00:00:00" <= f.at.removesuffix("Z") <= "2026-06-12T00:00:00" for f in part.findings.task.values())
    assert part.events > 1500


# ---- the command


def backtest(*arguments: str) -> Done:
    return run_command("backtest", *arguments)


def test_the_command_prints_the_window_then_counts_then_examples(quicker: Path, fortnight: Path) -> None:
    result = backtest("--rules", str(quicker), str(fortnight), "--json", "--examples", "1")
    assert result.code == 0, result.stderr
    kinds = [json.loads(text)["row"] for text in result.stdout.splitlines()]
    assert kinds[0] == "window"
    assert kinds == sorted(kinds, key=["window", "person-begin-missing", "count", "example"].index)
    assert "example" in kinds


def test_the_table_says_which_rules_change(quicker: Path, fortnight: Path) -> None:
    result = backtest("--rules", str(quicker), str(fortnight))
    assert result.code == 0, result.stderr
    assert "TCM-1" in result.stdout
    assert "other combinations of rule and role do not change" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rules", "nowhere", "made.jsonl"], "nowhere is not a folder"),
        (["made.jsonl"], "--rules is required"),
        (["--rules", "."], "give files or folders, or --from and --to"),
        (["--rules", ".", "--from", "yesterday", "made.jsonl"], "--from is"),
        (["--rules", ".", "--from", UNTIL, "--to", SINCE, "made.jsonl"], "--from is later than --to"),
    ],
)
def test_error_in_the_command_line_is_reported(arguments: list[str], says: str) -> None:
    result = backtest(*arguments)
    assert result.code == Exit.USAGE
    assert says in result.stderr


def test_a_catalogue_that_does_not_load_is_named_with_its_field(quicker: Path, tmp_path: Path) -> None:
    (quicker / "TCM-1.yaml").write_text((quicker / "TCM-1.yaml").read_text().replace("unit: business-day", "unit: fortnight", 1))
    (tmp_path / "made.jsonl").write_text("")
    result = backtest("--rules", str(quicker), str(tmp_path / "made.jsonl"))
    assert result.code == Exit.USAGE
    assert "TCM-1" in result.stderr
