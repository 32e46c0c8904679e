"""A small content management system: an MCP server over SQLite with drafts, versions and published pages.

It knows nothing of AOS.
"""

import os
from typing import Annotated, Final, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from examples.common.once import Once
from examples.common.service import AccessLog, Settings, mcp_app, now, opened, run

SCHEMA: Final = """
CREATE TABLE page (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL DEFAULT 'draft', changed TEXT NOT NULL
);
"""
BANNED_WORDS: Final = ("revolutionary", "guaranteed", "world-class", "risk-free")

State = Literal["draft", "published", "discarded"]
PageId = Annotated[str, Field(pattern=r"^page-[0-9]{4,9}$", description="For instance page-0001")]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Body = Annotated[str, Field(min_length=1, max_length=8000)]


class Page(BaseModel):
    """A page as it is now."""

    id: str
    title: str
    body: str
    version: int
    state: State
    path: str


class BrandGuide(BaseModel):
    """How the company speaks."""

    voice: str
    bannedWords: list[str]  # noqa: N815 - the field's name in the API


class Site:
    """The pages in one SQLite file, and the access log."""

    def __init__(self, path: str) -> None:
        self.log = AccessLog()
        self._connection, _ = opened(path, SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def create(self, title: str, body: str) -> Page:
        """Keep a new draft."""
        cursor = self._connection.execute(
            "INSERT INTO page (title, body, changed) VALUES (?, ?, ?)", (title, body, now())
        )
        return self.page(f"page-{cursor.lastrowid:04d}")

    def page(self, page_id: str) -> Page:
        """Return one page.

        Raises:
            ToolError: there is none with this id.
        """
        row = self._connection.execute(
            "SELECT printf('page-%04d', id) AS id, title, body, version, state, printf('/posts/%d', id) AS path"
            " FROM page WHERE id = ?",
            (_number(page_id),),
        ).fetchone()
        if row is None:
            raise ToolError(f"there is no page {page_id}")
        return Page.model_validate(dict(row))

    def change(self, page_id: str, title: str, body: str) -> Page:
        """Change a draft; its version becomes another one.

        Raises:
            ToolError: it is no draft.
        """
        self._must_be(page_id, "draft")
        self._connection.execute(
            "UPDATE page SET title = ?, body = ?, version = version + 1, changed = ? WHERE id = ?",
            (title, body, now(), _number(page_id)),
        )
        return self.page(page_id)

    def publish(self, page_id: str, version: int) -> Page:
        """Publish exactly this version.

        Raises:
            ToolError: the page is no draft, or was changed since.
        """
        found = self._must_be(page_id, "draft")
        if found.version != version:
            raise ToolError(
                f"{page_id} is at version {found.version}, not {version}: it was changed meanwhile"
            )
        return self._moved(page_id, "published")

    def discard(self, page_id: str) -> Page:
        """Take a draft away.

        Raises:
            ToolError: it is no draft.
        """
        self._must_be(page_id, "draft")
        return self._moved(page_id, "discarded")

    def _must_be(self, page_id: str, state: State) -> Page:
        found = self.page(page_id)
        if found.state != state:
            raise ToolError(f"{page_id} is {found.state}, no {state}")
        return found

    def _moved(self, page_id: str, state: State) -> Page:
        self._connection.execute(
            "UPDATE page SET state = ?, changed = ? WHERE id = ?", (state, now(), _number(page_id))
        )
        return self.page(page_id)


def _number(page_id: str) -> int:
    return int(page_id.removeprefix("page-"))


def cms_server(site: Site) -> MCPServer[None]:
    """Return the MCP server with the system's six actions."""
    server: MCPServer[None] = MCPServer(name="cms", version="1.0.0", log_level="WARNING")
    once: Once[Page] = Once()
    reads = ToolAnnotations(read_only_hint=True)
    writes = ToolAnnotations(read_only_hint=False, destructive_hint=False)
    destroys = ToolAnnotations(read_only_hint=False, destructive_hint=True)

    @server.tool(annotations=reads)
    async def get_brand_guide() -> BrandGuide:
        """Read how the company speaks, and which words it does not use."""
        return BrandGuide(voice="Plain, short, nothing promised.", bannedWords=list(BANNED_WORDS))

    @server.tool(annotations=reads)
    async def get_page(id: PageId) -> Page:  # noqa: A002 - the argument's name in the API
        """Read a page."""
        return site.page(id)

    @server.tool(annotations=writes)
    async def create_draft(title: Title, body: Body, asked: Context) -> Page:
        """Keep a new draft."""
        return once.do(asked.headers, lambda: site.create(title, body))

    @server.tool(annotations=writes)
    async def change_draft(id: PageId, title: Title, body: Body, asked: Context) -> Page:  # noqa: A002 - the argument's name in the API
        """Change a draft."""
        return once.do(asked.headers, lambda: site.change(id, title, body))

    @server.tool(annotations=writes)
    async def publish_page(id: PageId, version: Annotated[int, Field(ge=1)], asked: Context) -> Page:  # noqa: A002 - the argument's name in the API
        """Publish this version of a draft for everybody to read."""
        return once.do(asked.headers, lambda: site.publish(id, version))

    @server.tool(annotations=destroys)
    async def discard_draft(id: PageId, asked: Context) -> Page:  # noqa: A002 - the argument's name in the API
        """Take a draft away."""
        return once.do(asked.headers, lambda: site.discard(id))

    return server


def cms_app(settings: Settings, site: Site) -> ASGIApp:
    """Return the whole application."""
    return mcp_app(cms_server(site), settings, site.log, "id", "title")


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ, "cms")
    run(cms_app(settings, Site(settings.database)), settings)


if __name__ == "__main__":
    main()
