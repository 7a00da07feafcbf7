"""What is measured of the product's own worker: the care mix, restores, an idle worker.

It works on the product's own topics, so this part needs a Kafka of its own: topics are deleted between runs.
"""

from __future__ import annotations

import asyncio
import pickle
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from agents.coordination.rules.loading import RULES
from bench.events import SEED, mix, rows, said
from bench.kafka import PARTITIONS, Bench, Reader
from bench.measure import Figures, drain, percentiles
from bench.program import CARE, MADE, ROOT, EndedError, Program
from bench.state import People
from streams.kafka.admin import create_topics
from agents.loaders import load_in_memory
from streams.shard.claims import POSITION
from streams.avro.codec import read_frame, read_record
from streams.contract.effects import EffectSuppressed, GapState, NotificationIssued, NotificationWithdrawn, TaskState
from streams.contract.person_key import partition_of
from streams.base.settings import Settings
from streams.contract.topics import AUDIT, GAP, INBOUND, NOTIFICATION, RELAY, STATE, TASK, TOPICS
from streams.kafka.transactions import Out, Writer

OUTBOUND = [NOTIFICATION.name, TASK.name, GAP.name, AUDIT.name]
PUBLISHED = (NotificationIssued, NotificationWithdrawn, TaskState, GapState, EffectSuppressed)
FIVE = ("DIS-1", "NOT-2", "TCM-1", "REF-1", "GOAL-2")
"""The rules with which the mechanism is complete in kind: what the whole catalogue is measured beside."""
WHOLE, FEW = "the whole catalogue", "five rules"
CHURN_TRANSACTION = 100
IDLE_S = 20


def five_rules() -> Path:
    """Make a folder of the five rules alone."""
    folder = MADE / "five-rules"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*FIVE, "routing"):
        shutil.copy(RULES / f"{name}.yaml", folder)
    shutil.copytree(RULES / "valuesets", folder / "valuesets")
    return folder


