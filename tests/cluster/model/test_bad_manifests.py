"""Bad manifests fail at ``kubectl apply`` with a message that names the field; good ones pass."""

import pytest
import yaml
from pydantic import JsonValue

from hack.cluster.handle import Handle
from tests.cluster.model.manifests import GOOD, Bad, Manifest, apply, changed, good
from tests.unit.model.amounts import IMPOSSIBLE

LONG = "x" * 300
MANY: list[JsonValue] = [f"class-{number}" for number in range(17)]
READ: Manifest = {"name": "a", "access": "Read", "risk": "Low"}
WRITE: Manifest = {"name": "a", "access": "Write", "risk": "Low"}
ANCESTOR: Manifest = {"agent": "lead", "task": "t0", "taskUID": "u"}
RULE: Manifest = {"name": "a", "effect": "Allow", "tools": [{"name": "*"}]}
LIMIT: Manifest = {"name": "a", "calls": 1, "per": "1m"}
BUDGET: Manifest = {"name": "a", "microUSD": 1, "per": "1h"}
CLASSES = "each class must be pii, phi, secret, payment or the name of one of patterns"
OWN_NAME = "a pattern needs a name of its own that stands in redact or in block"

NO_URLS = (
    "http://crm:99999/v1",
    "http://crm:0/v1",
    "http://crm:/v1",
    "http://[[:/",
    "http://[::1/",
    "http://[:::]/",
    "http://[1.2.3.4]/",
    "http://crm..svc/",
    "http://-crm/",
    "http://crm/%zz",
)
NO_IMAGES = ("; rm", "a:b:c@@", "a:b:c", "a@sha256:12", "registry.example.com/Team/a", "a//b", "a:")
GOOD_URLS = (
    "https://[2001:db8::1]:8443/v1",
    "http://crm.sales.svc.cluster.local.:65535/a%20b",
    "http://10.0.0.1",
)
GOOD_IMAGES = (
    "agent",
    "localhost/aos:dev",
    "registry.example.com:5000/team/a_b/c--d:V1.2_3-x",
    f"registry.example.com/team/agent:7@sha256:{'0' * 64}",
)

