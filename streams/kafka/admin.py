"""Create the topics on Kafka from the table, and check them against it.

The table is in `streams/contract/topics.py`. No topic is ever created automatically by its first use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from streams.contract.topics import DAY_MS, TOPICS, Topic

TIMESTAMP_TYPE = "message.timestamp.type"
TIMEOUT_MS = 30_000
_TOPIC = "the topic"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A difference between a topic on Kafka and the table. If `fatal`, a worker must not start."""

    topic: str
    about: str
    found: str
    wanted: str
    remedy: str
    fatal: bool = True

    @property
    def is_missing(self) -> bool:
        """Whether the topic does not exist."""
        return self.about == _TOPIC

    def __str__(self) -> str:
        return f"{self.topic}: {self.about} is {self.found} but must be {self.wanted}. {self.remedy}"


class NoTopics(Exception):  # noqa: N818 -- it names the finding
    """A topic does not exist, or the topics do not match each other. The text names the topic and the remedy."""


class TopicsRefused(Exception):  # noqa: N818 -- it names what happened
    """Kafka did not create topics. The text names the topics and the reason."""


def config_of(topic: Topic, replication: int) -> dict[str, str]:
    """Return the configuration of *topic*: every setting that differs from the usual defaults of brokers."""
    config = {
        # The broker sets the arrival time: shards order records by it, and a publisher's clock must not move a deadline.
        TIMESTAMP_TYPE: "LogAppendTime",
        "cleanup.policy": "compact" if topic.compacted else "delete",
    }
    if not topic.compacted:
        config["retention.ms"] = "-1" if topic.retention_days is None else str(topic.retention_days * DAY_MS)
    if replication >= 3:
        config["min.insync.replicas"] = "2"
    return config | dict(topic.config)


async def create_topics(kafka: dict[str, Any], partitions: int, replication: int, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create those of *topics* that do not exist; return their names. Existing topics are not changed.

    *kafka* holds the connection arguments of aiokafka's clients (`bootstrap_servers` …). Raises TopicsRefused, KafkaError.
    """
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        wanted = [t for t in topics if t.name not in existing]
        if not wanted:
            return []
        response = await admin.create_topics(
            [NewTopic(t.name, partitions, replication, topic_configs=config_of(t, replication)) for t in wanted], timeout_ms=TIMEOUT_MS
        )
        created, refused = [], []
        for name, code, *_ in response.topic_errors:
            error = for_code(code)
            if code == 0:
                created.append(name)
            elif error is not TopicAlreadyExistsError:  # Another worker was faster.
                refused.append(f"{name} ({error.__name__})")
        if refused:
            raise TopicsRefused(f"Kafka did not create {', '.join(refused)}")
        await _wait_for_leaders(admin, [t.name for t in topics])
        return created
    finally:
        await admin.close()


async def check_topics(kafka: dict[str, Any], partitions: int, topics: Sequence[Topic] = TOPICS) -> list[Mismatch]:
    """Compare *topics* on Kafka with the table; return the differences, in the order of the table. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        found = [t for t in topics if t.name in existing]
        counts = {d["topic"]: len(d["partitions"]) for d in await admin.describe_topics([t.name for t in found])} if found else {}
        configs = await _configs(admin, found) if found else {}
    finally:
        await admin.close()
    mismatches: list[Mismatch] = []
    for topic in topics:
        if topic.name not in existing:
            mismatches.append(Mismatch(topic.name, _TOPIC, "missing", "present", "Run: carerelay topics create"))
        else:
            mismatches.extend(_compare(topic, counts[topic.name], configs[topic.name], partitions))
    return mismatches


async def require_topics(kafka: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise UnknownTopicOrPartitionError if a topic does not exist. A consumer would retry until its timeout instead."""
    admin = AIOKafkaAdminClient(**dict(kafka), request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    try:
        if not set(names) <= set(await admin.list_topics()):
            raise UnknownTopicOrPartitionError
    finally:
        await admin.close()


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """Wait until each new partition has a leader: the brokers learn about new topics shortly after the controller."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while True:
        described = await admin.describe_topics(list(names))
        waiting = [d["topic"] for d in described if d["error_code"] or any(p["leader"] < 0 for p in d["partitions"])]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise TopicsRefused(
                f"Kafka created {waiting[0]} but it has no leader after {TIMEOUT_MS // 1000} s. Check the brokers and try again"
            )
        await asyncio.sleep(0.05)


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in topics])
    configs: dict[str, dict[str, str]] = {}
    for response in responses:
        for code, _, _, name, entries in response.resources:
            if code:
                raise for_code(code)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _compare(topic: Topic, count: int, config: dict[str, str], partitions: int) -> list[Mismatch]:
    found: list[Mismatch] = []
    if count != partitions:
        found.append(
            Mismatch(
                topic.name,
                "the number of partitions",
                str(count),
                str(partitions),
                "Set CARERELAY_PARTITIONS to the number that the topics have, or start with new topics: the number cannot change later.",
            )
        )
    for name, wanted in config_of(topic, 1).items():
        if config.get(name) == wanted:
            continue
        alter = f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {name}={wanted}"
        fatal = name == TIMESTAMP_TYPE or (name == "cleanup.policy" and topic.compacted)
        found.append(Mismatch(topic.name, name, str(config.get(name)), wanted, f"Run: {alter}", fatal))
    return found
