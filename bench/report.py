"""Write the results as Markdown: what was measured, on which machine, and which targets were reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.expectation import Difference
from bench.measure_care import FEW, FIVE, WHOLE
from bench.program import OURS, RAW, STREAMS, TEXTBOOK

Results = Mapping[str, Any]


def write(results: Results) -> str:
    """Return the text of RESULTS.md."""
    parts = [
        _head(results),
        _failed(results),
        _targets(results),
        _backlogs(results),
        _latencies(results),
        _care(results),
        _restore_and_idle(results),
        _foot(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def wrong(results: Results) -> list[str]:
    """Return a line for each run that failed, and for each run with lost, repeated or unexpected effects."""
    lines = list(results.get("failed", []))
    for part in ("mechanics", "latency", "care"):
        for about, by_name in results.get(part, {}).items():
            for name, runs in by_name.items():
                for number, run in enumerate(runs, 1):
                    found = {field: run[field] for field in Difference._fields if run[field]}
                    if found:
                        counts = ", ".join(f"{count:,} {field}" for field, count in found.items())
                        lines.append(f"{part}, {about}, {name}, run {number}: {counts}")
    return lines


def median(runs: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """Return the median of the figure *name* over *runs*, or None if no run has it."""
    found = [run[name] for run in runs if run.get(name) is not None]
    return statistics.median(found) if found else None


def ratios(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return the ratio of the figure *name* of *ours* to that of *theirs*, for each pair of runs."""
    return [a[name] / b[name] for a, b in zip(ours, theirs, strict=False) if a.get(name) and b.get(name)]


def _head(results: Results) -> str:
    about = results["about"]
    lines = [
        "# Results of the benchmarks",
        "",
        f"Written by `make bench{'-quick' if about['quick'] else ''}` on {about['date']}. All figures are from this one run.",
        "",
        *(f"- {name}: {value}" for name, value in about["versions"].items()),
        f"- {about['cores']} cores, shared with the broker; load average {about['load_before']} before, {about['load_after']} after",
    ]
    if about.get("note"):
        lines += [f"- {about['note']}"]
    return "\n".join(lines)


def _failed(results: Results) -> str:
    found = results.get("failed", [])
    return "\n".join(["## Failed runs", "", *(f"- {line}" for line in found)]) if found else ""


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return "\n".join([_row(head), _row("---" for _ in head), *map(_row, rows)])


def _n(value: float | None, places: int = 0) -> str:
    return "–" if value is None else f"{value:,.{places}f}"


DIFFERING = "lost / twice / unexpected, each run"


