"""Bounds on what calls may use, carry, repeat and collide with. Shared by Policy and ClusterPolicy."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from aos.model.approval import MAX_APPROVAL_RULES, ApprovalRule, AutonomyBounds
from aos.model.base import LIST_AS_SET, LIST_BY_NAME, ApiModel, CelRule, DurationString
from aos.model.rule import PartName, ToolMatch
from aos.model.tool import DataClass

MAX_COUNT: Final = 1_000_000_000
MAX_MICRO_USD: Final = 1_000_000_000_000
MAX_DATA_BYTES: Final = 67_108_864
MAX_WINDOW: Final = "720h"

_WINDOW_RULE: Final = f"!has(self.per) || (duration(self.per) >= duration('1s') && duration(self.per) <= duration('{MAX_WINDOW}'))"

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
FieldPath = Annotated[
    str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9_-]+(\[\])?(\.[A-Za-z0-9_-]+(\[\])?)*$")
]
"""A field of a result: ``id``, ``owner.name``, ``items[].id``."""
HostPattern = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^(\*\.)?[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9:])?$")
]
"""A host name or address; ``*.example.com`` stands for every name below ``example.com``."""


class Scope(StrEnum):
    """Whose calls are counted together. Tenant crosses namespaces and is for ClusterPolicies alone.

    Workflow counts over a whole run of a Workflow, the runs that it starts included; outside any run, over a
    Task with all that it hands over.
    """

    AGENT = "Agent"
    TASK = "Task"
    WORKFLOW = "Workflow"
    NAMESPACE = "Namespace"
    TENANT = "Tenant"


class Limit(ApiModel):
    """How many calls may be made in any time span of length ``per``.

    Without ``tools`` it counts tool calls, model requests and handoffs; with it, the matching tool calls.

    Attributes:
        name: shown where the limit refuses.
        calls: most calls.
        per: the span, 1s to 720h; it slides.
        tools: counts the matching tool calls alone.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(rule=_WINDOW_RULE, message=f"per must be between 1s and {MAX_WINDOW}", field_path=".per"),
    )

    name: PartName
    calls: Count
    per: DurationString
    scope: Scope = Scope.AGENT
    tools: tuple[ToolMatch, ...] = Field(default=(), max_length=32)


