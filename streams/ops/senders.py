"""Detection of failing sources: too many refused records in a row, or too large a recent share of refused records.

Owns the two limits and the counts of each source. Pure: no clock, no Kafka; "recent" means the latest records, not a time.
A failing source is only reported: its refused records go to the dead letters, and no shard stops because of a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

IN_A_ROW_MAX = 50
"""A source is failing after more than this number of refused records in a row."""
SHARE_MAX = 0.05
"""A source is failing if a larger share of its recent records is refused."""
RECORDS_MIN = 100
"""The share counts only after this number of records, because one typing error in ten records is not a misconfiguration."""
RECORDS_KEPT = 1000
"""Above this number, older records count less and less. A corrected source recovers after about this many records."""
SHARE_RECOVERED = SHARE_MAX / 2
"""A failing source recovers at half of the limit, so that a source near the limit is not reported repeatedly."""
SOURCES_MAX = 100
OTHER = "other"
"""Counts all sources beyond `SOURCES_MAX`."""
OURS = frozenset({"rule-failed", "killed-worker", "relay-misrouted"})
"""Reason codes that are not the source's fault."""


@dataclass(slots=True)
class _Source:
    records: float = 0.0
    refused: float = 0.0
    in_a_row: int = 0
    failing: bool = False


class Senders:
    """The recent counts of each source, and whether it is failing.

    Counts at most `sources_max` sources separately, so that a sender that invents names cannot fill the memory.
    """

    def __init__(self, sources_max: int = SOURCES_MAX) -> None:
        self._sources: dict[str, _Source] = {}
        self._sources_max = sources_max

    @property
    def failing(self) -> frozenset[str]:
        """The sources that are failing now."""
        return frozenset(name for name, source in self._sources.items() if source.failing)

    def take(self, refused: Mapping[tuple[str, str], int], accepted: Mapping[str, int]) -> dict[str, bool]:
        """Add the counts of one commit: refused {(code, source): records} and accepted {source: records}.

        Returns the sources that began to fail (True) or have recovered (False).
        """
        bad: dict[str, int] = {}
        for (code, name), count in refused.items():
            if code not in OURS:
                bad[self._source_name(name)] = bad.get(self._source_name(name), 0) + count
        good: dict[str, int] = {}
        for name, count in accepted.items():
            good[self._source_name(name)] = good.get(self._source_name(name), 0) + count
        return dict(self._changes(bad.keys() | good.keys(), bad, good))

    def _changes(self, names: Iterable[str], bad: Mapping[str, int], good: Mapping[str, int]) -> Iterable[tuple[str, bool]]:
        for name in sorted(names):
            source = self._sources[name]
            failing = _update(source, bad.get(name, 0), good.get(name, 0))
            if failing is not source.failing:
                source.failing = failing
                yield name, failing

    def _source_name(self, name: str) -> str:
        if name not in self._sources:
            if len(self._sources) >= self._sources_max:
                name = OTHER
            self._sources.setdefault(name, _Source())
        return name


def _update(source: _Source, bad: int, good: int) -> bool:
    source.records += bad + good
    source.refused += bad
    if source.records > RECORDS_KEPT:
        fade = RECORDS_KEPT / source.records
        source.records *= fade
        source.refused *= fade
    # The order of the records within a commit is unknown. One accepted record resets the count.
    source.in_a_row = 0 if good else source.in_a_row + bad
    if source.in_a_row > IN_A_ROW_MAX:
        return True
    share = source.refused / source.records if source.records >= RECORDS_MIN else 0.0
    if source.failing:
        return source.in_a_row > 0 or share > SHARE_RECOVERED
    return share > SHARE_MAX
