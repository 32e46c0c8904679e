"""Whether a call that waited may still be made for its caller: what it was judged by must be what there is now. No I/O."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from aos.gateway.caller import Caller
from aos.gateway.facts import PodFacts
from aos.gateway.identity import deadline_of
from aos.model.task import Task
from aos.policy.effective import EffectivePolicy


class Cluster(Protocol):
    """What is asked of the registry."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do, or None."""

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """Return the agent pod, or None."""

    def is_closed(self, uid: str) -> bool:
        """Whether this gateway took a result for the Task with ``uid``."""


def changed_since(caller: Caller, cluster: Cluster, now: datetime) -> str:
    """Return what is not any more as it was when the caller was let in; empty if all is."""
    task = cluster.task(caller.namespace, caller.task.metadata.name)
    if task is None or not _works(caller.task.metadata.uid, task, cluster):
        return "the Task has ended"
    if now.timestamp() > deadline_of(task):
        return "the Task is past its deadline"
    pod = cluster.pod(caller.namespace, caller.pod_name)
    if pod is None or pod.uid != caller.pod_uid or pod.is_gone:
        return "the pod that made the call has ended"
    for name, policy in _judges(caller):
        found = cluster.policy(caller.namespace, name)
        if found is None or found.digest != policy.digest or found.agent.spec.suspend:
            return f"the policy of agent {name} is another one"
    for ancestor in caller.task.spec.lineage:
        above = cluster.task(caller.namespace, ancestor.task)
        if above is None or not _works(ancestor.task_uid, above, cluster):
            return f"Task {ancestor.task}, which it was handed over from, has ended"
    return ""


def _works(uid: str, task: Task, cluster: Cluster) -> bool:
    return task.metadata.uid == uid and task.open and not cluster.is_closed(uid)


def _judges(caller: Caller) -> Iterable[tuple[str, EffectivePolicy]]:
    """Yield the agents by whose policies the call was judged."""
    yield caller.agent, caller.policy
    for policy in caller.ancestors:
        yield policy.agent.metadata.name, policy