class Budget(ApiModel):
    """How much may be spent in any time span of length ``per``; over the whole Task or run where ``per`` is left out.

    Attributes:
        name: shown where the budget refuses.
        micro_usd: most that models and tools may cost, in millionths of a US dollar.
        tokens: most tokens of models, in and out.
        calls: most calls.
        per: the span, 1s to 720h; it slides.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(rule=_WINDOW_RULE, message=f"per must be between 1s and {MAX_WINDOW}", field_path=".per"),
        CelRule(
            rule="has(self.per) || (has(self.scope) && self.scope in ['Task', 'Workflow'])",
            message="give per: only a budget of scope Task or Workflow may do without",
            field_path=".per",
        ),
        CelRule(
            rule="has(self.microUSD) || has(self.tokens) || has(self.calls)",
            message="give at least one of microUSD, tokens and calls",
        ),
    )

    name: PartName
    micro_usd: int | None = Field(default=None, ge=1, le=MAX_MICRO_USD, alias="microUSD")
    tokens: int | None = Field(default=None, ge=1, le=MAX_MICRO_USD)
    calls: Count | None = None
    per: DurationString | None = None
    scope: Scope = Scope.AGENT


class Direction(StrEnum):
    """Which way data goes: to the tool or model, or back from it."""

    REQUEST = "Request"
    RESPONSE = "Response"


class DataPattern(ApiModel):
    """A data class of one's own, found by a regular expression in RE2 syntax.

    Attributes:
        name: the class, for redact and block.
        regex: finds a value; one text is looked at at a time.
    """

    name: DataClass
    regex: str = Field(min_length=1, max_length=512)


class Projection(ApiModel):
    """The only fields that results of the matching actions keep; what has no fields to choose from is withheld.

    Attributes:
        tools: whose results are cut down.
        fields: what is kept, as in ``id``, ``owner.name``, ``items[].id``.
    """

    tools: tuple[ToolMatch, ...] = Field(min_length=1, max_length=32)
    fields: tuple[FieldPath, ...] = Field(min_length=1, max_length=64, json_schema_extra=LIST_AS_SET)


class Urls(ApiModel):
    """Which hosts arguments may name in URLs. Inside and metadata addresses are refused unless they stand here.

    Attributes:
        allow_hosts: host names or addresses; ``*.example.com`` stands for every name below it.
    """

    allow_hosts: tuple[HostPattern, ...] = Field(min_length=1, max_length=64, json_schema_extra=LIST_AS_SET)


class Data(ApiModel):
    """What calls may carry: classes of data that are redacted or block, fields that are kept, hosts, sizes.

    Attributes:
        redact: classes that are replaced by a marker.
        block: classes that refuse the request, or withhold the answer.
        in: the directions in which both hold.
        patterns: classes of one's own.
        projections: fields that results keep.
        max_request_bytes: longest request, as JSON.
        max_response_bytes: longest answer, as JSON.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="(has(self.redact) ? self.redact : []).all(c, c in ['pii', 'phi', 'secret', 'payment'] ||"
            " (has(self.patterns) && self.patterns.exists(p, p.name == c)))",
            message="each class must be pii, phi, secret, payment or the name of one of patterns",
            field_path=".redact",
        ),
        CelRule(
            rule="(has(self.block) ? self.block : []).all(c, c in ['pii', 'phi', 'secret', 'payment'] ||"
            " (has(self.patterns) && self.patterns.exists(p, p.name == c)))",
            message="each class must be pii, phi, secret, payment or the name of one of patterns",
            field_path=".block",
        ),
        CelRule(
            rule="!has(self.patterns) || self.patterns.all(p, !(p.name in ['pii', 'phi', 'secret', 'payment']) &&"
            " ((has(self.redact) && p.name in self.redact) || (has(self.block) && p.name in self.block)))",
            message="a pattern needs a name of its own that stands in redact or in block",
            field_path=".patterns",
        ),
    )

    redact: tuple[DataClass, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)
    block: tuple[DataClass, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)
    in_: tuple[Direction, ...] = Field(
        default=(Direction.REQUEST, Direction.RESPONSE),
        alias="in",
        min_length=1,
        max_length=2,
        json_schema_extra=LIST_AS_SET,
    )
    patterns: tuple[DataPattern, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_BY_NAME)
    projections: tuple[Projection, ...] = Field(default=(), max_length=16)
    urls: Urls | None = None
    max_request_bytes: int | None = Field(default=None, ge=64, le=MAX_DATA_BYTES)
    max_response_bytes: int | None = Field(default=None, ge=64, le=MAX_DATA_BYTES)


class Loops(ApiModel):
    """Bounds on chains of agents and on repetition within a Task.

    Attributes:
        max_depth: handoffs in a row; 4 if nothing says.
        max_visits: how often one agent may be in that row; 2 if nothing says.
        max_identical_calls: calls of one Task with the same or nearly the same arguments; 10 if nothing says.
        max_calls_per_task: calls of one Task; 1000 if nothing says.
    """

    max_depth: int | None = Field(default=None, ge=1, le=16)
    max_visits: int | None = Field(default=None, ge=1, le=16)
    max_identical_calls: Count | None = None
    max_calls_per_task: Count | None = None


class Conflicts(ApiModel):
    """How long a record stays with the Task that wrote it, and how long an identical write is not repeated.

    Attributes:
        lease_seconds: how long a record stays with its Task; 600 if nothing says.
        duplicate_window_seconds: how long an identical write is answered with the first one's result; 0 if nothing says: never.
    """

    lease_seconds: int | None = Field(default=None, ge=1, le=86_400)
    duplicate_window_seconds: int | None = Field(default=None, ge=0, le=86_400)


class PolicyRules(ApiModel):
    """What Policy and ClusterPolicy have in common besides their rules."""

    limits: tuple[Limit, ...] = Field(default=(), max_length=32, json_schema_extra=LIST_BY_NAME)
    budgets: tuple[Budget, ...] = Field(default=(), max_length=32, json_schema_extra=LIST_BY_NAME)
    data: Data | None = None
    loops: Loops | None = None
    conflicts: Conflicts | None = None
    approvals: tuple[ApprovalRule, ...] = Field(
        default=(), max_length=MAX_APPROVAL_RULES, json_schema_extra=LIST_BY_NAME
    )
    autonomy: AutonomyBounds | None = None
