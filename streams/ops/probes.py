"""The worker's web site: /metrics, /healthz, /readyz. Nothing else is served, and nothing about a person.

Owns three paths. What health and readiness are it is told by two functions; it knows no shard and no Kafka.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a probe passes, and why, in words without a person in them."""

    passes: bool
    why: str


Probe = Callable[[], Answer]


class Site:
    """Serve on `host:port` (0: any free port) inside the running loop: that it answers shows that the loop goes on."""

    def __init__(self, host: str, port: int, *, metrics: Callable[[], bytes], health: Probe, readiness: Probe) -> None:
        self._host = host
        self._port = port

        async def show_metrics(_: web.Request) -> web.Response:
            return web.Response(body=metrics(), headers={"Content-Type": TEXT_FORMAT})

        async def show_health(_: web.Request) -> web.Response:
            return _answer(health())

        async def show_readiness(_: web.Request) -> web.Response:
            return _answer(readiness())

        app = web.Application()
        app.router.add_get("/metrics", show_metrics)
        app.router.add_get("/healthz", show_health)
        app.router.add_get("/readyz", show_readiness)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> str:
        """Listen; return `host:port`. Raises OSError where the port is in use."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening. Does nothing where it never started."""
        await self._runner.cleanup()


def _answer(answer: Answer) -> web.Response:
    return web.Response(status=200 if answer.passes else 503, text=answer.why + "\n")
