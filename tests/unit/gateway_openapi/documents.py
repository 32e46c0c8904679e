"""A ticketing system's OpenAPI documents, as such systems have them, and the system itself."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from pydantic import JsonValue
from starlette.types import Receive, Scope, Send

from aos.model.base import JsonObject
from aos.model.tool import Tool
from tests.unit.agent.serving import serve
from tests.unit.gateway_mcp.make import NAMESPACE

TICKETS = """
openapi: 3.0.3
info: {title: Desk, version: "2"}
servers:
  - url: http://169.254.169.254/latest
paths:
  /tickets:
    get:
      operationId: list_tickets
      summary: List tickets
      description: Newest first.
      parameters:
        - {$ref: "#/components/parameters/Page"}
        - name: status
          in: query
          schema: {type: array, items: {$ref: "#/components/schemas/Status"}}
        - name: fields
          in: query
          style: form
          explode: false
          schema: {type: array, items: {type: string}}
        - name: filter[assignee]
          in: query
          description: Only those of one person.
          schema: {type: string, nullable: true}
        - name: sort
          in: query
          style: deepObject
          schema: {type: object}
        - name: X-Desk-Locale
          in: header
          schema: {type: string}
        - name: Authorization
          in: header
          schema: {type: string}
      responses:
        "200": {description: A page}
    post:
      operationId: create_ticket
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Ticket"}
      responses:
        "201": {description: Made}
  /tickets/{id}:
    parameters:
      - name: id
        in: path
        required: true
        schema: {type: string}
    get:
      operationId: get_ticket
      responses:
        "200": {description: One}
    patch:
      operationId: update_ticket
      parameters:
        - {name: id, in: query, schema: {type: integer}, description: Of the change.}
      requestBody:
        content:
          application/merge-patch+json:
            schema: {$ref: "#/components/schemas/Ticket"}
      responses:
        "200": {description: One}
    delete:
      operationId: delete_ticket
      responses:
        "204": {description: Gone}
  /tickets/{id}/attachments:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    post:
      operationId: attach
      requestBody:
        content:
          multipart/form-data:
            schema: {type: object}
      responses:
        "201": {description: Made}
components:
  parameters:
    Page:
      name: page
      in: query
      description: From 1.
      schema: {type: integer, format: int64, minimum: 1, maximum: 9223372036854775807}
  schemas:
    Status: {type: string, enum: [open, "on", closed]}
    Ticket:
      type: object
      required: [id, title]
      properties:
        id: {type: string, readOnly: true}
        title: {type: string, maxLength: 200}
        status: {$ref: "#/components/schemas/Status"}
        assignee: {type: string, nullable: true, enum: [ana, ben]}
        score: {type: number, minimum: 0, exclusiveMinimum: true}
        children:
          type: array
          items: {$ref: "#/components/schemas/Ticket"}
        due: {type: string, example: 2024-01-01}
"""

ACCESS = {
    "list_tickets": "Read",
    "create_ticket": "Write",
    "get_ticket": "Read",
    "update_ticket": "Write",
    "delete_ticket": "Write",
}


def tool(
    url: str,
    actions: dict[str, str] | None = None,
    *,
    auth: JsonObject | None = None,
    source: JsonObject | None = None,
    pins: dict[str, str] | None = None,
    idempotent: frozenset[str] = frozenset(),
    generation: int = 1,
) -> Tool:
    """Return a Tool of the ticketing system."""
    declared: list[JsonValue] = [
        {
            "name": name,
            "access": access,
            "risk": "Low",
            **({"definitionDigest": pins[name]} if pins and name in pins else {}),
            **({"idempotent": True} if name in idempotent else {}),
        }
        for name, access in (actions or ACCESS).items()
    ]
    spec: JsonObject = {
        "type": "OpenAPI",
        "url": url,
        "openapi": source or {"path": "/openapi.yaml"},
        "actions": declared,
        "auth": auth or {"secretRef": {"name": "crm-credentials", "key": "token"}},
    }
    metadata: JsonObject = {
        "name": "desk",
        "namespace": NAMESPACE,
        "uid": "uid-desk",
        "generation": generation,
    }
    return Tool.parse({"metadata": metadata, "spec": spec})


@dataclass
class Asked:
    """A request that reached the system; the path is as it was sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: JsonValue


@dataclass
class Desk:
    """The system: it keeps what it was asked, and answers as a test says."""

    document: bytes = TICKETS.encode()
    status: int = 200
    answer: bytes = b'{"id": "7", "title": "Printer"}'
    headers: dict[str, str] = field(
        default_factory=lambda: {"content-type": "application/json; charset=utf-8"}
    )
    asked: list[Asked] = field(default_factory=list)
    fetched: list[Asked] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    document_status: int = 200
    document_headers: dict[str, str] = field(default_factory=dict)
    held: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        content = b""
        while True:
            message = await receive()
            content += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = Asked(
            scope["method"],
            scope["raw_path"].decode(),
            parse_qs(scope["query_string"].decode()),
            {name.decode(): value.decode() for name, value in scope["headers"]},
            json.loads(content) if content else None,
        )
        if urlsplit(asked.path).path.startswith("/openapi"):
            self.fetched.append(asked)
            await _respond(send, self.document_status, self.document, self.document_headers)
            return
        self.asked.append(asked)
        if self.held is not None:
            await self.held.wait()
        status = self.statuses.pop(0) if self.statuses else self.status
        await _respond(send, status, self.answer, self.headers)


async def _respond(send: Send, status: int, content: bytes, headers: dict[str, str]) -> None:
    said = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def desk() -> AsyncGenerator[tuple[str, Desk]]:
    """Serve the system; yield the URL below which its paths are."""
    there = Desk()
    async with serve(there) as url:
        yield f"{url}/api/v2", there