BAD = (
    *(Bad(kind, "spec.url", url, "spec.url") for kind in ("Tool", "Model") for url in NO_URLS),
    *(Bad("Agent", "spec.runtime.image", image, "spec.runtime.image") for image in NO_IMAGES),
    Bad("Agent", "spec.owner.team", " ", "spec.owner.team"),
    Bad("Agent", "spec.instructions", " \n\t", "spec.instructions"),
    Bad("Agent", "spec.input.schema", {"type": "objekt"}, "spec.input.schema.type"),
    Bad("Agent", "spec.output.schema", {"type": "objekt"}, "spec.output.schema.type"),
    Bad("Agent", "spec.output.schema", {"type": ["object"]}, "spec.output.schema.type"),
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
    Bad("Agent", "spec.delegates", ["Writer"], "spec.delegates[0]"),
    Bad("Agent", "spec.delegates", ["writer", "writer"], 'spec.delegates[1]: Duplicate value: "writer"'),
    Bad("Agent", "spec.delegates", [f"a{number}" for number in range(33)], "spec.delegates: Too many"),
    Bad("Agent", "spec.input", {}, "spec.input.schema: Required value"),
    Bad("Agent", "spec.runtime.mode", "Daemon", 'spec.runtime.mode: Unsupported value: "Daemon"'),
    Bad("Agent", "spec.runtime.imagePullSecrets", ["Team"], "spec.runtime.imagePullSecrets[0]"),
    Bad(
        "Agent",
        "spec.runtime.imagePullSecrets",
        ["a", "a"],
        'spec.runtime.imagePullSecrets[1]: Duplicate value: "a"',
    ),
    Bad(
        "Agent",
        "spec.runtime.imagePullSecrets",
        [f"a{number}" for number in range(9)],
        "spec.runtime.imagePullSecrets: Too many",
    ),
    Bad("Agent", "spec.runtime.resources.limits.cpu", "much", "spec.runtime.resources.limits.cpu"),
    *(
        Bad("Agent", f"spec.runtime.resources.limits.{name}", value, f"spec.runtime.resources.limits.{name}")
        for name, value in IMPOSSIBLE
    ),
    Bad(
        "Agent",
        "spec.runtime.resources.requests",
        {"cpu": "501m"},
        "requests.cpu must be at most limits.cpu",
    ),
    Bad(
        "Agent",
        "spec.runtime.resources.requests",
        {"memory": "1Gi"},
        "requests.memory must be at most limits.memory",
    ),
    Bad("Agent", "spec.suspend", "yes", "spec.suspend"),
    Bad("Agent", "spec.autonomy", "Free", 'spec.autonomy: Unsupported value: "Free"'),
    Bad("Agent", "metadata.name", "a" * 53, "metadata.name must be a DNS label of at most 52 characters"),
    Bad("Agent", "metadata.name", "a.b", "metadata.name must be a DNS label"),
    Bad("Tool", "spec.type", "SOAP", "spec.type"),
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
    Bad("Tool", "spec.actions", [{**READ, "dataClasses": ["PII"]}], "spec.actions[0].dataClasses[0]"),
    Bad(
        "Tool",
        "spec.actions",
        [{**READ, "dataClasses": ["pii", "pii"]}],
        "spec.actions[0].dataClasses[1]: Duplicate value",
    ),
    Bad("Tool", "spec.actions", [{**READ, "dataClasses": MANY}], "spec.actions[0].dataClasses: Too many"),
    Bad(
        "Tool",
        "spec.actions",
        [{**READ, "record": "contact"}],
        "only an action with access Write changes a record",
    ),
    Bad("Tool", "spec.actions", [{**WRITE, "record": ""}], "spec.actions[0].record"),
    Bad("Tool", "spec.actions", [{**WRITE, "record": "x" * 513}], "spec.actions[0].record"),
    Bad(
        "Tool",
        "spec.actions",
        [{**READ, "idempotent": False}],
        "only an action with access Write needs idempotent",
    ),
    Bad("Tool", "spec.actions", [{**WRITE, "idempotent": "yes"}], "spec.actions[0].idempotent"),
    Bad("Tool", "spec.actions", [{**READ, "costMicroUSD": -1}], "spec.actions[0].costMicroUSD"),
    Bad("Tool", "spec.actions", [{**READ, "costMicroUSD": 1_000_000_001}], "spec.actions[0].costMicroUSD"),
    Bad("Tool", "spec.actions", [{**READ, "costMicroUSD": 0.5}], "spec.actions[0].costMicroUSD"),
    Bad("Model", "spec.prices", {"inputMicroUSD": 1}, "spec.prices.outputMicroUSD: Required value"),
    Bad("Model", "spec.prices", {"outputMicroUSD": 1}, "spec.prices.inputMicroUSD: Required value"),
    Bad("Model", "spec.prices.inputMicroUSD", -1, "spec.prices.inputMicroUSD"),
    Bad("Model", "spec.prices.outputMicroUSD", 1_000_000_000_001, "spec.prices.outputMicroUSD"),
    Bad("Model", "spec.prices.currency", "EUR", 'unknown field "spec.prices.currency"'),
    Bad("Policy", "spec.limits", [{**LIMIT, "scope": "Tenant"}], "only a ClusterPolicy may use it"),
    Bad("Policy", "spec.budgets", [{**BUDGET, "scope": "Tenant"}], "only a ClusterPolicy may use it"),
    Bad("Policy", "spec.namespaces", {}, 'unknown field "spec.namespaces"'),
    Bad("ClusterPolicy", "spec.namespaces", None, "spec.namespaces: Required value"),
    Bad("ClusterPolicy", "spec.namespaces.matchLabels", {"bad key!": "x"}, "spec.namespaces.matchLabels"),
    Bad("ClusterPolicy", "spec.agents.matchLabels", {"bad key!": "x"}, "spec.agents.matchLabels"),
    Bad("ClusterPolicy", "spec.rules", [], "spec.rules"),
    Bad("ClusterPolicy", "spec.rules", [{**RULE, "effect": "Hold"}], "spec.rules[0].effect"),
    Bad("ClusterPolicy", "spec.rules", [{**RULE, "tools": []}], "spec.rules[0].tools"),
    Bad("ClusterPolicy", "spec.rules", [{**RULE, "when": "x" * 2049}], "spec.rules[0].when"),
    Bad("ClusterPolicy", "metadata.name", "a.b", "metadata.name must be a DNS label"),
    Bad("Task", "spec.agentRef", None, "spec.agentRef: Required value"),
    Bad("Task", "spec.agentRef.name", LONG, "spec.agentRef.name"),
    Bad("Task", "spec.input", "text", "spec.input"),
    Bad("Task", "spec.deadline", "soon", "spec.deadline"),
    Bad("Task", "spec.deadline", "48h", "deadline must be between 1s and 24h"),
    Bad("Task", "spec.requestedBy", "x" * 257, "spec.requestedBy"),
    Bad("Task", "spec.lineage", [{"agent": "lead", "task": "t0"}], "spec.lineage[0].taskUID: Required value"),
    Bad("Task", "spec.lineage", [{**ANCESTOR, "agent": "Lead"}], "spec.lineage[0].agent"),
    Bad("Task", "spec.lineage", [{**ANCESTOR, "taskUID": "x" * 65}], "spec.lineage[0].taskUID"),
    Bad("Task", "spec.lineage", [ANCESTOR] * 17, "spec.lineage: Too many"),
)


