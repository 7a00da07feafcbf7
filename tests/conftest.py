"""Shared by all tests: a real Kafka that starts when the first test needs it, and the assignment of tests to processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from xdist.scheduler import LoadScopeScheduling

from streams.contract.topics import TOPICS
from streams.local import LocalKafka, LocalKafkaError
from streams.local.jars import find_java

ROOT = Path(__file__).parents[1]
_JARS = Path(os.environ.get("CARERELAY_KAFKA_JARS") or ROOT / ".run/kafka/4.3.1")


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder of Kafka's jars, shared with `carerelay run`."""
    return _JARS


@pytest.fixture(scope="session")
def local_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A local broker of this session. With xdist each process that needs one has its own, so that topics never collide."""
    with LocalKafka(tmp_path_factory.mktemp("kafka") / "broker", jars=kafka_jars) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """`host:port` of a real Kafka: the one that KAFKA_BOOTSTRAP names, else the session's local one."""
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        return given
    broker: LocalKafka = request.getfixturevalue("local_kafka")
    return broker.bootstrap


@pytest.fixture
def empty_kafka(kafka: str) -> str:
    """The same Kafka without any of CareRelay's topics: those of earlier tests are deleted."""
    asyncio.run(_delete_topics(kafka))
    return kafka


@pytest.fixture(scope="module")
def kafka_of_file(kafka: str) -> str:
    """The same Kafka, without any of CareRelay's topics at the start of the first test of a file."""
    asyncio.run(_delete_topics(kafka))
    return kafka


async def _delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        ours = {topic.name for topic in TOPICS}
        if there := sorted(ours & set(await admin.list_topics())):
            await admin.delete_topics(there)
        # Brokers show a change of the controller a moment later.
        while ours & set(await admin.list_topics()):  # noqa: ASYNC110 -- the broker sends no signal
            await asyncio.sleep(0.02)
    finally:
        await admin.close()


@pytest.fixture
def own_kafka(kafka_jars: Path, tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker for one test, which may kill and pause it."""
    with LocalKafka(tmp_path / "broker", jars=kafka_jars) as broker:
        yield broker


# ---- which process runs which tests

LANES = (
    ("test_workers", "test_positions", "test_positions_command", "test_claims_on_kafka", "test_play_and_watch", "test_topics",
     "test_backtest_topics"),
    ("test_chaos", "test_demonstration", "test_worker_equals_replay", "test_silent_feed", "test_security", "test_local_kafka"),
)  # fmt: skip
"""Files with tests on a broker, in lanes of about equal duration. These tests mostly wait, so other processes can use the CPU."""
LONG = ("test_proof", "test_backtest", "test_codec", "test_claims_model", "test_simulate")
"""Files that compute for ten seconds or more. They start first; otherwise they would run alone at the end."""


def _unit_of(file: Path) -> str:
    """Return the name of the group that *nodeid* runs in, one test after the other: a lane, else the file."""
    return next((f"lane {n}" for n, files in enumerate(LANES) if file.stem in files), str(file))


class _Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _unit_of(Path(nodeid.partition("::")[0]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling:
    """Give each lane to one process, and distribute the other files."""
    config.option.loadscopereorder = False
    return _Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a broker by their fixtures, so that `-m "not kafka"` starts none. Sort slow files first."""
    for item in items:
        if {"kafka", "kafka_jars"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)
        if item.get_closest_marker("kafka") and not _unit_of(item.path).startswith("lane"):
            raise pytest.UsageError(f"{item.path.name} needs a broker: name it in LANES of tests/conftest.py")
    order = [*(name for lane in LANES for name in lane), *LONG]
    items.sort(key=lambda item: order.index(item.path.stem) if item.path.stem in order else len(order))


# ---- no broker without the mark, no skipped test in CI

_NO_JAVA = """#!/bin/sh
case "$*" in *kafka.*) echo 'Exception: this test is not marked kafka' >&2; touch "$0-ran"; exit 97;; esac
exec "{java}" "$@"
"""


@pytest.fixture(scope="session")
def java_without_kafka(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A JAVA_HOME whose Java runs no broker and records each attempt in `bin/java-ran`; None without Java."""
    try:
        java = Path(find_java()).resolve()
    except LocalKafkaError:
        return None
    home: Path = tmp_path_factory.mktemp("java")
    (home / "bin").mkdir()
    (home / "bin" / "java").write_text(_NO_JAVA.format(java=java))
    (home / "bin" / "java").chmod(0o755)
    (home / "bin" / "keytool").symlink_to(java.with_name("keytool"))
    return home


@pytest.fixture(autouse=True)
def broker_is_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a broker, in this or in another process, and is not marked kafka."""
    if request.node.get_closest_marker("kafka"):
        yield
        return
    home: Path | None = request.getfixturevalue("java_without_kafka")
    with pytest.MonkeyPatch.context() as patch:
        if home is not None:
            patch.setenv("JAVA_HOME", str(home))
        yield
    if home is not None and (attempt := home / "bin" / "java-ran").exists():
        attempt.unlink()
        pytest.fail("the test started a broker and is not marked kafka")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If CI is set, count a skipped test as failed: CI must have everything that the tests need."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which must not be where CI is set: {report.longrepr}"
    return report


def pytest_report_header() -> str:
    """Print the seed of the random stories, so that a failure can be reproduced."""
    stories, seed = os.environ.get("PROOF_SEQUENCES", "500"), os.environ.get("PROOF_SEED", "20260702")
    return f"random stories (tests/rules/proof): PROOF_SEQUENCES={stories} PROOF_SEED={seed}"
