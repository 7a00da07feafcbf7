"""`carerelay positions` as an operator types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.contract.record import Out
from streams.contract.topics import GOAL, INBOUND, STATE
from streams.kafka.admin import create_topics
from streams.kafka.transactions import Writer
from streams.shard.claims import POSITION

ROOT = Path(__file__).parents[2]
PARTITIONS = 3


@pytest.fixture
async def bootstrap(kafka: str) -> str:
    await create_topics({"bootstrap_servers": kafka}, PARTITIONS, 1)
    return kafka


def positions(bootstrap: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap, "CARERELAY_PARTITIONS": str(PARTITIONS)}
    return subprocess.run(
        [sys.executable, "-m", "agents", "positions", *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


async def place(bootstrap: str, position: int) -> None:
    writer = Writer({"bootstrap_servers": bootstrap})
    await writer.write({(STATE.name, 0): [Out(POSITION + GOAL.name.encode(), b"%d 0" % position)]})
    await writer.stop()


async def test_a_position_outside_its_topic_is_shown_and_accepted(bootstrap):
    await place(bootstrap, 1_000_000)

    shown = positions(bootstrap, "show")
    assert shown.returncode == 1
    assert len(shown.stdout.splitlines()) == len(INBOUND) * PARTITIONS
    [outside] = [line for line in shown.stdout.splitlines() if "OUTSIDE" in line]
    assert GOAL.name in outside

    accepted = positions(bootstrap, "accept-loss", GOAL.name, "0")
    assert (accepted.returncode, accepted.stderr) == (0, "")
    assert f"{GOAL.name}/0: position moved from 1000000 to 0" in accepted.stdout
    assert positions(bootstrap, "show").returncode == 0

    again = positions(bootstrap, "accept-loss", GOAL.name, "0")
    assert "nothing was changed" in again.stdout


async def test_what_is_no_inbound_partition_is_named_and_nothing_is_claimed(bootstrap):
    topic = positions(bootstrap, "accept-loss", "care.nowhere.v1", "0")
    assert (topic.returncode, topic.stdout) == (2, "")
    assert "care.nowhere.v1 is not an inbound topic" in topic.stderr

    partition = positions(bootstrap, "accept-loss", GOAL.name, "3")
    assert partition.returncode == 2
    assert "partition 3 does not exist" in partition.stderr


def test_a_kafka_that_does_not_answer_is_one_line():
    said = positions("127.0.0.1:9", "show")

    assert said.returncode == 3
    assert len(said.stderr.splitlines()) == 1
