"""The claim protocol, explored exhaustively: every interleaving of workers that may each believe that they own the shard.

The model consists of a partition of the state topic and its transaction coordinator. The real `next_step` decides what a
claimant does. A worker may at any time be assigned the shard, be interrupted while it opens, be paused (it then takes no
step), or lose its open transaction to the coordinator's time limit. The model searches for a committed record that was not
decided on the newest committed record (a lost update), for a claimant that cannot continue although all others are paused,
and for workers that end each other until none is left.

A size gives for each worker how often it may open and how many records it may write. The default sizes run in a few seconds;
CARERELAY_MODEL="((2, 1), (1, 1), (1, 1))," adds a larger one.
"""

from __future__ import annotations

import ast
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from streams.shard.claims import Act, Step, next_step

# Kinds of records in the log. A claim or a tombstone also has the number of the worker whose claim it is.
CLAIM, TOMBSTONE, STATE = "claim", "tombstone", "state"
# Their statuses: open; decided by the coordinator, but without a marker in the log; committed; aborted.
OPEN, PREPARED, COMMITTED, ABORTED = "open", "prepared", "committed", "aborted"
# What a worker is doing.
IDLE, CLAIMING, LOOKING, BURYING, SERVING, WRITING, RELEASING, ENDED = (
    "idle",
    "claiming",
    "looking",
    "burying",
    "serving",
    "writing",
    "releasing",
    "ended",
)


class Written(NamedTuple):
    kind: str
    whose: int
    by: int
    status: str


class Worker(NamedTuple):
    doing: str
    opens: int
    records: int
    fenced: bool = False
    """Another worker uses its transactional id, so its writes fail. It does not know that yet."""
    has_fenced: frozenset[int] = frozenset()
    has_buried: frozenset[int] = frozenset()
    end: int = -1
    """The end of the log, as looked up before the last stable offset. It may be out of date."""
    basis: int = -1
    """The newest state that it has read."""


class State(NamedTuple):
    log: tuple[Written, ...]
    workers: tuple[Worker, ...]


class LostUpdate(AssertionError):  # noqa: N818 -- the names say what the model found
    pass


class Stuck(AssertionError):  # noqa: N818
    pass


class NobodyLeft(AssertionError):  # noqa: N818
    pass


Protocol = Callable[..., Step]


def stable_end(log: tuple[Written, ...]) -> int:
    return next((n for n, record in enumerate(log) if record.status in (OPEN, PREPARED)), len(log))


def newest_state(log: tuple[Written, ...], below: int) -> int:
    return max((n for n in range(below) if log[n].kind == STATE and log[n].status == COMMITTED), default=-1)


def claims_below(log: tuple[Written, ...], below: int) -> dict[str, int]:
    claims: dict[str, int] = {}
    for n in range(below):
        record = log[n]
        if record.status == COMMITTED:
            if record.kind == CLAIM:
                claims[str(record.whose)] = n
            elif record.kind == TOMBSTONE:
                claims.pop(str(record.whose), None)
    return claims


