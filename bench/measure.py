"""Measure one program of the mechanics: how it processes a backlog, and its latency at a steady rate. Checks every output."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from bench.expectation import difference
from bench.kafka import PEOPLE, Bench, Reader, mechanics_rows
from bench.program import OUTPUT_DIR, ROOT, EndedError, Program, start
from bench.work import Names, read_notice

STILL_S = 3.0
"""A backlog is done when all outputs are visible and no further output has appeared for this time. Further outputs would be repeats."""
WARM = 90_000_000
"""Events from this number on only test whether the program has started."""

Figures = dict[str, Any]


async def backlog(bench: Bench, name: str, inputs: tuple[str, str], count: int, limit_s: float) -> Figures:
    """Measure how the program *name* processes the *count* events in the topics *inputs*."""
    names = bench.names(_slug(name), inputs, str(OUTPUT_DIR / "dirs"))
    await bench.create(names, inputs=False)
    try:
        drained = await drain(
            bench, [names.out], lambda: start(name, bench.bootstrap, names), enough=lambda end: end >= count, limit_s=limit_s
        )
        wanted = {f"e{number}": 0 for number in range(count)}
        seen = ((read_notice(record.value, 0).cause, 0) for record in drained.records)
        figures = drained.figures(count, lambda _: True) | difference(wanted, seen, 0)._asdict()
    finally:
        await _clear(bench, names)
    return figures


class Sample(NamedTuple):
    """The visible ends of the output topics at a moment, and the CPU time of the program until then."""

    at: float
    cpu_s: float
    ends: dict[TopicPartition, int]


class Drained(NamedTuple):
    """The result of processing a backlog: every output record, and samples of how many were visible over time."""

    records: list[Any]
    samples: list[Sample]
    first: float
    """When the first output was appended, in seconds since 1970."""
    startup_s: float
    peak_mb: float
    stopped: float
    """When the program was stopped, in seconds since 1970."""

    def figures(self, count: int, of_backlog: Callable[[Any], bool]) -> Figures:
        """Return the figures for *count* events.

        The time is measured from the append of the first output until the last output is visible. The CPU time is measured
        until then and includes the start-up. Only outputs for which *of_backlog* is true count, so a deadline that becomes due
        while the backlog is processed does not prolong the measurement.
        """
        last: dict[TopicPartition, int] = {}
        for record in self.records:
            if of_backlog(record):
                tp = TopicPartition(record.topic, record.partition)
                last[tp] = max(last.get(tp, 0), record.offset)
        done = next(s for s in self.samples if all(s.ends[tp] > offset for tp, offset in last.items()))
        span_s = done.at - self.first
        return {
            "n": count,
            "span_s": span_s,
            "startup_s": self.startup_s,
            "cpu_s": done.cpu_s,
            "peak_mb": self.peak_mb,
            "events_s": count / span_s,
            "cpu_us": done.cpu_s / count * 1e6,
        }


async def drain(bench: Bench, topics: list[str], begin: Callable[[], Program], *, enough: Callable[[int], bool], limit_s: float) -> Drained:
    """Start a program on a backlog and wait until there is *enough* output.

    The reader reads the output only afterwards, so that it takes no CPU from the program.
    """
    async with Reader(bench.kafka, topics) as reader:
        started = time.time()
        samples: list[Sample] = []
        with begin() as program:
            while time.time() - started < limit_s:
                program.check()
                ends = await reader.ends()
                now = time.time()
                if not samples or ends != samples[-1].ends:
                    samples.append(Sample(now, program.cpu_s(), ends))
                elif enough(sum(ends.values())) and now - samples[-1].at > STILL_S:
                    break
                await asyncio.sleep(0.03)
            else:
                raise EndedError(f"not done after {limit_s} s, see {program.log}")
            peak = program.peak_mb()
            stopped = time.time()
        first = min([ts async for ts in _first_times(reader)], default=0) / 1000
        records = [record async for record in reader.all()]
    return Drained(records, samples, first, first - started, peak, stopped)


async def _first_times(reader: Reader):
    """Yield the append time of the first record of each partition, then seek back to the beginning."""
    consumer = reader._consumer
    for tp in reader.tps:
        found = await asyncio.wait_for(consumer.getmany(tp, timeout_ms=300, max_records=1), 10)
        for records in found.values():
            yield records[0].timestamp
    await consumer.seek_to_beginning(*reader.tps)


async def steady(bench: Bench, name: str, rate: float, *, warm_s: float = 3, measured_s: float = 10) -> Figures:
    """Publish *rate* events per second; measure the time of each from its planned publication to a read_committed reader."""
    names = bench.names(f"{_slug(name)}-{rate:g}", None, str(OUTPUT_DIR / "dirs"))
    await bench.create(names)
    total = int(rate * (warm_s + measured_s))
    try:
        async with Reader(bench.kafka, [names.out]) as reader:
            with start(name, bench.bootstrap, names) as program:
                await _until_up(bench, names, reader, program)
                cpu, began = program.cpu_s(), time.time() + 0.5
                with publisher(bench, names, total, rate, began):
                    took: list[float] = []
                    seen: Counter[str] = Counter()
                    while time.time() < began + total / rate + 20 and len(seen) < total:
                        for record in await reader.some(100):
                            now = time.time()
                            notice = read_notice(record.value, 0)
                            number = int(notice.cause[1:])
                            if number < WARM:
                                seen[notice.cause] += 1
                                if number >= rate * warm_s:
                                    took.append(now - notice.producer_t)
                    program.check()
                    cpu = program.cpu_s() - cpu
    finally:
        await _clear(bench, names)
    differing = difference({f"e{number}": 0 for number in range(total)}, ((cause, 0) for cause in seen.elements()), 0)
    return {"rate": rate, "sent": total, **differing._asdict(), **percentiles(took), "cpu_us": cpu / max(1, len(seen)) * 1e6}


def percentiles(took: list[float]) -> Figures:
    """Return the p50, p95, p99 and maximum of *took* (seconds), in ms."""
    took.sort()
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 1) if took else None for name, share in at.items()}


class publisher:
    """A separate process that publishes at a steady rate."""

    def __init__(self, bench: Bench, names: Names, count: int, rate: float, begin: float) -> None:
        command = [sys.executable, "-m", "bench.publish", json.dumps([bench.bootstrap, names, count, rate, begin])]
        self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


async def _until_up(bench: Bench, names: Names, reader: Reader, program: Program, limit_s: float = 90) -> None:
    """Publish a few events at a time until their output appears: the program then has its partitions and no backlog."""
    began = time.time()
    sent = 0
    while time.time() - began < limit_s:
        program.check()
        await bench.publish(mechanics_rows(names, 16, first=WARM + sent))
        sent += 16
        until = time.time() + 2
        while time.time() < until:
            if any(int(read_notice(r.value, 0).cause[1:]) >= WARM + sent - 16 for r in await reader.some(100)):
                await asyncio.sleep(1)
                await reader.some(100)
                return
    raise EndedError(f"not started after {limit_s} s, see {program.log}")


async def _clear(bench: Bench, names: Names) -> None:
    inputs = {names.admissions, names.discharges}
    await bench.delete(lambda t: names.group in t and (t not in inputs or t.startswith(names.group)))
    shutil.rmtree(Path(names.folder), ignore_errors=True)


def _slug(name: str) -> str:
    return "".join(c for c in name.lower().replace(" ", "-") if c.isalnum() or c == "-")


__all__ = ["PEOPLE", "Figures", "backlog", "drain", "percentiles", "publisher", "steady"]
