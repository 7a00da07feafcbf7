"""Who owns a shard: the claim protocol.

A worker writes its claim into the shard's partition of the state topic, so ownership does not depend on the generations of
the consumer group. `next_step` is the whole protocol and is pure. `streams/kafka/opening.py` executes it on Kafka, and the
exhaustive model in the tests explores the same function.

The protocol, for a worker to which a shard was assigned:

1. Write a claim, which names the worker's transactional id, into the partition.
2. Read the partition with read_committed: state, positions, and the claims without a tombstone.
3. Fence every other claimant: call InitProducerId with its transactional id, which aborts its open transaction and makes
   its later writes fail. Then write a tombstone for its claim.
4. Repeat steps 2 and 3 until the worker's own claim is the only one left and the last stable offset is the end of the log.
   The worker's own claim and its tombstones are read barriers: once the worker has read them back, it has also read every
   record that was committed before them.
5. The last claim wins: if another worker's claim comes *after* the worker's own, the worker has lost the shard. It has
   also lost the shard if its own claim has a tombstone, because then another worker has fenced it.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import NamedTuple

CLAIM = b"\0claim/"
POSITION = b"\0position/"
ATTEMPT = b"\0attempt"
TRYING = b"\0trying"
"""Keys in the state topic that are not person keys. A person key begins with a letter."""


class Act(enum.Enum):
    """What a claimant does next."""

    LOST = "stop: another worker has claimed the shard later, or has written a tombstone for this worker's claim"
    FENCE = "fence the named claimants"
    WRITE_TOMBSTONES = "write tombstones for the named claims"
    READ = "continue to read"
    OPEN = "open the shard: this worker owns it and has read its whole state"


class Step(NamedTuple):
    act: Act
    names: tuple[str, ...] = ()


def next_step(
    me: str,
    claims: Mapping[str, int],
    *,
    fenced: Collection[str],
    tombstoned: Collection[str],
    passed: bool,
    stable: bool,
    waited_enough: bool,
) -> Step:
    """Return what the claimant *me* does next.

    Args:
        me: The claimant's transactional id.
        claims: The claims read so far that have no tombstone, {transactional id: offset}.
        fenced: The transactional ids that this claimant has fenced.
        tombstoned: The transactional ids for whose claims this claimant has written a tombstone.
        passed: Whether this claimant has read up to the offset of its own claim.
        stable: Whether the last stable offset is the end of the log, and everything below it is read.
        waited_enough: Whether this claimant has waited long enough for its own claim to become visible. Another worker's
            open transaction then hides the claim, and the claimants seen so far must be fenced first.
    """
    mine = claims.get(me)
    others = tuple(sorted(name for name in claims if name != me))
    if passed and (mine is None or any(claims[name] > mine for name in others)):
        return Step(Act.LOST)
    if others and (mine is not None or waited_enough):
        todo = tuple(name for name in others if name not in fenced)
        if todo:
            return Step(Act.FENCE, todo)
        todo = tuple(name for name in others if name not in tombstoned)
        if todo:
            return Step(Act.WRITE_TOMBSTONES, todo)
        return Step(Act.READ)
    if mine is not None and not others and stable:
        return Step(Act.OPEN)
    return Step(Act.READ)
