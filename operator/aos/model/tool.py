"""Tool: a system that agents reach through the gateway, and what each of its actions is."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aos.model.base import ActionName, ApiModel, CelRule, Digest
from aos.model.kind import AGE_COLUMN, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, KeyReference
from aos.model.names import MAX_NAME_LENGTH

MAX_TOOL_ACTIONS = 256
MAX_URL_LENGTH = 2048

HttpUrl = Annotated[
    str,
    Field(
        max_length=MAX_URL_LENGTH,
        pattern=r"^https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*(/[A-Za-z0-9._~/%-]*)?$",
    ),
]
"""An absolute http(s) URL with neither user information nor query nor fragment."""


class ToolType(StrEnum):
    """How a tool is spoken to."""

    MCP = "MCP"


class AuthType(StrEnum):
    """How a credential is presented."""

    BEARER = "Bearer"


class Auth(ApiModel):
    """The credential that the gateway presents; nobody else may read it."""

    type: AuthType = AuthType.BEARER
    secret_ref: KeyReference


class Access(StrEnum):
    """What an action does to the system behind it."""

    READ = "Read"
    WRITE = "Write"


class Risk(StrEnum):
    """How much an action can spoil."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class ToolAction(ApiModel):
    """One action. The declared access counts, whatever the tool says of itself."""

    name: ActionName
    access: Access
    risk: Risk
    definition_digest: Digest | None = None


class ToolSpec(ApiModel):
    """Where a tool is and what it can do."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = ()

    type: ToolType
    url: HttpUrl
    auth: Auth | None = None
    actions: tuple[ToolAction, ...] = Field(
        min_length=1,
        max_length=MAX_TOOL_ACTIONS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class ActionState(StrEnum):
    """Whether an action can be called."""

    OFFERED = "Offered"
    QUARANTINED = "Quarantined"
    MISSING = "Missing"


class ObservedAction(ApiModel):
    """What the gateway found of one declared action."""

    name: ActionName
    state: ActionState
    definition_digest: Digest | None = None
    message: str = Field(default="", max_length=1024)


class ToolStatus(ApiModel):
    """What became of a tool: actions and Available from the gateway, the rest from the operator."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    actions: tuple[ObservedAction, ...] = Field(
        default=(),
        max_length=MAX_TOOL_ACTIONS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Tool(ApiObject):
    """A tool."""

    kind: Literal["Tool"] = "Tool"
    spec: ToolSpec
    status: ToolStatus = ToolStatus()


TOOL_KIND = Kind(
    kind="Tool",
    plural="tools",
    short_names=("tool",),
    description="A system that agents reach through the gateway, with the access and risk of each action.",
    object_model=Tool,
    spec_model=ToolSpec,
    status_model=ToolStatus,
    columns=(
        PrinterColumn("Type", ".spec.type"),
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Available", "reason"),
        PrinterColumn("URL", ".spec.url", priority=1),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
