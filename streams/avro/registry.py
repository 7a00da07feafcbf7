"""A client of a schema registry, for the API of Confluent, Apicurio (`/apis/ccompat/v7`) and Karapace.

Owns the requests to the registry and the cache on disk. A worker that receives frames with unknown schema ids awaits
`learn` for all of them before it reads the records, and tries again until the registry has answered for each id. The
registry is optional: without one, frames carry schema fingerprints.
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
"""The maximum number of lookups in one call of `learn`. It limits how long a sender of random ids can delay a shard."""

ABSENT_SECONDS = 300.0
"""How long the client waits before it again looks up an id that the registry does not have."""

ABSENT_MAX = 10_000
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_ANSWER_BYTES_MAX = 1 << 20
_IDS = "ids.json"


class RegistryError(Exception):
    """The registry cannot be reached, or its answer does not follow the API. The text has the status but never the URL."""


class Registry:
    """A schema registry. It adds the registry's schemas to *codec* and caches them on disk.

    *url* is the root of the API, *cache* the parent folder of the cache, *timeout_seconds* the limit of one request.
    Use it as an async context manager, which closes its connections.
    """

    def __init__(
        self, url: str, codec: Codec, cache: Path, *, timeout_seconds: float = 5.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._url = url.rstrip("/")
        self._codec = codec
        # Each registry has its own folder, because its ids have no meaning in another registry.
        self._cache = cache / hashlib.sha256(self._url.encode()).hexdigest()[:16]
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._lookups: dict[int, asyncio.Task[bool]] = {}
        self._absent: dict[int, float] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in list(self._lookups.values()):
            task.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def prepare(self) -> None:
        """Load the cached schemas, register the current contract, and make the codec write registry frames.

        If the registry cannot be reached, use the cached ids of the same contract. Raises RegistryError if there are none.
        """
        for schema_id, schema in await asyncio.to_thread(self._cached_schemas):
            self._codec.add_schema(schema_id, schema)
        fingerprints = {name: contract_of(name).fingerprint.hex() for name in RECORD_OF}
        try:
            given = await asyncio.gather(*(self._register(name) for name in RECORD_OF))
        except RegistryError:
            cached = await asyncio.to_thread(self._read_cache, _IDS)
            if not isinstance(cached, dict) or cached.get("fingerprints") != fingerprints:
                raise
            self._codec.use_registry(cached["ids"])
            return
        ids = dict(zip(RECORD_OF, given, strict=True))
        await asyncio.to_thread(self._write_cache, _IDS, {"ids": ids, "fingerprints": fingerprints})
        self._codec.use_registry(ids)

    async def learn(self, ids: Iterable[int]) -> set[int]:
        """Look up the schemas *ids* and add them to the codec. Return the ids for which the registry did not answer.

        The result leaves out ids that the registry does not have and ids whose schema is not in the contract; reading
        such a frame gives a Refusal. Concurrent calls share one request per id.
        """
        now = self._clock()
        wanted = [i for i in sorted(set(ids)) if not self._absent.get(i, 0.0) > now][:LOOKUPS_MAX]
        answered = await asyncio.gather(*(asyncio.shield(self._lookup_task(i)) for i in wanted))
        return {i for i, done in zip(wanted, answered, strict=True) if not done}

    def _lookup_task(self, schema_id: int) -> asyncio.Task[bool]:
        task = self._lookups.get(schema_id)
        if task is None:
            task = self._lookups[schema_id] = asyncio.create_task(self._look_up(schema_id))
            task.add_done_callback(lambda _: self._lookups.pop(schema_id, None))
        return task

    async def _look_up(self, schema_id: int) -> bool:
        """Look up one id. Return whether the registry answered."""
        try:
            status, answer = await self._request("GET", f"/schemas/ids/{schema_id}", None)
        except RegistryError:
            return False
        if status == 200 and answer.get("schemaType", "AVRO") == "AVRO" and isinstance(answer.get("schema"), str):
            with contextlib.suppress(ValueError, RecursionError):
                schema = json.loads(answer["schema"])
                if self._codec.add_schema(schema_id, schema):
                    await asyncio.to_thread(self._write_cache, f"{schema_id}.json", schema)
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
            raise RegistryError(f"the registry did not register {contract.subject}: status {status}")
        return found

    async def _request(self, method: str, path: str, content: object) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            raise RuntimeError("the registry client was used outside its async context manager")
        headers = {"Accept": f"{_MEDIA_TYPE}, application/json", "Content-Type": _MEDIA_TYPE}
        try:
            data = json.dumps(content) if content else None
            async with self._session.request(method, self._url + path, data=data, headers=headers) as answer:
                raw = await answer.content.read(_ANSWER_BYTES_MAX + 1)
                while len(raw) <= _ANSWER_BYTES_MAX and (more := await answer.content.read(_ANSWER_BYTES_MAX)):
                    raw += more
                if len(raw) > _ANSWER_BYTES_MAX:
                    raise RegistryError("the registry's answer is too long")
                body = json.loads(raw)
                return answer.status, body if isinstance(body, dict) else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RegistryError(f"the registry does not answer: {type(error).__name__}") from None
        except ValueError:
            raise RegistryError("the registry's answer is not JSON") from None

    # -- cache on disk

    def _write_cache(self, name: str, content: object) -> None:
        """Write a file atomically. Ignore a full or read-only disk: it only costs another lookup at the next start."""
        with contextlib.suppress(OSError):
            self._cache.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._cache)
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(content, out)
            Path(temporary).replace(self._cache / name)

    def _read_cache(self, name: str) -> Any:
        try:
            return json.loads((self._cache / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _cached_schemas(self) -> list[tuple[int, Any]]:
        found = sorted(self._cache.glob("*.json")) if self._cache.is_dir() else []
        return [(int(path.stem), self._read_cache(path.name)) for path in found if path.stem.isdecimal()]
