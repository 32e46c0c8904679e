"""The objects of the kinds of AOS, and which work a change of one of them makes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from aos.controllers.executions import Executions, RunFacts
from aos.controllers.keys import Key, Subject
from aos.controllers.requests import RequestFacts, Requests
from aos.controllers.store import Change, Entry, F, Shelf, Store, T
from aos.controllers.task_facts import StepFacts, TaskFacts, facts_of, total, trim
from aos.controllers.trees import Member, Trees
from aos.model.agent import Agent
from aos.model.cluster_policy import ClusterPolicy
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus, LabelSelector
from aos.model.model import Model
from aos.model.policy import Policy
from aos.model.task import Task, TaskUsage
from aos.model.tool import Tool
from aos.reconcile.conditions import find
from aos.reconcile.waiting import Wait
from aos.reconcile.warm import warm_asked


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What look-ups need of an Agent."""

    labels: Mapping[str, str]
    tools: frozenset[str]
    delegates: frozenset[str]
    capabilities: frozenset[str]
    is_ready: bool
    model: str
    warm: int
    config_map: str
    revision: str
    policy_digest: str


_Index = dict[tuple[str, str], set[str]]
Touch = Callable[[Key], None]
Observe = Callable[[Mapping[str, JsonValue], bool], None]
Forget = Callable[[str, str, str], None]


