"""The changed fetcher of aiokafka never sleeps while there are records to fetch."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.structs import TopicPartition

from streams.kafka import faust_transport as transport

PLACE = TopicPartition("t", 0)


async def test_a_fetch_that_ends_while_the_assignment_changes_does_not_prevent_the_next_fetch(monkeypatch):
    asked: list[int] = []
    answers: list[asyncio.Future[None]] = []

    async def fetched(self: Fetcher, assignment: Any, node_id: int, request: Any) -> bool:
        asked.append(id(assignment))
        answers.append(asyncio.get_running_loop().create_future())
        with contextlib.suppress(asyncio.CancelledError):
            await answers[-1]
        return False

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", fetched)
    monkeypatch.setattr(Fetcher, "_select_read_replica", lambda self, tp: 1)
    subscription = SubscriptionState()
    subscription.subscribe({"t"})
    subscription.assign_from_subscribed([PLACE])
    subscription.seek(PLACE, 0)
    fetcher = Fetcher(AIOKafkaClient(), subscription)
    thread = transport._Thread.__new__(transport._Thread)
    thread._ensure_consumer = lambda: SimpleNamespace(_closed=False, _fetcher=fetcher, _subscription=subscription)
    thread.consumer = SimpleNamespace(flow_active=True)
    await asyncio.sleep(0.01)
    assert len(asked) == 1

    # In one turn of the event loop the answer arrives, then the assignment changes. The fetch is done, but not yet known to be.
    loop = asyncio.get_running_loop()
    loop.call_soon(answers[0].set_result, None)
    loop.call_soon(subscription.assign_from_subscribed, [PLACE])
    await asyncio.sleep(0.01)
    subscription.seek(PLACE, 0)
    await asyncio.sleep(0.01)
    await thread.fetch({PLACE}, 0.02, lambda: True)
    await asyncio.sleep(0.01)

    assert len(asked) == 2, "the new assignment is fetched"
    await fetcher.close()


async def test_a_fetch_that_outlasts_its_assignment_keeps_its_records_for_the_next_assignment(monkeypatch):
    drained: list[int] = []
    monkeypatch.setattr(transport, "drain", lambda *_: drained.append(epoch) or [])
    loop = asyncio.get_running_loop()
    fetcher = SimpleNamespace(_closed=False, _create_fetch_waiter=loop.create_future, _notify=lambda _: None, _wait_consume_future=None)
    thread = transport._Thread.__new__(transport._Thread)
    thread._ensure_consumer = lambda: SimpleNamespace(_closed=False, _fetcher=fetcher, _subscription=SubscriptionState())
    thread.consumer = SimpleNamespace(flow_active=True)
    epoch = 1
    fetching = asyncio.create_task(thread.fetch({PLACE}, 5, lambda: epoch == 1))
    await asyncio.sleep(0.01)

    # Released and opened again while it waits for records, which then arrive.
    epoch = 3
    thread._finish_waiting()

    assert await asyncio.wait_for(fetching, 1) == []
    assert drained == [1]
