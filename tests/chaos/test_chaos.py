"""Workers and broker are killed, paused and started under load. Afterwards every effect is counted.

Seeded: the same seed gives the same actions at the same times (which state they hit depends on the machine). Short by default;
`make chaos SECONDS=600 SEED=7` runs for ten minutes.
"""

# ruff: noqa: T201 -- the seed and the actions are printed, so that a failed run can be repeated

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from counting import PARTITIONS, chained, lines_of
from expected import Expected, expect
from stage import Stage, WorkerProcess, event, person_of

from streams.local import LocalKafka

SECONDS = float(os.environ.get("CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time_ns() % 1_000_000)
EVENTS_PER_S = 150
WORKERS_MAX = 4
SETTLE_S = 150.0

# These persons' records are always in the right partition, so the log fixes their whole order. The others' may be misrouted.
STEADY = [person_of(n % PARTITIONS, n // PARTITIONS) for n in range(40)]
STRAYING = [person_of(n % PARTITIONS, 50 + n // PARTITIONS) for n in range(12)]


class Chaos:
    """What happens to the workers and the broker, and when."""

    def __init__(self, stage: Stage, broker: LocalKafka, seed: int) -> None:
        self.stage = stage
        self.broker = broker
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.paused: dict[WorkerProcess, float] = {}
        self.began = time.monotonic()
        self.broker_next = 12.0

    @property
    def alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.stage.workers if worker.alive]

    @property
    def busy(self) -> list[WorkerProcess]:
        return [worker for worker in self.alive if worker not in self.paused]

    def note(self, action: str, whom: str = "") -> None:
        self.done[action] += 1
        print(f"{time.monotonic() - self.began:7.1f} {action} {whom}", flush=True)

    def start(self) -> None:
        # Sometimes in a group of its own. Then two workers believe that they own a shard.
        if self.random.random() < 0.35:
            self.note("start a rival", self.stage.successor().name[-3:])
        else:
            self.note("start", self.stage.worker().name[-3:])

    async def rage(self, seconds: float) -> None:
        """Take random actions for the given time."""
        hitting: asyncio.Task[None] | None = None
        while time.monotonic() - self.began < seconds:
            await asyncio.sleep(self.random.uniform(0.5, 2.5))
            self._wake(only_due=True)
            if time.monotonic() - self.began > self.broker_next and hitting is None:
                hitting = asyncio.create_task(self._hit_broker())
            if hitting is not None and hitting.done():
                await hitting
                hitting = None
                self.broker_next = time.monotonic() - self.began + self.random.uniform(8, 30)
            self._hit_worker()
            if not self.busy:
                self.start()
        if hitting is not None:
            await hitting

    def _hit_worker(self) -> None:
        action = self.random.choice(["kill", "stop", "stop", "term", "start", "start", "nothing"])
        # Prefer a worker with open shards, because the others have nothing to lose yet.
        owners = [worker for worker in self.busy if worker.shards]
        whom = self.random.choice(owners or self.busy) if self.busy else None
        if action == "start":
            if len(self.alive) < WORKERS_MAX:
                self.start()
        elif whom is None or action == "nothing":
            return
        elif action == "kill":
            whom.kill()
            self.note("kill", whom.name[-3:])
        elif action == "term":
            whom.terminate()
            self.note("term", whom.name[-3:])
        else:
            whom.signal(signal.SIGSTOP)
            # Longer than the limits of the session and the transaction, so that it wakes up as a zombie.
            self.paused[whom] = time.monotonic() + self.random.choice([0.5, 2, 5, 9, 14])
            self.note("stop", whom.name[-3:])

    def _wake(self, *, only_due: bool) -> None:
        for worker, until in list(self.paused.items()):
            if not only_due or time.monotonic() > until:
                worker.signal(signal.SIGCONT)
                del self.paused[worker]
                self.note("continue", worker.name[-3:])

    async def _hit_broker(self) -> None:
        if self.random.random() < 0.6:
            self.note("kill the broker")
            await asyncio.to_thread(self.broker.kill)
            await asyncio.sleep(self.random.uniform(0, 2))
            await asyncio.to_thread(self.broker.start)
            self.note("broker is back")
        else:
            self.note("pause the broker")
            self.broker.pause()
            await asyncio.sleep(self.random.uniform(0.5, 4))
            self.broker.resume()

    def calm(self) -> None:
        """Resume everything, and make sure that a worker runs."""
        self._wake(only_due=False)
        while len(self.alive) < 2:
            self.start()


async def load(stage: Stage, seed: int, until: float) -> int:
    """Publish events of all kinds until *until*; return their number."""
    chance = random.Random(seed)
    number = 0
    sent: list[asyncio.Task[Any]] = []
    while time.monotonic() < until:
        for _ in range(EVENTS_PER_S // 25):
            number += 1
            topic = chance.choice([stage.topics.first, stage.topics.second])
            more: dict[str, Any] = {}
            if chance.random() < 0.2:
                more["wait"] = chance.choice([0, 1, 50, 300, 2000, 5000])
            if chance.random() < 0.01:
                more["do"] = "raise"
            value = event(f"e{number}", **more) if chance.random() > 0.01 else f"no json {number}".encode()
            stray = chance.random() < 0.1
            key = chance.choice(STRAYING if stray else STEADY)
            partition = chance.randrange(PARTITIONS) if stray else None
            sent.append(asyncio.create_task(stage.publish(topic, key, value, partition=partition)))
        await asyncio.sleep(0.04)
        sent = [task for task in sent if not task.done() or task.exception()]
    await asyncio.gather(*sent)
    return number


async def settled(stage: Stage) -> Expected:
    """Wait until everything expected is there; return the expected result."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        records = {topic: await stage.read(topic) for topic in stage.topics.inbound}
        expected = expect(records, stage.topics.inbound, stage.topics.relay, PARTITIONS)
        relayed = Counter(record.value for record in records[stage.topics.relay])
        if (
            relayed.total() >= expected.strayed.total()
            and expected.last_due < time.time() * 1000
            and len(await stage.lines()) >= expected.lines
        ):
            return expected
        assert time.monotonic() < deadline, f"{len(await stage.lines())} lines of {expected.lines}\n{stage.logs}"
        await asyncio.sleep(1)


@pytest.mark.chaos
async def test_every_effect_is_there_exactly_once_whatever_happened(own_kafka: LocalKafka, tmp_path: Path):
    print(f"\nchaos: CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:.0f}", flush=True)
    # Clients log each failed attempt to reach the broker, which is intended here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with Stage(own_kafka.bootstrap, tmp_path) as stage:
        chaos = Chaos(stage, own_kafka, SEED)
        first = stage.worker()
        await stage.until(lambda: first.shards, "the first worker")
        chaos.began = time.monotonic()
        chaos.start()
        publishing = asyncio.create_task(load(stage, SEED, time.monotonic() + SECONDS))
        await chaos.rage(SECONDS)
        chaos.calm()
        published = await publishing
        expected = await settled(stage)
        await asyncio.sleep(2)

        lines = lines_of(await stage.read(stage.topics.lines))
        letters = await stage.read(stage.topics.dead)
        persons, positions, _ = await stage.state()
        inbound = {topic: await stage.read(topic) for topic in stage.topics.inbound}

    print(f"chaos: {published} events, {len(lines)} lines, {len(letters)} dead letters, {dict(chaos.done)}", flush=True)

    # Each effect exists once, and no unexpected effect exists.
    twice = {identity: count for identity, count in Counter(line.id for line in lines).items() if count > 1}
    assert not twice
    wanted = {identity for person in expected.persons.values() for identity, _, _ in person.lines}
    got = {line.id for line in lines}
    assert (wanted - got, got - wanted) == (set(), set())
    # In the order of each person, and decided at the same instants.
    by_person: dict[bytes, list[Any]] = defaultdict(list)
    for line in lines:
        by_person[line.person].append(line)
    for key in STEADY:
        if key in expected.persons:
            assert [(line.id, line.nth, line.at) for line in by_person[key]] == expected.persons[key].lines
    for key in STRAYING:
        events = [line for line in by_person[key] if line.id.startswith("n:")]
        assert [line.nth for line in events] == list(range(1, len(events) + 1))
    # No deadline fired before its time.
    assert all(line.appended >= line.at for line in lines)
    # Each record that could not be read or decided is in the dead letters once, with its origin.
    assert Counter(_where(letter) for letter in letters) == expected.refused
    # Each misrouted record was relayed once.
    assert Counter(record.value for record in inbound[stage.topics.relay]) == expected.strayed
    # The state is the result of the events.
    assert set(persons) == set(expected.persons)
    for key, person in expected.persons.items():
        state = persons[key]
        assert (state.count, state.due, state.rule_failed) == (person.count, [], person.rule_failed)
        chain = 0
        for line in by_person[key]:
            if line.id.startswith("n:"):
                chain = chained(chain, line.id[2:])
        assert state.chain == chain
        if key in STEADY:
            assert state.chain == person.chain
    for (topic, shard), position in positions.items():
        assert position > max((record.offset for record in inbound[topic] if record.partition == shard), default=-1)


def _where(letter: Any) -> tuple[str, int, int]:
    headers = dict(letter.headers)
    return tuple(kind(headers[f"__care.errors.{name}"].decode()) for kind, name in ((str, "topic"), (int, "partition"), (int, "offset")))
