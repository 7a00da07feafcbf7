"""A reader of whole topics, as any outside consumer may read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition


async def read_all(kafka: Mapping[str, Any], places: Iterable[tuple[str, int]], isolation: str = "read_committed") -> list[Any]:
    """Return all records of *places*, [(topic, partition)], up to their current ends.

    The consumer starts at explicit offsets. By default, a consumer that looks up the beginning while it still looks up the end
    takes the end for the beginning, and reads nothing.
    """
    consumer = AIOKafkaConsumer(**kafka, isolation_level=isolation, enable_auto_commit=False, auto_offset_reset="none")
    await consumer.start()
    try:
        tps = [TopicPartition(*place) for place in places]
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        consumer.assign(tps)
        for tp, begin in begins.items():
            consumer.seek(tp, begin)
        records: list[Any] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for found in (await consumer.getmany(timeout_ms=100)).values():
                records.extend(found)
        return records
    finally:
        await consumer.stop()
