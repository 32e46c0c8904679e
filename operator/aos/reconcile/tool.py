"""Tool: whether its records can be named, the gateway's access to its one credential, and conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aos.model.conditions import Reason
from aos.model.tool import Tool
from aos.policy.effective import tool_problems
from aos.policy.schemas import check_schema
from aos.reconcile.conditions import Verdict, no
from aos.reconcile.connected import Connected, reconcile_connected
from aos.reconcile.plan import ChildKey, ObservedChild, Plan
from aos.reconcile.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class ObservedTool:
    """All that a Tool's children and status are made from.

    Attributes:
        tool: as the API server has it.
        children: what there is of its Role and RoleBinding.
        refused: what the API server said when a child was to be written; empty if it took all.
    """

    tool: Tool
    children: Mapping[ChildKey, ObservedChild] = field(default_factory=dict)
    refused: str = ""


def reconcile_tool(observed: ObservedTool, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what the Tool needs."""
    tool = observed.tool
    return reconcile_connected(
        Connected(
            kind="Tool",
            metadata=tool.metadata,
            auth=tool.spec.auth,
            observed_generation=tool.status.observed_generation,
            conditions=tool.status.conditions,
            children=observed.children,
            refused=observed.refused,
            rejected=_rejected(tool),
        ),
        settings,
        now,
    )


def _rejected(tool: Tool) -> Verdict | None:
    schema = tool.spec.memory.value_schema if tool.spec.memory is not None else None
    unusable = check_schema(schema) if schema is not None else []
    if unusable:
        return no(Reason.INVALID_SCHEMA, f"spec.memory.schema: {'; '.join(unusable)}")
    problems = tool_problems(tool).values()
    if not problems:
        return None
    told = "; ".join(problem.message for problem in problems)
    return no(Reason.INVALID_EXPRESSION, f"every call of these actions is denied: {told}")
