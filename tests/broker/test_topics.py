"""Topics on a real Kafka: created from the table, and each difference is reported with the remedy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError
from command import run_command_in_thread

from streams.contract.topics import ADMISSION, AUDIT, STATE, TOPICS
from streams.kafka.admin import TopicsRefused, check_topics, config_of, create_topics


async def until_topics(client: AIOKafkaAdminClient, present: set[str] = frozenset(), absent: set[str] = frozenset()) -> None:
    """Wait until the broker shows the controller's change."""
    while not (present <= (there := set(await client.list_topics())) and not absent & there):  # noqa: ASYNC110 -- the broker sends no signal
        await asyncio.sleep(0.02)


async def made(client: AIOKafkaAdminClient, topic: NewTopic) -> None:
    await client.create_topics([topic])
    await until_topics(client, present={topic.name})


@pytest.fixture
async def admin(empty_kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for a Kafka without CareRelay's topics."""
    client = AIOKafkaAdminClient(bootstrap_servers=empty_kafka)
    await client.start()
    yield client
    await client.close()


async def test_created_topics_pass_the_check_and_are_not_created_again(kafka, admin):
    created = await create_topics({"bootstrap_servers": kafka}, 4, 1)
    assert created == [t.name for t in TOPICS] or sorted(created) == sorted(t.name for t in TOPICS)
    assert await check_topics({"bootstrap_servers": kafka}, 4) == []
    assert await create_topics({"bootstrap_servers": kafka}, 4, 1) == []


async def test_missing_topic_is_named_with_the_command_that_creates_it(kafka, admin):
    found = await check_topics({"bootstrap_servers": kafka}, 4)
    assert [m.topic for m in found] == [t.name for t in TOPICS]
    assert all("carerelay topics create" in str(m) and m.fatal for m in found)


async def test_other_number_of_partitions_and_publisher_time_are_fatal(kafka, admin):
    await made(admin, NewTopic(ADMISSION.name, 3, 1))
    found = await check_topics({"bootstrap_servers": kafka}, 4, [ADMISSION])
    about = {m.about: m for m in found}
    assert (about["the number of partitions"].found, about["the number of partitions"].wanted) == ("3", "4")
    assert about["message.timestamp.type"].fatal
    assert "--add-config message.timestamp.type=LogAppendTime" in str(about["message.timestamp.type"])


async def test_shorter_retention_is_reported_but_not_fatal(kafka, admin):
    await made(admin, NewTopic(AUDIT.name, 4, 1, topic_configs=config_of(AUDIT, 1) | {"retention.ms": "1000"}))
    (found,) = await check_topics({"bootstrap_servers": kafka}, 4, [AUDIT])
    assert (found.about, found.found, found.fatal) == ("retention.ms", "1000", False)


async def test_state_that_is_not_compacted_is_fatal(kafka, admin):
    await made(admin, NewTopic(STATE.name, 4, 1, topic_configs=config_of(STATE, 1) | {"cleanup.policy": "delete"}))
    (found,) = await check_topics({"bootstrap_servers": kafka}, 4, [STATE])
    assert (found.about, found.fatal) == ("cleanup.policy", True)


async def test_topics_that_kafka_refuses_are_named_with_its_reason(kafka, admin):
    with pytest.raises(TopicsRefused, match=r"care\.admission\.v1 \(InvalidReplicationFactor"):
        await create_topics({"bootstrap_servers": kafka}, 4, 3, [ADMISSION])


async def test_describing_a_missing_topic_does_not_create_it(kafka, admin):
    (described,) = await admin.describe_topics([ADMISSION.name])
    assert described["error_code"] == UnknownTopicOrPartitionError.errno
    assert ADMISSION.name not in await admin.list_topics()


async def said_by(kafka: str, *arguments: str) -> str:
    """Run a command that must end with exit code 1, and return its output."""
    async with asyncio.timeout(60):
        done = await run_command_in_thread(*arguments, KAFKA_BOOTSTRAP=kafka, CARERELAY_PARTITIONS="4", CARERELAY_WEB_PORT="0")
    assert done.code == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_worker_does_not_start_on_topics_that_it_must_not_start_on(kafka, admin):
    await create_topics({"bootstrap_servers": kafka}, 3, 1)

    assert f"{ADMISSION.name}: the number of partitions is 3 but must be 4" in await said_by(kafka, "worker")


@pytest.mark.parametrize("arguments", [("worker",), ("show",), ("positions", "show")])
async def test_commands_on_a_kafka_without_topics_say_how_to_create_them(kafka, admin, arguments):
    said = await said_by(kafka, *arguments)

    assert "carerelay topics create" in said
    assert said.count("\n") == 1
