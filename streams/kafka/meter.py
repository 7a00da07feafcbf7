"""What is told of a worker's loop as it runs: the seam to the metrics.

Owns two shapes. Knows neither Prometheus nor what a number means.
"""

from __future__ import annotations

from typing import Protocol

from streams.shard.shard import Shard


class Meter(Protocol):
    """What is told of the loop as it runs; metrics are made from it."""

    def opened(self, shards: int, seconds: float | None = None) -> None: ...

    def committed(self, seconds: float, records: int) -> None: ...

    def counted(self, shard: Shard) -> None: ...


class Unmetered:
    """A meter that keeps nothing."""

    def opened(self, shards: int, seconds: float | None = None) -> None: ...

    def committed(self, seconds: float, records: int) -> None: ...

    def counted(self, shard: Shard) -> None:
        shard.tally.clear()
