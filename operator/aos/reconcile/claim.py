"""Claims: how a Task gets a pod that is there already, of a Service or kept warm, and no two Tasks ever the same one.

The claim is written on the pod, against the version of the pod that was seen free: of any number of operators that try,
however stale what they know, the API server lets one through. Only then is the pod recorded on the Task, against the version
of the Task that was seen. A claim is taken over only once its Task has handed in a result; that never becomes untrue, and a
record that was still under way for that Task then meets another version of it. The pod of a Task that went or ended otherwise
may still be at work: it is deleted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aos.model.agent import Agent, RuntimeMode
from aos.model.base import JsonObject
from aos.model.names import ANNOTATION_CLAIM, ANNOTATION_TASK_UID, LABEL_TASK, agent_service_account
from aos.model.task import Task
from aos.reconcile.children import owner_reference
from aos.reconcile.observed_pod import Claim, ObservedPod, PodOwner
from aos.reconcile.plan import PodChange
from aos.reconcile.pod import active_seconds
from aos.reconcile.settings import OperatorSettings


class Hold(StrEnum):
    """How the Task stands that a pod is claimed for."""

    FREE = "Free"
    """There is none, or it handed in its result."""
    HELD = "Held"
    """It is at work, or nobody can tell."""
    SPENT = "Spent"
    """It ended without a result, so that the pod may still be at work."""
    LOST = "Lost"
    """It is not known: it was deleted, or is too new for the cache."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A pod that was there before any Task, and how the Task stands that it is claimed for."""

    pod: ObservedPod
    hold: Hold


def is_service(agent: Agent) -> bool:
    """Whether the agent's Tasks are done by the pods of a Deployment."""
    return agent.spec.runtime.mode is RuntimeMode.SERVICE


def belongs_to(pod: ObservedPod, agent: Agent) -> bool:
    """Whether the operator had the pod made for the Tasks to come of this Agent.

    The account alone would not tell: a Deployment that somebody made before the admission policies were there gets its pods
    once the account is. Such a one can't know the uid of an Agent that came later.
    """
    account = agent_service_account(agent.metadata.name)
    return pod.service_account == account and pod.was_made_for(agent.metadata.uid)


def free_pods(spares: Sequence[Spare], agent: Agent, revision: str) -> tuple[ObservedPod, ...]:
    """Return the pods that can take a Task of ``revision`` now, the newest first: older ones go first when a Service is changed."""
    wanted = PodOwner.SERVICE if is_service(agent) else PodOwner.AGENT
    found = [spare.pod for spare in spares if _is_free(spare) and spare.pod.owner is wanted]
    fit = [pod for pod in found if _is_fit(pod, revision) and belongs_to(pod, agent)]
    return tuple(sorted(fit, key=_newest_first))


def _is_free(spare: Spare) -> bool:
    # A pod that was kept warm does one Task, whatever became of it.
    return spare.pod.claim is None if spare.pod.owner is PodOwner.AGENT else spare.hold is Hold.FREE


def _is_fit(pod: ObservedPod, revision: str) -> bool:
    return pod.is_ready and not pod.is_deleting and not pod.has_ended and pod.revision == revision


def _newest_first(pod: ObservedPod) -> tuple[float, str]:
    return -pod.created_at.timestamp() if pod.created_at else -math.inf, pod.name


def claimed(pod: ObservedPod, task: Task) -> PodChange:
    """Return the claim of a free pod for a Task."""
    claim = Claim(task.metadata.name, task.metadata.uid, pod.restarts)
    return PodChange(pod, {"metadata": {"annotations": {ANNOTATION_CLAIM: str(claim)}}})


def adopted(
    pod: ObservedPod, task: Task, settings: OperatorSettings, remaining_seconds: float, now: datetime
) -> PodChange:
    """Return how a pod that was kept warm becomes one of the Task that it is recorded for: it goes with it, and never before."""
    age_seconds = (now - pod.started_at).total_seconds() if pod.started_at else 0.0
    patch: JsonObject = {
        "metadata": {
            "labels": {LABEL_TASK: task.metadata.name},
            "annotations": {ANNOTATION_TASK_UID: task.metadata.uid},
            "ownerReferences": [owner_reference("Task", task.metadata)],
        },
        # It counts from the start of the pod.
        "spec": {
            "activeDeadlineSeconds": active_seconds(max(0.0, age_seconds) + remaining_seconds, settings)
        },
    }
    return PodChange(pod, patch)
