"""The registry on informers: what the gateway knows of the cluster, kept in step by watches."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from aos.gateway.changed import is_same_spec, labels_of, pod_of, unreadable_names
from aos.gateway.credentials import CredentialStore, Owner
from aos.gateway.facts import (
    PodFacts,
    UnreadablePolicy,
    parse_approval_request,
    parse_cluster_policy,
    parse_labels,
    parse_policy,
    parse_revision,
    parse_task,
)
from aos.gateway.registry import Listener, Revision
from aos.gateway.settings import GatewaySettings
from aos.gateway.table import Change, Table
from aos.kube.client import EVERYTHING, Selection
from aos.kube.informer import Informer, Source
from aos.kube.objects import uid_of
from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    CLUSTER_POLICIES,
    CONTROLLER_REVISIONS,
    MODELS,
    NAMESPACES,
    PODS,
    POLICIES,
    SERVICE_ACCOUNTS,
    TASKS,
    TOOLS,
    WORKFLOWS,
    Resource,
)
from aos.model.agent import Agent
from aos.model.approval_request import ApprovalRequest, RequestRun, RequestState, RequestType
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.meta import KeyReference, LabelSelector, ObjectKey
from aos.model.model import Model
from aos.model.names import LABEL_AGENT, LABEL_MANAGED_BY, MANAGED_BY
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.model.workflow import Workflow
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy

MAX_REMEMBERED_PODS: Final = 10_000
"""Pods whose end is remembered, so that their tokens are told from those of pods that are not known yet."""

PolicyListener = Callable[[str, str], None]
"""Told namespace and name of an agent whose effective policy may be another now."""

T = TypeVar("T")

_TRIGGER: Final = "Trigger"
"""What refers to a webhook's Secret, as its owner's kind."""

_OURS: Final = Selection(label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY}")
_AGENT_PODS: Final = Selection(label_selector=LABEL_AGENT)
_AGENT_REVISIONS: Final = Selection(label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_AGENT}")
"""Workflows have revisions too, which no call rests on."""


class _Watched(Protocol):
    synced: asyncio.Event

    def staleness_seconds(self) -> float: ...

    async def run(self) -> None: ...


class ClusterRegistry:
    """Everything that decisions rest on. Make it, and run it, within a running event loop."""

    def __init__(self, client: Source, settings: GatewaySettings) -> None:
        self._client = client
        self._own_namespace = settings.namespace
        self._informers: list[tuple[str, _Watched]] = []
        self._policies_of: dict[str, dict[str, EffectivePolicy]] = {}
        self._ended_pods: OrderedDict[str, None] = OrderedDict()
        self._closed_tasks: set[str] = set()
        self._run_tasks: Counter[tuple[str, bool]] = Counter()
        self._tasks_of_pod: dict[str, tuple[Task, ...]] = {}
        self._tool_listeners: list[Listener] = []
        self._model_listeners: list[Listener] = []
        self._workflow_listeners: list[Listener] = []
        self._policy_listeners: list[PolicyListener] = []
        self._task_listeners: list[Listener] = []
        self._task_end_listeners: list[Callable[[str], None]] = []
        self._pod_end_listeners: list[Callable[[str], None]] = []
        self._approval_listeners: list[Listener] = []
        self._pending: dict[tuple[str, str, RequestType], set[str]] = {}
        self._credentials = CredentialStore(client, self._credential_changed, settings.max_staleness_seconds)
        self._agents = self._follow(AGENTS, Agent.parse, Table(self._agent_changed))
        self._tools = self._follow(TOOLS, Tool.parse, Table(self._tool_changed))
        self._models = self._follow(MODELS, Model.parse, Table(self._model_changed))
        self._policies = self._follow(POLICIES, parse_policy, Table(self._policy_changed))
        self._cluster_policies = self._follow(
            CLUSTER_POLICIES, parse_cluster_policy, Table(self._cluster_policy_changed)
        )
        self._tasks = self._follow(TASKS, parse_task, Table(self._task_changed))
        self._approvals = self._follow(
            APPROVAL_REQUESTS, parse_approval_request, Table(self._approval_changed)
        )
        self._workflows = self._follow(WORKFLOWS, Workflow.parse, Table(self._workflow_changed))
        self._revisions = self._follow(CONTROLLER_REVISIONS, parse_revision, Table(), _AGENT_REVISIONS)
        self._pods = self._follow(PODS, PodFacts.parse, Table(self._pod_changed), _AGENT_PODS)
        self._service_accounts = self._follow(SERVICE_ACCOUNTS, uid_of, Table(), _OURS)
        self._namespaces = self._follow(NAMESPACES, parse_labels, Table(self._namespace_changed))

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for name, informer in self._informers:
                    group.create_task(informer.run(), name=f"watch {name}")
        finally:
            await self._credentials.close()

    async def synced(self) -> None:
        """Return once everything was read for the first time."""
        for _, informer in self._informers:
            await informer.synced.wait()

    async def credentials_read(self) -> None:
        """Return once the Secrets that Tools, Models and webhooks refer to were read; call it when `synced`."""
        await self._credentials.read()

    @property
    def is_synced(self) -> bool:
        """Whether everything was read for the first time."""
        return all(informer.synced.is_set() for _, informer in self._informers)

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do; None if the agent or its namespace is not known."""
        cached = self._policies_of.get(namespace)
        found = None if cached is None else cached.get(agent)
        return found or self._computed(namespace, agent)

    def agents(self) -> Collection[tuple[str, str]]:
        """Return namespace and name of every agent."""
        return [agent_key(agent) for agent in self._agents]

    def agent(self, namespace: str, name: str) -> Agent | None:
        """Return the Agent with the status that it has now, or None."""
        return self._agents.get(namespace, name)

    def tool(self, namespace: str, name: str) -> Tool | None:
        """Return the Tool, or None."""
        return self._tools.get(namespace, name)

    def tools(self) -> Collection[Tool]:
        """Return all Tools."""
        return tuple(self._tools)

    def model(self, namespace: str, name: str) -> Model | None:
        """Return the Model, or None."""
        return self._models.get(namespace, name)

    def models(self) -> Collection[Model]:
        """Return all Models."""
        return tuple(self._models)

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""
        return self._tasks.get(namespace, name)

    def tasks_of_pod(self, pod_uid: str) -> tuple[Task, ...]:
        """Return the Tasks that name this pod, those that have ended too; the same tuple until one of them changes."""
        return self._tasks_of_pod.get(pod_uid, ())

    def run_tasks(self, root_uid: str, *, undoing: bool) -> int:
        """Return how many Tasks there are of a first run and of all that it started; those that undo what was done, or the others."""
        return self._run_tasks[root_uid, undoing]

    def tasks(self, namespace: str) -> Collection[Task]:
        """Return the namespace's Tasks; do not keep it."""
        return self._tasks.of(namespace).values()

    def all_tasks(self) -> Collection[Task]:
        """Return the Tasks of all namespaces."""
        return tuple(self._tasks)

    def approval(self, namespace: str, name: str) -> ApprovalRequest | None:
        """Return the ApprovalRequest, without its arguments and what else only people read; or None."""
        return self._approvals.get(namespace, name)

    def approvals(self) -> Collection[ApprovalRequest]:
        """Return all ApprovalRequests, in the same way."""
        return tuple(self._approvals)

    def pending_approvals(self, namespace: str, agent: str, kind: RequestType) -> Collection[str]:
        """Return names of the agent's requests that people have not decided; do not keep it."""
        return self._pending.get((namespace, agent, kind), ())

    @property
    def waiting(self) -> int:
        """How many calls wait for people, of all agents."""
        return sum(len(names) for (_, _, kind), names in self._pending.items() if kind is RequestType.CALL)

    def revision(self, namespace: str, name: str) -> Revision | None:
        """Return the revision, or None."""
        return self._revisions.get(namespace, name)

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """Return the agent pod, or None."""
        return self._pods.get(namespace, name)

    def has_ended(self, pod_uid: str) -> bool:
        """Whether this pod was there and is gone, as far as that is remembered."""
        return pod_uid in self._ended_pods

    def service_account_uid(self, namespace: str, name: str) -> str | None:
        """Return the uid of the ServiceAccount that AOS manages; None if there is none."""
        return self._service_accounts.get(namespace, name)

    def close_task(self, task: Task) -> None:
        """Let no more calls be made for ``task``, before its status says so; of one that is gone already nothing is kept."""
        known = self._tasks.get(task.metadata.namespace, task.metadata.name)
        if known is not None and known.metadata.uid == task.metadata.uid:
            self._closed_tasks.add(task.metadata.uid)

    def is_closed(self, uid: str) -> bool:
        """Whether this gateway took a result for the Task with ``uid``."""
        return uid in self._closed_tasks

    def credential(self, namespace: str, reference: KeyReference) -> str | None:
        """Return the credential; None while the Secret or its key is missing, unreadable or empty."""
        return self._credentials.get(namespace, reference)

    def workflow(self, namespace: str, name: str) -> Workflow | None:
        """Return the Workflow, or None."""
        return self._workflows.get(namespace, name)

    def trigger_secret(self, namespace: str, workflow: str, trigger: str) -> str | None:
        """Return what the Secret of a Workflow's webhook holds; None while it is missing, unreadable or empty."""
        found = self._workflows.get(namespace, workflow)
        reference = _hook_secrets(found).get(trigger)
        return self._credentials.get(namespace, reference) if reference is not None else None

    def trigger_problem(self, namespace: str, workflow: str, trigger: str) -> str | None:
        """Return why `trigger_secret` is None, for people; empty if it is not, None while that is not known."""
        reference = _hook_secrets(self._workflows.get(namespace, workflow)).get(trigger)
        return self._credentials.problem(namespace, reference) if reference is not None else None

    def on_workflow_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Workflow or the Secret of one of its webhooks changes, and when a Workflow appears or goes."""
        self._workflow_listeners.append(listener)

    def on_tool_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Tool's spec or credential changes, and when a Tool appears or goes."""
        self._tool_listeners.append(listener)

    def on_model_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Model's spec or credential changes, and when a Model appears or goes."""
        self._model_listeners.append(listener)

    def on_policy_change(self, listener: PolicyListener) -> None:
        """Call ``listener`` when an agent's effective policy may be another, and when an agent appears or goes."""
        self._policy_listeners.append(listener)

    def on_task_change(self, listener: Listener) -> None:
        """Call ``listener`` with the key of a Task that appears, changes or goes."""
        self._task_listeners.append(listener)

    def on_approval_change(self, listener: Listener) -> None:
        """Call ``listener`` with the key of an ApprovalRequest that appears, changes or goes."""
        self._approval_listeners.append(listener)

    def on_task_end(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the uid of a Task that has ended or is gone."""
        self._task_end_listeners.append(listener)

    def on_pod_end(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the uid of an agent pod that is gone."""
        self._pod_end_listeners.append(listener)

    def staleness_seconds(self) -> float:
        """Return the age of the oldest knowledge that decisions rest on; infinite before all of it was read once."""
        return max(informer.staleness_seconds() for _, informer in self._informers)

    def stalest(self) -> str:
        """Return the plural of the kind that was not heard of for the longest time."""
        return max(self._informers, key=lambda named: named[1].staleness_seconds())[0]

    def _follow(
        self,
        resource: Resource,
        parse: Callable[[JsonObject], T],
        table: Table[T],
        selection: Selection = EVERYTHING,
    ) -> Table[T]:
        informer = Informer(self._client, resource, parse, selection=selection)
        informer.add_handler(table)
        self._informers.append((resource.plural, informer))
        return table

    def _computed(self, namespace: str, agent: str) -> EffectivePolicy | None:
        found = self._agents.get(namespace, agent)
        labels = self._namespaces.get("", namespace)
        if found is None or labels is None:
            return None
        policies = self._policies.of(namespace).values()
        inputs = PolicyInputs(
            agent=found,
            namespace_labels=labels,
            tools=self._tools.of(namespace),
            policies=[policy for policy in policies if isinstance(policy, Policy)],
            unreadable=unreadable_names(policies),
            cluster_policies=[item for item in self._cluster_policies if isinstance(item, ClusterPolicy)],
            unreadable_cluster=unreadable_names(self._cluster_policies),
        )
        policy = effective_policy(inputs)
        self._policies_of.setdefault(namespace, {})[agent] = policy
        return policy

    def _agent_changed(self, change: Change[Agent]) -> None:
        if not is_same_spec(change) or labels_of(change.old) != labels_of(change.new):
            self._policy_dropped(change.key.namespace, change.key.name)

    def _tool_changed(self, change: Change[Tool]) -> None:
        self._follow_credential("Tool", change)
        if is_same_spec(change):
            return
        namespace, name = change.key.namespace, change.key.name
        for agent in self._agents.of(namespace).values():
            if any(request.name == name for request in agent.spec.tools):
                self._policy_dropped(namespace, agent.metadata.name)
        _tell(self._tool_listeners, change.key)

    def _model_changed(self, change: Change[Model]) -> None:
        self._follow_credential("Model", change)
        if not is_same_spec(change):
            _tell(self._model_listeners, change.key)

    def _follow_credential(self, kind: str, change: Change[Tool] | Change[Model]) -> None:
        auth = change.new.spec.auth if change.new else None
        if change.key.namespace == self._own_namespace:
            # The Secrets beside the gateway are the installation's own and never lent out.
            auth = None
        owner: Owner = (kind, change.key.namespace, change.key.name)
        self._credentials.refer(owner, auth.secret_ref if auth else None)

    def _workflow_changed(self, change: Change[Workflow]) -> None:
        namespace, name = change.key.namespace, change.key.name
        # As for Tools: the Secrets beside the gateway are never lent out.
        after = {} if namespace == self._own_namespace else _hook_secrets(change.new)
        for trigger in {*_hook_secrets(change.old), *after}:
            self._credentials.refer((_TRIGGER, namespace, f"{name}/{trigger}"), after.get(trigger))
        _tell(self._workflow_listeners, change.key)

    def _policy_changed(self, change: Change[Policy | UnreadablePolicy]) -> None:
        if is_same_spec(change):
            return
        if isinstance(change.old, UnreadablePolicy) or isinstance(change.new, UnreadablePolicy):
            # What can't be read may select any agent.
            self._policies_dropped(change.key.namespace)
            return
        changed = [policy.spec.agents for policy in (change.old, change.new) if policy is not None]
        self._selected_dropped(change.key.namespace, changed)

    def _cluster_policy_changed(self, change: Change[ClusterPolicy | UnreadablePolicy]) -> None:
        if is_same_spec(change):
            return
        namespaces = {agent.metadata.namespace for agent in self._agents}
        if isinstance(change.old, UnreadablePolicy) or isinstance(change.new, UnreadablePolicy):
            for namespace in namespaces:
                self._policies_dropped(namespace)
            return
        specs = [policy.spec for policy in (change.old, change.new) if policy is not None]
        for namespace in namespaces:
            # Without a namespace there is no policy yet; one that comes drops what there is.
            labels = self._namespaces.get("", namespace) or {}
            self._selected_dropped(
                namespace, [spec.agents for spec in specs if spec.namespaces.matches(labels)]
            )

    def _namespace_changed(self, change: Change[Mapping[str, str]]) -> None:
        if change.old is None or change.old != change.new:
            self._policies_dropped(change.key.name)

    def _task_changed(self, change: Change[Task]) -> None:
        old, new = change.old, change.new
        self._note_pod(old, new)
        self._count(old, -1)
        self._count(new, 1)
        _tell(self._task_listeners, change.key)
        if old is not None and (new is None or old.metadata.uid != new.metadata.uid):
            self._closed_tasks.discard(old.metadata.uid)
            _tell(self._task_end_listeners, old.metadata.uid)
        if new is not None and new.ended:
            _tell(self._task_end_listeners, new.metadata.uid)

    def _count(self, task: Task | None, by: int) -> None:
        """Count a Task of a run, or count it no longer."""
        run = task.spec.run if task is not None else None
        if run is None:
            return
        key = run.root_uid, run.undoing
        self._run_tasks[key] += by
        if not self._run_tasks[key]:
            del self._run_tasks[key]

    def _note_pod(self, old: Task | None, new: Task | None) -> None:
        """Keep in mind which pods a Task names."""
        before, now = pod_of(old), pod_of(new)
        if old is not None and before:
            uid = old.metadata.uid
            left = [task for task in self._tasks_of_pod.get(before, ()) if task.metadata.uid != uid]
            if left:
                self._tasks_of_pod[before] = tuple(left)
            else:
                self._tasks_of_pod.pop(before, None)
        if new is not None and now:
            self._tasks_of_pod[now] = (*self._tasks_of_pod.get(now, ()), new)

    def _approval_changed(self, change: Change[ApprovalRequest]) -> None:
        for request, is_there in ((change.old, False), (change.new, True)):
            if request is None:
                continue
            subject = request.spec.subject
            if isinstance(subject, RequestRun):
                continue
            key = (change.key.namespace, subject.agent.name, request.spec.type)
            if is_there and request.status.state is RequestState.PENDING:
                self._pending.setdefault(key, set()).add(change.key.name)
            elif names := self._pending.get(key):
                names.discard(change.key.name)
                if not names:
                    del self._pending[key]
        _tell(self._approval_listeners, change.key)

    def _pod_changed(self, change: Change[PodFacts]) -> None:
        old, new = change.old, change.new
        if old is None or (new is not None and new.uid == old.uid):
            return
        self._ended_pods[old.uid] = None
        _tell(self._pod_end_listeners, old.uid)
        while len(self._ended_pods) > MAX_REMEMBERED_PODS:
            self._ended_pods.popitem(last=False)

    def _policies_dropped(self, namespace: str) -> None:
        for agent in self._agents.of(namespace):
            self._policy_dropped(namespace, agent)

    def _selected_dropped(self, namespace: str, selectors: Sequence[LabelSelector]) -> None:
        for name, agent in self._agents.of(namespace).items():
            if any(selector.matches(agent.metadata.labels) for selector in selectors):
                self._policy_dropped(namespace, name)

    def _policy_dropped(self, namespace: str, agent: str) -> None:
        """Forget an agent's policy, so that the next call computes it anew."""
        kept = self._policies_of.get(namespace)
        if kept is not None:
            kept.pop(agent, None)
            if not kept:
                del self._policies_of[namespace]
        for listener in self._policy_listeners:
            listener(namespace, agent)

    def _credential_changed(self, owner: Owner) -> None:
        kind, namespace, name = owner
        if kind == _TRIGGER:
            workflow, _, _ = name.partition("/")
            _tell(self._workflow_listeners, ObjectKey(namespace=namespace, name=workflow))
            return
        listeners = self._tool_listeners if kind == "Tool" else self._model_listeners
        _tell(listeners, ObjectKey(namespace=namespace, name=name))


def _hook_secrets(workflow: Workflow | None) -> Mapping[str, KeyReference]:
    """Return the Secrets that the Workflow's webhooks name, by trigger."""
    triggers = workflow.spec.triggers if workflow is not None else ()
    return {item.name: item.webhook.secret_ref for item in triggers if item.webhook is not None}


def agent_key(agent: Agent) -> tuple[str, str]:
    """Return the agent's namespace and name."""
    return agent.metadata.namespace, agent.metadata.name


def _tell(listeners: list[Callable[[T], None]], what: T) -> None:
    for listener in listeners:
        listener(what)
