"""Workflows and their runs in memory, and which of them a change of something else concerns."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from aos.controllers.keys import Key, Subject
from aos.controllers.store import Change, Store
from aos.controllers.task_facts import EPOCH, StepFacts, without_output
from aos.controllers.trees import Branch, branch_of
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus
from aos.model.workflow import OnExcess, Workflow
from aos.model.workflow_run import MAX_RUN_DEPTH, WorkflowRun
from aos.reconcile.children import owner_reference
from aos.reconcile.conditions import find
from aos.reconcile.run_queue import Contender, Turn, turns
from aos.workflow.facts import run_attempt

Touch = Callable[[Key], None]
_Index = dict[tuple[str, str], set[str]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What look-ups need of a WorkflowRun.

    Attributes:
        workflow: the Workflow that it runs.
        created_at: when it was made; None where the API server did not say.
        revision: the Workflow's revision that it runs; empty before it has started.
        agents: the agents that it runs, each with its revision.
        is_suspended: whether it is not to start anything.
        ended_at: when it ended; None while it is open.
        succeeded: whether it ended well.
        trigger: the trigger that started it; empty for none.
        parent: the run that a step of started it; empty for none.
        parent_uid: which run of that name.
        attempt: what the run that started it looks at; None for one that no step started.
        branch: what it is counted with; None for one that no step started.
    """

    workflow: str
    created_at: datetime | None
    revision: str
    agents: frozenset[tuple[str, str]]
    is_suspended: bool
    ended_at: datetime | None
    succeeded: bool
    trigger: str
    parent: str
    parent_uid: str
    attempt: StepFacts | None
    branch: Branch | None

    @property
    def state(self) -> str:
        """Where it stands, for who counts."""
        if self.ended_at is not None:
            return "Succeeded" if self.succeeded else "Failed"
        return "Running" if self.revision else "Pending"


def facts_of(run: WorkflowRun) -> RunFacts:
    """Return what look-ups need of a run."""
    status, parent = run.status, run.spec.parent
    end = find(status.conditions, ConditionType.SUCCEEDED) if run.ended else None
    return RunFacts(
        workflow=run.spec.workflow_ref.name,
        created_at=run.metadata.creation_timestamp,
        revision=status.revision,
        agents=frozenset((item.agent, item.revision) for item in status.agents),
        is_suspended=run.spec.suspend,
        ended_at=(status.completion_time or end.last_transition_time) if end else None,
        succeeded=end is not None and end.status is ConditionStatus.TRUE,
        trigger=run.spec.trigger.name if run.spec.trigger else "",
        parent=parent.run if parent else "",
        parent_uid=parent.run_uid if parent else "",
        attempt=without_output(run_attempt(run, EPOCH)),
        branch=branch_of(parent.root_uid, undoing=parent.undoing) if parent else None,
    )


