"""Take the records out of aiokafka's fetcher by partition, without creating another object per record.

The only file that accesses the fetcher's buffers. `tests/streams/test_rests_on.py` checks the private names that it uses.
Knows nothing about Faust or shards.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiokafka.structs import TopicPartition

Fetched = tuple[TopicPartition, int, int, list[Any]]
"""(partition, from, to, records): all visible records in [from, to). A record has offset, timestamp, key, value and headers."""


def _as_parsed(_tp: TopicPartition, record: Any) -> Any:
    """Return the parser's record unchanged. Wrapping it in aiokafka's ConsumerRecord takes half the time of reading a record."""
    return record


def drain(fetcher: Any, wanted: Collection[TopicPartition], most: int) -> list[Fetched]:
    """Remove and return the buffered records of the *wanted* partitions, at most *most* of each. Raises the error of a failed fetch.

    If a fetch only moved the position past aborted records or markers, its entry has no records.
    """
    found: list[Fetched] = []
    for tp in list(fetcher._records):  # noqa: SLF001
        if tp not in wanted:
            if not fetcher._subscriptions.is_assigned(tp):  # noqa: SLF001
                del fetcher._records[tp]  # noqa: SLF001
            continue
        result = fetcher._records[tp]  # noqa: SLF001
        if not hasattr(result, "getall"):
            del fetcher._records[tp]  # noqa: SLF001
            reconsider(fetcher)
            result.check_raise()
        if result.has_more() and result.check_assignment(tp):
            state = result._assignment.state_value(tp)  # noqa: SLF001
            start = state.position
            result._partition_records._consumer_record = _as_parsed  # noqa: SLF001
            records = result.getall(most)
            if state.position > start:
                found.append((tp, start, state.position, records))
        if not result.has_more():
            del fetcher._records[tp]  # noqa: SLF001
            reconsider(fetcher)
    return found


def reconsider(fetcher: Any) -> None:
    """Make *fetcher* check again which partitions to fetch.

    This works around a race in aiokafka. If a fetch ends in the same iteration of the event loop in which the assignment
    changes, aiokafka still counts it as in flight when it chooses the next fetches, and sends none. Neither a seek nor a
    waiting reader wakes the fetcher afterwards.
    """
    fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001
