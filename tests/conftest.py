"""What all tests share: one real Kafka per session, started when the first test asks for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.contract.topics import TOPICS
from streams.local import LocalKafka

ROOT = Path(__file__).parents[1]
_JARS = Path(os.environ.get("CARERELAY_KAFKA_JARS") or ROOT / ".run/kafka/4.3.1")


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder of Kafka's jars, shared with `carerelay run`."""
    return _JARS


@pytest.fixture(scope="session")
def local_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A local broker of this session; with xdist each worker that needs one has its own, so that topics never collide."""
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
    """The same, without any topic of ours: whatever the tests before it left is gone."""
    asyncio.run(_delete_topics(kafka))
    return kafka


async def _delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        ours = {topic.name for topic in TOPICS}
        if there := sorted(ours & set(await admin.list_topics())):
            await admin.delete_topics(there)
        # Brokers show a moment later what the controller has done.
        while ours & set(await admin.list_topics()):  # noqa: ASYNC110 -- the broker sends no word
            await asyncio.sleep(0.02)
    finally:
        await admin.close()


@pytest.fixture
def own_kafka(kafka_jars: Path, tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker of this test alone, to be killed and paused."""
    with LocalKafka(tmp_path / "broker", jars=kafka_jars) as broker:
        yield broker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker by its fixtures, so that `-m "not kafka"` leaves out neither less nor more."""
    for item in items:
        if {"kafka", "local_kafka", "empty_kafka", "own_kafka"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_report_header() -> str:
    """Say with which seed the random stories run, so that a failure can be run again."""
    stories, seed = os.environ.get("CARERELAY_PROOF_SEQUENCES", "500"), os.environ.get("CARERELAY_PROOF_SEED", "20260702")
    return f"random stories (tests/rules/proof): CARERELAY_PROOF_SEQUENCES={stories} CARERELAY_PROOF_SEED={seed}"
