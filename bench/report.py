"""The results in words and tables: what was measured, on what, and which target it reached or missed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.expectation import Difference
from bench.program import OURS, RAW, STREAMS, TEXTBOOK
from bench.spine import FEW, FIVE, WHOLE

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
        _still(results),
        _foot(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def wrong(results: Results) -> list[str]:
    """Return a line for each run that did not end, and each in which an effect was lost, came twice or was not expected."""
    lines = list(results.get("failed", []))
    for part in ("mechanics", "latency", "care"):
        for about, by_name in results.get(part, {}).items():
            for name, runs in by_name.items():
                for number, run in enumerate(runs, 1):
                    found = {field: run[field] for field in Difference._fields if run[field]}
                    if found:
                        said = ", ".join(f"{count:,} {field}" for field, count in found.items())
                        lines.append(f"{part}, {about}, {name}, run {number}: {said}")
    return lines


def median(runs: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """Return the median of a figure over *runs*, or None where none has it."""
    found = [run[name] for run in runs if run.get(name) is not None]
    return statistics.median(found) if found else None


def ratios(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return ours over theirs, round by round."""
    return [a[name] / b[name] for a, b in zip(ours, theirs, strict=False) if a.get(name) and b.get(name)]


def _head(results: Results) -> str:
    about = results["about"]
    lines = [
        "# Results of the benchmarks",
        "",
        f"Written by `make bench{'-quick' if about['quick'] else ''}` on {about['date']}; everything here is from that one run.",
        "",
        *(f"- {name}: {value}" for name, value in about["versions"].items()),
        f"- {about['cores']} cores, the broker on them too; load average {about['load_before']} before, {about['load_after']} after",
    ]
    if about.get("note"):
        lines += [f"- {about['note']}"]
    return "\n".join(lines)


def _failed(results: Results) -> str:
    found = results.get("failed", [])
    return "\n".join(["## What did not end", "", *(f"- {line}" for line in found)]) if found else ""


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
    mixes = results.get("care_mix", [])
    said = "".join(
        f"\n\nThe mix of {m['n']:,} events, {m['people']:,} persons: " + ", ".join(f"{t} {c:,}" for t, c in m["types"]) + "." for m in mixes
    )
    return f"## Care: the product's rules on a made mix, one worker\n\n{_table(head, rows)}{said}"


