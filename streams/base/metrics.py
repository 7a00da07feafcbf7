"""The metrics: one table, a comment each, labels from fixed sets.

Owns names, buckets and labels. No label holds a person, a stay, a task or anything a sender can choose freely: a
source beyond the first SOURCES_MAX is counted as `other`. The table is the documentation: `docs/metrics.md` is made
from it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version as version_of

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

# A gauge beside each counter would say when it began: as many series again, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]
SOURCES_MAX = 100
"""How many senders have a label of their own; a sender that invents names must not fill the memory."""

_COMMIT_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BATCH_RECORDS = (1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10000)
_RESTORE_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80)


class Metrics:
    """Every metric of a worker, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self._sources: set[str] = set()

        # Records that were decided, by topic. Their rate is the load.
        self.events = Counter("care_events", "Events that were decided.", ["topic"], registry=r)
        # Effects published, by kind: NotificationIssued, NotificationWithdrawn, TaskState, GapState, EffectSuppressed, EventRefused.
        self.effects = Counter("care_effects", "Effects that were published, by kind.", ["effect"], registry=r)
        # Records in the dead letters. A rise for one source is that sender's misconfiguration; `rule-failed` is ours.
        self.refused = Counter("care_refused", "Records that were refused, by reason and source.", ["reason", "source"], registry=r)
        # A rule raised: a page. The person's history is flagged incomplete.
        self.rules_failed = Counter(
            "care_rules_failed", "Events or deadlines for which a rule failed with an exception.", ["exception"], registry=r
        )
        # Records under a partition that their key does not hash to: a publisher with another partitioner.
        self.misrouted = Counter("care_misrouted", "Records in the wrong partition, forwarded to the shard of their key.", registry=r)
        # Records below the position, read again after a rebalance. Harmless.
        self.repeated = Counter("care_repeated", "Records that were skipped because their shard had already applied them.", registry=r)
        # Deadlines that came due.
        self.deadlines = Counter("care_deadlines", "Deadlines that fired.", registry=r)
        # From the begin of a transaction to its end. Above a second the broker is the place to look.
        self.commit_seconds = Histogram(
            "care_commit_seconds", "Duration of a transaction, in seconds.", buckets=_COMMIT_SECONDS, registry=r
        )
        # Records in one transaction: grows with the load, which is what keeps up with it.
        self.batch_records = Histogram("care_batch_records", "Number of records in one transaction.", buckets=_BATCH_RECORDS, registry=r)
        # End of the log less the position. Grows while the worker can't keep up.
        self.position_lag = Gauge("care_position_lag_records", "Records that are not applied yet.", ["topic", "shard"], registry=r)
        # How long the oldest deadline that is due has waited: the promise to notice a stall in time.
        self.clock_lag_seconds = Gauge(
            "care_clock_lag_seconds", "Seconds since the oldest deadline that has not fired was due.", ["shard"], registry=r
        )
        # Handoffs that wait for somebody.
        self.open_handoffs = Gauge("care_open_handoffs", "Number of open handoffs.", ["shard"], registry=r)
        # Persons in memory.
        self.persons = Gauge("care_persons", "Number of persons in memory.", ["shard"], registry=r)
        # Reading a shard's state when it opens. Near its limit (80 s) the worker ends.
        self.restore_seconds = Histogram(
            "care_restore_seconds", "Duration of opening shards, in seconds.", buckets=_RESTORE_SECONDS, registry=r
        )
        # Shards that this worker owns.
        self.shards_open = Gauge("care_shards_open", "Shards that are open in this worker.", registry=r)
        # Other workers' claims that had to be fenced: they were dead or zombies.
        self.fenced = Counter("care_fenced", "Producers that were fenced while shards were opened.", registry=r)
        # Seconds since 1970 of the last commit, or of the last look that found nothing to do.
        self.progress = Gauge(
            "care_last_progress_timestamp_seconds", "Time of the last progress of the worker, in seconds since 1970.", registry=r
        )
        # 1 where a source has more refused than its limit: its sender has to be told.
        self.source_failing = Gauge(
            "care_source_failing", "1 while more records of a source are refused than its limit allows.", ["source"], registry=r
        )
        # Names of fields that the log's allow-list dropped: a programming error, nothing was leaked.
        self.log_fields_dropped = Gauge(
            "care_log_fields_dropped", "Number of log fields that were dropped because they are not on the allow-list.", registry=r
        )
        self.build = Gauge(
            "care_build_info", "Always 1; the labels give the versions of CareRelay and Python.", ["version", "python"], registry=r
        )
        self.build.labels(version_of("carerelay"), platform.python_version()).set(1)

    def source(self, name: str) -> str:
        """Return the label of a source: its own name for the first SOURCES_MAX, then `other`."""
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
        """Add what one commit did: events by topic, effects by kind, refused by (reason, source), failed by exception class."""
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
        """Return the table of all metrics as Markdown: `docs/metrics.md`."""
        rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        for collector in self._collectors():
            (family,) = collector.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001 -- there is no public way
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
        return "# Metrics\n\nGenerated from `streams/base/metrics.py`; a test compares the two.\n\n" + "\n".join(rows) + "\n"

    def _collectors(self) -> list[Counter | Gauge | Histogram]:
        return [value for value in vars(self).values() if isinstance(value, Counter | Gauge | Histogram)]

    def mark_failing(self, changes: Mapping[str, bool]) -> None:
        """Show which sources began to fail (True) or are well again (False)."""
        for source, failing in changes.items():
            self.source_failing.labels(self.source(source)).set(int(failing))

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
