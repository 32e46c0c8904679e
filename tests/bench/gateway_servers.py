"""The servers around the gateway, each a process of its own: the tool behind it, and the bare proxy beside it.

``python -m tests.bench.gateway_servers tool PORT`` or ``proxy PORT UPSTREAM_PORT CERTIFICATE KEY``.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import orjson
import uvicorn
from yarl import URL

from tests.bench.processes import LOOPBACK

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ACTIONS = ("get_contact", "search_contacts", "export_contacts")
RESULT_BYTES = 1024

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "maxLength": 64},
        "territory": {"type": "string", "enum": ["emea", "amer"]},
        "fields": {"type": "array", "maxItems": 16, "items": {"type": "string", "maxLength": 32}},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    },
}
_TOOLS = [{"name": name, "description": f"A contact: {name}.", "inputSchema": SCHEMA} for name in ACTIONS]
_SAID = (
    "Met the team at the spring fair and talked about the move from spreadsheets to one system. They want to see how"
    " territories are kept apart, who may change a stage, and what it costs for thirty people. "
)
_CONTACT = {
    "id": "emea-0001",
    "name": "Ada Example",
    "company": "Example Industries",
    "stage": "qualified",
    "score": 71,
    "territory": "emea",
}
# A record as people write it: what looks like base64 is decoded and looked into, which costs more.
_TEXT = orjson.dumps({**_CONTACT, "notes": (_SAID * 8)[: RESULT_BYTES - 160]}).decode()
_VERSION = "2026-07-28"


class ToolApp:
    """A stateless MCP server that costs next to nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        message = orjson.loads(await body_of(receive))
        result: dict[str, Any]
        match message["method"]:
            case "server/discover":
                result = {"supportedVersions": [_VERSION], "capabilities": {"tools": {}}}
            case "tools/list":
                result = {"tools": _TOOLS, "ttlMs": 0}
            case _:
                result = {"content": [{"type": "text", "text": _TEXT}], "isError": False}
        said = {"jsonrpc": "2.0", "id": message["id"], "result": {**result, "resultType": "complete"}}
        await answer(send, 200, orjson.dumps(said))


class ProxyApp:
    """Sends the body on and the answer back, and does nothing else."""

    def __init__(self, upstream_port: int) -> None:
        self._url = URL(f"http://{LOOPBACK}:{upstream_port}/mcp")
        self._client: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._client is None:
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1024))
        body = await body_of(receive)
        async with self._client.post(
            self._url, data=body, headers={"Content-Type": "application/json"}
        ) as response:
            await answer(send, response.status, await response.read())


def main(arguments: list[str]) -> None:
    """Run one of the servers until it is told to stop."""
    match arguments:
        case ["tool", port]:
            serve(ToolApp(), int(port))
        case ["proxy", port, upstream, certificate, key]:
            serve(ProxyApp(int(upstream)), int(port), ssl_certfile=certificate, ssl_keyfile=key)
        case _:
            raise SystemExit(__doc__)


def serve(app: App, port: int, **tls: str) -> None:
    """Run an application as the gateway runs, until it is told to stop; ``tls`` names the files of uvicorn's options."""
    uvicorn.run(
        app,
        host=LOOPBACK,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=75,
        **tls,  # type: ignore[arg-type]  # file names
    )


async def body_of(receive: Receive) -> bytes:
    """Return a request's whole body."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def answer(send: Send, status: int, body: bytes) -> None:
    """Answer with JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    main(sys.argv[1:])
