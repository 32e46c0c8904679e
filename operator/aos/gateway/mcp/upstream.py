"""The gateway as a client of tools: finds the era that a tool speaks, keeps its sessions, and asks."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from weakref import WeakValueDictionary

from pydantic import JsonValue

from aos.gateway.mcp import rpc
from aos.gateway.mcp.protocol import HEADER_SESSION, UNSUPPORTED_VERSION, Era, Method
from aos.gateway.mcp.rpc import Post, RpcAnswerError, Session
from aos.gateway.mcp.sessions import OpenSession, SessionKey, Sessions
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream import outbound
from aos.gateway.upstream.http_client import HttpClient, Response, Waits
from aos.gateway.upstream.outbound import Target
from aos.gateway.upstream.sse import EventParser, EventTooLargeError
from aos.gateway.upstream.upstream_error import UpstreamError, invalid, too_large

CATALOGUE: Final = ""
"""Owner of the sessions in which the gateway reads definitions."""

_MAX_ERROR_BYTES: Final = 65_536
_DRAIN_SECONDS: Final = 0.05
_END_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Peer:
    """What is known of how one Tool speaks; found out once at a time."""

    target: Target
    era: Era | None = None
    shared: Session | None = None
    finding_out: asyncio.Lock = field(default_factory=asyncio.Lock)


class Upstream:
    """Asks tools."""

    def __init__(
        self,
        http: HttpClient,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._waits = Waits(settings.upstream_timeout_seconds)
        self._max_response_bytes = settings.max_response_bytes
        self._ids = itertools.count(1)
        self._peers: dict[str, _Peer] = {}
        self._sessions = Sessions(clock)
        self._opening: WeakValueDictionary[SessionKey, asyncio.Lock] = WeakValueDictionary()
        self._background: set[asyncio.Task[None]] = set()

    async def request(
        self,
        target: Target,
        method: Method,
        params: Mapping[str, JsonValue],
        *,
        owner: str = CATALOGUE,
        param_headers: Mapping[str, str] | None = None,
        idempotency_key: str = "",
    ) -> dict[str, JsonValue]:
        """Return the result of ``method``.

        Args:
            target: the tool.
            method: ``tools/list`` or ``tools/call``.
            params: without ``_meta``.
            owner: uid of the Task for which it is asked.
            param_headers: arguments mirrored into headers, for tools of the stateless era.
            idempotency_key: by which the tool can tell that it was asked before; empty for none.

        Raises:
            UpstreamError: there is no usable answer.
        """
        peer = self._peer(target)
        for last in (False, True):
            with _before_anything():
                era = peer.era or await self._find_era(peer, target, owner)
            try:
                if era is Era.MODERN:
                    post = rpc.modern_request(next(self._ids), method, params, param_headers)
                    return await self._ask(target, post, idempotency_key)
                return await self._ask_in_session(peer, target, method, params, owner, idempotency_key)
            except RpcAnswerError as error:
                # The tool was replaced by one of the other era: it did nothing, so asking again is safe.
                if last or error.rpc_code != UNSUPPORTED_VERSION:
                    raise
                peer.era = None
        raise AssertionError("unreachable")  # pragma: no cover

    def forget_tool(self, uid: str) -> None:
        """End what was kept of a Tool that changed or is gone."""
        self._peers.pop(uid, None)
        self._end(self._sessions.of_tool(uid))

    def forget_task(self, uid: str) -> None:
        """End the sessions of a Task that has ended."""
        self._end(self._sessions.of_owner(uid))

    def end_idle(self) -> None:
        """End sessions that were not used for a while."""
        self._end(self._sessions.idle())

    async def close(self) -> None:
        """Stop what still runs in the background."""
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _peer(self, target: Target) -> _Peer:
        peer = self._peers.get(target.uid)
        if peer is None or peer.target != target:
            peer = self._peers[target.uid] = _Peer(target)
        return peer

    async def _find_era(self, peer: _Peer, target: Target, owner: str) -> Era:
        async with peer.finding_out:
            if peer.era is None:
                if await self._speaks_modern(target):
                    peer.era = Era.MODERN
                else:
                    await self._open(peer, target, owner)
                    peer.era = Era.SESSION
            return peer.era

    async def _speaks_modern(self, target: Target) -> bool:
        try:
            result = await self._ask(target, rpc.modern_request(next(self._ids), Method.DISCOVER, {}))
        except UpstreamError as error:
            if error.status == 0 or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or _is_refusal(error):
                raise
            return False
        return rpc.offers_modern(result)

    async def _ask_in_session(
        self,
        peer: _Peer,
        target: Target,
        method: Method,
        params: Mapping[str, JsonValue],
        owner: str,
        idempotency_key: str,
    ) -> dict[str, JsonValue]:
        key = SessionKey(target.uid, owner)
        with _before_anything():
            session = await self._session(peer, target, owner)
        try:
            post = rpc.session_request(next(self._ids), method, params, session)
            return await self._ask(target, post, idempotency_key)
        except UpstreamError as error:
            if error.status != HTTPStatus.NOT_FOUND or session.id is None:
                if error.status == HTTPStatus.BAD_REQUEST:
                    self._sessions.lost(key, session)
                raise
        # 404 says that the session is no more, and that nothing was done (2025-11-25, session management).
        self._sessions.lost(key, session)
        with _before_anything():
            session = await self._session(peer, target, owner)
        post = rpc.session_request(next(self._ids), method, params, session)
        return await self._ask(target, post, idempotency_key)

    async def _session(self, peer: _Peer, target: Target, owner: str) -> Session:
        key = SessionKey(target.uid, owner)
        found = peer.shared or self._sessions.get(key, target)
        if found is not None:
            return found
        opening = self._opening.setdefault(key, asyncio.Lock())
        async with opening:
            return self._sessions.get(key, target) or await self._open(peer, target, owner)

    async def _open(self, peer: _Peer, target: Target, owner: str) -> Session:
        result, headers = await self._exchange(target, rpc.initialize_request(next(self._ids)))
        session = rpc.session_of(result, headers.get(HEADER_SESSION.lower()))
        await self._exchange(target, rpc.initialized_notification(session))
        if session.id is None:
            peer.shared = session
        else:
            self._end(self._sessions.put(SessionKey(target.uid, owner), session, target))
        return session

    async def _ask(self, target: Target, post: Post, idempotency_key: str = "") -> dict[str, JsonValue]:
        return (await self._exchange(target, post, idempotency_key))[0]

    async def _exchange(
        self, target: Target, post: Post, idempotency_key: str = ""
    ) -> tuple[dict[str, JsonValue], Mapping[str, str]]:
        """Post one message; return the result, empty for a notification, and the headers of the answer."""
        headers = {**outbound.with_key(post.headers, idempotency_key), **target.authorization()}
        response = await self._http.request("POST", target.url, headers, post.body, self._waits)
        try:
            return await self._result(response, post), response.headers
        finally:
            response.release()

    async def _result(self, response: Response, post: Post) -> dict[str, JsonValue]:
        outbound.check_encoding(response)
        status = response.status
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise rpc.error_of(await outbound.read_all(response, _MAX_ERROR_BYTES), status)
        if post.id is None:
            await outbound.read_all(response, _MAX_ERROR_BYTES)
            return {}
        match outbound.media_type(response):
            case "application/json":
                content = await outbound.read_all(response, self._max_response_bytes)
                result = rpc.result_of(outbound.decoded(content), post.id, status)
                if result is None:
                    raise invalid("it answered with a request of its own", maybe_done=True, status=status)
                return result
            case "text/event-stream":
                return await self._streamed(response, post.id)
            case _:
                raise invalid(
                    "its answer is neither JSON nor a stream of events", maybe_done=True, status=status
                )

    async def _streamed(self, response: Response, identifier: int) -> dict[str, JsonValue]:
        parser = EventParser(self._max_response_bytes)
        async for chunk in outbound.chunks(response, self._max_response_bytes):
            try:
                events = parser.feed(chunk)
            except EventTooLargeError:
                raise too_large(self._max_response_bytes) from None
            for event in events:
                result = rpc.result_of(outbound.decoded(event), identifier, response.status)
                if result is not None:
                    await self._leave(response)
                    return result
        raise invalid(
            "it ended its stream of events without an answer", maybe_done=True, status=HTTPStatus.OK
        )

    async def _leave(self, response: Response) -> None:
        """Take the end of a stream that is over, so that the connection can serve the next call."""
        if response.at_end:
            return
        with suppress(TimeoutError, UpstreamError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await response.read()

    def _end(self, sessions: list[OpenSession]) -> None:
        for item in sessions:
            task = asyncio.get_running_loop().create_task(self._delete(item))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _delete(self, item: OpenSession) -> None:
        """Tell the tool that a session is over; whether it listens is its own affair."""
        headers = {**rpc.session_headers(item.session), **item.target.authorization()}
        with suppress(UpstreamError):
            response = await self._http.request("DELETE", item.target.url, headers, b"", Waits(_END_SECONDS))
            await response.read()
            response.release()


@contextmanager
def _before_anything() -> Iterator[None]:
    """Say of failures that nothing was done: what is asked for was not sent yet, whatever became of the handshake."""
    try:
        yield
    except UpstreamError as error:
        error.maybe_done = False
        raise


def _is_refusal(error: UpstreamError) -> bool:
    return error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
