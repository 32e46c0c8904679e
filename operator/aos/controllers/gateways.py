"""Follows the enforcement report of every gateway replica, so that PolicyEnforced says what is so."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from aos.audit.signing import SignedHead
from aos.controllers.reports import MAX_LINE_BYTES, SILENCE_SECONDS, BadLineError, Replica
from aos.controllers.views import Endpoint
from aos.kube.backoff import Backoff
from aos.kube.clock import Clock, SystemClock, sleep
from aos.reconcile.agent import GatewayReport
from aos.reconcile.workflow import WebhookReport

REPORT_PATH: Final = "/v1/enforced"
CONNECT_SECONDS: Final = 5.0
BACKOFF: Final = Backoff(initial_seconds=0.2, cap_seconds=5)
_CHECK_SECONDS: Final = 1.0
MAX_HEADS: Final = 256
"""Audit chains whose head is remembered until it is anchored; replicas that went away are among them."""
_CHUNK_LINES: Final = 200
"""Lines taken before other work gets a turn."""

_log = logging.getLogger(__name__)


class GatewayError(Exception):
    """A replica does not report; the message says why."""


class Gateways:
    """The replicas and what they enforce.

    Attributes:
        settled: set while every ready replica has told of every agent.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        token_file: Path,
        agent_changed: Callable[[str, str], None],
        workflow_changed: Callable[[str, str], None],
        all_changed: Callable[[], None],
        chain_found: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        """Follow nobody yet.

        Args:
            host: name in the gateway's certificate.
            port: of the report.
            token_file: the operator's token for the gateway.
            agent_changed: called when a replica enforces something else for an agent.
            workflow_changed: called when a replica says something else of the webhooks of a Workflow.
            all_changed: called when a replica comes, goes, or falls silent.
            chain_found: called when an audit chain is heard of for the first time.
            clock: for tests.
        """
        self._host = host
        self._port = port
        self._token_file = token_file
        self._agent_changed = agent_changed
        self._workflow_changed = workflow_changed
        self._all_changed = all_changed
        self._chain_found = chain_found
        self._clock = clock or SystemClock()
        self._replicas: dict[str, Replica] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._tls: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        self._heads: dict[str, SignedHead] = {}
        self._silent: frozenset[str] = frozenset()
        self.settled = asyncio.Event()
        self.settled.set()

    def reports(self, namespace: str, agent: str) -> tuple[GatewayReport, ...]:
        """Return what every ready replica says of one agent, and any other that has a word on why it is not ready."""
        now = self._clock.monotonic()
        reports = (replica.report(namespace, agent, now) for replica in self._replicas.values())
        return tuple(report for report in reports if report.is_ready or report.store_problem)

    def webhooks(self, namespace: str, workflow: str) -> tuple[WebhookReport, ...]:
        """Return what every ready replica says of the webhooks of one Workflow; nothing of one that has said nothing."""
        now = self._clock.monotonic()
        heard = (item.webhook_report(namespace, workflow, now) for item in self._ready())
        return tuple(report for report in heard if report is not None)

    def counts(self) -> tuple[int, int]:
        """Return how many replicas are ready, and how many of them report."""
        now = self._clock.monotonic()
        ready = self._ready()
        return len(ready), sum(item.is_synced and not item.is_silent(now) for item in ready)

    def heads(self) -> tuple[SignedHead, ...]:
        """Return the newest signed head of each audit chain that was heard of."""
        return tuple(self._heads.values())

    def trust(self, authorities: str) -> None:
        """Verify replicas by these authorities from the next connection on."""
        self._tls = ssl.create_default_context(cadata=authorities) if authorities else None

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Follow exactly these replicas, once `run` was called."""
        wanted = {item.replica: item for item in endpoints}
        hooked = {workflow for replica in self._replicas.values() for workflow in replica.webhooks}
        for name, known in list(self._replicas.items()):
            if name not in wanted or wanted[name].address != known.endpoint.address:
                del self._replicas[name]
                self._stop(name)
        for name, endpoint in wanted.items():
            if name in self._replicas:
                self._replicas[name].endpoint = endpoint
            else:
                self._replicas[name] = Replica(endpoint)
                self._start(name)
        self._settle()
        self._all_changed()
        # Whose word counts is another matter now, or may be.
        for workflow in sorted(hooked):
            self._workflow_changed(*workflow)

    async def run(self) -> None:
        """Follow the replicas until cancelled."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            for name in self._replicas:
                self._start(name)
            try:
                await self._watch_silence()
            finally:
                self._session = None
                tasks = list(self._following.values())
                for name in list(self._following):
                    self._stop(name)
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_silence(self) -> None:
        while True:
            await sleep(self._clock, _CHECK_SECONDS)
            now = self._clock.monotonic()
            silent = frozenset(item.endpoint.replica for item in self._ready() if item.is_silent(now))
            if silent != self._silent:
                self._silent = silent
                self._all_changed()

    def _ready(self) -> list[Replica]:
        return [item for item in self._replicas.values() if item.endpoint.is_ready]

    def _settle(self) -> None:
        if all(replica.is_synced for replica in self._ready()):
            self.settled.set()
        else:
            self.settled.clear()

    def _start(self, name: str) -> None:
        if self._session is not None and name not in self._following:
            replica = self._replicas[name]
            self._following[name] = asyncio.create_task(
                self._follow(replica, self._session), name=f"follow {name}"
            )

    def _stop(self, name: str) -> None:
        task = self._following.pop(name, None)
        if task is not None:
            task.cancel()

    async def _follow(self, replica: Replica, session: aiohttp.ClientSession) -> None:
        failures = 0
        while True:
            try:
                async for line in self._lines(replica, session):
                    failures = 0
                    self._take(replica, line)
            except (
                GatewayError,
                BadLineError,
                TimeoutError,
                aiohttp.ClientError,
                OSError,
                ssl.SSLError,
            ) as error:
                failures += 1
                replica.problem = f"it does not report: {str(error) or type(error).__name__}"
                delay_seconds = BACKOFF.delay_seconds(failures)
                _log.log(
                    logging.WARNING if failures > 1 else logging.INFO,
                    "gateway %s: %s; next attempt in %.1f s",
                    replica.endpoint.replica,
                    replica.problem,
                    delay_seconds,
                )
                await sleep(self._clock, delay_seconds)

    def _take(self, replica: Replica, line: bytes) -> None:
        was_synced, store_problem = replica.is_synced, replica.store_problem
        for namespace, agent in replica.take(line, self._clock.monotonic()):
            if was_synced:
                self._agent_changed(namespace, agent)
        for namespace, workflow in replica.stirred():
            self._workflow_changed(namespace, workflow)
        if replica.is_synced and not was_synced:
            _log.info("gateway %s reports what it enforces", replica.endpoint.replica)
            self._settle()
            self._all_changed()
        elif replica.store_problem != store_problem:
            self._all_changed()
        if replica.head is not None:
            self._keep(replica.head)

    def _keep(self, signed: SignedHead) -> None:
        chain = signed.head.chain
        before = self._heads.pop(chain, None)
        self._heads[chain] = signed
        if before is None:
            self._chain_found()
        if len(self._heads) > MAX_HEADS:
            del self._heads[next(iter(self._heads))]

    async def _lines(self, replica: Replica, session: aiohttp.ClientSession) -> AsyncIterator[bytes]:
        if self._tls is None:
            raise GatewayError("there is no certificate authority to verify it by yet")
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS, connect=CONNECT_SECONDS
        )
        address = replica.endpoint.address
        url = f"https://{f'[{address}]' if ':' in address else address}:{self._port}{REPORT_PATH}"
        token = self._token_file.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}", "Host": f"{self._host}:{self._port}"}
        async with session.get(
            url,
            headers=headers,
            ssl=self._tls,
            server_hostname=self._host,
            timeout=limits,
            allow_redirects=False,
        ) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's word for well
                said = (await response.content.read(300)).decode(errors="replace")
                raise GatewayError(f"it answers {response.status}: {said}")
            replica.connected()
            async for line in _split(response.content.iter_any()):
                yield line
        raise GatewayError("the report ended")


async def _split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    count = 0
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise BadLineError(f"a line of the report has more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            if line:
                yield line
            count += 1
            if count % _CHUNK_LINES == 0:
                await asyncio.sleep(0)