def _still(results: Results) -> str:
    rows: list[Sequence[object]] = []
    restore = results.get("restore", {})
    for name in ("fresh", "churned"):
        runs = restore.get(name, [])
        if runs:
            each = ", ".join(_n(run["seconds"], 1) for run in runs)
            rows.append([f"restore of {restore['handoffs']:,} open handoffs of {restore['people']:,} persons, {name}, s", each])
    if restore:
        if restore.get("churn"):
            rows.append(["churn: changed states, in transactions of 100", _n(restore["churn"])])
        rows.append(["memory of an open handoff, resident bytes", _n(restore["resident_bytes"])])
        rows.append(["of that its packed state", _n(restore["packed_bytes"])])
    if "person_year" in results:
        rows.append(["packed state of a person after a year of history, bytes", _n(results["person_year"])])
    if "idle" in results:
        rows.append(["idle worker, % of a core", ", ".join(_n(run["idle_pct"], 2) for run in results["idle"])])
    return f"## Standing still\n\n{_table(['', ''], rows)}" if rows else ""


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
            ("cpu_us", "CPU an event", "at most 1 ×", lambda v: v <= 1),
        ):
            found = ratios(ours, theirs, name)
            value = statistics.median(found) if found else None
            shown = f"{value:.2f} × ({min(found):.2f} to {max(found):.2f}, {len(found)} pairs)" if found else ""
            add(f"mechanics, {int(count):,} events: {what} beside {STREAMS}", value, reached, wanted, shown)
    small = mechanics.get("200000") or next(iter(mechanics.values()), {})
    ours, textbook = median(small.get(OURS, []), "cpu_us"), median(small.get(TEXTBOOK, []), "cpu_us")
    value = textbook / ours if ours and textbook else None
    add(f"events per CPU second beside the {TEXTBOOK}", value, lambda v: v >= 20, "at least 20 ×", f"{value or 0:.1f} ×")
    for rate in ("500", "2000"):
        by = results.get("latency", {}).get(rate, {})
        ours, theirs = median(by.get(OURS, []), "p99"), median(by.get(STREAMS, []), "p99")
        value = ours / theirs if ours and theirs else None
        add(f"p99 at {int(rate):,}/s beside {STREAMS}", value, lambda v: v <= 1, "no higher", f"{_n(ours)} ms beside {_n(theirs)} ms")
    care = results.get("care", {})
    some = next(iter(care), None)
    for name in (FEW, WHOLE):
        value = None
        if some:
            a, b = median(care[some].get(name, []), "events_s"), median(small.get(OURS, []), "events_s")
            value = a / b if a and b else None
        add(f"care's throughput with {name} beside the mechanics'", value, lambda v: v >= 1 / 3, "at least a third", f"{value or 0:.2f} ×")
    found = ratios(care[some].get(WHOLE, []), care[some].get(FEW, []), "cpu_us") if some else []
    value = statistics.median(found) if found else None
    add(f"CPU of an event, {WHOLE} beside {FEW}", value, lambda v: v <= 1.5, "at most 1.5 ×", f"{value or 0:.2f} ×")
    largest = [run["peak_mb"] for run in mechanics.get("1000000", {}).get(OURS, [])]
    add(
        "memory under a backlog of 1,000,000 events",
        max(largest, default=None),
        lambda v: v <= 250,
        "250 MB at most",
        f"{_n(max(largest, default=None))} MB",
    )
    restore = results.get("restore", {})
    for name in ("fresh", "churned"):
        value = median(restore.get(name, []), "seconds")
        add(f"restore of {restore.get('handoffs', 0):,} open handoffs, {name}", value, lambda v: v <= 5, "5 s", f"{_n(value, 1)} s")
    add(
        "memory of an open handoff",
        restore.get("resident_bytes"),
        lambda v: v <= 450,
        "450 bytes or less",
        f"{_n(restore.get('resident_bytes'))} bytes",
    )
    idle = median(results.get("idle", []), "idle_pct")
    add("an idle worker", idle, lambda v: v < 2, "under 2 % of a core", f"{_n(idle, 2)} %")
    return f"## Targets\n\nRatios are medians of pairs run in turn.\n\n{_table(['', 'wanted', 'measured', ''], rows)}"


def _foot() -> str:
    return f"""## How it is measured

- Mechanics: Avro in, per-person state kept durably, one Avro notification out; 20,000 persons, 8 partitions, one worker; all
  programs read the same events. {OURS} does it with the product's frame, claims, order across topics and strict reading;
  {RAW} and {TEXTBOOK} are at least once. The {TEXTBOOK} gets fewer events, for it takes a thousandth of a second for each.
- Events a second: all events over the time from the append of the first output until the last output of the backlog was
  visible to a read_committed reader; the reader reads afterwards. CPU: user and system of the program's processes until then,
  start-up included. An alarm that falls due while a backlog is worked off is compared, and not waited for.
- Lost, twice, unexpected: every output is compared by its id with what had to come out.
- Latency: a process of its own publishes at a steady rate; each output is timed from its event's planned publication, after
  three seconds of warming up. Care times every effect.
- Care: events as `bench/events.py` makes them from a fixed seed; the worker is the product's, with
  five rules ({", ".join(FIVE)}) and with the whole catalogue. What has to come
  out is what the product's own engine makes in memory of the same records, with the broker's times.
- Restore: from claiming the shards until all are open. The state topic holds real states of persons just discharged;
  churn is an hour of changed states of any of them, on top, before compaction has seen it."""
