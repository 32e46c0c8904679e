"""People decide by ``aos`` against a real API server, under the real admission policy; the test plays the operator."""

import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from pydantic import JsonValue

from aos.kube.objects import child, children
from aos.kube.resources import APPROVAL_REQUESTS
from aos.reconcile.admission.approval_decisions import approval_decisions
from aos.reconcile.admission.shape import Who, service_account
from hack.cluster.handle import Handle
from tests.cluster.api import MERGE_PATCH, RefusedError, api
from tests.cluster.cli.conftest import AOS, Finished, Namespace, Object, condition, new_namespace, until

ROOT: Final = Path(__file__).resolve().parents[3]
DIGEST: Final = "sha256:" + "0" * 64
LEADS: Final[Object] = {"rule": "outbound", "required": 1, "approvers": {"groups": ["sales-leads"]}}
TWO_PEOPLE: Final[Object] = {"rule": "risk High", "required": 2}
PEOPLE: Final = (
    ("bea", "staff", "approvers", "sales-leads"),
    ("dan", "staff", "approvers"),
    ("ana", "staff", "approvers", "sales-leads"),
    ("eve", "staff", "sales-leads"),
    ("tim", "staff", "trainees", "sales-leads"),
    ("system:robot", "staff", "approvers", "sales-leads"),
)
"""Each with their groups."""
GUARDED: Final = {"tests.aos.dev/decisions": "guarded"}
"""Labels of the namespaces that the admission policy holds for: no other test of this API server is in its way, nor it in theirs."""
ROLES: Final[Mapping[str, Object]] = {
    "reader": {"verbs": ["get", "list", "watch", "patch"]},
    "approver": {"verbs": ["approve"]},
    "approver-of-one": {"verbs": ["approve"], "resourceNames": ["apr-2"]},
}
HOLDERS: Final = (("reader", "staff"), ("approver", "approvers"), ("approver-of-one", "trainees"))
RBAC: Final = "rbac.authorization.k8s.io"


@pytest.fixture(scope="session")
def guarded(cluster: Handle) -> Handle:
    """The API server with the admission policy that holds decisions, in the namespaces with its label."""
    accounts = (
        "system:serviceaccount:aos-system:aos-operator",
        "system:serviceaccount:aos-system:aos-gateway",
    )
    policy = approval_decisions(Who(*map(service_account, accounts)))
    binding = policy.binding()
    child(binding, "spec")["matchResources"] = {"namespaceSelector": {"matchLabels": dict(GUARDED)}}
    both = [policy.manifest(), binding]
    applied = cluster.kubectl(
        "apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, both))
    )
    assert applied.ok, applied.stderr
    return cluster


@pytest.fixture(scope="module")
def people(guarded: Handle) -> Mapping[str, Path]:
    """Kubeconfigs of people by their names."""
    made: dict[str, Path] = {}
    for name, *groups in PEOPLE:
        issued = guarded.user(name, *groups)
        # A colon would separate two paths.
        made[name] = issued.rename(issued.with_name(issued.name.replace(":", "-")))
    return made


