"""One source as the agent of silent feeds sees it: its reports, its deadlines and the effects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agents.feeds.agent import load_rule
from agents.feeds.decide import FeedPolicy, apply_report, fire_deadline
from agents.feeds.reports import feed_key
from agents.feeds.rule import FeedOwners
from agents.feeds.state import Feed, pack, unpack
from streams.contract.effects import Effect, FeedHeard, GapState
from streams.contract.events import Millis

SOURCE = "urn:hospital:general"
KEY = feed_key(SOURCE)
POLICY = FeedPolicy(load_rule(), FeedOwners("interface-team/pool:interfaces", "operations/pool:ops"))
MINUTE, HOUR, DAY, WEEK = 60_000, 3_600_000, 86_400_000, 7 * 86_400_000
MONDAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1000


class Watched:
    """One source as the agent sees it. Deadlines fire before a later report."""

    def __init__(self, policy: FeedPolicy = POLICY) -> None:
        self.feed: Feed | None = None
        self.effects: list[Effect] = []
        self._policy = policy
        self._count = 0

    def heard(self, *ats: int, reported: int | None = None) -> Watched:
        for at in ats:
            now = reported or at
            self.until(now)
            self._count += 1
            self._take(apply_report(self._fresh(), FeedHeard(SOURCE, Millis(at)), KEY, Millis(now), f"c{self._count}", policy=self._policy))
        return self

    def every(self, minutes: int, begin: int, end: int) -> Watched:
        return self.heard(*range(begin, end, minutes * MINUTE))

    def until(self, at: int) -> Watched:
        """Fire the deadlines before *at*."""
        while self.feed is not None and self.feed.due and self.feed.due < at:
            self._take(fire_deadline(self._fresh() or self.feed, KEY, policy=self._policy))
        return self

    def _fresh(self) -> Feed | None:
        return None if self.feed is None else unpack(pack(self.feed))

    def _take(self, decision: tuple[Feed | None, tuple[Effect, ...]]) -> None:
        self.feed, effects = decision
        self.effects.extend(effects)

    def of(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def opened(self) -> list[int]:
        return [gap.at for gap in self.of(GapState) if gap.state == "open" and gap.step == 1]


def silent() -> Watched:
    return Watched().every(10, MONDAY, MONDAY + 8 * HOUR + 1)


LIMIT = MONDAY + 8 * HOUR + 31 * MINUTE
