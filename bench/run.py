"""`make bench`: run all benchmarks on this machine, print the figures, and write bench/RESULTS.md.

Exits with 1 if a run failed, or if an effect was lost, published twice or unexpected.

`--quick` runs a short form, and `--only mechanics,latency,care,restore,idle` runs only some parts. If KAFKA_BOOTSTRAP is set,
the mechanics and latency parts use that Kafka. The care part deletes CareRelay's topics, so it always uses a local Kafka.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from bench import measure, report
from bench.kafka import Bench, mechanics_rows
from bench.measure_care import FEW, WHOLE, CareWorker
from bench.program import OUTPUT_DIR, OURS, RAW, STREAMS, TEXTBOOK, EndedError, build_streams
from bench.state import CHURN_EVENTS_S, People, person_year_bytes
from streams.local.jars import KAFKA_VERSION, jars_folder
from streams.local.kafka import LocalKafka
from streams.base.settings import Settings

HERE = Path(__file__).parent
PARTS = ("mechanics", "latency", "care", "restore", "idle")
TEXTBOOK_EVENTS = 20_000


class Run:
    """One run of the benchmarks, and its results so far."""

    def __init__(self, bootstrap: str, own: str, *, quick: bool, parts: set[str]) -> None:
        self.bench = Bench(bootstrap)
        self.care_worker = CareWorker(Bench(own))
        self.quick = quick
        self.parts = parts
        self.results: dict[str, Any] = {}
        self.systems = [OURS, STREAMS, RAW]
        reason = build_streams()
        if reason is not None:
            print(f"{STREAMS} is skipped: {reason}", flush=True)
            self.systems.remove(STREAMS)

    async def all(self) -> None:
        for part in PARTS:
            if part in self.parts:
                await getattr(self, part)()

    def keep(self, figures: Any, *path: str) -> None:
        """Store one run's figures under *path* in the results, and print them."""
        node = self.results
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node.setdefault(path[-1], []).append(figures)
        shown = {k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}
        print(f"{time.strftime('%H:%M:%S')} {' / '.join(path)}: {shown}", flush=True)
        (OUTPUT_DIR / "results.json").write_text(json.dumps(self.results, indent=1))

    async def attempt(self, work: Any, *path: str) -> None:
        """Store the figures that *work* returns. If the program failed or hung, report it and continue the run."""
        try:
            self.keep(await work, *path)
        except (EndedError, KafkaError, TimeoutError) as error:
            failure = f"{' / '.join(path)}: {type(error).__name__} {error}"
            print(failure, flush=True)
            self.results.setdefault("failed", []).append(failure)

    # ---- parts

    async def mechanics(self) -> None:
        plan = [(200_000, 1 if self.quick else 5, self.systems)]
        if not self.quick:
            plan.append((1_000_000, 3, [name for name in self.systems if name != RAW]))
        for count, rounds, systems in plan:
            inputs = self.bench.names(f"in-{count}")
            await self.bench.create(inputs)
            await self.bench.publish(mechanics_rows(inputs, count))
            topics = inputs.admissions, inputs.discharges
            for number in range(rounds):
                for name in systems if number % 2 == 0 else reversed(systems):
                    await self.attempt(measure.backlog(self.bench, name, topics, count, 300), "mechanics", str(count), name)
            await self.bench.delete(lambda topic, group=inputs.group: topic.startswith(group))
        inputs = self.bench.names("in-textbook")
        await self.bench.create(inputs)
        await self.bench.publish(mechanics_rows(inputs, TEXTBOOK_EVENTS))
        for _ in range(1 if self.quick else 2):
            topics = inputs.admissions, inputs.discharges
            await self.attempt(measure.backlog(self.bench, TEXTBOOK, topics, TEXTBOOK_EVENTS, 300), "mechanics", "200000", TEXTBOOK)
        await self.bench.delete(lambda topic: topic.startswith(inputs.group))

    async def latency(self) -> None:
        for rate in (500,) if self.quick else (100, 500, 2000):
            for number in range(1 if self.quick else 2):
                for name in self.systems if number % 2 == 0 else reversed(self.systems):
                    await self.attempt(measure.steady(self.bench, name, rate), "latency", str(rate), name)
            if rate <= 500 and not self.quick:
                await self.attempt(measure.steady(self.bench, TEXTBOOK, rate), "latency", str(rate), TEXTBOOK)

    async def care(self) -> None:
        count, rounds = (50_000, 1) if self.quick else (200_000, 3)
        published = await self.care_worker.publish(count)
        self.results.setdefault("care_mix", []).append(published)
        for number in range(rounds):
            for name in (FEW, WHOLE) if number % 2 == 0 else (WHOLE, FEW):
                await self.attempt(self.care_worker.backlog(published, name, 900), "care", str(count), name)
        for rate in (500,) if self.quick else (100, 500, 2000):
            await self.attempt(self.care_worker.steady(rate), "latency", str(rate), f"{OURS}, care")

    async def restore(self) -> None:
        people = People(self.care_worker.agent, 50_000 if self.quick else 1_000_000)
        found = self.results["restore"] = {
            "handoffs": people.handoffs,
            "people": len(people.packed),
            "packed_bytes": sum(map(len, people.packed.values())) / people.handoffs,
        }
        await self.care_worker.recreate_topics(inputs=True)
        empty = await self.care_worker.restore()
        await self.care_worker.fill(people)
        for _ in range(1 if self.quick else 3):
            await self.attempt(self.care_worker.restore(), "restore", "fresh")
        resident = report.median(found["fresh"], "resident_mb")
        found["resident_bytes"] = (resident - empty["resident_mb"]) * 1024 * 1024 / people.handoffs
        found["churn"] = int(CHURN_EVENTS_S * 3600 * people.handoffs / 1_000_000)
        await self.care_worker.churn(people, found["churn"])
        for _ in range(1 if self.quick else 3):
            await self.attempt(self.care_worker.restore(), "restore", "churned")
        self.results["person_year"] = person_year_bytes(self.care_worker.agent)
        await self.care_worker.recreate_topics(inputs=True)

    async def idle(self) -> None:
        for _ in range(1 if self.quick else 3):
            await self.attempt(self.care_worker.idle(), "idle")


