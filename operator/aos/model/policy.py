"""Policy: which calls the selected agents of a namespace may make, and within which bounds."""

from typing import ClassVar, Literal

from pydantic import Field

from aos.model.base import LIST_BY_NAME, ApiModel, CelRule
from aos.model.bounds import PolicyRules
from aos.model.kind import AGE_COLUMN, ColumnType, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, LabelSelector
from aos.model.names import MAX_NAME_LENGTH
from aos.model.rule import MAX_RULES, Rule


class PolicySpec(PolicyRules):
    """Rules and bounds for the agents that ``agents`` selects.

    Attributes:
        rules: what is allowed and what is denied; a call needs an Allow and no Deny.
        limits: how many calls may be made.
        budgets: how much may be spent.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.limits) || self.limits.all(l, !has(l.scope) || l.scope != 'Tenant')",
            message="scope Tenant crosses namespaces: only a ClusterPolicy may use it",
            field_path=".limits",
        ),
        CelRule(
            rule="!has(self.budgets) || self.budgets.all(b, !has(b.scope) || b.scope != 'Tenant')",
            message="scope Tenant crosses namespaces: only a ClusterPolicy may use it",
            field_path=".budgets",
        ),
    )

    agents: LabelSelector
    rules: tuple[Rule, ...] = Field(
        min_length=1,
        max_length=MAX_RULES,
        json_schema_extra=LIST_BY_NAME,
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
    description="Which calls the selected agents of the namespace may make, and within which bounds.",
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
