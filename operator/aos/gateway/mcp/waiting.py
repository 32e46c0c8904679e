"""How a client is answered whose call waits for people: a stream of events, kept alive, that ends in the one answer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Final, Protocol

from aos.gateway.caller import Caller
from aos.gateway.http import NO_STORE, ClientDisconnected, HttpRequest, Send
from aos.gateway.settings import GatewaySettings

KEEP_ALIVE_SECONDS: Final = 5.0
"""Time between two signs of life, well below what clients and proxies take for silence."""
WAITING_SHARE: Final = 4
"""Of an agent's places for requests, and of the gateway's connections, one in so many may be taken by calls that wait."""

_EVENTS: Final = b"text/event-stream"
_EVENT_STREAM: Final = (b"content-type", _EVENTS)
_SIGN_OF_LIFE: Final = b": waiting for people\n\n"


class Waiting(Protocol):
    """Where a call waits."""

    async def until(self, decided: Awaitable[object], seconds: float) -> bool:
        """Wait for ``decided``, at most so long; whether it came. What it raises is raised.

        It is False at once where too many calls wait already.

        Raises:
            ClientDisconnected: the client went away, so nothing may be made for it any more.
        """


class _Nowhere:
    async def until(self, decided: Awaitable[object], seconds: float) -> bool:
        del seconds
        asyncio.ensure_future(decided).cancel()
        return False


NOWHERE: Final[Waiting] = _Nowhere()
"""Where no call waits."""


class WaitingRoom:
    """Counts the calls that wait, so that they leave the others their places.

    Attributes:
        closed: set once nobody may wait any more.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._most = max(1, settings.max_connections // WAITING_SHARE)
        self._most_of_agent = max(1, settings.max_concurrent_calls_per_agent // WAITING_SHARE)
        self._waiting: Counter[tuple[str, str]] = Counter()
        self.closed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many wait."""
        return self._waiting.total()

    def enter(self, agent: tuple[str, str]) -> bool:
        """Take a place for a call of this agent, by namespace and name; whether there was one."""
        if self.closed.is_set() or len(self) >= self._most or self._waiting[agent] >= self._most_of_agent:
            return False
        self._waiting[agent] += 1
        return True

    def close(self) -> None:
        """Send everybody away, and let nobody in."""
        self.closed.set()

    def leave(self, agent: tuple[str, str]) -> None:
        """Give a place back."""
        self._waiting[agent] -= 1
        if not self._waiting[agent]:
            del self._waiting[agent]


class Line:
    """The way back to the client of one call. It costs nothing until the call waits."""

    __slots__ = ("_agent", "_beating", "_is_open", "_request", "_room", "_send")

    def __init__(self, room: WaitingRoom, request: HttpRequest, caller: Caller, send: Send) -> None:
        self._room = room
        self._request = request
        self._agent = (caller.namespace, caller.agent)
        self._send = send
        self._is_open = False
        self._beating: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the answer has begun, as a stream of events."""
        return self._is_open

    async def until(self, decided: Awaitable[object], seconds: float) -> bool:
        """Wait as `Waiting` says; a client that takes events is told that it waits, every few seconds."""
        found = asyncio.ensure_future(decided)
        if not self._room.enter(self._agent):
            found.cancel()
            return False
        gone = asyncio.ensure_future(self._request.disconnected())
        closed = asyncio.ensure_future(self._room.closed.wait())
        try:
            if not self._is_open and _EVENTS in self._request.header(b"accept").lower():
                await self._open()
            await asyncio.wait((found, gone, closed), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ClientDisconnected
            if found.done():
                found.result()
                return True
            return False
        finally:
            self._room.leave(self._agent)
            found.cancel()
            gone.cancel()
            closed.cancel()

    async def answer(self, message: bytes) -> None:
        """End the stream with the one message that answers the call."""
        await self.close()
        await self._send(
            {"type": "http.response.body", "body": b"event: message\ndata: " + message + b"\n\n"}
        )

    async def close(self) -> None:
        """Give no more signs of life."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.wait((beating,))

    async def _open(self) -> None:
        self._is_open = True
        await self._send({"type": "http.response.start", "status": 200, "headers": [NO_STORE, _EVENT_STREAM]})
        # At once, so that the headers are sent, too; and until the answer, which may take its time once people decided.
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await self._send({"type": "http.response.body", "body": _SIGN_OF_LIFE, "more_body": True})
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
