"""HTTP/1.1 over a connection: h11 tells what the bytes mean, asyncio moves them. One side of it, either one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, TypeAlias

import h11

from aos.agent.helper.settings import Bounds

READ_BYTES: Final = 65_536

Event: TypeAlias = (
    h11.Request
    | h11.InformationalResponse
    | h11.Response
    | h11.Data
    | h11.EndOfMessage
    | h11.ConnectionClosed
)
_EVENTS: Final = (
    h11.Request,
    h11.InformationalResponse,
    h11.Response,
    h11.Data,
    h11.EndOfMessage,
    h11.ConnectionClosed,
)
Headers: TypeAlias = list[tuple[bytes, bytes]]


class Wire:
    """One end of a connection.

    Every method but `close` may raise OSError or h11.ProtocolError: the connection is of no more use then.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        role: type[h11.CLIENT] | type[h11.SERVER],
        bounds: Bounds,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._bounds = bounds
        self._state = h11.Connection(role, max_incomplete_event_size=bounds.max_head_bytes)

    async def event(self, timeout_seconds: float) -> Event:
        """Return what comes next; no two bytes of it may be further apart than the timeout."""
        while True:
            event = self._state.next_event()
            if event is h11.PAUSED:
                # Nothing more is read of whoever sends a message before the last one was answered.
                raise h11.LocalProtocolError("the message before was not answered")
            if isinstance(event, _EVENTS):
                return event
            if self._state.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            await self._receive(timeout_seconds)

    async def first_event(self) -> Event:
        """Return the head of the next message: it may be long in coming, and once begun has to be whole soon."""
        if not self._state.trailing_data[0]:
            await self._receive(self._bounds.idle_seconds)
        async with asyncio.timeout(self._bounds.head_timeout_seconds):
            return await self.event(self._bounds.head_timeout_seconds)

    async def body(self) -> AsyncGenerator[bytes]:
        """Yield the rest of the message."""
        while True:
            event = await self.event(self._bounds.max_silence_seconds)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise h11.RemoteProtocolError("the connection ended within a message")

    async def send(self, *events: h11.Event) -> None:
        """Send ``events``, and wait while the other side does not read."""
        for event in events:
            self._writer.write(self._state.send(event) or b"")
        async with asyncio.timeout(self._bounds.write_timeout_seconds):
            await self._writer.drain()

    async def until_gone(self) -> None:
        """Return when the other side has ended the connection; what it sends before that is kept, but for a flood."""
        while data := await self._reader.read(READ_BYTES):
            self._state.receive_data(data)
            if len(self._state.trailing_data[0]) > READ_BYTES:
                return

    def next_message(self) -> bool:
        """Get ready for another message, and return whether there can be one."""
        done = self._state.our_state is h11.DONE and self._state.their_state is h11.DONE
        if done:
            self._state.start_next_cycle()
        return done

    @property
    def has_ended(self) -> bool:
        """Whether the other side has ended the connection, as far as that has come through."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """End the connection once what was sent has gone out."""
        self._writer.close()

    def abort(self) -> None:
        """End the connection at once, so that the other side notices."""
        self._writer.transport.abort()

    async def _receive(self, timeout_seconds: float) -> None:
        async with asyncio.timeout(timeout_seconds):
            self._state.receive_data(await self._reader.read(READ_BYTES))