def bad_rules(kind: str) -> tuple[Bad, ...]:
    """What Policy and ClusterPolicy have in common, so that neither takes what the other refuses."""
    return (
        Bad(kind, "spec.rules", [{**RULE, "name": "Read it"}], "spec.rules[0].name"),
        Bad(kind, "spec.rules", [RULE, RULE], "spec.rules[1]: Duplicate value"),
        Bad(kind, "spec.rules", [{**RULE, "tools": [{"name": "two words"}]}], "spec.rules[0].tools[0].name"),
        Bad(
            kind,
            "spec.rules",
            [{**RULE, "tools": [{"name": "*", "risk": ["Severe"]}]}],
            "spec.rules[0].tools[0].risk[0]",
        ),
        Bad(
            kind,
            "spec.rules",
            [{**RULE, "tools": [{"name": "*", "risk": ["Low", "Low"]}]}],
            "spec.rules[0].tools[0].risk[1]: Duplicate value",
        ),
        Bad(
            kind,
            "spec.rules",
            [{**RULE, "tools": [{"name": "*", "dataClasses": ["a b"]}]}],
            "spec.rules[0].tools[0].dataClasses[0]",
        ),
        Bad(kind, "spec.rules", [{**RULE, "priority": 1}], 'unknown field "spec.rules[0].priority"'),
        Bad(kind, "spec.limits", [{**LIMIT, "name": ""}], "spec.limits[0].name"),
        Bad(kind, "spec.limits", [LIMIT, LIMIT], "spec.limits[1]: Duplicate value"),
        Bad(kind, "spec.limits", [{**LIMIT, "calls": 0}], "spec.limits[0].calls"),
        Bad(kind, "spec.limits", [{**LIMIT, "calls": 1_000_000_001}], "spec.limits[0].calls"),
        Bad(kind, "spec.limits", [{"name": "a", "calls": 1}], "spec.limits[0].per: Required value"),
        Bad(kind, "spec.limits", [{"name": "a", "per": "1m"}], "spec.limits[0].calls: Required value"),
        Bad(kind, "spec.limits", [{**LIMIT, "per": "a minute"}], "spec.limits[0].per"),
        Bad(kind, "spec.limits", [{**LIMIT, "per": "500ms"}], "per must be between 1s and 720h"),
        Bad(kind, "spec.limits", [{**LIMIT, "per": "721h"}], "per must be between 1s and 720h"),
        Bad(kind, "spec.limits", [{**LIMIT, "scope": "Person"}], "spec.limits[0].scope"),
        Bad(
            kind,
            "spec.limits",
            [{**LIMIT, "tools": [{"access": ["Read"]}]}],
            "spec.limits[0].tools[0].name: Required",
        ),
        Bad(kind, "spec.limits", [{**LIMIT, "name": f"l{n}"} for n in range(33)], "spec.limits: Too many"),
        Bad(kind, "spec.budgets", [{**BUDGET, "name": "A"}], "spec.budgets[0].name"),
        Bad(kind, "spec.budgets", [BUDGET, BUDGET], "spec.budgets[1]: Duplicate value"),
        Bad(kind, "spec.budgets", [{**BUDGET, "microUSD": 0}], "spec.budgets[0].microUSD"),
        Bad(kind, "spec.budgets", [{**BUDGET, "microUSD": 1.5}], "spec.budgets[0].microUSD"),
        Bad(kind, "spec.budgets", [{**BUDGET, "tokens": 0}], "spec.budgets[0].tokens"),
        Bad(kind, "spec.budgets", [{**BUDGET, "tokens": 1_000_000_000_001}], "spec.budgets[0].tokens"),
        Bad(kind, "spec.budgets", [{**BUDGET, "calls": 0}], "spec.budgets[0].calls"),
        Bad(kind, "spec.budgets", [{**BUDGET, "usd": 5}], 'unknown field "spec.budgets[0].usd"'),
        Bad(kind, "spec.budgets", [{**BUDGET, "per": "0s"}], "per must be between 1s and 720h"),
        Bad(kind, "spec.budgets", [{**BUDGET, "per": "1000h"}], "per must be between 1s and 720h"),
        Bad(kind, "spec.budgets", [{**BUDGET, "scope": "Person"}], "spec.budgets[0].scope"),
        Bad(
            kind,
            "spec.budgets",
            [{"name": "a", "calls": 1}],
            "give per: only a budget of scope Task or Workflow may do without",
        ),
        Bad(
            kind,
            "spec.budgets",
            [{"name": "a", "calls": 1, "scope": "Namespace"}],
            "give per: only a budget of scope Task or Workflow may do without",
        ),
        Bad(
            kind,
            "spec.budgets",
            [{"name": "a", "per": "1h"}],
            "give at least one of microUSD, tokens and calls",
        ),
        Bad(kind, "spec.data", {"redact": ["badge"]}, CLASSES),
        Bad(kind, "spec.data", {"block": ["badge"]}, CLASSES),
        Bad(kind, "spec.data", {"redact": ["pii", "pii"]}, "spec.data.redact[1]: Duplicate value"),
        Bad(kind, "spec.data", {"block": MANY}, "spec.data.block: Too many"),
        Bad(kind, "spec.data", {"redact": ["pii"], "in": []}, "spec.data.in"),
        Bad(kind, "spec.data", {"redact": ["pii"], "in": ["Both"]}, "spec.data.in[0]"),
        Bad(kind, "spec.data", {"patterns": [{"name": "badge", "regex": "x"}]}, OWN_NAME),
        Bad(kind, "spec.data", {"redact": ["pii"], "patterns": [{"name": "pii", "regex": "x"}]}, OWN_NAME),
        Bad(
            kind, "spec.data", {"redact": ["badge"], "patterns": [{"name": "badge"}]}, "regex: Required value"
        ),
        Bad(
            kind,
            "spec.data",
            {"redact": ["badge"], "patterns": [{"name": "badge", "regex": "x" * 513}]},
            "spec.data.patterns[0].regex",
        ),
        Bad(
            kind,
            "spec.data",
            {"redact": ["b"], "patterns": [{"name": "b", "regex": "x"}, {"name": "b", "regex": "y"}]},
            "spec.data.patterns[1]: Duplicate value",
        ),
        Bad(
            kind,
            "spec.data",
            {"projections": [{"tools": [{"name": "*"}], "fields": []}]},
            "projections[0].fields",
        ),
        Bad(kind, "spec.data", {"projections": [{"tools": [], "fields": ["a"]}]}, "projections[0].tools"),
        Bad(
            kind,
            "spec.data",
            {"projections": [{"tools": [{"name": "*"}], "fields": ["a..b"]}]},
            "projections[0].fields[0]",
        ),
        Bad(
            kind,
            "spec.data",
            {"projections": [{"tools": [{"name": "*"}], "fields": ["$.a"]}]},
            "projections[0].fields[0]",
        ),
        Bad(kind, "spec.data", {"urls": {"allowHosts": []}}, "spec.data.urls.allowHosts"),
        Bad(kind, "spec.data", {"urls": {"allowHosts": ["*"]}}, "spec.data.urls.allowHosts[0]"),
        Bad(kind, "spec.data", {"urls": {"allowHosts": ["a.*.b"]}}, "spec.data.urls.allowHosts[0]"),
        Bad(kind, "spec.data", {"urls": {"allowHosts": ["https://a.b/"]}}, "spec.data.urls.allowHosts[0]"),
        Bad(kind, "spec.data", {"urls": {"denyHosts": ["a"]}}, 'unknown field "spec.data.urls.denyHosts"'),
        Bad(kind, "spec.data", {"maxRequestBytes": 63}, "spec.data.maxRequestBytes"),
        Bad(kind, "spec.data", {"maxRequestBytes": 67_108_865}, "spec.data.maxRequestBytes"),
        Bad(kind, "spec.data", {"maxResponseBytes": 0}, "spec.data.maxResponseBytes"),
        Bad(kind, "spec.loops", {"maxDepth": 0}, "spec.loops.maxDepth"),
        Bad(kind, "spec.loops", {"maxDepth": 17}, "spec.loops.maxDepth"),
        Bad(kind, "spec.loops", {"maxVisits": 0}, "spec.loops.maxVisits"),
        Bad(kind, "spec.loops", {"maxIdenticalCalls": 0}, "spec.loops.maxIdenticalCalls"),
        Bad(kind, "spec.loops", {"maxCallsPerTask": 0}, "spec.loops.maxCallsPerTask"),
        Bad(kind, "spec.conflicts", {"leaseSeconds": 0}, "spec.conflicts.leaseSeconds"),
        Bad(kind, "spec.conflicts", {"leaseSeconds": 86_401}, "spec.conflicts.leaseSeconds"),
        Bad(kind, "spec.conflicts", {"duplicateWindowSeconds": -1}, "spec.conflicts.duplicateWindowSeconds"),
        Bad(
            kind,
            "spec.conflicts",
            {"duplicateWindowSeconds": 86_401},
            "spec.conflicts.duplicateWindowSeconds",
        ),
        Bad(kind, "spec.incidents", [], 'unknown field "spec.incidents"'),
    )


