"""Short ways to write what reconciles observe."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.model import Model
from aos.model.names import task_pod
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.reconcile.agent import GatewayReport, ObservedAgent
from aos.reconcile.fingerprint import fingerprint
from aos.reconcile.observed_pod import ObservedNode, ObservedPod, PodOwner, PodPhase
from aos.reconcile.plan import ChildKey, ObservedChild, Plan
from aos.reconcile.revision import revision_of
from aos.reconcile.settings import OperatorSettings, Platform
from aos.reconcile.task_step import ObservedTask

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CREATED = NOW - timedelta(seconds=10)
SETTINGS = OperatorSettings(namespace="aos-system", agent_image="registry.example/aos:1")
PLATFORM = Platform(gateway_address="10.96.0.7", authorities="-----BEGIN CERTIFICATE-----\n...\n")
POD_UID = "pod-uid"
Raw = Mapping[str, JsonValue]


def metadata(name: str, more: Raw | None = None) -> JsonObject:
    return {
        "name": name,
        "namespace": "sales",
        "uid": f"{name}-uid",
        "generation": 1,
        "resourceVersion": "100",
        "creationTimestamp": "2026-01-02T03:03:55Z",
        **(more or {}),
    }


def agent(spec: Raw | None = None, *, status: Raw | None = None, meta: Raw | None = None) -> Agent:
    said: JsonObject = {"owner": {"team": "revops"}, "instructions": "Enrich the lead."}
    raw: JsonObject = {
        "metadata": metadata("enricher", {"labels": {"role": "research"}, **(meta or {})}),
        "spec": {name: value for name, value in (said | dict(spec or {})).items() if value is not None},
    }
    return Agent.parse(raw | {"status": dict(status)} if status else raw)


def tool(auth: str = "", namespace: str = "sales", status: Raw | None = None) -> Tool:
    spec: JsonObject = {
        "type": "MCP",
        "url": "http://crm/mcp",
        "actions": [
            {"name": "get_contact", "access": "Read", "risk": "Low"},
            {"name": "update_contact", "access": "Write", "risk": "Medium"},
        ],
    }
    if auth:
        spec["auth"] = {"type": "Bearer", "secretRef": {"name": auth, "key": "token"}}
    raw: JsonObject = {"metadata": metadata("crm", {"namespace": namespace}), "spec": spec}
    return Tool.parse(raw | {"status": dict(status)} if status else raw)


def model(auth: str = "", **parts: JsonValue) -> Model:
    spec: JsonObject = {"url": "http://model/v1", "model": "scripted", **parts}
    if auth:
        spec["auth"] = {"type": "Bearer", "secretRef": {"name": auth, "key": "key"}}
    return Model.parse({"metadata": metadata("default"), "spec": spec})


def policy(
    when: str = "",
    labels: Mapping[str, str] | None = None,
    status: Raw | None = None,
    **parts: JsonValue,
) -> Policy:
    rule: JsonObject = {"name": "read", "effect": "Allow", "tools": [{"name": "crm", "access": ["Read"]}]}
    if when:
        rule["when"] = when
    raw: JsonObject = {
        "metadata": metadata("baseline"),
        "spec": {
            "agents": {"matchLabels": dict(labels if labels is not None else {"role": "research"})},
            "rules": [rule],
            **parts,
        },
    }
    return Policy.parse(raw | {"status": dict(status)} if status else raw)


def cluster_policy(name: str = "ceiling", **parts: JsonValue) -> ClusterPolicy:
    """Return a ClusterPolicy that allows everything wherever it holds, unless ``parts`` of its spec say otherwise."""
    allow: JsonObject = {"name": "all", "effect": "Allow", "tools": [{"name": "*"}]}
    spec: JsonObject = {"namespaces": {}, "rules": [allow], **parts}
    said = {key: value for key, value in metadata(name).items() if key != "namespace"}
    return ClusterPolicy.parse({"metadata": said, "spec": spec})


def condition(type_: str, status: str, reason: str, generation: int = 1, message: str = "") -> JsonObject:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-02T03:00:00Z",
    }


def present(plan: Plan) -> dict[ChildKey, ObservedChild]:
    """Return the plan's children as if they had been applied."""
    return {
        ChildKey.of(child): ObservedChild(f"uid-{number}", fingerprint(child))
        for number, child in enumerate(plan.apply)
    }


