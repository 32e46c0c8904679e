"""A small CRM: an MCP server over SQLite, with an access log that shows which credential each call came with.

It knows nothing of AOS. Contacts live in two territories, and an id begins with its territory (``emea-0001``).
"""

import csv
import hashlib
import hmac
import io
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field, JsonValue, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULT_DATABASE: Final = "/tmp/crm.sqlite"  # noqa: S108 - a pod's only writable folder, its own
DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104 - a pod listens on its own address
DEFAULT_PORT: Final = 8080
CONTACTS: Final = Path(__file__).with_name("contacts.csv")
MAX_REQUEST_BYTES: Final = 1024 * 1024
MAX_LOG_ROWS: Final = 1000
MAX_RECORD_CHARS: Final = 32
FINGERPRINT_DIGITS: Final = 8

SCHEMA: Final = """
CREATE TABLE contact (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, email TEXT NOT NULL, company TEXT NOT NULL,
    industry TEXT NOT NULL, employees INTEGER NOT NULL, country TEXT NOT NULL, territory TEXT NOT NULL,
    stage TEXT NOT NULL, score REAL, next_step TEXT NOT NULL DEFAULT '', discount_percent INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE note (contact_id TEXT NOT NULL REFERENCES contact (id) ON DELETE CASCADE, time TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE access (
    time TEXT NOT NULL, method TEXT NOT NULL, action TEXT NOT NULL, record TEXT NOT NULL, status INTEGER NOT NULL,
    credential TEXT NOT NULL, headers TEXT NOT NULL
);
"""

Territory = Literal["emea", "amer"]
Stage = Literal["new", "contacted", "qualified", "customer", "lost"]
ContactId = Annotated[str, Field(pattern=r"^(emea|amer)-[0-9]{4}$", description="For instance emea-0001")]
Text = Annotated[str, Field(min_length=1, max_length=500)]


class Contact(BaseModel):
    """A person at a company."""

    id: str
    name: str
    title: str
    email: str
    company: str
    industry: str
    employees: int
    country: str
    territory: str
    stage: str
    score: float | None = None
    next_step: str = ""
    discount_percent: int = 0


class Contacts(BaseModel):
    """What a search found."""

    contacts: list[Contact]


class ContactCard(BaseModel):
    """A contact with the notes about it."""

    contact: Contact
    notes: list[str]


class Export(BaseModel):
    """Contacts as a table."""

    rows: int
    table: str


class Deleted(BaseModel):
    """What was deleted."""

    deleted: str


class Access(BaseModel):
    """One request, as the log keeps it.

    Attributes:
        method: The MCP method, or the HTTP request if it was none.
        action: The tool's name of a ``tools/call``.
        record: The id of the contact that it names.
        credential: ``sha256:`` and the first digits of the digest of the bearer token; ``none`` without one.
        headers: Names of all headers that came with it, sorted.
    """

    time: str
    method: str
    action: str
    record: str
    status: int
    credential: str
    headers: list[str]


