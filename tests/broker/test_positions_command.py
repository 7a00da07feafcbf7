"""`carerelay positions`, called as by an operator."""

from __future__ import annotations

import pytest
from command import Done, run_command_in_thread

from streams.contract.record import Out
from streams.contract.topics import GOAL, INBOUND, STATE
from streams.kafka.admin import create_topics
from streams.kafka.transactions import Writer
from streams.shard.claims import POSITION

PARTITIONS = 3


@pytest.fixture
async def bootstrap(kafka: str) -> str:
    await create_topics({"bootstrap_servers": kafka}, PARTITIONS, 1)
    return kafka


async def positions(bootstrap: str, *arguments: str) -> Done:
    return await run_command_in_thread("positions", *arguments, KAFKA_BOOTSTRAP=bootstrap, CARERELAY_PARTITIONS=str(PARTITIONS))


async def place(bootstrap: str, position: int) -> None:
    writer = Writer({"bootstrap_servers": bootstrap})
    await writer.write({(STATE.name, 0): [Out(POSITION + GOAL.name.encode(), b"%d 0" % position)]})
    await writer.stop()


async def test_a_position_outside_its_topic_is_shown_and_accepted(bootstrap):
    await place(bootstrap, 1_000_000)

    shown = await positions(bootstrap, "show")
    assert shown.code == 1
    assert len(shown.stdout.splitlines()) == len(INBOUND) * PARTITIONS
    [outside] = [line for line in shown.stdout.splitlines() if "OUTSIDE" in line]
    assert GOAL.name in outside

    accepted = await positions(bootstrap, "accept-loss", GOAL.name, "0")
    assert (accepted.code, accepted.stderr) == (0, "")
    assert f"{GOAL.name}/0: position moved from 1000000 to 0" in accepted.stdout
    assert (await positions(bootstrap, "show")).code == 0

    again = await positions(bootstrap, "accept-loss", GOAL.name, "0")
    assert "nothing was changed" in again.stdout


async def test_partition_that_does_not_exist_is_named_and_nothing_is_claimed(bootstrap):
    topic = await positions(bootstrap, "accept-loss", "care.nowhere.v1", "0")
    assert (topic.code, topic.stdout) == (2, "")
    assert "care.nowhere.v1 is not an inbound topic" in topic.stderr

    partition = await positions(bootstrap, "accept-loss", GOAL.name, "3")
    assert partition.code == 2
    assert "partition 3 does not exist" in partition.stderr


async def test_a_kafka_that_does_not_answer_is_one_line():
    said = await positions("127.0.0.1:9", "show")

    assert said.code == 3
    assert len(said.stderr.splitlines()) == 1
