import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from aos.gateway.admin import AdminApp, HealthApp
from aos.gateway.audit.access import Access
from aos.gateway.audit.api import AuditApi
from aos.gateway.cluster_registry import PolicyListener
from aos.gateway.enforcement import EnforcementReport
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.tokens import Claims
from aos.kube.reviews import AccessRequest, TokenReview, UserInfo
from aos.model.base import JsonObject
from aos.policy.effective import EffectivePolicy
from aos.store.sqlite import SqliteStore
from tests.unit.gateway.make import SETTINGS, policy
from tests.unit.gateway.serving import Connection, ask, connection, serving

REPORT = b"GET /v1/enforced HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n"


class FakePolicies:
    def __init__(self) -> None:
        self.policies: dict[tuple[str, str], EffectivePolicy] = {}
        self.listeners: list[PolicyListener] = []

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        return self.policies.get((namespace, agent))

    def agents(self) -> list[tuple[str, str]]:
        return list(self.policies)

    def on_policy_change(self, listener: PolicyListener) -> None:
        self.listeners.append(listener)

    def change(self, agent: str, new: EffectivePolicy | None) -> None:
        if new is None:
            del self.policies["sales", agent]
        else:
            self.policies["sales", agent] = new
        for listener in self.listeners:
            listener("sales", agent)


class ByName:
    """Takes a token for the name of a service account in the gateway's namespace."""

    async def verify(self, token: bytes) -> Claims:
        if token == b"wrong":
            raise Refusal(401, RefusalCode.TOKEN_INVALID, "no")
        return Claims("aos-system", token.decode(), "uid", "", "", 0)


class Nobody:
    """An API server that accepts no token."""

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        return TokenReview(authenticated=False, user=UserInfo(), audiences=(), error="")

    async def may(self, user: UserInfo, access: AccessRequest) -> bool:
        return False


class Report:
    """The lines of one reader."""

    def __init__(self, opened: Connection) -> None:
        self._reader = opened._reader

    async def line(self) -> JsonObject:
        async with asyncio.timeout(20):
            await self._reader.readline()
            value = orjson.loads(await self._reader.readline())
            await self._reader.readline()
        assert isinstance(value, dict)
        return value


@contextlib.asynccontextmanager
async def lines_of(
    policies: FakePolicies, heartbeat_seconds: float = 60
) -> AsyncIterator[AsyncIterator[JsonObject]]:
    report = EnforcementReport(policies, heartbeat_seconds)
    for namespace, agent in policies.agents():
        report._changed(namespace, agent)
    running = asyncio.create_task(report.run())

    async def lines() -> AsyncIterator[JsonObject]:
        async with contextlib.aclosing(report.stream()) as chunks:
            async for chunk in chunks:
                for line in chunk.splitlines():
                    yield orjson.loads(line)

    stream = lines()
    try:
        async with asyncio.timeout(20):
            yield stream
    finally:
        await stream.aclose()  # type: ignore[attr-defined] # it is a generator
        running.cancel()
        await asyncio.wait((running,))
    assert not report._readers


async def test_the_report_is_a_snapshot_then_changes_and_signs_of_life() -> None:
    policies = FakePolicies()
    first, second = policy(), policy(suspend=True)
    policies.policies = {("sales", "a"): first, ("sales", "b"): first}
    async with lines_of(policies, 0.01) as lines:
        said = [await anext(lines) for _ in range(3)]
        assert said == [
            {"namespace": "sales", "agent": "a", "digest": first.digest},
            {"namespace": "sales", "agent": "b", "digest": first.digest},
            {"synced": True},
        ]
        assert await anext(lines) == {"heartbeat": True}
        policies.change("a", second)
        while (line := await anext(lines)) == {"heartbeat": True}:
            pass
        assert line == {"namespace": "sales", "agent": "a", "digest": second.digest}
        policies.change("b", None)
        while (line := await anext(lines)) == {"heartbeat": True}:
            pass
        assert line == {"namespace": "sales", "agent": "b", "digest": ""}


async def test_a_change_that_changes_no_digest_is_not_told() -> None:
    policies = FakePolicies()
    policies.policies = {("sales", "a"): policy()}
    async with lines_of(policies) as lines:
        await anext(lines)
        await anext(lines)
        policies.change("a", policy())
        policies.change("c", policy(suspend=True))
        assert (await anext(lines))["agent"] == "c"


async def test_only_the_operator_reads_the_report(tmp_path: Path) -> None:
    policies = FakePolicies()
    report = EnforcementReport(policies, 60)
    running = asyncio.create_task(report.run())
    audit = AuditApi(SqliteStore(tmp_path / "store.db", "gateway-1"), Access(Nobody()))
    async with serving(AdminApp(ByName(), report, SETTINGS, audit)) as port:
        assert (await ask(port, REPORT % b"wrong")).code == "TokenInvalid"
        refused = await ask(port, REPORT % b"aos-agent-enricher")
        assert (refused.status, refused.code) == (403, "Forbidden")
        assert (await ask(port, b"GET /v1/other HTTP/1.1\r\nHost: a\r\n\r\n")).status == 404
        assert (await ask(port, b"POST /v1/enforced HTTP/1.1\r\nHost: a\r\n\r\n")).status == 404
        assert (await ask(port, b"GET /v1/enforced HTTP/1.1\r\nHost: a\r\n\r\n")).code == "NoToken"
        async with connection(port) as opened:
            reply = await opened.ask(REPORT % b"aos-operator")
            assert (reply.status, reply.headers["content-type"]) == (200, "application/x-ndjson")
            assert await Report(opened).line() == {"synced": True}
            assert len(report._readers) == 1
        async with asyncio.timeout(20):
            while report._readers:  # noqa: ASYNC110 - a reader that left sets no event
                await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait((running,))


@pytest.mark.parametrize(("problem", "status"), [("", 200), ("the cluster was not read yet", 503)])
async def test_probes_tell_whether_it_lives_and_whether_it_is_ready(problem: str, status: int) -> None:
    metrics = GatewayMetrics()
    async with serving(HealthApp(lambda: problem, metrics)) as port:
        alive = await ask(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        ready = await ask(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        shown = await ask(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        other = await ask(port, b"GET /v1/enforced HTTP/1.1\r\nHost: a\r\n\r\n")
        posted = await ask(port, b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    metrics.close()
    assert alive.status == 200
    assert (ready.status, ready.body.decode().strip()) == (status, problem or "ok")
    assert b"aos_gateway_journal_failures_total" in shown.body
    assert shown.headers["content-type"].startswith("text/plain")
    assert (other.status, posted.status) == (404, 404)
