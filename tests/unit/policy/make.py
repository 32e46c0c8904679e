"""Short ways to write the objects that policies are made of."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.decision import Call
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Raw = Mapping[str, JsonValue]
ALL_TOOLS: list[dict[str, JsonValue]] = [{"name": "crm", "actions": ["*"]}]


def agent(
    labels: Mapping[str, str] | None = None, tools: Sequence[Raw] | None = None, **spec: JsonValue
) -> Agent:
    return Agent.parse(
        {
            "metadata": {
                "name": "enricher",
                "namespace": "sales",
                "labels": dict(labels) if labels is not None else {"role": "research", "territory": "emea"},
            },
            "spec": {
                "owner": {"team": "revops", "contact": "oncall@example.com"},
                "instructions": "Enrich.",
                "tools": [dict(item) for item in tools] if tools is not None else ALL_TOOLS,
                **spec,
            },
        }
    )


def tool(name: str = "crm", **update: JsonValue) -> Tool:
    """Return a Tool whose update_contact is declared with ``update`` besides."""
    return Tool.parse(
        {
            "metadata": {"name": name, "namespace": "sales"},
            "spec": {
                "type": "MCP",
                "url": "http://crm/mcp",
                "actions": [
                    {"name": "get_contact", "access": "Read", "risk": "Low"},
                    {"name": "search_contacts", "access": "Read", "risk": "Low"},
                    {"name": "update_contact", "access": "Write", "risk": "Medium", **update},
                    {"name": "export_contacts", "access": "Read", "risk": "High", "dataClasses": ["pii"]},
                ],
            },
        }
    )


def rule(
    name: str,
    effect: str = "Allow",
    tool_name: str = "crm",
    actions: Sequence[str] = (),
    access: Sequence[str] = (),
    when: str = "",
    **match: JsonValue,
) -> dict[str, JsonValue]:
    return {
        "name": name,
        "effect": effect,
        "tools": [{"name": tool_name, "actions": list(actions), "access": list(access), **match}],
        "when": when,
    }


def policy(
    *rules: Raw, name: str = "baseline", match_labels: Mapping[str, str] | None = None, **bounds: JsonValue
) -> Policy:
    return Policy.parse(
        {
            "metadata": {"name": name, "namespace": "sales", "generation": 3},
            "spec": {
                "agents": {"matchLabels": dict(match_labels or {})},
                "rules": [dict(item) for item in rules],
                **bounds,
            },
        }
    )


def cluster_policy(
    *rules: Raw,
    name: str = "floor",
    namespaces: Mapping[str, str] | None = None,
    match_labels: Mapping[str, str] | None = None,
    **bounds: JsonValue,
) -> ClusterPolicy:
    return ClusterPolicy.parse(
        {
            "metadata": {"name": name, "generation": 5},
            "spec": {
                "namespaces": {"matchLabels": dict(namespaces or {})},
                "agents": {"matchLabels": dict(match_labels or {})},
                "rules": [dict(item) for item in rules],
                **bounds,
            },
        }
    )


def merged(
    *policies: Policy | ClusterPolicy,
    of: Agent | None = None,
    tools: Sequence[Tool] | None = None,
    unreadable: Sequence[str] = (),
    unreadable_cluster: Sequence[str] = (),
) -> EffectivePolicy:
    known = [tool()] if tools is None else tools
    return effective_policy(
        PolicyInputs(
            agent=of or agent(),
            namespace_labels={"aos.dev/environment": "dev"},
            tools={item.metadata.name: item for item in known},
            policies=[item for item in policies if isinstance(item, Policy)],
            unreadable=unreadable,
            cluster_policies=[item for item in policies if isinstance(item, ClusterPolicy)],
            unreadable_cluster=unreadable_cluster,
        )
    )


def call(
    action: str = "get_contact",
    arguments: Mapping[str, JsonValue] | None = None,
    tool_name: str = "crm",
    lineage: tuple[str, ...] = (),
) -> Call:
    return Call(
        tool=tool_name,
        action=action,
        arguments=arguments or {},
        task="t1",
        requested_by="ana@example.com",
        now=NOW,
        lineage=lineage,
    )
