"""MCP servers as what stands behind Tools."""

from collections.abc import Hashable
from typing import Final, TypeGuard

from pydantic import JsonValue

from aos.gateway.mcp.definitions import Binding
from aos.gateway.mcp.header_values import headers_for
from aos.gateway.mcp.protocol import Method
from aos.gateway.mcp.system import ListingError, SystemCall, SystemResult
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import Target, encoded
from aos.model.tool import Tool

MAX_PAGES: Final = 64
MAX_CURSOR_LENGTH: Final = 4096


class McpSystem:
    """`aos.gateway.mcp.system.System` of Tools of type MCP."""

    def __init__(self, upstream: Upstream, settings: GatewaySettings) -> None:
        self._upstream = upstream
        self._settings = settings

    def state(self, tool: Tool) -> Hashable:  # noqa: ARG002 - of a server, the place says all
        """Return nothing: what a server lists does not depend on the Tool."""
        return None

    async def definitions(self, tool: Tool, target: Target) -> list[JsonValue]:  # noqa: ARG002 - all that it lists
        """Return what the server lists, page by page.

        Raises:
            UpstreamError: it did not answer.
            ListingError: what it answered is no list, or too much of one.
        """
        self._upstream.end_idle()
        definitions: list[JsonValue] = []
        left_bytes = self._settings.max_response_bytes
        cursors: set[str] = set()
        params: dict[str, JsonValue] = {}
        for _ in range(MAX_PAGES):
            page = await self._upstream.request(target, Method.LIST_TOOLS, params)
            listed = page.get("tools")
            if not isinstance(listed, list):
                raise ListingError("it gave no list")
            left_bytes -= len(encoded(listed))
            if left_bytes < 0:
                raise ListingError(f"its list has more than {self._settings.max_response_bytes} bytes")
            definitions.extend(listed)
            if len(definitions) > self._settings.max_tool_actions:
                raise ListingError(f"it lists more than {self._settings.max_tool_actions} actions")
            cursor = page.get("nextCursor")
            if cursor is None:
                return definitions
            if not _is_new(cursor, cursors):
                raise ListingError("its list has no end")
            cursors.add(cursor)
            params = {"cursor": cursor}
        raise ListingError(f"its list has more than {MAX_PAGES} pages")

    def bind(self, tool: Tool, definition: JsonValue) -> Binding | None:  # noqa: ARG002 - as every server
        """Return nothing: a call is its name and its arguments."""
        return None

    async def call(self, call: SystemCall) -> SystemResult:
        """Make a call.

        Raises:
            UpstreamError: it has no usable result.
        """
        return SystemResult(
            await self._upstream.request(
                call.target,
                Method.CALL_TOOL,
                {"name": call.action.declared.name, "arguments": call.arguments},
                owner=call.task.metadata.uid,
                param_headers=headers_for(call.action.mirrored, call.arguments),
                idempotency_key=call.idempotency_key,
            )
        )

    def forget(self, tool_uid: str) -> None:
        """End what is kept of how a server speaks."""
        self._upstream.forget_tool(tool_uid)


def _is_new(cursor: JsonValue, seen: set[str]) -> TypeGuard[str]:
    return isinstance(cursor, str) and len(cursor) <= MAX_CURSOR_LENGTH and cursor not in seen
