"""Agent: who it is, what it is told, what it asks for."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from aos.model.approval import AutonomyLevel
from aos.model.base import (
    JSON_SCHEMA,
    LIST_AS_SET,
    ApiModel,
    CelRule,
    Digest,
    DurationString,
    Glob,
    JsonObject,
    ObjectName,
    ReferenceName,
)
from aos.model.kind import AGE_COLUMN, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, KeyReference
from aos.model.names import MAX_NAME_LENGTH
from aos.model.quantity import CpuQuantity, MemoryQuantity, amount_rules, quantity
from aos.model.tool import Risk

MAX_INSTRUCTIONS_BYTES = 65_536
MAX_TOOLS = 32
MAX_ACTIONS = 64
MAX_DELEGATES = 32
MAX_CAPABILITIES = 16
MAX_REPLICAS = 50
MAX_WARM = 10
MAX_PULL_SECRETS = 8
NOT_BLANK = r"\S"
_RESOURCES = ("cpu", "memory")
_HOST = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]{1,5})?"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?"
_IMAGE = rf"^(|({_HOST}/)?{_PART}(/{_PART})*{_TAG})$"
"""A reference as the OCI distribution specification has it: registry, path, tag and digest."""


class Owner(ApiModel):
    """Who answers for the agent; shown in status and logs, and readable by rules as ``agent.owner``.

    Attributes:
        team: the team that answers for it.
        contact: where the team is reached.
    """

    team: str = Field(min_length=1, max_length=128, pattern=NOT_BLANK)
    contact: str = Field(default="", max_length=256)


class InstructionsSource(ApiModel):
    """Where the instructions stand if not in the spec.

    The ConfigMap must carry the label ``aos.dev/instructions: "true"``: only such ConfigMaps are read.
    """

    config_map_key_ref: KeyReference


class AgentModel(ApiModel):
    """Which Model the agent may use, and the bounds that the gateway puts on each request.

    Attributes:
        name: a Model of the agent's namespace.
        temperature: put into each request, whatever the agent asks for.
        max_output_tokens: most tokens of one answer.
    """

    name: ObjectName
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_output_tokens: int | None = Field(default=None, ge=1, le=1_000_000)


class ToolRequest(ApiModel):
    """Actions of one Tool that the agent asks for; policies decide.

    Attributes:
        name: a Tool of the agent's namespace.
        actions: the Tool's actions; ``*`` stands for any run of characters.
    """

    name: ObjectName
    actions: tuple[Glob, ...] = Field(min_length=1, max_length=MAX_ACTIONS)


class MessageSchema(ApiModel):
    """A JSON Schema (2020-12, bounded, local references only) for a message."""

    schema_: JsonObject = Field(alias="schema", json_schema_extra=JSON_SCHEMA)


class ResourceAmounts(ApiModel):
    """Amounts of processor and memory, as Kubernetes writes them.

    Attributes:
        cpu: processors, 1m to 1024.
        memory: bytes, 1Mi to 16Ti.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = amount_rules()

    cpu: CpuQuantity | None = None
    memory: MemoryQuantity | None = None


class Resources(ApiModel):
    """What the pod may use; limits are always set, by the operator's defaults where left out here."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = tuple(
        CelRule(
            rule="!has(self.requests) || !has(self.limits)"
            f" || !has(self.requests.{name}) || !has(self.limits.{name})"
            f" || quantity(self.requests.{name}).compareTo(quantity(self.limits.{name})) <= 0",
            message=f"requests.{name} must be at most limits.{name}",
            field_path=".requests",
        )
        for name in _RESOURCES
    )

    requests: ResourceAmounts = ResourceAmounts()
    limits: ResourceAmounts = ResourceAmounts()

    @model_validator(mode="after")
    def _requests_are_within_limits(self) -> Self:
        for name in _RESOURCES:
            request, limit = getattr(self.requests, name), getattr(self.limits, name)
            if request and limit and quantity(request) > quantity(limit):
                raise ValueError(f"requests.{name} must be at most limits.{name}")
        return self


class RuntimeMode(StrEnum):
    """How the agent runs."""

    ON_DEMAND = "OnDemand"
    """A pod for each Task, gone when it ends."""
    SERVICE = "Service"
    """Pods that stay, each of which does one Task at a time."""


class AgentServer(ApiModel):
    """An A2A server in the agent's own image, on the pod's own loopback; the pod's helper hands it each Task.

    Attributes:
        port: where it listens.
        path: of its JSON-RPC endpoint.
    """

    port: int = Field(ge=1024, le=65_535)
    path: str = Field(default="/", max_length=256, pattern=r"^/[A-Za-z0-9._~/-]*$")


class Runtime(ApiModel):
    """In what the agent runs; an empty image means the built-in runtime.

    Beside an image of one's own stands a helper with the pod's token: it is the image's only way to the gateway.

    Attributes:
        mode: OnDemand or Service.
        a2a: the image is an A2A server; else it fetches its Task from ``AOS_GATEWAY_URL`` itself.
        replicas: of a Service; 1 if nothing says.
        drain: how long a pod of a Service that is to go may still work on its Task; 30s if nothing says, at most 1h.
        image_pull_secrets: Secrets of the agent's namespace, of type kubernetes.io/dockerconfigjson, that the kubelet gets the image
            with; neither AOS nor the pod sees them.
        warm: of OnDemand: pods that are kept started for Tasks to come; each still does one Task alone. 0 if nothing says.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.replicas) || (has(self.mode) && self.mode == 'Service')",
            message="replicas is for mode Service",
            field_path=".replicas",
        ),
        CelRule(
            rule="!has(self.drain) || (has(self.mode) && self.mode == 'Service'"
            " && duration(self.drain) >= duration('1s') && duration(self.drain) <= duration('1h'))",
            message="drain is for mode Service, and between 1s and 1h",
            field_path=".drain",
        ),
        CelRule(
            rule="!has(self.warm) || !has(self.mode) || self.mode == 'OnDemand'",
            message="warm is for mode OnDemand: pods of a Service stay anyway",
            field_path=".warm",
        ),
        CelRule(
            rule="!has(self.a2a) || (has(self.image) && self.image != '')",
            message="a2a is for an image of your own",
            field_path=".a2a",
        ),
    )

    mode: RuntimeMode = RuntimeMode.ON_DEMAND
    a2a: AgentServer | None = Field(default=None, alias="a2a")
    replicas: int | None = Field(default=None, ge=0, le=MAX_REPLICAS)
    drain: DurationString | None = None
    warm: int | None = Field(default=None, ge=0, le=MAX_WARM)
    image: str = Field(default="", max_length=512, pattern=_IMAGE)
    image_pull_secrets: tuple[ReferenceName, ...] = Field(
        default=(), max_length=MAX_PULL_SECRETS, json_schema_extra=LIST_AS_SET
    )
    runtime_class_name: str = Field(
        default="",
        max_length=253,
        pattern=r"^(|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$",
    )
    resources: Resources = Resources()


