"""The commands for authors of rules: the names that a rule may use, a template for a new rule, and the row that tests it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest
import yaml
from command import run_command
from renew_rules import ByHandError, nearest_row, row_of
from timeline import world
from typer.testing import CliRunner

from agents.commands import rules_app
from agents.coordination.rules.conditions import compile_where
from agents.coordination.rules.facts import FACTS
from agents.coordination.rules.loading import RULES, load_catalogue
from agents.coordination.rules.rule import Closing, Ending, Rule, Step, Tell, Trigger, Where
from agents.coordination.rules.validation import ISSUED, OUTREACH
from agents.coordination.rules.vocabulary import list_codes, list_facts, list_groups
from streams.cli.demonstration import STORY
from streams.cli.exits import UserError
from streams.contract.codes import CODES
from streams.contract.topics import FACT_OF, RELAY


def rules(*arguments: str) -> str:
    """The output of `carerelay rules`. Raises UserError as the command does."""
    result = CliRunner().invoke(rules_app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def lines(*arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in rules(*arguments, "--json").splitlines()]


# ---- names that a rule may use


def test_every_fact_is_listed_with_a_meaning_a_kind_and_an_example_that_a_rule_may_say():
    rows = list_facts(world().catalogue, world().valuesets.groups)

    assert [row["fact"] for row in rows] == sorted(FACTS)
    for row in rows:
        assert row["meaning"]
        assert row["kind"]
        if row["fact"] == "needed_by":
            assert row["example"] == "until: needed_by"
            continue
        where = msgspec.convert(yaml.safe_load(f"{{{row['example']}}}"), Where)
        compile_where(where, row["fact"], "example")
        assert "..." not in row["example"]


def test_every_code_that_a_rule_may_name_is_listed():
    rows = list_codes(world().catalogue, world().directory)
    listed = {(row["kind"], row["code"]) for row in rows}

    assert len(listed) == len(rows)
    assert {code for kind, code in listed if kind == "event"} == {*FACT_OF, ISSUED} - {kind.__name__ for kind in RELAY.types}
    for (event, field), codes in CODES.items():
        if event in FACT_OF and field != "priority":
            assert {code for kind, code in listed if kind == f"{field} of {event}"} == set(codes.codes)
    assert {code for kind, code in listed if kind == "outcome of OutreachAttempted"} == set(OUTREACH)
    for rule in world().catalogue.rules.values():
        named = {rule.accountable, *(s.owner for s in rule.steps if s.owner), *(t.role for s in rule.steps for t in s.tells)}
        assert named <= {code for kind, code in listed if kind == "role"}
        assert rule.clock.unit in {code for kind, code in listed if kind == "unit"}


def test_codes_of_the_deployment_are_listed_too(tmp_path):
    (tmp_path / "TCM-1.yaml").write_text((RULES / "TCM-1.yaml").read_text())
    (tmp_path / "routing.yaml").write_text("codes: [seen-at-the-kiosk]\n" + (RULES / "routing.yaml").read_text())

    assert "seen-at-the-kiosk" in rules("codes", "activity", "--rules", str(tmp_path))


def test_every_group_is_listed_with_its_source_and_codes():
    rows = list_groups(world().valuesets)

    assert [row["group"] for row in rows] == sorted(world().valuesets.groups)
    assert all(row["title"] and row["source"] and row["codes"] for row in rows)


@pytest.mark.parametrize("command", ["facts", "codes", "groups"])
def test_list_is_one_object_a_line_with_json(command):
    assert len(lines(command)) > 20 or command == "groups"


def test_name_picks_one_or_those_that_contain_it_and_an_unknown_one_names_the_nearest():
    assert [row["fact"] for row in lines("facts", "setting")] == ["setting"]
    assert {"setting", "setting_of_stay", "goal_setting"} <= {row["fact"] for row in lines("facts", "ting")}
    assert {row["kind"] for row in lines("codes", "unit")} == {"unit"}
    assert lines("codes", "units") == lines("codes", "unit")
    assert lines("codes", "activities") == lines("codes", "activity")
    assert "I50" in rules("groups", "fmc/heart-failure")
    for command, wrong, nearest in (
        ("facts", "seting", "setting"),
        ("codes", "busines-day", "business-day"),
        ("groups", "mental-ilness", "mental-illness"),
    ):
        with pytest.raises(UserError, match=f"{wrong}; did you mean {nearest}"):
            rules(command, wrong)
    with pytest.raises(UserError, match=r"no rule TMC-1: .*; did you mean .*TCM-1"):
        rules("show", "TMC-1")


def test_check_notes_names_that_the_directory_does_not_know_and_still_passes(tmp_path):
    text = (RULES / "TCM-1.yaml").read_text().replace("accountable: pcp", "accountable: pcb")
    (tmp_path / "TCM-1.yaml").write_text(text)

    said = rules("check", str(tmp_path))

    assert "note: TCM-1.yaml: rule TCM-1: accountable: the directory does not know the role 'pcb' (`carerelay rules codes role`" in said
    assert "did you mean pcp?" in said
    assert "rules that can be used: 1" in said


def test_folder_is_given_to_check_in_either_way_or_as_a_file_in_it(tmp_path):
    (tmp_path / "TCM-1.yaml").write_text((RULES / "TCM-1.yaml").read_text())
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "x.yaml").write_text("id: x\nrules: {TCM-1: {enabled: false}}")

    for arguments in ([tmp_path], ["--rules", tmp_path], [tmp_path / "TCM-1.yaml"], [tmp_path / "overlays" / "x.yaml"]):
        assert "rules that can be used: 1" in rules("check", *map(str, arguments))
    with pytest.raises(UserError, match="given twice"):
        rules("check", str(tmp_path), "--rules", str(tmp_path))


def test_name_is_searched_in_descriptions_too_and_nothing_unlike_it_is_suggested():
    assert [row["code"] for row in lines("codes", "phone")] == ["interactive-contact"]
    assert "age_years" in {row["fact"] for row in lines("facts", "date of birth")}
    with pytest.raises(UserError) as refused:
        rules("codes", "fone")
    assert str(refused.value) == "there is no code fone"


def test_every_activity_of_the_contract_is_described():
    for row in lines("codes", "activity"):
        assert len(row["meaning"].split(";")[0].split()) > 4, row


def test_fact_is_listed_with_where_its_values_come_from_and_the_events_that_have_it():
    rows = {row["fact"]: row for row in lines("facts")}

    for name, row in rows.items():
        assert bool(row["values"] or row["listed"]) or row["kind"] != "text", name
    assert "carerelay rules codes activity" in rows["code"]["listed"]
    assert rows["planned"]["events"] == ["PatientAdmitted"]
    assert rows["age_years"]["events"] == []
    assert "known for AppointmentChanged" in rules("facts", "still_stands")
    assert "known for CareActivityRecorded, GoalUpdated, NotificationIssued; in triggers of a rule about a goal" in rules(
        "facts", "setbacks"
    )
    statuses = {"status of ReferralStatusChanged", "status of AppointmentChanged", "status of CareActivityRecorded"}
    assert {row["kind"] for row in lines("codes", "status")} == statuses
    for row in rows.values():
        if row["listed"].startswith("carerelay rules codes "):
            rules("codes", row["listed"].split(",")[0].split()[-1])


# ---- a new rule


def test_new_rule_loads_unchanged_and_its_names_are_known(tmp_path):
    said = rules("new", "HF-24", "--rules", str(tmp_path / "mine"))

    assert f"carerelay rules check {tmp_path / 'mine'}" in said
    assert "note" not in rules("check", str(tmp_path / "mine"))
    assert rules("show", "HF-24", "--rules", str(tmp_path / "mine")).startswith("HF-24: ")


def test_new_rule_is_written_to_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    rules("new", "HF-24")

    assert list(load_catalogue(tmp_path).rules) == ["HF-24"]


def test_new_rule_with_the_id_of_a_built_in_rule_says_so(tmp_path):
    assert "note: TCM-1 is the id of a built-in rule" in rules("new", "TCM-1", "--rules", str(tmp_path))
    assert "note" not in rules("new", "HF-24", "--rules", str(tmp_path))


def test_new_rule_never_overwrites_a_file(tmp_path):
    (tmp_path / "HF-24.yaml").write_text("mine")

    with pytest.raises(UserError, match=r"HF-24\.yaml already exists"):
        rules("new", "HF-24", "--rules", str(tmp_path))

    assert (tmp_path / "HF-24.yaml").read_text() == "mine"


@pytest.mark.parametrize("wrong", ["hf-24", "../HF", "HF 24", "-HF", ""])
def test_id_that_no_rule_can_have_is_refused(tmp_path, wrong):
    with pytest.raises(UserError, match="cannot be the id of a rule"):
        rules("new", "--rules", str(tmp_path), "--", wrong)


# ---- the row of the boundary table


def rule(**fields: object) -> Rule:
    written = {**yaml.safe_load((RULES / "TCM-1.yaml").read_text()), **fields}
    return msgspec.convert(written, Rule)


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({}, 'Case("TCM-1", 2, "business-day", stay(), care("interactive-contact")),'),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"setting": "emergency", "condition_group": "fmc/heart-failure"}}]},
            'Case("TCM-1", 2, "business-day", stay(class_="EMER", before=0.1, diagnoses=("I50",)), care("interactive-contact")),',
        ),
        (
            {"profiles": ["england"], "triggers": [{"event": "PatientAdmitted"}]},
            'Case("TCM-1", 2, "business-day", admitted(facility="ST-BRIDES"), care("interactive-contact"), LONDON),',
        ),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"age_years": {"at_least": 75, "or_unknown": True}}}]},
            'Case("TCM-1", 2, "business-day", stay(age_years=75), care("interactive-contact")),',
        ),
        (
            {"triggers": [{"event": "PatientAdmitted", "where": {"age_years": {"at_most": 17.5}}}]},
            'Case("TCM-1", 2, "business-day", admitted(age_years=17), care("interactive-contact")),',
        ),
    ],
)
def test_row_is_generated_from_the_rule(fields, row):
    assert row_of(rule(**fields), world().valuesets).strip() == row


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"triggers": [{"event": "ReferralRequested"}]}, "the stories stay and admitted have no ReferralRequested"),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"age_years": {"known": False}}}]},
            "its condition on age_years has neither at_least nor at_most",
        ),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"via_emergency": True}}]},
            "the stories stay and admitted do not set via_emergency",
        ),
        (
            {"closes": [{"event": "OutreachAttempted", "where": {"outcome": "reached"}}]},
            "OutreachAttempted is not a care activity with a code",
        ),
        ({"cases": [{"where": {"priority": "urgent"}, "clock": {"amount": 1, "unit": "hour"}}]}, "it has more than one clock"),
    ],
)
def test_row_that_cannot_be_generated_is_left_to_be_written_by_hand_with_the_reason(fields, why):
    with pytest.raises(ByHandError, match=why):
        row_of(rule(**fields), world().valuesets)


def test_row_to_copy_is_that_of_the_most_similar_rule_with_its_line():
    table = 'CASES = [\n    Case("REF-1", 2),\n    Case(\n        "FMC", 7),\n    Case("TCM-1", 2),\n'
    wanted = rule(id="NURSE-48", triggers=[{"event": "PatientDischarged", "where": {"setting": "emergency", "high_risk_conditions": 2.0}}])

    assert nearest_row(wanted, world().catalogue.rules.values(), table).startswith("Copy the row of FMC in line 3 and change its story")


def test_rows_are_generated_for_the_built_in_catalogue():
    assert (Path(__file__).parent / "test_boundaries.py").read_text().count("\n]\n\n\ndef expected_due(") == 1


# ---- the page


PAGE = (Path(__file__).parents[2] / "docs" / "write-a-rule.md").read_text(encoding="utf-8")


def test_page_names_every_field_of_a_rule():
    for struct in (Rule, Trigger, Closing, Ending, Step, Tell):
        for field in msgspec.structs.fields(struct):
            assert f"`{field.encode_name}`" in PAGE, f"{struct.__name__}.{field.encode_name}"


def test_rule_of_the_page_loads_and_its_row_is_generated(tmp_path):
    (example,) = re.findall(r"```yaml\n(id: HF-24.*?)```", PAGE, re.DOTALL)
    (tmp_path / "HF-24.yaml").write_text(example)

    (rule,) = load_catalogue(tmp_path).rules.values()

    assert "note" not in rules("check", str(tmp_path))
    assert row_of(rule, world().valuesets).startswith('    Case("HF-24", 24, "hour", stay(class_="EMER", before=0.1, diagnoses=("I50",))')
    assert "`fmc/heart-failure`" in PAGE


COMMANDS = re.findall(r"^\.venv/bin/carerelay (.*)$", PAGE, re.MULTILINE)


def test_commands_of_the_page_exist_with_their_options():
    assert len(COMMANDS) > 6
    for line in COMMANDS:
        arguments = shlex.split(line, comments=True)
        arguments = arguments[: arguments.index("|")] if "|" in arguments else arguments
        assert run_command(*arguments, "--help").code == 0, line


def test_replay_of_the_page_prints_lines_with_the_rule_as_the_page_shows_them():
    """The command of the page with another file and another rule: that of the story of `carerelay run`."""
    (line,) = (line for line in COMMANDS if line.startswith("replay "))
    options = re.sub(r"^replay events\.jsonl(.*)\| grep HF-24$", r"\1", line).split()
    (shown,) = re.findall(r"^Rule HF-24 .*$", PAGE, re.MULTILINE)

    said = run_command("replay", str(STORY), *options).stdout

    assert re.search(r"^ +Rule TCM-1 version 1: the person was discharged at .* The task is due within ", said, re.MULTILINE)
    assert re.match(r"Rule HF-24 version 1: the person was discharged at .* The task is due within ", shown)


def test_example_of_a_step_condition_and_a_closing_clock_on_the_page_load(tmp_path):
    fields = {
        "closes": [{"event": "CareActivityRecorded", "not_before": {"amount": 24, "unit": "hour"}}],
        "steps": [{"at": "due", "owner": "practice-manager", "where": {"appointment_booked": False}}],
    }
    assert "`{amount: 24, unit: hour}`" in PAGE
    assert "`{appointment_booked: false}`" in PAGE
    (tmp_path / "TCM-1.yaml").write_text(yaml.safe_dump({**yaml.safe_load((RULES / "TCM-1.yaml").read_text()), **fields}))
    assert "note" not in rules("check", str(tmp_path))


def test_overlay_and_conditions_of_the_page_load(tmp_path):
    (example,) = re.findall(r"```yaml\n(id: HF-24.*?)```", PAGE, re.DOTALL)
    (overlay,) = re.findall(r"```yaml\n# DIR/overlays/riverside\.yaml\n(.*?)```", PAGE, re.DOTALL)
    (where,) = re.findall(r"```yaml\nwhere:\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "HF-24.yaml").write_text(example)
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "riverside.yaml").write_text(overlay)

    assert "now: When it is due: 12 hours." in " ".join(rules("show", "HF-24", "--rules", str(tmp_path)).split())
    assert len(compile_where(msgspec.convert(yaml.safe_load(where), Where), "X-1", "example")) == 5
