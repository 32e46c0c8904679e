"""Who calls: one pod, working on one Task for one agent, under one policy."""

from dataclasses import dataclass

from aos.gateway.registry import Revision
from aos.model.task import Task
from aos.policy.effective import EffectivePolicy


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, valid for one request only.

    Attributes:
        namespace: of the agent, its Task and its pod.
        agent: name of the Agent.
        task: the open Task that the pod works on.
        pod_name: the pod's name.
        pod_uid: the pod's uid, which the token is bound to.
        revision: name of the ControllerRevision that the pod runs.
        policy: what the agent may do, compiled; it may allow nothing.
        ancestors: policies of the agents that led to the Task, first one first; what one of them may not, the caller
            may not for it. Empty for a Task that nobody handed over.
        running: what that revision holds; None while the gateway has not seen it.
        is_service: whether the pod does one Task after the other.
    """

    namespace: str
    agent: str
    task: Task
    pod_name: str
    pod_uid: str
    revision: str
    policy: EffectivePolicy
    ancestors: tuple[EffectivePolicy, ...] = ()
    running: Revision | None = None
    is_service: bool = False
