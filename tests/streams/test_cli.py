"""The command line if something is wrong: one line that says what to do, the right exit code, never a traceback."""

from __future__ import annotations

import json
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest
from command import COMMAND, Done, clean_environment, run_command

from agents.app import AGENTS
from streams.cli.main import COMMANDS


def assert_one_line(done: Done, code: int, said: str) -> None:
    assert done.code == code, done.stderr
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_version_is_printed():
    """As a process, because this tests the installed entry point."""
    command = [Path(sys.executable).with_name("carerelay"), "version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=clean_environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().count(".") == 2


HEAVY = {"aiokafka", "faust", "mode", "yaml", "fastavro", "asyncio", "holidays"}
"""Packages that are slow to import. A command that does not need them must not import them."""
LIGHT = ("streams.contract", "streams.cli.agents", "streams.cli.exits", "streams.cli.main", "streams.cli.version", "agents.app")


@pytest.mark.parametrize("argument", ["--help", "version"])
def test_help_and_version_import_nothing_heavy_and_no_other_command(argument):
    code = (
        "import sys\nsys.argv = ['carerelay', *sys.argv[1:]]\nfrom agents.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, timeout=60, check=True)
    imported = set(done.stderr.split())

    assert imported & HEAVY == set()
    ours = {name for name in imported if name.startswith(("streams.", "agents.")) and name != "streams.cli"}
    assert {name for name in ours if not name.startswith(LIGHT)} == set()


def test_help_shows_each_command_with_its_line():
    shown = " ".join(run_command("--help", COLUMNS="1000").stdout.split())
    for command in (*COMMANDS, *AGENTS.commands):
        assert f"│ {command.name} {command.help} │" in shown


@pytest.mark.parametrize("command", [*COMMANDS, *AGENTS.commands], ids=lambda command: command.name)
def test_every_command_in_the_table_is_there_and_its_help_is_that_of_the_table(command):
    done = run_command(command.name, "--help", COLUMNS="1000")

    assert done.code == 0, done.stderr
    assert command.help in done.stdout


@pytest.mark.parametrize("loader", [AGENTS.load_intake, AGENTS.load_in_memory, AGENTS.replay, *(row.load for row in AGENTS.rows)])
def test_every_loader_in_the_table_is_there_and_can_be_sent_to_a_process(loader):
    sent = pickle.loads(pickle.dumps(loader))  # noqa: S301 -- bytes from this test
    assert callable(resolve_name(sent.target))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replya",), "Did you mean 'replay', 'play'?"),
        (("rules", "chek"), "Did you mean 'check'?"),
        (("worker", "--agnt", "feeds"), "--agent"),
        (("bogus",), "No such command 'bogus'"),
        (("replay",), "Missing argument"),
        (("replay", "nowhere.hl7"), "nowhere.hl7 does not exist"),
        (("play", "x", "--speed", "fast"), "--speed"),
        (("play", "x"), "no Kafka given: set KAFKA_BOOTSTRAP=host:port"),
        (("show",), "no Kafka given: set KAFKA_BOOTSTRAP=host:port"),
        (("worker",), "no Kafka given: set KAFKA_BOOTSTRAP=host:port"),
        (("topics", "check"), "no Kafka given: set KAFKA_BOOTSTRAP=host:port"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(tmp_path, arguments, said):
    assert_one_line(run_command(*arguments, cwd=tmp_path), 2, said)


def test_wrong_time_says_how_to_write_it(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    done = run_command("replay", "empty.jsonl", "--until", "2026-07-31", cwd=tmp_path)
    assert_one_line(done, 2, "write for example 2026-07-31T00:00:00-04:00")


def test_wrong_zone_is_named(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    done = run_command("replay", "empty.jsonl", "--zone", "Mars/Olympus", cwd=tmp_path)
    assert_one_line(done, 2, "--zone must be an IANA time zone, for example America/New_York, not Mars/Olympus")


def test_wrong_setting_is_named_by_its_variable():
    done = run_command("settings", CARERELAY_PARTITIONS="many")
    assert done.code == 2
    assert "CARERELAY_PARTITIONS must be a whole number" in done.stderr
    assert "Traceback" not in done.stderr


def test_misspelt_setting_is_reported_and_the_command_continues():
    done = run_command("settings", CARERELAY_PARTITONS="8")
    assert done.code == 0
    assert "CARERELAY_PARTITONS is not a setting" in done.stderr
    assert "did you mean CARERELAY_PARTITIONS?" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("topics", "create"),
        ("topics", "check"),
        ("show",),
        ("run",),
        ("worker",),
        ("worker", "--agent", "feeds"),
        ("positions", "show"),
        ("positions", "accept-loss", "care.admission.v1", "0"),
        ("simulate", "--people", "5", "--days", "1", "--bootstrap", "127.0.0.1:9"),
    ],
)
def test_kafka_that_does_not_answer_is_one_line_and_exit_code_three(arguments):
    assert_one_line(run_command(*arguments, KAFKA_BOOTSTRAP="127.0.0.1:9"), 3, "cannot connect to Kafka at 127.0.0.1:9")


@pytest.mark.parametrize("variable", ["CARERELAY_RULES", "CARERELAY_DIRECTORY"])
@pytest.mark.parametrize("arguments", [("replay", "empty.jsonl"), ("worker",)])
def test_rules_or_directory_that_can_not_be_read_are_named_by_every_command(tmp_path, arguments, variable):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "folder").mkdir()
    for wrong in ("nowhere", "folder", "empty.jsonl"):
        done = run_command(*arguments, cwd=tmp_path, KAFKA_BOOTSTRAP="127.0.0.1:9", **{variable: wrong})
        assert_one_line(done, 2, wrong)
        assert "Errno" not in done.stderr


def test_run_without_java_says_what_to_install(tmp_path):
    (tmp_path / "bin").mkdir()
    done = run_command("run", cwd=tmp_path, PATH=str(tmp_path / "bin"), JAVA_HOME="")
    assert done.code == 3
    assert "install Java 17" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_as_json_are_lines_with_a_meaning_each():
    rows = [json.loads(line) for line in run_command("settings", "--json").stdout.splitlines()]
    assert {"KAFKA_BOOTSTRAP", "CARERELAY_CLOCK"} <= {row["variable"] for row in rows}
    assert all(row["about"] for row in rows)


def test_closed_output_pipe_is_not_reported(tmp_path):
    lines = "".join(json.dumps({"type": "Nonsense", "id": str(n), "time": "2026-07-01T00:00:00Z"}) + "\n" for n in range(20_000))
    (tmp_path / "many.jsonl").write_text(lines)
    done = subprocess.run(  # noqa: S602 -- a pipe is what is tested
        f"{shlex.join(COMMAND)} replay many.jsonl --json | head -n 1",
        shell=True,
 capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        env=clean_environment(),
    )  # fmt: skip
    assert json.loads(done.stdout)["effect"] == "refused"
    assert done.stderr == ""


def test_rules_are_listed_and_explained_in_words():
    listed = run_command("rules", "list").stdout
    assert "TCM-1" in listed
    assert len(run_command("rules", "list", "--json").stdout.splitlines()) == len(listed.splitlines())
    shown = run_command("rules", "show", "tcm-1")
    assert (shown.code, shown.stderr) == (0, "")
    assert "2 business days" in shown.stdout


def test_unknown_rule_is_named_with_those_that_there_are():
    assert_one_line(run_command("rules", "show", "TCM-9"), 2, "there is no rule TCM-9: write one of ")


def test_rule_that_can_not_be_used_is_refused_with_its_file(tmp_path):
    assert run_command("rules", "check").code == 0
    (tmp_path / "BAD-1.yaml").write_text("id: BAD-1\nversion: 1\n")
    done = run_command("rules", "check", str(tmp_path))
    assert done.code == 1
    assert "BAD-1.yaml" in done.stderr
    assert "Traceback" not in done.stderr
