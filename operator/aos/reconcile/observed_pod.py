"""A pod and a node as far as a Task's fate depends on them, read from what the API server stores."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.alias_generators import to_camel

from aos.model.meta import ObjectMeta
from aos.model.names import LABEL_TASK
from aos.reconcile.conditions import shortened
from aos.reconcile.pod import ANNOTATION_REVISION, CONTAINER

_IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_NODE_LOST_REASONS: Final = frozenset(
    {"NodeLost", "DeletionByTaintManager", "DeletionByPodGC", "NodeShutdown", "Terminated", "Shutdown"}
)
_OUT_OF_MEMORY: Final = "OOMKilled"
_REPELLING: Final = frozenset({"NoSchedule", "NoExecute"})
_PASSING: Final = "node.kubernetes.io/"
"""Prefix of the taints that say how a node fares."""


class PodPhase(StrEnum):
    """Where a pod is in its life."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod.

    Attributes:
        name: its name.
        uid: which pod of that name.
        task: name of the Task that its label gives.
        owner_uid: uid of its controller; empty if it has none.
        service_account: the account that it runs under.
        revision: the ControllerRevision that it was made to run.
        phase: where it is in its life.
        is_deleting: whether its end was asked for.
        node: where it runs; empty before it is scheduled.
        scheduled_at: when it got its node.
        unschedulable: why no node can take it; empty otherwise.
        image_problem: why its image can't be had; empty otherwise.
        waiting: what else keeps its container from starting; empty otherwise.
        is_running: whether its container runs or ran.
        out_of_memory: whether its container was killed at its memory limit.
        overdue: whether the kubelet ended it at its own deadline.
        node_lost: why its node is taken for lost; empty otherwise.
        ending: what is known of a bad end, the agent's own last words included; empty otherwise.
    """

    name: str
    uid: str
    task: str = ""
    owner_uid: str = ""
    service_account: str = ""
    revision: str = ""
    phase: PodPhase = PodPhase.PENDING
    is_deleting: bool = False
    node: str = ""
    scheduled_at: datetime | None = None
    unschedulable: str = ""
    image_problem: str = ""
    waiting: str = ""
    is_running: bool = False
    out_of_memory: bool = False
    overdue: bool = False
    node_lost: str = ""
    ending: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether its containers will never run again."""
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """A node.

    Attributes:
        name: its name.
        is_ready: whether it is ready.
        since: when it became so, or ceased to be.
        takes_agents: whether the scheduler may put an agent's pod there: it runs Linux, is not cordoned, and has no taint but
            those that Kubernetes itself sets and lifts as the node fares.
        handlers: its runtime handlers by name, the default one under the empty name; empty if it does not tell.
        user_namespaces: those handlers that can give a pod users of its own.
    """

    name: str
    is_ready: bool
    since: datetime | None
    takes_agents: bool = False
    handlers: frozenset[str] = frozenset()
    user_namespaces: frozenset[str] = frozenset()


