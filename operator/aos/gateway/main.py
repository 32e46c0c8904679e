"""Starts the gateway, wires its parts, and ends it in good order."""

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final

from aos.gateway.a2a.endpoint import A2aEndpoint
from aos.gateway.admin import AdminApp, HealthApp
from aos.gateway.app import AgentApp, Endpoints
from aos.gateway.approvals.desk import ApprovalDesk, Hooks
from aos.gateway.approvals.marks import Marks, MarkSweeper
from aos.gateway.approvals.preview import ToolPreviewer
from aos.gateway.approvals.review_sweep import ReviewSweeper
from aos.gateway.approvals.reviews import ReviewDesk
from aos.gateway.approvals.sampling import KeyedSampler
from aos.gateway.approvals.sampling_key import SamplingKeyWatch
from aos.gateway.approvals.trail import ApprovalTrail
from aos.gateway.audit.access import Access
from aos.gateway.audit.api import AuditApi
from aos.gateway.audit.heads import HeadReporter
from aos.gateway.cluster_registry import ClusterRegistry
from aos.gateway.control.announcing import Announcers, EventAnnouncer
from aos.gateway.control.control import CallControl
from aos.gateway.control.guard import ToolGuard
from aos.gateway.control.persisting import PersistingBounds
from aos.gateway.control.retries import RetryBudget
from aos.gateway.control.upkeep import Upkeep
from aos.gateway.enforcement import EnforcementReport
from aos.gateway.hooks.endpoint import HookApp
from aos.gateway.hooks.keys import HookKeys
from aos.gateway.identity import Identity
from aos.gateway.inbox import TaskInbox
from aos.gateway.journal import Journal
from aos.gateway.jwks import SigningKeys
from aos.gateway.lines import LineWriter
from aos.gateway.mcp.calls import Control
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.endpoint import McpEndpoint
from aos.gateway.mcp.mcp_system import McpSystem
from aos.gateway.mcp.system import Systems
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.memory.endpoint import MemoryEndpoint
from aos.gateway.memory.owners import Owners
from aos.gateway.memory.system import MemorySystem
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.model_status import ModelStatus
from aos.gateway.models.endpoint import ModelEndpoint
from aos.gateway.openapi.document_watch import DocumentWatch
from aos.gateway.openapi.system import OpenApiSystem
from aos.gateway.reporter import STATUS_LEASE, StatusReporter
from aos.gateway.server import Port
from aos.gateway.settings import GatewaySettings
from aos.gateway.tls import Certificate, CertificateWatch
from aos.gateway.tokens import TokenVerifier
from aos.gateway.tracing import tracing_of
from aos.gateway.upstream.http_client import HttpClient
from aos.gateway.upstream.outbound import open_client
from aos.gateway.usage import Usage
from aos.kube.client import ApiClient
from aos.kube.events import EventRecorder
from aos.kube.identity import identity_in_pod
from aos.kube.lease import LeaderElector
from aos.model.tool import ToolType
from aos.store.interface import Store, StoreRefusedError, StoreUnavailableError
from aos.store.opening import open_store
from aos.store.settings import StoreSettings

CLOSE_SECONDS: Final = 5.0
"""Time in which the last rows and settlements are written."""
LAST_HEAD_SECONDS: Final = 0.2
"""Time in which the end of the audit chain reaches the operator; a stream does not say when it was read."""
READ_CREDENTIALS_SECONDS: Final = 5.0
"""How long a start waits for Secrets that Tools and Models refer to."""
TELL_BOUNDS_SECONDS: Final = 5.0
"""How often it is looked whether bounds persist for which calls are refused, or have freed."""
REPORTER: Final = "aos.dev/gateway"
"""Who reports events."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger(__name__)


class Stage(Enum):
    """Where a gateway's life is."""

    STARTING = auto()
    SERVING = auto()
    STOPPING = auto()


@dataclass(frozen=True, slots=True)
class Ports:
    """The gateway's ports, bound."""

    agents: Port
    admin: Port
    health: Port
    hooks: Port


