"""The metrics of a worker's loop.

Owns which number goes to which metric, and which metrics are computed when Prometheus scrapes instead of being counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from streams.base.metrics import Metrics
from streams.kafka.worker import Worker
from streams.ops.senders import Senders
from streams.shard.shard import Shard

log = structlog.get_logger()


class Meters:
    """The meter that the worker's loop calls; updates the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._m = metrics
        self._senders = Senders()

    def opened(self, shards: int, seconds: float | None = None) -> None:
        self._m.shards_open.set(shards)
        if seconds is not None:
            self._m.restore_seconds.observe(seconds)

    def committed(self, seconds: float, records: int) -> None:
        self._m.commit_seconds.observe(seconds)
        self._m.batch_records.observe(records)
        self._m.progress.set(time.time())

    def counted(self, shard: Shard) -> None:
        tally = shard.tally
        failed = {name: tally.failed.count(name) for name in set(tally.failed)}
        self._m.count(
            events=tally.events,
            effects=tally.effects,
            refused=tally.refused,
            failed=failed,
            misrouted=tally.misrouted,
            deadlines=tally.deadlines,
        )
        changes = self._senders.take(tally.refused, tally.accepted)
        if changes:
            # A failing source is only reported. Its refused records go to the dead letters, and the shard continues.
            log.warning("sources_changed", count=len(changes), reason="failing" if any(changes.values()) else "recovered")
            self._m.mark_failing(changes)
        tally.clear()


@dataclass(slots=True)
class Gauges:
    """The metrics that are computed when Prometheus scrapes."""

    metrics: Metrics
    worker: Worker

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        clock, now = self.worker.settings.clock, int(time.time() * 1000)
        for number, shard in self.worker.shards.items():
            label = str(number)
            late = max(0.0, (clock.to_story(now) - shard.next_due) / 1000)
            self.metrics.clock_lag_seconds.labels(label).set(late)
            self.metrics.persons.labels(label).set(len(shard.persons))
            self.metrics.open_handoffs.labels(label).set(shard.open_handoffs)
            for topic in shard.agent.inbound:
                self.metrics.position_lag.labels(topic, label).set(shard.lag(topic))
        return self.metrics.text()
