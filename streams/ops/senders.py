"""Which senders are failing: over a number of refused records in a row, or over a share of what they sent lately.

Owns the two limits and the memory of each source. Pure: no clock, no Kafka; time is counted in records. A failing source is
only told of: its records go on to the dead letters, and no shard ever stops for a sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

IN_A_ROW_MAX = 50
SHARE_MAX = 0.05
RECORDS_MIN = 100
"""Below so many records a share says nothing: one typing error among ten is no misconfiguration."""
RECORDS_KEPT = 1000
"""What lies further back counts less and less: a sender that mends its ways is well again after about so many records."""
SHARE_WELL = SHARE_MAX / 2
"""A source is well again only at half of its limit, so that one at the limit is not told of again and again."""
SOURCES_MAX = 100
OTHER = "other"
OURS = frozenset({"rule-failed", "killed-worker", "relay-misrouted"})
"""Codes that say nothing of the sender."""


@dataclass(slots=True)
class _Source:
    records: float = 0.0
    refused: float = 0.0
    in_a_row: int = 0
    failing: bool = False


class Senders:
    """What each source sent lately, and whether it is failing.

    At most `sources_max` sources are told apart: a sender that invents names must not fill the memory.
    """

    def __init__(self, sources_max: int = SOURCES_MAX) -> None:
        self._sources: dict[str, _Source] = {}
        self._sources_max = sources_max

    @property
    def failing(self) -> frozenset[str]:
        """The sources that are failing now."""
        return frozenset(name for name, source in self._sources.items() if source.failing)

    def take(self, refused: Mapping[tuple[str, str], int], accepted: Mapping[str, int]) -> dict[str, bool]:
        """Take what one commit did, refused {(code, source): records} and accepted {source: records}.

        Returns the sources that began to fail (True) or are well again (False).
        """
        bad: dict[str, int] = {}
        for (code, name), count in refused.items():
            if code not in OURS:
                bad[self._known(name)] = bad.get(self._known(name), 0) + count
        good: dict[str, int] = {}
        for name, count in accepted.items():
            good[self._known(name)] = good.get(self._known(name), 0) + count
        return dict(self._judged(bad.keys() | good.keys(), bad, good))

    def _judged(self, names: Iterable[str], bad: Mapping[str, int], good: Mapping[str, int]) -> Iterable[tuple[str, bool]]:
        for name in sorted(names):
            source = self._sources[name]
            failing = _judge(source, bad.get(name, 0), good.get(name, 0))
            if failing is not source.failing:
                source.failing = failing
                yield name, failing

    def _known(self, name: str) -> str:
        if name not in self._sources:
            if len(self._sources) >= self._sources_max:
                name = OTHER
            self._sources.setdefault(name, _Source())
        return name


def _judge(source: _Source, bad: int, good: int) -> bool:
    source.records += bad + good
    source.refused += bad
    if source.records > RECORDS_KEPT:
        fade = RECORDS_KEPT / source.records
        source.records *= fade
        source.refused *= fade
    # In which order a commit's records came is not known; one accepted among them breaks the row.
    source.in_a_row = 0 if good else source.in_a_row + bad
    if source.in_a_row > IN_A_ROW_MAX:
        return True
    share = source.refused / source.records if source.records >= RECORDS_MIN else 0.0
    if source.failing:
        return source.in_a_row > 0 or share > SHARE_WELL
    return share > SHARE_MAX
