"""What the gateway keeps of objects that are not AOS's own: only what its checks look at."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from aos.gateway.registry import Revision
from aos.kube.objects import child, children, key_of, metadata_of, text, uid_of
from aos.model.agent import AgentSpec
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.cluster_policy import ClusterPolicy
from aos.model.names import ANNOTATION_TASK_UID, LABEL_AGENT, LABEL_TASK
from aos.model.policy import Policy
from aos.model.task import Task


class PodOwner(StrEnum):
    """What controls an agent's pod, and with that how many Tasks it does."""

    TASK = "Task"
    """The one Task that it was made for, or that claimed it."""
    AGENT = "Agent"
    """None yet: it is kept started for a Task to come."""
    SERVICE = "ReplicaSet"
    """One Task after the other."""
    NOBODY = ""
    """Nothing by which AOS makes pods."""


_OWNERS: Final = {
    ("aos.dev", "Task"): PodOwner.TASK,
    ("aos.dev", "Agent"): PodOwner.AGENT,
    ("apps", "ReplicaSet"): PodOwner.SERVICE,
}


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod that claims to be an agent's.

    Attributes:
        uid: of the pod.
        agent: its label ``aos.dev/agent``.
        task: its label ``aos.dev/task``.
        owner: what controls it.
        owner_uid: uid of what controls it; empty if nothing of AOS does.
        said_task_uid: its annotation ``aos.dev/task-uid``; empty if it has none.
        service_account: name of the ServiceAccount that it runs as.
        addresses: its IP addresses; empty until the node reports them.
        host_network: whether it shares its node's addresses.
        phase: of its status.
        is_deleted: whether its deletion was asked for.
    """

    uid: str
    agent: str
    task: str
    owner: PodOwner
    owner_uid: str
    said_task_uid: str
    service_account: str
    addresses: frozenset[str]
    host_network: bool
    phase: str
    is_deleted: bool

    @classmethod
    def parse(cls, raw: JsonObject) -> "PodFacts":
        """Return the facts of a pod as the API server sends it."""
        metadata, spec, status = metadata_of(raw), child(raw, "spec"), child(raw, "status")
        labels = child(metadata, "labels")
        owner, owner_uid = _controller(metadata)
        addresses = {text(item, "ip") for item in children(status, "podIPs")} | {text(status, "podIP")}
        return cls(
            uid=uid_of(raw),
            agent=text(labels, LABEL_AGENT),
            task=text(labels, LABEL_TASK),
            owner=owner,
            owner_uid=owner_uid,
            said_task_uid=text(child(metadata, "annotations"), ANNOTATION_TASK_UID),
            service_account=text(spec, "serviceAccountName"),
            addresses=frozenset(addresses - {""}),
            host_network=spec.get("hostNetwork") is True,
            phase=text(status, "phase"),
            is_deleted="deletionTimestamp" in metadata,
        )

    @property
    def is_gone(self) -> bool:
        """Whether it may do nothing more: a pod of a Service that is to go still ends the Task that it has."""
        return self.is_deleted and self.owner is not PodOwner.SERVICE

    def can_be_of(self, task_uid: str) -> bool:
        """Whether nothing that the pod itself says speaks against the Task with ``task_uid`` being its own."""
        if self.owner is PodOwner.NOBODY or (self.owner is PodOwner.TASK and self.owner_uid != task_uid):
            return False
        return self.said_task_uid in ("", task_uid)


def _controller(metadata: JsonObject) -> tuple[PodOwner, str]:
    for reference in children(metadata, "ownerReferences"):
        if reference.get("controller") is True:
            group = text(reference, "apiVersion").partition("/")[0]
            owner = _OWNERS.get((group, text(reference, "kind")), PodOwner.NOBODY)
            return owner, text(reference, "uid") if owner is not PodOwner.NOBODY else ""
    return PodOwner.NOBODY, ""


@dataclass(frozen=True, slots=True)
class SecretData:
    """What a Secret holds; it is never printed."""

    values: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, raw: JsonObject) -> "SecretData":
        """Return a Secret's decoded values; one that is not base64 is left out."""
        values: dict[str, bytes] = {}
        for name, encoded in child(raw, "data").items():
            if isinstance(encoded, str):
                try:
                    values[name] = base64.b64decode(encoded, validate=True)
                except binascii.Error:
                    continue
        return cls(values)

    def credential(self, key: str) -> str | None:
        """Return the value as something that can stand in a header; None if it is missing or can't."""
        content = self.values.get(key, b"").rstrip(b"\r\n")
        return content.decode("ascii") if _VISIBLE.fullmatch(content) else None