CASES = (*BAD, *bad_rules("Policy"), *bad_rules("ClusterPolicy"))


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_manifest_is_accepted(cluster: Handle, kind: str) -> None:
    code, output = apply(cluster, good(kind))
    assert code == 0, output


@pytest.mark.parametrize("kind", ["Policy", "ClusterPolicy"])
def test_a_policy_of_the_largest_size_is_within_the_api_servers_limit_of_cost(
    cluster: Handle, kind: str
) -> None:
    names: list[JsonValue] = [f"class-{number}" for number in range(16)]
    patterns: list[JsonValue] = [{"name": name, "regex": "x" * 512} for name in names]
    tools: list[JsonValue] = [{"name": "x" * 128, "actions": ["a"] * 64}] * 32
    labels: Manifest = {f"{'a' * 200}.example/{'b' * 40}-{number}": "c" * 63 for number in range(32)}
    manifest = good(kind)
    parts: dict[str, JsonValue] = {
        "spec.agents": {"matchLabels": labels},
        "spec.rules": [{**RULE, "name": f"r{number}", "when": "x" * 2048} for number in range(200)],
        "spec.limits": [{**LIMIT, "name": f"l{number}", "tools": tools} for number in range(32)],
        "spec.budgets": [{**BUDGET, "name": f"b{number}"} for number in range(32)],
        "spec.data": {"redact": names, "block": names, "patterns": patterns},
    }
    for path, value in parts.items():
        manifest = changed(manifest, path, value)
    # `kubectl apply` would keep a copy in an annotation, which is shorter than what may be stored.
    done = cluster.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(manifest)
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.path}-{str(case.value)[:40]}")
def test_a_bad_manifest_is_refused_with_the_name_of_its_field(cluster: Handle, case: Bad) -> None:
    code, output = apply(cluster, changed(good(case.kind), case.path, case.value))
    assert code != 0
    assert case.says in output


