"""An MCP system of the examples that answers on loopback, as its tests talk to it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from pydantic import JsonValue
from starlette.types import ASGIApp

from aos.model.base import JsonObject
from examples.common.once import KEY_HEADER
from examples.common.service import Settings
from tests.unit.agent.serving import serve

TOKEN = "system-token"
SETTINGS = Settings(fixed_token=TOKEN)


@dataclass(frozen=True, slots=True)
class System:
    """A system that answers.

    Attributes:
        url: where.
        key: by which its callers let it know what they sent before; empty for none.
    """

    url: str
    key: str = ""

    async def call(self, action: str, **args: JsonValue) -> CallToolResult:
        headers = {"Authorization": f"Bearer {TOKEN}", **({KEY_HEADER: self.key} if self.key else {})}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
        ):
            return await client.call_tool(action, args)

    async def must(self, action: str, **args: JsonValue) -> JsonObject:
        """Return what a call that goes well returns."""
        result = await self.call(action, **args)
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def refused(self, action: str, **args: JsonValue) -> str:
        """Return why a call is refused."""
        result = await self.call(action, **args)
        assert result.is_error
        return " ".join(part.text for part in result.content if part.type == "text")


@asynccontextmanager
async def answering(app: ASGIApp) -> AsyncGenerator[System]:
    async with serve(app) as url:
        yield System(url)
