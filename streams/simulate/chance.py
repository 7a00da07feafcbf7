"""Reproducible random draws from a seed and a name, and random instants of local days.

Owns the conversion of a number of the model to a draw. Uses only `random()` of Python's Mersenne twister, and arithmetic
whose result is the same on every machine, so that the same arguments give the same bytes everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from streams.contract.events import Millis
from streams.simulate.model import Model, Profile

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_CHANCES = 64

T = TypeVar("T")


class Chance:
    """The random draws of one person or of one answer. They do not depend on other persons' draws."""

    def __init__(self, model: Model, *names: object) -> None:
        self._model = model
        self.draw = Random("|".join(map(str, names))).random  # noqa: S311 -- must be reproducible; not for security

    def happens(self, name: str, times: float = 1.0) -> bool:
        """Return True with the probability of the rate *name*, multiplied by *times*."""
        return self.draw() < self._model.rate(name) * times

    def share(self, share: float) -> bool:
        """Return True with the probability *share* (0 to 1)."""
        return self.draw() < share

    def span(self, name: str) -> float:
        """Draw from the distribution *name*, in its own unit."""
        return self.span_of(self._model.spread(name))

    def span_of(self, quantiles: Sequence[float]) -> float:
        """Draw from the distribution with these quantiles at equal steps, linear between them."""
        at = self.draw() * (len(quantiles) - 1)
        below = int(at)
        return quantiles[below] + (quantiles[below + 1] - quantiles[below]) * (at - below)

    def milliseconds(self, name: str) -> int:
        """Draw from the distribution *name*, whose name ends in its unit (seconds, hours, days). Whole seconds, at least one."""
        unit = {"seconds": 1000, "hours": HOUR_MS, "days": DAY_MS}[name.rpartition("_")[2]]
        return max(1000, int(self.span(name) * unit / 1000) * 1000)

    def count(self, mean: float) -> int:
        """Draw a number of occurrences with the mean *mean*: binomial, 64 trials with the probability mean / 64. Uses one draw."""
        if mean <= 0:
            return 0
        # A Poisson draw needs a logarithm or an exponential, whose last bit differs between machines. This needs only products.
        share = min(1.0, mean / _CHANCES)
        if share == 1.0:
            return _CHANCES
        likely = 1.0 - share
        for _ in range(6):  # 64 = 2 ** 6
            likely *= likely
        left, times = self.draw(), 0
        while left >= likely and times < _CHANCES:
            left -= likely
            likely *= (_CHANCES - times) / (times + 1) * (share / (1.0 - share))
            times += 1
        return times

    def one_of(self, choices: Sequence[T], weights: Sequence[int] | None = None) -> T:
        """Choose one of *choices*; *weights* are whole numbers."""
        if weights is None:
            return choices[int(self.draw() * len(choices))]
        sums = list(accumulate(weights))
        return choices[bisect_right(sums, int(self.draw() * sums[-1]))]

    def weighted(self, table: Mapping[str, int]) -> str:
        """Choose a key of *table*, whose values are the weights. The order of the table matters for reproducibility."""
        return self.one_of(list(table), list(table.values()))


class Days:
    """The local days of a time zone, from *first* on, and random instants in them."""

    def __init__(self, first: date, days: int, zone: str) -> None:
        self.first = first
        self.days = days
        tz = ZoneInfo(zone)
        self._midnights = [
            int(datetime(d.year, d.month, d.day, tzinfo=tz).astimezone(UTC).timestamp()) * 1000
            for d in (first + timedelta(days=n) for n in range(days))
        ]

    def instant(self, chance: Chance, profile: Profile) -> Millis:
        """Draw an instant with the weights of the weekdays and hours of *profile*."""
        sums = _weekday_sums(profile.weekdays, self.first.weekday(), self.days)
        day = bisect_right(sums, int(chance.draw() * sums[-1]))
        return self._at(day, chance, profile)

    def next_instant(self, chance: Chance, profile: Profile, after: Millis) -> Millis:
        """Draw an instant later than *after*, on the same local day or one of the next, with the weights of *profile*.

        Returns *after* itself if eight days in a row give none.
        """
        day = max(0, bisect_right(self._midnights, after) - 1)
        for _ in range(8):
            weekday = (self.first.weekday() + day) % 7
            if chance.draw() * max(profile.weekdays) < profile.weekdays[weekday]:
                at = self._at(day, chance, profile)
                if at > after:
                    return at
            day += 1
        return after

    def _at(self, day: int, chance: Chance, profile: Profile) -> Millis:
        hours = _sums(profile.hours)
        hour = bisect_right(hours, int(chance.draw() * hours[-1]))
        midnight = self._midnights[day] if day < self.days else self._midnights[-1] + (day - self.days + 1) * DAY_MS
        return Millis(midnight + hour * HOUR_MS + int(chance.draw() * 3600) * 1000)


@cache
def _sums(weights: tuple[int, ...]) -> list[int]:
    return list(accumulate(weights))


@cache
def _weekday_sums(weekdays: tuple[int, ...], first: int, days: int) -> list[int]:
    return list(accumulate(weekdays[(first + n) % 7] for n in range(days)))
