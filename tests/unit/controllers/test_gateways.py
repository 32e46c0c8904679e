"""Following a gateway's report over real TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner
from aos.controllers.authority import Kept, Pair
from aos.controllers.gateways import MAX_HEADS, Gateways
from aos.controllers.views import Endpoint
from aos.reconcile.workflow import WebhookReport

HOST = "aos-gateway.aos-system.svc"
NOW = datetime.now(UTC).replace(microsecond=0)
LINE = b'{"namespace":"sales","agent":"a","digest":"d1"}\n'
SYNCED = b'{"synced":true}\n'


class Server:
    """A gateway that reports what it is told to."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.seen: list[tuple[str, str]] = []
        self.port = 0

    async def report(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.headers["Authorization"], request.headers["Host"].partition(":")[0]))
        if request.headers["Authorization"] != "Bearer good":
            raise web.HTTPForbidden(text="who are you?")
        response = web.StreamResponse()
        await response.prepare(request)
        while line := await self.lines.get():
            await response.write(line)
        return response

    async def serve(self, pair: Pair, folder: Path) -> web.AppRunner:
        paths = [folder / "tls.crt", folder / "tls.key"]
        paths[0].write_bytes(pair.certificate_pem())
        paths[1].write_bytes(pair.key_pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(paths[0]), str(paths[1]))
        app = web.Application()
        app.add_routes([web.get("/v1/enforced", self.report)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = runner.addresses[0][1]
        return runner


class Follower:
    """Gateways under test, and what they said."""

    def __init__(self, port: int, token_file: Path) -> None:
        self.agents: list[str] = []
        self.workflows: list[str] = []
        self.chains: list[int] = []
        self.all_changed = asyncio.Event()
        self.gateways = Gateways(
            host=HOST,
            port=port,
            token_file=token_file,
            agent_changed=lambda _, agent: self.agents.append(agent),
            workflow_changed=lambda _, workflow: self.workflows.append(workflow),
            all_changed=self.all_changed.set,
            chain_found=lambda: self.chains.append(1),
        )

    def word(self) -> tuple[str, str]:
        """Return digest and problem of the one replica."""
        (report,) = self.gateways.reports("sales", "a")
        return report.digest, report.problem

    async def until(self, digest: str = "", problem: str = "") -> None:
        """Wait for a digest, or for a problem that holds this text."""
        async with asyncio.timeout(10):
            while True:
                told, said = self.word()
                if told == digest and (problem in said if problem else not said):
                    return
                await asyncio.sleep(0.01)


@pytest.fixture
def kept() -> Kept:
    return Kept().with_new_authority(NOW).with_serving("aos-system", NOW)


@pytest.fixture
async def server(kept: Kept, tmp_path: Path) -> AsyncIterator[Server]:
    assert kept.serving is not None
    one = Server()
    runner = await one.serve(kept.serving, tmp_path)
    yield one
    one.lines.put_nowait(b"")
    await runner.cleanup()


@pytest.fixture
async def follower(server: Server, kept: Kept, tmp_path: Path) -> AsyncIterator[Follower]:
    token = tmp_path / "token"
    token.write_text("good\n")
    one = Follower(server.port, token)
    one.gateways.trust(kept.bundle())
    running = asyncio.create_task(one.gateways.run())
    yield one
    running.cancel()
    await asyncio.wait({running})


def follow(follower: Follower) -> None:
    follower.gateways.set_endpoints([Endpoint("gateway-0", "127.0.0.1")])


async def test_a_replica_is_believed_once_it_is_synced(server: Server, follower: Follower) -> None:
    follow(follower)
    assert not follower.gateways.settled.is_set()
    server.lines.put_nowait(LINE)
    await asyncio.sleep(0.05)
    assert follower.word()[0] == ""
    server.lines.put_nowait(SYNCED)
    await follower.until(digest="d1")
    assert follower.gateways.settled.is_set()
    assert follower.gateways.counts() == (1, 1)
    assert server.seen == [("Bearer good", HOST)]
    assert follower.all_changed.is_set()


async def test_later_changes_are_passed_on_agent_by_agent(server: Server, follower: Follower) -> None:
    follow(follower)
    server.lines.put_nowait(LINE + SYNCED)
    await follower.until(digest="d1")
    assert follower.agents == []
    server.lines.put_nowait(LINE.replace(b"d1", b"d2"))
    await follower.until(digest="d2")
    assert follower.agents == ["a"]


async def test_a_broken_connection_is_made_again_and_the_last_word_holds_meanwhile(
    server: Server, follower: Follower
) -> None:
    follow(follower)
    server.lines.put_nowait(LINE + SYNCED)
    await follower.until(digest="d1")
    server.lines.put_nowait(b"")
    await asyncio.sleep(0.05)
    assert follower.word() == ("d1", "")
    server.lines.put_nowait(LINE.replace(b"d1", b"d2") + SYNCED)
    await follower.until(digest="d2")
    assert len(server.seen) == 2


async def test_a_replica_that_refuses_the_operator_does_not_count(follower: Follower, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("bad")
    follow(follower)
    await follower.until(problem="it answers 403: who are you?")


async def test_a_replica_with_a_certificate_of_another_authority_does_not_count(follower: Follower) -> None:
    other = Kept().with_new_authority(NOW)
    follower.gateways.trust(other.bundle())
    follow(follower)
    await follower.until(problem="ertificate")


async def test_without_an_authority_nobody_counts(follower: Follower) -> None:
    follower.gateways.trust("")
    follow(follower)
    await follower.until(problem="no certificate authority")


async def test_a_replica_that_talks_nonsense_does_not_count(server: Server, follower: Follower) -> None:
    follow(follower)
    server.lines.put_nowait(b"nonsense\n")
    await follower.until(problem="not JSON")


async def test_a_replica_that_is_gone_is_not_asked(server: Server, follower: Follower) -> None:
    follow(follower)
    server.lines.put_nowait(LINE + SYNCED)
    await follower.until(digest="d1")
    follower.gateways.set_endpoints([])
    assert follower.gateways.reports("sales", "a") == ()
    assert follower.gateways.counts() == (0, 0)


async def test_a_replica_that_is_no_longer_ready_has_no_say_but_why(
    server: Server, follower: Follower
) -> None:
    follow(follower)
    server.lines.put_nowait(LINE + SYNCED)
    await follower.until(digest="d1")
    follower.gateways.set_endpoints([Endpoint("gateway-0", "127.0.0.1", is_ready=False)])
    assert follower.gateways.reports("sales", "a") == ()
    assert follower.gateways.counts() == (0, 0)
    assert follower.gateways.settled.is_set()
    follower.all_changed.clear()
    server.lines.put_nowait(b'{"store":"unavailable","problem":"full"}\n')
    async with asyncio.timeout(10):
        await follower.all_changed.wait()
    (report,) = follower.gateways.reports("sales", "a")
    assert (report.is_ready, report.store_problem) == (False, "full")
    assert len(server.seen) == 1


async def test_signed_heads_are_kept_even_of_a_replica_that_went_away(
    server: Server, follower: Follower
) -> None:
    signed = HeadSigner().sign(ChainHead("gateway-0-1", 7, "a" * 64, "2026-01-02T03:04:05Z"))
    follow(follower)
    server.lines.put_nowait(b'{"auditHead":' + signed.encode() + b"}\n" + LINE + SYNCED)
    await follower.until(digest="d1")
    follower.gateways.set_endpoints(())
    assert follower.gateways.heads() == (signed,)
    assert follower.chains == [1]


def test_heads_that_are_remembered_are_bounded(follower: Follower) -> None:
    signer = HeadSigner()
    for number in range(MAX_HEADS + 5):
        follower.gateways._keep(signer.sign(ChainHead(f"chain-{number}", 1, "a" * 64, "t")))
    assert len(follower.gateways.heads()) == MAX_HEADS
    assert follower.gateways.heads()[-1].head.chain == f"chain-{MAX_HEADS + 4}"


HOOKED = b'{"namespace":"sales","workflow":"outreach","webhooks":{"generation":2,"problem":"no key"}}\n'


async def test_what_a_ready_replica_says_of_webhooks_is_passed_on_while_its_word_counts(
    server: Server, follower: Follower
) -> None:
    follow(follower)
    for line in (HOOKED, LINE, SYNCED):
        server.lines.put_nowait(line)
    await follower.until(digest="d1")
    assert follower.workflows == ["outreach"]
    assert follower.gateways.webhooks("sales", "outreach") == (WebhookReport(2, "no key"),)
    assert follower.gateways.webhooks("sales", "another") == ()
    follower.gateways.set_endpoints([Endpoint("gateway-0", "127.0.0.1", is_ready=False)])
    assert follower.gateways.webhooks("sales", "outreach") == ()
    assert follower.workflows == ["outreach", "outreach"]
