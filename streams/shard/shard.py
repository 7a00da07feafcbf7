"""A shard: partition *i* of every inbound topic together. One owner, one state, one order, one clock.

Owns the persons' packed state, their deadlines, and applying; what has arrived and in which order it may be applied is the
`Arrivals`' below it. Pure: no Kafka call, no wall clock; `streams/kafka/worker.py` feeds it and writes what it returns. It must
not know a rule of care: what records mean is the `Agent`'s.

Memory is changed while deciding, ahead of the commit. That is safe because nothing outlives a failed commit: the
process ends, and the next owner reads what was committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.base.clock import Clock
from streams.contract.events import Millis
from streams.contract.person_key import partition_of
from streams.kafka.transactions import Out
from streams.shard.agent import Agent, Outcome, Refused
from streams.shard.claims import POSITION
from streams.shard.deadlines import Deadlines
from streams.shard.order import Arrivals

_new = tuple.__new__
"""Makes an `Out` at half of what its own constructor costs: there are two or more for each record."""


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

    def apply(self, records_max: int, deadlines_max: int | None = None) -> dict[tuple[str, int], list[Out]]:
        """Apply what may be applied, up to *records_max* records and, where these are all, as many deadlines after them.

        Returns the records to write, {(topic, partition): [Out]}; changed persons and positions come with `changes`.
        """
        out: dict[tuple[str, int], list[Out]] = {}
        limit = self.limit
        last: dict[str, tuple[int, Any]] = {}
        at, now = -1, self.now
        for topic, key, record in self._take(limit, records_max):
            if key >> 4 != at:  # Records of one batch have one append time.
                at = key >> 4
                now = self.clock.to_story(at)
                self.now = max(self.now, now)
            self._one(topic, record, now, out)
            last[topic] = key, record
        for topic, (key, record) in last.items():
            self.newest_ms[topic] = key >> 4
            offset = record.offset + 1
            self._advance(topic, offset if self._queues[topic] else self._tails.get(topic, offset))
        if not self._blocked(limit):
            self._fire(self.clock.to_story(limit >> 4), out, records_max if deadlines_max is None else deadlines_max)
        return out

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

    def set_aside(self, topic: str, offset: int) -> dict[tuple[str, int], list[Out]]:
        """Put the record at *offset*, which ended the process before, into the dead letters without deciding it."""
        out: dict[tuple[str, int], list[Out]] = {}
        queue = self._queues[topic]
        if queue and queue[0][1].offset == offset:
            key, record = queue.popleft()
            self._refuse(topic, record, Refused("killed-worker", "decide"), out)
            self.newest_ms[topic] = key >> 4
            self._advance(topic, offset + 1 if queue else self._tails.get(topic, offset + 1))
        return out

    def head_deadline(self) -> tuple[bytes, Millis] | None:
        """Return (person, story time) of the deadline that comes before that record, or before the limit where there is none."""
        key = self._deadlines.peek(self._until())
        return None if key is None else (key, Millis(self.agent.deadline(self.persons[key]) or 0))

    def fire_one(self) -> dict[tuple[str, int], list[Out]]:
        """Fire that deadline alone."""
        out: dict[tuple[str, int], list[Out]] = {}
        self._fire(self._until(), out, 1)
        return out

    def set_aside_deadline(self) -> dict[tuple[str, int], list[Out]]:
        """Put that deadline, which ended the process before, into the dead letters without firing it."""
        out: dict[tuple[str, int], list[Out]] = {}
        key = self._deadlines.pop(self._until())
        if key is not None:
            packed = self.persons[key]
            at = Millis(self.agent.deadline(packed) or 0)
            self._give_up(key, packed, at, Refused("killed-worker", "expire"), out)
        return out

    def _until(self) -> Millis:
        """Return the story time before which deadlines fire ahead of the next record."""
        best = self._first()
        return self.clock.to_story((self.limit if best is None else best[0]) >> 4)

    # ---- private

    def _one(self, topic: str, record: Any, now: Millis, out: dict[tuple[str, int], list[Out]]) -> None:
        read: tuple[bytes, Any] | Refused
        try:
            read = self.agent.read(topic, record, now)
        except Exception as exc:  # noqa: BLE001 -- a sender's bytes must not stop the shard, whatever they do to a reader
            read = Refused("rule-failed", "read", exception=type(exc).__name__)
            self.tally.failed.append(read.exception)
        if isinstance(read, Refused):
            self._refuse(topic, record, read, out)
            return
        key, event = read
        packed = self.persons.get(key)
        if packed is None and partition_of(key, self.partitions) != self.number:
            # Known persons were checked when they became known: hashing each key again costs as much as deciding.
            self._relay(topic, key, record, out)
            return
        while packed is not None:
            deadline = self.agent.deadline(packed)
            if deadline is None or deadline >= now:
                break
            after = self._expire(key, packed, Millis(deadline), out)
            if after == packed:
                break
            packed = after
        try:
            outcome = self.agent.decide(key, packed, event, self.now)
        except Exception as exc:  # noqa: BLE001 -- a rule that raises must not stop the other persons of the shard
            self._refuse(topic, record, Refused("rule-failed", "decide", exception=type(exc).__name__), out)
            self.tally.failed.append(type(exc).__name__)
            self._keep(key, packed, self.agent.spoil(key, packed, now))
            return
        tally = self.tally
        if outcome.refused is None:
            tally.accepted[outcome.source] = tally.accepted.get(outcome.source, 0) + 1
        else:
            self._refuse(topic, record, outcome.refused, out)
        self._keep(key, packed, outcome.packed)
        self._publish(outcome, out)
        if outcome.forward is not None:
            self._send_on(topic, outcome.forward, record, out)
        tally.events[topic] = tally.events.get(topic, 0) + 1

    def _expire(self, key: bytes, packed: bytes, at: Millis, out: dict[tuple[str, int], list[Out]]) -> bytes | None:
        """Fire the person's deadline at *at*; return the state after it. One that can't be changed comes back as it was."""
        try:
            outcome = self.agent.expire(key, packed, at)
            if outcome.packed == packed:
                # The same state gives the same answer: it would fire without end.
                raise DeadlineStays  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001 -- the same as for an event; the deadline is taken away by `spoil`
            self.tally.failed.append(type(exc).__name__)
            return self._give_up(key, packed, at, Refused("rule-failed", "expire", exception=type(exc).__name__), out)
        self._keep(key, packed, outcome.packed)
        self._publish(outcome, out)
        self.tally.deadlines += 1
        return outcome.packed

    def _give_up(self, key: bytes, packed: bytes, at: Millis, why: Refused, out: dict[tuple[str, int], list[Out]]) -> bytes | None:
        """Put a deadline into the dead letters; return the state without it."""
        headers = _error_headers("deadline", self.number, -1, at, why)
        out.setdefault((self.agent.dead_letters, self.number), []).append(Out(key, None, headers))
        spoilt = self.agent.spoil(key, packed, at)
        self._keep(key, packed, spoilt)
        return spoilt

    def _fire(self, until: Millis, out: dict[tuple[str, int], list[Out]], most: int) -> None:
        """Fire up to *most* deadlines before *until*, in the order of their time."""
        for _ in range(most):
            key = self._deadlines.pop(until)
            if key is None:
                return
            packed = self.persons[key]
            at = Millis(self.agent.deadline(packed) or 0)
            self.now = max(self.now, at)
            after = self._expire(key, packed, at, out)
            if after is not None and after != packed and self.agent.deadline(after) == at:
                # Another of the same instant: the state's earliest is what it was, so `note` saw nothing new.
                self._deadlines.note(key, None, after)

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

    def _publish(self, outcome: Outcome, out: dict[tuple[str, int], list[Out]]) -> None:
        number = self.number
        for topic, key, value, headers in outcome.records:
            place = (topic, number)
            outs = out.get(place)
            if outs is None:
                outs = out[place] = []
            outs.append(_new(Out, (key, value, headers)))
        effects = self.tally.effects
        for kind in outcome.kinds:
            effects[kind] = effects.get(kind, 0) + 1
        if not (outcome.keyed or outcome.relayed):
            return
        for topic, key, value, headers in outcome.keyed:
            out.setdefault((topic, partition_of(key, self.partitions)), []).append(Out(key, value, headers))
        for key, value, headers in outcome.relayed:
            out.setdefault((self.agent.relay, partition_of(key, self.partitions)), []).append(Out(key, value, headers))

    def _relay(self, topic: str, key: bytes, record: Any, out: dict[tuple[str, int], list[Out]]) -> None:
        if topic == self.agent.relay:
            self._refuse(topic, record, Refused("relay-misrouted", "route"), out)
            return
        self._send_on(topic, key, record, out)
        self.tally.misrouted += 1

    def _send_on(self, topic: str, key: bytes, record: Any, out: dict[tuple[str, int], list[Out]]) -> None:
        value, headers = self.agent.wrap(topic, self.number, key, record)
        out.setdefault((self.agent.relay, partition_of(key, self.partitions)), []).append(Out(key, value, headers))

    def _refuse(self, topic: str, record: Any, refused: Refused, out: dict[tuple[str, int], list[Out]]) -> None:
        headers = [*record.headers, *_error_headers(topic, self.number, record.offset, record.timestamp, refused)]
        out.setdefault((self.agent.dead_letters, self.number), []).append(Out(record.key, record.value, headers))
        self.tally.add(self.tally.refused, (refused.code, refused.source))


def _error_headers(topic: str, partition: int, offset: int, timestamp: int, refused: Refused) -> list[tuple[str, bytes]]:
    """Say where a dead letter came from and why it is one; class and code only, for an exception's text quotes the patient."""
    fields = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "stage": refused.stage,
        "code": refused.code,
        "exception": refused.exception,
        "group": "coordination",
        "attempt": 1,
    }
    return [(f"__care.errors.{name}", str(value).encode()) for name, value in fields.items()]
