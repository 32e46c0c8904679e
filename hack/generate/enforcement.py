"""Policy fields and paths: where each is enforced and which tests show it. A test fails where one is left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from aos.model.cluster_policy import ClusterPolicySpec
from aos.model.policy import PolicySpec
from aos.model.workflow import RunBudget
from hack.generate.fields import fields_of


class CallPath(StrEnum):
    """Ways that an agent's calls take through the gateway."""

    TOOL = "MCP tools"
    REST = "OpenAPI tools"
    MEMORY = "memory"
    MODEL = "models"
    HANDOFF = "handoffs"


@dataclass(frozen=True, slots=True)
class Enforced:
    """Where a field is enforced on a path.

    Attributes:
        modules: below ``aos``.
        tests: below ``tests``, as ``FILE::NAME``, with the field in brackets where the test has a case for each.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoPart:
    """Why a field has no part on a path: one sentence."""

    why: str


Place = Enforced | NoPart
T = TypeVar("T")

CASES: Final[Mapping[CallPath, str]] = {
    CallPath.TOOL: "unit/gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools",
    CallPath.REST: "unit/gateway_openapi/test_policy_fields.py::test_a_field_holds_calls_of_rest_systems",
    CallPath.MEMORY: "unit/gateway_memory/test_policy_fields.py::test_a_field_holds_what_agents_share",
    CallPath.MODEL: "unit/gateway_models/test_policy_fields.py::test_a_field_holds_model_requests",
    CallPath.HANDOFF: "unit/gateway_a2a/test_policy_fields.py::test_a_field_holds_handoffs",
}
"""Tests with a case for each field that has a part on the path: real requests to a real server, over a real store."""

_HANDOFFS: Final = "unit/gateway_a2a/test_handoffs.py::"
_HANDED: Final = "unit/gateway_a2a/test_policy_fields.py::"
_TENANTS: Final = (_HANDED + "test_a_cluster_policy_holds_handoffs_in_the_namespaces_that_it_selects",)
_SAME: Final[Mapping[CallPath, CallPath]] = {CallPath.REST: CallPath.TOOL, CallPath.MEMORY: CallPath.TOOL}
"""Paths that lead through the same modules as another one, but for what stands at their end."""

_ABOVE: Final = "cluster/operator/test_cluster_policies.py::"
_CEILING: Final = (_ABOVE + "test_attack_31_a_namespace_admin_can_not_loosen_a_cluster_policy",)
_TRUTH: Final = ("unit/policy/test_decision.py::test_truth_table",)
_DECIDING: Final = "cluster/operator/test_approval_admission.py::"
_REQUESTS: Final = "unit/reconcile/test_approval.py::"
_ASKED: Final = ("unit/policy/test_approving.py::test_truth_table",)
_LEVELS: Final = (
    "unit/policy/test_approving.py::test_what_is_held_by_default_follows_from_risk_and_autonomy",
    *_ASKED,
)
_WHO: Final = (
    "unit/policy/test_quorums.py::test_who_counts_for_a_quorum",
    _DECIDING + "test_attack_21_only_those_decide_whom_a_quorum_or_an_escalation_asks",
)
_PEOPLE: Final = (
    "unit/policy/test_quorums.py::test_two_different_people_are_two_and_the_same_one_twice_is_not",
    _REQUESTS + "test_two_people_are_two_people",
)
_IN_TIME: Final = (
    _REQUESTS + "test_nobody_decided_in_time",
    "unit/gateway_approvals/test_desk.py::test_an_approval_counts_until_it_expires_by_the_gateways_own_clock",
)
_DRAWN: Final = (
    "unit/gateway_approvals/test_sampling.py::test_a_sample_has_the_share_of_calls_that_it_says",
)
_REMINDED: Final = (_REQUESTS + "test_time_alone_brings_it_back_for_each_reminder_escalation_and_its_end",)
_ESCALATED: Final = (_REQUESTS + "test_who_is_asked_later_counts_from_then_on", *_WHO)
_LOOKED_THROUGH: Final = (_HANDOFFS + "test_what_comes_back_is_looked_through",)

_OWN_MODEL: Final = NoPart(
    "Rules are about tools; the one Model that an agent may use stands in its own spec."
)
_OWN_DELEGATES: Final = NoPart(
    "Rules are about tools; the agents that it may hand work to stand in an agent's own spec, and they may do no more for"
    " it than itself."
)
_TOOL_LIMIT: Final = NoPart("A limit with `tools` counts calls of tools alone.")
_RESULTS: Final = NoPart("A projection cuts down results of actions of tools.")
_RECORDS: Final = NoPart("Only an action of a tool names a record, or is looked for as a duplicate.")
_PUT_ANEW: Final = NoPart(
    "What agents share is put anew each time: another value may have been there between."
)
_ACTIONS: Final = NoPart(
    "People are asked about what changes or reads a system: a call of a tool, whichever agent makes it."
)
_GROWS: Final = NoPart("A chain of agents is bounded where it grows: where work is handed over.")
_COSTLESS: Final = NoPart(
    "A handoff costs nothing itself; what the other agent spends counts where it spends it."
)
_COSTLESS_IN_RUN: Final = NoPart(
    "A handoff costs nothing itself; what the other agent spends for the run counts where it spends it."
)
_NO_TOKENS: Final = NoPart("A call of a tool takes no tokens.")
_NO_ADDRESSES: Final = NoPart(
    "Parts of a request that would lead the model's provider to an address are refused."
)

_INSPECTING: Final[Mapping[CallPath, tuple[str, ...]]] = {
    CallPath.TOOL: ("gateway.mcp.inspecting", "inspection.inspector"),
    CallPath.MODEL: ("gateway.models.inspecting", "gateway.models.output", "inspection.inspector"),
    CallPath.HANDOFF: ("gateway.a2a.carrying", "inspection.inspector"),
}
_COUNTED: Final = ("policy.quorums", "reconcile.approval", "gateway.approvals.standing")
"""Who decides is counted by the operator, and again by the gateway before it lets the call through."""
_EXPIRES: Final = ("gateway.approvals.asking", "reconcile.approval", "gateway.approvals.standing")
_MODULES: Final[Mapping[str, Mapping[CallPath, tuple[str, ...]]]] = {
    "agents": dict.fromkeys(CallPath, ("policy.effective",)),
    "namespaces": dict.fromkeys(CallPath, ("policy.effective",)),
    "rules": {CallPath.TOOL: ("policy.decision", "gateway.mcp.judging")},
    "limits": dict.fromkeys(CallPath, ("gateway.control.charges",)),
    "budgets": {
        CallPath.TOOL: ("gateway.control.charges",),
        CallPath.MODEL: ("gateway.control.charges", "gateway.models.spending"),
        CallPath.HANDOFF: ("gateway.control.charges",),
    },
    "Workflow": {
        CallPath.TOOL: ("gateway.control.charges",),
        CallPath.MODEL: ("gateway.control.charges", "gateway.models.spending"),
        CallPath.HANDOFF: ("gateway.control.charges", "gateway.a2a.children"),
    },
    "data": _INSPECTING,
    "loops": dict.fromkeys(CallPath, ("gateway.control.charges",)),
    "conflicts": {CallPath.TOOL: ("gateway.control.records",)},
    "approvals": {CallPath.TOOL: ("policy.approving", "gateway.mcp.holding")},
    "autonomy": {CallPath.TOOL: ("policy.approving", "gateway.mcp.holding")},
}
"""By the first part of a field's path."""
_MODULES_OF_FIELDS: Final[Mapping[str, Mapping[CallPath, tuple[str, ...]]]] = {
    "approvals[].required": {CallPath.TOOL: _COUNTED},
    "approvals[].approvers": {CallPath.TOOL: (*_COUNTED, "reconcile.admission.approval_decisions")},
    "approvals[].timeout": {CallPath.TOOL: _EXPIRES},
    "approvals[].onTimeout": {CallPath.TOOL: _EXPIRES},
    "approvals[].samplePercent": {CallPath.TOOL: ("policy.approving", "gateway.approvals.sampling")},
    "approvals[].review": {CallPath.TOOL: ("policy.approving", "gateway.approvals.reviews")},
    "approvals[].remindAfter": {CallPath.TOOL: ("gateway.approvals.asking", "reconcile.notices")},
    "approvals[].escalate": {
        CallPath.TOOL: (*_COUNTED, "reconcile.admission.approval_decisions", "reconcile.notices")
    },
    "data.projections": {CallPath.TOOL: ("gateway.mcp.inspecting", "inspection.projection")},
    "data.urls": {
        CallPath.TOOL: ("gateway.mcp.inspecting", "inspection.urls"),
        CallPath.HANDOFF: ("gateway.a2a.carrying", "inspection.urls"),
    },
    "loops.maxDepth": {CallPath.HANDOFF: ("gateway.a2a.rights",)},
    "loops.maxVisits": {CallPath.HANDOFF: ("gateway.a2a.rights",)},
}
"""By the longest beginning of a field's path; before those above."""
_WITHOUT: Final[Mapping[str, Mapping[CallPath, NoPart]]] = {
    "rules": {CallPath.MODEL: _OWN_MODEL, CallPath.HANDOFF: _OWN_DELEGATES},
    "limits[].tools": {CallPath.MODEL: _TOOL_LIMIT, CallPath.HANDOFF: _TOOL_LIMIT},
    "budgets[].tokens": {CallPath.TOOL: _NO_TOKENS, CallPath.HANDOFF: _COSTLESS},
    "budgets[].microUSD": {CallPath.HANDOFF: _COSTLESS},
    "Workflow.budget.tokens": {CallPath.TOOL: _NO_TOKENS, CallPath.HANDOFF: _COSTLESS_IN_RUN},
    "Workflow.budget.microUSD": {CallPath.HANDOFF: _COSTLESS_IN_RUN},
    "data.projections": {CallPath.MODEL: _RESULTS, CallPath.HANDOFF: _RESULTS},
    "data.urls": {CallPath.MODEL: _NO_ADDRESSES},
    "loops.maxDepth": {CallPath.TOOL: _GROWS, CallPath.MODEL: _GROWS},
    "loops.maxVisits": {CallPath.TOOL: _GROWS, CallPath.MODEL: _GROWS},
    "conflicts": {CallPath.MODEL: _RECORDS, CallPath.HANDOFF: _RECORDS},
    "conflicts.duplicateWindowSeconds": {CallPath.MEMORY: _PUT_ANEW},
    "approvals": {CallPath.MODEL: _ACTIONS, CallPath.HANDOFF: _ACTIONS},
    "autonomy": {CallPath.MODEL: _ACTIONS, CallPath.HANDOFF: _ACTIONS},
}
"""By the beginning of a field's path: where it has no part."""
_OTHER_TESTS: Final[Mapping[str, Mapping[CallPath, tuple[str, ...]]]] = {
    "namespaces": {CallPath.HANDOFF: _TENANTS},
    "data.maxResponseBytes": {CallPath.HANDOFF: _LOOKED_THROUGH},
    "loops.maxDepth": {CallPath.HANDOFF: (_HANDOFFS + "test_a_chain_of_handoffs_has_a_depth",)},
    "loops.maxVisits": {
        CallPath.HANDOFF: (
            _HANDOFFS + "test_a_policy_says_how_often_an_agent_may_be_in_a_chain",
            _HANDOFFS + "test_attack_22_two_agents_that_hand_work_to_each_other_end_at_the_bound",
        )
    },
}
"""In place of a case for the field."""
_FURTHER_TESTS: Final[Mapping[str, Mapping[CallPath, tuple[str, ...]]]] = {
    "namespaces": {CallPath.TOOL: _CEILING},
    "rules": {CallPath.TOOL: _TRUTH},
    "approvals": {CallPath.TOOL: _ASKED},
    "approvals[].required": {CallPath.TOOL: _PEOPLE},
    "approvals[].approvers": {CallPath.TOOL: _WHO},
    "approvals[].timeout": {CallPath.TOOL: _IN_TIME},
    "approvals[].onTimeout": {CallPath.TOOL: _IN_TIME},
    "approvals[].samplePercent": {CallPath.TOOL: _DRAWN},
    "approvals[].remindAfter": {CallPath.TOOL: _REMINDED},
    "approvals[].escalate": {CallPath.TOOL: _ESCALATED},
    "autonomy": {CallPath.TOOL: _LEVELS},
    "data.redact": {CallPath.HANDOFF: _LOOKED_THROUGH},
    "data.block": {CallPath.HANDOFF: _LOOKED_THROUGH},
}
"""Besides the case for the field."""


