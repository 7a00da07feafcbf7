"""The worker's HTTP server for /metrics, /healthz and /readyz. It serves nothing else, and nothing about a person.

Owns the three paths. Two functions decide about health and readiness; this module knows no shard and no Kafka.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether a probe passes, and a text that says why. The text contains nothing about a person."""

    passes: bool
    why: str


Probe = Callable[[], ProbeResult]


class Site:
    """An HTTP server on `host:port` (port 0: any free port) in the running event loop.

    It uses the worker's own event loop, so that it stops answering if the loop blocks.
    """

    def __init__(self, host: str, port: int, *, metrics: Callable[[], bytes], health: Probe, readiness: Probe) -> None:
        self._host = host
        self._port = port

        async def show_metrics(_: web.Request) -> web.Response:
            return web.Response(body=metrics(), headers={"Content-Type": TEXT_FORMAT})

        async def show_health(_: web.Request) -> web.Response:
            return _response(health())

        async def show_readiness(_: web.Request) -> web.Response:
            return _response(readiness())

        app = web.Application()
        app.router.add_get("/metrics", show_metrics)
        app.router.add_get("/healthz", show_health)
        app.router.add_get("/readyz", show_readiness)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> str:
        """Listen, and return `host:port`. Raises OSError if the port is in use."""
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
        """Stop listening. Does nothing if it never started."""
        await self._runner.cleanup()


def _response(result: ProbeResult) -> web.Response:
    return web.Response(status=200 if result.passes else 503, text=result.why + "\n")
