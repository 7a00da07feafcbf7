"""What aiokafka's fetcher holds, taken out by partition, without an object more for each record than its parser makes.

Owns the one place that reaches into the fetcher's buffers; the names that this rests on are listed in
`tests/streams/test_rests_on.py`. Knows no Faust and no shard.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiokafka.structs import TopicPartition

Fetched = tuple[TopicPartition, int, int, list[Any]]
"""(partition, from, to, records): all that is visible in [from, to). A record has offset, timestamp, key, value, headers."""


def _as_parsed(_tp: TopicPartition, record: Any) -> Any:
    """Return the parser's record itself: aiokafka's ConsumerRecord around it is half of what reading a record costs."""
    return record


def drain(fetcher: Any, wanted: Collection[TopicPartition], most: int) -> list[Fetched]:
    """Take what *fetcher* holds of *wanted*, at most *most* records of each partition. Raises what a fetch found wrong.

    A fetch that only moved the position (aborted records, markers) is an entry without records.
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
            look_again(fetcher)
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
            look_again(fetcher)
    return found


def look_again(fetcher: Any) -> None:
    """Let *fetcher* see anew what is to be fetched.

    Where a fetch ends in the very turn of its loop in which the assignment changes, it still counts as on its way when the next
    ones are chosen: none is sent, and nothing that comes later wakes it, neither a seek nor who waits for records.
    """
    fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001
