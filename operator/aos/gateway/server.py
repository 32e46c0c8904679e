"""Ports: uvicorn started within the running event loop, with bounds, our certificate and a graceful stop."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, cast

from uvicorn.config import Config
from uvicorn.server import Server

from aos.gateway.http import Receive, Scope, Send
from aos.gateway.protocol import BoundedProtocol, Connections, Limits
from aos.gateway.settings import GatewaySettings

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_BACKLOG: Final = 1024
_TLS_SHUTDOWN_SECONDS: Final = 2.0


class Port:
    """One listening port and what answers there."""

    def __init__(
        self, app: App, settings: GatewaySettings, port: int, context: ssl.SSLContext | None
    ) -> None:
        """Bind the port; nothing is accepted before `serve`.

        Args:
            app: answers requests.
            settings: address and bounds.
            port: 0 for a free one.
            context: None for plain HTTP.

        Raises:
            OSError: the port is taken.
        """
        # What uvicorn has to say at lower levels is about single clients, who could fill the log with it.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._socket = _bound(settings.listen_address, port)
        self.port: int = self._socket.getsockname()[1]
        self._ended: asyncio.Event | None = None
        self._server = _BoundedServer(_config(app, settings), _limits(settings), self._socket, context)

    async def serve(self) -> None:
        """Answer until `stop`, or until cancelled, which ends all connections at once."""
        self._ended = asyncio.Event()
        try:
            await self._server.serve()
        finally:
            self._server.abort()
            self.close()
            self._ended.set()

    @property
    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return self._server.started and not self._server.should_exit

    def close(self) -> None:
        """Give the port up; `serve` does so by itself."""
        self._socket.close()

    async def stop(self) -> None:
        """Accept no more, let what is under way end within ``drain_seconds``, and end `serve`."""
        self._server.should_exit = True
        if self._ended is not None:
            await self._ended.wait()


class _BoundedServer(Server):
    """uvicorn's server with our protocol, on a socket that is bound already, and without signal handlers."""

    def __init__(
        self, config: Config, limits: Limits, listener: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self._limits = limits
        self._listener = listener
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        connections = Connections()

        def protocol() -> asyncio.Protocol:
            return BoundedProtocol(self.config, self.server_state, self._limits, connections, loop)

        server = await loop.create_server(
            protocol,
            sock=self._listener,
            ssl=self._context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=self._limits.header_timeout_seconds if self._context else None,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_SECONDS if self._context else None,
        )
        self.servers = [server]
        self.started = True

    def abort(self) -> None:
        """End what is left."""
        for server in getattr(self, "servers", ()):
            server.close()
        for task in tuple(self.server_state.tasks):
            task.cancel()
        for connection in tuple(self.server_state.connections):
            cast("BoundedProtocol", connection).transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def _config(app: App, settings: GatewaySettings) -> Config:
    return Config(
        app=app,
        loop="none",
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )


def _limits(settings: GatewaySettings) -> Limits:
    return Limits(
        max_header_bytes=settings.max_header_bytes,
        max_headers=settings.max_headers,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        header_timeout_seconds=settings.header_timeout_seconds,
        write_timeout_seconds=settings.write_timeout_seconds,
    )
