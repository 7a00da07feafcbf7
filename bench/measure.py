"""What is measured of one program on one Kafka: a backlog, a steady rate, idleness. Every output is counted."""

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
from typing import Any

from bench.kafka import PEOPLE, Bench, Reader, mechanics_rows
from bench.program import MADE, ROOT, EndedError, Program, start
from bench.work import Names, read_notice

STILL_S = 3.0
"""A backlog is done when all is there and nothing more has come for so long: what comes more is a repeat."""
WARM = 90_000_000
"""Events with this number or above only show that the program is up."""

Figures = dict[str, Any]


async def backlog(bench: Bench, name: str, inputs: tuple[str, str], count: int, limit_s: float) -> Figures:
    """Let program *name* work off *count* events that lie in *inputs*."""
    names = bench.names(_slug(name), inputs, str(MADE / "dirs"))
    await bench.create(names, inputs=False)
    try:
        figures = await drain(
            bench, [names.out], lambda: start(name, bench.bootstrap, names), enough=lambda end: end >= count, limit_s=limit_s
        )
        causes = Counter(read_notice(value, 0).cause for value in figures.pop("values"))
        # Per event: time from the first output's append until the last output was visible, CPU with the start-up.
        figures |= {
            "n": count,
            "events_s": count / figures["span_s"],
            "cpu_us": figures["cpu_s"] / count * 1e6,
            "missing": count - len(causes),
            "twice": sum(n - 1 for n in causes.values()),
        }
    finally:
        await _clear(bench, names)
    return figures


async def drain(
    bench: Bench, topics: list[str], begin: Callable[[], Program], *, enough: Callable[[int], bool], limit_s: float, read: bool = True
) -> Figures:
    """Start a program on a backlog and wait until *enough* is out; the reader reads only afterwards, to take no core from it."""
    async with Reader(bench.kafka, topics) as reader:
        started = time.time()
        with begin() as program:
            end, seen_at, cpu = 0, started, 0.0
            while time.time() - started < limit_s:
                program.check()
                now_end = await reader.end()
                now = time.time()
                if now_end > end:
                    end, seen_at, cpu = now_end, now, program.cpu_s()
                elif enough(end) and now - seen_at > STILL_S:
                    break
                await asyncio.sleep(0.03)
            else:
                raise EndedError(f"not done after {limit_s} s, see {program.log}")
            peak = program.peak_mb()
        first = min([ts async for ts in _first_times(reader)], default=0)
        values = [r.value async for r in reader.all()] if read else []
    return {"values": values, "span_s": seen_at - first / 1000, "startup_s": first / 1000 - started, "cpu_s": cpu, "peak_mb": peak}


async def _first_times(reader: Reader):
    """Yield the append time of the first record of each partition, then go back to the beginnings."""
    consumer = reader._consumer
    for tp in reader.places:
        found = await asyncio.wait_for(consumer.getmany(tp, timeout_ms=300, max_records=1), 10)
        for records in found.values():
            yield records[0].timestamp
    await consumer.seek_to_beginning(*reader.places)


async def steady(bench: Bench, name: str, rate: float, *, warm_s: float = 3, measured_s: float = 10) -> Figures:
    """Publish *rate* events a second and time each from its planned publication to a read_committed reader."""
    names = bench.names(f"{_slug(name)}-{rate:g}", None, str(MADE / "dirs"))
    await bench.create(names)
    total = int(rate * (warm_s + measured_s))
    try:
        async with Reader(bench.kafka, [names.out]) as reader:
            with start(name, bench.bootstrap, names) as program:
                await _until_up(bench, names, reader, program)
                cpu, began = program.cpu_s(), time.time() + 0.5
                with publisher(bench, names, total, rate, began):
                    took: list[float] = []
                    got = 0
                    while time.time() < began + total / rate + 20 and got < total:
                        for record in await reader.some(100):
                            now = time.time()
                            notice = read_notice(record.value, 0)
                            number = int(notice.cause[1:])
                            if number < WARM:
                                got += 1
                                if number >= rate * warm_s:
                                    took.append(now - notice.producer_t)
                    program.check()
                    cpu = program.cpu_s() - cpu
    finally:
        await _clear(bench, names)
    return {"rate": rate, "sent": total, "got": got, **percentiles(took), "cpu_us": cpu / max(1, got) * 1e6}


def percentiles(took: list[float]) -> Figures:
    """Return p50, p95, p99 and the longest of *took*, in ms."""
    took.sort()
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 1) if took else None for name, share in at.items()}


class publisher:
    """A process of its own that publishes at a steady rate."""

    def __init__(self, bench: Bench, names: Names, count: int, rate: float, begin: float) -> None:
        command = [sys.executable, "-m", "bench.publish", json.dumps([bench.bootstrap, names, count, rate, begin])]
        self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


async def _until_up(bench: Bench, names: Names, reader: Reader, program: Program, limit_s: float = 90) -> None:
    """Publish a few events until the last of them came out: the program has its partitions and has caught up."""
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
    raise EndedError(f"not up after {limit_s} s, see {program.log}")


async def _clear(bench: Bench, names: Names) -> None:
    inputs = {names.admissions, names.discharges}
    await bench.delete(lambda t: names.group in t and (t not in inputs or t.startswith(names.group)))
    shutil.rmtree(Path(names.folder), ignore_errors=True)


def _slug(name: str) -> str:
    return "".join(c for c in name.lower().replace(" ", "-") if c.isalnum() or c == "-")


__all__ = ["PEOPLE", "Figures", "backlog", "drain", "percentiles", "publisher", "steady"]
