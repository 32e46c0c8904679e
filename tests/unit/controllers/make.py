"""Objects as the API server sends them."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.names import API_VERSION

Raw = Mapping[str, JsonValue]

AGENT: JsonObject = {
    "owner": {"team": "revops"},
    "instructions": "Do.",
    "model": {"name": "default"},
    "tools": [{"name": "crm", "actions": ["*"]}],
}
TOOL: JsonObject = {
    "type": "MCP",
    "url": "http://crm/mcp",
    "actions": [{"name": "get", "access": "Read", "risk": "Low"}],
}
POLICY: JsonObject = {
    "agents": {"matchLabels": {"role": "research"}},
    "rules": [{"name": "r", "effect": "Allow", "tools": [{"name": "*"}]}],
}
CLUSTER_POLICY: JsonObject = {**POLICY, "namespaces": {"matchLabels": {"tier": "one"}}}
MODEL: JsonObject = {"url": "http://m/v1", "model": "m"}
TASK: JsonObject = {"agentRef": {"name": "enricher"}}


def raw(
    kind: str,
    name: str,
    spec: Raw,
    version: int = 1,
    labels: Mapping[str, str] | None = None,
    generation: int = 1,
    status: Raw | None = None,
    uid: str = "",
    *,
    namespace: str = "sales",
) -> JsonObject:
    where: JsonObject = {} if kind == "ClusterPolicy" else {"namespace": namespace}
    made: JsonObject = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            **where,
            "uid": uid or f"{name}-uid",
            "resourceVersion": str(version),
            "generation": generation,
            "labels": dict(labels or {}),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": dict(spec),
    }
    return {**made, "status": dict(status)} if status else made
