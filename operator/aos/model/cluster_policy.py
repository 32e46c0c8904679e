"""ClusterPolicy: the platform's ceiling over the policies of the selected namespaces."""

from typing import Literal

from pydantic import Field

from aos.model.base import LIST_BY_NAME
from aos.model.bounds import PolicyRules
from aos.model.kind import AGE_COLUMN, ColumnType, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, LabelSelector
from aos.model.names import MAX_NAME_LENGTH
from aos.model.policy import PolicyStatus
from aos.model.rule import MAX_RULES, Rule


class ClusterPolicySpec(PolicyRules):
    """Rules and bounds for the agents that ``agents`` selects in the namespaces that ``namespaces`` selects.

    A call needs an Allow of some ClusterPolicy that selects its agent, besides one of a Policy.

    Attributes:
        rules: what is allowed and what is denied; a call needs an Allow and no Deny.
        limits: how many calls may be made.
        budgets: how much may be spent.
    """

    namespaces: LabelSelector
    agents: LabelSelector = LabelSelector()
    rules: tuple[Rule, ...] = Field(
        min_length=1,
        max_length=MAX_RULES,
        json_schema_extra=LIST_BY_NAME,
    )


class ClusterPolicy(ApiObject):
    """A policy of the platform."""

    kind: Literal["ClusterPolicy"] = "ClusterPolicy"
    spec: ClusterPolicySpec
    status: PolicyStatus = PolicyStatus()


CLUSTER_POLICY_KIND = Kind(
    kind="ClusterPolicy",
    plural="clusterpolicies",
    short_names=("cpolicy",),
    description="The platform's ceiling: what the selected agents may do at most, whatever their namespaces say.",
    object_model=ClusterPolicy,
    spec_model=ClusterPolicySpec,
    status_model=PolicyStatus,
    columns=(
        PrinterColumn("Agents", ".status.selectedAgents", ColumnType.INTEGER),
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Accepted", "reason"),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
    namespaced=False,
)
