"""Topics on Kafka: made from the table, compared with the table.

Owns creation and the check. What a topic is stands in `streams/contract/topics.py`; nothing is ever created by being used.
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
    """Where a topic on Kafka differs from the table. `fatal`: a worker must not start on it."""

    topic: str
    about: str
    found: str
    wanted: str
    how_to_mend: str
    fatal: bool = True

    @property
    def is_missing(self) -> bool:
        """Say whether it is the topic itself that is not there."""
        return self.about == _TOPIC

    def __str__(self) -> str:
        return f"{self.topic}: {self.about} is {self.found} but must be {self.wanted}. {self.how_to_mend}"


class NoTopics(Exception):  # noqa: N818 -- it names the finding
    """A topic is not on Kafka, or the topics do not fit together; the text says which and what to do."""


class TopicsRefused(Exception):  # noqa: N818 -- it names what happened
    """Kafka did not create topics; the text says which and why."""


def config_of(topic: Topic, replication: int) -> dict[str, str]:
    """Return the configuration of *topic*, all that differs from what brokers are commonly set to."""
    config = {
        # Arrival is what the broker says it is: a publisher's clock must not move a deadline, and shards merge by it.
        TIMESTAMP_TYPE: "LogAppendTime",
        "cleanup.policy": "compact" if topic.compacted else "delete",
    }
    if not topic.compacted:
        config["retention.ms"] = "-1" if topic.retention_days is None else str(topic.retention_days * DAY_MS)
    if replication >= 3:
        config["min.insync.replicas"] = "2"
    return config | dict(topic.config)


async def create_topics(kafka: dict[str, Any], partitions: int, replication: int, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create those of *topics* that are not there; return their names. What is there is left as it is.

    *kafka* is what aiokafka's clients take (`bootstrap_servers` …). Raises TopicsRefused, KafkaError.
    """
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        wanted = [t for t in topics if t.name not in there]
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
            elif error is not TopicAlreadyExistsError:  # Another worker was quicker.
                refused.append(f"{name} ({error.__name__})")
        if refused:
            raise TopicsRefused(f"Kafka did not create {', '.join(refused)}")
        await _until_led(admin, [t.name for t in topics])
        return created
    finally:
        await admin.close()


async def check_topics(kafka: dict[str, Any], partitions: int, topics: Sequence[Topic] = TOPICS) -> list[Mismatch]:
    """Compare *topics* on Kafka with the table; return what differs, in the order of the table. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        found = [t for t in topics if t.name in there]
        counts = {d["topic"]: len(d["partitions"]) for d in await admin.describe_topics([t.name for t in found])} if found else {}
        configs = await _configs(admin, found) if found else {}
    finally:
        await admin.close()
    mismatches: list[Mismatch] = []
    for topic in topics:
        if topic.name not in there:
            mismatches.append(Mismatch(topic.name, _TOPIC, "missing", "present", "Run: carerelay topics create"))
        else:
            mismatches.extend(_compare(topic, counts[topic.name], configs[topic.name], partitions))
    return mismatches


async def require_topics(kafka: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise UnknownTopicOrPartitionError where a topic is not there: consumers would ask for it until their time is over."""
    admin = AIOKafkaAdminClient(**dict(kafka), request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    try:
        if not set(names) <= set(await admin.list_topics()):
            raise UnknownTopicOrPartitionError
    finally:
        await admin.close()


async def _until_led(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """Wait until the brokers show what the controller has made, each partition with a leader: they follow it a moment later."""
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
