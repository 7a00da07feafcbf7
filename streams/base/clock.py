"""Conversion between broker time and story time.

In production the two are equal. A demonstration uses an accelerated clock, so that a deadline two business days away
is due within a minute. Rules see only story time. Kafka and the operating system give broker time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from streams.contract.events import Millis


@dataclass(frozen=True, slots=True)
class Clock:
    """A linear mapping: `story = story_origin + (broker - broker_origin) * speed`. Origins are in milliseconds."""

    broker_origin: int = 0
    story_origin: int = 0
    speed: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Parse `broker_origin,story_origin,speed` (ms, ms, factor). An empty text means real time.

        Raises ValueError if *text* has another form or the speed is not greater than 0.
        """
        if not text.strip():
            return cls()
        parts = text.split(",")
        if len(parts) != 3:
            raise ValueError(f"clock {text!r} must be broker_origin_ms,story_origin_ms,speed")
        clock = cls(int(parts[0]), int(parts[1]), float(parts[2]))
        if clock.speed <= 0:
            raise ValueError(f"clock {text!r} must have a speed greater than 0")
        return clock

    def __str__(self) -> str:
        return f"{self.broker_origin},{self.story_origin},{self.speed:g}"

    @property
    def real(self) -> bool:
        """Return whether story time equals broker time."""
        return self == Clock()

    def to_story(self, broker_ms: int) -> Millis:
        if self.speed == 1.0:
            return Millis(broker_ms - self.broker_origin + self.story_origin)
        return Millis(self.story_origin + int((broker_ms - self.broker_origin) * self.speed))

    def to_broker(self, story_ms: int) -> int:
        if self.speed == 1.0:
            return story_ms - self.story_origin + self.broker_origin
        return self.broker_origin + int((story_ms - self.story_origin) / self.speed)

    def now(self) -> Millis:
        """Return the current story time, from this machine's clock."""
        return self.to_story(int(time.time() * 1000))
