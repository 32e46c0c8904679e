"""Probes and metrics over plain HTTP, on a port of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from aos.controllers.metrics import OperatorMetrics

Problem = Callable[[], str]


@asynccontextmanager
async def health_server(
    address: str, port: int, *, sick: Problem, unready: Problem, metrics: OperatorMetrics
) -> AsyncIterator[int]:
    """Serve ``/healthz``, ``/readyz`` and ``/metrics``; give the port.

    Args:
        address: to listen on.
        port: to listen on; 0 takes a free one.
        sick: says why the process should be restarted; empty if it should not.
        unready: says why it can't take over work; empty if it can.
        metrics: what is shown.
    """

    async def metrics_page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", _probe(sick)),
            web.get("/readyz", _probe(unready)),
            web.get("/metrics", metrics_page),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _probe(problem: Problem) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_: web.Request) -> web.StreamResponse:
        said = problem()
        return web.Response(text=f"{said or 'ok'}\n", status=503 if said else 200)

    return handler