def fields() -> list[str]:
    """Return every field of Policy and ClusterPolicy, in their order, and those of a Workflow's budget."""
    budget = fields_of(RunBudget, "Workflow.budget.")
    return list(dict.fromkeys((*fields_of(ClusterPolicySpec), *fields_of(PolicySpec), *budget)))


def place(field: str, path: CallPath) -> Place:
    """Return where ``field`` is enforced on ``path``.

    Raises:
        KeyError: nobody has said so.
    """
    without = _longest(_WITHOUT, field, path)
    if without is not None:
        return without
    modules = _longest(_MODULES_OF_FIELDS, field, path) or _longest(_MODULES, field, path)
    if modules is None:
        raise KeyError(f"{field} has no place on the path of {path}: say in {__name__} where it is enforced")
    tests = _longest(_OTHER_TESTS, field, path) or (f"{CASES[path]}[{field}]",)
    return Enforced(modules, (*tests, *(_longest(_FURTHER_TESTS, field, path) or ())))


def _longest(table: Mapping[str, Mapping[CallPath, T]], field: str, path: CallPath) -> T | None:
    """Return what is said of the longest beginning of ``field`` that something is said of on ``path``, or on that like it."""
    said = [name for name in table if begins(field, name) and path in table[name]]
    if said:
        return table[max(said, key=len)][path]
    return _longest(table, field, _SAME[path]) if path in _SAME else None


def begins(field: str, name: str) -> bool:
    """Whether ``name`` is ``field``, or something above it."""
    return field == name or field.startswith((f"{name}.", f"{name}["))
