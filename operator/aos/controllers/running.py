"""One running operator: its parts, wired; what runs always, and what runs only while it leads."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aos.controllers import (
    agents,
    anchors,
    approvals,
    certificates,
    connected,
    histories,
    policies,
    runs,
    tasks,
    workflows,
)
from aos.controllers.acting import Actor
from aos.controllers.anchor_copies import AnchorCopies, copies_of
from aos.controllers.census import Census
from aos.controllers.cluster import Cluster
from aos.controllers.contents import Contents
from aos.controllers.gateways import Gateways
from aos.controllers.keys import ANCHORS, CERTIFICATES, Key, Subject
from aos.controllers.metrics import Gauges, OperatorMetrics
from aos.controllers.notifications import Notifier, Surroundings
from aos.controllers.notifications_settings import load_webhooks
from aos.controllers.objects import Objects
from aos.controllers.platform import PlatformState
from aos.controllers.pool import Pool
from aos.controllers.settings import ControllerSettings
from aos.controllers.together import together
from aos.controllers.turns import Turns
from aos.controllers.world import World, utc_now
from aos.kube.client import ApiClient
from aos.kube.errors import ApiError
from aos.kube.events import EventRecorder
from aos.kube.lease import LeaderElector
from aos.kube.queue import WorkQueue
from aos.model.names import OPERATOR_LEASE

CONTROLLER_NAME: Final = "aos.dev/operator"
GATEWAYS_WAIT_SECONDS: Final = 5.0
"""A new leader hears the gateways out before it judges; otherwise every agent would look unenforced for a moment."""
RESYNC_SPREAD: Final = 0.3
"""Part of the resync interval over which its keys are spread."""
STALE_SECONDS: Final = 300.0
"""A cache that the API server has not confirmed for so long makes the process sick."""
RECOUNT_SECONDS: Final = 0.5
"""Agents that come or go within so long are counted together, where all namespaces have to be looked at."""
_CENSUS_PAUSE_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)

Reconcile = Callable[[World, Key], Awaitable[None]]

RECONCILES: Final[Mapping[Subject, Reconcile]] = {
    Subject.AGENT: agents.reconcile,
    Subject.TASK: tasks.reconcile,
    Subject.TOOL: connected.reconcile_one_tool,
    Subject.MODEL: connected.reconcile_one_model,
    Subject.POLICY: policies.reconcile,
    Subject.CLUSTER_POLICY: policies.reconcile_one_cluster_policy,
    Subject.WORKFLOW: workflows.reconcile,
    Subject.WORKFLOW_RUN: runs.reconcile,
    Subject.APPROVAL_REQUEST: approvals.reconcile,
    Subject.HISTORY: histories.reconcile,
    Subject.CERTIFICATES: certificates.reconcile,
    Subject.ANCHORS: anchors.reconcile,
}


class Operator:
    """The parts of one operator.

    Attributes:
        objects: the kinds of AOS, fed by Kopf.
        metrics: what is counted.
    """

    def __init__(self, client: ApiClient, settings: ControllerSettings, username: str, identity: str) -> None:
        """Wire the parts; nothing runs yet.

        Args:
            client: the API server.
            settings: of the process; what they refer to is read here.
            username: whom the API server takes the operator for.
            identity: unique over all processes that live.

        Raises:
            SettingsError: a file that the settings name is wrong.
        """
        self._webhooks = load_webhooks(settings.notifications_file)
        self._notifier: Notifier | None = None
        self._settings = settings
        self._queue: WorkQueue[Key] | None = None
        self._census_due = asyncio.Event()
        self.objects = Objects(
            self._touch, self._namespace_labels, lambda key: self._later(key, RECOUNT_SECONDS)
        )
        self._state = PlatformState(settings.operator, username, utc_now)
        self._gateways = Gateways(
            host=settings.operator.gateway_host,
            port=settings.gateway_admin_port,
            token_file=settings.gateway_token_file,
            agent_changed=lambda namespace, agent: self._touch(Key(Subject.AGENT, namespace, agent)),
            workflow_changed=lambda namespace, name: self._touch(Key(Subject.WORKFLOW, namespace, name)),
            all_changed=self.objects.touch_agents,
            chain_found=lambda: self._touch(ANCHORS),
        )
        self._cluster = Cluster(client, self.objects, settings.namespace, self._touch, self._refresh)
        self._census = Census(client, self.objects)
        self._recorder = EventRecorder(client, controller=CONTROLLER_NAME, instance=identity)
        self.metrics = OperatorMetrics(self._gauges())
        self._elector = LeaderElector(
            client,
            namespace=settings.namespace,
            name=OPERATOR_LEASE,
            identity=identity,
            on_lost=self._lost,
        )
        self.objects.on_end(self._ended)
        turns = self._new_turns(settings.max_task_pods)
        self._world = World(
            settings=settings.operator,
            objects=self.objects,
            cluster=self._cluster,
            gateways=self._gateways,
            state=self._state,
            pool=Pool(self.objects, self._cluster.pods, self._touch),
            turns=turns,
            actor=Actor(
                client,
                self.objects,
                self._cluster.children,
                self._recorder,
                self.metrics,
                lambda: self._elector.is_leader,
            ),
            contents=Contents(client),
            anchor_copies=AnchorCopies(copies_of(settings), self.metrics),
            later=self._later,
        )

    def relisted(self) -> None:
        """Take note that Kopf listed anew: what went away meanwhile must be looked for."""
        self._census_due.set()

    def unready(self) -> str:
        """Return why this replica could not take over work; empty if it could."""
        missing = self._cluster.unsynced() or self._census.unsynced()
        return f"{missing} not listed yet" if missing else ""

    def sick(self) -> str:
        """Return why the process should be restarted; empty if it should not."""
        if self._cluster.unsynced():
            return ""
        stale_seconds = self._cluster.staleness_seconds()
        if stale_seconds > STALE_SECONDS:
            return f"the API server was not heard of for {stale_seconds:.0f} s"
        return ""

    async def run(self) -> None:
        """Watch, stand by, and lead when it is this replica's turn, until cancelled.

        Raises:
            LeaseLostError: another replica leads now; the process should end and begin anew.
        """
        await together(self._elector.run(self._lead), self._cluster.run(), self._count())

    async def drain(self) -> None:
        """Let started work end."""
        if self._queue is not None:
            await self._queue.drain(self._settings.drain_seconds)
            await self._recorder.flush()

    async def _lead(self) -> None:
        await self._cluster.synced()
        await self._census.complete.wait()
        queue = WorkQueue(self._process, workers=self._settings.workers, metrics=self.metrics)
        self._queue = queue
        notifier = self._notifier = self._new_notifier()
        self._refresh()
        await together(
            self._work(queue),
            self._recorder.run(),
            self._gateways.run(),
            self._resync(),
            notifier.run(),
        )

    async def _work(self, queue: WorkQueue[Key]) -> None:
        await self._prepare()
        self.objects.touch_all()
        self._touch(ANCHORS)
        await queue.run()

    async def _prepare(self) -> None:
        """Make certificates and hear the gateways out, before anything is judged."""
        try:
            await certificates.reconcile(self._world, CERTIFICATES)
        except ApiError as error:
            _log.warning("certificates are looked at again: %s", error)
            self._touch(CERTIFICATES)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gateways.settled.wait(), GATEWAYS_WAIT_SECONDS)

    async def _process(self, key: Key) -> None:
        failed = True
        try:
            await RECONCILES[key.subject](self._world, key)
            failed = False
            if key.subject is Subject.APPROVAL_REQUEST and self._notifier is not None:
                self._notifier.look(key)
        finally:
            self.metrics.reconciled(key.subject, failed=failed)

    def _new_turns(self, bound: int) -> Turns:
        pods = self._cluster.pods

        def make_way() -> None:
            for namespace, agent in pods.agents_with_idle_pods():
                self._touch(Key(Subject.AGENT, namespace, agent))

        turns = Turns(bound, lambda: pods.running, lambda: pods.idle, self._touch, make_way)
        pods.on_change(turns.pod_changed)
        self.objects.on_task_change(turns.task_changed)
        return turns

    def _new_notifier(self) -> Notifier:
        return Notifier(
            self._webhooks,
            Surroundings(
                requests=self.objects.requests.store,
                namespace_labels=self._namespace_labels,
                write_status=self._world.actor.write_status,
                now=self._world.now,
                metrics=self.metrics,
            ),
        )

    async def _count(self) -> None:
        while True:
            try:
                await self._census.synced()
                break
            except ApiError as error:
                _log.warning("the census is taken again: %s", error)
                await asyncio.sleep(_CENSUS_PAUSE_SECONDS)
        self._census_due.clear()
        while True:
            await self._census_due.wait()
            # A list comes as many events; one look after them is enough.
            await asyncio.sleep(_CENSUS_PAUSE_SECONDS)
            self._census_due.clear()
            try:
                await self._census.take()
            except ApiError as error:
                _log.warning("the census is taken again: %s", error)
                self._census_due.set()

    async def _resync(self) -> None:
        interval_seconds = self._settings.resync_seconds
        while True:
            await asyncio.sleep(interval_seconds)
            self._census_due.set()
            for kind, shelf in self.objects.shelves.items():
                for item in shelf.identities():
                    spread_seconds = random.uniform(0, RESYNC_SPREAD * interval_seconds)  # noqa: S311 - no secret
                    self._later(Key(Subject(kind), item.namespace, item.name), spread_seconds)

    def _namespace_labels(self, namespace: str) -> Mapping[str, str]:
        return self._cluster.namespace_labels(namespace)

    def _touch(self, key: Key) -> None:
        if self._queue is not None:
            self._queue.add(key)

    def _later(self, key: Key, seconds: float) -> None:
        if self._queue is not None:
            self._queue.add_after(key, seconds)

    def _refresh(self) -> None:
        if self._queue is not None:
            self._state.refresh(self._cluster, self.objects, self._gateways)

    def _ended(self, key: Key) -> None:
        """Let what is gone not come back at its deadline, for which its key would be kept."""
        if self._queue is not None:
            self._queue.forget(key)

    def _lost(self) -> None:
        self._queue = None
        self._notifier = None

    def _gauges(self) -> Gauges:
        return Gauges(
            is_leader=lambda: self._elector.is_leader,
            is_guarded=lambda: not self._state.guard.problem,
            objects=lambda: {kind: len(shelf) for kind, shelf in self.objects.shelves.items()},
            approvals=self.objects.requests.states,
            runs=self.objects.executions.states,
            gateways=self._gateways.counts,
            events_lost=lambda: self._recorder.dropped,
        )
