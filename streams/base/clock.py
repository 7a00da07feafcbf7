"""Broker time and story time: one function each way.

A worker in production runs on the broker's own time: the mapping is the identity. A demonstration declares an
accelerated clock, so that a deadline two business days away is seen within a minute. Every instant that rules see is
story time; every instant that Kafka or the operating system gives is broker time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from streams.contract.events import Millis


@dataclass(frozen=True, slots=True)
class Clock:
    """Map broker time onto story time: `story = story_origin + (broker - broker_origin) * speed`."""

    broker_origin: int = 0
    story_origin: int = 0
    speed: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Read `broker_origin,story_origin,speed` (ms, ms, factor); the empty text is the identity.

        Raises ValueError with what is wrong.
        """
        if not text.strip():
            return cls()
        parts = text.split(",")
        if len(parts) != 3:
            raise ValueError(f"clock {text!r}: want broker_origin_ms,story_origin_ms,speed")
        clock = cls(int(parts[0]), int(parts[1]), float(parts[2]))
        if clock.speed <= 0:
            raise ValueError(f"clock {text!r}: the speed must be above 0")
        return clock

    def __str__(self) -> str:
        return f"{self.broker_origin},{self.story_origin},{self.speed:g}"

    @property
    def real(self) -> bool:
        """Say whether story time is broker time."""
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
        """Return the story time that it is now by this machine's clock."""
        return self.to_story(int(time.time() * 1000))