class AgentSpec(ApiModel):
    """What an agent is.

    Attributes:
        instructions: what the model is told.
        tools: Tools and actions that it asks for; none else is ever called, and policies decide on these.
        delegates: the only agents that it may hand work to, of its own namespace.
        capabilities: what it can do, for Workflows to choose it by and for its A2A card to tell.
        autonomy: the most that it may do without being asked; policies can only lower it.
        suspend: starts no Task and denies every call while true.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="has(self.instructions) != has(self.instructionsFrom)",
            message="give instructions or instructionsFrom, and not both",
            field_path=".instructions",
        ),
        CelRule(
            rule="!has(self.tools) || self.tools.all(t, self.tools.exists_one(u, u.name == t.name))",
            message="name each tool once and list all its actions there",
            field_path=".tools",
        ),
    )

    owner: Owner
    instructions: str | None = Field(
        default=None, min_length=1, max_length=MAX_INSTRUCTIONS_BYTES, pattern=NOT_BLANK
    )
    instructions_from: InstructionsSource | None = None
    model: AgentModel | None = None
    tools: tuple[ToolRequest, ...] = Field(default=(), max_length=MAX_TOOLS)
    delegates: tuple[ObjectName, ...] = Field(
        default=(), max_length=MAX_DELEGATES, json_schema_extra=LIST_AS_SET
    )
    capabilities: tuple[ObjectName, ...] = Field(
        default=(), max_length=MAX_CAPABILITIES, json_schema_extra=LIST_AS_SET
    )
    input: MessageSchema | None = None
    output: MessageSchema | None = None
    runtime: Runtime = Runtime()
    autonomy: AutonomyLevel = AutonomyLevel.SUPERVISED
    suspend: bool = False


class PolicySource(ApiModel):
    """An object that the effective policy was made from."""

    kind: str = Field(max_length=64)
    name: str = Field(max_length=253)
    generation: int


class EffectivePolicyStatus(ApiModel):
    """The effective policy that is to be enforced."""

    digest: Digest
    sources: tuple[PolicySource, ...] = Field(default=(), max_length=128)


class RiskReliability(ApiModel):
    """What people said of an agent's calls of one risk.

    Attributes:
        approved: calls that were approved before they were made.
        rejected: calls that were rejected before they were made.
        confirmed: calls that were made, reviewed and found right.
        overturned: calls that were made, reviewed and found wrong.
    """

    risk: Risk
    approved: int = Field(default=0, ge=0)
    rejected: int = Field(default=0, ge=0)
    confirmed: int = Field(default=0, ge=0)
    overturned: int = Field(default=0, ge=0)


class Reliability(ApiModel):
    """How people judged what an agent did, for ever.

    Attributes:
        risks: one entry for each risk of which anything was judged.
        recent: requests that were counted last, by uid, so that none counts twice.
    """

    risks: tuple[RiskReliability, ...] = Field(
        default=(),
        max_length=3,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["risk"]},
    )
    recent: tuple[Annotated[str, Field(max_length=64)], ...] = Field(default=(), max_length=256)


class AgentStatus(ApiModel):
    """What became of an agent; written by the operator.

    Attributes:
        autonomy: what is granted: the lowest of what it asks for and what its policies leave.
        reliability: what people said of its calls.
    """

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    revision: str = Field(default="", max_length=253)
    service_account: str = Field(default="", max_length=253)
    policy: EffectivePolicyStatus | None = None
    autonomy: AutonomyLevel | None = None
    reliability: Reliability | None = None


class Agent(ApiObject):
    """An agent."""

    kind: Literal["Agent"] = "Agent"
    spec: AgentSpec
    status: AgentStatus = AgentStatus()


AGENT_KIND = Kind(
    kind="Agent",
    plural="agents",
    short_names=("agent",),
    description="An AI agent: its owner, its instructions, and the model and tools that it asks for.",
    object_model=Agent,
    spec_model=AgentSpec,
    status_model=AgentStatus,
    columns=(
        PrinterColumn("Team", ".spec.owner.team"),
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Ready", "reason"),
        condition_column("Enforced", "PolicyEnforced"),
        PrinterColumn("Autonomy", ".status.autonomy", priority=1),
        PrinterColumn("Revision", ".status.revision", priority=1),
        PrinterColumn("Policy", ".status.policy.digest", priority=1),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