class Executions:
    """The stores of Workflows and WorkflowRuns, with look-ups by what they name.

    Attributes:
        workflows: Workflows; their facts are the Workflows themselves.
        runs: WorkflowRuns.
        claims: uids of runs that are being started, as far as their status does not say so yet.
        confirmed: uids of runs of which no older version than the last that was written can be here: what another operator
            wrote last may still be on its way.
        complete: uids of runs of which nothing that was started can be missing here: this operator has started all of it itself, or
            has read it from the API server.
    """

    def __init__(self, touch: Touch, touch_later: Touch) -> None:
        """Make them empty.

        Args:
            touch: hears of the work that changes make.
            touch_later: hears of work that many changes may share.
        """
        self._touch = touch
        self._touch_later = touch_later
        self.workflows: Store[Workflow, Workflow] = Store("Workflow", Workflow.parse, lambda item: item)
        self.runs = Store("WorkflowRun", WorkflowRun.parse, facts_of)
        self.claims: set[str] = set()
        self.confirmed: set[str] = set()
        self.complete: set[str] = set()
        self._runs_of: _Index = {}
        self._below: _Index = {}

    def runs_of(self, namespace: str, workflow: str) -> Iterator[tuple[str, str, RunFacts]]:
        """Yield name, uid and facts of the runs of a Workflow that can be read."""
        return self._found(self._runs_of, namespace, workflow)

    def below(self, namespace: str, run: str, uid: str) -> Iterator[tuple[str, str, RunFacts]]:
        """Yield name, uid and facts of the runs that steps of the run with ``uid`` started."""
        return (item for item in self._found(self._below, namespace, run) if item[2].parent_uid == uid)

    def states(self) -> dict[str, int]:
        """Return how many runs have not started, are at work, succeeded and did not."""
        counts = {"Pending": 0, "Running": 0, "Succeeded": 0, "Failed": 0}
        for namespace in self.runs.namespaces():
            for entry in self.runs.within(namespace).values():
                if entry.facts is not None:
                    counts[entry.facts.state] += 1
        return counts

    def reference(self, namespace: str, run: WorkflowRun) -> JsonObject | None:
        """Return the reference by which a run goes when its Workflow does; None where that is not there."""
        entry = self.workflows.entry(namespace, run.spec.workflow_ref.name)
        if entry is None or entry.facts is None:
            return None
        return {**owner_reference("Workflow", entry.facts.metadata), "controller": False}

    def pinned(self, namespace: str, agent: str) -> frozenset[str]:
        """Return the revisions of an agent that open runs go on running."""
        return frozenset(
            revision
            for entry in self.runs.within(namespace).values()
            if entry.facts is not None and entry.facts.ended_at is None
            for name, revision in entry.facts.agents
            if name == agent
        )

    def workflow_changed(self, change: Change[Workflow]) -> None:
        """Ask for the reconciles that another Workflow makes."""
        if not change.touches_spec and not _ready_differs(change):
            return
        if change.touches_spec:
            for name in self._with_those_above(change.namespace, (change.name,)) - {change.name}:
                self._touch(Key(Subject.WORKFLOW, change.namespace, name))
        self.touch_open(change.namespace, change.name)

    def run_changed(self, change: Change[RunFacts]) -> None:
        """Keep the look-ups in step with the store, and ask for the reconciles that another run makes."""
        self._index(change)
        if change.before is not None and (change.after is None or change.after.uid != change.before.uid):
            self.confirmed.discard(change.before.uid)
            self.complete.discard(change.before.uid)
        before = change.before.facts if change.before is not None else None
        after = change.after.facts if change.after is not None else None
        facts = after or before
        if facts is None:
            return
        if facts.parent and (before is None or after is None or _seen(before) != _seen(after)):
            self._touch(Key(Subject.WORKFLOW_RUN, change.namespace, facts.parent))
        if _counts(before) != _counts(after):
            self._touch_later(Key(Subject.WORKFLOW, change.namespace, facts.workflow))
            if self._is_bounded(change.namespace, facts.workflow):
                self.touch_those_whose_turn_it_is(change.namespace, facts.workflow)
        if after is None or after.ended_at is not None:
            self._touch_after_end(change.namespace, change.name, before or facts)

    def _index(self, change: Change[RunFacts]) -> None:
        for entry in (change.before, change.after):
            if entry is None or entry.facts is None:
                continue
            is_there = change.after is not None and change.after.facts is not None
            for index, name in ((self._runs_of, entry.facts.workflow), (self._below, entry.facts.parent)):
                if name:
                    _put(index, (change.namespace, name), change.name, is_there=is_there)

    def _touch_after_end(self, namespace: str, run: str, facts: RunFacts) -> None:
        for agent, _ in facts.agents:
            # Its revision was kept for the run.
            self._touch_later(Key(Subject.AGENT, namespace, agent))
        for name, _, below in self._found(self._below, namespace, run):
            if below.ended_at is None:
                self._touch(Key(Subject.WORKFLOW_RUN, namespace, name))

    def agent_changed(
        self, namespace: str, agent: str, capabilities: frozenset[str], *, is_other: bool
    ) -> None:
        """Ask for the reconciles that another Agent makes.

        Args:
            namespace: of the Agent.
            agent: its name.
            capabilities: what it offers or offered.
            is_other: whether its spec is another, and not only what became of it.
        """
        concerned = {
            name
            for name, entry in self.workflows.within(namespace).items()
            if entry.facts is not None
            and any(step.agent == agent or step.capability in capabilities for step in entry.facts.spec.steps)
        }
        for name in concerned:
            self.touch_those_whose_turn_it_is(namespace, name)
        if is_other:
            for name in self._with_those_above(namespace, concerned):
                self._touch(Key(Subject.WORKFLOW, namespace, name))

    def with_those_below(self, workflow: Workflow) -> tuple[Workflow, ...]:
        """Return a Workflow and those that its steps run, and theirs."""
        namespace, found = workflow.metadata.namespace, {workflow.metadata.name: workflow}
        left = [workflow]
        while left:
            for step in left.pop().spec.steps:
                entry = self.workflows.entry(namespace, step.workflow) if step.workflow else None
                if entry is not None and entry.facts is not None and entry.facts.metadata.name not in found:
                    found[entry.facts.metadata.name] = entry.facts
                    left.append(entry.facts)
        return tuple(found.values())

    def _with_those_above(self, namespace: str, workflows: Iterable[str]) -> set[str]:
        """Return Workflows and those whose steps run them, and so on."""
        found = set(workflows)
        left = list(found)
        while left:
            below = left.pop()
            for name, entry in self.workflows.within(namespace).items():
                steps = entry.facts.spec.steps if entry.facts is not None else ()
                if name not in found and any(step.workflow == below for step in steps):
                    found.add(name)
                    left.append(name)
        return found

    def touch_open(self, namespace: str, workflow: str) -> None:
        """Ask for a reconcile of every open run of a Workflow."""
        for name, _, facts in self.runs_of(namespace, workflow):
            if facts.ended_at is None:
                self._touch(Key(Subject.WORKFLOW_RUN, namespace, name))

    def turns(self, namespace: str, workflow: str) -> Mapping[str, Turn]:
        """Return for each open run of a Workflow, by uid, whether it may go on."""
        entry = self.workflows.entry(namespace, workflow)
        spec = entry.facts.spec if entry is not None and entry.facts is not None else None
        return turns(self._contenders(namespace, workflow), spec.concurrency if spec else None)

    def turn_of(self, namespace: str, run: WorkflowRun) -> Turn:
        """Return whether an open run may go on."""
        workflow = run.spec.workflow_ref.name
        if not self._is_bounded(namespace, workflow):
            return Turn.GO
        return self.turns(namespace, workflow).get(run.metadata.uid, Turn.WAIT)

    def must_make_way(self, namespace: str, run: WorkflowRun) -> bool:
        """Whether a newer run takes the place of one that has started."""
        entry = self.workflows.entry(namespace, run.spec.workflow_ref.name)
        bounds = entry.facts.spec.concurrency if entry is not None and entry.facts is not None else None
        if bounds is None or bounds.on_excess is not OnExcess.REPLACE:
            return False
        return self.turn_of(namespace, run) is Turn.MAKE_WAY

    def _is_bounded(self, namespace: str, workflow: str) -> bool:
        entry = self.workflows.entry(namespace, workflow)
        return entry is not None and entry.facts is not None and entry.facts.spec.concurrency is not None

    def _contenders(self, namespace: str, workflow: str) -> Iterator[Contender]:
        for name, uid, facts in self.runs_of(namespace, workflow):
            if facts.ended_at is None:
                yield Contender(
                    uid=uid,
                    name=name,
                    priority=self._priority(namespace, facts),
                    created_at=facts.created_at,
                    has_started=facts.revision != "" or uid in self.claims,
                    is_held=facts.is_suspended,
                )

    def _priority(self, namespace: str, facts: RunFacts) -> int:
        """Return the highest priority of the run's Workflow and those of the runs above it."""
        found = []
        above: RunFacts | None = facts
        for _ in range(MAX_RUN_DEPTH):
            if above is None:
                break
            workflow = self.workflows.entry(namespace, above.workflow)
            if workflow is not None and workflow.facts is not None:
                found.append(workflow.facts.spec.priority)
            entry = self.runs.entry(namespace, above.parent) if above.parent else None
            above = entry.facts if entry is not None else None
        return max(found, default=0)

    def touch_those_whose_turn_it_is(self, namespace: str, workflow: str) -> None:
        """Ask for a reconcile of the runs that may start now, and of those that must make way."""
        found = self.turns(namespace, workflow)
        for name, uid, facts in self.runs_of(namespace, workflow):
            turn = found.get(uid, Turn.WAIT)
            if turn is Turn.MAKE_WAY or (not facts.revision and turn is not Turn.WAIT):
                self._touch(Key(Subject.WORKFLOW_RUN, namespace, name))

    def _found(self, index: _Index, namespace: str, name: str) -> Iterator[tuple[str, str, RunFacts]]:
        for run in tuple(index.get((namespace, name), ())):
            entry = self.runs.entry(namespace, run)
            if entry is not None and entry.facts is not None:
                yield run, entry.uid, entry.facts


def _seen(facts: RunFacts) -> StepFacts | None:
    return facts.attempt.seen if facts.attempt is not None else None


def _counts(facts: RunFacts | None) -> tuple[bool, bool, bool] | None:
    """Return what of a run its Workflow and the runs beside it look at."""
    return (facts.revision != "", facts.ended_at is not None, facts.is_suspended) if facts else None


def _ready_differs(change: Change[Workflow]) -> bool:
    ready = {
        (found.status, found.observed_generation)
        if (found := find(item.status.conditions, ConditionType.READY))
        else None
        for item in change.facts()
    }
    return len(ready) > 1 or len({item.status.revision for item in change.facts()}) > 1


def _put(index: _Index, key: tuple[str, str], name: str, *, is_there: bool) -> None:
    names = index.setdefault(key, set())
    if is_there:
        names.add(name)
    else:
        names.discard(name)
    if not names:
        del index[key]