class _View(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class _Waiting(_View):
    reason: str = ""
    message: str = ""


class _Terminated(_View):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class _State(_View):
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None
    running: dict[str, JsonValue] | None = None


class _ContainerStatus(_View):
    name: str = ""
    state: _State = _State()


class _Condition(_View):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class _PodSpec(_View):
    node_name: str = ""
    service_account_name: str = ""


class _PodStatus(_View):
    phase: PodPhase = PodPhase.PENDING
    reason: str = ""
    message: str = ""
    conditions: tuple[_Condition, ...] = ()
    container_statuses: tuple[_ContainerStatus, ...] = ()


class _Pod(_View):
    metadata: ObjectMeta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


class _Taint(_View):
    key: str = ""
    effect: str = ""


class _NodeSpec(_View):
    unschedulable: bool = False
    taints: tuple[_Taint, ...] = ()


class _Features(_View):
    user_namespaces: bool = False


class _Handler(_View):
    name: str = ""
    features: _Features = _Features()


class _NodeInfo(_View):
    operating_system: str = ""


class _NodeStatus(_View):
    conditions: tuple[_Condition, ...] = ()
    node_info: _NodeInfo = _NodeInfo()
    runtime_handlers: tuple[_Handler, ...] = ()


class _Node(_View):
    metadata: ObjectMeta
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()


def observe_pod(raw: Mapping[str, JsonValue]) -> ObservedPod:
    """Return what counts of a pod.

    Raises:
        pydantic.ValidationError: it is no pod.
    """
    pod = _Pod.model_validate(raw)
    status = pod.status
    state = next((item.state for item in status.container_statuses if item.name == CONTAINER), _State())
    scheduled = _condition(status.conditions, "PodScheduled")
    owner = next((item for item in pod.metadata.owner_references if item.controller), None)
    return ObservedPod(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        task=pod.metadata.labels.get(LABEL_TASK, ""),
        owner_uid=owner.uid if owner else "",
        service_account=pod.spec.service_account_name,
        revision=pod.metadata.annotations.get(ANNOTATION_REVISION, ""),
        phase=status.phase,
        is_deleting=pod.metadata.deletion_timestamp is not None,
        node=pod.spec.node_name,
        scheduled_at=scheduled.last_transition_time if scheduled and scheduled.status == "True" else None,
        unschedulable=_unschedulable(scheduled),
        image_problem=_waiting(state, images=True),
        waiting=_waiting(state, images=False),
        is_running=state.running is not None or state.terminated is not None,
        out_of_memory=state.terminated is not None and state.terminated.reason == _OUT_OF_MEMORY,
        overdue=status.reason == "DeadlineExceeded",
        node_lost=_node_lost(status),
        ending=_ending(status, state),
    )


def observe_node(raw: Mapping[str, JsonValue]) -> ObservedNode:
    """Return what counts of a node.

    Raises:
        pydantic.ValidationError: it is no node.
    """
    node = _Node.model_validate(raw)
    ready = _condition(node.status.conditions, "Ready")
    handlers = node.status.runtime_handlers
    return ObservedNode(
        name=node.metadata.name,
        is_ready=ready is not None and ready.status == "True",
        since=ready.last_transition_time if ready else None,
        takes_agents=_takes_agents(node),
        handlers=frozenset(item.name for item in handlers),
        user_namespaces=frozenset(item.name for item in handlers if item.features.user_namespaces),
    )


def _takes_agents(node: _Node) -> bool:
    if node.spec.unschedulable or node.status.node_info.operating_system != "linux":
        return False
    # Agents' pods tolerate nothing. A node that is only not ready, or short of something, may take pods any moment.
    return not any(
        taint.effect in _REPELLING and not taint.key.startswith(_PASSING) for taint in node.spec.taints
    )


def _condition(conditions: tuple[_Condition, ...], type_: str) -> _Condition | None:
    return next((item for item in conditions if item.type == type_), None)


def _unschedulable(scheduled: _Condition | None) -> str:
    if scheduled is None or scheduled.status != "False" or scheduled.reason == "SchedulingGated":
        return ""
    return _joined(scheduled.reason, scheduled.message)


def _waiting(state: _State, *, images: bool) -> str:
    waiting = state.waiting
    if waiting is None or (waiting.reason in _IMAGE_REASONS) is not images:
        return ""
    return (
        ""
        if waiting.reason in ("ContainerCreating", "PodInitializing")
        else _joined(waiting.reason, waiting.message)
    )


def _node_lost(status: _PodStatus) -> str:
    if status.phase is PodPhase.UNKNOWN:
        return "the state of the pod is unknown: its node can't be reached"
    if status.reason in _NODE_LOST_REASONS:
        return _joined(status.reason, status.message)
    disrupted = _condition(status.conditions, "DisruptionTarget")
    if disrupted and disrupted.status == "True" and disrupted.reason in _NODE_LOST_REASONS:
        return _joined(disrupted.reason, disrupted.message)
    return ""


def _ending(status: _PodStatus, state: _State) -> str:
    if status.phase is not PodPhase.FAILED:
        return ""
    parts = [_joined(status.reason, status.message)]
    if ended := state.terminated:
        parts.append(f"exit code {ended.exit_code}")
        parts.append(_joined(ended.reason, ended.message.strip()))
    return shortened("; ".join(part for part in parts if part) or "the kubelet gave no reason")


def _joined(reason: str, message: str) -> str:
    return shortened(": ".join(part for part in (reason, message) if part))