class Desk:
    """Requests of one namespace, and people who may or may not decide them."""

    def __init__(self, namespace: Namespace, people: Mapping[str, Path]) -> None:
        self.namespace = namespace
        self._people = people
        self._api = api(namespace.cluster.kubeconfig)
        for name, rule in ROLES.items():
            rules: JsonValue = [{"apiGroups": ["aos.dev"], "resources": ["approvalrequests"], **rule}]
            self._create("Role", name, rules=rules)
        for role, group in HOLDERS:
            of: JsonValue = {"apiGroup": RBAC, "kind": "Role", "name": role}
            to: JsonValue = [{"apiGroup": RBAC, "kind": "Group", "name": group}]
            self._create("RoleBinding", role, roleRef=of, subjects=to)

    def _create(self, kind: str, name: str, **parts: JsonValue) -> None:
        metadata: JsonValue = {"name": name}
        manifest = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, **parts}
        self._api.create(manifest, self.namespace.name)

    def ask(self, name: str, *quorums: Object, **spec: JsonValue) -> None:
        labels: JsonValue = {"aos.dev/task": "t1"}
        full: Object = {
            "agent": {"name": "enricher", "revision": "enricher-1"},
            "task": {"name": "t1", "uid": "u1"},
            "requestedBy": "ana",
            "tool": "crm",
            "action": "update_contact",
            "access": "Write",
            "risk": "Medium",
            "record": "contact/emea-1",
            "summary": "enricher would call crm.update_contact on contact/emea-1",
            "arguments": '{"id": "emea-1"}',
            "argumentsDigest": DIGEST,
            "definitionDigest": DIGEST,
            "policyDigest": DIGEST,
            "quorums": list(quorums or (LEADS,)),
            "expiresAt": "2099-01-01T00:00:00Z",
            **spec,
        }
        manifest: Object = {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "ApprovalRequest",
            "metadata": {"name": name, "labels": labels},
            "spec": full,
        }
        self._api.create(manifest, self.namespace.name)

    def aos(self, person: str, *arguments: str) -> Finished:
        return self.namespace.aos(*arguments, kubeconfig=self._people[person])

    def start(self, person: str, *arguments: str) -> "subprocess.Popen[str]":
        return self.namespace.start_aos(*arguments, f"--kubeconfig={self._people[person]}")

    def listed(self, person: str) -> list[str]:
        done = self.aos(person, "pending", "-o", "name")
        assert done.code == 0, done.err
        return done.out.split()

    def approve(self, person: str, name: str = "apr-1", *more: str) -> Finished:
        return self.aos(person, "approve", name, "--yes", "--wait", "0s", *more)

    def decisions(self, name: str = "apr-1") -> list[Object]:
        request = self._api.get(APPROVAL_REQUESTS, self.namespace.name, name)
        return [*children(child(request, "spec"), "decisions")]

    def is_guarded(self) -> bool:
        """Whether the API server refuses a decision in somebody else's name."""
        path = APPROVAL_REQUESTS.object_path(self.namespace.name, "apr-1")
        forged: Object = {"spec": {"decisions": [{"approver": "somebody", "verdict": "Approve"}]}}
        try:
            self._api.request("PATCH", path, forged, MERGE_PATCH, dryRun="All")
        except RefusedError:
            return True
        return False

    def kubeconfig(self, person: str) -> Path:
        return self._people[person]


@pytest.fixture
def desk(people: Mapping[str, Path], guarded: Handle) -> Desk:
    desk = Desk(new_namespace(guarded, GUARDED), people)
    desk.ask("apr-1")
    # Neither rights nor policies are in force at once.
    until(lambda: desk.listed("bea") == ["approvalrequest.aos.dev/apr-1"])
    until(desk.is_guarded)
    return desk


def counted(desk: Desk, *people: str, state: str = "Pending", rule: str = "outbound") -> None:
    said: list[JsonValue] = [
        {"approver": name, "verdict": "Approve", "time": "2026-01-02T03:04:05Z", "rules": [rule]}
        for name in people
    ]
    desk.namespace.patch_status("apr", "apr-1", {"state": state, "counted": said})


def test_a_request_is_listed_for_those_alone_who_may_decide_it(desk: Desk) -> None:
    assert [desk.listed(name) for name in ("ana", "dan", "eve", "tim")] == [[], [], [], []]
    done = desk.aos("dan", "pending")
    assert (done.code, done.out) == (0, "")
    shows = f"`aos pending --all -n {desk.namespace.name}` shows it"
    assert f"waits for dan; 1 waits for others, {shows}" in done.err
    words = {
        name: desk.aos(name, "pending", "--all", "-o", "json").data for name in ("ana", "dan", "eve", "bea")
    }
    assert {
        name: [item["hindrance"] for item in found["requests"] if isinstance(item, dict)]
        for name, found in words.items()
        if isinstance(found["requests"], list)
    } == {"ana": ["your own"], "dan": ["not asked"], "eve": ["no right"], "bea": [""]}


def test_a_right_on_one_request_lists_that_one(desk: Desk) -> None:
    desk.ask("apr-2", LEADS)
    assert desk.listed("tim") == ["approvalrequest.aos.dev/apr-2"]
    assert desk.approve("tim", "apr-2").code == 0
    assert desk.approve("tim", "apr-1").code == 3


