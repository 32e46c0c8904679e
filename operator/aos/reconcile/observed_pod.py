"""A pod and a node as far as a Task's fate depends on them, read from what the API server stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from aos.model.meta import ObjectMeta
from aos.model.names import (
    ANNOTATION_AGENT_UID,
    ANNOTATION_CHILD_DIGEST,
    ANNOTATION_CLAIM,
    ANNOTATION_TASK_UID,
    API_VERSION,
    LABEL_AGENT,
    LABEL_TASK,
)
from aos.model.task import MAX_IMAGE_ID_LENGTH
from aos.reconcile.conditions import shortened
from aos.reconcile.containers import CONTAINER
from aos.reconcile.pod import ANNOTATION_REVISION

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
_CREATING: Final = frozenset({"ContainerCreating", "PodInitializing"})
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


class PodOwner(StrEnum):
    """What controls an agent's pod."""

    TASK = "Task"
    """The Task that it does; it does no other."""
    AGENT = "Agent"
    """None yet: it is kept started for a Task to come."""
    SERVICE = "ReplicaSet"
    """The Deployment of a Service: it does one Task after the other."""
    OTHER = ""


_OWNERS: Final = {
    (API_VERSION, "Task"): PodOwner.TASK,
    (API_VERSION, "Agent"): PodOwner.AGENT,
    ("apps/v1", "ReplicaSet"): PodOwner.SERVICE,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The Task that a pod which was there before is to do, as the operator wrote it on the pod.

    Attributes:
        task: its name.
        uid: which Task of that name.
        restarts: how often the pod's container had been started anew by then.
    """

    task: str
    uid: str
    restarts: int = 0

    def __str__(self) -> str:
        """Return the annotation's text."""
        return f"{self.task}/{self.uid}/{self.restarts}"

    @classmethod
    def parse(cls, text: str) -> "Claim | None":
        """Return the claim of an annotation; None if it holds none."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts) or not parts[2].isdecimal():  # noqa: PLR2004
            return None
        return cls(parts[0], parts[1], int(parts[2]))


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod.

    Attributes:
        name: its name.
        uid: which pod of that name.
        version: its resource version; two that differ in nothing else are the same.
        digest: of what it was made from, if it was made for Tasks to come; empty otherwise.
        agent: name of the agent that its label gives.
        agent_uid: uid of the Agent that it was made for before it had a Task; empty if it was made for a Task.
        task: name of the Task that its label gives.
        task_uid: uid of the Task that it belongs to; empty if it belongs to none.
        claim: the Task that it is to do or did last, if it was there before; None if there is none.
        owner: what kind of object controls it.
        owner_uid: uid of its controller; empty if it has none.
        service_account: the account that it runs under.
        revision: the ControllerRevision that it was made to run.
        phase: where it is in its life.
        created_at: when it was made.
        started_at: when the kubelet took it on.
        is_ready: whether it is ready to work.
        is_deleting: whether its end was asked for.
        node: where it runs; empty before it is scheduled.
        scheduled_at: when it got its node.
        unschedulable: why no node can take it; empty otherwise.
        image_problem: which of its containers has an image that can't be had, and why; empty otherwise.
        waiting: which of its containers does not start, or keeps ending, for another reason, and which; empty otherwise.
        is_running: whether its container runs or ran.
        image_id: what its container runs, as its node says it, with the digest; empty before the node has the image.
        restarts: how often its container was started anew.
        last_ending: how its container ended before it was last started anew; empty if it was not.
        last_exit_code: its exit code then.
        last_out_of_memory: whether it was killed at its memory limit then.
        out_of_memory: whether its container was killed at its memory limit.
        overdue: whether the kubelet ended it at its own deadline.
        node_lost: why its node is taken for lost; empty otherwise.
        ending: what is known of a bad end, the agent's own last words included; empty otherwise.
    """

    name: str
    uid: str
    version: str = field(default="", compare=False)
    digest: str = ""
    agent: str = ""
    agent_uid: str = ""
    task: str = ""
    task_uid: str = ""
    claim: Claim | None = None
    owner: PodOwner = PodOwner.OTHER
    owner_uid: str = ""
    service_account: str = ""
    revision: str = ""
    phase: PodPhase = PodPhase.PENDING
    created_at: datetime | None = None
    started_at: datetime | None = None
    is_ready: bool = False
    is_deleting: bool = False
    node: str = ""
    scheduled_at: datetime | None = None
    unschedulable: str = ""
    image_problem: str = ""
    waiting: str = ""
    is_running: bool = False
    image_id: str = ""
    restarts: int = 0
    last_ending: str = ""
    last_exit_code: int = 0
    last_out_of_memory: bool = False
    out_of_memory: bool = False
    overdue: bool = False
    node_lost: str = ""
    ending: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether its containers will never run again."""
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)

    @property
    def is_service(self) -> bool:
        """Whether it is of a Service."""
        return self.owner is PodOwner.SERVICE

    @property
    def done_by(self) -> str:
        """Name of the Task that it belongs to or is claimed for; empty if there is none."""
        return self.claim.task if self.claim is not None else self.task

    def is_for(self, task_uid: str) -> bool:
        """Whether it is the pod of the Task with this uid: made for it, or claimed for it."""
        if self.claim is not None:
            return self.claim.uid == task_uid
        return self.owner is PodOwner.TASK and self.owner_uid == task_uid

    def was_made_for(self, agent_uid: str) -> bool:
        """Whether it was made for the Tasks to come of the Agent with this uid, which nobody knew before that Agent was there."""
        return self.owner is not PodOwner.OTHER and self.agent_uid == agent_uid != ""


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
    started: bool | None = None
    image_id: str = Field(default="", alias="imageID")
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


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
    start_time: datetime | None = None
    conditions: tuple[_Condition, ...] = ()
    init_container_statuses: tuple[_ContainerStatus, ...] = ()
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
    metadata, status = pod.metadata, pod.status
    container = next(
        (item for item in status.container_statuses if item.name == CONTAINER), _ContainerStatus()
    )
    state, last = container.state, container.last_state.terminated
    scheduled, ready = _condition(status.conditions, "PodScheduled"), _condition(status.conditions, "Ready")
    owner = next((item for item in metadata.owner_references if item.controller), None)
    return ObservedPod(
        name=metadata.name,
        uid=metadata.uid,
        version=metadata.resource_version,
        digest=metadata.annotations.get(ANNOTATION_CHILD_DIGEST, ""),
        agent=metadata.labels.get(LABEL_AGENT, ""),
        agent_uid=metadata.annotations.get(ANNOTATION_AGENT_UID, ""),
        task=metadata.labels.get(LABEL_TASK, ""),
        task_uid=metadata.annotations.get(ANNOTATION_TASK_UID, ""),
        claim=Claim.parse(metadata.annotations.get(ANNOTATION_CLAIM, "")),
        owner=_OWNERS.get((owner.api_version, owner.kind), PodOwner.OTHER) if owner else PodOwner.OTHER,
        owner_uid=owner.uid if owner else "",
        service_account=pod.spec.service_account_name,
        revision=metadata.annotations.get(ANNOTATION_REVISION, ""),
        phase=status.phase,
        created_at=metadata.creation_timestamp,
        started_at=status.start_time,
        is_ready=ready is not None and ready.status == "True",
        is_deleting=metadata.deletion_timestamp is not None,
        node=pod.spec.node_name,
        scheduled_at=scheduled.last_transition_time if scheduled and scheduled.status == "True" else None,
        unschedulable=_unschedulable(scheduled),
        image_problem=_hindrance(status, images=True),
        waiting=_hindrance(status, images=False),
        is_running=state.running is not None or state.terminated is not None,
        image_id=container.image_id[:MAX_IMAGE_ID_LENGTH],
        restarts=container.restart_count,
        last_ending=_told(last) if last else "",
        last_exit_code=last.exit_code if last else 0,
        last_out_of_memory=last is not None and last.reason == _OUT_OF_MEMORY,
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


def _hindrance(status: _PodStatus, *, images: bool) -> str:
    """Return what keeps the first container that something keeps from running; one that starts first counts first."""
    statuses = (*status.init_container_statuses, *status.container_statuses)
    told = ((item.name, _waiting(item, images=images)) for item in statuses)
    return next((shortened(f"container {name}: {said}") for name, said in told if said), "")


def _waiting(container: _ContainerStatus, *, images: bool) -> str:
    waiting, last = container.state.waiting, container.last_state.terminated
    # Not its last words: they may hold what the agent worked on, and this is told in events too.
    ended = f"exit code {last.exit_code}, {last.reason}" if last else ""
    if waiting is None:
        # Between two attempts of a container that never comes up, it runs for a moment.
        return f"started anew: {ended}" if ended and container.started is False and not images else ""
    if waiting.reason in _CREATING or (waiting.reason in _IMAGE_REASONS) is not images:
        return ""
    said = _joined(waiting.reason, waiting.message)
    return f"{said} ({ended})" if ended and not images else said


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
        parts.append(_told(ended))
    return shortened("; ".join(part for part in parts if part) or "the kubelet gave no reason")


def _told(ended: _Terminated) -> str:
    return "; ".join(
        part
        for part in (f"exit code {ended.exit_code}", _joined(ended.reason, ended.message.strip()))
        if part
    )


def _joined(reason: str, message: str) -> str:
    return shortened(": ".join(part for part in (reason, message) if part))
