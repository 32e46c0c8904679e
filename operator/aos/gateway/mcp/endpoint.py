"""The MCP endpoint that agents talk to: one message a request, answered for one caller."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import orjson

from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, Send, send_bytes, send_json
from aos.gateway.journal import Journal
from aos.gateway.mcp import answers
from aos.gateway.mcp.calls import Control, ToolCalls
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.definitions import OfferedAction
from aos.gateway.mcp.inspecting import changes_results
from aos.gateway.mcp.judging import ToolCall
from aos.gateway.mcp.message import (
    RpcError,
    RpcNotification,
    RpcRequest,
    era_of,
    id_of,
    read_message,
)
from aos.gateway.mcp.protocol import INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, Era, Method
from aos.gateway.mcp.system import Systems
from aos.gateway.mcp.waiting import Line, WaitingRoom
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Registry
from aos.gateway.settings import GatewaySettings
from aos.model.base import JsonObject
from aos.policy.decision import may_ever
from aos.policy.effective import EffectivePolicy

MAX_NAME_LENGTH: Final = 192
"""Longest ``tool.action``: a Tool's name, a dot, an action's name."""

_ACCEPTED: Final = (b"application/*", b"*/*")
_CALL_PARAMS: Final = frozenset({"name", "arguments", "_meta"})
_LIST_PARAMS: Final = frozenset({"_meta"})


class McpEndpoint:
    """Answers at ``/mcp``, where actions are named ``tool.action``, and at ``/mcp/{tool}``, where they have plain names."""

    def __init__(
        self,
        registry: Registry,
        catalogue: Catalogue,
        systems: Systems,
        journal: Journal,
        control: Control,
        settings: GatewaySettings,
    ) -> None:
        self._catalogue = catalogue
        self._calls = ToolCalls(registry, catalogue, systems, journal, control, settings)
        self._room = WaitingRoom(settings)
        self._max_json_depth = settings.max_json_depth

    @property
    def calls(self) -> ToolCalls:
        """What makes calls of all Tools."""
        return self._calls

    @property
    def waiting(self) -> int:
        """Calls that wait for people now."""
        return len(self._room)

    def end_waiting(self) -> None:
        """Let no call wait any more: each is answered, and finds its request again at another replica."""
        self._room.close()

    async def handle(self, request: HttpRequest, caller: Caller, send: Send, tool: str | None) -> None:
        """Answer one request; ``tool`` is None at ``/mcp``.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """
        if request.method != "POST":
            # There are no streams to open and no sessions to end.
            await send_bytes(send, b"", HTTPStatus.METHOD_NOT_ALLOWED, ((b"allow", b"POST"),))
            return
        _check_accept(request)
        _check_tool(caller, tool)
        try:
            body = await request.json(self._max_json_depth)
        except Refusal as refusal:
            if refusal.code is not RefusalCode.INVALID_JSON:
                raise
            unread = RpcError(PARSE_ERROR, answers.parse_error_of(refusal))
            await send_json(send, answers.error(None, unread), HTTPStatus.BAD_REQUEST)
            return
        try:
            message = read_message(request.headers, body)
            if isinstance(message, RpcNotification):
                await send_bytes(send, b"", HTTPStatus.ACCEPTED)
                return
            if message.method == Method.CALL_TOOL:
                line = Line(self._room, request, caller, send)
                await self._make(_call(message, request, caller, tool, line), line, send)
                return
            answer = self._answer(message, caller, tool)
        except RpcError as error:
            status = error.status(era_of(request.headers))
            await send_json(send, answers.error(id_of(body), error), status)
            return
        await send_json(send, answer)

    async def _make(self, call: ToolCall, line: Line, send: Send) -> None:
        """Make a call, and answer with JSON; with a stream of events if it had to wait."""
        try:
            answer = await self._calls.make(call)
            if line.is_open:
                await line.answer(answer)
                return
        finally:
            await line.close()
        await send_json(send, answer)

    def _answer(self, message: RpcRequest, caller: Caller, tool: str | None) -> bytes:
        match message.era, message.method:
            case _, Method.LIST_TOOLS:
                return self._list(message, caller, tool)
            case Era.MODERN, Method.DISCOVER:
                return answers.discovered(message)
            case Era.SESSION, Method.INITIALIZE:
                return answers.initialized(message)
            case Era.SESSION, Method.PING:
                return answers.pong(message)
            case _:
                raise RpcError(METHOD_NOT_FOUND, "Method not found")

    def _list(self, message: RpcRequest, caller: Caller, tool: str | None) -> bytes:
        _check_params(message, _LIST_PARAMS)
        policies = (caller.policy, *caller.ancestors)
        offers: list[orjson.Fragment] = []
        for name, there in caller.policy.tools.items():
            listing = self._catalogue.listing(there) if tool in (None, name) else None
            if listing is None:
                continue
            for action in listing.actions.values():
                if all(may_ever(each, name, action.declared.name) for each in policies):
                    offers_of = action.open_offers if _changes(policies, name, action) else action.offers
                    offer = offers_of[message.era]
                    offers.append(offer.qualified if tool is None else offer.plain)
        return answers.listed(message, offers)


def _changes(policies: Sequence[EffectivePolicy], tool: str, action: OfferedAction) -> bool:
    """Whether one of the policies may change results of the action."""
    return any(changes_results(policy.obligations(tool, action.declared).data) for policy in policies)


def _check_accept(request: HttpRequest) -> None:
    accept = request.header(b"accept").lower()
    if accept and b"application/json" not in accept and not any(kind in accept for kind in _ACCEPTED):
        raise Refusal(
            HTTPStatus.NOT_ACCEPTABLE,
            RefusalCode.NOT_ACCEPTABLE,
            "answers are application/json: accept it, and text/event-stream as MCP asks",
        )


def _check_tool(caller: Caller, tool: str | None) -> None:
    if tool is not None and tool not in caller.policy.tools:
        # The same whether it exists or not: an agent learns of no tool that it does not ask for.
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            RefusalCode.TOOL_UNKNOWN,
            f"there is no Tool of this name that agent {caller.agent} asks for in spec.tools",
        )


def _check_params(message: RpcRequest, known: frozenset[str]) -> None:
    for name in message.params:
        if name not in known:
            raise RpcError(INVALID_PARAMS, f"params.{name[:64]} is not supported by {message.method}")


def _call(
    message: RpcRequest, request: HttpRequest, caller: Caller, tool: str | None, line: Line
) -> ToolCall:
    _check_params(message, _CALL_PARAMS)
    name = message.params.get("name")
    arguments: JsonObject | object = message.params.get("arguments")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH:
        raise RpcError(
            INVALID_PARAMS, f"params.name must be a string of at most {MAX_NAME_LENGTH} characters"
        )
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "params.arguments must be an object")
    action = name
    if tool is None:
        tool, _, action = name.partition(".")
        if not tool or not action:
            raise RpcError(INVALID_PARAMS, "params.name must be tool.action, as tools/list gives it")
    return ToolCall(message, request.headers, caller, tool, action, arguments, line)
