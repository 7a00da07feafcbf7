"""The story of one person with the built-in catalogue: events in local time, deadlines between them, and the effects.

States are packed and unpacked between events, as in the worker.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from agents.coordination.decide import decide, expire
from agents.coordination.person.state import pack, packed_deadline, unpack
from agents.coordination.rules.loading import load_world
from agents.coordination.rules.world import World
from streams.contract import effects as out
from streams.contract.events import Event, Millis, PersonKey
from streams.contract.json_form import fact_from_json

PERSON = PersonKey("p1.person-of-the-test")


@cache
def world() -> World:
    return load_world()


def millis(local: str | datetime, zone: str) -> Millis:
    """A local time in milliseconds. *local* may leave out the seconds and the zone."""
    when = datetime.fromisoformat(local) if isinstance(local, str) else local
    return Millis(int(when.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp() * 1000))


class Timeline:
    """The effects of a story so far, in order."""

    def __init__(self, zone: str = "America/New_York", asked: World | None = None) -> None:
        self.zone = zone
        self.world = asked or world()
        self.effects: list[Any] = []
        self._packed: bytes | None = None
        self._count = 0
        self.now = Millis(0)

    def at(
        self, when: str | datetime | int, kind: str, *, arrival: str | datetime | int | None = None, id_: str | None = None, **data: Any
    ) -> list[Any]:
        """Let *kind* happen at *when* (local time or milliseconds) and arrive then, or at *arrival*. Return its effects."""
        time = self._millis(when)
        arrived = time if arrival is None else self._millis(arrival)
        self.now = Millis(max(self.now, arrived))
        self.until(self.now - 1)
        self._count += 1
        event = Event(
            id_ or f"E{self._count:03}",
            "urn:test",
            time,
            arrived,
            PERSON,
            fact_from_json(kind, data, lambda authority, identifier: PersonKey(f"p1.{authority}-{identifier}")),
        )
        decision = decide(None if self._packed is None else unpack(self._packed), event, self.now, self.world)
        self._packed = None if decision.person is None else pack(decision.person)
        self.effects += decision.effects
        return list(decision.effects)

    def until(self, when: str | datetime | int) -> list[Any]:
        """Fire every deadline up to and including *when*. Return the effects."""
        limit, fired = self._millis(when), []
        while self._packed is not None and (deadline := packed_deadline(self._packed)) is not None and deadline <= limit:
            decision = expire(unpack(self._packed), deadline, self.world)
            self._packed = None if decision.person is None else pack(decision.person)
            fired += decision.effects
        self.effects += fired
        return fired

    def of(self, rule: str, kind: type[msgspec.Struct] | None = None) -> list[Any]:
        """The effects of *rule*, only those of *kind* if it is given."""
        return [e for e in self.effects if getattr(e, "rule", "") == rule and (kind is None or isinstance(e, kind))]

    def tasks(self, rule: str) -> list[out.TaskState]:
        return self.of(rule, out.TaskState)

    def gaps(self, rule: str) -> list[out.GapState]:
        return self.of(rule, out.GapState)

    def notifications(self, rule: str) -> list[out.NotificationIssued]:
        return self.of(rule, out.NotificationIssued)

    def handoffs(self, rule: str) -> dict[str, dict[str, Any]]:
        """The handoffs of *rule* in the state, by id: due, opened, closure."""
        person = None if self._packed is None else unpack(self._packed)
        return {
            h.id.hex(): {"due": h.due, "opened": h.opened_at, "closure": h.closure, "owner": h.owner, "gap": h.gap}
            for h in (person.handoffs if person else [])
            if h.rule == rule
        }

    def only(self, rule: str) -> dict[str, Any]:
        """The only handoff of *rule*."""
        found = list(self.handoffs(rule).values())
        assert len(found) == 1, f"{len(found)} handoffs of {rule}: {found}"
        return found[0]

    def _millis(self, when: str | datetime | int) -> Millis:
        return Millis(when) if isinstance(when, int) else millis(when, self.zone)
