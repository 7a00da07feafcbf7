"""Read what workers publish: committed records only.

Owns the consumer of the outbound topics, and the conversion of a record to a line. Writes nothing and has no consumer group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from streams.avro.codec import read_frame
from streams.contract.events import Millis
from streams.contract.instants import format_instant
from streams.contract.topics import AUDIT, DEAD_LETTER, GAP, NOTIFICATION, TASK
from streams.kafka.admin import NoTopics, require_topics
from streams.output.lines import Line, line_of_effect
from streams.shard.dead_letters import errors_in

WATCHED = (NOTIFICATION.name, TASK.name, GAP.name, AUDIT.name, DEAD_LETTER.name)
_WAIT_MS = 200
_GATHER_MS = 40


class Watch:
    """Reads the outbound *topics* of *kafka* (arguments for aiokafka's clients), from the beginning or from now on."""

    def __init__(self, kafka: Mapping[str, Any], *, from_beginning: bool, topics: Sequence[str] = WATCHED) -> None:
        self._kafka = kafka
        self._from_beginning = from_beginning
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            *topics,
            **dict(kafka),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        self._partitions: list[TopicPartition] = []

    async def start(self) -> None:
        """Connect and seek to the start. Raises KafkaError, NoTopics."""
        try:
            # aiokafka's consumer would retry for 40 s if a topic is missing.
            await require_topics(self._kafka, self._topics)
            await self._consumer.start()
            self._partitions = sorted(self._consumer.assignment())
            offsets = self._consumer.beginning_offsets if self._from_beginning else self._consumer.end_offsets
            for partition, offset in (await offsets(self._partitions)).items():
                self._consumer.seek(partition, offset)
        except UnknownTopicOrPartitionError:
            await self._consumer.stop()
            raise NoTopics("Kafka does not have all topics of CareRelay. Run: carerelay topics create") from None
        except BaseException:
            await self._consumer.stop()
            raise

    async def stop(self) -> None:
        await self._consumer.stop()

    async def lines(self) -> AsyncIterator[Line]:
        """Yield a line for each record, forever. Records that were fetched together are sorted by instant and person."""
        while True:
            records = await self._fetch(_WAIT_MS)
            if records:
                # The records of one transaction arrive topic by topic. After a short wait, their lines can be shown together.
                records += await self._fetch(_GATHER_MS)
            lines = [(record, line) for record in records if (line := line_of_record(record)) is not None]
            lines.sort(key=lambda pair: (pair[1]["at"], pair[1]["person"] or "", WATCHED.index(pair[0].topic), pair[0].offset))
            for _, line in lines:
                yield line

    async def lines_so_far(self) -> AsyncIterator[Line]:
        """Yield a line for each record that is committed now, in the order of each partition."""
        while True:
            fetched = await self._fetch(_WAIT_MS)
            for line in map(line_of_record, fetched):
                if line is not None:
                    yield line
            if not fetched and await self.is_drained():
                return

    async def _fetch(self, wait_ms: int) -> list[ConsumerRecord]:
        fetched = await self._consumer.getmany(timeout_ms=wait_ms)
        return [record for records in fetched.values() for record in records]

    async def is_drained(self) -> bool:
        """Return whether everything that is committed now has been read."""
        ends = await self._consumer.end_offsets(self._partitions)
        return all([await self._consumer.position(partition) >= end for partition, end in ends.items()])


def line_of_record(record: ConsumerRecord) -> Line | None:
    """Return the line of an outbound record; None if it is internal (a tombstone, an unknown record)."""
    if record.topic == DEAD_LETTER.name:
        return _dead_letter(record)
    if record.value is None:
        return None
    effect = read_frame(record.value)
    return line_of_effect(effect)


def _dead_letter(record: ConsumerRecord) -> Line:
    errors = errors_in(record.headers)
    given = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    position = f"{errors.get('topic', '')}/{errors.get('partition', '')}/{errors.get('offset', '')}"
    return {
        "at": format_instant(Millis(record.timestamp)),
        "effect": "refused",
        "id": given.get("ce_id", ""),
        "cause": given.get("ce_id", ""),
        "rule": None,
        "rule_version": None,
        "person": (record.key or b"").decode(errors="replace"),
        "reason": errors.get("code", "unknown"),
        "source": given.get("ce_source", ""),
        "trigger": given.get("ce_type", ""),
        "why": f"The record is in the dead letters; processing stopped at the stage: {errors.get('stage', 'unknown')}",
        "where": position,
    }
