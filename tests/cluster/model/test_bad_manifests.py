"""Bad manifests fail at ``kubectl apply`` with a message that names the field; good ones pass."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue

from hack.cluster.handle import Handle

ROOT = Path(__file__).resolve().parents[3]
Manifest = dict[str, JsonValue]

GOOD: Mapping[str, str] = {
    "Agent": """
        owner: {team: revops}
        instructions: Enrich the lead.
        model: {name: default, temperature: 0, maxOutputTokens: 100}
        tools: [{name: crm, actions: [get_contact, "search_*"]}]
        input: {schema: {type: object}}
        output: {schema: {type: object}}
        runtime: {mode: OnDemand, resources: {limits: {cpu: 500m, memory: 128Mi}}}
    """,
    "Tool": """
        type: MCP
        url: http://crm.sales-tools.svc:8080/mcp
        auth: {type: Bearer, secretRef: {name: crm-credentials, key: token}}
        actions: [{name: get_contact, access: Read, risk: Low}, {name: update_contact, access: Write, risk: Medium}]
    """,
    "Model": """
        url: https://models.example.com/v1
        model: small-1
    """,
    "Policy": """
        agents: {matchLabels: {role: research}, matchExpressions: [{key: tier, operator: NotIn, values: [prod]}]}
        rules: [{name: read, effect: Allow, tools: [{name: crm, access: [Read]}], when: "true"}]
    """,
    "Task": """
        agentRef: {name: lead-enricher}
        input: {lead: acme}
        deadline: 5m
    """,
}


@dataclass(frozen=True)
class Bad:
    """One change to a good manifest, and what the answer must say."""

    kind: str
    path: str
    value: JsonValue
    says: str


DIGEST = "sha256:" + "0" * 64
LONG = "x" * 300

BAD = (
    Bad("Agent", "spec.owner", None, "spec.owner: Required value"),
    Bad("Agent", "spec.owner.team", "", "spec.owner.team"),
    Bad("Agent", "spec.instructions", None, "give instructions or instructionsFrom, and not both"),
    Bad("Agent", "spec.instructions", "x" * 65_537, "spec.instructions"),
    Bad(
        "Agent",
        "spec.instructionsFrom",
        {"configMapKeyRef": {"name": "prompts", "key": "a"}},
        "give instructions or instructionsFrom, and not both",
    ),
    Bad("Agent", "spec.model.name", "Default", "spec.model.name"),
    Bad("Agent", "spec.model.temperature", 3, "spec.model.temperature"),
    Bad("Agent", "spec.model.maxOutputTokens", 0, "spec.model.maxOutputTokens"),
    Bad("Agent", "spec.tools", [{"name": "crm", "actions": []}], "spec.tools[0].actions"),
    Bad(
        "Agent",
        "spec.tools",
        [{"name": "crm", "actions": ["a"]}, {"name": "crm", "actions": ["b"]}],
        "name each tool once",
    ),
    Bad("Agent", "spec.tools", [{"name": "crm", "actions": ["drop table"]}], "spec.tools[0].actions[0]"),
    Bad("Agent", "spec.input", {}, "spec.input.schema: Required value"),
    Bad("Agent", "spec.runtime.mode", "Daemon", 'spec.runtime.mode: Unsupported value: "Daemon"'),
    Bad("Agent", "spec.runtime.image", "; rm", "spec.runtime.image"),
    Bad("Agent", "spec.runtime.resources.limits.cpu", "much", "spec.runtime.resources.limits.cpu"),
    Bad("Agent", "spec.suspend", "yes", "spec.suspend"),
    Bad("Agent", "spec.autonomy", "Supervised", 'unknown field "spec.autonomy"'),
    Bad("Agent", "metadata.name", "a" * 53, "metadata.name must be a DNS label of at most 52 characters"),
    Bad("Agent", "metadata.name", "a.b", "metadata.name must be a DNS label"),
    Bad("Tool", "spec.type", "OpenAPI", "spec.type"),
    Bad("Tool", "spec.url", "ftp://crm/", "spec.url"),
    Bad("Tool", "spec.url", "http://user:password@crm/", "spec.url"),
    Bad("Tool", "spec.url", "http://crm/?token=1", "spec.url"),
    Bad("Tool", "spec.auth", {"type": "Basic", "secretRef": {"name": "a", "key": "b"}}, "spec.auth.type"),
    Bad("Tool", "spec.auth.secretRef.key", "a/b", "spec.auth.secretRef.key"),
    Bad("Tool", "spec.actions", [], "spec.actions"),
    Bad("Tool", "spec.actions", [{"name": "a", "access": "Exec", "risk": "Low"}], "spec.actions[0].access"),
    Bad("Tool", "spec.actions", [{"name": "a", "access": "Read"}], "spec.actions[0].risk: Required value"),
    Bad(
        "Tool",
        "spec.actions",
        [{"name": "a", "access": "Read", "risk": "Low"}, {"name": "a", "access": "Write", "risk": "Low"}],
        "spec.actions[1]: Duplicate value",
    ),
    Bad(
        "Tool",
        "spec.actions",
        [{"name": "a", "access": "Read", "risk": "Low", "definitionDigest": "md5:00"}],
        "spec.actions[0].definitionDigest",
    ),
    Bad("Model", "spec.url", "", "spec.url"),
    Bad("Model", "spec.model", "two words", "spec.model"),
    Bad("Model", "spec.apiKey", "made-up", 'unknown field "spec.apiKey"'),
    Bad("Policy", "spec.agents", None, "spec.agents: Required value"),
    Bad("Policy", "spec.agents.matchLabels", {"bad key!": "x"}, "spec.agents.matchLabels"),
    Bad(
        "Policy",
        "spec.agents.matchExpressions",
        [{"key": "tier", "operator": "In"}],
        "values must be given for In and NotIn",
    ),
    Bad("Policy", "spec.rules", [], "spec.rules"),
    Bad(
        "Policy",
        "spec.rules",
        [{"name": "a", "effect": "Hold", "tools": [{"name": "*"}]}],
        "spec.rules[0].effect",
    ),
    Bad("Policy", "spec.rules", [{"name": "a", "effect": "Allow", "tools": []}], "spec.rules[0].tools"),
    Bad(
        "Policy",
        "spec.rules",
        [{"name": "a", "effect": "Allow", "tools": [{"name": "crm", "access": ["Execute"]}]}],
        "spec.rules[0].tools[0].access[0]",
    ),
    Bad(
        "Policy",
        "spec.rules",
        [{"name": "a", "effect": "Allow", "tools": [{"name": "crm"}], "when": "x" * 2049}],
        "spec.rules[0].when",
    ),
    Bad("Policy", "spec.limits", [], 'unknown field "spec.limits"'),
    Bad("Task", "spec.agentRef", None, "spec.agentRef: Required value"),
    Bad("Task", "spec.agentRef.name", LONG, "spec.agentRef.name"),
    Bad("Task", "spec.input", "text", "spec.input"),
    Bad("Task", "spec.deadline", "soon", "spec.deadline"),
    Bad("Task", "spec.deadline", "48h", "deadline must be between 1s and 24h"),
    Bad("Task", "spec.requestedBy", "x" * 257, "spec.requestedBy"),
)


def good(kind: str) -> Manifest:
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "example", "namespace": "default"},
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
    done = cluster.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(manifest)
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_manifest_is_accepted(cluster: Handle, kind: str) -> None:
    code, output = apply(cluster, good(kind))
    assert code == 0, output


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case.kind}-{case.path}-{str(case.value)[:20]}")
def test_a_bad_manifest_is_refused_with_the_name_of_its_field(cluster: Handle, case: Bad) -> None:
    code, output = apply(cluster, changed(good(case.kind), case.path, case.value))
    assert code != 0
    assert case.says in output


def test_a_task_cannot_be_changed_once_it_stands(cluster: Handle) -> None:
    task = good("Task")
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(task))
    try:
        done = cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(changed(task, "spec.deadline", "6m")))
        assert done.returncode != 0
        assert "a Task can't be changed" in done.stderr
    finally:
        cluster.kubectl("delete", "task", "example", "-n", "default")
