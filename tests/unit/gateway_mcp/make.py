"""Short ways to write what the MCP part of the gateway works on, and stand-ins for what it asks and tells."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.journal import Entry, Journal
from aos.gateway.registry import Listener, Revision
from aos.gateway.reporter import Availability
from aos.gateway.settings import GatewaySettings
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.meta import KeyReference, ObjectKey
from aos.model.model import Model
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import ObservedAction, Tool
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy

NAMESPACE = "sales"
CREDENTIAL = "tool-credential-5d41402a"
SETTINGS = GatewaySettings(namespace="aos-system", upstream_timeout_seconds=20)

READ_ALL: JsonObject = {"name": "reads", "effect": "Allow", "tools": [{"name": "*", "access": ["Read"]}]}
ALLOW_ALL: JsonObject = {"name": "all", "effect": "Allow", "tools": [{"name": "*"}]}


def tool(
    url: str = "http://crm.invalid/mcp",
    actions: Mapping[str, str] | None = None,
    *,
    name: str = "crm",
    credential_in: str | None = "crm-credentials",
    pins: Mapping[str, str] | None = None,
    uid: str = "",
    generation: int = 1,
) -> Tool:
    spec: JsonObject = {
        "type": "MCP",
        "url": url,
        "actions": [
            {
                "name": action,
                "access": access,
                "risk": "Low",
                **({"definitionDigest": pins[action]} if pins and action in pins else {}),
            }
            for action, access in (actions or {"get_contact": "Read", "update_contact": "Write"}).items()
        ],
    }
    if credential_in is not None:
        spec["auth"] = {"secretRef": {"name": credential_in, "key": "token"}}
    return Tool.parse(
        {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": uid or f"uid-{name}",
                "generation": generation,
            },
            "spec": spec,
        }
    )


def agent(tools: Sequence[str] = ("crm",), actions: Sequence[str] = ("*",), **spec: JsonValue) -> Agent:
    return Agent.parse(
        {
            "metadata": {"name": "enricher", "namespace": NAMESPACE, "labels": {"territory": "emea"}},
            "spec": {
                "owner": {"team": "revops"},
                "instructions": "Enrich.",
                "tools": [_asked_for(name, actions) for name in tools],
                **spec,
            },
        }
    )


def _asked_for(name: str, actions: Sequence[str]) -> JsonObject:
    return {"name": name, "actions": list(actions)}


def policy(*rules: JsonObject) -> Policy:
    return Policy.parse(
        {
            "metadata": {"name": "baseline", "namespace": NAMESPACE},
            "spec": {"agents": {}, "rules": [dict(rule) for rule in rules]},
        }
    )


def task(name: str = "t1", uid: str = "task-uid-1", run: JsonObject | None = None) -> Task:
    spec: JsonObject = {"agentRef": {"name": "enricher"}, "requestedBy": "ana@example.com"}
    if run is not None:
        spec["run"] = run
    return Task.parse({"metadata": {"name": name, "namespace": NAMESPACE, "uid": uid}, "spec": spec})


def in_run(step: str = "enrich", /, **most: JsonValue) -> JsonObject:
    """Return what a Task of a step of the run ``r1`` says of it; ``most`` is the run's budget."""
    run: JsonObject = {
        "name": "r1",
        "uid": "r1-uid",
        "rootUID": "r1-uid",
        "workflow": "outreach",
        "step": step,
    }
    return {**run, "budgets": [{"runUID": "r1-uid", "workflow": "outreach", **most}]} if most else run


def merged(tools: Sequence[Tool], *rules: JsonObject, of: Agent | None = None) -> EffectivePolicy:
    return effective_policy(
        PolicyInputs(
            agent=of or agent(tools=[item.metadata.name for item in tools]),
            namespace_labels={},
            tools={item.metadata.name: item for item in tools},
            policies=[policy(*rules)] if rules else [],
        )
    )


def caller(effective: EffectivePolicy, of: Task | None = None) -> Caller:
    return Caller(
        namespace=NAMESPACE,
        agent=effective.agent.metadata.name,
        task=of or task(),
        pod_name="t1-pod",
        pod_uid="pod-uid-1",
        revision="enricher-1",
        policy=effective,
    )


def definition(
    name: str = "get_contact", properties: JsonObject | None = None, **more: JsonValue
) -> JsonObject:
    return {
        "name": name,
        "description": f"Does {name}.",
        "inputSchema": {"type": "object", "properties": properties or {"id": {"type": "string"}}},
        **more,
    }


@dataclass
class StubRegistry:
    """Objects as a test lays them out."""

    tool_objects: dict[str, Tool] = field(default_factory=dict)
    model_objects: dict[str, Model] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=lambda: {"crm-credentials": CREDENTIAL})
    listeners: list[Listener] = field(default_factory=list)

    def add(self, *tools: Tool) -> None:
        for item in tools:
            self.tool_objects[item.metadata.name] = item
            for listener in self.listeners:
                listener(item.key)

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        return None

    def tool(self, namespace: str, name: str) -> Tool | None:
        return self.tool_objects.get(name)

    def tools(self) -> Collection[Tool]:
        return list(self.tool_objects.values())

    def model(self, namespace: str, name: str) -> Model | None:
        return self.model_objects.get(name)

    def models(self) -> Collection[Model]:
        return list(self.model_objects.values())

    def task(self, namespace: str, name: str) -> Task | None:
        return None

    def revision(self, namespace: str, name: str) -> Revision | None:
        return None

    def credential(self, namespace: str, reference: KeyReference) -> str | None:
        return self.credentials.get(reference.name)

    def on_tool_change(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def on_model_change(self, listener: Listener) -> None:
        raise NotImplementedError

    def staleness_seconds(self) -> float:
        return 0


class KeptJournal(Journal):
    """Keeps entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)


@dataclass
class KeptReports:
    """Keeps the last report of each Tool."""

    tools: dict[str, tuple[Availability, dict[str, ObservedAction]]] = field(default_factory=dict)
    on_report: Callable[[], None] = lambda: None

    def report_tool(
        self, key: ObjectKey, availability: Availability, actions: tuple[ObservedAction, ...]
    ) -> None:
        self.tools[key.name] = (availability, {action.name: action for action in actions})
        self.on_report()

    def report_model(self, key: ObjectKey, availability: Availability) -> None:
        raise NotImplementedError