class Database:
    """The contacts and the access log, in one SQLite file."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA foreign_keys = ON")
        if not self._connection.execute("SELECT name FROM sqlite_master WHERE name = 'contact'").fetchone():
            self._connection.executescript(SCHEMA)
            self._insert(_read_contacts(CONTACTS))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _insert(self, contacts: Iterable[Mapping[str, str]]) -> None:
        self._connection.executemany(
            "INSERT INTO contact (id, name, title, email, company, industry, employees, country, territory, stage)"
            " VALUES (:id, :name, :title, :email, :company, :industry, :employees, :country, :territory, :stage)",
            contacts,
        )

    def search(self, territory: str, query: str, limit: int) -> list[Contact]:
        """Return contacts of ``territory`` whose name, company or address holds ``query``."""
        rows = self._connection.execute(
            "SELECT * FROM contact WHERE territory = ? AND instr(lower(name || ' ' || company || ' ' || email), lower(?))"
            " ORDER BY id LIMIT ?",
            (territory, query, limit),
        )
        return [Contact.model_validate(dict(row)) for row in rows]

    def contact(self, contact_id: str) -> Contact:
        """Return one contact.

        Raises:
            ToolError: there is none with this id.
        """
        row = self._connection.execute("SELECT * FROM contact WHERE id = ?", (contact_id,)).fetchone()
        if row is None:
            raise ToolError(f"there is no contact {contact_id}")
        return Contact.model_validate(dict(row))

    def notes(self, contact_id: str) -> list[str]:
        """Return the notes about a contact, the oldest first."""
        rows = self._connection.execute(
            "SELECT text FROM note WHERE contact_id = ? ORDER BY rowid", (contact_id,)
        )
        return [row["text"] for row in rows]

    def update(
        self, contact_id: str, stage: str | None, score: float | None, next_step: str | None
    ) -> Contact:
        """Set what is given and return the contact."""
        self._connection.execute(
            "UPDATE contact SET stage = coalesce(?, stage), score = coalesce(?, score),"
            " next_step = coalesce(?, next_step) WHERE id = ?",
            (stage, score, next_step, contact_id),
        )
        return self.contact(contact_id)

    def grant_discount(self, contact_id: str, percent: int) -> Contact:
        """Set the discount of a contact that exists and return the contact."""
        self._connection.execute(
            "UPDATE contact SET discount_percent = ? WHERE id = ?", (percent, self.contact(contact_id).id)
        )
        return self.contact(contact_id)

    def add_note(self, contact_id: str, text: str) -> None:
        """Add a note to a contact that exists."""
        self._connection.execute(
            "INSERT INTO note VALUES (?, ?, ?)", (self.contact(contact_id).id, _now(), text)
        )

    def delete(self, contact_id: str) -> str:
        """Delete a contact that exists and return its id."""
        contact = self.contact(contact_id)
        self._connection.execute("DELETE FROM contact WHERE id = ?", (contact.id,))
        return contact.id

    def record(self, access: Access) -> None:
        """Keep one request in the log."""
        self._connection.execute(
            "INSERT INTO access VALUES (:time, :method, :action, :record, :status, :credential, :headers)",
            {**access.model_dump(), "headers": json.dumps(access.headers)},
        )

    def accesses(self, limit: int) -> list[Access]:
        """Return the last ``limit`` requests, the oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM access ORDER BY rowid DESC LIMIT ?", (limit,)
        ).fetchall()
        return [
            Access.model_validate({**dict(row), "headers": json.loads(row["headers"])})
            for row in reversed(rows)
        ]


