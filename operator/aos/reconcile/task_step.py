"""What the two halves of a Task's life (before its pod is recorded, and after) share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.duration import duration_seconds
from aos.model.meta import Condition
from aos.model.task import Outcome, Task
from aos.reconcile.claim import Spare
from aos.reconcile.conditions import Verdict, find, no, yes
from aos.reconcile.guard import Guard
from aos.reconcile.observed_pod import ObservedNode, ObservedPod
from aos.reconcile.plan import PodChange
from aos.reconcile.revision import PinnedRevision, as_pinned
from aos.reconcile.settings import Platform
from aos.reconcile.turns import Turn
from aos.reconcile.waiting import Wait, Waiting, waiting


@dataclass(frozen=True, slots=True)
class Rejection:
    """The API server refused the pod: QuotaExceeded or PodRejected, and its own words."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ObservedTask:
    """All that a Task's fate is decided from.

    Attributes:
        task: as the API server has it.
        agent: who is to do it; None if there is no such Agent, or it can't be read.
        pinned: what the agent was at the revision that the Task has to run; None where that is the current one, or is gone.
        instructions: the ConfigMap that the agent's ``instructionsFrom`` names; None if it is missing.
        revisions: names of the agent's ControllerRevisions.
        pods: every pod whose controller is this Task or that is claimed for it, and whatever pod stands under the name of its pod.
        spares: pods of the agent that were there before any Task, but for those that are being claimed just now.
        ahead: Tasks that wait for such a pod and come before this one.
        nodes: the cluster's nodes by name.
        platform: where the gateway is.
        can_own_users: whether the agent's runtime can give a pod users of its own wherever it may land.
        guard: whether the admission policies are in place.
        rejection: why the pod could not be created just now; None if it was not tried or it worked.
        turn: why the pod may not be created yet though nothing else holds it up; None if it may, or nobody asked.
        parent: the Task that handed this one over, as far as it is known; None for one that nobody handed over.
        waits: the times that its calls, and those of the Tasks below it, wait for people.
        confirmed: whether pods were read from the API server itself, and not from a cache that may lag.
    """

    task: Task
    agent: Agent | None = None
    pinned: PinnedRevision | None = None
    instructions: Mapping[str, str] | None = None
    revisions: frozenset[str] = frozenset()
    pods: Sequence[ObservedPod] = ()
    spares: Sequence[Spare] = ()
    ahead: int = 0
    nodes: Mapping[str, ObservedNode] = field(default_factory=dict)
    platform: Platform = field(default_factory=Platform)
    can_own_users: bool = False
    guard: Guard = field(default_factory=Guard)
    rejection: Rejection | None = None
    turn: Turn | None = None
    parent: Task | None = None
    waits: Sequence[Wait] = ()
    confirmed: bool = False

    @property
    def doer(self) -> Agent | None:
        """The agent as it is to do this Task; None if there is no such Agent."""
        if self.agent is None or self.pinned is None:
            return self.agent
        return as_pinned(self.agent, self.pinned)

    @property
    def waiting(self) -> Waiting:
        """What its waiting does to it."""
        return waiting(self.task, self.waits)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a Task is now.

    Attributes:
        started: whether its pod runs, and if not, why.
        ended: how it ended; None while it has not.
        record: the pod to record as the Task's one pod; None to leave the record as it is.
        revision: the revision that the recorded pod runs.
        create: the pod to create; None for none.
        claim: the pod that is there, to be claimed for it; None for none.
        look_again_seconds: when time alone may change something; None for never before the deadline.
        confirm: whether the edge must read pods from the API server before this may be believed.
    """

    started: Verdict
    ended: Verdict | None = None
    record: ObservedPod | None = None
    revision: str = ""
    create: JsonObject | None = None
    claim: PodChange | None = None
    look_again_seconds: float | None = None
    confirm: bool = False


def deadline_of(observed: ObservedTask, now: datetime) -> datetime:
    """Return when the Task must have ended: its deadline counts from its creation, without the time that it waits for people."""
    moved = observed.waiting.deadline
    if moved is not None:
        return moved
    task = observed.task
    created = task.metadata.creation_timestamp or now
    return created + timedelta(seconds=duration_seconds(task.spec.deadline))


def started_of(task: Task) -> Verdict:
    """Return what the status says of the start."""
    found = find(task.status.conditions, ConditionType.STARTED)
    return verdict_of(found) if found else no(Reason.PENDING)


def verdict_of(condition: Condition) -> Verdict:
    """Return the verdict that a condition records."""
    return Verdict(condition.status, Reason(condition.reason), condition.message)


def handed_in(task: Task) -> Verdict | None:
    """Return the end that the gateway recorded as the result; None if there is no result."""
    result = task.status.result
    if result is None:
        return None
    if result.outcome is Outcome.SUCCEEDED:
        return yes(Reason.COMPLETED)
    told = ": ".join(part for part in (result.reason, result.message) if part)
    return no(Reason.AGENT_FAILED, told or "the agent gave no reason")
