"""The fetched records of a shard's topics, and the order in which they are applied.

Owns the queues, the positions, and the time up to which each topic is known to be complete. Pure: no Kafka call, no wall
clock. Does not know how a record is applied.

The order is (append time, rank of the topic, offset). The broker sets the append time. A record may be applied once all older
records of every topic are known to have arrived. The append time and the rank form one number, the order key:
append time in ms << 4 | rank.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Batch(NamedTuple):
    """All visible records of one partition in [start, stop), from one fetch. Offsets without a record here hold no visible record."""

    topic: str
    partition: int
    start: int
    stop: int
    records: Sequence[Any]
    epoch: int


class OffsetGap(Exception):  # noqa: N818 -- it names the finding, and ends the process
    """A batch begins after the end of the previous one: records were lost between the fetch and the shard."""


class Arrivals:
    """The queues and positions of the partitions of one shard."""

    def __init__(self, topics: Sequence[str]) -> None:
        """Create a queue for each of *topics*, which are ordered by rank."""
        self._topics = topics
        self._rank = {topic: rank for rank, topic in enumerate(topics)}
        self._queues: dict[str, deque[tuple[int, Any]]] = {}
        self.positions: dict[str, int] = {}
        """The offset up to which each topic is applied."""
        self.moved: set[str] = set()
        """Topics whose position changed since the last commit."""
        self.newest_ms: dict[str, int] = {}
        """The newest append time (ms) below each position. It shows whether a topic was deleted and created again."""
        self._ends: dict[str, int] = {}
        self.begin({}, {})

    def begin(self, positions: Mapping[str, int], newest_ms: Mapping[str, int]) -> None:
        """Reset to *positions*, with empty queues."""
        self.positions = dict(positions)
        self.newest_ms = dict(newest_ms)
        self._reached = dict(positions)
        self._queues = {topic: deque() for topic in self._topics}
        self._tails: dict[str, int] = {}
        self._newest: dict[str, int] = dict.fromkeys(self._topics, -1)
        self._cleared: dict[str, int] = dict.fromkeys(self._topics, -1)

    def arrived(self, batch: Batch) -> int:
        """Queue *batch*; return how many of its records are new. Raises OffsetGap."""
        topic = batch.topic
        reached = self._reached[topic]
        if batch.stop <= reached:
            return 0
        if batch.start > reached:
            raise OffsetGap(f"{topic}/{batch.partition}: a batch begins at offset {batch.start}, but the next offset is {reached}")
        queue = self._queues[topic]
        rank = self._rank[topic]
        key = self._newest[topic]
        count = 0
        for record in batch.records:
            if record.offset < reached:
                continue
            # A broker's clock may step back. Within a partition, the order of offsets wins.
            at = record.timestamp << 4 | rank
            if at > key:  # noqa: PLR1730 -- faster than max(), and runs for every record
                key = at
            queue.append((key, record))
            count += 1
        self._newest[topic] = key
        self._reached[topic] = batch.stop
        if queue:
            self._tails[topic] = batch.stop
        else:
            self._advance(topic, batch.stop)
        return count

    def reached(self, topic: str) -> int:
        """Return the offset up to which *topic* was fetched."""
        return self._reached[topic]

    def lag(self, topic: str) -> int:
        """Return how many offsets lie between the position of *topic* and its last known end."""
        return max(self._ends.get(topic, 0), self._reached[topic]) - self.positions[topic]

    def queued(self, topic: str) -> int:
        return len(self._queues[topic])

    @property
    def waiting(self) -> int:
        """How many records have arrived and are not applied yet."""
        return sum(map(len, self._queues.values()))

    def seal(self, *, settled: bool = False) -> int:
        """Return the order key below which the broker appends no more records.

        Call this before a probe, and pass the result to `probed` with the answer. The result is the newest append time
        received. It includes that millisecond itself only if the millisecond is over on the broker (`settled`); otherwise a
        record with the same time may still be appended to another topic.
        """
        return (max(self._newest.values()) >> 4) + settled << 4

    def probed(self, ends: Mapping[str, int], sealed: int, sent_ms: int) -> None:
        """Record the answer to a probe.

        If everything up to the end of a topic was fetched, the topic holds no other record that was appended before the probe.

        Args:
            ends: The end offset of each topic.
            sealed: The result of `seal` when the probe was sent.
            sent_ms: The broker's time when the probe was sent, in ms.
        """
        until = max(sealed, sent_ms << 4) - 1
        self._ends.update(ends)
        for topic, end in ends.items():
            if end <= self._reached[topic]:
                self._cleared[topic] = max(self._cleared[topic], until)

    @property
    def limit(self) -> int:
        """The order key up to which every topic is known to be complete, so records up to it may be applied.

        A topic is complete up to its newest fetched record or up to the last probe that found no unfetched record, whichever
        is later.
        """
        return min(max(self._newest[t], self._cleared[t]) for t in self._topics)

    @property
    def needs_probe(self) -> bool:
        """Whether records have arrived, but none may be applied until a probe has shown that the other topics are complete."""
        oldest = min((q[0][0] for q in self._queues.values() if q), default=-1)
        return oldest > self.limit

    def head(self) -> tuple[str, int] | None:
        """Return (topic, offset) of the next record to apply, or None if none may be applied now."""
        best = self._first()
        return None if best is None else (best[1], self._queues[best[1]][0][1].offset)

    # ---- for the shard

    def _first(self) -> tuple[int, str] | None:
        """Return (order key, topic) of the next record to apply, or None if none may be applied now."""
        best = min(((q[0][0], t) for t, q in self._queues.items() if q), default=None)
        return None if best is None or best[0] > self.limit else best

    def _blocked(self, limit: int) -> bool:
        return any(q and q[0][0] <= limit for q in self._queues.values())

    def take(self, limit: int, records_max: int) -> Iterable[tuple[str, int, Any]]:
        """Remove up to *records_max* records up to the order key *limit*; yield (topic, order key, record) in order."""
        queues = self._queues
        heads = [(q[0][0], topic) for topic, q in queues.items() if q and q[0][0] <= limit]
        heapq.heapify(heads)
        left = records_max
        while heads and left > 0:
            _, topic = heapq.heappop(heads)
            # Take all records of this topic up to the first one of the next topic: the heap is used once per run, not per record.
            until = min(limit, heads[0][0]) if heads else limit
            queue = queues[topic]
            while left > 0:
                key, record = queue.popleft()
                left -= 1
                yield topic, key, record
                if not queue or queue[0][0] > until:
                    break
            if queue and queue[0][0] <= limit:
                heapq.heappush(heads, (queue[0][0], topic))

    def _advance(self, topic: str, offset: int) -> None:
        self.positions[topic] = offset
        self.moved.add(topic)
