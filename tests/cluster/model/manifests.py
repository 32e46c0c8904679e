"""A good manifest of each kind, and ways to spoil and to apply it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from pydantic import JsonValue

from hack.cluster.handle import Handle
from tests.cluster.api import RefusedError, api

Manifest = dict[str, JsonValue]

GOOD: Mapping[str, str] = {
    "Agent": """
        owner: {team: revops}
        instructions: Enrich the lead.
        model: {name: default, temperature: 0, maxOutputTokens: 100}
        tools: [{name: crm, actions: [get_contact, "search_*"]}]
        delegates: [copywriter, lead-enricher]
        input: {schema: {type: object}}
        output: {schema: {type: object}}
        runtime: {mode: OnDemand, imagePullSecrets: [team-registry], resources: {limits: {cpu: 500m, memory: 128Mi}}}
    """,
    "Tool": """
        type: MCP
        url: http://crm.sales-tools.svc:8080/mcp
        auth: {type: Bearer, secretRef: {name: crm-credentials, key: token}}
        actions:
        - {name: get_contact, access: Read, risk: Low, dataClasses: [pii], costMicroUSD: 5}
        - {name: update_contact, access: Write, risk: Medium, record: "contact/${args.id}", idempotent: true}
    """,
    "Model": """
        url: https://models.example.com/v1
        model: small-1
        prices: {inputMicroUSD: 150000, outputMicroUSD: 600000}
    """,
    "Policy": """
        agents: {matchLabels: {role: research}, matchExpressions: [{key: tier, operator: NotIn, values: [prod]}]}
        rules:
        - name: read
          effect: Allow
          tools: [{name: crm, access: [Read], risk: [Low, Medium], dataClasses: [pii]}]
          when: "true"
        limits: [{name: calls, calls: 60, per: 1m, scope: Agent, tools: [{name: crm}]}]
        budgets:
        - {name: daily, microUSD: 5000000, tokens: 2000000, calls: 9, per: 24h, scope: Namespace}
        - {name: each, calls: 100, scope: Task}
        data:
          redact: [pii, badge]
          block: [secret]
          in: [Request, Response]
          patterns: [{name: badge, regex: "BADGE-[0-9]{6}"}]
          projections: [{tools: [{name: crm, actions: ["get_*"]}], fields: [id, owner.name, "items[].id"]}]
          urls: {allowHosts: ["*.example.com", "10.0.0.1", "2001:db8::1"]}
          maxRequestBytes: 65536
          maxResponseBytes: 262144
        loops: {maxDepth: 4, maxVisits: 2, maxIdenticalCalls: 3, maxCallsPerTask: 100}
        conflicts: {leaseSeconds: 600, duplicateWindowSeconds: 0}
    """,
    "ClusterPolicy": """
        namespaces: {matchLabels: {aos.dev/environment: production}}
        agents: {matchExpressions: [{key: role, operator: Exists}]}
        rules: [{name: all, effect: Allow, tools: [{name: "*"}]}]
        limits: [{name: calls, calls: 1000000000, per: 720h, scope: Tenant}]
        budgets: [{name: daily, microUSD: 1000000000000, per: 24h, scope: Tenant}]
    """,
    "Task": """
        agentRef: {name: lead-enricher}
        input: {lead: acme}
        deadline: 5m
        lineage: [{agent: lead, task: t0, taskUID: 0f8fad5b-d9cb-469f-a165-70867728950e}]
    """,
}


@dataclass(frozen=True)
class Bad:
    """One change to a good manifest, and what the answer must say."""

    kind: str
    path: str
    value: JsonValue
    says: str


def good(kind: str) -> Manifest:
    where = {} if kind == "ClusterPolicy" else {"namespace": "default"}
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "example", **where},
        "spec": yaml.safe_load(GOOD[kind]),
    }


def changed(manifest: Manifest, path: str, value: JsonValue) -> Manifest:
    result = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    node: dict[str, JsonValue] = result
    for name in parents:
        child = node.setdefault(name, {})
        assert isinstance(child, dict)
        node = child
    if value is None:
        del node[last]
    else:
        node[last] = value
    return result


def apply(cluster: Handle, manifest: Manifest) -> tuple[int, str]:
    """Ask for what `kubectl apply --dry-run=server` sends for an object that is not there; return its code, and what is said."""
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    try:
        api(cluster.kubeconfig).create(manifest, str(metadata.get("namespace", "")), dry_run=True)
    except RefusedError as refusal:
        return 1, str(refusal)
    return 0, ""
