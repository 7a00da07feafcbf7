"""What has arrived of a shard's topics, and the one order in which it may be applied.

Owns the queues, the positions, and what is known of the time up to which each topic is complete. Pure: no Kafka call, no
wall clock. Must not know what is done with a record.

The order is (time, rank of the topic, offset): the records' times are the broker's. A record may be applied when of every
topic all that is older has arrived, or is known not to exist.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Batch(NamedTuple):
    """What one fetch brought of one partition: all that is visible in [start, stop). Holes inside are the log's own."""

    topic: str
    partition: int
    start: int
    stop: int
    records: Sequence[Any]
    epoch: int


class Hole(Exception):  # noqa: N818 -- it names the finding, and ends the process
    """A batch begins after the position: records were lost between fetch and shard."""


class Arrivals:
    """What has arrived of the partitions of one shard."""

    def __init__(self, topics: Sequence[str]) -> None:
        """Take *topics* in the order of their rank."""
        self._topics = topics
        self._rank = {topic: rank for rank, topic in enumerate(topics)}
        self._queues: dict[str, deque[tuple[int, Any]]] = {}
        self.positions: dict[str, int] = {}
        """Up to where each topic is applied."""
        self.moved: set[str] = set()
        """Topics whose position changed since the last commit."""
        self.newest_ms: dict[str, int] = {}
        """The newest append time below each position: by it a topic that was made again is known."""
        self._ends: dict[str, int] = {}
        self.begin({}, {})

    def begin(self, positions: Mapping[str, int], newest_ms: Mapping[str, int]) -> None:
        """Begin at *positions*, with nothing arrived."""
        self.positions = dict(positions)
        self.newest_ms = dict(newest_ms)
        self._reached = dict(positions)
        self._queues = {topic: deque() for topic in self._topics}
        self._tails: dict[str, int] = {}
        self._newest: dict[str, int] = dict.fromkeys(self._topics, -1)
        self._cleared: dict[str, int] = dict.fromkeys(self._topics, -1)

    def arrived(self, batch: Batch) -> int:
        """Queue *batch*; return how many records of it are new. Raises Hole."""
        topic = batch.topic
        reached = self._reached[topic]
        if batch.stop <= reached:
            return 0
        if batch.start > reached:
            raise Hole(f"{topic}/{batch.partition}: a batch begins at {batch.start}, the position is {reached}")
        queue = self._queues[topic]
        rank = self._rank[topic]
        key = self._newest[topic]
        count = 0
        for record in batch.records:
            if record.offset < reached:
                continue
            # A broker's clock may step back; within a partition the log's order rules.
            at = record.timestamp << 4 | rank
            if at > key:  # noqa: PLR1730 -- a call of max() costs more, once a record
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
        """Return how many offsets of *topic* are known to lie beyond the position."""
        return max(self._ends.get(topic, 0), self._reached[topic]) - self.positions[topic]

    def queued(self, topic: str) -> int:
        return len(self._queues[topic])

    @property
    def waiting(self) -> int:
        """Return how many records have arrived and are not applied."""
        return sum(map(len, self._queues.values()))

    def seal(self, *, settled: bool = False) -> int:
        """Return the order key below which a probe that is sent now may clear a topic: nothing older can be appended any more.

        That is the newest time received, and its own millisecond too once that is over for the broker (`settled`): else a
        record of the same millisecond may still come in another topic.
        """
        return (max(self._newest.values()) >> 4) + settled << 4

    def probed(self, ends: Mapping[str, int], sealed: int, sent_ms: int) -> None:
        """Take the answer to a probe: the ends of the topics, the `seal` when it was sent, and the broker time then.

        A topic whose end is not above what was reached holds nothing more that was appended before the probe.
        """
        until = max(sealed, sent_ms << 4) - 1
        self._ends.update(ends)
        for topic, end in ends.items():
            if end <= self._reached[topic]:
                self._cleared[topic] = max(self._cleared[topic], until)

    @property
    def limit(self) -> int:
        """Return the order key up to which records may be applied.

        Of every topic all records up to its own newest are here, or up to where a probe found nothing more.
        """
        return min(max(self._newest[t], self._cleared[t]) for t in self._topics)

    @property
    def wants_probe(self) -> bool:
        """Say whether records have arrived of which none may be applied before more is known of the other topics."""
        oldest = min((q[0][0] for q in self._queues.values() if q), default=-1)
        return oldest > self.limit

    def head(self) -> tuple[str, int] | None:
        """Return (topic, offset) of the record that is applied next, if one may be."""
        best = self._first()
        return None if best is None else (best[1], self._queues[best[1]][0][1].offset)

    # ---- for the shard

    def _first(self) -> tuple[int, str] | None:
        """Return (order key, topic) of the record that is applied next, if one may be."""
        best = min(((q[0][0], t) for t, q in self._queues.items() if q), default=None)
        return None if best is None or best[0] > self.limit else best

    def _blocked(self, limit: int) -> bool:
        return any(q and q[0][0] <= limit for q in self._queues.values())

    def take(self, limit: int, records_max: int) -> Iterable[tuple[str, int, Any]]:
        """Yield (topic, order key, record) up to *limit* in their order; each is gone from its queue when it is yielded."""
        queues = self._queues
        heads = [(q[0][0], topic) for topic, q in queues.items() if q and q[0][0] <= limit]
        heapq.heapify(heads)
        left = records_max
        while heads and left > 0:
            _, topic = heapq.heappop(heads)
            # The records of one topic up to the head of the next are a run: no heap for each.
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
