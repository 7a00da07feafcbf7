"""Going on one step at a time: how what ends the process is found among the records and deadlines of a shard, and set aside.

Owns when a shard is isolated, the markers that say what is tried, and when one of them is given up. Must not know what a
record means, nor how anything is written: the worker commits what it is given.

A worker may also be killed from outside at any moment, so one end proves nothing: a step is given up only when the process
ended `TRIES_MAX` times while that step was tried alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

import structlog

from streams.contract.record import Out
from streams.shard.agent import Outbox
from streams.shard.claims import ATTEMPT, TRYING
from streams.shard.shard import Shard
from streams.shard.state_log import StateLog

log = structlog.get_logger()

ISOLATED_AFTER = 2
"""Unclean ends without progress after which a shard goes on one step at a time."""
TRIES_MAX = 2
STEPS = 100
"""After so many steps without an end the shard goes on as usual."""
DEADLINE = "deadline/"
"""Begins the marker of a deadline that is tried; a topic's name holds no slash."""


def attempt(state: StateLog, positions: Mapping[str, int]) -> tuple[int, list[Out]]:
    """Return how many workers in a row ended uncleanly without progress, and what is to be written of it."""
    digest = hashlib.sha1(repr(sorted(positions.items())).encode(), usedforsecurity=False).hexdigest()[:16]
    if not state.fenced:
        return 0, []
    count, before = state.attempt
    count = count + 1 if digest == before else 1
    return count, [Out(ATTEMPT, b"%d %s" % (count, digest.encode()))]


def isolation_of(state: StateLog, attempts: int) -> Isolation | None:
    """Return how the shard that was read goes on in isolation, or None where it need not."""
    if attempts >= ISOLATED_AFTER or (state.fenced and state.trying is not None):
        log.error("shard_isolated", shard=state.number, attempt=attempts)
        return Isolation(state.trying)
    return None


class Isolation:
    """The next steps of a shard, each alone."""

    def __init__(self, suspect: tuple[str, int, int] | None) -> None:
        self._left = STEPS
        self._suspect = suspect

    @property
    def done(self) -> bool:
        return self._left <= 0

    async def step(self, shard: Shard, out: Outbox, mark: Callable[[Out], Awaitable[None]]) -> list[Out]:
        """Apply one record or fire one deadline of *shard* into *out*; return the state records to commit with it.

        `mark` commits a record of the state topic before the step begins. It stands until the step itself is committed.
        """
        until = shard.step_until
        due, head = shard.deadline_before(until), shard.head()
        step = (f"{DEADLINE}{due[1].decode()}", int(due[0])) if due is not None else head
        if step is None:
            return shard.changes()
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
        if due is not None and suspected:
            shard.set_aside_deadline(until, out)
        elif due is not None:
            shard.fire(until, 1, out)
        elif suspected:
            shard.set_aside(*step, out)
        else:
            shard.apply(out, 1, 0)
        self._left -= 1
        state = [*shard.changes(), Out(TRYING, None)]
        return [*state, Out(ATTEMPT, None)] if self.done else state
