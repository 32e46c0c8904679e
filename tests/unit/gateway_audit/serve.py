"""The audit API over a real store and a real port; only the API server's verdicts are made up."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from aos.audit.event import AuditEvent
from aos.gateway.admin import AdminApp
from aos.gateway.audit.access import Access
from aos.gateway.audit.api import AuditApi
from aos.gateway.enforcement import EnforcementReport
from aos.gateway.server import Port
from aos.kube.errors import ApiError
from aos.kube.objects import children, text
from aos.kube.reviews import AccessRequest, TokenReview, UserInfo
from aos.model.base import JsonObject
from aos.store.sqlite import SqliteStore
from tests.unit.gateway.make import SETTINGS
from tests.unit.gateway.serving import serving
from tests.unit.gateway.test_admin import ByName, FakePolicies

JANE = "jane"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> JsonObject:
        value = orjson.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def reason(self) -> str:
        return text(self.json, "reason")

    @property
    def items(self) -> tuple[JsonObject, ...]:
        assert self.status == 200, self.body
        return children(self.json, "items")


@dataclass
class Verdicts:
    """An API server that takes a token for its holder's name, and knows who may do what."""

    allowed: set[AccessRequest] = field(default_factory=set)
    audiences: tuple[str, ...] = ("aos-audit",)
    error: ApiError | None = None

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        if self.error:
            raise self.error
        granted = tuple(item for item in audiences if item in self.audiences)
        return TokenReview(token != "wrong", UserInfo(f"user:{token}", "uid"), granted, "")

    async def may(self, user: UserInfo, access: AccessRequest) -> bool:
        return (
            access in self.allowed
            or AccessRequest(access.verb, access.group, access.resource) in self.allowed
        )

    def allow(self, verb: str, resource: str, namespace: str = "") -> None:
        self.allowed.add(AccessRequest(verb, "aos.dev", resource, namespace))


@dataclass
class Served:
    """A gateway's admin port, its store, and who may read."""

    port: Port
    store: SqliteStore
    verdicts: Verdicts

    async def ask(
        self, path: str, query: Mapping[str, str] | None = None, *, method: str = "GET", token: str = JANE
    ) -> Reply:
        headers = {"X-AOS-Token": token} if token else {}
        url = f"http://127.0.0.1:{self.port.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, params=query, headers=headers) as response,
        ):
            return Reply(response.status, await response.read())

    async def rows(self, **query: str) -> list[JsonObject]:
        """The lines of an answer of rows."""
        return lines(await self.ask("/v1/audit", query))


def lines(reply: Reply) -> list[JsonObject]:
    assert reply.status == 200, reply.body
    return [orjson.loads(line) for line in reply.body.splitlines()]


@contextlib.asynccontextmanager
async def served(path: Path, *events: AuditEvent) -> AsyncIterator[Served]:
    store = SqliteStore(path / "store.db", "gateway-1")
    await store.open()
    verdicts = Verdicts()
    app = AdminApp(
        ByName(), EnforcementReport(FakePolicies(), 60), SETTINGS, AuditApi(store, Access(verdicts))
    )
    try:
        await store.append(events)
        async with serving(app) as port:
            yield Served(port, store, verdicts)
    finally:
        await store.close()