class Gateway:
    """All parts of one gateway. Make it within a running event loop."""

    def __init__(
        self, client: ApiClient, http: HttpClient, store: Store, settings: GatewaySettings, replica: str = ""
    ) -> None:
        """Wire the parts; nothing runs yet.

        Args:
            client: the API server.
            http: for tools and models.
            store: open, or not reachable yet.
            settings: of the process.
            replica: its name in the Lease of who writes statuses; empty for a made-up one.
        """
        self._settings = settings
        self._stage = Stage.STARTING
        self._certificate = Certificate()
        self._metrics = GatewayMetrics()
        self._lines = LineWriter(failed=self._metrics.journal_failure)
        self._tracing = tracing_of()
        self._registry = ClusterRegistry(client, settings)
        self._certificates = CertificateWatch(client, settings.namespace, self._certificate)
        self._report = EnforcementReport(self._registry, settings.report_heartbeat_seconds)
        elector = LeaderElector(client, namespace=settings.namespace, name=STATUS_LEASE, identity=replica)
        upstream = self._upstream = Upstream(http, settings)
        self._store = store
        self._heads = HeadReporter(store, self._report)
        self._upkeep = Upkeep(store, self._metrics, settings, self._report.store_is)
        self._recorder = EventRecorder(client, controller=REPORTER, instance=settings.pod_name)
        self._bounds = PersistingBounds()
        announcer = Announcers((EventAnnouncer(self._recorder), self._bounds))
        self._calls = CallControl(store, self._metrics, announcer, settings)
        self._guard = ToolGuard(settings)
        trail = ApprovalTrail(store, self._calls)
        self._marks = Marks(client)
        sampler = KeyedSampler()
        self._sampling_key = SamplingKeyWatch(client, settings.namespace, sampler)
        self._reviews = ReviewDesk(self._registry, client, self._metrics, settings, sampler)
        self._mark_sweeper = MarkSweeper(self._registry, store, trail, self._marks, settings)
        self._review_sweeper = ReviewSweeper(self._registry, store, self._reviews, settings)
        self._reporter = StatusReporter(client, self._registry, elector=elector, beside=self._mend_requests)
        self._model_status = ModelStatus(self._registry, self._reporter)
        usage = Usage(self._calls)
        for listener in (usage.drop, upstream.forget_task, self._upkeep.task_ended):
            self._registry.on_task_end(listener)
        journal = Journal(usage, self._metrics, self._lines.write, self._tracing.tracer)
        keys = SigningKeys(client, settings.keys_min_refresh_seconds)
        verifier = TokenVerifier(keys, client, settings)
        self._documents = DocumentWatch(client, self._registry)
        self._owners = Owners(client, self._registry, store, settings, self._upkeep.task_ended)
        systems = self._systems(http, upstream)
        self._catalogue = Catalogue(self._registry, systems, self._reporter, settings)
        hooks = Hooks(sampler, ToolPreviewer(self._registry, self._catalogue, systems, self._metrics))
        desk = ApprovalDesk(self._registry, client, trail, self._marks, self._metrics, settings, hooks)
        control = Control(self._calls, desk, self._reviews, self._guard, RetryBudget(settings), self._metrics)
        self._mcp = McpEndpoint(self._registry, self._catalogue, systems, journal, control, settings)
        self._inbox = TaskInbox(self._registry, client, usage, settings)
        endpoints = Endpoints(
            mcp=self._mcp,
            models=ModelEndpoint(self._registry, http, self._calls, journal, settings),
            tasks=self._inbox,
            agents=A2aEndpoint(self._registry, client, self._calls, journal, settings),
            memory=MemoryEndpoint(self._mcp.calls, settings),
        )
        identity = Identity(verifier, self._registry, settings)
        self._registry.on_pod_end(identity.forget)
        self._agent_app = AgentApp(identity, endpoints, settings, journal)
        self._admin_app = AdminApp(verifier, self._report, settings, AuditApi(store, Access(client)))
        self._hook_app = HookApp(self._registry, client, settings)
        self._watch()

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
            hooks=Port(self._hook_app, settings, settings.hook_port, context),
        )

    async def serve(self, ports: Ports, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then end in good order; or until cancelled, which ends at once."""
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self._run(ports), name="gateway")
                await stop.wait()
                self._stage = Stage.STOPPING
                await asyncio.sleep(self._settings.stop_delay_seconds)
                self._mcp.end_waiting()
                self._inbox.end_waiting()
                await ports.hooks.stop()
                await ports.agents.stop()
                await self._say_last_head()
                running.cancel()
        finally:
            for port in (ports.agents, ports.admin, ports.health, ports.hooks):
                port.close()
            await self._upstream.close()
            await self._calls.close(CLOSE_SECONDS)
            await self._store.close()
            self._lines.flush()
            self._metrics.close()
            self._tracing.close()

    async def _say_last_head(self) -> None:
        """Tell the operator where the audit chain ends, while it still reads the report."""
        await self._calls.close(CLOSE_SECONDS)
        if await self._heads.tell() is not None:
            await asyncio.sleep(LAST_HEAD_SECONDS)

    def problem(self) -> str:
        """Return why the gateway is not ready; empty if it is."""
        if self._stage is Stage.STOPPING:
            return "stopping"
        if not self._registry.is_synced:
            return "the cluster was not read yet"
        if not self._certificate.loaded.is_set():
            return "there is no certificate yet"
        if self._registry.staleness_seconds() > self._settings.max_staleness_seconds:
            return f"the cluster's {self._registry.stalest()} are out of date"
        if self._stage is Stage.STARTING:
            return "policies and credentials were not read yet"
        return self._upkeep.problem

    async def _run(self, ports: Ports) -> None:
        """Run every part; agents are answered once the cluster was read and every policy is compiled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(ports.health.serve(), name="health")
            group.create_task(self._registry.run(), name="registry")
            group.create_task(self._documents.run(), name="OpenAPI documents")
            group.create_task(self._owners.follow(), name="runs")
            group.create_task(self._recorder.run(), name="events")
            group.create_task(self._upkeep.run(), name="upkeep")
            group.create_task(self._sweep_circuits(), name="circuits")
            group.create_task(self._certificates.run(), name="certificates")
            group.create_task(self._sampling_key.run(), name="sampling key")
            await self._registry.synced()
            group.create_task(self._report.run(), name="report")
            group.create_task(self._tell_bounds(), name="bounds")
            group.create_task(self._heads.run(), name="audit heads")
            group.create_task(self._marks.run(), name="marks of approvals")
            group.create_task(self._reviews.run(), name="outcomes of reviewed calls")
            group.create_task(self._reporter.run(), name="reporter")
            group.create_task(self._catalogue.run(), name="catalogue")
            group.create_task(self._owners.run(), name="owners of what is shared")
            await self._report.compiled.wait()
            await self._read_credentials()
            await self._sampling_key.read()
            group.create_task(ports.admin.serve(), name="admin")
            group.create_task(ports.agents.serve(), name="agents")
            group.create_task(ports.hooks.serve(), name="webhooks")
            self._stage = Stage.SERVING
            _log.info("serving agents on port %d", ports.agents.port)

    async def _read_credentials(self) -> None:
        """Read the Secrets before the first call needs one; who waits for one that is not there would wait for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_CREDENTIALS_SECONDS):
                await self._registry.credentials_read()

    def _systems(self, http: HttpClient, upstream: Upstream) -> Systems:
        """Return what stands behind Tools, by type."""
        return {
            ToolType.MCP: McpSystem(upstream, self._settings),
            ToolType.OPENAPI: OpenApiSystem(http, self._documents, self._settings),
            ToolType.MEMORY: MemorySystem(self._store),
        }

    def _watch(self) -> None:
        """Look again at what changed, and show what is measured when somebody asks."""
        self._hook_keys = HookKeys(self._registry, self._report)
        self._documents.on_change(self._catalogue.look_again)
        self._metrics.watch("aos_gateway_staleness", "s", self._registry.staleness_seconds)
        self._metrics.watch("aos_gateway_enforced_agents", "", lambda: len(self._report))
        self._metrics.watch("aos_gateway_pending_approvals", "", lambda: self._registry.waiting)
        self._metrics.watch("aos_gateway_waiting_pods", "", lambda: self._inbox.waiting)
        self._metrics.watch("aos_gateway_waiting_calls", "", lambda: self._mcp.waiting)
        self._metrics.watch("aos_gateway_store_available", "", lambda: not self._upkeep.problem)
        self._metrics.watch("aos_gateway_store_pending", "", lambda: self._calls.pending)
        self._metrics.watch("aos_gateway_open_circuits", "", lambda: self._guard.open)
        self._metrics.watch("aos_gateway_events_dropped", "", lambda: self._recorder.dropped)

    async def _mend_requests(self) -> None:
        """Say on ApprovalRequests what gateways did not live to say."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._mark_sweeper.run(), name="uses that nobody marked")
            group.create_task(self._review_sweeper.run(), name="outcomes that nobody told")

    async def _sweep_circuits(self) -> None:
        while True:
            await asyncio.sleep(self._settings.store_sweep_seconds)
            self._guard.sweep()

    async def _tell_bounds(self) -> None:
        """Tell the operator for which bounds agents' calls stay refused."""
        while True:
            await asyncio.sleep(TELL_BOUNDS_SECONDS)
            for agent, exceeded in self._bounds.changes(self._report.digest).items():
                self._report.exceeds(*agent, exceeded)


def chain_of(settings: GatewaySettings) -> str:
    """Return the name of the audit chain that this process writes: new with each start, and fit for a key of a ConfigMap."""
    return f"{settings.pod_name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


async def run_gateway(settings: GatewaySettings) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    async with await ApiClient.connect() as client, open_client(settings) as http:
        store = await _opened(settings, chain_of(settings))
        with identity_in_pod(settings.pod_uid) as replica:
            gateway = Gateway(client, http, store, settings, replica)
            await gateway.serve(gateway.bind(), stop)


async def _opened(settings: GatewaySettings, chain: str) -> Store:
    """Return the store; one that can't be reached now is opened later, and everything is denied until then.

    Raises:
        StoreRefusedError: this program must not use it, now or later.
    """
    bounds = StoreSettings(answer_seconds=settings.store_timeout_seconds)
    store = open_store(settings.store_url, chain, bounds)
    try:
        await store.open()
    except StoreRefusedError:
        raise
    except StoreUnavailableError as error:
        _log.error("the store can't be opened: %s", error)
    return store
