"""The Deployment of a Service: pods that stay, of the agent's current revision, and when they are ready for Tasks."""

import math
from collections.abc import Sequence
from typing import Final

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.conditions import Reason
from aos.model.duration import duration_seconds
from aos.model.names import ANNOTATION_CHILD_DIGEST, LABEL_AGENT, LABEL_COMPONENT, agent_deployment
from aos.reconcile.children import COMPONENT_AGENT, agent_metadata
from aos.reconcile.claim import Spare, belongs_to
from aos.reconcile.conditions import Verdict, no, yes
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.pod import PodMaker

DEFAULT_REPLICAS: Final = 1
DEFAULT_DRAIN: Final = "30s"
_OLD_REPLICA_SETS: Final = 1


def replicas_of(agent: Agent) -> int:
    """Return how many pods the Service is to have."""
    if agent.spec.suspend:
        return 0
    replicas = agent.spec.runtime.replicas
    return DEFAULT_REPLICAS if replicas is None else replicas


def drain_seconds(agent: Agent) -> int:
    """Return how long a pod that is to go may still work on its Task."""
    return math.ceil(duration_seconds(agent.spec.runtime.drain or DEFAULT_DRAIN))


def deployment(maker: PodMaker) -> JsonObject:
    """Return the Deployment of a Service; at a change a new pod is ready before an old one goes."""
    agent = maker.agent
    spec: JsonObject = {
        "replicas": replicas_of(agent),
        "revisionHistoryLimit": _OLD_REPLICA_SETS,
        "selector": {
            "matchLabels": {LABEL_AGENT: agent.metadata.name, LABEL_COMPONENT: COMPONENT_AGENT},
        },
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": maker.template(drain_seconds(agent)),
    }
    metadata = agent_metadata(agent.metadata, agent_deployment(agent.metadata.name))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        # The API server fills in much; nobody but the operator may change what the digest is of.
        "metadata": {**metadata, "annotations": {ANNOTATION_CHILD_DIGEST: json_digest(spec)}},
        "spec": spec,
    }


def service_ready(agent: Agent, revision: str, spares: Sequence[Spare]) -> Verdict:
    """Return whether a pod of the Service is there for Tasks of ``revision``."""
    own = [spare.pod for spare in spares if spare.pod.is_service and belongs_to(spare.pod, agent)]
    current = [pod for pod in own if pod.revision == revision and not pod.is_deleting]
    count = sum(pod.is_ready for pod in current)
    wanted = replicas_of(agent)
    told = f"{count} of {wanted} pod{'s' if wanted != 1 else ''} of revision {revision}"
    if count:
        return yes(Reason.READY, f"ready: {told}")
    if not wanted:
        return no(Reason.PROVISIONING, "spec.runtime.replicas is 0, so that no pod does its Tasks")
    problem = next((said for said in map(_problem, current) if said), "")
    return no(Reason.PROVISIONING, f"ready: {told}" + (f": {problem}" if problem else ""))


def _problem(pod: ObservedPod) -> str:
    return pod.unschedulable or pod.image_problem or pod.waiting or pod.last_ending
