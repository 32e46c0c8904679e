"""The A2A endpoint of every agent, for the agents that may hand work to it: one JSON-RPC request a time, and the card."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

from aos.gateway.a2a import rights
from aos.gateway.a2a.card import card_of
from aos.gateway.a2a.conversation import Conversation
from aos.gateway.a2a.handoffs import Control, HandoffRegistry, Handoffs, TaskStore
from aos.gateway.a2a.message import (
    A2aRequest,
    id_of,
    push_refused,
    read_message,
    read_request,
    read_task_id,
)
from aos.gateway.a2a.protocol import (
    CARD_SUFFIX,
    EXTENDED_CARD_NOT_CONFIGURED,
    PARSE_ERROR,
    A2aError,
    Dialect,
    Operation,
)
from aos.gateway.a2a.views import TaskView, answer, cancelled, changes, error, event, shown, view_of
from aos.gateway.app import A2A_PREFIX, not_found
from aos.gateway.caller import Caller
from aos.gateway.http import (
    ClientDisconnected,
    HttpRequest,
    Send,
    send_bytes,
    send_json,
    send_stream,
)
from aos.gateway.journal import Journal
from aos.gateway.refusal import Refusal, RefusalCode, refusal_of
from aos.gateway.settings import GatewaySettings
from aos.model.base import JsonObject
from aos.model.names import MAX_NAME_LENGTH
from aos.model.task import Task

T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 2.0
"""Clients of A2A give up on a connection that is silent for a few seconds."""

_EVENTS: Final = (b"content-type", b"text/event-stream; charset=utf-8")
_HEARTBEAT: Final = b": waiting\n\n"
_PARTS: Final = 2


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request is for."""

    namespace: str
    agent: str
    is_card: bool


class A2aEndpoint:
    """Answers at ``/a2a/{namespace}/{agent}`` and at its agent card."""

    def __init__(
        self,
        registry: HandoffRegistry,
        store: TaskStore,
        control: Control,
        journal: Journal,
        settings: GatewaySettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._handoffs = Handoffs(registry, store, control, journal, settings.max_run_tasks, now)
        self._max_json_depth = settings.max_json_depth
        self._wait_seconds = settings.handoff_wait_seconds
        self._stream_seconds = settings.stream_timeout_seconds

    async def handle(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        """Answer one request.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """
        place = _place(request.path)
        expected = "GET" if place.is_card else "POST"
        if request.method != expected:
            await send_bytes(send, b"", HTTPStatus.METHOD_NOT_ALLOWED, ((b"allow", expected.encode()),))
            return
        if place.is_card:
            await send_json(send, self._card(request, caller, place))
            return
        try:
            body = await request.json(self._max_json_depth)
        except Refusal as refused:
            if refused.code is not RefusalCode.INVALID_JSON:
                raise
            await send_json(send, error(None, A2aError(PARSE_ERROR, refused.message)))
            return
        try:
            asked = read_request(request.headers, body)
            await self._answer(asked, Conversation(self._handoffs, caller, place.agent), place, request, send)
        except A2aError as failed:
            await send_json(send, error(id_of(body), failed))

    def _card(self, request: HttpRequest, caller: Caller, place: _Place) -> JsonObject:
        if not rights.is_delegate(caller, place.namespace, place.agent):
            raise refusal_of(rights.not_a_delegate(caller))
        agent = self._registry.agent(place.namespace, place.agent)
        if agent is None:
            raise Refusal(
                HTTPStatus.NOT_FOUND, RefusalCode.AGENT_UNKNOWN, f"there is no readable Agent {place.agent}"
            )
        # The host was checked before: it is one of the gateway's own names, and the one that reaches it from there.
        host = request.header(b"host").decode("latin-1")
        return card_of(agent, f"https://{host}{A2A_PREFIX}{place.namespace}/{place.agent}")

    async def _answer(
        self, asked: A2aRequest, own: Conversation, place: _Place, request: HttpRequest, send: Send
    ) -> None:
        known = rights.is_delegate(own.caller, place.namespace, place.agent)
        barred = rights.refusal_of_caller(own.caller) if known else rights.not_a_delegate(own.caller)
        if barred is not None:
            raise self._handoffs.refuse(own.caller, place.agent, asked.operation, barred)
        match asked.operation:
            case Operation.SEND | Operation.STREAM:
                await self._send(asked, own, request, send)
            case Operation.SUBSCRIBE:
                task = await own.task(read_task_id(asked.params))
                await _while_connected(request, _send_events(send, self._events(asked, own, task)))
            case Operation.GET:
                view = await own.view(await own.task(read_task_id(asked.params)))
                await send_json(send, answer(asked.id, shown(view, asked.dialect)))
            case Operation.CANCEL:
                task = await own.task(read_task_id(asked.params))
                await self._handoffs.cancel(own.caller, own.agent, task)
                view = cancelled(view_of(task))
                await send_json(send, answer(asked.id, shown(view, asked.dialect)))
            case Operation.LIST:
                await send_json(send, answer(asked.id, await own.page(asked)))
            case Operation.PUSH:
                raise push_refused()
            case Operation.EXTENDED_CARD:
                raise A2aError(EXTENDED_CARD_NOT_CONFIGURED, "there is one card of an agent, and no other")

    async def _send(self, asked: A2aRequest, own: Conversation, request: HttpRequest, send: Send) -> None:
        message = read_message(asked.params)
        own.check_context(message.context)
        task = await self._handoffs.send(own.caller, own.agent, message)
        if asked.operation is Operation.STREAM:
            await _while_connected(request, _send_events(send, self._events(asked, own, task)))
            return
        view = await own.view(task)
        if message.waits and not view.state.is_final:
            view = await _while_connected(request, own.end(task, self._wait_seconds))
        seen = shown(view, asked.dialect)
        # In 1.0 the answer says that it is a Task and no message; in 0.3 the Task says it itself.
        result: JsonObject = seen if asked.dialect is Dialect.LEGACY else {"task": seen}
        await send_json(send, answer(asked.id, result))

    async def _events(self, asked: A2aRequest, own: Conversation, task: Task) -> AsyncGenerator[bytes]:
        """Yield the Task, then what changes of it, as events; with signs of life, as nothing may happen for long."""
        last: TaskView | None = None
        views = own.views(task, self._stream_seconds)
        coming = asyncio.ensure_future(anext(views, None))
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
                if not done:
                    yield _HEARTBEAT
                    continue
                view = coming.result()
                if view is None:
                    return
                yield b"".join(event(asked.id, item) for item in changes(last, view, asked.dialect))
                last = view
                coming = asyncio.ensure_future(anext(views, None))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await views.aclose()


def _place(path: str) -> _Place:
    is_card = path.endswith(CARD_SUFFIX)
    names = path.removesuffix(CARD_SUFFIX).removeprefix(A2A_PREFIX).rstrip("/").split("/")
    if (
        len(names) != _PARTS
        or not all(0 < len(name) <= MAX_NAME_LENGTH for name in names[1:])
        or not names[0]
    ):
        raise not_found(path)
    return _Place(names[0], names[1], is_card)


async def _send_events(send: Send, events: AsyncGenerator[bytes]) -> None:
    async with aclosing(events):
        await send_stream(send, events, headers=(_EVENTS,))


async def _while_connected(request: HttpRequest, work: Coroutine[None, None, T]) -> T:
    """Return what ``work`` comes to; stop it when the client goes away.

    Raises:
        ClientDisconnected: the client went away first.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.disconnected())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnected
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