_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class UnreadablePolicy:
    """A Policy or ClusterPolicy that could not be parsed. It may select any agent within its reach and forbid anything."""

    name: str
    error: str


def parse_policy(raw: JsonObject) -> Policy | UnreadablePolicy:
    """Return the Policy, or what stands for it if it can't be read: a Policy is never just absent."""
    try:
        return Policy.parse(raw)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its Deny rules must not vanish
        return UnreadablePolicy(name=key_of(raw).name, error=str(error))


def parse_cluster_policy(raw: JsonObject) -> ClusterPolicy | UnreadablePolicy:
    """Return the ClusterPolicy, or what stands for it if it can't be read; that bears on every agent of the cluster."""
    try:
        return ClusterPolicy.parse(raw)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its Deny rules must not vanish
        return UnreadablePolicy(name=key_of(raw).name, error=str(error))


def parse_approval_request(raw: JsonObject) -> ApprovalRequest:
    """Return the request without what only people read, which may be long and is never decided by here.

    There may be many that have ended, and of those it is enough to know that: what they said is read from the API server
    when a call asks for it. A gate is the operator's alone.

    Raises:
        pydantic.ValidationError: it can't be read.
    """
    spec = {name: value for name, value in child(raw, "spec").items() if name != "preview"}
    status = {name: value for name, value in child(raw, "status").items() if name != "notices"}
    request = ApprovalRequest.parse({**raw, "spec": {**spec, "arguments": ""}, "status": status})
    kind, state = request.spec.type, request.status.state
    if kind is RequestType.REVIEW or (kind is RequestType.CALL and state in _OPEN):
        return request
    return request.model_copy(
        update={
            "metadata": request.metadata.model_copy(update={"labels": {}, "owner_references": ()}),
            "spec": request.spec.model_copy(update={"summary": "", "quorums": (), "decisions": ()}),
            "status": request.status.model_copy(update={"conditions": (), "counted": (), "quorums": ()}),
        }
    )


_OPEN: Final = frozenset({RequestState.PENDING, RequestState.APPROVED})


def parse_task(raw: JsonObject) -> Task:
    """Return the Task; of one that has ended without what it was given and gave, which may be large and is kept for long.

    What was handed over keeps it: whoever handed it over asks for it here.

    Raises:
        pydantic.ValidationError: it can't be read.
    """
    task = Task.parse(raw)
    if task.open or task.parent is not None:
        return task
    result = task.status.result
    status = task.status.model_copy(
        update={"result": result.model_copy(update={"output": None}) if result is not None else None}
    )
    return task.model_copy(update={"spec": task.spec.model_copy(update={"input": {}}), "status": status})


def parse_revision(raw: JsonObject) -> Revision:
    """Return the agent's revision that a ControllerRevision holds.

    Raises:
        pydantic.ValidationError: its data is not an agent's.
        ValueError: it holds a number that JSON can't carry exactly.
    """
    data = child(raw, "data")
    return Revision(
        name=key_of(raw).name,
        instructions=text(data, "instructions"),
        spec=AgentSpec.model_validate(child(data, "spec")),
        digest=json_digest(data),
        content=data,
    )


def parse_labels(raw: JsonObject) -> Mapping[str, str]:
    """Return an object's labels."""
    labels: dict[str, JsonValue] = child(metadata_of(raw), "labels")
    return {name: value for name, value in labels.items() if isinstance(value, str)}
