"""A small ticketing system: plain HTTP and JSON, as ``openapi.json`` beside it describes, over SQLite.

It knows nothing of AOS. Callers present their key in ``X-Api-Key``.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from examples.common.once import Once
from examples.common.service import AccessLog, Asked, Guard, Settings, common_routes, now, opened, run

DOCUMENT: Final = Path(__file__).with_name("openapi.json")
TICKETS: Final = Path(__file__).with_name("tickets.json")
KEY_HEADER: Final = "x-api-key"

SCHEMA: Final = """
CREATE TABLE ticket (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL,
    category TEXT NOT NULL DEFAULT '', risk TEXT NOT NULL DEFAULT '', queue TEXT NOT NULL DEFAULT 'new'
);
CREATE TABLE reply (id INTEGER PRIMARY KEY, ticket TEXT NOT NULL REFERENCES ticket (id), time TEXT NOT NULL, text TEXT NOT NULL);
"""


class Ticket(BaseModel):
    """What a customer wrote, and what was made of it."""

    id: str
    customer: str
    subject: str
    text: str
    category: str = ""
    risk: str = ""
    queue: str = "new"


class Change(BaseModel):
    """What is to be changed of a ticket; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    category: Literal["billing", "access", "delivery", "other"] | None = None
    risk: Literal["low", "high"] | None = None
    queue: Literal["new", "people", "done"] | None = None


class NewReply(BaseModel):
    """An answer to the customer."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=4000)]


class TicketBase:
    """The tickets in one SQLite file, and the access log."""

    def __init__(self, path: str) -> None:
        self.log = AccessLog()
        self._connection, is_new = opened(path, SCHEMA)
        if is_new:
            self._connection.executemany(
                "INSERT INTO ticket (id, customer, subject, text) VALUES (:id, :customer, :subject, :text)",
                json.loads(TICKETS.read_text(encoding="utf-8")),
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def tickets(self) -> list[Ticket]:
        """Return all tickets."""
        return [
            Ticket.model_validate(dict(row))
            for row in self._connection.execute("SELECT * FROM ticket ORDER BY id")
        ]

    def ticket(self, ticket_id: str) -> Ticket | None:
        """Return one ticket, if there is one with this id."""
        return next((ticket for ticket in self.tickets() if ticket.id == ticket_id), None)

    def change(self, ticket_id: str, change: Change) -> None:
        """Set what is given."""
        self._connection.execute(
            "UPDATE ticket SET category = coalesce(?, category), risk = coalesce(?, risk),"
            " queue = coalesce(?, queue) WHERE id = ?",
            (change.category, change.risk, change.queue, ticket_id),
        )

    def reply(self, ticket_id: str, text: str) -> str:
        """Send an answer; return its id."""
        cursor = self._connection.execute(
            "INSERT INTO reply (ticket, time, text) VALUES (?, ?, ?)", (ticket_id, now(), text)
        )
        return f"R-{cursor.lastrowid:04d}"

    def replies(self, ticket_id: str) -> list[str]:
        """Return what was answered, the oldest first."""
        rows = self._connection.execute("SELECT text FROM reply WHERE ticket = ? ORDER BY id", (ticket_id,))
        return [row["text"] for row in rows]


BodyT = TypeVar("BodyT", bound=BaseModel)


class _RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = JSONResponse({"error": message}, status)


class Desk:
    """The HTTP endpoints."""

    def __init__(self, base: TicketBase) -> None:
        self._base = base
        self._once: Once[str] = Once()

    async def list_all(self, _: Request) -> Response:
        """Answer ``GET /tickets``, with everything that is known of everybody."""
        return JSONResponse({"tickets": [ticket.model_dump() for ticket in self._base.tickets()]})

    async def one(self, request: Request) -> Response:
        """Answer ``GET`` and ``PATCH`` of ``/tickets/{id}``."""
        try:
            found = self._found(request)
            if request.method == "PATCH":
                self._base.change(found.id, await _body(request, Change))
                found = self._found(request)
        except _RefusedError as refused:
            return refused.response
        return JSONResponse(found.model_dump())

    async def replies(self, request: Request) -> Response:
        """Answer ``POST /tickets/{id}/replies``."""
        try:
            found = self._found(request)
            text = (await _body(request, NewReply)).text
            reply = self._once.do(request.headers, lambda: self._base.reply(found.id, text))
        except _RefusedError as refused:
            return refused.response
        self._base.change(found.id, Change(queue="done"))
        return JSONResponse({"reply": reply, "ticket": found.id}, 201)

    def _found(self, request: Request) -> Ticket:
        name = request.path_params["id"]
        found = self._base.ticket(name)
        if found is None:
            raise _RefusedError(404, f"there is no ticket {name}")
        return found


async def _body(request: Request, model: type[BodyT]) -> BodyT:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        where = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False))
        raise _RefusedError(422, f"wrong: {where or 'the body'}") from error


OPERATIONS: Final = {
    ("GET", "tickets", 1): "exportTickets",
    ("GET", "tickets", 2): "getTicket",
    ("PATCH", "tickets", 2): "updateTicket",
    ("POST", "tickets", 3): "sendReply",
}
"""By method, first part of the path and number of its parts."""


def read_request(scope: Scope, _: bytes) -> Asked:
    """Tell which operation a request is, and of which ticket."""
    method, parts = scope["method"], scope["path"].strip("/").split("/")
    operation = OPERATIONS.get((method, parts[0], len(parts)), "")
    return Asked(f"{method} {scope['path']}", operation, parts[1] if len(parts) > 1 else "")


def tickets_app(settings: Settings, base: TicketBase) -> ASGIApp:
    """Return the whole application: tickets, ``/openapi.json``, the log at ``/log``, and ``/healthz``."""
    desk, document = Desk(base), json.loads(DOCUMENT.read_text(encoding="utf-8"))

    async def described(_: Request) -> Response:
        return JSONResponse(document)

    app = Starlette(
        routes=[
            Route("/openapi.json", described),
            Route("/tickets", desk.list_all),
            Route("/tickets/{id}", desk.one, methods=["GET", "PATCH"]),
            Route("/tickets/{id}/replies", desk.replies, methods=["POST"]),
            *common_routes(base.log),
        ]
    )
    return Guard(app, settings, base.log, read_request)


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ, "tickets", KEY_HEADER)
    run(tickets_app(settings, TicketBase(settings.database)), settings)


if __name__ == "__main__":
    main()
