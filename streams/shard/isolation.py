"""Going on one step at a time: how what ends the process is found among the records and deadlines of a shard, and set aside.

Owns when a shard must be careful, the markers that say what is tried, and when one of them is given up. Must not know what a
record means, nor how anything is written: `streams/kafka/worker.py` commits what it returns.

A worker may also be killed from outside at any moment, so one end proves nothing: a step is given up only when the process
ended `TRIES_MAX` times while that step was tried alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

import structlog

from streams.kafka.opening import Reading
from streams.kafka.transactions import Out
from streams.shard.claims import ATTEMPT, TRYING
from streams.shard.shard import Shard

log = structlog.get_logger()

CAREFUL_AFTER = 2
"""Unclean ends without progress after which a shard goes on one step at a time."""
TRIES_MAX = 2
STEPS = 100
"""After so many steps without an end the shard goes on as usual."""
DEADLINE = "deadline/"
"""Begins the marker of a deadline that is tried; a topic's name holds no slash."""


def attempt(reading: Reading, positions: Mapping[str, int]) -> tuple[int, list[Out]]:
    """Return how many workers in a row ended uncleanly without progress, and what is to be written of it."""
    digest = hashlib.sha1(repr(sorted(positions.items())).encode(), usedforsecurity=False).hexdigest()[:16]
    if not reading.fenced:
        return 0, []
    count, before = reading.attempt
    count = count + 1 if digest == before else 1
    return count, [Out(ATTEMPT, b"%d %s" % (count, digest.encode()))]


def careful_of(reading: Reading, attempts: int) -> Careful | None:
    """Return how the shard that was read goes on carefully, or None where it need not."""
    if attempts >= CAREFUL_AFTER or (reading.fenced and reading.trying is not None):
        log.error("shard_careful", shard=reading.number, attempt=attempts)
        return Careful(reading.trying)
    return None


class Careful:
    """The next steps of a shard, each alone."""

    def __init__(self, suspect: tuple[str, int, int] | None) -> None:
        self._left = STEPS
        self._suspect = suspect

    @property
    def done(self) -> bool:
        return self._left <= 0

    async def step(self, shard: Shard, mark: Callable[[Out], Awaitable[None]]) -> tuple[dict[tuple[str, int], list[Out]], list[Out]]:
        """Apply one record or fire one deadline of *shard*; return what it publishes, and the state records to commit with it.

        `mark` commits a record of the state topic before the step begins. It stands until the step itself is committed.
        """
        due, head = shard.head_deadline(), shard.head()
        step = (f"{DEADLINE}{due[0].decode()}", int(due[1])) if due is not None else head
        if step is None:
            return {}, shard.changes()
        tries = 0
        # A deadline may come due again only after other steps.
        if self._suspect is not None and self._suspect[:2] == step:
            tries = self._suspect[2]
            self._suspect = None
        suspected = tries >= TRIES_MAX
        if suspected:
            log.error("record_set_aside", shard=shard.number, topic=step[0] if due is None else "deadline", offset=step[1])
        else:
            await mark(Out(TRYING, f"{step[0]} {step[1]} {tries + 1}".encode()))
        if due is not None:
            made = shard.set_aside_deadline() if suspected else shard.fire_one()
        else:
            made = shard.set_aside(*step) if suspected else shard.apply(1, 0)
        self._left -= 1
        state = [*shard.changes(), Out(TRYING, None)]
        return made, [*state, Out(ATTEMPT, None)] if self.done else state
