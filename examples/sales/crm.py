"""A small CRM: an MCP server over SQLite, with an access log that shows which credential each call came with.

It knows nothing of AOS. Contacts live in two territories, and an id begins with its territory (``emea-0001``).
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from examples.common.service import AccessLog, Settings, mcp_app, now, opened, run

CONTACTS: Final = Path(__file__).with_name("contacts.csv")
MAX_ROWS: Final = 1000

SCHEMA: Final = """
CREATE TABLE contact (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, email TEXT NOT NULL, company TEXT NOT NULL,
    industry TEXT NOT NULL, employees INTEGER NOT NULL, country TEXT NOT NULL, territory TEXT NOT NULL,
    stage TEXT NOT NULL, score REAL, next_step TEXT NOT NULL DEFAULT '', discount_percent INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE note (contact_id TEXT NOT NULL REFERENCES contact (id) ON DELETE CASCADE, time TEXT NOT NULL, text TEXT NOT NULL);
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


class Database:
    """The contacts in one SQLite file, and the access log."""

    def __init__(self, path: str) -> None:
        self.log = AccessLog()
        self._connection, is_new = opened(path, SCHEMA)
        if is_new:
            self._insert(read_contacts())

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
            "INSERT INTO note VALUES (?, ?, ?)", (self.contact(contact_id).id, now(), text)
        )

    def delete(self, contact_id: str) -> str:
        """Delete a contact that exists and return its id."""
        contact = self.contact(contact_id)
        self._connection.execute("DELETE FROM contact WHERE id = ?", (contact.id,))
        return contact.id


def read_contacts() -> Sequence[Mapping[str, str]]:
    """Return the made-up contacts."""
    with CONTACTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
        contacts = database.search(territory, "", MAX_ROWS)
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


def crm_app(settings: Settings, database: Database) -> ASGIApp:
    """Return the whole application."""
    return mcp_app(crm_server(database), settings, database.log, "id")


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ, "crm")
    run(crm_app(settings, Database(settings.database)), settings)


if __name__ == "__main__":
    main()