class Model:
    """All states that can be reached, and what each worker can do in them."""

    def __init__(self, size: tuple[tuple[int, int], ...], protocol: Protocol = next_step) -> None:
        self.protocol = protocol
        self.interrupted = max(opens for opens, _ in size) > 1
        self.start = State((), tuple(Worker(IDLE, opens, records) for opens, records in size))
        self.seen: set[State] = {self.start}

    def explore(self) -> Model:
        todo = deque([self.start])
        while todo:
            state = todo.popleft()
            for after in self.steps(state):
                if after not in self.seen:
                    self.seen.add(after)
                    todo.append(after)
        return self

    # ---- what can happen next

    def steps(self, state: State) -> Iterator[State]:
        for me, worker in enumerate(state.workers):
            if worker.doing == ENDED:
                continue
            if me and state.workers[me - 1] == self.start.workers[me - 1] == worker:
                # Workers are interchangeable. Of those that have done nothing yet, only the first needs to be tried.
                break
            yield from self.steps_of(state, me)
            if worker.doing == LOOKING and self.interrupted:
                # Another rebalance: the worker releases its claim, or is cancelled before it can.
                yield from self.begins(state, me, RELEASING, (TOMBSTONE, me))
                yield self.put(state, me, doing=IDLE)
        for n, record in enumerate(state.log):
            if record.status == PREPARED:
                yield self.mark(state, n, COMMITTED)

    def steps_of(self, state: State, me: int) -> Iterator[State]:
        """Yield the possible states after the next action of worker *me*."""
        worker = state.workers[me]
        match worker.doing:
            case "idle":
                if worker.opens:
                    yield from self.begins(state, me, CLAIMING, (CLAIM, me), opens=worker.opens - 1)
            case "claiming" | "burying" | "writing" | "releasing":
                yield from self.commits(state, me)
            case "looking":
                yield from self.looks(state, me)
            case "serving":
                if worker.records:
                    yield from self.begins(state, me, WRITING, (STATE, me), records=worker.records - 1)
                yield from self.begins(state, me, RELEASING, (TOMBSTONE, me))

    def begins(self, state: State, me: int, doing: str, *written: tuple[str, int], **changes: int | frozenset[int]) -> Iterator[State]:
        """Write records in a new transaction. The coordinator allows none before the markers of the previous one are written."""
        if any(record.by == me and record.status == PREPARED for record in state.log):
            return
        if state.workers[me].fenced:
            yield self.put(state, me, doing=ENDED)
            return
        log = state.log + tuple(Written(kind, whose, me, OPEN) for kind, whose in written)
        yield self.put(State(log, state.workers), me, doing=doing, **changes)

    def commits(self, state: State, me: int) -> Iterator[State]:
        worker = state.workers[me]
        mine = [n for n, record in enumerate(state.log) if record.by == me and record.status == OPEN]
        if worker.fenced or not mine:
            yield self.put(state, me, doing=ENDED)
            return
        if worker.doing == WRITING and newest_state(tuple(decided(state.log)), len(state.log)) != worker.basis:
            raise LostUpdate(describe(state, me))
        after = state
        for n in mine:
            after = self.mark(after, n, PREPARED)
        doing = {CLAIMING: LOOKING, BURYING: LOOKING, WRITING: SERVING, RELEASING: IDLE}[worker.doing]
        yield self.put(
            after,
            me,
            doing=doing,
            end=len(after.log) if doing == LOOKING else -1,
            basis=mine[-1] if worker.doing == WRITING else worker.basis,
        )

    def looks(self, state: State, me: int) -> Iterator[State]:
        """Read to the last stable offset, and do what the protocol requires."""
        worker = state.workers[me]
        stable = stable_end(state.log)
        step = self.protocol(
            str(me),
            claims_below(state.log, stable),
            fenced=[str(n) for n in worker.has_fenced],
            tombstoned=[str(n) for n in worker.has_buried],
            passed=any(r.kind == CLAIM and r.whose == me and r.status == COMMITTED for r in state.log[:stable]),
            stable=stable >= worker.end,
            waited_enough=True,
        )
        names = [int(name) for name in step.names]
        match step.act:
            case Act.LOST:
                yield self.put(state, me, doing=ENDED)
            case Act.OPEN:
                yield self.put(state, me, doing=SERVING, end=-1, basis=newest_state(state.log, stable))
            case Act.READ:
                yield self.put(state, me, end=len(state.log))
            case Act.FENCE:
                yield self.fences(state, me, names[0])
            case Act.WRITE_TOMBSTONES:
                yield from self.begins(state, me, BURYING, *((TOMBSTONE, n) for n in names), has_buried=worker.has_buried | set(names))

    def fences(self, state: State, me: int, other: int) -> State:
        """InitProducerId with the other's id: an open transaction is aborted, and the marker of a decided one is written first."""
        log = tuple(
            record._replace(status={OPEN: ABORTED, PREPARED: COMMITTED}.get(record.status, record.status)) if record.by == other else record
            for record in state.log
        )
        after = self.put(State(log, state.workers), other, fenced=True)
        return self.put(after, me, end=len(log), has_fenced=after.workers[me].has_fenced | {other})

    @staticmethod
    def mark(state: State, n: int, status: str) -> State:
        return State((*state.log[:n], state.log[n]._replace(status=status), *state.log[n + 1 :]), state.workers)

    @staticmethod
    def put(state: State, me: int, **changes: object) -> State:
        workers = state.workers
        return State(state.log, (*workers[:me], workers[me]._replace(**changes), *workers[me + 1 :]))

    # ---- what must be true in every state

    def nobody_is_stuck(self) -> None:
        """From every state each opener can finish, even if all others are paused forever: the coordinator ends their transactions."""
        good: set[tuple[State, int]] = set()
        for state in self.seen:
            for me, worker in enumerate(state.workers):
                if worker.doing in (LOOKING, BURYING, CLAIMING):
                    self._gets_on(state, me, good)

    def _gets_on(self, state: State, me: int, good: set[tuple[State, int]]) -> None:
        path: list[tuple[State, int]] = []
        while state.workers[me].doing not in (SERVING, ENDED) and (state, me) not in good:
            path.append((state, me))
            after = next(self.steps_of(state, me), state)
            if after == state:
                after = self.left_alone(state, me)
            if after == state or len(path) > 100:
                raise Stuck(describe(state, me))
            state = after
        good.update(path)

    def left_alone(self, state: State, me: int) -> State:
        """Return the state after the transactions' time limit: decided ones are committed, and open ones of other workers are aborted."""
        for n, record in enumerate(state.log):
            if record.status == PREPARED:
                state = self.mark(state, n, COMMITTED)
            elif record.status == OPEN and record.by != me:
                state = self.put(self.mark(state, n, ABORTED), record.by, fenced=True)
        return state

    def somebody_is_left(self) -> None:
        """A worker ends only because another one continues."""
        for state in self.seen:
            if all(worker.doing == ENDED or worker.fenced for worker in state.workers):
                raise NobodyLeft(describe(state, -1))


