"""The index of a shard's deadlines: its persons, ordered by their earliest deadline.

Owns the index only. The persons' state is the source of truth; the index is built from it when a shard opens.
"""

from __future__ import annotations

import heapq

from streams.shard.agent import Agent

BUCKET_MS = 60_000
NEVER = 1 << 62
"""The value of the next deadline if there is none."""


class Deadlines:
    """The persons by their earliest deadline: a heap for the current minute, and an unsorted list for each later minute.

    An entry may be out of date: it is compared with the person's state, and dropped, when it reaches the top of the heap.
    With lists, the longest pause is the same for one and for ten million entries. A single heap would pause for a time
    proportional to its size whenever it is rebuilt.
    """

    def __init__(self, persons: dict[bytes, bytes], agent: Agent) -> None:
        self._persons = persons
        self._deadline = agent.deadline
        self._buckets: dict[int, list[bytes]] = {}
        self._order: list[int] = []
        self._ready: list[tuple[int, bytes]] = []
        self._loaded = -1
        self.changed: dict[bytes, bool] = {}
        self.next = NEVER
        """A lower bound of the earliest deadline: an out-of-date entry may make it too early, never too late."""

    def rebuild(self) -> None:
        buckets: dict[int, list[bytes]] = {}
        deadline = self._deadline
        for key, packed in self._persons.items():
            at = deadline(packed)
            if at is not None:
                number = at // BUCKET_MS
                bucket = buckets.get(number)
                if bucket is None:
                    buckets[number] = [key]
                else:
                    bucket.append(key)
        self._buckets = buckets
        self._order = list(buckets)
        heapq.heapify(self._order)
        self._ready = []
        self._loaded = -1
        self.changed = {}
        self._settle()

    def update(self, key: bytes, before: bytes | None, after: bytes) -> None:
        """Update the index after a person's state changed from *before* to *after*."""
        self.changed[key] = True
        at = self._deadline(after)
        if at is None or (before is not None and self._deadline(before) == at):
            return
        number = at // BUCKET_MS
        if number <= self._loaded:
            heapq.heappush(self._ready, (at, key))
        else:
            bucket = self._buckets.get(number)
            if bucket is None:
                self._buckets[number] = [key]
                heapq.heappush(self._order, number)
            else:
                bucket.append(key)
        if at < self.next:
            self._settle()

    def peek(self, until: int) -> tuple[int, bytes] | None:
        """Return (deadline, person) of the earliest deadline before *until*, or None."""
        while self.next < until:
            entry = self._ready[0]
            packed = self._persons.get(entry[1])
            if packed is not None and self._deadline(packed) == entry[0]:
                return entry
            self._drop()
        return None

    def pop(self, until: int) -> tuple[int, bytes] | None:
        """Return the same as `peek`, and remove it from the index."""
        entry = self.peek(until)
        if entry is not None:
            self._drop()
        return entry

    def _drop(self) -> None:
        heapq.heappop(self._ready)
        self._settle()

    def _settle(self) -> None:
        """Move the lists of due minutes into the heap until it holds the earliest entry; set `next`."""
        while self._order and (not self._ready or self._order[0] * BUCKET_MS <= self._ready[0][0]):
            number = heapq.heappop(self._order)
            self._loaded = max(self._loaded, number)
            for key in self._buckets.pop(number):
                packed = self._persons.get(key)
                at = None if packed is None else self._deadline(packed)
                if at is not None and at // BUCKET_MS == number:
                    heapq.heappush(self._ready, (at, key))
        self.next = self._ready[0][0] if self._ready else NEVER
