"""The demonstration's Task and its approval, against a real API server; the tests are operator and gateway."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pydantic import JsonValue

from aos.model.approval_request import Verdict
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.demo import example
from hack.demo.access import Access, DemoError
from hack.demo.approval import APPROVER, Desk
from hack.demo.people import kubeconfig_of
from hack.demo.proof import Decided
from hack.demo.settings import Settings
from hack.demo.work import run_task
from tests.cluster.cli.conftest import NOW, condition, until

SCRIPTED = Settings(kubeconfig=None, image="localhost/aos:dev", builds_image=True, model=None)
NAME = "apr-0123456789abcdef"
DIGEST = "sha256:" + "0" * 64
LEADS: dict[str, JsonValue] = {
    "rule": "Policy sales-baseline, approval outbound",
    "required": 1,
    "approvers": {"groups": ["sales-leads"]},
}
VERBS: dict[str, JsonValue] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "aos-approver"},
    "rules": [
        {
            "apiGroups": ["aos.dev"],
            "resources": ["approvalrequests"],
            "verbs": ["get", "list", "watch", "update", "patch", "approve"],
        }
    ],
}


@pytest.fixture(scope="module")
def access(cluster: Handle, tmp_path_factory: pytest.TempPathFactory) -> Access:
    made = Access(cluster, replace(Paths.from_environment(), state=tmp_path_factory.mktemp("state")))
    made.apply(
        example.manifests(
            [example.SALES.folder / name for name in (example.NAMESPACES, "approvers.yaml")], SCRIPTED
        )
    )
    made.apply(json.dumps(VERBS))
    return made


@pytest.fixture
def request_name(access: Access) -> Iterator[str]:
    """A call that waits, of a Task that the administrator asked for."""
    me = access.kubectl.must("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    create(access, me, LEADS)
    yield NAME
    access.kubectl.must("delete", "approvalrequest", NAME, "-n", example.TEAM)


def create(access: Access, requested_by: str, quorum: JsonValue) -> None:
    spec: dict[str, JsonValue] = {
        "agent": {"name": "lead-enricher", "revision": "lead-enricher-1"},
        "task": {"name": "enrich", "uid": "uid-1"},
        "requestedBy": requested_by,
        "tool": "crm",
        "action": "update_contact",
        "access": "Write",
        "risk": "Medium",
        "summary": "lead-enricher wants to call crm.update_contact",
        "arguments": '{"id": "emea-0001"}',
        "argumentsDigest": DIGEST,
        "definitionDigest": DIGEST,
        "policyDigest": DIGEST,
        "quorums": [quorum],
        "expiresAt": "2999-01-01T00:00:00Z",
    }
    manifest = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "ApprovalRequest",
        "metadata": {"name": NAME, "namespace": example.TEAM},
        "spec": spec,
    }
    access.kubectl.must("create", "-f", "-", stdin=json.dumps(manifest))


def desk(access: Access, *, asks: bool = False) -> Desk:
    return Desk(access, kubeconfig_of(access, APPROVER), asks=asks)


def decisions(access: Access, name: str) -> JsonValue:
    shown = access.kubectl.must("get", "approvalrequest", name, "-n", example.TEAM, "-o", "json")
    found: JsonValue = json.loads(shown)["spec"].get("decisions", [])
    return found


def test_demo_approver_approves_what_the_requester_cannot(
    access: Access, request_name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert desk(access).waiting("another") == []
    [request] = desk(access).waiting("enrich")
    assert desk(access).decide(request) == Decided("update_contact", Verdict.APPROVE)
    assert decisions(access, request_name) == [
        {"approver": "demo-approver", "verdict": "Approve", "groups": ["sales-leads"]}
    ]
    shown = capfd.readouterr().out
    assert "Whoever asked for the Task can't approve it: error: apr-0123456789abcdef: you asked for" in shown
    assert "emea-0001" in shown
    assert desk(access).waiting("enrich") == []


def test_a_person_at_the_terminal_may_say_no(
    access: Access, request_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    [request] = desk(access).waiting("enrich")
    assert desk(access, asks=True).decide(request) == Decided("update_contact", Verdict.REJECT)
    [said] = json.loads(json.dumps(decisions(access, request_name)))
    assert (said["approver"], said["verdict"]) == ("demo-approver", "Reject")


def test_a_requester_who_could_approve_fails_the_demonstration(access: Access, request_name: str) -> None:
    access.kubectl.must("delete", "approvalrequest", request_name, "-n", example.TEAM)
    create(access, "somebody-else", {"rule": "risk Medium", "required": 1})
    [request] = desk(access).waiting("enrich")
    with pytest.raises(DemoError, match="was approved by the one who asked"):
        desk(access).decide(request)


def end(access: Access, status: str, reason: str) -> None:
    """Wait for the demonstration's Task, and end it as the operator would."""
    found = ""

    def is_there() -> bool:
        nonlocal found
        found = access.kubectl.must("get", "tasks", "-n", example.TEAM, "-o", "name").strip()
        return bool(found)

    until(is_there)
    ended = {"conditions": [condition("Succeeded", status, reason)], "completionTime": NOW}
    patch = json.dumps({"status": ended})
    access.kubectl.must(
        "patch", found, "-n", example.TEAM, "--subresource=status", "--type=merge", "-p", patch
    )


@pytest.fixture
def agent(access: Access) -> Iterator[None]:
    access.apply(example.manifests([example.SALES.folder / "agents.yaml"], SCRIPTED))
    yield
    access.kubectl.must("delete", "agents,tasks", "--all", "-n", example.TEAM)


def test_a_task_that_ends_without_a_call_that_waits_is_told_as_it_ended(access: Access, agent: None) -> None:
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run_task, desk(access))
        end(access, "True", "Completed")
        worked = working.result(timeout=60)
    assert worked.decided == ()
    assert worked.task.ended


def test_a_task_that_fails_fails_the_demonstration(access: Access, agent: None) -> None:
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run_task, desk(access))
        end(access, "False", "AgentFailed")
        with pytest.raises(DemoError, match="AgentFailed"):
            working.result(timeout=60)
