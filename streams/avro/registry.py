"""A client of a schema registry, by the API that Confluent's, Apicurio's (`/apis/ccompat/v7`) and Karapace's share.

Owns what goes over the wire to the registry and what is kept of it on disk. Never in the way of an event: a shard that
meets frames with ids it does not know awaits `learn` before it decides, once for all of them, and what `learn` could
not settle it leaves where it is. A registry is never required: without one the frames carry fingerprints.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp

from streams.avro.codec import Codec
from streams.avro.schemas import RECORD_OF, contract_of

LOOKUPS_MAX = 256
"""Ids asked for in one call of `learn`: a sender of random ids can't hold a shard up for longer."""

ABSENT_SECONDS = 300.0
"""For how long an id that the registry does not have is not asked for again."""

ABSENT_MAX = 10_000
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_ANSWER_BYTES_MAX = 1 << 20
_IDS = "ids.json"


class RegistryError(Exception):
    """The registry can't be reached, or answers what its API does not say. Names the status, never the URL."""


class Registry:
    """One registry, its cache on disk, and the codec that is told what it says.

    *url* is the root of the API, *cache* a folder of ours, *timeout_seconds* the limit of one request. Use it as an
    async context, so that its connections are closed.
    """

    def __init__(
        self, url: str, codec: Codec, cache: Path, *, timeout_seconds: float = 5.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._url = url.rstrip("/")
        self._codec = codec
        # An id means nothing without the registry that gave it.
        self._cache = cache / hashlib.sha256(self._url.encode()).hexdigest()[:16]
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._asking: dict[int, asyncio.Task[bool]] = {}
        self._absent: dict[int, float] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def prepare(self) -> None:
        """Register the current contract, write its frames from now on, and learn what is on disk.

        When the registry can't be reached, the ids of the last time serve. Raises RegistryError when there are none.
        """
        for schema_id, schema in await asyncio.to_thread(self._kept_schemas):
            self._codec.add_schema(schema_id, schema)
        fingerprints = {name: contract_of(name).fingerprint.hex() for name in RECORD_OF}
        try:
            given = await asyncio.gather(*(self._register(name) for name in RECORD_OF))
        except RegistryError:
            kept = await asyncio.to_thread(self._read, _IDS)
            if not isinstance(kept, dict) or kept.get("fingerprints") != fingerprints:
                raise
            self._codec.use_registry(kept["ids"])
            return
        ids = dict(zip(RECORD_OF, given, strict=True))
        await asyncio.to_thread(self._keep, _IDS, {"ids": ids, "fingerprints": fingerprints})
        self._codec.use_registry(ids)

    async def learn(self, ids: Iterable[int]) -> set[int]:
        """Ask for the schemas *ids* and tell the codec. Return those that are not settled: the registry did not answer.

        An id that the registry does not have, or whose schema is none of ours, is settled: reading it gives a Refusal.
        Each id is asked for once at a time, however many ask.
        """
        now = self._clock()
        wanted = [i for i in sorted(set(ids)) if not self._absent.get(i, 0.0) > now][:LOOKUPS_MAX]
        settled = await asyncio.gather(*(asyncio.shield(self._ask_once(i)) for i in wanted))
        return {i for i, done in zip(wanted, settled, strict=True) if not done}

    def _ask_once(self, schema_id: int) -> asyncio.Task[bool]:
        task = self._asking.get(schema_id)
        if task is None:
            task = self._asking[schema_id] = asyncio.create_task(self._ask(schema_id))
            task.add_done_callback(lambda _: self._asking.pop(schema_id, None))
        return task

    async def _ask(self, schema_id: int) -> bool:
        """Look one id up. Return whether it is settled."""
        try:
            status, answer = await self._request("GET", f"/schemas/ids/{schema_id}", None)
        except RegistryError:
            return False
        if status == 200 and answer.get("schemaType", "AVRO") == "AVRO" and isinstance(answer.get("schema"), str):
            with contextlib.suppress(ValueError, RecursionError):
                schema = json.loads(answer["schema"])
                if self._codec.add_schema(schema_id, schema):
                    await asyncio.to_thread(self._keep, f"{schema_id}.json", schema)
                    return True
        if status not in (200, 404):
            return False
        if len(self._absent) >= ABSENT_MAX:
            self._absent.clear()
        self._absent[schema_id] = self._clock() + ABSENT_SECONDS
        return True

    async def _register(self, name: str) -> int:
        contract = contract_of(name)
        body = {"schema": json.dumps(contract.schema, separators=(",", ":"))}
        status, answer = await self._request("POST", f"/subjects/{contract.subject}/versions", body)
        found = answer.get("id")
        if status != 200 or not isinstance(found, int) or not 0 <= found < 1 << 32:
            raise RegistryError(f"the registry did not take {contract.subject}: status {status}")
        return found

    async def _request(self, method: str, path: str, body: object) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            raise RuntimeError("the registry is used outside its async context")
        headers = {"Accept": f"{_MEDIA_TYPE}, application/json", "Content-Type": _MEDIA_TYPE}
        try:
            async with self._session.request(method, self._url + path, data=json.dumps(body) if body else None, headers=headers) as answer:
                raw = await answer.content.read(_ANSWER_BYTES_MAX + 1)
                while len(raw) <= _ANSWER_BYTES_MAX and (more := await answer.content.read(_ANSWER_BYTES_MAX)):
                    raw += more
                if len(raw) > _ANSWER_BYTES_MAX:
                    raise RegistryError("the registry's answer is too long")
                said = json.loads(raw)
                return answer.status, said if isinstance(said, dict) else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RegistryError(f"the registry does not answer: {type(error).__name__}") from None
        except ValueError:
            raise RegistryError("the registry's answer is not JSON") from None

    # -- on disk

    def _keep(self, name: str, said: object) -> None:
        """Write a file whole or not at all. A disk that is full or read-only costs a look-up next time, no more."""
        with contextlib.suppress(OSError):
            self._cache.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._cache)
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(said, out)
            Path(temporary).replace(self._cache / name)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self._cache / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _kept_schemas(self) -> list[tuple[int, Any]]:
        found = sorted(self._cache.glob("*.json")) if self._cache.is_dir() else []
        return [(int(path.stem), self._read(path.name)) for path in found if path.stem.isdecimal()]
