"""What a change of an object comes to for those who decide by it. Pure."""

from collections.abc import Iterable, Mapping

from aos.gateway.facts import UnreadablePolicy
from aos.gateway.table import Change
from aos.model.agent import Agent
from aos.model.cluster_policy import ClusterPolicy
from aos.model.model import Model
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool


def is_same_spec(
    change: Change[Agent]
    | Change[Tool]
    | Change[Model]
    | Change[Policy | UnreadablePolicy]
    | Change[ClusterPolicy | UnreadablePolicy],
) -> bool:
    """Whether only status or metadata can have changed; the API server counts every other change."""
    old, new = change.old, change.new
    if old is None or new is None or isinstance(old, UnreadablePolicy) or isinstance(new, UnreadablePolicy):
        return False
    return old.metadata.uid == new.metadata.uid and old.metadata.generation == new.metadata.generation


def labels_of(agent: Agent | None) -> Mapping[str, str]:
    """Return the agent's labels; none of an agent that is not there."""
    return agent.metadata.labels if agent else {}


def pod_of(task: Task | None) -> str:
    """Return the uid of the pod that the Task names; empty if it names none."""
    return task.status.pod.uid if task is not None and task.status.pod is not None else ""


def unreadable_names(policies: Iterable[Policy | ClusterPolicy | UnreadablePolicy]) -> list[str]:
    """Return the names of the policies that could not be parsed."""
    return [policy.name for policy in policies if isinstance(policy, UnreadablePolicy)]