def _differing(runs: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(" / ".join(str(run[name]) for name in Difference._fields) for run in runs)


def _backlogs(results: Results) -> str:
    out = []
    for count, by_name in results.get("mechanics", {}).items():
        rows = []
        for name, runs in by_name.items():
            each = ", ".join(_n(run["events_s"]) for run in runs)
            n = runs[0]["n"]
            rows.append(
                [
                    name if n == int(count) else f"{name} ({n:,} events)",
                    _n(median(runs, "events_s")),
                    each,
                    _n(median(runs, "cpu_us"), 1),
                    _n(median(runs, "peak_mb")),
                    _differing(runs),
                ]
            )
        head = ["system", "events/s", "each run", "CPU µs/event", "peak MB", DIFFERING]
        out.append(f"## Mechanics: a backlog of {int(count):,} events, one worker\n\n{_table(head, rows)}")
    return "\n\n".join(out)


def _latencies(results: Results) -> str:
    rows = []
    for rate, by_name in results.get("latency", {}).items():
        for name, runs in by_name.items():
            each = ", ".join(_n(run["p99"]) for run in runs)
            rows.append(
                [rate, name, *(_n(median(runs, p)) for p in ("p50", "p95", "p99")), each, _n(median(runs, "cpu_us")), _differing(runs)]
            )
    if not rows:
        return ""
    head = ["events/s", "system", "p50 ms", "p95 ms", "p99 ms", "p99 of each run", "CPU µs/event", DIFFERING]
    return f"## Latency: planned publication to a read_committed reader\n\n{_table(head, rows)}"


def _care(results: Results) -> str:
    rows = [
        [
            f"{int(count):,}",
            name,
            _n(median(runs, "events_s")),
            ", ".join(_n(run["events_s"]) for run in runs),
            _n(median(runs, "cpu_us"), 1),
            _n(median(runs, "peak_mb")),
            _n(runs[0]["effects"]),
            _differing(runs),
        ]
        for count, by_name in results.get("care", {}).items()
        for name, runs in by_name.items()
    ]
    if not rows:
        return ""
    head = ["events", "rules", "events/s", "each run", "CPU µs/event", "peak MB", "effects", DIFFERING]
    mixes = "".join(
        f"\n\nThe mix has {m['n']:,} events of {m['people']:,} people: " + ", ".join(f"{t} {c:,}" for t, c in m["types"]) + "."
        for m in results.get("care_mix", [])
    )
    return f"## Care: the rules on a synthetic mix of events, one worker\n\n{_table(head, rows)}{mixes}"


def _restore_and_idle(results: Results) -> str:
    rows: list[Sequence[object]] = []
    restore = results.get("restore", {})
    for name in ("fresh", "churned"):
        runs = restore.get(name, [])
        if runs:
            each = ", ".join(_n(run["seconds"], 1) for run in runs)
            rows.append([f"restore of {restore['handoffs']:,} open handoffs of {restore['people']:,} people, {name}: each run, s", each])
    if restore:
        if restore.get("churn"):
            rows.append(["churn: number of changed states, in transactions of 100", _n(restore["churn"])])
        rows.append(["resident memory per open handoff, bytes", _n(restore["resident_bytes"])])
        rows.append(["packed state per open handoff, bytes", _n(restore["packed_bytes"])])
    if "person_year" in results:
        rows.append(["packed state of a person after a year of history, bytes", _n(results["person_year"])])
    if "idle" in results:
        rows.append(["CPU of an idle worker: each run, % of a core", ", ".join(_n(run["idle_pct"], 2) for run in results["idle"])])
    return f"## Restore, memory and idle CPU\n\n{_table(['', ''], rows)}" if rows else ""


def _targets(results: Results) -> str:
    rows: list[Sequence[object]] = []

    def add(what: str, value: float | None, reached: Callable[[float], bool], wanted: str, shown: str) -> None:
        rows.append(
            [
                what,
                wanted,
                shown if value is not None else "not measured",
                "" if value is None else "reached" if reached(value) else "**missed**",
            ]
        )

    mechanics = results.get("mechanics", {})
    for count, least in (("200000", 1.0), ("1000000", 0.75)):
        by = mechanics.get(count, {})
        ours, theirs = by.get(OURS, []), by.get(STREAMS, [])
        for name, what, wanted, reached in (
            ("events_s", "throughput", f"at least {least:g} ×", lambda v, least=least: v >= least),
            ("cpu_us", "CPU per event", "at most 1 ×", lambda v: v <= 1),
        ):
            found = ratios(ours, theirs, name)
            value = statistics.median(found) if found else None
            shown = f"{value:.2f} × ({min(found):.2f} to {max(found):.2f}, {len(found)} pairs)" if found else ""
            add(f"mechanics, {int(count):,} events: {what} relative to {STREAMS}", value, reached, wanted, shown)
    small = mechanics.get("200000") or next(iter(mechanics.values()), {})
    ours, textbook = median(small.get(OURS, []), "cpu_us"), median(small.get(TEXTBOOK, []), "cpu_us")
    value = textbook / ours if ours and textbook else None
    add(f"events per CPU second relative to the {TEXTBOOK}", value, lambda v: v >= 20, "at least 20 ×", f"{value or 0:.1f} ×")
    for rate in ("500", "2000"):
        by = results.get("latency", {}).get(rate, {})
        ours, theirs = median(by.get(OURS, []), "p99"), median(by.get(STREAMS, []), "p99")
        value = ours / theirs if ours and theirs else None
        add(f"p99 at {int(rate):,}/s compared with {STREAMS}", value, lambda v: v <= 1, "no higher", f"{_n(ours)} ms, {_n(theirs)} ms")
    care = results.get("care", {})
    some = next(iter(care), None)
    for name in (FEW, WHOLE):
        value = None
        if some:
            a, b = median(care[some].get(name, []), "events_s"), median(small.get(OURS, []), "events_s")
            value = a / b if a and b else None
        add(f"throughput with {name} relative to the mechanics", value, lambda v: v >= 1 / 3, "at least a third", f"{value or 0:.2f} ×")
    found = ratios(care[some].get(WHOLE, []), care[some].get(FEW, []), "cpu_us") if some else []
    value = statistics.median(found) if found else None
    add(f"CPU per event with {WHOLE} relative to {FEW}", value, lambda v: v <= 1.5, "at most 1.5 ×", f"{value or 0:.2f} ×")
    largest = [run["peak_mb"] for run in mechanics.get("1000000", {}).get(OURS, [])]
    add(
        "peak memory with a backlog of 1,000,000 events",
        max(largest, default=None),
        lambda v: v <= 250,
        "at most 250 MB",
        f"{_n(max(largest, default=None))} MB",
    )
    restore = results.get("restore", {})
    for name in ("fresh", "churned"):
        value = median(restore.get(name, []), "seconds")
        add(f"restore of {restore.get('handoffs', 0):,} open handoffs, {name}", value, lambda v: v <= 5, "at most 5 s", f"{_n(value, 1)} s")
    add(
        "resident memory per open handoff",
        restore.get("resident_bytes"),
        lambda v: v <= 450,
        "at most 450 bytes",
        f"{_n(restore.get('resident_bytes'))} bytes",
    )
    idle = median(results.get("idle", []), "idle_pct")
    add("CPU of an idle worker", idle, lambda v: v < 2, "less than 2 % of a core", f"{_n(idle, 2)} %")
    note = (
        f'Ratios to "{STREAMS}" and the ratio of {WHOLE} to {FEW} are medians over pairs of runs, one directly after the other. '
        "Other ratios compare medians."
    )
    return f"## Targets\n\n{note}\n\n{_table(['', 'target', 'measured', ''], rows)}"


def _foot() -> str:
    return f"""## How it is measured

- Mechanics: each program reads the same Avro events, keeps a durable state per person, and writes one Avro notification per
  event. There are 20,000 people, 8 partitions and one worker. {OURS} uses its Faust app, claims, record order across topics and
  strict decoding, with a trivial agent instead of its rules. The {RAW} and the {TEXTBOOK} deliver at least once.
  The {TEXTBOOK} gets fewer events, because it needs about a millisecond for each.
- Events per second: the number of events, divided by the time from the append of the first output until the last output of
  the backlog is visible to a read_committed reader. The reader reads the outputs only afterwards.
- CPU: user and system time of the program's processes until then, including start-up.
- Deadlines that become due while a backlog is processed: their effects are checked, but the time measurement does not wait
  for them.
- Lost, twice, unexpected: every output is compared by id with the expected outputs. "Twice" counts every repeat.
- Latency: a separate process publishes at a steady rate. The latency of an output is the time from the planned publication
  of its event until a read_committed reader receives it. The first three seconds are not counted. For care, every
  effect is measured.
- Care: `bench/events.py` generates the events from a fixed seed. The program is the CareRelay worker, with five rules
  ({", ".join(FIVE)}) and with the whole catalogue. The expected
  effects are those of the same engine in memory, for the same records with the broker's append times.
- Restore: the time from the first claim until all shards are open. The state topic holds the states of people who have just
  been discharged, as the rules produce them. "Churned" adds an hour of changed states, which the log still contains because
  compaction has not run yet."""
