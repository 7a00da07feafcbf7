"""Drives the product step by step in memory, and checks after each step every guarantee that needs no model.

Owns the log of deliveries and results, and the checks of a single step: ids, owners, gaps, instants, the packed form. Must
not know the form of a story (`test_proof.py`) or what must be open (`proof_model.py`).
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import msgspec

from agents.coordination.agent import CoordinationAgent, moved_event
from agents.coordination.decide import decide_packed, expire_packed, packed_deadline
from agents.coordination.person.state import Handoff, Person, pack, unpack
from agents.coordination.rules.loading import load_world
from agents.coordination.rules.world import World
from streams.contract import effects as out
from streams.contract.events import Event, Millis, PersonKey
from streams.intake.reading import Arrived
from streams.output.lines import line_of_effect, write_line
from streams.replay.replay import replay
from streams.shard.memory import MemoryForm

OPEN = 2
"""`Handoff.gap` of a gap that is shown as open."""


@cache
def world() -> World:
    return load_world()


class Run:
    """Persons' packed states, the clock, and everything that was published."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.packed: dict[PersonKey, bytes] = {}
        self.log: list[Event] = []
        self.effects: list[Any] = []
        self.ids: set[str] = set()
        self.issued: dict[str, out.NotificationIssued] = {}
        self.withdrawn: set[str] = set()
        self.task: dict[str, out.TaskState] = {}
        self.gap: dict[str, out.GapState] = {}
        self.owner: dict[str, str] = {}

    # ---- steps

    def deliver(self, event: Event) -> list[Any]:
        """Deliver *event*, which arrives now. Deadlines before now fire first."""
        assert event.arrival >= self.now
        self.wait(event.arrival - 1)
        self.now = event.arrival
        self.log.append(event)
        return self._apply(event)

    def wait(self, until: int) -> None:
        """Fire every deadline up to and including *until*, each at its own instant."""
        while self.packed:
            at, key = min((packed_deadline(packed) or 1 << 62, key) for key, packed in self.packed.items())
            if at > until:
                break
            kept, effects = expire_packed(self.packed[key], Millis(at), world())
            self._keep(key, kept, expire_packed(self.packed[key], Millis(at), world()), (kept, effects))
            for effect in effects:
                assert effect.at == at, f"fired at another instant than its own: {effect}"
            self._publish(effects, None)
            self.check(key, at)
        self.now = max(self.now, until)

    def _apply(self, event: Event) -> list[Any]:
        key, packed = event.person, self.packed.get(event.person)
        decided = decide_packed(packed, event, Millis(self.now), world())
        self._keep(key, decided[0], decide_packed(packed, event, Millis(self.now), world()), decided)
        self._publish(decided[1], event)
        effects = list(decided[1])
        for effect in decided[1]:
            if isinstance(effect, out.StateMoved):
                effects += self._apply(moved_event(effect))
            elif isinstance(effect, out.EventForwarded):
                effects += self._apply(msgspec.structs.replace(event, person=effect.into.key))
        if key in self.packed:
            self.check(key, self.now)
        return effects

    def _keep(self, key: PersonKey, kept: bytes | None, again: Any, decided: Any) -> None:
        assert again == decided, "the same state and event gave another decision"
        if kept is None:
            self.packed.pop(key, None)
            return
        assert pack(unpack(kept)) == kept, "a state changes when it is packed and unpacked"
        self.packed[key] = kept

    # ---- what must hold after each step

    def _publish(self, effects: Any, cause: Event | None) -> None:
        for effect in effects:
            if isinstance(effect, out.EventForwarded):
                continue  # Nothing is published, because the record itself is forwarded.
            assert effect.id not in self.ids, f"published twice: {effect}"
            self.ids.add(effect.id)
            self.effects.append(effect)
            if isinstance(effect, out.NotificationIssued):
                self.issued[effect.id] = effect
            elif isinstance(effect, out.NotificationWithdrawn):
                notice = self.issued.get(effect.notification)
                assert notice is not None, f"withdrawn, but never issued: {effect}"
                assert notice.recipient == effect.recipient, f"withdrawn from somebody who was not notified: {effect}"
                assert effect.notification not in self.withdrawn, f"withdrawn twice: {effect}"
                self.withdrawn.add(effect.notification)
            elif isinstance(effect, out.TaskState):
                self._owned(effect, cause, self.task.get(effect.handoff))
                self.task[effect.handoff] = effect
            elif isinstance(effect, out.GapState):
                self._shown(effect)
                self._owned(effect, cause, self.gap.get(effect.handoff))
                self.gap[effect.handoff] = effect

    def _owned(self, effect: Any, cause: Event | None, before: Any) -> None:
        known = self.owner.setdefault(effect.handoff, effect.owner)
        assert effect.owner.count("/") == 1, f"no owner: {effect}"
        if effect.owner != known:
            assert cause is not None or before is None or effect.step > before.step, f"another owner, but nobody did anything: {effect}"
            self.owner[effect.handoff] = effect.owner

    def _shown(self, effect: out.GapState) -> None:
        before = self.gap.get(effect.handoff)
        assert (effect.closure is None) == (effect.state != "closed"), f"closure and state disagree: {effect}"
        if effect.state == "open":
            assert effect.at >= effect.due, f"open before it is due: {effect}"
        if effect.state == "due-soon":
            assert effect.at < effect.due, f"due soon, but it is due: {effect}"
        if effect.state == "closed":
            assert before is not None, f"a gap is closed that was never shown: {effect}"
            assert before.state != "closed", f"a gap closes twice: {effect}" if before.closure == effect.closure else ""

    def check(self, key: PersonKey, at: int) -> None:
        """Check that the state and the published lines agree, and that nothing is later than its bound."""
        person = self.person(key)
        subjects: Counter[Any] = Counter()
        for h in person.handoffs:
            name = _name(h)
            task, gap = self.task.get(name), self.gap.get(name)
            if h.closed_at:
                assert h.closure, f"closed without a closure: {h}"
                assert task is None or (task.closure and h.closure in {task.closure, "cancelled"}), (
                    f"closed, but its task does not say so: {h} {task}"
                )
                assert gap is None or (gap.state == "closed" and h.closure in {gap.closure, "cancelled"}), (
                    f"closed, but its gap is shown: {h} {gap}"
                )
                continue
            subjects[h.rule, h.focus or h.notification or h.encounter] += 1
            assert not h.closure, f"open with a closure: {h}"
            assert task is None or task.closure is None, f"open, but its task is closed: {h} {task}"
            assert h.owner, f"nobody is accountable: {h}"
            assert self.owner.get(name, h.owner) == h.owner, f"another owner than was published: {h}"
            assert task is None or (task.owner == h.owner and task.due == h.due), f"the task differs from the handoff: {h} {task}"
            assert not h.next_at or h.next_at > at or h.next_at == packed_deadline(self.packed[key]), f"a step was missed: {h}"
            assert (h.gap == OPEN) <= (h.due <= at), f"open before it is due: {h}"
            assert h.due >= at or h.gap == OPEN or h.next_at == at, f"past due and not open at {at}: {h}"
            shown = "" if gap is None or gap.state == "closed" else gap.state
            assert shown == ("", "due-soon", "open")[h.gap], f"the gap differs from the handoff: {h} {gap}"
        twice = [subject for subject, count in subjects.items() if count > 1]
        assert not twice, f"two open handoffs for one subject: {twice}"

    def person(self, key: PersonKey) -> Person:
        packed = self.packed.get(key)
        return Person(key) if packed is None else unpack(packed)

    def open_handoffs(self, key: PersonKey) -> list[tuple[str, Handoff]]:
        return [(_name(h), h) for h in self.person(key).handoffs if not h.closed_at]

    # ---- everything once more, by the replay

    def lines(self) -> bytes:
        """All effects, as the replay writes them."""
        return b"\n".join(write_line(line) for line in map(line_of_effect, self.effects) if line is not None)

    def replayed(self, times: int = 1) -> bytes:
        """Give the same deliveries to `streams.replay.replay`, each *times* times."""
        arrivals = [Arrived(event, event.arrival, "") for event in self.log for _ in range(times)]
        return b"\n".join(write_line(line) for line in replay(arrivals, [CoordinationAgent(world(), MemoryForm())], Millis(self.now)))


def _name(h: Handoff) -> str:
    text = h.id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