def _read_contacts(path: Path) -> Sequence[Mapping[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def crm_server(database: Database) -> MCPServer[None]:
    """Return the MCP server with the CRM's seven actions."""
    server: MCPServer[None] = MCPServer(name="crm", version="1.0.0", log_level="WARNING")
    reads = ToolAnnotations(read_only_hint=True)
    writes = ToolAnnotations(read_only_hint=False, destructive_hint=False)
    destroys = ToolAnnotations(read_only_hint=False, destructive_hint=True)

    @server.tool(annotations=reads)
    async def search_contacts(
        territory: Territory,
        query: Annotated[str, Field(max_length=200, description="Part of a name, company or address")] = "",
        limit: Annotated[int, Field(ge=1, le=20)] = 5,
    ) -> Contacts:
        """Find contacts of one territory."""
        return Contacts(contacts=database.search(territory, query, limit))

    @server.tool(annotations=reads)
    async def get_contact(id: ContactId) -> ContactCard:  # noqa: A002 - the argument's name in the API
        """Read one contact and its notes."""
        return ContactCard(contact=database.contact(id), notes=database.notes(id))

    @server.tool(annotations=writes)
    async def update_contact(
        id: ContactId,  # noqa: A002 - the argument's name in the API
        stage: Stage | None = None,
        score: Annotated[float | None, Field(ge=0, le=1)] = None,
        next_step: Text | None = None,
    ) -> Contact:
        """Change a contact's stage, score or next step."""
        return database.update(id, stage, score, next_step)

    @server.tool(annotations=writes)
    async def add_note(id: ContactId, text: Text) -> ContactCard:  # noqa: A002 - the argument's name in the API
        """Add a note to a contact."""
        database.add_note(id, text)
        return ContactCard(contact=database.contact(id), notes=database.notes(id))

    @server.tool(annotations=writes)
    async def grant_discount(
        id: ContactId,  # noqa: A002 - the argument's name in the API
        percent: Annotated[int, Field(ge=0, le=50)],
    ) -> Contact:
        """Promise a contact a discount on its next order."""
        return database.grant_discount(id, percent)

    @server.tool(annotations=reads)
    async def export_contacts(territory: Territory) -> Export:
        """Export all contacts of a territory as comma-separated values."""
        contacts = database.search(territory, "", MAX_LOG_ROWS)
        table = io.StringIO()
        writer = csv.DictWriter(table, fieldnames=list(Contact.model_fields))
        writer.writeheader()
        writer.writerows(contact.model_dump() for contact in contacts)
        return Export(rows=len(contacts), table=table.getvalue())

    @server.tool(annotations=destroys)
    async def delete_contact(id: ContactId) -> Deleted:  # noqa: A002 - the argument's name in the API
        """Delete a contact and its notes."""
        return Deleted(deleted=database.delete(id))

    return server


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the CRM listens, keeps its data and finds the token that callers must present.

    Attributes:
        token_file: File with the token; read for each request, so that it can change.
        fixed_token: The token itself, if there is no file.
    """

    token_file: Path | None = None
    fixed_token: str = ""
    database: str = DEFAULT_DATABASE
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read CRM_TOKEN_FILE or CRM_TOKEN (one of them is required), CRM_DATABASE, CRM_HOST and CRM_PORT.

        Raises:
            ValueError: there is no token to check callers against.
        """
        file, fixed = environment.get("CRM_TOKEN_FILE"), environment.get("CRM_TOKEN", "")
        if not file and not fixed:
            raise ValueError("set CRM_TOKEN_FILE (a file) or CRM_TOKEN (the token that callers must present)")
        return cls(
            token_file=Path(file) if file else None,
            fixed_token=fixed,
            database=environment.get("CRM_DATABASE", DEFAULT_DATABASE),
            host=environment.get("CRM_HOST", DEFAULT_HOST),
            port=int(environment.get("CRM_PORT", DEFAULT_PORT)),
        )

    def token(self) -> str:
        """Return the token as it is now."""
        return self.token_file.read_text(encoding="utf-8").strip() if self.token_file else self.fixed_token


class Guard:
    """Lets in who presents the token, and keeps a log of every request to ``/mcp``, refused ones too."""

    def __init__(self, app: ASGIApp, settings: Settings, database: Database) -> None:
        self._app = app
        self._settings = settings
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 401 or 413."""
        if scope["type"] != "http" or scope["path"] == "/healthz":
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
        credentials = Headers(scope=scope).getlist("authorization")
        expected = f"Bearer {self._settings.token()}"
        if len(credentials) == 1 and hmac.compare_digest(credentials[0].encode(), expected.encode()):
            await self._app(scope, receive, send)
        else:
            challenge = {"WWW-Authenticate": "Bearer"}
            await PlainTextResponse("the token is missing or wrong\n", 401, challenge)(scope, receive, send)

    def _record(self, scope: Scope, body: bytes, status: int) -> None:
        headers = Headers(scope=scope)
        call = read_call(body)
        access = Access(
            time=_now(),
            method=call.method or f"{scope['method']} {scope['path']}",
            action=call.params.name,
            record=call.params.record,
            status=status,
            credential=fingerprint(headers.get("authorization", "")),
            headers=sorted(set(headers.keys())),
        )
        self._database.record(access)
        print(access.model_dump_json(), flush=True)


class CallParams(BaseModel):
    """The part of a call's parameters that the log shows."""

    name: str = ""
    arguments: JsonValue = None

    @property
    def record(self) -> str:
        """The contact's id, if the arguments name one."""
        named = self.arguments.get("id") if isinstance(self.arguments, dict) else None
        return named[:MAX_RECORD_CHARS] if isinstance(named, str) else ""


class Call(BaseModel):
    """The part of a JSON-RPC request that the log shows."""

    method: str = ""
    params: CallParams = CallParams()


def read_call(body: bytes) -> Call:
    """Return what ``body`` calls; nothing if it is no request."""
    try:
        return Call.model_validate_json(body)
    except ValidationError:
        return Call()


def fingerprint(authorization: str) -> str:
    """Return enough of a credential's digest to tell it from another one, and nothing to use it with."""
    if not authorization:
        return "none"
    token = authorization.removeprefix("Bearer ")
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()[:FINGERPRINT_DIGITS]


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


def crm_app(settings: Settings, database: Database) -> ASGIApp:
    """Return the whole application: MCP at ``/mcp``, the log at ``/log``, and ``/healthz``."""
    server = crm_server(database)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def log(_: Request) -> Response:
        return JSONResponse([access.model_dump() for access in database.accesses(MAX_LOG_ROWS)])

    app: Starlette = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        max_request_body_size=MAX_REQUEST_BYTES,
        # Callers come by the Service's name, and only with the token.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app.routes.extend((Route("/healthz", healthz), Route("/log", log)))
    return Guard(app, settings, database)


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ)
    app = crm_app(settings, Database(settings.database))
    uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
