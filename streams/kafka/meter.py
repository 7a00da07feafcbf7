"""The interface between the worker's loop and its metrics. Knows nothing about Prometheus."""

from __future__ import annotations

from typing import Protocol

from streams.shard.shard import Shard


class Meter(Protocol):
    """Receives measurements from the worker's loop, for the metrics."""

    def opened(self, shards: int, seconds: float | None = None) -> None: ...

    def committed(self, seconds: float, records: int) -> None: ...

    def counted(self, shard: Shard) -> None: ...


class Unmetered:
    """A meter that discards everything."""

    def opened(self, shards: int, seconds: float | None = None) -> None: ...

    def committed(self, seconds: float, records: int) -> None: ...

    def counted(self, shard: Shard) -> None:
        shard.tally.clear()
