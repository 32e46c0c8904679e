"""Tool: a system that agents reach through the gateway, and what each of its actions is."""

from enum import StrEnum
from ipaddress import IPv6Address
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from aos.model.base import (
    DNS_LABEL,
    JSON_SCHEMA,
    LIST_AS_SET,
    LIST_BY_NAME,
    ActionName,
    ApiModel,
    CelRule,
    Digest,
    DurationString,
    JsonObject,
)
from aos.model.kind import AGE_COLUMN, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, KeyReference
from aos.model.names import MAX_NAME_LENGTH

MAX_TOOL_ACTIONS = 256
MAX_URL_LENGTH = 2048

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"({_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NO_ADDRESS = "the host in brackets must be an IPv6 address"
_BRACKETED = "self.url.substring(self.url.indexOf('[') + 1, self.url.indexOf(']'))"
ADDRESS_RULE = CelRule(
    rule=f"!has(self.url) || !self.url.contains('[') || (isIP({_BRACKETED}) && ip({_BRACKETED}).family() == 6)",
    message=_NO_ADDRESS,
    field_path=".url",
)


def _with_a_known_address(url: str) -> str:
    host = url.partition("[")[2].partition("]")[0]
    try:
        _ = IPv6Address(host) if host else None
    except ValueError as error:
        raise ValueError(_NO_ADDRESS) from error
    return url


HttpUrl = Annotated[
    str,
    Field(
        max_length=MAX_URL_LENGTH,
        pattern=rf"^https?://{_HOST}(:{_PORT})?(/([A-Za-z0-9._~/-]|%[0-9A-Fa-f]{{2}})*)?$",
    ),
    AfterValidator(_with_a_known_address),
]
"""An absolute http(s) URL with neither user information nor query nor fragment."""


DataClass = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
"""A class of data: ``pii``, ``phi``, ``secret``, ``payment``, or one that a policy's pattern defines."""


class ToolType(StrEnum):
    """What stands behind a tool."""

    MCP = "MCP"
    """An MCP server; actions are its tools."""
    OPENAPI = "OpenAPI"
    """A REST system that an OpenAPI document describes; actions are its operations, by operationId."""
    MEMORY = "Memory"
    """A value that the gateway keeps in its store for agents to share; actions are get, put and delete."""


class AuthType(StrEnum):
    """How a credential is presented."""

    BEARER = "Bearer"
    HEADER = "Header"


class Auth(ApiModel):
    """The credential that the gateway presents; nobody else may read it.

    Attributes:
        type: Bearer, or Header for one that stands in a header of its own.
        header: the header's name.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="has(self.header) == (has(self.type) && self.type == 'Header')",
            message="give header with type Header, and only then",
            field_path=".header",
        ),
        CelRule(
            rule="!has(self.header) || !(self.header.lowerAscii() in ['host', 'content-length', 'content-type',"
            " 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer', 'cookie', 'authorization'])",
            message="that header is not for credentials; for Authorization: Bearer use type Bearer",
            field_path=".header",
        ),
    )

    type: AuthType = AuthType.BEARER
    header: str | None = Field(default=None, max_length=64, pattern=r"^[A-Za-z0-9-]+$")
    secret_ref: KeyReference


class OpenApiSource(ApiModel):
    """Where the OpenAPI document (3.0 or 3.1, JSON or YAML) stands: at the system itself, or in a ConfigMap.

    The ConfigMap must carry the label ``aos.dev/openapi: "true"``: only such ConfigMaps are read.

    Attributes:
        path: below the Tool's URL's host, as in ``/openapi.json``.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(rule="has(self.path) != has(self.configMapKeyRef)", message="give path or configMapKeyRef"),
    )

    path: str | None = Field(default=None, min_length=1, max_length=512, pattern=r"^/[A-Za-z0-9._~/%-]*$")
    config_map_key_ref: KeyReference | None = None


class MemoryScope(StrEnum):
    """Who shares a memory."""

    RUN = "Run"
    """The Tasks of one run of a Workflow and what they hand over; outside any run, one Task with what it hands over. It is gone with them."""
    NAMESPACE = "Namespace"
    """All agents of the namespace whose policies let them, until its time is up."""


