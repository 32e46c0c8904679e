"""Held calls on a real node: who is asked, who can decide, and what comes of it at the CRM."""

import json
import secrets
import ssl
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx2
import pytest
from pydantic import JsonValue

from hack.demo.access import Access
from hack.demo.installation import paths
from tests.e2e.installation import Installation, JsonObject, at
from tests.e2e.people import (
    BOOKKEEPER,
    LEAD,
    SUPPORT,
    User,
    asked,
    becomes,
    patched,
    state,
)

UPDATE = "update_contact"
DISCOUNT = "grant_discount"
NIGHT = "night-enricher"
"""An agent with a policy of its own, so that a change of it touches nobody else."""
STEP = f"Call about order {secrets.token_hex(4)}"
"""Of this run, so that there is something to change."""
WHY = "the customer asked not to be called"


@dataclass(frozen=True)
class Held:
    """A Task whose one call waits."""

    action: str
    contact: str
    agent: str = "lead-enricher"

    @property
    def script(self) -> list[JsonObject]:
        change: JsonObject = {"percent": 15} if self.action == DISCOUNT else {"next_step": STEP}
        call: JsonObject = {"tool": f"crm.{self.action}", "args": {"id": self.contact, **change}}
        # What comes after the script is the model's own report on its calls.
        return [{"calls": [call]}]


HELD = {
    "wanted": Held(UPDATE, "emea-0010"),
    "discount": Held(DISCOUNT, "emea-0011"),
    "unwanted": Held(UPDATE, "emea-0012"),
    "overnight": Held(UPDATE, "emea-0013", NIGHT),
    "survivor": Held(UPDATE, "emea-0014"),
}


@pytest.fixture(scope="module")
def held(aos: Installation) -> Iterator[Installation]:
    """One Task for each test, started at once: each has a call that waits when its test comes."""
    for task in HELD:
        aos.cancel(task)
    aos.apply(*night_shift(aos, calls=100), outsiders_role(aos.namespace))
    aos.becomes("agent", NIGHT)
    for task, one in HELD.items():
        aos.start(task, *one.script, agent=one.agent, deadline="10m")
    yield aos
    for task in HELD:
        aos.cancel(task)
    for kind, name in (("agent", NIGHT), ("policy", "night"), ("rolebinding", "e2e-outsiders")):
        aos.delete(kind, name)


def night_shift(aos: Installation, calls: int) -> list[JsonObject]:
    first = aos.get("agent", "lead-enricher")
    labels: JsonObject = {"role": "research", "territory": "emea", "shift": "night"}
    policy: JsonObject = {
        "agents": {"matchLabels": {"shift": "night"}},
        "rules": [{"name": "no-export", "effect": "Deny", "tools": [{"name": "*", "actions": ["export_*"]}]}],
        "limits": [{"name": "night", "calls": calls, "per": "1h"}],
    }
    return [
        {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Policy",
            "metadata": {"name": "night", "namespace": aos.namespace},
            "spec": policy,
        },
        {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": NIGHT, "namespace": aos.namespace, "labels": labels},
            "spec": first["spec"],
        },
    ]


def outsiders_role(namespace: str) -> JsonObject:
    """The verb for people whom no rule asks: RBAC alone makes nobody count; and for the agent itself."""
    subjects: list[JsonValue] = [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": SUPPORT.groups[0]},
        {"kind": "ServiceAccount", "name": "aos-agent-lead-enricher", "namespace": namespace},
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "e2e-outsiders", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "aos-approver"},
        "subjects": subjects,
    }


@pytest.fixture(scope="module")
def bookkeeper(aos: Installation) -> User:
    return User(Access(aos.node, paths()), BOOKKEEPER, aos.namespace)


@pytest.fixture(scope="module")
def support(aos: Installation) -> User:
    return User(Access(aos.node, paths()), SUPPORT, aos.namespace)


def made(aos: Installation, task: str) -> int:
    """How many of the Task's held calls the CRM saw."""
    since = datetime.fromisoformat(str(at(aos.get("task", task), "metadata.creationTimestamp")))
    return aos.made(HELD[task].action, HELD[task].contact, since)


def notes(aos: Installation, task: str) -> str:
    """What the agent reports of calls that did not go through."""
    return json.dumps(at(aos.get("task", task), "status.result.output.notes"))


def test_a_held_update_is_listed_for_a_lead_and_for_nobody_outside(
    held: Installation, lead: User, support: User, bookkeeper: User
) -> None:
    request = asked(held, "wanted")
    assert request in lead.pending()
    assert request not in support.pending()
    assert request not in bookkeeper.pending()
    shown = lead.aos("show", request)
    assert HELD["wanted"].contact in shown.out
    preview = at(held.get("approvalrequest", request), "spec.preview")
    assert STEP in str(at(preview, "after"))
    assert STEP not in str(at(preview, "before"))


