"""`carerelay run` on a real Kafka: its output, and that no process it started outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import COMMAND, clean_environment

from agents.app import AGENTS
from streams.cli.demonstration import STORY
from streams.local.kafka import answers

pytestmark = pytest.mark.kafka


class Run:
    """A running `carerelay run` and its output so far."""

    def __init__(self, folder: Path, jars: Path, *arguments: str, **environ: str) -> None:
        self.said = folder / "said.txt"
        given = {"CARERELAY_RUN_DIR": str(folder / "run"), "CARERELAY_KAFKA_JARS": str(jars)} | environ
        with self.said.open("wb") as out:
            command, environment = [*COMMAND, "run", *arguments], clean_environment(**given)
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
                # A shell without job control makes its background processes ignore Ctrl-C, and this process would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )

    @property
    def text(self) -> str:
        return self.said.read_text()

    def until(self, pattern: str, seconds: float = 90) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.text)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"{pattern!r} was not said; it said:\n{self.text[-2000:]}")

    def started(self) -> tuple[str, list[int]]:
        """Return the broker's address and the process ids of the workers of both agents, as soon as messages are published."""
        bootstrap = self.until(r"Kafka: (127\.0\.0\.1:\d+)")[1]
        workers = [int(self.until(rf"(?m)^{row.title}: process (\d+)")[1]) for row in AGENTS.rows]
        self.until(r"  received  ")
        return bootstrap, workers


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def assert_nothing_is_left(bootstrap: str, workers: list[int]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (all(map(gone, workers)) and not answers(bootstrap, 0.2)):
        time.sleep(0.1)
    assert all(map(gone, workers))
    assert not answers(bootstrap)


def test_story_is_shown_from_the_first_message_to_what_is_left_open(tmp_path, kafka_jars, runs):
    run = Run(tmp_path, kafka_jars, "--speed", "345600")
    runs.append(run)
    bootstrap, workers = run.started()

    assert run.process.wait(timeout=150) == 0

    assert "Clock: accelerated." in run.text
    for said in (
        "NOTIFIED   Admitted to hospital: Dr Lindgren (pcp)",
        "WITHDRAWN  Admitted to hospital, sent to Dr Okonjo (pcp)",
        "OVERDUE    Speak with the person within 2 business days of discharge. It was due by the end of Tue 7 Jul.",
        "DONE       Speak with the person within 2 business days of discharge: done late",
        "NOT SENT   Household 44 (caregiver) was not notified: the person withholds consent",
        "Open and not overdue: ",
    ):
        assert said in run.text, said
    assert "Traceback" not in run.text
    assert_nothing_is_left(bootstrap, workers)
    logs = "".join(log.read_text() for log in (tmp_path / "run" / "demonstration").glob("*worker.log"))
    assert "shards_opened" in logs
    assert who_is_named(run.text + logs) == set()


def who_is_named(text: str) -> set[str]:
    """Return the names and record numbers of the story's persons that occur in *text*."""
    rows = [row.split(b"|") for file in STORY.glob("*.hl7") for row in re.split(rb"[\r\n]+", file.read_bytes()) if row.startswith(b"PID|")]
    said = {part.decode() for row in rows for part in (row[3].split(b"^")[0], *row[5].split(b"^")[:2]) if part}
    assert len(said) > 20
    return {name for name in said - {"UNKNOWN"} if re.search(rf"\b{re.escape(name)}\b", text)}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_nothing_outlives_it_however_it_ends(tmp_path, kafka_jars, runs, number, code):
    run = Run(tmp_path, kafka_jars)
    runs.append(run)
    bootstrap, workers = run.started()

    run.process.send_signal(number)

    assert run.process.wait(timeout=40) == code
    assert "Traceback" not in run.text
    assert_nothing_is_left(bootstrap, workers)


def test_given_kafka_is_used_and_left_running_and_a_second_run_shows_the_same(tmp_path, empty_kafka, kafka_jars, runs):
    first = STORY / "mercy.hl7"
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = Run(folder, kafka_jars, "--speed", "600000", "--path", str(first), KAFKA_BOOTSTRAP=empty_kafka)
        runs.append(run)
        assert run.process.wait(timeout=120) == 0, run.text
        assert f"Kafka: {empty_kafka} (from --bootstrap or KAFKA_BOOTSTRAP)" in run.text
        # Three admissions, and one class that changes back to inpatient.
        assert run.text.count("NOTIFIED   Admitted to hospital") == 4
        assert answers(empty_kafka)


def test_worker_that_dies_ends_the_demonstration_with_its_log_named(tmp_path, empty_kafka, kafka_jars, runs):
    run = Run(tmp_path, kafka_jars, KAFKA_BOOTSTRAP=empty_kafka)
    runs.append(run)
    _, workers = run.started()

    os.kill(workers[-1], signal.SIGKILL)

    assert run.process.wait(timeout=40) == 1
    assert re.search(r"carerelay: the feeds worker stopped with exit code -9: read .*feeds-worker\.log", run.text)
