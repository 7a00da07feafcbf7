"""A shard: partition *i* of every inbound topic together. One owner, one state, one order, one clock.

Owns the persons' packed state, their deadlines, and applying; what has arrived and in which order it may be applied is the
`Arrivals`' below it. Pure: no Kafka call, no wall clock. A worker gives it batches of bytes and commits what it wrote into
an outbox (`streams/kafka/worker.py`); in memory it is given one event after another (`streams/shard/memory.py`). It must not
know a rule of care: what records mean is the `Agent`'s.

Memory is changed while deciding, ahead of the commit. That is safe because nothing outlives a failed commit: the
process ends, and the next owner reads what was committed.
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
"""Makes a named tuple at half of what its own constructor costs: there are two or more for each record."""


class DeadlineStays(Exception):  # noqa: N818 -- it names the finding
    """A deadline fired and the state is what it was."""


class Tally:
    """What the shard counted since it was last asked; metrics are made from it."""

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
    """The state of one shard, and what becomes of it record by record."""

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
        """Story time of the newest record applied or deadline fired: it never goes back."""

    # ---- opening

    def restored(self, positions: Mapping[str, int], newest_ms: Mapping[str, int]) -> None:
        """Begin at *positions* with the state that was read; build the index of deadlines.

        `newest_ms` is the newest append time below each position: by it a topic that was made again is known.
        """
        self.begin(positions, newest_ms)
        self._deadlines.rebuild()
        self.open_handoffs = sum(map(self.agent.open_handoffs, self.persons.values()))
        # Else a record that comes late would be decided at an earlier time after a restart than without one.
        self.now = max((self.clock.to_story(at) for at in newest_ms.values() if at), default=Millis(0))

    # ---- applying

    def apply(self, out: Outbox, records_max: int, deadlines_max: int | None = None) -> None:
        """Apply what may be applied, up to *records_max* records and, where these are all, as many deadlines after them.

        What is published goes into *out*; changed persons and positions come with `changes`.
        """
        limit = self.limit
        last: dict[str, tuple[int, Any]] = {}
        at, now = -1, self.now
        for topic, key, record in self.take(limit, records_max):
            if key >> 4 != at:  # Records of one batch have one append time.
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
        """Apply one record at *now*, which `self.now` has reached, whatever else has arrived."""
        origin: Origin = _new(Origin, (topic, self.number, record))
        read: tuple[bytes, Any] | RecordRefused
        try:
            read = self.agent.read(origin, now)
        except Exception as exc:  # noqa: BLE001 -- a sender's bytes must not stop the shard, whatever they do to a reader
            read = RecordRefused("rule-failed", "read", exception=type(exc).__name__)
            self.tally.failed.append(read.exception)
        if isinstance(read, RecordRefused):
            self._refuse(origin, read, out)
            return
        key, event = read
        packed = self.persons.get(key)
        if packed is None and partition_of(key, self.partitions) != self.number:
            # Known persons were checked when they became known: hashing each key again costs as much as deciding.
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
            self._keep(key, packed, self.agent.spoil(key, packed, now))
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
        """Fire up to *most* deadlines before *until*, in the order of their time."""
        for _ in range(most):
            entry = self._deadlines.pop(until)
            if entry is None:
                return
            at, key = Millis(entry[0]), entry[1]
            packed = self.persons[key]
            self.now = max(self.now, at)
            after = self._expire(key, packed, at, out)
            if after is not None and after != packed and self.agent.deadline(after) == at:
                # Another of the same instant: the state's earliest is what it was, so `note` saw nothing new.
                self._deadlines.note(key, None, after)

    def due(self, story_ms: int) -> bool:
        """Say whether a deadline is due at *story_ms*."""
        return self._deadlines.next <= story_ms

    @property
    def next_due(self) -> int:
        """Return a story time before which no deadline is due (NEVER if there is none)."""
        return self._deadlines.next

    @property
    def changed(self) -> bool:
        """Say whether `changes` has anything to write."""
        return bool(self.moved or self._deadlines.changed)

    def changes(self) -> list[Out]:
        """Return the state records of what changed since the last call: persons, then positions."""
        changed = self._deadlines.changed
        persons = self.persons.get
        outs = [_new(Out, (key, persons(key), ())) for key in changed]
        outs.extend(Out(POSITION + t.encode(), b"%d %d" % (self.positions[t], self.newest_ms.get(t, 0))) for t in sorted(self.moved))
        self.moved.clear()
        self._deadlines.changed = {}
        return outs

    def deadline_before(self, until: int) -> tuple[int, bytes] | None:
        """Return (story time, person) of the earliest deadline before *until*."""
        return self._deadlines.peek(until)

    @property
    def step_until(self) -> Millis:
        """Return the story time before which deadlines fire ahead of the next record, or up to the limit where there is none."""
        best = self._first()
        return self.clock.to_story((self.limit if best is None else best[0]) >> 4)

    def set_aside(self, topic: str, offset: int, out: Outbox) -> None:
        """Put the record at *offset*, which ended the process before, into the dead letters without deciding it."""
        queue = self._queues[topic]
        if queue and queue[0][1].offset == offset:
            key, record = queue.popleft()
            self._refuse(Origin(topic, self.number, record), RecordRefused("killed-worker", "decide"), out)
            self.newest_ms[topic] = key >> 4
            self._advance(topic, offset + 1 if queue else self._tails.get(topic, offset + 1))

    def set_aside_deadline(self, until: Millis, out: Outbox) -> None:
        """Put the earliest deadline before *until*, which ended the process before, into the dead letters without firing it."""
        entry = self._deadlines.pop(until)
        if entry is not None:
            self._give_up(entry[1], self.persons[entry[1]], Millis(entry[0]), RecordRefused("killed-worker", "expire"), out)

    # ---- private

    def _expire(self, key: bytes, packed: bytes, at: Millis, out: Outbox) -> bytes | None:
        """Fire the person's deadline at *at*; return the state after it. One that can't be changed comes back as it was."""
        try:
            outcome = self.agent.expire(key, packed, at)
            if outcome.packed == packed:
                # The same state gives the same answer: it would fire without end.
                raise DeadlineStays  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001 -- the same as for an event; the deadline is taken away by `spoil`
            self.tally.failed.append(type(exc).__name__)
            return self._give_up(key, packed, at, RecordRefused("rule-failed", "expire", exception=type(exc).__name__), out)
        self._keep(key, packed, outcome.packed)
        self._publish(outcome, out)
        self.tally.deadlines += 1
        return outcome.packed

    def _give_up(self, key: bytes, packed: bytes, at: Millis, why: RecordRefused, out: Outbox) -> bytes | None:
        """Put a deadline into the dead letters; return the state without it."""
        out.publish(self.agent.dead_letters, self.number, key, None, error_headers("deadline", self.number, -1, at, why))
        spoilt = self.agent.spoil(key, packed, at)
        self._keep(key, packed, spoilt)
        return spoilt

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
        self._deadlines.note(key, before, after)

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