def test_who_may_not_read_every_namespace_is_told_which_right_is_missing(desk: Desk) -> None:
    done = desk.aos("bea", "pending", "-A")
    assert done.code == 3
    assert "kubectl auth can-i list approvalrequests -A" in done.err
    everything = desk.namespace.aos("pending", "-A", "--all", "-o", "name")
    assert f"{desk.namespace.name}/apr-1\n" in everything.out


def test_an_approval_carries_the_name_and_the_groups_that_are_asked_for(desk: Desk) -> None:
    done = desk.approve("bea", "apr-1", "-m", "known customer")
    assert done.code == 0, done.err
    assert done.out == "apr-1 approved; the operator has not counted it yet\n"
    assert desk.decisions() == [
        {"approver": "bea", "verdict": "Approve", "comment": "known customer", "groups": ["sales-leads"]}
    ]
    again = desk.approve("bea")
    assert again.code == 1
    assert "you approved it already; nobody decides twice" in again.err


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ("ana", "you asked for its Task, so that others must decide"),
        ("dan", "it is for others to decide: group sales-leads; you are dan"),
        ("eve", "you lack the right to approve it"),
        ("system:robot", "users named system:* never decide"),
    ],
)
def test_a_decision_that_is_not_theirs_is_refused_in_plain_words(
    desk: Desk, person: str, message: str
) -> None:
    done = desk.approve(person)
    assert done.code == 3
    assert message in done.err
    assert "ValidatingAdmissionPolicy" not in done.err
    assert desk.decisions() == []


def test_a_rejection_needs_a_reason_and_carries_it(desk: Desk) -> None:
    assert desk.aos("bea", "reject", "apr-1", "--yes", "-m", " ").code == 2
    done = desk.aos("bea", "reject", "apr-1", "--yes", "--wait", "0s", "-m", "not agreed")
    assert (done.code, done.out) == (0, "apr-1 rejected; the operator has not counted it yet\n")
    assert desk.decisions()[0]["comment"] == "not agreed"


def test_without_a_terminal_nothing_is_decided_unless_it_is_asked_for(desk: Desk) -> None:
    done = desk.aos("bea", "approve", "apr-1")
    assert done.code == 2
    assert "decide with --yes" in done.err
    assert desk.decisions() == []


def test_several_are_decided_in_turn_and_what_hinders_one_keeps_from_no_other(desk: Desk) -> None:
    desk.ask("apr-3", {**LEADS, "approvers": {"users": ["carl"]}})
    names = ["apr-3", "no-such", f"{desk.namespace.name}/apr-1"]
    done = desk.aos("bea", "approve", *names, "--yes", "--wait", "0s")
    assert done.code == 3
    assert "error: apr-3: it is for others to decide" in done.err
    assert "error: no-such: there is no ApprovalRequest no-such" in done.err
    assert [item["approver"] for item in desk.decisions()] == ["bea"]


