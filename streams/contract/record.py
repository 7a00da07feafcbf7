"""Records that are to be written: what a producer takes for each, and the records of one transaction.

Owns shapes only. Knows no client of Kafka.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes]]


class Out(NamedTuple):
    """A record to write; its topic and partition are its key in `Outgoing`."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


_new = tuple.__new__
"""Makes an `Out` at half of what its own constructor costs: there are two or more for each record."""


class Outgoing(dict[tuple[str, int], list[Out]]):
    """The records of one transaction, {(topic, partition): [Out]}, each partition's in its order."""

    def publish(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Add a record."""
        place = (topic, partition)
        outs = self.get(place)
        if outs is None:
            outs = self[place] = []
        outs.append(_new(Out, (key, value, headers)))

    def add(self, topic: str, partition: int, outs: Sequence[Out]) -> None:
        """Add *outs*; none of them leave no empty list behind."""
        if outs:
            self.setdefault((topic, partition), []).extend(outs)
