"""``aos status`` against a real API server."""

import json

import pytest
from pydantic import JsonValue

from hack.cluster.handle import Handle
from tests.cluster.cli.conftest import NOW, Namespace, condition

DIGEST = "sha256:" + "ab" * 32


def first(value: JsonValue) -> dict[str, JsonValue]:
    assert isinstance(value, list)
    assert isinstance(value[0], dict)
    return value[0]


def deployment(component: str) -> str:
    labels = {"app.kubernetes.io/part-of": "aos", "app.kubernetes.io/component": component}
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"aos-{component}", "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "a", "image": "localhost/none"}]},
                },
            },
        }
    )


def test_an_agent_that_is_not_ready_is_shown_with_the_reason(sales: Namespace) -> None:
    sales.patch_status(
        "agent",
        "enricher",
        {
            "policy": {"digest": DIGEST},
            "conditions": [condition("Ready", "False", "NotEnforced", "a replica is behind")],
        },
    )
    done = sales.aos("status")
    assert done.code == 0, done.err
    row = next(line for line in done.out.splitlines() if line.startswith("enricher"))
    assert "revops" in row
    assert "abababababab" in row
    assert row.endswith("NotEnforced: a replica is behind")


def test_tasks_are_counted_and_the_last_outcome_named(sales: Namespace) -> None:
    for name in ("t1", "t2", "t3"):
        sales.create("Task", name, {"agentRef": {"name": "enricher"}})
    sales.patch_status("task", "t1", {"pod": {"name": "p", "uid": "u"}})
    sales.patch_status(
        "task", "t2", {"conditions": [condition("Succeeded", "False", "OutOfMemory")], "completionTime": NOW}
    )
    agent = first(sales.aos("status", "-o", "json").data["agents"])
    assert (agent["runningTasks"], agent["waitingTasks"]) == (1, 1)
    assert agent["lastTask"] == {"task": "t2", "reason": "OutOfMemory", "time": "2026-01-02T03:04:05+00:00"}
    assert "1 running, 1 waiting" in sales.aos("status").out


def test_an_empty_namespace_says_so(namespace: Namespace) -> None:
    done = namespace.aos("status")
    assert done.code == 0
    assert f"no agents in namespace {namespace.name}" in done.out


@pytest.mark.parametrize(
    "command",
    [
        *("status", "runs", "pending", "show apr-1", "watch outreach-1", "graph outreach"),
        *("run enricher", "run workflow/outreach", "why enricher crm.get_contact"),
    ],
)
def test_a_namespace_that_is_not_there_is_not_taken_for_an_empty_one(cluster: Handle, command: str) -> None:
    done = Namespace(cluster, "no-such").aos(*command.split())
    assert (done.code, done.out) == (3, "")
    assert done.err == "error: there is no namespace no-such; name another with -n\n"


def test_workflows_and_policies_are_shown(sales: Namespace) -> None:
    sales.create("Workflow", "outreach", {"steps": [{"name": "enrich", "agent": "enricher"}]})
    shown = [line.split() for line in sales.aos("status").out.splitlines()]
    assert ["outreach", "unknown", "0"] in [row[:3] for row in shown]
    assert ["baseline", "unknown", "2", "0"] in [row[:4] for row in shown]


def test_every_namespace_is_shown_with_its_name(sales: Namespace) -> None:
    assert f"{sales.name}/enricher" in sales.aos("status", "-A").out


def test_the_state_of_aos_itself_is_shown(sales: Namespace) -> None:
    assert "no operator is installed; no gateway is installed" in sales.aos("status").out
    sales.kubectl("create", "-f", "-", stdin=deployment("gateway"))
    assert f"gateway 0/1 ready in {sales.name}; no operator is installed" in sales.aos("status").out


def test_yaml_and_json_say_the_same(sales: Namespace) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(sales.aos("status", "-o", "yaml").out) == sales.aos("status", "-o", "json").data


def test_who_may_read_one_namespace_sees_it_without_the_state_of_aos(sales: Namespace) -> None:
    kinds = "agents.aos.dev,tools.aos.dev,models.aos.dev,tasks.aos.dev"
    sales.kubectl("create", "role", "reader", "--verb=list", f"--resource={kinds}")
    sales.kubectl("create", "rolebinding", "bob", "--role=reader", "--user=bob")
    user = sales.cluster.user("bob")
    done = sales.aos("status", kubeconfig=user)
    assert done.code == 0, done.err
    assert "its Deployments may not be read by you" in done.out
    assert "workflows: they may not be read by you" in done.out
    everywhere = sales.aos("status", "-A", kubeconfig=user)
    assert everywhere.code == 3
    assert "kubectl auth can-i list" in everywhere.err
