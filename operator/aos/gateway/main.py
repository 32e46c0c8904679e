"""Starts the gateway, wires its parts, and ends it in good order."""

import asyncio
import logging
import signal
from dataclasses import dataclass
from typing import Final

from aos.gateway.admin import AdminApp, HealthApp
from aos.gateway.app import AgentApp, Endpoints
from aos.gateway.cluster_registry import ClusterRegistry
from aos.gateway.enforcement import EnforcementReport
from aos.gateway.identity import Identity
from aos.gateway.inbox import TaskInbox
from aos.gateway.journal import Journal
from aos.gateway.jwks import SigningKeys
from aos.gateway.lines import LineWriter
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.endpoint import McpEndpoint
from aos.gateway.mcp.http_client import HttpClient
from aos.gateway.mcp.outbound import open_client
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.model_status import ModelStatus
from aos.gateway.models.endpoint import ModelEndpoint
from aos.gateway.reporter import StatusReporter
from aos.gateway.server import Port
from aos.gateway.settings import GatewaySettings
from aos.gateway.tls import Certificate, CertificateWatch
from aos.gateway.tokens import TokenVerifier
from aos.gateway.tracing import tracing_of
from aos.gateway.usage import Usage
from aos.kube.client import ApiClient

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """The gateway's ports, bound."""

    agents: Port
    admin: Port
    health: Port


class Gateway:
    """All parts of one gateway. Make it within a running event loop."""

    def __init__(self, client: ApiClient, http: HttpClient, settings: GatewaySettings) -> None:
        self._settings = settings
        self._is_stopping = False
        self._certificate = Certificate()
        self._metrics = GatewayMetrics()
        self._lines = LineWriter(failed=self._metrics.journal_failure)
        self._tracing = tracing_of()
        self._registry = ClusterRegistry(client, settings)
        self._certificates = CertificateWatch(client, settings.namespace, self._certificate)
        self._report = EnforcementReport(self._registry, settings.report_heartbeat_seconds)
        self._reporter = StatusReporter(client, self._registry)
        self._model_status = ModelStatus(self._registry, self._reporter)
        upstream = self._upstream = Upstream(http, settings)
        usage = Usage()
        self._registry.on_task_end(usage.drop)
        self._registry.on_task_end(upstream.forget_task)
        journal = Journal(usage, self._metrics, self._lines.write, self._tracing.tracer)
        keys = SigningKeys(client, settings.keys_min_refresh_seconds)
        verifier = TokenVerifier(keys, client, settings)
        self._catalogue = Catalogue(self._registry, upstream, self._reporter, settings)
        endpoints = Endpoints(
            mcp=McpEndpoint(self._registry, self._catalogue, upstream, journal, settings),
            models=ModelEndpoint(self._registry, http, journal, settings),
            tasks=TaskInbox(self._registry, client, usage, settings),
        )
        identity = Identity(verifier, self._registry, settings)
        self._registry.on_pod_end(identity.forget)
        self._agent_app = AgentApp(identity, endpoints, settings, journal)
        self._admin_app = AdminApp(verifier, self._report, settings)
        self._metrics.watch("aos_gateway_staleness", "s", self._registry.staleness_seconds)
        self._metrics.watch("aos_gateway_enforced_agents", "", lambda: len(self._report))

    def bind(self) -> Ports:
        """Bind the ports.

        Raises:
            OSError: one is taken.
        """
        settings, context = self._settings, self._certificate.context
        return Ports(
            agents=Port(self._agent_app, settings, settings.port, context),
            admin=Port(self._admin_app, settings, settings.admin_port, context),
            health=Port(HealthApp(self.problem, self._metrics), settings, settings.health_port, None),
        )

    async def serve(self, ports: Ports, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then end in good order; or until cancelled, which ends at once."""
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self._run(ports), name="gateway")
                await stop.wait()
                self._is_stopping = True
                await asyncio.sleep(self._settings.stop_delay_seconds)
                await ports.agents.stop()
                running.cancel()
        finally:
            for port in (ports.agents, ports.admin, ports.health):
                port.close()
            await self._upstream.close()
            self._lines.flush()
            self._metrics.close()
            self._tracing.close()

    def problem(self) -> str:
        """Return why the gateway is not ready; empty if it is."""
        if self._is_stopping:
            return "stopping"
        if not self._registry.is_synced:
            return "the cluster was not read yet"
        if not self._certificate.loaded.is_set():
            return "there is no certificate yet"
        if self._registry.staleness_seconds() > self._settings.max_staleness_seconds:
            return f"the cluster's {self._registry.stalest()} are out of date"
        return ""

    async def _run(self, ports: Ports) -> None:
        """Run every part; agents are answered once the cluster was read and every policy is compiled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(ports.health.serve(), name="health")
            group.create_task(self._registry.run(), name="registry")
            group.create_task(self._certificates.run(), name="certificates")
            await self._registry.synced()
            group.create_task(self._report.run(), name="report")
            group.create_task(self._reporter.run(), name="reporter")
            group.create_task(self._catalogue.run(), name="catalogue")
            await self._report.compiled.wait()
            group.create_task(ports.admin.serve(), name="admin")
            group.create_task(ports.agents.serve(), name="agents")
            _log.info("serving agents on port %d", ports.agents.port)


async def run_gateway(settings: GatewaySettings) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    async with await ApiClient.connect() as client, open_client(settings) as http:
        gateway = Gateway(client, http, settings)
        await gateway.serve(gateway.bind(), stop)