def conditions(*, quick: bool) -> dict[str, Any]:
    """Return the date, the versions and the machine of this run."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()
    packages = ("aiokafka", "faust-streaming", "fastavro", "msgspec", "uvloop")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "quick": quick,
        "versions": {
            "Python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
            "Kafka and Kafka Streams": KAFKA_VERSION,
            "JVM": java[1].strip() if len(java) > 1 else "none",
        },
        "cores": os.cpu_count(),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--quick", action="store_true", help="run a few minutes instead of 45")
    options.add_argument("--only", default=",".join(PARTS), help="the parts to run, separated by commas")
    options.add_argument("--note", default="", help="a line for the results, for example about the conditions of this run")
    given = options.parse_args()
    OUTPUT_DIR.mkdir(parents=True, exist_ok=True)
    about = conditions(quick=given.quick)
    kafka = LocalKafka(OUTPUT_DIR / "kafka", jars=jars_folder(Settings().run_dir, None), heap_mb=768, lasting=True)
    kafka.erase()
    with kafka:
        run = Run(
            os.environ.get("KAFKA_BOOTSTRAP") or kafka.bootstrap, kafka.bootstrap, quick=given.quick, parts=set(given.only.split(","))
        )
        try:
            asyncio.run(run.all())
        except KeyboardInterrupt:
            print("Interrupted. The figures so far are written.", file=sys.stderr)
    kafka.erase()
    text = report.write({**run.results, "about": {**about, "load_after": f"{os.getloadavg()[0]:.2f}", "note": given.note}})
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)
    wrong = report.wrong(run.results)
    if wrong:
        print("\n".join(["These runs failed or differ from the expected effects:", *wrong]), file=sys.stderr)
        sys.exit(1)
