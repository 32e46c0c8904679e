"""Pods that do Tasks, as manifests: locked down, with no credential but their own token, and one address to talk to.

The one pod of a Task; pods that are kept started for Tasks to come; and the template of the pods of a Service.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.names import (
    ANNOTATION_AGENT_UID,
    ANNOTATION_GATEWAY_CA,
    ANNOTATION_TASK_UID,
    GROUP,
    LABEL_AGENT,
    LABEL_TASK,
    agent_service_account,
    task_pod,
)
from aos.model.pod_tasks import PodTasks
from aos.model.task import Task
from aos.reconcile.children import COMPONENT_AGENT, labels, owner_reference
from aos.reconcile.containers import containers
from aos.reconcile.settings import HostUsers, OperatorSettings, Platform
from aos.reconcile.waiting import MAX_WAIT_SECONDS

ANNOTATION_REVISION: Final = f"{GROUP}/revision"
USER_ID: Final = 65532
TERMINATION_GRACE_SECONDS: Final = 10


def pod(
    task: Task,
    agent: Agent,
    revision: str,
    settings: OperatorSettings,
    platform: Platform,
    remaining_seconds: float,
    *,
    can_own_users: bool = False,
) -> JsonObject:
    """Return the pod that does ``task``, which has ``remaining_seconds`` until its deadline; the rest as in `PodMaker`."""
    maker = PodMaker(agent, revision, settings, platform, can_own_users)
    return maker.of_task(task, remaining_seconds)


@dataclass(frozen=True, slots=True)
class PodMaker:
    """What every pod of an agent is made from.

    Attributes:
        agent: whose pods; its spec is what ``revision`` records.
        revision: name of the ControllerRevision that they run.
        settings: of the operator.
        platform: where the gateway is; nothing of it may be missing.
        can_own_users: whether their runtime can give them users of their own wherever they may land.
    """

    agent: Agent
    revision: str
    settings: OperatorSettings
    platform: Platform
    can_own_users: bool = False

    def of_task(self, task: Task, remaining_seconds: float) -> JsonObject:
        """Return the pod that does ``task``, which has ``remaining_seconds`` until its deadline."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": task_pod(task.metadata.name, task.metadata.uid),
                "namespace": task.metadata.namespace,
                "labels": {**self._labels(), LABEL_TASK: task.metadata.name},
                "annotations": {**self._annotations(), ANNOTATION_TASK_UID: task.metadata.uid},
                "ownerReferences": [owner_reference("Task", task.metadata)],
            },
            "spec": self._spec(PodTasks.ONE)
            | {
                "restartPolicy": "Never",
                "activeDeadlineSeconds": active_seconds(remaining_seconds, self.settings),
                "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
            },
        }

    def kept_warm(self, name: str) -> JsonObject:
        """Return a pod that waits for a Task; it has no deadline before it has one."""
        metadata = self.agent.metadata
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": metadata.namespace,
                "labels": self._labels(),
                "annotations": {**self._annotations(), ANNOTATION_AGENT_UID: metadata.uid},
                "ownerReferences": [owner_reference("Agent", metadata)],
            },
            "spec": self._spec(PodTasks.LATER)
            | {"restartPolicy": "Never", "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS},
        }

    def template(self, drain_seconds: int) -> JsonObject:
        """Return what the pods of a Service are made from; one that is to go has ``drain_seconds`` to end its Task."""
        return {
            "metadata": {
                "labels": self._labels(),
                "annotations": {**self._annotations(), ANNOTATION_AGENT_UID: self.agent.metadata.uid},
            },
            "spec": self._spec(PodTasks.MANY, drain_seconds)
            | {
                "restartPolicy": "Always",
                # An own image gets SIGTERM once the drain is over, and the helper after it.
                "terminationGracePeriodSeconds": drain_seconds
                + (TERMINATION_GRACE_SECONDS if self.agent.spec.runtime.image else 0),
            },
        }

    def _labels(self) -> dict[str, JsonValue]:
        return {**labels(COMPONENT_AGENT), LABEL_AGENT: self.agent.metadata.name}

    def _annotations(self) -> dict[str, JsonValue]:
        return {ANNOTATION_REVISION: self.revision, ANNOTATION_GATEWAY_CA: self.platform.authorities}

    def _spec(self, tasks: PodTasks, drain_seconds: int = 0) -> JsonObject:
        users = _users(self.settings.host_users, can_own_users=self.can_own_users)
        contents = containers(self.agent, self.settings, tasks, drain_seconds)
        return _spec(self.agent, self.settings, self.platform, contents) | users


def active_seconds(remaining_seconds: float, settings: OperatorSettings) -> int:
    """Return after how long the kubelet ends a pod whose Task has ``remaining_seconds``: a net for when the operator is down."""
    # It can't be raised later, and the deadline moves while people decide: how far is not known yet.
    return math.ceil(remaining_seconds) + MAX_WAIT_SECONDS + settings.deadline_grace_seconds


def remaining_seconds(deadline: datetime, now: datetime) -> float:
    """Return the time until ``deadline``, at least one second."""
    return max(1.0, (deadline - now).total_seconds())


def _spec(agent: Agent, settings: OperatorSettings, platform: Platform, contents: JsonObject) -> JsonObject:
    spec: JsonObject = {
        "serviceAccountName": agent_service_account(agent.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # A resolver that nobody runs: with the policy None the kubelet writes no other into the pod.
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "hostAliases": [{"ip": platform.gateway_address, "hostnames": [settings.gateway_host]}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **contents,
    }
    # The helper beside an own image comes from where the built-in runtime does.
    pull_secrets = dict.fromkeys((*agent.spec.runtime.image_pull_secrets, *settings.agent_image_pull_secrets))
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    if agent.spec.runtime.runtime_class_name:
        spec["runtimeClassName"] = agent.spec.runtime.runtime_class_name
    return spec


def _users(wanted: HostUsers, *, can_own_users: bool) -> JsonObject:
    has_own = wanted is HostUsers.OWN or (wanted is HostUsers.AUTO and can_own_users)
    return {"hostUsers": False} if has_own else {}