class Objects:
    """Stores of all kinds.

    Attributes:
        agents: Agents.
        tasks: Tasks.
        tools: Tools; their facts are the Tools themselves, since every agent of the namespace asks for them.
        models: Models; as for Tools.
        policies: Policies; as for Tools.
        cluster_policies: ClusterPolicies, under the empty namespace; as for Tools.
        requests: ApprovalRequests.
        executions: Workflows and their runs.
        trees: how many Tasks and runs belong together.
        shelves: all of them by kind.
    """

    def __init__(
        self,
        touch: Touch,
        namespace_labels: Callable[[str], Mapping[str, str]] = lambda _: {},
        touch_later: Touch | None = None,
    ) -> None:
        """Make empty stores.

        Args:
            touch: hears of the work that changes make.
            namespace_labels: tells the labels of a namespace, as far as they are known.
            touch_later: hears of work that many changes may share; None for ``touch``.
        """
        self._quiet: Key | None = None
        self._ask = touch
        self._touch_later = touch_later or touch
        self._namespace_labels = namespace_labels
        self.agents = Store("Agent", Agent.parse, _agent_facts)
        self.tasks = Store("Task", Task.parse, facts_of, trim)
        self.tools: Store[Tool, Tool] = Store("Tool", Tool.parse, _itself)
        self.models: Store[Model, Model] = Store("Model", Model.parse, _itself)
        self.policies: Store[Policy, Policy] = Store("Policy", Policy.parse, _itself)
        self.cluster_policies: Store[ClusterPolicy, ClusterPolicy] = Store(
            "ClusterPolicy", ClusterPolicy.parse, _itself
        )
        self.requests = Requests(self._touch)
        self.executions = Executions(self._touch, self._touch_later)
        self.trees = Trees()
        self.shelves: Mapping[str, Shelf] = {
            # In the order in which a new leader looks at them: work in hand first.
            shelf.kind: shelf
            for shelf in (
                self.tasks,
                self.requests.store,
                self.executions.runs,
                self.cluster_policies,
                self.policies,
                self.tools,
                self.models,
                self.agents,
                self.executions.workflows,
            )
        }
        self._task_listeners: list[Callable[[Change[TaskFacts]], None]] = []
        self._end_listeners: list[Touch] = []
        self._tasks_of: _Index = {}
        self._handed_over_by: _Index = {}
        self._tasks_of_run: _Index = {}
        self._doors: Mapping[str, tuple[Observe, Forget]] = {
            "Agent": self._door(self.agents, self._agent_changed),
            "Task": self._door(self.tasks, self._task_changed),
            "Tool": self._door(self.tools, self._tool_changed),
            "Model": self._door(self.models, self._model_changed),
            "Policy": self._door(self.policies, self._policy_changed),
            "ClusterPolicy": self._door(self.cluster_policies, self._cluster_policy_changed),
            "ApprovalRequest": self._door(self.requests.store, self._request_changed),
            "Workflow": self._door(self.executions.workflows, self.executions.workflow_changed),
            "WorkflowRun": self._door(self.executions.runs, self._run_changed),
        }

    def observe(
        self, kind: str, raw: Mapping[str, JsonValue], *, own: bool = False, by: Key | None = None
    ) -> None:
        """Take an object that is there.

        Args:
            kind: its kind.
            raw: as the API server has it.
            own: whether the operator's own write made it so, and its reconcile need not run again for that.
            by: whose reconcile made it just now, and need not run again for that.
        """
        self._quiet = by
        try:
            self._doors[kind][0](raw, own)
        finally:
            self._quiet = None

    def forget(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Take note that the object with this uid is gone."""
        self._doors[kind][1](namespace, name, uid)

    def tasks_of(self, namespace: str, agent: str) -> Iterator[tuple[str, TaskFacts]]:
        """Yield name and facts of the agent's Tasks that can be read."""
        for name in tuple(self._tasks_of.get((namespace, agent), ())):
            entry = self.tasks.entry(namespace, name)
            if entry is not None and entry.facts is not None:
                yield name, entry.facts

    def attempts_of(self, namespace: str, run_uid: str) -> Iterator[tuple[StepFacts, TaskUsage | None]]:
        """Yield what the run with ``run_uid`` looks at of its Tasks, each with all that it and those below it used."""
        for name in tuple(self._tasks_of_run.get((namespace, run_uid), ())):
            entry = self.tasks.entry(namespace, name)
            if entry is not None and entry.facts is not None and entry.facts.step is not None:
                yield entry.facts.step, self._used_by(namespace, name)

    def has_open_attempts(self, namespace: str, run: str, uid: str) -> bool:
        """Whether anything that the run with ``uid`` started is still being worked on."""
        return any(step.attempt.is_open for step, _ in self.attempts_of(namespace, uid)) or any(
            facts.ended_at is None for _, _, facts in self.executions.below(namespace, run, uid)
        )

    def is_under_review(self, namespace: str, run_uid: str) -> bool:
        """Whether people may still be asked about calls that were made for a run."""
        for name in self._tasks_of_run.get((namespace, run_uid), ()):
            entry = self.tasks.entry(namespace, name)
            if entry is not None and any(
                item.is_open for item in self.requests.of_task(namespace, name, entry.uid)
            ):
                return True
        return False

    def is_done_for(self, kind: str, namespace: str, name: str, run: str) -> bool:
        """Whether a Task or run is one by which a step of ``run`` itself is done."""
        if kind == self.tasks.kind:
            task = self.tasks.entry(namespace, name)
            facts = task.facts if task is not None else None
            return facts is not None and facts.run == run and facts.step is not None
        below = self.executions.runs.entry(namespace, name)
        return below is not None and below.facts is not None and below.facts.parent == run

    def _used_by(self, namespace: str, task: str) -> TaskUsage | None:
        found = (self.tasks.entry(namespace, name) for name in self._with_tasks_below(namespace, task))
        used = [entry.facts.usage for entry in found if entry is not None and entry.facts is not None]
        return total(item for item in used if item is not None)

    def waits_of(self, namespace: str, task: str) -> Iterator[Wait]:
        """Yield the times that calls wait for people: those of a Task, and of every Task below it."""
        for name in self._with_tasks_below(namespace, task):
            entry = self.tasks.entry(namespace, name)
            if entry is not None:
                found = self.requests.of_task(namespace, name, entry.uid)
                yield from (facts.wait for facts in found if facts.wait is not None)

    def on_task_change(self, listener: Callable[[Change[TaskFacts]], None]) -> None:
        """Call ``listener`` when a Task appears, changes or goes."""
        self._task_listeners.append(listener)

    def on_end(self, listener: Touch) -> None:
        """Call ``listener`` with the key of an object that is gone."""
        self._end_listeners.append(listener)

    def warm_asked(self, namespace: str) -> dict[str, int]:
        """Return how many warm pods each agent of a namespace asks for, without those that ask for none."""
        entries = self.agents.within(namespace).items()
        return {name: entry.facts.warm for name, entry in entries if entry.facts and entry.facts.warm}

    def touch_all(self) -> None:
        """Ask for a reconcile of everything."""
        for kind, shelf in self.shelves.items():
            for item in shelf.identities():
                self._touch(Key(Subject(kind), item.namespace, item.name))
        for namespace, agent in list(self._tasks_of):
            self._touch(Key(Subject.HISTORY, namespace, agent))

    def touch_agents(self, namespace: str = "") -> None:
        """Ask for a reconcile of every agent, or of those of one namespace."""
        for item in self.agents.identities():
            if not namespace or item.namespace == namespace:
                self._touch(Key(Subject.AGENT, item.namespace, item.name))

    def namespace_changed(self, namespace: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Ask for the reconciles that other labels of a namespace make."""
        if not self.agents.within(namespace):
            return
        self.touch_agents(namespace)
        for name, entry in self.cluster_policies.within("").items():
            selector = entry.facts.spec.namespaces if entry.facts is not None else None
            if selector is not None and selector.matches(before) != selector.matches(after):
                self._touch(Key(Subject.CLUSTER_POLICY, "", name))

    def touch_agents_told_by(self, namespace: str, config_map: str) -> None:
        """Ask for a reconcile of the agents that take their instructions from a ConfigMap."""
        for name, entry in self.agents.within(namespace).items():
            if entry.facts is not None and entry.facts.config_map == config_map:
                self._touch(Key(Subject.AGENT, namespace, name))

    def touch_tasks_of_revision(self, namespace: str, agent: str, revision: str) -> None:
        """Ask for a reconcile of the open Tasks that run a revision."""
        for name, facts in self.tasks_of(namespace, agent):
            if revision in (facts.revision, facts.pinned) and facts.ended_at is None:
                self._touch(Key(Subject.TASK, namespace, name))

    def revision_gone(self, owner: Key, revision: str) -> None:
        """Ask for a reconcile of what goes by a revision of ``owner`` that was deleted."""
        if owner.subject is Subject.AGENT:
            self.touch_tasks_of_revision(owner.namespace, owner.name, revision)
        else:
            self.executions.touch_open(owner.namespace, owner.name)

    def touch_waiting_tasks(self) -> None:
        """Ask for a reconcile of every Task that has no pod yet."""
        for item in self.tasks.identities():
            entry = self.tasks.entry(item.namespace, item.name)
            if entry is not None and entry.facts is not None and entry.facts.is_waiting:
                self._touch(Key(Subject.TASK, item.namespace, item.name))

    def _touch(self, key: Key) -> None:
        if key != self._quiet:
            self._ask(key)

    def _door(self, store: Store[T, F], changed: Callable[[Change[F]], None]) -> tuple[Observe, Forget]:
        def observe(raw: Mapping[str, JsonValue], own: bool) -> None:  # noqa: FBT001 - called from here alone
            change = store.put(raw)
            if change is not None:
                if not own:
                    self._touch(Key(Subject(store.kind), change.namespace, change.name))
                changed(change)

        def forget(namespace: str, name: str, uid: str) -> None:
            change = store.remove(namespace, name, uid)
            if change is not None:
                changed(change)
                for listener in self._end_listeners:
                    listener(Key(Subject(store.kind), namespace, name))

        return observe, forget

    def _agent_changed(self, change: Change[AgentFacts]) -> None:
        for name, facts in self.tasks_of(change.namespace, change.name):
            if facts.is_waiting or (change.after is None and facts.ended_at is None):
                self._touch(Key(Subject.TASK, change.namespace, name))
        if change.touches_spec or len({(facts.revision, facts.is_ready) for facts in change.facts()}) > 1:
            capabilities = frozenset(name for facts in change.facts() for name in facts.capabilities)
            self.executions.agent_changed(
                change.namespace, change.name, capabilities, is_other=change.touches_spec
            )
        called = {(facts.revision, facts.policy_digest) for facts in change.facts()}
        self.requests.touch_of_agent(
            change.namespace, change.name, is_another=change.after is None or len(called) > 1
        )
        if len({entry is not None and not entry.problem for entry in (change.before, change.after)}) > 1:
            self._touch_agents_that_delegate_to(change.namespace, change.name)
        self._touch_those_kept_warm(change)
        self._touch_policies_of(change)

    def _touch_policies_of(self, change: Change[AgentFacts]) -> None:
        labels = [facts.labels for facts in change.facts()]
        if len(labels) == 2 and labels[0] == labels[1]:  # noqa: PLR2004 - before and after
            return
        for name, entry in self.policies.within(change.namespace).items():
            if entry.facts is not None and any(entry.facts.spec.agents.matches(item) for item in labels):
                self._touch(Key(Subject.POLICY, change.namespace, name))
        of_namespace = self._namespace_labels(change.namespace)
        for name, item in self.cluster_policies.within("").items():
            spec = item.facts.spec if item.facts is not None else None
            if spec is None or not spec.namespaces.matches(of_namespace):
                continue
            if any(spec.agents.matches(one) for one in labels):
                # It counts the agents of all namespaces: once for many that come together.
                self._touch_later(Key(Subject.CLUSTER_POLICY, "", name))

    def _touch_those_kept_warm(self, change: Change[AgentFacts]) -> None:
        """Ask for a reconcile of the agents that share with this one what a namespace may have kept warm."""
        before, after = (
            entry.facts.warm if entry and entry.facts else 0 for entry in (change.before, change.after)
        )
        if before != after:
            for name in self.warm_asked(change.namespace):
                self._touch(Key(Subject.AGENT, change.namespace, name))

    def _touch_agents_that_delegate_to(self, namespace: str, agent: str) -> None:
        for name, entry in self.agents.within(namespace).items():
            if entry.facts is not None and agent in entry.facts.delegates:
                self._touch(Key(Subject.AGENT, namespace, name))

    def _task_changed(self, change: Change[TaskFacts]) -> None:
        for entry in (change.before, change.after):
            if entry is None or entry.facts is None:
                continue
            is_there = entry is change.after or change.after is not None
            _put(self._tasks_of, (change.namespace, entry.facts.agent), change.name, is_there=is_there)
            for index, name in (
                (self._handed_over_by, entry.facts.parent),
                (self._tasks_of_run, entry.facts.run_uid),
            ):
                if name:
                    _put(index, (change.namespace, name), change.name, is_there=is_there)
        self.trees.changed(_member(change, change.before), _member(change, change.after))
        after = change.after.facts if change.after is not None else None
        before = change.before.facts if change.before is not None else None
        facts = after or before
        if facts is not None and facts.run and _seen_by_run(before) != _seen_by_run(after):
            self._touch(Key(Subject.WORKFLOW_RUN, change.namespace, facts.run))
        if after is None or not after.is_open:
            self.requests.touch_of_task(change.namespace, change.name)
        if after is not None and after.ended_at is not None and (before is None or before.ended_at is None):
            self._touch(Key(Subject.HISTORY, change.namespace, after.agent))
            self._touch_tasks_handed_over_by(change.namespace, change.name)
        for listener in self._task_listeners:
            listener(change)

    def _touch_tasks_handed_over_by(self, namespace: str, task: str) -> None:
        for name in tuple(self._handed_over_by.get((namespace, task), ())):
            self._touch(Key(Subject.TASK, namespace, name))
            entry = self.tasks.entry(namespace, name)
            if entry is not None and entry.facts is not None:
                # It was kept for as long as it could be asked for.
                self._touch(Key(Subject.HISTORY, namespace, entry.facts.agent))

    def _request_changed(self, change: Change[RequestFacts]) -> None:
        self.requests.changed(change)
        before = change.before.facts if change.before is not None else None
        after = change.after.facts if change.after is not None else None
        facts = after or before
        if facts is None:
            return
        if (before.wait if before else None) != (after.wait if after else None):
            for task in self._with_tasks_above(change.namespace, facts.task):
                self._touch(Key(Subject.TASK, change.namespace, task))
        if after is not None and after.judged is not None:
            self._touch(Key(Subject.AGENT, change.namespace, after.agent))
        if facts.run:
            self._touch(Key(Subject.WORKFLOW_RUN, change.namespace, facts.run))
        if facts.agent and (after is None or not after.is_open):
            # Its Task was kept for as long as somebody could be asked about it.
            self._touch(Key(Subject.HISTORY, change.namespace, facts.agent))

    def _run_changed(self, change: Change[RunFacts]) -> None:
        self.trees.changed(_member(change, change.before), _member(change, change.after))
        self.executions.run_changed(change)
        self.requests.touch_of_run(change.namespace, change.name)

    def _with_tasks_above(self, namespace: str, task: str) -> Iterator[str]:
        seen: set[str] = set()
        while task and task not in seen:
            seen.add(task)
            yield task
            entry = self.tasks.entry(namespace, task)
            task = entry.facts.parent if entry is not None and entry.facts is not None else ""

    def _with_tasks_below(self, namespace: str, task: str) -> Iterator[str]:
        seen: set[str] = set()
        left = [task]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                yield name
                left.extend(self._handed_over_by.get((namespace, name), ()))

    def _tool_changed(self, change: Change[Tool]) -> None:
        if change.touches_spec or len({facts.status.actions for facts in change.facts()}) > 1:
            self.requests.touch_of_tool(change.namespace, change.name)
        if not change.touches_spec:
            return
        for name, entry in self.agents.within(change.namespace).items():
            if entry.facts is not None and change.name in entry.facts.tools:
                self._touch(Key(Subject.AGENT, change.namespace, name))

    def _model_changed(self, change: Change[Model]) -> None:
        if not change.touches_spec:
            return
        for name, entry in self.agents.within(change.namespace).items():
            if entry.facts is not None and entry.facts.model == change.name:
                self._touch(Key(Subject.AGENT, change.namespace, name))

    def _policy_changed(self, change: Change[Policy]) -> None:
        if not change.touches_spec:
            return
        if any(entry is not None and entry.problem for entry in (change.before, change.after)):
            # What can't be read may select any agent.
            self.touch_agents(change.namespace)
            return
        self._touch_selected(change.namespace, [policy.spec.agents for policy in change.facts()])

    def _cluster_policy_changed(self, change: Change[ClusterPolicy]) -> None:
        if not change.touches_spec:
            return
        if any(entry is not None and entry.problem for entry in (change.before, change.after)):
            # What can't be read may select any agent of any namespace.
            self.touch_agents()
            return
        specs = [policy.spec for policy in change.facts()]
        for namespace in self.agents.namespaces():
            labels = self._namespace_labels(namespace)
            self._touch_selected(
                namespace, [spec.agents for spec in specs if spec.namespaces.matches(labels)]
            )

    def _touch_selected(self, namespace: str, selectors: Sequence[LabelSelector]) -> None:
        for name, entry in self.agents.within(namespace).items():
            labels = entry.facts.labels if entry.facts is not None else None
            if labels is not None and any(selector.matches(labels) for selector in selectors):
                self._touch(Key(Subject.AGENT, namespace, name))


def _put(index: _Index, key: tuple[str, str], name: str, *, is_there: bool) -> None:
    names = index.setdefault(key, set())
    if is_there:
        names.add(name)
    else:
        names.discard(name)
    if not names:
        del index[key]


def _member(
    change: Change[TaskFacts] | Change[RunFacts], entry: Entry[TaskFacts] | Entry[RunFacts] | None
) -> Member | None:
    branch = entry.facts.branch if entry is not None and entry.facts is not None else None
    return Member(branch, change.name) if branch is not None else None


def _seen_by_run(facts: TaskFacts | None) -> tuple[StepFacts | None, TaskUsage | None] | None:
    return (facts.step.seen if facts.step is not None else None, facts.usage) if facts is not None else None


def _agent_facts(agent: Agent) -> AgentFacts:
    spec, ready = agent.spec, find(agent.status.conditions, ConditionType.READY)
    return AgentFacts(
        labels=agent.metadata.labels,
        tools=frozenset(request.name for request in spec.tools),
        delegates=frozenset(spec.delegates),
        capabilities=frozenset(spec.capabilities),
        is_ready=ready is not None and ready.status is ConditionStatus.TRUE,
        model=spec.model.name if spec.model else "",
        warm=warm_asked(agent),
        config_map=spec.instructions_from.config_map_key_ref.name if spec.instructions_from else "",
        revision=agent.status.revision,
        policy_digest=agent.status.policy.digest if agent.status.policy else "",
    )


def _itself(item: T) -> T:
    return item
