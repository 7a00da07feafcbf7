"""The Prometheus metrics of a worker.

Owns names, buckets and labels. A label never identifies a person, an encounter or a task. The number of label values is
limited: after the first SOURCES_MAX sources, every new source is counted as `other`. `docs/metrics.md` is generated
from this file.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version as version_of

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

# Without this, prometheus_client adds a `_created` gauge to each counter, which doubles the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]
SOURCES_MAX = 100
"""The number of sources with their own label. The limit bounds memory if a sender keeps changing its name."""

_COMMIT_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BATCH_RECORDS = (1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10000)
_RESTORE_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80)


class Metrics:
    """Every metric of a worker, in its own Prometheus registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self._sources: set[str] = set()

        # The rate of this counter is the load of the worker.
        self.events = Counter("care_events", "Events that were processed.", ["topic"], registry=r)
        # Kinds: NotificationIssued, NotificationWithdrawn, TaskState, GapState, EffectSuppressed, EventRefused.
        self.effects = Counter("care_effects", "Effects that were published, by kind.", ["effect"], registry=r)
        # These records are in the dead-letter topic. A rise for one source usually means that this sender is
        # misconfigured. The reason `rule-failed` is a fault of CareRelay.
        self.refused = Counter("care_refused", "Records that were refused, by reason and source.", ["reason", "source"], registry=r)
        # Page the operator on any increase: the person's history is marked as incomplete.
        self.rules_failed = Counter(
            "care_rules_failed", "Events or deadlines for which a rule failed with an exception.", ["exception"], registry=r
        )
        # An increase means that a publisher uses another partitioner.
        self.misrouted = Counter("care_misrouted", "Records in the wrong partition, forwarded to the shard of their key.", registry=r)
        # Harmless: after a rebalance, a worker rereads records that the shard has already applied.
        self.repeated = Counter("care_repeated", "Records that were skipped because their shard had already applied them.", registry=r)
        self.deadlines = Counter("care_deadlines", "Deadlines that fired.", registry=r)
        # If this exceeds one second, look at the broker first.
        self.commit_seconds = Histogram(
            "care_commit_seconds", "Duration of a transaction, in seconds.", buckets=_COMMIT_SECONDS, registry=r
        )
        # Batches grow with the load, which raises the throughput.
        self.batch_records = Histogram("care_batch_records", "Number of records in one transaction.", buckets=_BATCH_RECORDS, registry=r)
        # The end offset minus the position. It grows while the worker is slower than the publishers.
        self.position_lag = Gauge("care_position_lag_records", "Records that are not applied yet.", ["topic", "shard"], registry=r)
        # Gaps may be reported this many seconds late.
        self.clock_lag_seconds = Gauge(
            "care_clock_lag_seconds", "Seconds since the oldest deadline that has not fired was due.", ["shard"], registry=r
        )
        self.open_handoffs = Gauge("care_open_handoffs", "Number of open handoffs.", ["shard"], registry=r)
        self.persons = Gauge("care_persons", "Number of persons in memory.", ["shard"], registry=r)
        # A worker stops if this takes longer than CARERELAY_RESTORE_SECONDS_MAX (default 80 s).
        self.restore_seconds = Histogram(
            "care_restore_seconds", "Duration of opening shards, in seconds.", buckets=_RESTORE_SECONDS, registry=r
        )
        self.shards_open = Gauge("care_shards_open", "Shards that are open in this worker.", registry=r)
        # Each of these producers belonged to another worker that had stopped or had lost the shard.
        self.fenced = Counter("care_fenced", "Producers that were fenced while shards were opened.", registry=r)
        # Progress is a commit, or a poll that found no work.
        self.progress = Gauge(
            "care_last_progress_timestamp_seconds", "Time of the last progress of the worker, in seconds since 1970.", registry=r
        )
        # If this is 1, contact the sender.
        self.source_failing = Gauge(
            "care_source_failing", "1 while more records of a source are refused than its limit allows.", ["source"], registry=r
        )
        # An increase means a programming error. No data was leaked.
        self.log_fields_dropped = Gauge(
            "care_log_fields_dropped", "Number of log fields that were dropped because they are not on the allow-list.", registry=r
        )
        self.build = Gauge(
            "care_build_info", "Always 1; the labels give the versions of CareRelay and Python.", ["version", "python"], registry=r
        )
        self.build.labels(version_of("carerelay"), platform.python_version()).set(1)

    def source(self, name: str) -> str:
        """Return the label of a source: its name for the first SOURCES_MAX sources, otherwise `other`."""
        if name in self._sources:
            return name
        if len(self._sources) >= SOURCES_MAX:
            return "other"
        self._sources.add(name)
        return name

    def count(
        self,
        *,
        events: Mapping[str, int],
        effects: Mapping[str, int],
        refused: Mapping[tuple[str, str], int],
        failed: Mapping[str, int] | None = None,
        misrouted: int = 0,
        repeated: int = 0,
        deadlines: int = 0,
    ) -> None:
        """Add the counts of one commit: events by topic, effects by kind, refused by (reason, source), failed by exception class."""
        for topic, count in events.items():
            self.events.labels(topic).inc(count)
        for effect, count in effects.items():
            self.effects.labels(effect).inc(count)
        for (reason, source), count in refused.items():
            self.refused.labels(reason, self.source(source)).inc(count)
        for exception, count in (failed or {}).items():
            self.rules_failed.labels(exception).inc(count)
        self.misrouted.inc(misrouted)
        self.repeated.inc(repeated)
        self.deadlines.inc(deadlines)

    def document(self) -> str:
        """Return the content of `docs/metrics.md`: a Markdown table of all metrics."""
        rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        for collector in self._collectors():
            (family,) = collector.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001 -- there is no public access
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
        return "# Metrics\n\nGenerated from `streams/base/metrics.py`; a test compares the two.\n\n" + "\n".join(rows) + "\n"

    def _collectors(self) -> list[Counter | Gauge | Histogram]:
        return [value for value in vars(self).values() if isinstance(value, Counter | Gauge | Histogram)]

    def mark_failing(self, changes: Mapping[str, bool]) -> None:
        """Record which sources started to fail (True) or recovered (False)."""
        for source, failing in changes.items():
            self.source_failing.labels(self.source(source)).set(int(failing))

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)