class Spine:
    """The product on the bench's Kafka."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.folders = {WHOLE: RULES, FEW: five_rules()}
        self.rules = load_in_memory(Settings())
        self._runs = 0

    async def fresh(self, *, inputs: bool) -> None:
        """Make the product's topics anew; without *inputs* what was published stays."""
        kept = set() if inputs else {t.name for t in INBOUND if t is not RELAY}
        await self.bench.delete(lambda name: name in {t.name for t in TOPICS} - kept)
        # Twice: a broker that is busy may still show what it has just deleted, and then nothing is made in its place.
        for _ in range(2):
            await create_topics(self.bench.kafka, PARTITIONS, 1)
            await asyncio.sleep(1)

    def start(self, rules: str = WHOLE) -> Program:
        self._runs += 1
        group = f"bench-care-{int(time.time())}-{self._runs}"
        settings = {
            "KAFKA_BOOTSTRAP": self.bench.bootstrap,
            "CARERELAY_GROUP": group,
            "CARERELAY_RULES": str(self.folders[rules]),
            "CARERELAY_WEB_PORT": "0",
            "CARERELAY_RUN_DIR": str(MADE / "dirs" / group),
            "CARERELAY_LOG_FORMAT": "json",
        }
        return Program(CARE, settings, MADE / "logs" / f"{group}.log")

    # ---- the care mix

    async def publish(self, count: int) -> dict[str, Any]:
        """Publish a mix of *count* events; return what is in it, and how many effects each set of rules makes of it."""
        await self.fresh(inputs=True)
        events = mix(count, self.rules)
        await self.bench.publish(rows(events), flush_every=400)
        effects = {name: await self._effects(name) for name in self.folders}
        return {"n": count, "people": len({e.person for e in events}), "types": said(events), "effects": effects}

    async def _effects(self, name: str = WHOLE) -> int:
        """Return how many effects the same rules make in memory of what lies in the inbound topics.

        By the append times there: what is bundled or waits for the morning hangs on them.
        """
        rules = load_in_memory(Settings(rules=self.folders[name]))
        rank = {topic.name: topic.rank for topic in INBOUND}
        async with Reader(self.bench.kafka, list(rank)) as reader:
            found = [(r.timestamp, rank[r.topic], r.offset, r) async for r in reader.all()]
        found.sort(key=lambda entry: entry[:3])
        packed: dict[bytes, bytes | None] = {}
        count = 0
        for at, _, _, record in found:
            before, effects = packed.get(record.key), []
            while before is not None and (deadline := rules.deadline(before)) is not None and deadline < at:
                before, fired = rules.expire(record.key.decode(), before, deadline)
                effects += fired
            event = read_record(record.topic, record.key, record.value, record.headers, at)
            packed[record.key], made = rules.decide(event.person, before, event, at)
            count += sum(isinstance(effect, PUBLISHED) for effect in (*effects, *made))
        return count

    async def backlog(self, published: dict[str, Any], rules: str, limit_s: float) -> Figures:
        """Let one worker with *rules* work off what was published."""
        await self.fresh(inputs=False)
        expected, count = published["effects"][rules], published["n"]
        figures = await drain(self.bench, OUTBOUND, lambda: self.start(rules), enough=lambda end: end >= expected * 0.99, limit_s=limit_s)
        ids = Counter(f"{type(e).__name__}{e.id}" for e in map(read_frame, figures.pop("values")))
        return figures | {
            "n": count,
            "events_s": count / figures["span_s"],
            "cpu_us": figures["cpu_s"] / count * 1e6,
            "effects": len(ids),
            "missing": expected - len(ids),
            "twice": sum(n - 1 for n in ids.values()),
        }

    async def steady(self, rate: float, *, warm_s: float = 3, measured_s: float = 10) -> Figures:
        """Publish the mix at *rate* and time each effect from the planned publication of its cause to a reader."""
        await self.fresh(inputs=True)
        total = int(rate * (warm_s + measured_s))
        events = mix(total, self.rules)
        at = {event.id: i for i, event in enumerate(events)}
        async with Reader(self.bench.kafka, OUTBOUND) as reader:
            with self.start() as program:
                await self.until_open(program)
                cpu, began = program.cpu_s(), time.time() + 3
                file = MADE / "steady.pickle"
                file.write_bytes(pickle.dumps((self.bench.bootstrap, list(rows(events)), rate, began)))
                publisher = subprocess.Popen([sys.executable, "-m", "bench.publish", str(file)], cwd=ROOT)
                took: list[float] = []
                got = 0
                try:
                    while time.time() < began + total / rate + 3:
                        for record in await reader.some(100):
                            number = at.get(read_frame(record.value).cause)
                            if number is None:
                                continue
                            got += 1
                            if number >= rate * warm_s:
                                took.append(time.time() - began - number / rate)
                    program.check()
                finally:
                    publisher.kill()
                    publisher.wait()
                cpu = program.cpu_s() - cpu
        expected = await self._effects()
        return {"rate": rate, "sent": total, "got": got, "expected": expected, **percentiles(took), "cpu_us": cpu / total * 1e6}

    async def until_open(self, program: Program, limit_s: float = 120) -> Figures:
        """Wait until the worker says that its shards are open; return what it said of it."""
        until = time.time() + limit_s
        while time.time() < until:
            program.check()
            said = re.search(r".*shards_opened.*", program.log.read_text(errors="replace"))
            if said:
                return {name: float(value) for name, value in re.findall(r'\b(people|records|seconds)"?[=:] ?([\d.]+)', said[0])}
            await asyncio.sleep(0.05)
        raise EndedError(f"no shards after {limit_s} s, see {program.log}")

    # ---- standing still

    async def idle(self) -> Figures:
        """Return what a worker costs that has nothing to do, in per cent of a core."""
        await self.fresh(inputs=True)
        with self.start() as program:
            await self.until_open(program)
            await asyncio.sleep(5)
            cpu, began = program.cpu_s(), time.time()
            await asyncio.sleep(IDLE_S)
            return {"idle_pct": (program.cpu_s() - cpu) / (time.time() - began) * 100, "resident_mb": program.resident_mb()}

    # ---- restore

    async def fill(self, people: People) -> None:
        """Make a state topic that holds *people*, as compaction leaves it."""
        await self.fresh(inputs=True)
        await self.bench.publish(people.rows())

    async def churn(self, people: People, count: int) -> None:
        """Write *count* changed states in transactions, with positions, as a worker does while events come."""
        writer = Writer(self.bench.kafka)
        chance = random.Random(SEED)
        partitions: dict[bytes, int] = {}
        keys = people.churn(chance, count)
        positions = [Out(POSITION + topic.name.encode(), b"0 0") for topic in INBOUND]
        done = 0
        while done < count:
            places: dict[tuple[str, int], list[Out]] = {}
            for _ in range(CHURN_TRANSACTION):
                key = next(keys, None)
                if key is None:
                    break
                number = partitions.get(key)
                if number is None:
                    number = partitions[key] = partition_of(key, PARTITIONS)
                places.setdefault((STATE.name, number), []).append(Out(key, people.packed[key]))
                done += 1
            for outs in places.values():
                outs += positions[:2]
            await writer.write(places)
        await writer.stop()

    async def restore(self) -> Figures:
        """Start a worker on the state topic; return how long it took to open its shards, and what it then holds."""
        with self.start() as program:
            figures = await self.until_open(program)
            await asyncio.sleep(1)
            figures |= {"resident_mb": program.resident_mb(), "peak_mb": program.peak_mb()}
            program.end()
        return figures
