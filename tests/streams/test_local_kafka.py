"""The local Kafka: what it repairs, which errors it reports, and that none of its processes outlives its owner."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.local import LocalKafka, LocalKafkaError, jars
from streams.local.child import Child
from streams.local.kafka import answers


@pytest.fixture(scope="module")
def own_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A broker for this file. Each test leaves it running."""
    with LocalKafka(tmp_path_factory.mktemp("kafka") / "broker", jars=kafka_jars) as broker:
        yield broker


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child whose parent has ended exists until init reaps it.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(is_true, seconds=20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return False


def only_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, **scripts: str) -> None:
    """Reduce PATH to a folder with only these shell scripts."""
    folder.mkdir(exist_ok=True)
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)


def test_broker_killed_and_started_again_keeps_ports_and_records(own_kafka: LocalKafka):
    bootstrap, pid = own_kafka.bootstrap, own_kafka.pid
    assert pid is not None
    cluster = (own_kafka.data / "records/meta.properties").read_text()

    own_kafka.kill()

    assert not running(pid)
    assert not answers(bootstrap)
    own_kafka.start()
    assert own_kafka.bootstrap == bootstrap
    assert answers(bootstrap)
    assert (own_kafka.data / "records/meta.properties").read_text() == cluster

    own_kafka.pause()
    # The signal takes a moment, so on a busy machine the broker may answer once more.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and answers(bootstrap, seconds=0.5):
        time.sleep(0.1)
    assert not answers(bootstrap, seconds=0.5)
    own_kafka.resume()
    assert wait_until(lambda: answers(bootstrap))


def test_erased_broker_begins_empty_and_one_that_runs_is_not_erased(own_kafka: LocalKafka, kafka_jars: Path):
    cluster = (own_kafka.data / "records/meta.properties").read_text()
    with pytest.raises(LocalKafkaError, match=r"is already running in "):
        LocalKafka(own_kafka.data, jars=kafka_jars).erase()
    own_kafka.stop()

    own_kafka.erase()
    own_kafka.erase()

    own_kafka.start()
    assert (own_kafka.data / "records/meta.properties").read_text() != cluster


def test_second_broker_in_the_same_folder_is_refused_by_name(kafka_jars: Path, own_kafka: LocalKafka):
    with pytest.raises(LocalKafkaError, match=r"is already running in "):
        LocalKafka(own_kafka.data, jars=kafka_jars).start()
    assert answers(own_kafka.bootstrap)


def test_half_formatted_folder_and_ports_in_use_are_repaired(kafka_jars: Path, tmp_path: Path):
    data = tmp_path / "broker"
    (data / "records").mkdir(parents=True)
    (data / "records/meta.properties").write_text("cluster.id=cut")
    with socket.socket() as broker, socket.socket() as controller:
        for taken in (broker, controller):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = [broker.getsockname()[1], controller.getsockname()[1]]
        (data / "local-kafka.json").write_text(json.dumps({"ports": ports, "formatted": False}))

        with LocalKafka(data, jars=kafka_jars) as kafka:
            assert answers(kafka.bootstrap)
            assert int(kafka.bootstrap.split(":")[1]) not in ports


def test_fixed_port_in_use_is_named(kafka_jars: Path, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalKafkaError, match=f"port {port} on 127.0.0.1 is in use"):
            LocalKafka(tmp_path / "broker", jars=kafka_jars, port=port).start()


def test_folder_of_something_else_is_left_alone(kafka_jars: Path, tmp_path: Path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records/thesis.txt").write_text("years of work")

    with pytest.raises(LocalKafkaError, match="contains other files"):
        LocalKafka(tmp_path, jars=kafka_jars).start()

    assert (tmp_path / "records/thesis.txt").read_text() == "years of work"


def test_child_ends_with_its_parent_even_by_kill_nine(tmp_path: Path):
    script = "import sys, time; from streams.local.child import Child; print(Child(['sleep', '600'], output=None).pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert running(pid)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert wait_until(lambda: not running(pid))


def test_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path):
    deaf = tmp_path / "deaf"
    child = Child(["sh", "-c", f"trap '' TERM; touch {deaf}; while :; do sleep 0.1; done"], grace_seconds=0.3)
    assert wait_until(deaf.exists)

    child.stop()

    assert not child.alive
    assert child.exit_code == -signal.SIGKILL


def test_missing_java_says_what_to_install_or_how_to_name_a_kafka(kafka_jars: Path, tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin")
    with pytest.raises(LocalKafkaError, match=r"^Java is not installed: install Java 17.*KAFKA_BOOTSTRAP=host:port") as caught:
        LocalKafka(tmp_path / "broker", jars=kafka_jars).start()
    assert "\n" not in str(caught.value)


def test_old_java_is_named_with_its_version(tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin", java="""echo 'openjdk version "1.8.0_402"' >&2""")
    with pytest.raises(LocalKafkaError, match=r"^Java 8 is too old"):
        jars.find_java()


def test_missing_maven_says_what_to_install(tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin")
    with pytest.raises(LocalKafkaError, match=r"^Maven is not installed: install it.*KAFKA_BOOTSTRAP=host:port"):
        jars.resolve_jars(tmp_path / "jars")


def test_failing_maven_is_named_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin", mvn=r"""printf '[\033[1;31mERROR\033[m] Unknown host central\nmore\n'; exit 1""")
    with pytest.raises(LocalKafkaError, match=r"\(Unknown host central\)") as caught:
        jars.resolve_jars(tmp_path / "cache/jars")
    assert "\n" not in str(caught.value)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [".jars.lock"]


@pytest.mark.parametrize("damage", ["jar missing", "jar cut short", "list missing", "other version"])
def test_incomplete_jars_are_downloaded_again(tmp_path, monkeypatch, damage):
    work = (
        'for a; do case "$a" in -DoutputDirectory=*) d="${a#*=}";; esac; done; /bin/mkdir -p "$d"; echo whole > "$d/kafka_2.13-4.3.1.jar"'
    )
    only_on_path(monkeypatch, tmp_path / "bin", mvn=work)
    folder = tmp_path / "jars"
    jars.resolve_jars(folder)
    match damage:
        case "jar missing":
            (folder / "kafka_2.13-4.3.1.jar").unlink()
        case "jar cut short":
            (folder / "kafka_2.13-4.3.1.jar").write_text("who")
        case "list missing":
            (folder / "jars.json").unlink()
        case "other version":
            monkeypatch.setattr(jars, "COORDINATES", ("org.apache.kafka:kafka_2.13:4.3.2",))

    jars.resolve_jars(folder)

    assert (folder / "kafka_2.13-4.3.1.jar").read_text() == "whole\n"


def test_complete_jars_are_used_without_maven(kafka_jars: Path, tmp_path, monkeypatch):
    jars.resolve_jars(kafka_jars)
    shutil.copytree(kafka_jars, tmp_path / "jars", copy_function=os.symlink)
    only_on_path(monkeypatch, tmp_path / "bin")

    assert jars.resolve_jars(tmp_path / "jars") == str((tmp_path / "jars").resolve() / "*")
