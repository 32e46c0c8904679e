"""A small mail system: an MCP server that writes to contacts by their id, and knows their addresses itself.

It knows nothing of AOS. No letter leaves the pod: what was sent stands in the outbox.
"""

import os
from typing import Annotated, Final

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from examples.common.once import Once
from examples.common.service import AccessLog, Settings, mcp_app, now, opened, run
from examples.sales.crm import ContactId, read_contacts

SCHEMA: Final = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY, contact TEXT NOT NULL, address TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    time TEXT NOT NULL
);
"""

Subject = Annotated[str, Field(min_length=1, max_length=200)]
Body = Annotated[str, Field(min_length=1, max_length=4000)]


class Message(BaseModel):
    """A letter that was sent."""

    id: str
    contact: str
    subject: str
    time: str


class Messages(BaseModel):
    """Letters that were sent, the oldest first."""

    messages: list[Message]


class Outbox:
    """What was sent, in one SQLite file, and the access log."""

    def __init__(self, path: str) -> None:
        self.log = AccessLog()
        self._connection, _ = opened(path, SCHEMA)
        self._addresses = {row["id"]: row["email"] for row in read_contacts()}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def send(self, contact: str, subject: str, body: str) -> Message:
        """Send a letter.

        Raises:
            ToolError: nobody has this id.
        """
        address = self._addresses.get(contact)
        if address is None:
            raise ToolError(f"no address is known of {contact}")
        self._connection.execute(
            "INSERT INTO message (contact, address, subject, body, time) VALUES (?, ?, ?, ?, ?)",
            (contact, address, subject, body, now()),
        )
        return self.sent(contact)[-1]

    def sent(self, contact: str) -> list[Message]:
        """Return what was sent to ``contact``."""
        rows = self._connection.execute(
            "SELECT printf('msg-%04d', id) AS id, contact, subject, time FROM message WHERE contact = ?"
            " ORDER BY message.id",
            (contact,),
        )
        return [Message.model_validate(dict(row)) for row in rows]


def mail_server(outbox: Outbox) -> MCPServer[None]:
    """Return the MCP server with the mail system's two actions."""
    server: MCPServer[None] = MCPServer(name="mail", version="1.0.0", log_level="WARNING")
    once: Once[Message] = Once()

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
    async def send_message(contact: ContactId, subject: Subject, body: Body, asked: Context) -> Message:
        """Send a letter to a contact of the CRM."""
        return once.do(asked.headers, lambda: outbox.send(contact, subject, body))

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def list_messages(contact: ContactId) -> Messages:
        """List what was sent to a contact."""
        return Messages(messages=outbox.sent(contact))

    return server


def mail_app(settings: Settings, outbox: Outbox) -> ASGIApp:
    """Return the whole application."""
    return mcp_app(mail_server(outbox), settings, outbox.log, "contact")


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ, "mail")
    run(mail_app(settings, Outbox(settings.database)), settings)


if __name__ == "__main__":
    main()
