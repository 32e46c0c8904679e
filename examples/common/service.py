"""What the systems of the examples share: the token that callers must present, and a log of what came with which one.

They know nothing of AOS.
"""

import hashlib
import hmac
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import BaseModel, JsonValue, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104 - a pod listens on its own address
DEFAULT_PORT: Final = 8080
MAX_REQUEST_BYTES: Final = 1024 * 1024
MAX_LOG_ROWS: Final = 1000
MAX_RECORD_CHARS: Final = 64
FINGERPRINT_DIGITS: Final = 8
OPEN_PATHS: Final = frozenset({"/healthz", "/openapi.json"})
"""What anybody may ask for, and what leaves no trace."""

BEARER: Final = "authorization"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a system listens, keeps its data and finds the token that callers must present.

    Attributes:
        token_file: File with the token; read for each request, so that it can change.
        fixed_token: The token itself, if there is no file.
        database: The SQLite file.
        header: The header that carries the token; ``authorization`` carries it after ``Bearer``.
    """

    token_file: Path | None = None
    fixed_token: str = ""
    database: str = ""
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    header: str = BEARER

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], name: str, header: str = BEARER) -> Self:
        """Read NAME_TOKEN_FILE or NAME_TOKEN (one of them is required), NAME_DATABASE, NAME_HOST and NAME_PORT.

        Raises:
            ValueError: there is no token to check callers against.
        """
        prefix = name.upper()
        file, fixed = environment.get(f"{prefix}_TOKEN_FILE"), environment.get(f"{prefix}_TOKEN", "")
        if not file and not fixed:
            raise ValueError(
                f"set {prefix}_TOKEN_FILE (a file) or {prefix}_TOKEN (the token that callers must present)"
            )
        return cls(
            token_file=Path(file) if file else None,
            fixed_token=fixed,
            database=environment.get(f"{prefix}_DATABASE", f"/tmp/{name}.sqlite"),  # noqa: S108 - a pod's only writable folder, its own
            host=environment.get(f"{prefix}_HOST", DEFAULT_HOST),
            port=int(environment.get(f"{prefix}_PORT", DEFAULT_PORT)),
            header=header,
        )

    def admits(self, headers: Headers) -> bool:
        """Whether a request came with the token and no second credential."""
        token = self.token_file.read_text(encoding="utf-8").strip() if self.token_file else self.fixed_token
        expected = f"Bearer {token}" if self.header == BEARER else token
        presented = headers.getlist(self.header)
        return len(presented) == 1 and hmac.compare_digest(presented[0].encode(), expected.encode())


class Access(BaseModel):
    """One request, as the log keeps it.

    Attributes:
        method: The MCP method, or the HTTP request if it was none.
        action: The tool's name of a ``tools/call``, or the operation of a REST request.
        record: The id of what it is about.
        credential: ``sha256:`` and the first digits of the digest of the token; ``none`` without one.
        headers: Names of all headers that came with it, sorted.
    """

    time: str
    method: str
    action: str
    record: str
    status: int
    credential: str
    headers: list[str]


class AccessLog:
    """The last requests, each printed as a line when it has been answered."""

    def __init__(self) -> None:
        self._entries: deque[Access] = deque(maxlen=MAX_LOG_ROWS)

    def add(self, access: Access) -> None:
        """Keep one request."""
        self._entries.append(access)
        print(access.model_dump_json(), flush=True)

    def last(self, limit: int = MAX_LOG_ROWS) -> list[Access]:
        """Return the last ``limit`` requests, the oldest first."""
        return list(self._entries)[-limit:]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, as the log shows it."""

    method: str
    action: str = ""
    record: str = ""


Reading = Callable[[Scope, bytes], Asked]
"""Tells what a request with this body asks for."""


class Guard:
    """Lets in who presents the token, and keeps a log of every request, refused ones too."""

    def __init__(self, app: ASGIApp, settings: Settings, log: AccessLog, reading: Reading) -> None:
        self._app = app
        self._settings = settings
        self._log = log
        self._reading = reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 401 or 413."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif scope["path"] == "/log":
            await self._pass_on(scope, receive, send)
        else:
            await self._logged(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        status = 500

        async def remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        if body is None:
            await PlainTextResponse("too large\n", 413)(scope, receive, remember)
        else:
            await self._pass_on(scope, _replay(body, receive), remember)
        self._record(scope, body or b"", status)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._settings.admits(Headers(scope=scope)):
            await self._app(scope, receive, send)
        else:
            challenge = {"WWW-Authenticate": "Bearer"}
            await PlainTextResponse("the token is missing or wrong\n", 401, challenge)(scope, receive, send)

    def _record(self, scope: Scope, body: bytes, status: int) -> None:
        headers = Headers(scope=scope)
        asked = self._reading(scope, body)
        self._log.add(
            Access(
                time=now(),
                method=asked.method,
                action=asked.action,
                record=asked.record[:MAX_RECORD_CHARS],
                status=status,
                credential=fingerprint(headers.get(self._settings.header, "")),
                headers=sorted(set(headers.keys())),
            )
        )


class CallParams(BaseModel):
    """The part of a call's parameters that the log shows."""

    name: str = ""
    arguments: JsonValue = None

    def record(self, names: tuple[str, ...]) -> str:
        """Return the first of these arguments that is a text."""
        given = self.arguments if isinstance(self.arguments, dict) else {}
        return next((value for name in names if isinstance(value := given.get(name), str)), "")


class JsonRpcCall(BaseModel):
    """The part of a JSON-RPC request that the log shows."""

    method: str = ""
    params: CallParams = CallParams()


def reading_calls(*record_arguments: str) -> Reading:
    """Read MCP's requests; the record that a call is about is named by the first of these arguments that it has."""

    def read(scope: Scope, body: bytes) -> Asked:
        try:
            call = JsonRpcCall.model_validate_json(body)
        except ValidationError:
            call = JsonRpcCall()
        return Asked(
            call.method or f"{scope['method']} {scope['path']}",
            call.params.name,
            call.params.record(record_arguments),
        )

    return read


def fingerprint(credential: str) -> str:
    """Return enough of a credential's digest to tell it from another one, and nothing to use it with."""
    if not credential:
        return "none"
    token = credential.removeprefix("Bearer ")
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()[:FINGERPRINT_DIGITS]


def now() -> str:
    """Return the time, as logs and tables write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def opened(path: str, schema: str) -> tuple[sqlite3.Connection, bool]:
    """Open an SQLite file and make its tables; also return whether they were made just now."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    is_new = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table'").fetchone() is None
    if is_new:
        connection.executescript(schema)
    return connection, is_new


def mcp_app(server: MCPServer[None], settings: Settings, log: AccessLog, *record_arguments: str) -> ASGIApp:
    """Return an MCP server as a whole system: MCP at ``/mcp``, the log at ``/log``, and ``/healthz``."""
    app: Starlette = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        max_request_body_size=MAX_REQUEST_BYTES,
        # Callers come by the Service's name, and only with the token.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app.routes.extend(common_routes(log))
    return Guard(app, settings, log, reading_calls(*record_arguments))


def common_routes(log: AccessLog) -> list[Route]:
    """Return what every system answers besides its own work."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def last(_: Request) -> Response:
        return JSONResponse([access.model_dump() for access in log.last()])

    return [Route("/healthz", healthz), Route("/log", last)]


def run(app: ASGIApp, settings: Settings) -> None:
    """Serve until the process is ended."""
    uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, log_level="warning")


async def _read_body(receive: Receive) -> bytes | None:
    """Return the request's body; None if it is larger than MAX_REQUEST_BYTES."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_REQUEST_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