def conditions_of(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition that the plan writes."""
    if plan.status is None:
        return {}
    found = plan.status["conditions"]
    assert isinstance(found, list)
    return {
        str(item["type"]): (str(item["status"]), str(item["reason"]))
        for item in found
        if isinstance(item, dict)
    }


def message_of(plan: Plan, type_: str) -> str:
    """Return the message of a condition that the plan writes."""
    assert plan.status is not None
    found = plan.status["conditions"]
    assert isinstance(found, list)
    return next(str(item["message"]) for item in found if isinstance(item, dict) and item["type"] == type_)


def observed_agent(**changes: object) -> ObservedAgent:
    base = ObservedAgent(agent=agent(), policies=[policy()], tools={"crm": tool()})
    return replace(base, **changes)  # type: ignore[arg-type]


def report(digest: str, replica: str = "gateway-0", problem: str = "") -> GatewayReport:
    return GatewayReport(replica, digest=digest, problem=problem)


def ready_agent(spec: Raw | None = None) -> Agent:
    """Return an agent that takes Tasks."""
    revision = revision_of(agent(spec), "Enrich the lead.", SETTINGS).name
    status: JsonObject = {
        "observedGeneration": 1,
        "revision": revision,
        "conditions": [condition("Ready", "True", "Ready")],
    }
    return agent(spec, status=status)


def task(
    *, status: Raw | None = None, meta: Raw | None = None, deadline: str = "10m", spec: Raw | None = None
) -> Task:
    said: JsonObject = {
        "agentRef": {"name": "enricher"},
        "input": {"lead": "Ada"},
        "deadline": deadline,
        **(spec or {}),
    }
    raw: JsonObject = {"metadata": metadata("t1", meta), "spec": said}
    return Task.parse(raw | {"status": dict(status)} if status else raw)


def pod_name() -> str:
    return task_pod("t1", "t1-uid")


def pod(phase: str = "Pending", **more: object) -> ObservedPod:
    base = ObservedPod(
        name=pod_name(),
        uid=POD_UID,
        task="t1",
        owner=PodOwner.TASK,
        owner_uid="t1-uid",
        service_account="aos-agent-enricher",
        revision=ready_agent().status.revision,
        phase=PodPhase(phase),
    )
    return replace(base, **more)  # type: ignore[arg-type]


def node(*, is_ready: bool = True, since: datetime = NOW) -> ObservedNode:
    return ObservedNode(name="node-1", is_ready=is_ready, since=since)


def running_status(started: str = "Starting", holds: str = "False", **more: JsonValue) -> JsonObject:
    """Return the status of a Task whose pod is recorded."""
    return {
        "observedGeneration": 1,
        "revision": ready_agent().status.revision,
        "pod": {"name": pod_name(), "uid": POD_UID},
        "startTime": "2026-01-02T03:04:00Z",
        "conditions": [
            condition("Started", holds, started),
            condition("Succeeded", "Unknown", "Running" if holds == "True" else "Pending"),
        ],
        **more,
    }


def observed_task(
    item: Task | None = None, pods: Sequence[ObservedPod] = (), **changes: object
) -> ObservedTask:
    performer = ready_agent()
    base = ObservedTask(
        task=item or task(),
        agent=performer,
        revisions=frozenset({performer.status.revision}),
        pods=pods,
        platform=PLATFORM,
    )
    return replace(base, **changes)  # type: ignore[arg-type]
