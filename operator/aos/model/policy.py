"""Policy: which calls the selected agents may make."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from aos.model.base import ApiModel, CelRule, Glob
from aos.model.kind import AGE_COLUMN, ColumnType, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, LabelSelector
from aos.model.names import MAX_NAME_LENGTH
from aos.model.tool import Access

MAX_RULES = 200
MAX_EXPRESSION_LENGTH = 2048


class RuleEffect(StrEnum):
    """What a rule does to the calls it matches."""

    ALLOW = "Allow"
    DENY = "Deny"


class ToolMatch(ApiModel):
    """Calls by tool, and by action or access; what is left out matches every one."""

    name: Glob
    actions: tuple[Glob, ...] = Field(default=(), max_length=64)
    access: tuple[Access, ...] = Field(
        default=(), max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}
    )


class Rule(ApiModel):
    """One rule: calls that it matches, under a condition in CEL."""

    name: str = Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    effect: RuleEffect
    tools: tuple[ToolMatch, ...] = Field(min_length=1, max_length=32)
    when: str = Field(default="", max_length=MAX_EXPRESSION_LENGTH)


class PolicySpec(ApiModel):
    """Rules for the agents that ``agents`` selects."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = ()

    agents: LabelSelector
    rules: tuple[Rule, ...] = Field(
        min_length=1,
        max_length=MAX_RULES,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class PolicyStatus(ApiModel):
    """What became of a policy; written by the operator."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    selected_agents: int = Field(default=0, ge=0)


class Policy(ApiObject):
    """A policy."""

    kind: Literal["Policy"] = "Policy"
    spec: PolicySpec
    status: PolicyStatus = PolicyStatus()


POLICY_KIND = Kind(
    kind="Policy",
    plural="policies",
    short_names=("policy",),
    description="Which calls the selected agents of the namespace may make.",
    object_model=Policy,
    spec_model=PolicySpec,
    status_model=PolicyStatus,
    columns=(
        PrinterColumn("Agents", ".status.selectedAgents", ColumnType.INTEGER),
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Accepted", "reason"),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