def test_people_who_decide_at_the_same_moment_all_do(desk: Desk) -> None:
    desk.ask("apr-4", {**TWO_PEOPLE, "required": 4})
    people = ("bea", "dan")
    started = [desk.start(name, "approve", "apr-4", "--yes", "--wait", "0s") for name in people]
    ended = [(process.communicate(timeout=60), process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0], ended
    assert sorted(str(item["approver"]) for item in desk.decisions("apr-4")) == sorted(people)


def test_a_decision_is_told_with_what_is_still_missing_once_it_is_counted(desk: Desk) -> None:
    desk.namespace.kubectl("delete", "apr", "apr-1")
    desk.ask("apr-1", LEADS, TWO_PEOPLE)
    with desk.start("bea", "approve", "apr-1", "--yes", "--wait", "60s") as process:
        until(lambda: bool(desk.decisions()))
        counted(desk, "bea")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == "apr-1 approved: 1 of 3; still needs 2 more by anybody who may approve\n"


def test_what_has_ended_can_not_be_decided_and_says_how(desk: Desk) -> None:
    stale = condition("Stale", "True", "PolicyChanged", "the policy is another one")
    desk.namespace.patch_status("apr", "apr-1", {"state": "Stale", "conditions": [stale]})
    done = desk.approve("bea")
    assert done.code == 1
    assert "it can't be decided any more: Stale: PolicyChanged: the policy is another one" in done.err
    shown = desk.aos("bea", "show", "apr-1")
    assert shown.code == 0
    assert "a call that waited; Stale: PolicyChanged" in shown.out


def test_one_request_is_shown_with_the_commands_that_decide_it(desk: Desk) -> None:
    shown = desk.aos("bea", "show", "apr-1")
    assert shown.code == 0, shown.err
    assert "you may decide it; your approval counts for: outbound" in shown.out
    assert f"aos approve apr-1 -n {desk.namespace.name}" in shown.out
    spec = desk.aos("bea", "show", "apr-1", "-o", "json").data["spec"]
    assert isinstance(spec, dict)
    assert spec["requestedBy"] == "ana"


def test_at_a_terminal_the_request_is_shown_and_the_answer_decides(desk: Desk) -> None:
    answers = {"n\n": (1, 0), "y\n": (0, 1)}
    for answer, (code, decided) in answers.items():
        said, returned = at_a_terminal(desk, answer, "approve", "apr-1", "--wait", "0s")
        assert "you may decide it" in said
        assert "Approve apr-1? [y/N]:" in said
        assert (returned, len(desk.decisions())) == (code, decided), said


def at_a_terminal(desk: Desk, answer: str, *arguments: str) -> tuple[str, int]:
    ours, theirs = pty.openpty()
    command = [str(AOS), f"--kubeconfig={desk.kubeconfig('bea')}", "-n", desk.namespace.name, *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                chunk = os.read(ours, 4096)
            except OSError:
                break
            said += chunk
            if said.endswith(b"[y/N]: "):
                os.write(ours, answer.encode())
    os.close(ours)
    return said.decode(), process.returncode


def test_what_comes_and_what_becomes_of_it_is_told_until_interrupted(desk: Desk) -> None:
    with desk.start("bea", "watch", "-o", "json") as process:
        assert process.stdout

        def line() -> Object:
            assert process.stdout
            value: Object = json.loads(process.stdout.readline())
            return value

        assert line()["event"] == "Waiting"
        desk.ask("apr-9", LEADS)
        came = line()
        assert (came["event"], came["name"], came["mayDecide"]) == ("Waiting", "apr-9", True)
        desk.namespace.patch_status("apr", "apr-9", {"state": "Expired"})
        assert line()["event"] == "Expired"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""


def test_status_shows_what_waits_and_says_where_it_may_not_be_read(desk: Desk) -> None:
    done = desk.namespace.aos("status", "-o", "json")
    requests = done.data["requests"]
    assert isinstance(requests, list)
    assert [item["name"] for item in requests if isinstance(item, dict)] == ["apr-1"]


def test_a_watched_task_says_that_it_waits_for_people(desk: Desk) -> None:
    desk.namespace.create(
        "Agent", "enricher", {"owner": {"team": "revops"}, "instructions": "Enrich the lead."}
    )
    with desk.namespace.start_aos("run", "enricher") as process:
        task = desk.namespace.only_task()
        uid = desk.namespace.kubectl("get", "task", task, "-o", "jsonpath={.metadata.uid}")
        desk.ask("apr-7", LEADS, task={"name": task, "uid": uid})
        desk.namespace.kubectl("label", "apr", "apr-7", f"aos.dev/task={task}", "--overwrite")
        assert process.stderr
        lines = [process.stderr.readline() for _ in range(3)]
        done = condition("Succeeded", "True", "Completed")
        desk.namespace.patch_status("task", task, {"conditions": [done]})
        process.communicate(timeout=60)
    assert any("waits for people (Medium): enricher would call" in line for line in lines), lines
    assert any(f"`aos approve apr-7 -n {desk.namespace.name}`" in line for line in lines), lines


def test_a_shell_completes_the_names_of_what_waits(desk: Desk) -> None:
    words = f"aos --kubeconfig {desk.kubeconfig('bea')} -n {desk.namespace.name} approve apr-"
    environment = {
        **os.environ,
        "_AOS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run([AOS], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["apr-1"]
    assert done.stderr == ""
