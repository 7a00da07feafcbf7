"""Isolation: apply the records and deadlines of a shard one at a time, to find the one that ends the process, and skip it.

Owns when a shard is isolated, the markers of the step in progress, and when a step is skipped. Does not know what a record
means or how a record is written: the worker commits the returned records.

A worker may be killed from outside at any time, so one crash does not prove that a step is the cause. A step is skipped
only after the process has ended `TRIES_MAX` times while it ran that step alone.
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
"""The number of consecutive crashes without progress after which a shard is isolated."""
TRIES_MAX = 2
STEPS = 100
"""Isolation ends after this number of steps without a crash."""
DEADLINE = "deadline/"
"""The prefix of the marker of a deadline. A topic name cannot contain a slash."""


def attempt(state: StateLog, positions: Mapping[str, int]) -> tuple[int, list[Out]]:
    """Return how many workers in a row crashed without progress at *positions*, and the state records that store this count."""
    digest = hashlib.sha1(repr(sorted(positions.items())).encode(), usedforsecurity=False).hexdigest()[:16]
    if not state.fenced:
        return 0, []
    count, before = state.attempt
    count = count + 1 if digest == before else 1
    return count, [Out(ATTEMPT, b"%d %s" % (count, digest.encode()))]


def isolation_of(state: StateLog, attempts: int) -> Isolation | None:
    """Return the isolation of a shard that has just been opened, or None if it does not need one."""
    if attempts >= ISOLATED_AFTER or (state.fenced and state.trying is not None):
        log.error("shard_isolated", shard=state.number, attempt=attempts)
        return Isolation(state.trying)
    return None


class Isolation:
    """Applies the next steps of a shard, each in its own transaction."""

    def __init__(self, suspect: tuple[str, int, int] | None) -> None:
        self._left = STEPS
        self._suspect = suspect

    @property
    def done(self) -> bool:
        return self._left <= 0

    async def step(self, shard: Shard, out: Outbox, mark: Callable[[Out], Awaitable[None]]) -> list[Out]:
        """Apply one record or fire one deadline of *shard* into *out*; return the state records to commit with it.

        `mark` commits a state record, the marker, before the step begins. The commit of the step deletes the marker.
        """
        until = shard.step_until
        due, head = shard.deadline_before(until), shard.head()
        step = (f"{DEADLINE}{due[1].decode()}", int(due[0])) if due is not None else head
        if step is None:
            return shard.changes()
        tries = 0
        # Keep the suspect if this is another step: after a restart, a suspected deadline may become due only after other steps.
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
