"""One budget of money, three agents, two gateways on PostgreSQL, and one gateway that dies: it ends where it should."""

from collections.abc import Iterator

import pytest

from aos.kube.objects import metadata_of
from hack.cluster.handle import Handle
from hack.demo.access import Access, chart
from hack.demo.installation import RELEASE, paths
from tests.e2e.deaths import kill
from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, wait_for

AGENTS = ("spender-1", "spender-2", "spender-3")
BUDGET_MICRO_USD = 1_000_000
PRICE_MICRO_USD = 10_000
CALLS_PAID = BUDGET_MICRO_USD // PRICE_MICRO_USD
CALLS_A_TURN = 12
TURNS = 5
SECRET = "aos-store"
LABELS: JsonObject = {"role": "spender", "territory": "emea"}
SPENT = "search_contacts"
WAVES = ("first", "second")


@pytest.fixture
def two_gateways(
    aos: Installation, node: Handle, postgres_url: str, *, node_was_there: bool
) -> Iterator[Installation]:
    """AOS with two gateways on one PostgreSQL server; afterwards as it was, where it stays.

    ``postgres_url`` is of a server that pods of the node can reach.
    """
    access = Access(node, paths())
    manifest: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": SYSTEM},
        "stringData": {"url": postgres_url},
    }
    aos.apply(manifest)
    upgrade(
        access, "gateway.replicas=2,gateway.store.emptyDir=false", f"gateway.store.existingSecret={SECRET}"
    )
    access.rollout(SYSTEM, "aos-gateway", seconds=110)
    yield aos
    if not node_was_there:
        return  # it ends with these tests, of which this is the last that uses AOS
    upgrade(access, "gateway.replicas=1,gateway.store.emptyDir=true", "gateway.store.existingSecret=")
    access.rollout(SYSTEM, "aos-gateway", seconds=110)
    aos.delete("secret", SECRET, namespace=SYSTEM)


def upgrade(access: Access, *values: str) -> None:
    settings = [f"--set={value}" for value in values]
    access.helm(
        "upgrade",
        RELEASE,
        str(chart()),
        f"--namespace={SYSTEM}",
        "--reuse-values",
        *settings,
        "--wait",
        "--timeout=180s",
    )


@pytest.fixture
def spenders(two_gateways: Installation) -> Iterator[Installation]:
    """Three agents that pay for each search from one budget of 1 USD; their model costs nothing."""
    aos = two_gateways
    aos.apply(*spending(aos))
    aos.becomes("agent", *AGENTS)
    yield aos
    aos.delete("task", *(f"{wave}-{agent}" for wave in WAVES for agent in AGENTS))
    aos.delete("agent", *AGENTS)
    for kind, name in (("policy", "spenders"), ("tool", "metered"), ("model", "free")):
        aos.delete(kind, name)


def spending(aos: Installation) -> list[JsonObject]:
    crm, model = aos.get("tool", "crm"), aos.get("model", "default")
    search: JsonObject = {"name": SPENT, "access": "Read", "risk": "Low", "costMicroUSD": PRICE_MICRO_USD}
    budget: JsonObject = {
        "name": "dollar",
        "microUSD": BUDGET_MICRO_USD,
        "per": "24h",
        "scope": "Namespace",
    }
    policy: JsonObject = {
        "agents": {"matchLabels": {"role": "spender"}},
        "rules": [{"name": "search", "effect": "Allow", "tools": [{"name": "metered"}]}],
        "budgets": [budget],
    }
    free: JsonObject = {"inputMicroUSD": 0, "outputMicroUSD": 0}
    agent: JsonObject = {
        "owner": {"team": "tests"},
        "instructions": "Search.",
        "model": {"name": "free", "temperature": 0},
        "tools": [{"name": "metered", "actions": [SPENT]}],
    }
    address = {name: at(crm, f"spec.{name}") for name in ("type", "url", "auth")}
    reached = {name: at(model, f"spec.{name}") for name in ("url", "model", "auth")}
    return [
        made(aos.namespace, "Tool", "metered", {**address, "actions": [search]}),
        made(aos.namespace, "Model", "free", {**reached, "prices": free}),
        made(aos.namespace, "Policy", "spenders", policy),
        *(made(aos.namespace, "Agent", name, agent, LABELS) for name in AGENTS),
    ]


def made(
    namespace: str, kind: str, name: str, spec: JsonObject, labels: JsonObject | None = None
) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "aos.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def spend(aos: Installation, wave: str) -> list[str]:
    """Let each agent try to make sixty different searches; return its Tasks."""
    tasks = []
    for agent in AGENTS:
        turns: list[JsonObject] = [
            {"calls": [search(f"{wave} {agent} {turn} {call}") for call in range(CALLS_A_TURN)]}
            for turn in range(TURNS)
        ]
        work: JsonObject = {"script": [*turns, {"output": {"summary": "done", "score": 0.5}}]}
        task = made(
            aos.namespace,
            "Task",
            f"{wave}-{agent}",
            {"agentRef": {"name": agent}, "input": work, "deadline": "5m"},
        )
        aos.apply(task)
        tasks.append(f"{wave}-{agent}")
    return tasks


def search(query: str) -> JsonObject:
    return {"tool": f"metered.{SPENT}", "args": {"territory": "emea", "query": query}}


def searches(aos: Installation) -> int:
    """How many searches reached the CRM."""
    return sum(line["action"] == SPENT for line in aos.crm_log())


def test_a_budget_of_one_dollar_ends_at_one_dollar_though_a_gateway_dies(spenders: Installation) -> None:
    aos = spenders
    before = searches(aos)
    first = spend(aos, WAVES[0])
    wait_for(lambda: searches(aos) >= before + 10 or None, "the first searches")
    pods = aos.items("pods", "app.kubernetes.io/component=gateway", namespace=SYSTEM)
    # One of an earlier rollout may still be on its way out.
    assert len([pod for pod in pods if "deletionTimestamp" not in metadata_of(pod)]) == 2
    kill(aos, "gateway")
    for task in first:
        aos.ended(task, 400)
    second = spend(aos, WAVES[1])
    aos.becomes("agent", *AGENTS, wanted="WithinBounds", status="False", seconds=300)
    for task in second:
        aos.ended(task, 400)
    spent = searches(aos) - before
    assert spent <= CALLS_PAID, "the budget was overrun"
    # What was on its way through the gateway that died stays charged: a few calls, and never more.
    assert spent >= CALLS_PAID - CALLS_A_TURN * len(AGENTS)
    refused = [line for task in second for line in aos.decisions(task) if line["reason"] == "BudgetExceeded"]
    assert refused
