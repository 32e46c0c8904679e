"""Calls tools through the gateway, with the official ``mcp`` client.

What a tool returns is turned into text and nothing else: it is untrusted.
"""

import json
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    REQUEST_TIMEOUT,
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    Implementation,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import JsonValue, ValidationError

from aos import __version__
from aos.agent.conversation import CallTool, ToolOffer
from aos.agent.failure import Failure, FailureReason, TaskFailedError, shortened
from aos.agent.settings import AgentSettings, Bounds
from aos.agent.transport import CUT_WHILE_HELD, GATEWAY_UNREACHABLE
from aos.model.base import JsonObject

HELD: Final = "ApprovalPending"
STALE: Final = "ApprovalStale"

_REASON: Final = re.compile(r"[A-Z][A-Za-z]{0,63}")
_APPROVAL: Final = re.compile(r"apr-[0-9a-f]{1,32}")
_REFUSED: Final = "aos.dev/refused"
"""In a result's ``_meta``, which a tool can't write: the gateway drops a tool's own."""
_LOST: Final = frozenset(
    {GATEWAY_UNREACHABLE, CUT_WHILE_HELD, CONNECTION_CLOSED, REQUEST_TIMEOUT, INTERNAL_ERROR}
)
"""Errors with which nothing is said about the call: nobody answered, or the gateway could not tell who asks."""


@dataclass(frozen=True, slots=True)
class Hold:
    """That a call waits for people.

    Attributes:
        approval: Name of the ApprovalRequest, for the log; blank where the gateway gave none.
        pause_seconds: When to repeat it.
        expires_at: When nobody may decide any more; None where that is not known.
    """

    approval: str = ""
    pause_seconds: float = 0
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What came of a call.

    Attributes:
        text: What the model is shown.
        failed: The call did not do what was asked.
        denied: Policy did not let it through.
        reason: The gateway's code for either, for the log; blank where it gave none.
        hold: It waits for people, and is to be repeated; the model is not told.
        stale: It waited, and what people were asked about is not the same any more.
        lost: The gateway said nothing about it.
        pause_seconds: When the gateway says that it may be tried again.
    """

    text: str
    failed: bool = False
    denied: bool = False
    reason: str = ""
    hold: Hold | None = None
    stale: bool = False
    lost: bool = False
    pause_seconds: float | None = None


class ToolClient:
    """The tools that the gateway offers this agent."""

    def __init__(self, client: Client, bounds: Bounds) -> None:
        self._client = client
        self._bounds = bounds

    async def offers(self) -> tuple[ToolOffer, ...]:
        """Return what the agent may call, each name once.

        Raises:
            TaskFailedError: the list can't be read.
        """
        try:
            return tuple({tool.name: _offer(tool) for tool in await self._listed()}.values())
        except (MCPError, ValidationError) as error:
            raise _unavailable("the gateway lists no tools", error) from error

    async def call(self, command: CallTool) -> ToolReply:
        """Call a tool; whatever goes wrong becomes the reply, so that the model can go on without it."""
        try:
            result = await self._client.call_tool(command.name, command.arguments)
        except MCPError as error:
            return ToolReply(
                f"failed: {_brief(error)}",
                failed=True,
                hold=Hold() if error.code == CUT_WHILE_HELD else None,
                lost=error.code in _LOST,
            )
        except (RuntimeError, ValidationError) as error:
            # The SDK raises RuntimeError for a result that does not fit the tool's own output schema.
            return ToolReply(f"failed: {_brief(error)}", failed=True)
        return read_result(result)

    async def _listed(self) -> list[Tool]:
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(self._bounds.max_tool_pages):
            page = await self._client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                return tools
        raise TaskFailedError(
            Failure(
                FailureReason.TOO_MANY_TOOLS,
                f"the list of tools has more than {self._bounds.max_tool_pages} pages",
            )
        )


@asynccontextmanager
async def open_tools(http: httpx2.AsyncClient, settings: AgentSettings) -> AsyncGenerator[ToolClient]:
    """Open the session in which the tools are called.

    Raises:
        TaskFailedError: the gateway opens none.
    """
    client = Client(
        streamable_http_client(settings.mcp_url, http_client=http),
        read_timeout_seconds=settings.bounds.tool_timeout_seconds,
        client_info=Implementation(name="aos-agent", version=__version__),
    )
    try:
        await client.__aenter__()
    except (MCPError, ExceptionGroup) as error:
        # The session's task groups wrap what ends them.
        cause = _innermost(error)
        if not isinstance(cause, MCPError | ValidationError):
            raise
        raise _unavailable("the gateway opens no session for tools", cause) from error
    try:
        yield ToolClient(client, settings.bounds)
    finally:
        # Told of an error, the session's task group would wrap it; nobody here wants a group.
        await client.__aexit__(None, None, None)


def read_result(result: CallToolResult) -> ToolReply:
    """Return ``result`` as text, and what the gateway says of it if it is the gateway's own."""
    text = "\n".join(_texts(result.content))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
    said = _said_by_gateway(result)
    reason = _reason(said.get("reason", ""))
    is_refused = reason != "" and (result.meta or {}).get(_REFUSED) == reason
    return ToolReply(
        text or "(no content)",
        failed=result.is_error,
        denied=said.get("decision") == "Deny",
        reason=reason,
        hold=_hold(said) if is_refused and reason == HELD else None,
        stale=is_refused and reason == STALE,
        pause_seconds=_seconds(said.get("retryAfterSeconds")) if is_refused else None,
    )


def _texts(blocks: Iterable[ContentBlock]) -> Iterable[str]:
    for block in blocks:
        match block:
            case TextContent(text=text):
                yield text
            case EmbeddedResource(resource=TextResourceContents(text=text)):
                yield text
            case EmbeddedResource():
                yield "[binary resource left out]"
            case ResourceLink(uri=uri):
                yield f"[link to {uri}]"
            case ImageContent() | AudioContent():
                yield f"[{block.type} left out]"


def _said_by_gateway(result: CallToolResult) -> JsonObject:
    """Return the gateway's decision. A tool can write one, too: it is good for a line of the log and no more."""
    content: JsonValue = result.structured_content
    return content if result.is_error and isinstance(content, dict) else {}


def _hold(said: JsonObject) -> Hold:
    approval, expires = said.get("approval"), said.get("expiresAt")
    return Hold(
        approval if isinstance(approval, str) and _APPROVAL.fullmatch(approval) else "",
        _seconds(said.get("retryAfterSeconds")) or 0,
        _time(expires) if isinstance(expires, str) else None,
    )


def _seconds(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _time(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _reason(code: JsonValue) -> str:
    return code if isinstance(code, str) and _REASON.fullmatch(code) else ""


def _offer(tool: Tool) -> ToolOffer:
    return ToolOffer(name=tool.name, description=tool.description or "", input_schema=tool.input_schema)


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _unavailable(what: str, error: MCPError | ValidationError) -> TaskFailedError:
    unreachable = isinstance(error, MCPError) and error.code == GATEWAY_UNREACHABLE
    reason = FailureReason.GATEWAY_UNAVAILABLE if unreachable else FailureReason.TOOLS_UNAVAILABLE
    return TaskFailedError(Failure(reason, f"{what}: {_brief(error)}"))


def _brief(error: MCPError | RuntimeError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        return "the response does not follow the protocol"
    return shortened(str(error), 512)
