"""Partition i of all inbound topics is assigned to one worker, in whatever order Faust lists the topics and the workers."""

from __future__ import annotations

import itertools

from streams.kafka.faust_transport import Assignor

TOPICS = ("care.team.v1", "care.admission.v1", "care.discharge.v1", "care.relay.v1")


def test_topics_of_one_set_of_subscribers_are_one_group():
    for order in itertools.permutations(("w1", "w2", "w3")):
        groups = list(Assignor._group_co_subscribed(set(TOPICS), {worker: list(TOPICS) for worker in order}))

        assert groups == [set(TOPICS)]


def test_topics_of_other_subscribers_are_another_group():
    found = Assignor._group_co_subscribed({"a", "b", "c"}, {"w1": ["a", "b", "c"], "w2": ["b", "a"]})

    assert sorted(map(sorted, found)) == [["a", "b"], ["c"]]
