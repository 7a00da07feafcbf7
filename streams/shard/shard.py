"""A shard: one partition of every inbound topic (shard 3: partition 3). It has one owner, one state, one order and one clock.

Owns the persons' packed state, their deadlines, and how records and deadlines are applied. Its base class `Arrivals` owns
the queues and the order. Pure: no Kafka call, no wall clock. The worker (`streams/kafka/worker.py`) passes it batches and
commits the outbox that it fills; `streams/shard/memory.py` passes it single events. Knows no care rules: the `Agent`
decides what a record means.

A decision changes the state in memory before the commit. This is safe because a failed commit ends the process, and the next
owner reads the state that was committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.base.clock import Clock
from streams.contract.events import Millis
from streams.contract.person_key import partition_of
from streams.contract.record import Out
from streams.shard.agent import Agent, Origin, Outbox, Outcome, RecordRefused
from streams.shard.claims import POSITION
from streams.shard.dead_letters import dead_letter, error_headers
from streams.shard.deadlines import Deadlines
from streams.shard.order import Arrivals

_new = tuple.__new__
"""Creates a named tuple at half the cost of its constructor. Each record needs two or more."""


class DeadlineStays(Exception):  # noqa: N818 -- it names the finding
    """A deadline fired but did not change the state, so it would fire forever."""


class Tally:
    """The counts since the last `clear`, for the metrics."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.events: dict[str, int] = {}
        self.effects: dict[str, int] = {}
        self.refused: dict[tuple[str, str], int] = {}
        self.accepted: dict[str, int] = {}
        self.misrouted = 0
        self.deadlines = 0
        self.failed: list[str] = []

    def add(self, group: dict[Any, int], key: Any, count: int = 1) -> None:
        group[key] = group.get(key, 0) + count