class Memory(ApiModel):
    """A value that agents share.

    Attributes:
        scope: with whom; Run is gone when the run is.
        ttl: how long a value is kept after it was last put; from 1s to 8760h.
        max_bytes: longest value, as JSON.
        value_schema: what a value must be (JSON Schema 2020-12, bounded, local references only).
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.ttl) || (duration(self.ttl) >= duration('1s') && duration(self.ttl) <= duration('8760h'))",
            message="ttl must be between 1s and 8760h",
            field_path=".ttl",
        ),
    )

    scope: MemoryScope = MemoryScope.RUN
    ttl: DurationString = "24h"
    max_bytes: int = Field(default=65_536, ge=2, le=1_048_576)
    value_schema: JsonObject | None = Field(default=None, alias="schema", json_schema_extra=JSON_SCHEMA)


class Access(StrEnum):
    """What an action does to the system behind it."""

    READ = "Read"
    WRITE = "Write"


class Risk(StrEnum):
    """How much an action can spoil."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class PreviewAction(ApiModel):
    """The Read that shows what a Write would change.

    Attributes:
        action: another action of the same Tool, with access Read.
        arguments: its arguments, each a text with ``${...}`` in CEL over ``args``, the Write's own.
    """

    action: ActionName
    arguments: dict[str, Annotated[str, Field(max_length=512)]] = Field(default={}, max_length=16)


class ToolAction(ApiModel):
    """One action. The declared access counts, whatever the tool says of itself.

    ``record`` names what a Write changes, with ``${...}`` in CEL over ``args``: ``contact/${args.id}``.

    Attributes:
        name: the action's name, as the tool spells it.
        data_classes: classes of data that it handles, for rules to select by.
        record: the record that a Write changes; one Task at a time holds it.
        preview: what is read to show people the record before they approve a Write.
        idempotent: whether a Write may be sent again after no answer came, or an error; it carries the same Idempotency-Key then.
        cost_micro_usd: what one call costs, for budgets; in millionths of a US dollar.
        definition_digest: pins the definition; while the tool offers one with another digest, the action is quarantined.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.record) || self.access == 'Write'",
            message="only an action with access Write changes a record",
            field_path=".record",
        ),
        CelRule(
            rule="!has(self.preview) || self.access == 'Write'",
            message="only an action with access Write has something to preview",
            field_path=".preview",
        ),
        CelRule(
            rule="!has(self.idempotent) || self.access == 'Write'",
            message="only an action with access Write needs idempotent: a Read may always be repeated",
            field_path=".idempotent",
        ),
    )

    name: ActionName
    access: Access
    risk: Risk
    data_classes: tuple[DataClass, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)
    record: str | None = Field(default=None, min_length=1, max_length=512)
    preview: PreviewAction | None = None
    idempotent: bool | None = None
    cost_micro_usd: int = Field(default=0, ge=0, le=1_000_000_000, alias="costMicroUSD")
    definition_digest: Digest | None = None


class ToolSpec(ApiModel):
    """Where a tool is and what it can do.

    Attributes:
        type: MCP, OpenAPI or Memory.
        url: where the gateway reaches it; agents never do. Of OpenAPI: what the document's paths are appended to.
        openapi: of OpenAPI: where its document stands.
        memory: of Memory: what is kept, and for whom.
        actions: what agents may be allowed; what the tool offers besides can't be called.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        ADDRESS_RULE,
        CelRule(
            rule="self.actions.all(a, !has(a.preview)"
            " || self.actions.exists(r, r.name == a.preview.action && r.access == 'Read'))",
            message="preview.action must be another action of this Tool, with access Read",
            field_path=".actions",
        ),
        CelRule(
            rule="has(self.url) == (self.type != 'Memory')",
            message="give url, but with type Memory",
            field_path=".url",
        ),
        CelRule(
            rule="has(self.openapi) == (self.type == 'OpenAPI')",
            message="give openapi with type OpenAPI, and only then",
            field_path=".openapi",
        ),
        CelRule(
            rule="has(self.memory) == (self.type == 'Memory')",
            message="give memory with type Memory, and only then",
            field_path=".memory",
        ),
        CelRule(
            rule="self.type != 'Memory' || (!has(self.auth) && self.actions.all(a,"
            " (a.name == 'get' && a.access == 'Read') || (a.name in ['put', 'delete'] && a.access == 'Write')))",
            message="a Tool of type Memory has no auth, and no actions but get (Read), put and delete (Write)",
            field_path=".actions",
        ),
    )

    type: ToolType
    url: HttpUrl = ""
    openapi: OpenApiSource | None = None
    memory: Memory | None = None
    auth: Auth | None = None
    actions: tuple[ToolAction, ...] = Field(
        min_length=1,
        max_length=MAX_TOOL_ACTIONS,
        json_schema_extra=LIST_BY_NAME,
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
        json_schema_extra=LIST_BY_NAME,
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
