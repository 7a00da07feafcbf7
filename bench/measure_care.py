"""Measure the CareRelay worker with its rules: the care mix, restores, and an idle worker.

It uses CareRelay's topics and deletes them between runs, so it needs its own Kafka cluster.
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
from pathlib import Path
from typing import Any

from agents.coordination.rules.loading import RULES
from bench.events import SEED, mix, rows, type_counts
from bench.expectation import Expectation, difference, identity
from bench.kafka import PARTITIONS, Bench, Reader
from bench.measure import Figures, drain, percentiles
from bench.program import CARE, OUTPUT_DIR, ROOT, EndedError, Program
from bench.state import People
from streams.kafka.admin import create_topics
from agents.loaders import load_in_memory
from streams.shard.claims import POSITION
from streams.avro.codec import read_frame
from streams.contract.person_key import partition_of
from streams.contract.record import Out
from streams.base.settings import Settings
from streams.contract.topics import AUDIT, GAP, INBOUND, NOTIFICATION, RELAY, STATE, TASK, TOPICS
from streams.kafka.transactions import Writer

OUTBOUND = [NOTIFICATION.name, TASK.name, GAP.name, AUDIT.name]
FIVE = ("DIS-1", "NOT-2", "TCM-1", "REF-1", "GOAL-2")
"""Five rules that together use every kind of mechanism. The whole catalogue is compared with them."""
WHOLE, FEW = "the whole catalogue", "five rules"
CHURN_TRANSACTION = 100
IDLE_S = 20
SURE_S = 2.0
"""Effects of the last seconds of a run are not compared, because they may or may not have been published."""
LATE_S = 20.0
"""In the measurement at a steady rate, a missing effect counts as lost after this time."""


def five_rules() -> Path:
    """Create a rules folder that contains only the five rules; return its path."""
    folder = OUTPUT_DIR / "five-rules"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*FIVE, "routing"):
        shutil.copy(RULES / f"{name}.yaml", folder)
    shutil.copytree(RULES / "valuesets", folder / "valuesets")
    return folder


class CareWorker:
    """The CareRelay worker on the benchmark's Kafka."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.folders = {WHOLE: RULES, FEW: five_rules()}
        self.agent = load_in_memory(Settings())
        self._expected: dict[str, Expectation] = {}
        self._runs = 0

    async def recreate_topics(self, *, inputs: bool) -> None:
        """Delete and create CareRelay's topics. Without *inputs*, keep the inbound topics and their records."""
        kept = set() if inputs else {t.name for t in INBOUND if t is not RELAY}
        await self.bench.delete(lambda name: name in {t.name for t in TOPICS} - kept)
        # Create twice: a busy broker may still list a topic that it has just deleted, and then the topic is not created.
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
            "CARERELAY_RUN_DIR": str(OUTPUT_DIR / "dirs" / group),
            "CARERELAY_LOG_FORMAT": "json",
        }
        return Program(CARE, settings, OUTPUT_DIR / "logs" / f"{group}.log")

    # ---- the care mix

    async def publish(self, count: int) -> dict[str, Any]:
        """Publish a mix of *count* events and compute the expected effects for each set of rules; return a summary of the mix."""
        await self.recreate_topics(inputs=True)
        events = mix(count, self.agent)
        await self.bench.publish(rows(events), flush_every=400)
        for name, folder in self.folders.items():
            self._expected[name] = await Expectation.of_topics(self.bench.kafka, load_in_memory(Settings(rules=folder)))
        return {"n": count, "people": len({e.person for e in events}), "types": type_counts(events)}

    async def backlog(self, published: dict[str, Any], rules: str, limit_s: float) -> Figures:
        """Measure how one worker with *rules* processes the *published* mix."""
        await self.recreate_topics(inputs=False)
        expectation = self._expected[rules]
        least = len(expectation.by_records) * 0.99
        drained = await drain(self.bench, OUTBOUND, lambda: self.start(rules), enough=lambda end: end >= least, limit_s=limit_s)
        effects = [(record, read_frame(record.value)) for record in drained.records]
        names = {id(record): identity(effect) for record, effect in effects}
        figures = drained.figures(published["n"], lambda record: names[id(record)] in expectation.by_records)
        until = int((drained.stopped - SURE_S) * 1000)
        differing = difference(expectation.until(until), ((identity(effect), effect.at) for _, effect in effects), until)
        return figures | {"effects": len(expectation.by_records), **differing._asdict()}

    async def steady(self, rate: float, *, warm_s: float = 3, measured_s: float = 10) -> Figures:
        """Publish the mix at *rate* events per second; measure the time of each effect.

        The time is from the planned publication of the event that caused the effect until a reader receives the effect.
        """
        await self.recreate_topics(inputs=True)
        total = int(rate * (warm_s + measured_s))
        events = mix(total, self.agent)
        at = {event.id: i for i, event in enumerate(events)}
        async with Reader(self.bench.kafka, OUTBOUND) as reader:
            with self.start() as program:
                await self.until_open(program)
                cpu, began = program.cpu_s(), time.time() + 3
                file = OUTPUT_DIR / "steady.pickle"
                file.write_bytes(pickle.dumps((self.bench.bootstrap, list(rows(events)), rate, began)))
                publisher = subprocess.Popen([sys.executable, "-m", "bench.publish", str(file)], cwd=ROOT)
                took: list[float] = []
                seen: list[tuple[str, int]] = []

                async def read(until: float) -> None:
                    while time.time() < until:
                        for record in await reader.some(100):
                            effect = read_frame(record.value)
                            seen.append((identity(effect), effect.at))
                            number = at.get(effect.cause)
                            if number is not None and number >= rate * warm_s:
                                took.append(time.time() - began - number / rate)

                try:
                    await read(began + total / rate + 3)
                    program.check()
                    cpu = program.cpu_s() - cpu
                    expectation = await Expectation.of_topics(self.bench.kafka, self.agent)
                    # Wait for late effects, so that they do not count as lost.
                    late = time.time() + LATE_S
                    while time.time() < late and not expectation.by_records <= {name for name, _ in seen}:
                        await read(time.time() + 1)
                    until = int((time.time() - SURE_S) * 1000)
                    await read(time.time() + 0.2)
                finally:
                    publisher.kill()
                    publisher.wait()
        differing = difference(expectation.until(until), seen, until)
        return {"rate": rate, "sent": total, **differing._asdict(), **percentiles(took), "cpu_us": cpu / total * 1e6}

    async def until_open(self, program: Program, limit_s: float = 120) -> Figures:
        """Wait until the worker logs that its shards are open; return the figures in that log line."""
        until = time.time() + limit_s
        while time.time() < until:
            program.check()
            line = re.search(r".*shards_opened.*", program.log.read_text(errors="replace"))
            if line:
                return {name: float(value) for name, value in re.findall(r'\b(people|records|seconds)"?[=:] ?([\d.]+)', line[0])}
            await asyncio.sleep(0.05)
        raise EndedError(f"no open shards after {limit_s} s, see {program.log}")

    # ---- idle

    async def idle(self) -> Figures:
        """Return the CPU usage (per cent of a core) and the resident memory (MB) of an idle worker."""
        await self.recreate_topics(inputs=True)
        with self.start() as program:
            await self.until_open(program)
            await asyncio.sleep(5)
            cpu, began = program.cpu_s(), time.time()
            await asyncio.sleep(IDLE_S)
            return {"idle_pct": (program.cpu_s() - cpu) / (time.time() - began) * 100, "resident_mb": program.resident_mb()}

    # ---- restore

    async def fill(self, people: People) -> None:
        """Fill the state topic with the states of *people*, one record per person, as after compaction."""
        await self.recreate_topics(inputs=True)
        await self.bench.publish(people.rows())

    async def churn(self, people: People, count: int) -> None:
        """Write *count* changed states with positions, in transactions, as a worker does while it applies events."""
        writer = Writer(self.bench.kafka)
        chance = random.Random(SEED)
        partitions: dict[bytes, int] = {}
        keys = people.churn(chance, count)
        positions = [Out(POSITION + topic.name.encode(), b"0 0") for topic in INBOUND]
        done = 0
        while done < count:
            records: dict[tuple[str, int], list[Out]] = {}
            for _ in range(CHURN_TRANSACTION):
                key = next(keys, None)
                if key is None:
                    break
                number = partitions.get(key)
                if number is None:
                    number = partitions[key] = partition_of(key, PARTITIONS)
                records.setdefault((STATE.name, number), []).append(Out(key, people.packed[key]))
                done += 1
            for outs in records.values():
                outs += positions[:2]
            await writer.write(records)
        await writer.stop()

    async def restore(self) -> Figures:
        """Start a worker on the state topic; return the time until its shards are open (s), and its memory (MB)."""
        with self.start() as program:
            figures = await self.until_open(program)
            await asyncio.sleep(1)
            figures |= {"resident_mb": program.resident_mb(), "peak_mb": program.peak_mb()}
            program.end()
        return figures
