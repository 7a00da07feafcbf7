"""Who owns a shard: claims in the log.

Ownership is written into the shard's partition of the state topic, so it needs nothing of the consumer group's
generations. `next_step` is the whole protocol, pure; `streams/kafka/opening.py` carries it out on Kafka, and the exhaustive
model in the tests explores the same function.

The protocol, for one worker that was assigned a shard:

1. write a claim (its transactional id) into the partition;
2. read the partition, read_committed: state, positions and the claims that nobody released;
3. fence every other claimant seen (InitProducerId under its name: what it left open is aborted, what it still tries
   fails), and bury its claim with a tombstone;
4. go on until the only claim left is one's own and the last stable offset is the end of the log. The own claim and the
   tombstones are read barriers: once they are read back, nothing that was committed before them can be missing;
5. another's claim *after* one's own means that the shard was lost: the last claim wins. So does a tombstone for one's
   own claim: somebody fenced this worker.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import NamedTuple

CLAIM = b"\0claim/"
POSITION = b"\0position/"
ATTEMPT = b"\0attempt"
TRYING = b"\0trying"
"""Keys in the state topic beside those of persons; a person key begins with a letter."""


class Act(enum.Enum):
    """What a claimant does next."""

    LOST = "another claimed after me, or buried my claim: end"
    FENCE = "fence these claimants"
    BURY = "write tombstones for these claims"
    READ = "read on"
    OPEN = "the shard is mine and its state is whole"


class Step(NamedTuple):
    act: Act
    names: tuple[str, ...] = ()


def next_step(
    me: str,
    claims: Mapping[str, int],
    *,
    fenced: Collection[str],
    buried: Collection[str],
    passed: bool,
    stable: bool,
    patience_over: bool,
) -> Step:
    """Return what *me* does next.

    `claims` are the claims read so far that nobody released, {transactional id: offset}; `fenced` and `buried` are the
    names that I fenced and whose tombstones I wrote; `passed` says that my claim is among what was read; `stable` says
    that the last stable offset was the end of the log and all below it is read. `patience_over`: my own claim has not
    become visible for a while, so it hides behind somebody's open transaction, and those seen so far must be fenced
    before it can be read.
    """
    mine = claims.get(me)
    others = tuple(sorted(name for name in claims if name != me))
    if passed and (mine is None or any(claims[name] > mine for name in others)):
        return Step(Act.LOST)
    if others and (mine is not None or patience_over):
        todo = tuple(name for name in others if name not in fenced)
        if todo:
            return Step(Act.FENCE, todo)
        todo = tuple(name for name in others if name not in buried)
        if todo:
            return Step(Act.BURY, todo)
        return Step(Act.READ)
    if mine is not None and not others and stable:
        return Step(Act.OPEN)
    return Step(Act.READ)
