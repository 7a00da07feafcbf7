"""The environment of the tests on a real Kafka: topics for each test, workers as processes, and readers of committed records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from counting import PARTITIONS, Counted, Line, Topics, decode, lines_of
from reading import read_all

from streams.contract.person_key import partition_of
from streams.local.child import Child
from streams.shard.claims import CLAIM, POSITION

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LONG_S = 60.0
"""A limit for a busy machine. Normally nothing waits so long."""


def person_of(shard: int, nth: int = 0, partitions: int = PARTITIONS) -> bytes:
    """Return the nth key that hashes to *shard*."""
    keys = (key for key in (f"p{n}".encode() for n in range(100_000)) if partition_of(key, partitions) == shard)
    for _ in range(nth):
        next(keys)
    return next(keys)


def event(identity: str, **more: Any) -> bytes:
    return json.dumps({"id": identity, **more}).encode()


class WorkerProcess:
    """A worker in its own process. Its log goes to a file."""

    def __init__(self, name: str, folder: Path, arguments: dict[str, Any]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as out:
            command = [sys.executable, str(HERE / "counting_worker.py"), json.dumps(arguments)]
            self._child = Child(command, output=out, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"})

    @property
    def code(self) -> int | None:
        return self._child.exit_code

    @property
    def alive(self) -> bool:
        return self.code is None

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.signal(number)

    def kill(self) -> None:
        """Kill it, as a crash would, even if it is paused."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        # Also if it has ended by itself, because this closes the pipe of its supervisor.
        self._child.stop()

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def said(self, event_name: str) -> list[dict[str, Any]]:
        """Return the lines of its log for one event."""
        found = []
        for line in self.log.read_bytes().decode(errors="replace").splitlines():
            if line.startswith("{"):
                try:
                    fields = json.loads(line)
                except ValueError:
                    continue
                if fields.get("event") == event_name:
                    found.append(fields)
        return found

    @property
    def shards(self) -> set[int]:
        """The shards that it opened last; none after it has released them."""
        opened, released = self.said("shards_opened"), self.said("shards_released")
        return set(opened[-1]["shards"]) if opened and self.alive and len(released) < len(opened) else set()

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Stage:
    """The topics, the publisher and the workers of one test."""

    def __init__(self, bootstrap: str, folder: Path, partitions: int = PARTITIONS) -> None:
        self.bootstrap = bootstrap
        self.kafka = {"bootstrap_servers": bootstrap}
        self.folder = folder
        self.partitions = partitions
        self.run = f"t{uuid.uuid4().hex[:10]}"
        self.topics = Topics.of(self.run)
        self.workers: list[WorkerProcess] = []
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        await self.create(*self.topics)
        self._producer = AIOKafkaProducer(**self.kafka, acks="all", enable_idempotence=True, request_timeout_ms=60_000)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
        if self._producer is not None:
            await self._producer.stop()
        admin = await self._admin()
        try:
            await admin.delete_topics(list(self.topics))
        finally:
            await admin.close()

    # ---- topics

    async def _admin(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(**self.kafka)
        await admin.start()
        return admin

    async def create(self, *names: str, partitions: int | None = None) -> None:
        admin = await self._admin()
        try:
            config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(4 << 20)}
            await admin.create_topics([NewTopic(n, partitions or self.partitions, 1, topic_configs=config) for n in names])
            while set(names) - set(await admin.list_topics()):  # noqa: ASYNC110 -- the broker sends no signal
                await asyncio.sleep(0.05)
        finally:
            await admin.close()

    async def delete(self, *names: str) -> None:
        admin = await self._admin()
        try:
            await admin.delete_topics(list(names))
            while set(names) & set(await admin.list_topics()):  # noqa: ASYNC110 -- the broker sends no signal
                await asyncio.sleep(0.05)
        finally:
            await admin.close()

    # ---- publishing

    async def publish(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> int:
        """Publish one record, wait until Kafka confirms it, and return its offset."""
        assert self._producer is not None
        shard = partition if partition is not None else partition_of(key or b"", self.partitions)
        metadata = await self._producer.send_and_wait(topic, value, key=key, partition=shard, headers=list(headers))
        return int(metadata.offset)

    async def publish_many(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        assert self._producer is not None
        sent = [await self._producer.send(topic, value, key=key, partition=partition_of(key, self.partitions)) for key, value in records]
        await asyncio.gather(*sent)

    # ---- workers

    def successor(self, **more: Any) -> WorkerProcess:
        """Start a worker in a consumer group of its own. It is assigned all partitions, even if another worker owns the shards.

        So only the claims decide who owns the shards. With one group, Kafka would notice a killed worker only after seconds.
        """
        return self.worker(group=f"{self.run}-g{len(self.workers)}", **more)

    def worker(self, **more: Any) -> WorkerProcess:
        """Start a worker."""
        name = f"w{len(self.workers)}"
        arguments = {
            "bootstrap": self.bootstrap,
            "run": self.run,
            "folder": str(self.folder / f"{self.run}-{name}"),
            "partitions": self.partitions,
        }
        worker = WorkerProcess(f"{self.run}-{name}", self.folder, arguments | more)
        self.workers.append(worker)
        return worker

    @property
    def logs(self) -> str:
        return "\n".join(f"--- {w.name} (exit {w.code})\n{w.text()[-3000:]}" for w in self.workers)

    async def until(self, true: Callable[[], Any | Awaitable[Any]], what: str, seconds: float = LONG_S) -> Any:
        """Wait until *true* returns a true value, and return that. Raises AssertionError with the workers' logs."""
        deadline = time.monotonic() + seconds
        while True:
            said = true()
            if isinstance(said, Awaitable):
                said = await said
            if said:
                return said
            assert time.monotonic() < deadline, f"{what}: not reached within {seconds:.0f} s\n{self.logs}"
            await asyncio.sleep(0.1)

    # ---- reading

    async def read(self, topic: str, isolation: str = "read_committed", partitions: Iterable[int] | None = None) -> list[Any]:
        """Return all records of *topic* up to its last stable offset."""
        numbers = range(self.partitions) if partitions is None else partitions
        return await read_all(self.kafka, [(topic, n) for n in numbers], isolation)

    async def lines(self) -> list[Line]:
        return lines_of(await self.read(self.topics.lines))

    async def lines_until(self, count: int, seconds: float = LONG_S) -> list[Line]:
        """Return the lines as soon as there are at least *count*."""

        async def enough() -> list[Line] | None:
            lines = await self.lines()
            return lines if len(lines) >= count else None

        return await self.until(enough, f"{count} lines", seconds)

    async def state(self) -> tuple[dict[bytes, Counted], dict[tuple[str, int], int], dict[int, set[str]]]:
        """Return the contents of the state topic: persons, positions {(topic, shard): offset}, claims {shard: names}."""
        persons: dict[bytes, Counted] = {}
        positions: dict[tuple[str, int], int] = {}
        claims: dict[int, set[str]] = {n: set() for n in range(self.partitions)}
        for record in await self.read(self.topics.state):
            if record.key[0]:
                if record.value is None:
                    persons.pop(record.key, None)
                else:
                    persons[record.key] = decode(record.value)
            elif record.key.startswith(POSITION):
                positions[record.key[len(POSITION) :].decode(), record.partition] = int(record.value.split()[0])
            elif record.key.startswith(CLAIM):
                change = claims[record.partition].discard if record.value is None else claims[record.partition].add
                change(record.key[len(CLAIM) :].decode())
        return persons, positions, claims