@pytest.mark.parametrize("case", [BAD[0], BAD[-1], Bad("Task", "spec.oops", 1, 'unknown field "spec.oops"')])
def test_kubectl_says_it_in_the_same_words(cluster: Handle, case: Bad) -> None:
    manifest = yaml.safe_dump(changed(good(case.kind), case.path, case.value))
    done = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)
    assert done.returncode != 0
    assert case.says in done.stderr


def test_a_task_cannot_be_changed_once_it_stands(cluster: Handle) -> None:
    task = good("Task")
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(task))
    try:
        done = cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(changed(task, "spec.deadline", "6m")))
        assert done.returncode != 0
        assert "a Task can't be changed" in done.stderr
    finally:
        cluster.kubectl("delete", "task", "example", "-n", "default")


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        *((kind, "spec.url", url) for kind in ("Tool", "Model") for url in GOOD_URLS),
        *(("Agent", "spec.runtime.image", image) for image in GOOD_IMAGES),
    ],
)
def test_urls_and_images_that_can_work_are_taken(
    control_plane: Handle, kind: str, path: str, value: str
) -> None:
    returncode, said = apply(control_plane, changed(good(kind), path, value))
    assert returncode == 0, said


def test_other_keywords_of_a_schema_stay_as_they_are(control_plane: Handle) -> None:
    schema: Manifest = {"type": "object", "x-own": {"a": [1]}, "properties": {"lead": {"type": "string"}}}
    returncode, said = apply(control_plane, changed(good("Agent"), "spec.input.schema", schema))
    assert returncode == 0, said