class Shard(Arrivals):
    """The state of one shard, to which records and deadlines are applied."""

    def __init__(self, number: int, partitions: int, agent: Agent, clock: Clock, persons: dict[bytes, bytes]) -> None:
        super().__init__(agent.inbound)
        self.number = number
        self.partitions = partitions
        self.agent = agent
        self.clock = clock
        self.persons = persons
        self.tally = Tally()
        self.open_handoffs = 0
        self._deadlines = Deadlines(persons, agent)
        self.now: Millis = Millis(0)
        """The story time of the newest record applied or deadline fired. It never decreases."""

    # ---- opening

    def restored(self, positions: Mapping[str, int], newest_ms: Mapping[str, int]) -> None:
        """Start at *positions* with the state that was read, and build the index of deadlines.

        `newest_ms` is the newest append time (ms) below each position.
        """
        self.begin(positions, newest_ms)
        self._deadlines.rebuild()
        self.open_handoffs = sum(map(self.agent.open_handoffs, self.persons.values()))
        # A restart must not reset the time. Otherwise, a late record would be decided at an earlier time.
        self.now = max((self.clock.to_story(at) for at in newest_ms.values() if at), default=Millis(0))

    # ---- applying

    def apply(self, out: Outbox, records_max: int, deadlines_max: int | None = None) -> None:
        """Apply the records that may be applied, at most *records_max*; publish to *out*.

        If no such record is left, also fire the deadlines that are due, at most *deadlines_max* (default: *records_max*).
        `changes` returns the changed persons and positions.
        """
        limit = self.limit
        last: dict[str, tuple[int, Any]] = {}
        at, now = -1, self.now
        for topic, key, record in self.take(limit, records_max):
            if key >> 4 != at:  # Convert once per append time: all records of a batch have the same one.
                at = key >> 4
                now = self.clock.to_story(at)
                self.now = max(self.now, now)
            self.apply_record(topic, record, now, out)
            last[topic] = key, record
        for topic, (key, record) in last.items():
            self.newest_ms[topic] = key >> 4
            offset = record.offset + 1
            self._advance(topic, offset if self._queues[topic] else self._tails.get(topic, offset))
        if not self._blocked(limit):
            self.fire(self.clock.to_story(limit >> 4), records_max if deadlines_max is None else deadlines_max, out)

    def apply_record(self, topic: str, record: Any, now: Millis, out: Outbox) -> None:
        """Apply one record that arrived at *now*, without a check of its order. `self.now` must not be less than *now*."""
        origin: Origin = _new(Origin, (topic, self.number, record))
        read: tuple[bytes, Any] | RecordRefused
        try:
            read = self.agent.read(origin, now)
        except Exception as exc:  # noqa: BLE001 -- no bytes that a sender can publish may stop the shard
            read = RecordRefused("rule-failed", "read", exception=type(exc).__name__)
            self.tally.failed.append(read.exception)
        if isinstance(read, RecordRefused):
            self._refuse(origin, read, out)
            return
        key, event = read
        packed = self.persons.get(key)
        if packed is None and partition_of(key, self.partitions) != self.number:
            # The partition is checked only for new persons, because hashing a key costs as much as a decision.
            self._relay(key, origin, out)
            return
        while packed is not None and self._deadlines.next < now:
            deadline = self.agent.deadline(packed)
            if deadline is None or deadline >= now:
                break
            after = self._expire(key, packed, Millis(deadline), out)
            if after == packed:
                break
            packed = after
        try:
            outcome = self.agent.decide(key, packed, event, self.now, origin)
        except Exception as exc:  # noqa: BLE001 -- a rule that raises must not stop the other persons of the shard
            self._refuse(origin, RecordRefused("rule-failed", "decide", exception=type(exc).__name__), out)
            self.tally.failed.append(type(exc).__name__)
            self._keep(key, packed, self.agent.after_failure(key, packed, now))
            return
        tally, refused = self.tally, outcome.refused
        if refused is None:
            tally.accepted[outcome.source] = tally.accepted.get(outcome.source, 0) + 1
        else:
            tally.add(tally.refused, (refused.code, refused.source))
        self._keep(key, packed, outcome.packed)
        self._publish(outcome, out)
        tally.events[topic] = tally.events.get(topic, 0) + 1

    def fire(self, until: Millis, most: int, out: Outbox) -> None:
        """Fire at most *most* deadlines before *until*, earliest first."""
        for _ in range(most):
            entry = self._deadlines.pop(until)
            if entry is None:
                return
            at, key = Millis(entry[0]), entry[1]
            packed = self.persons[key]
            self.now = max(self.now, at)
            after = self._expire(key, packed, at, out)
            if after is not None and after != packed and self.agent.deadline(after) == at:
                # The person has another deadline at the same instant. `update` saw the same earliest deadline and did not index it.
                self._deadlines.update(key, None, after)

    def due(self, story_ms: int) -> bool:
        """Return whether a deadline may be due at *story_ms*."""
        return self._deadlines.next <= story_ms

    @property
    def next_due(self) -> int:
        """A story time (ms) before which no deadline is due, or NEVER if there is no deadline."""
        return self._deadlines.next

    @property
    def changed(self) -> bool:
        """Whether `changes` would return any records."""
        return bool(self.moved or self._deadlines.changed)

    def changes(self) -> list[Out]:
        """Return the state records of the persons and then of the positions that changed since the last call."""
        changed = self._deadlines.changed
        persons = self.persons.get
        outs = [_new(Out, (key, persons(key), ())) for key in changed]
        outs.extend(Out(POSITION + t.encode(), b"%d %d" % (self.positions[t], self.newest_ms.get(t, 0))) for t in sorted(self.moved))
        self.moved.clear()
        self._deadlines.changed = {}
        return outs

    def deadline_before(self, until: int) -> tuple[int, bytes] | None:
        """Return (story time, person key) of the earliest deadline before *until*, or None."""
        return self._deadlines.peek(until)

    @property
    def step_until(self) -> Millis:
        """The story time of the next record, or of `limit` if there is none: deadlines before it fire first."""
        best = self._first()
        return self.clock.to_story((self.limit if best is None else best[0]) >> 4)

    def set_aside(self, topic: str, offset: int, out: Outbox) -> None:
        """Dead-letter the record at *offset* without a decision, because it has ended the process before."""
        queue = self._queues[topic]
        if queue and queue[0][1].offset == offset:
            key, record = queue.popleft()
            self._refuse(Origin(topic, self.number, record), RecordRefused("killed-worker", "decide"), out)
            self.newest_ms[topic] = key >> 4
            self._advance(topic, offset + 1 if queue else self._tails.get(topic, offset + 1))

    def set_aside_deadline(self, until: Millis, out: Outbox) -> None:
        """Dead-letter the earliest deadline before *until* without firing it, because it has ended the process before."""
        entry = self._deadlines.pop(until)
        if entry is not None:
            self._drop_deadline(entry[1], self.persons[entry[1]], Millis(entry[0]), RecordRefused("killed-worker", "expire"), out)

    # ---- private

    def _expire(self, key: bytes, packed: bytes, at: Millis, out: Outbox) -> bytes | None:
        """Fire the person's deadline at *at*; return the state after it.

        If the rule raises, dead-letter the deadline and return the state from `after_failure`, which may be unchanged.
        """
        try:
            outcome = self.agent.expire(key, packed, at)
            if outcome.packed == packed:
                # The agent is pure: the same state would fire the same deadline forever.
                raise DeadlineStays  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001 -- as for an event; `after_failure` removes the deadline
            self.tally.failed.append(type(exc).__name__)
            return self._drop_deadline(key, packed, at, RecordRefused("rule-failed", "expire", exception=type(exc).__name__), out)
        self._keep(key, packed, outcome.packed)
        self._publish(outcome, out)
        self.tally.deadlines += 1
        return outcome.packed

    def _drop_deadline(self, key: bytes, packed: bytes, at: Millis, why: RecordRefused, out: Outbox) -> bytes | None:
        """Dead-letter a deadline; return the state without it."""
        out.publish(self.agent.dead_letters, self.number, key, None, error_headers("deadline", self.number, -1, at, why))
        kept = self.agent.after_failure(key, packed, at)
        self._keep(key, packed, kept)
        return kept

    def _keep(self, key: bytes, before: bytes | None, after: bytes | None) -> None:
        if after is before:
            return
        count = self.agent.open_handoffs
        self.open_handoffs += (count(after) if after else 0) - (count(before) if before else 0)
        if after is None:
            self.persons.pop(key, None)
            self._deadlines.changed[key] = True
            return
        self.persons[key] = after
        self._deadlines.update(key, before, after)

    def _publish(self, outcome: Outcome, out: Outbox) -> None:
        number, publish = self.number, out.publish
        for by_key, topic, key, value, headers in outcome.publish:
            publish(topic, partition_of(key or b"", self.partitions) if by_key else number, key, value, headers)
        effects = self.tally.effects
        for kind in outcome.kinds:
            effects[kind] = effects.get(kind, 0) + 1

    def _relay(self, key: bytes, origin: Origin, out: Outbox) -> None:
        relay = self.agent.relay
        if origin.topic == relay:
            self._refuse(origin, RecordRefused("relay-misrouted", "route"), out)
            return
        out.publish(relay, partition_of(key, self.partitions), key, *self.agent.wrap(key, origin))
        self.tally.misrouted += 1

    def _refuse(self, origin: Origin, refused: RecordRefused, out: Outbox) -> None:
        out.publish(self.agent.dead_letters, self.number, *dead_letter(origin, refused))
        self.tally.add(self.tally.refused, (refused.code, refused.source))
