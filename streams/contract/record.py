"""Outgoing Kafka records, and the records of one transaction.

Owns the types only. Knows no Kafka client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes]]


class Out(NamedTuple):
    """A record to write. `Outgoing` stores it under its topic and partition."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


_new = tuple.__new__
"""Creates an `Out` in half the time of its constructor. Each inbound record needs at least two."""


class Outgoing(dict[tuple[str, int], list[Out]]):
    """The records of one transaction, by topic and partition, in the order of writing."""

    def publish(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Add a record."""
        destination = (topic, partition)
        outs = self.get(destination)
        if outs is None:
            outs = self[destination] = []
        outs.append(_new(Out, (key, value, headers)))

    def add(self, topic: str, partition: int, outs: Sequence[Out]) -> None:
        """Add *outs*. If *outs* is empty, add no entry for the partition."""
        if outs:
            self.setdefault((topic, partition), []).extend(outs)