def decided(log: tuple[Written, ...]) -> Iterator[Written]:
    """A decided transaction counts as committed, because nothing can abort it."""
    for record in log:
        yield record._replace(status=COMMITTED) if record.status == PREPARED else record


def describe(state: State, me: int) -> str:
    log = "\n".join(f"  {n} {record.kind} of {record.whose} by {record.by}: {record.status}" for n, record in enumerate(state.log))
    return f"worker {me}\n{log}\n" + "\n".join(f"  {worker}" for worker in state.workers)


ALIKE = ((1, 1), (1, 1), (1, 1))
"""Three workers, each of which is assigned the shard once."""
AGAIN = ((2, 1), (2, 1))
"""Two workers that are assigned the shard twice, and are interrupted while they open."""
LARGER: tuple[tuple[tuple[int, int], ...], ...] = ast.literal_eval(os.environ.get("CARERELAY_MODEL", "()"))


@pytest.mark.parametrize("size", [ALIKE, AGAIN, *LARGER], ids=str)
def test_no_update_is_lost_and_nobody_is_stuck(size):
    model = Model(size).explore()

    model.nobody_is_stuck()
    assert any(worker.doing == SERVING and worker.basis >= 0 for state in model.seen for worker in state.workers)


def test_workers_that_open_once_never_end_each_other_until_none_is_left():
    Model(ALIKE).explore().somebody_is_left()


# ---- the protocol without one of its points: the model must find the fault


def without_fence(me: str, claims: Mapping[str, int], **known: Any) -> Step:
    return next_step(me, claims, **known | {"fenced": list(claims)})


def without_last_claim_wins(me: str, claims: Mapping[str, int], **known: Any) -> Step:
    earlier = {name: -at if name != me else at for name, at in claims.items()}
    return next_step(me, earlier, **known)


def without_stable_end(me: str, claims: Mapping[str, int], **known: Any) -> Step:
    return next_step(me, claims, **known | {"stable": True})


def without_either_barrier(me: str, claims: Mapping[str, int], **known: Any) -> Step:
    """Open as soon as all others are fenced, whatever lies between their last record and the end."""
    left = {name: at for name, at in claims.items() if name not in known["fenced"]}
    return next_step(me, left, **known | {"stable": True})


def without_an_end_for_the_buried(me: str, claims: Mapping[str, int], **known: Any) -> Step:
    return next_step(me, claims, **known | {"passed": me in claims})


@pytest.mark.parametrize(
    ("protocol", "size"),
    [(without_fence, ALIKE), (without_stable_end, AGAIN), (without_either_barrier, ALIKE)],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_the_model_finds_a_lost_update(protocol, size):
    with pytest.raises(LostUpdate):
        Model(size, protocol).explore()


def test_the_model_finds_that_workers_end_each_other_if_the_last_claim_does_not_win():
    with pytest.raises(NobodyLeft):
        Model(ALIKE, without_last_claim_wins).explore().somebody_is_left()


def test_the_model_finds_a_worker_that_waits_for_a_deleted_claim():
    with pytest.raises(Stuck):
        Model(ALIKE, without_an_end_for_the_buried).explore().nobody_is_stuck()