def test_nobody_decides_in_place_of_those_who_are_asked(
    held: Installation, lead: User, support: User
) -> None:
    request = asked(held, "wanted")
    assert support.aos("approve", request, "--yes").code != 0
    own: JsonObject = {"approver": SUPPORT.name, "verdict": "Approve"}
    assert not patched(support, request, own).ok
    forged: JsonObject = {"approver": LEAD.name, "verdict": "Approve", "groups": [*LEAD.groups]}
    assert not patched(support, request, forged).ok
    # Whoever asked for the Task may do anything in this cluster, and still not this.
    requester: JsonObject = {"spec": {"decisions": [{"approver": held.me, "verdict": "Approve"}]}}
    answer = held.node.kubectl(
        "patch", "approvalrequest", request, "-n", held.namespace, "--type=merge", "-p", json.dumps(requester)
    )
    assert not answer.ok
    assert at(held.get("approvalrequest", request), "spec.decisions") in (None, [])
    assert made(held, "wanted") == 0


def test_an_approval_lets_exactly_that_call_through(held: Installation, lead: User) -> None:
    request = asked(held, "wanted")
    assert made(held, "wanted") == 0
    lead.approve(request)
    assert held.ended("wanted")["reason"] == "Completed"
    assert made(held, "wanted") == 1
    becomes(held, request, "Used")
    assert [made(held, task) for task in HELD] == [1, 0, 0, 0, 0]


def test_a_discount_waits_for_two_people_and_one_person_is_not_two(
    held: Installation, lead: User, bookkeeper: User
) -> None:
    request = asked(held, "discount")
    lead.approve(request)
    again = lead.aos("approve", request, "--yes")
    assert again.code != 0
    assert "already" in again.err
    standing = held.get("approvalrequest", request)
    said = at(standing, "spec.decisions")
    assert isinstance(said, list)
    assert not patched(lead, request, *(one for one in [*said, *said] if isinstance(one, dict))).ok
    assert at(standing, "status.state") == "Pending"
    assert (at(standing, "status.have"), at(standing, "status.need")) == (1, 2)
    assert made(held, "discount") == 0
    bookkeeper.approve(request)
    assert held.ended("discount")["reason"] == "Completed"
    assert made(held, "discount") == 1


def test_a_rejection_is_told_to_the_agent_and_its_task_ends_well(held: Installation, lead: User) -> None:
    request = asked(held, "unwanted")
    lead.reject(request, WHY)
    assert held.ended("unwanted")["reason"] == "Completed"
    assert WHY in notes(held, "unwanted")
    assert made(held, "unwanted") == 0
    assert state(held, request) == "Rejected"


def test_a_change_of_policy_makes_what_waits_stale_and_the_call_asks_anew(
    held: Installation, lead: User
) -> None:
    request = asked(held, "overnight")
    held.apply(*night_shift(held, calls=50))
    becomes(held, request, "Stale")
    assert lead.aos("approve", request, "--yes").code != 0
    anew = asked(held, "overnight", but=request)
    lead.approve(anew)
    assert held.ended("overnight")["reason"] == "Completed"
    assert made(held, "overnight") == 1
    assert state(held, request) == "Stale"


def test_attack_21_an_agent_decides_nothing(held: Installation) -> None:
    request = asked(held, "survivor")
    token = held.run(held.running_pod("survivor"), "cat", "/var/run/secrets/aos/token").output.strip()
    assert answered(held, token, request) == 401
    # And if its account had a token for the API server, and somebody had given it the role:
    account = f"system:serviceaccount:{held.namespace}:aos-agent-lead-enricher"
    said = {"spec": {"decisions": [{"approver": account, "verdict": "Approve"}]}}
    patch = [
        "patch",
        "approvalrequest",
        request,
        "-n",
        held.namespace,
        "--type=merge",
        "-p",
        json.dumps(said),
    ]
    answer = held.node.kubectl(*patch, f"--as={account}", "--as-group=system:serviceaccounts")
    assert not answer.ok
    assert "denied request" in answer.stderr
    assert state(held, request) == "Pending"


def answered(aos: Installation, token: str, request: str) -> int:
    """Present a token to the API server itself, from where it can be reached; return the status."""
    config = json.loads(aos.kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json"))
    cluster = config["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    path = f"/apis/aos.dev/v1alpha1/namespaces/{aos.namespace}/approvalrequests/{request}"
    with httpx2.Client(verify=context, base_url=cluster["server"]) as http:
        return http.get(path, headers={"Authorization": f"Bearer {token}"}).status_code
