"""Answers to decisions: deliveries, acknowledgements, claims, attempts to reach a person.

Owns the loop that decides a synthetic person's events and adds the answers. An answer names a task by its id, and the id
results from a decision, so the events must be decided first. Knows no rule: the agent is an argument, and decides in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from streams.contract.address import Address
from streams.contract.effects import Effect, NotificationIssued, TaskState
from streams.contract.events import (
    Event,
    Millis,
    NotificationDelivered,
    NotificationFailed,
    OutreachAttempted,
    Party,
    Practitioner,
    TaskAcknowledged,
    TaskClaimed,
    TaskCompleted,
    TaskDeclined,
    TaskEscalated,
    TaskReassigned,
    TaskSnoozed,
)
from streams.contract.topics import TOPIC_OF
from streams.shard.agent import Agent
from streams.shard.memory import Memory, Published
from streams.simulate.chance import DAY_MS, Chance
from streams.simulate.model import Model

DELIVERY_SOURCE = "urn:carerelay:delivery"
WORKLIST_SOURCE = "urn:carerelay:worklist"


class Answer(NamedTuple):
    """One answer to an effect."""

    after_ms: int
    """Time since the effect."""
    source: str
    fact: msgspec.Struct


def answers_to(effect: Effect, model: Model, seed: object) -> Iterator[Answer]:
    """Draw the answers to *effect*, a notification or a new task. The draw depends only on the seed and the effect's id."""
    if isinstance(effect, NotificationIssued):
        chance = Chance(model, seed, "told", effect.id)
        after = chance.milliseconds("delivery_seconds")
        if chance.happens("delivered"):
            yield Answer(after, DELIVERY_SOURCE, NotificationDelivered(effect.id, effect.recipient, effect.channel))
        else:
            yield Answer(after, DELIVERY_SOURCE, NotificationFailed(effect.id, effect.recipient, effect.channel, "receiver-unavailable"))
        if effect.asks_acknowledgement and chance.happens("acknowledged"):
            by = _party(effect.recipient, chance)
            yield Answer(after + chance.milliseconds("reaction_hours"), WORKLIST_SOURCE, TaskAcknowledged(effect.id, by))
    elif isinstance(effect, TaskState) and effect.state == "requested":
        yield from _on_task(effect, model, Chance(model, seed, "task", effect.handoff))


def _on_task(task: TaskState, model: Model, chance: Chance) -> Iterator[Answer]:
    by = _party(task.owner, chance)
    after = chance.milliseconds("reaction_hours")

    def answer(fact: msgspec.Struct, later_ms: int = 0) -> Answer:
        return Answer(after + later_ms, WORKLIST_SOURCE, fact)

    draw = chance.draw()
    for name, share in (
        (n, model.rate(n)) for n in ("claimed", "reached_out", "completed", "declined", "reassigned", "snoozed", "escalated")
    ):
        draw -= share
        if draw >= 0:
            continue
        match name:
            case "claimed":
                yield answer(TaskClaimed(task.handoff, by))
                if chance.happens("reached_out"):
                    yield answer(OutreachAttempted(task.handoff, by, _outcome(chance)), chance.milliseconds("reaction_hours"))
            case "reached_out":
                yield answer(OutreachAttempted(task.handoff, by, _outcome(chance)))
            case "completed":
                yield answer(TaskCompleted(task.handoff, by, "done"))
            case "declined":
                yield answer(TaskDeclined(task.handoff, by, "not ours"))
            case "reassigned":
                yield answer(TaskReassigned(task.handoff, by, Party("care-coordinator", Practitioner("coordinator-2"))))
            case "snoozed":
                until = Millis((task.at + after) // 1000 * 1000 + DAY_MS)
                yield answer(TaskSnoozed(task.handoff, by, until, "person is away until tomorrow"))
            case _:
                yield answer(TaskEscalated(task.handoff, by, "needs a decision"))
        return


def _outcome(chance: Chance) -> str:
    return "reached" if chance.happens("reached") else chance.one_of(("no-answer", "voicemail", "refused"), (6, 3, 1))


def _party(address: str, chance: Chance) -> Party:
    """Return who answers for *address* (role/kind:id). For a pool, that is one of its members."""
    role, kind, name = Address.parse(address)
    if kind == "practitioner":
        return Party(role, Practitioner(name))
    if kind == "organization":
        return Party(role, organization=name)
    if kind == "caregiver":
        return Party(role, caregiver=name)
    return Party(role, Practitioner(f"{name or 'staff'}-{1 + int(chance.draw() * 3)}"))


class Answering:
    """Decides one person's events, and adds the answers. A merged person has events under two keys."""

    def __init__(self, agent: Agent, model: Model, seed: object, end: Millis) -> None:
        self._agent = agent
        self._model = model
        self._seed = seed
        self._end = end

    def answered(self, events: Sequence[Event]) -> list[Event]:
        """Return *events* (in the order of arrival) with the answers that arrive before the end, merged in that order."""
        memory = Memory([self._agent])
        self._tasks: set[str] = set()
        self._waiting = [(e.arrival, TOPIC_OF[e.type].rank, n, e) for n, e in enumerate(events)]
        heapq.heapify(self._waiting)
        self._count = len(events)
        done: list[Event] = []
        while self._waiting:
            self._fire(memory, before=self._waiting[0][0])
            # A deadline may cause an answer that arrives before the next event, so only now take the first one.
            _, _, _, event = heapq.heappop(self._waiting)
            done.append(event)
            self._react(memory.apply(event, event.arrival))
            if not self._waiting:
                self._fire(memory, before=self._end)
        return done

    def _fire(self, memory: Memory, before: Millis) -> None:
        while (published := memory.fire_next(before)) is not None:
            self._react(published)
            if self._waiting:
                before = min(before, self._waiting[0][0])

    def _react(self, published: Iterable[Published]) -> None:
        for one in published:
            effect = one.value
            if isinstance(effect, TaskState):
                if effect.handoff in self._tasks:
                    continue
                self._tasks.add(effect.handoff)
            elif not isinstance(effect, NotificationIssued):
                continue
            for number, answer in enumerate(answers_to(effect, self._model, self._seed)):
                self._plan(effect, number, answer)

    def _plan(self, effect: NotificationIssued | TaskState, number: int, answer: Answer) -> None:
        at = Millis((effect.at + answer.after_ms) // 1000 * 1000)
        if at >= self._end:
            return
        event = Event(f"{effect.id}-{number}", answer.source, at, Millis(at + 1000), effect.person, answer.fact)
        heapq.heappush(self._waiting, (event.arrival, TOPIC_OF[event.type].rank, self._count, event))
        self._count += 1
