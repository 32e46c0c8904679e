"""The sales example on a real node: what is allowed works, what is denied never arrives, and changes hold at once."""

import base64
import copy
import hashlib
import json
import subprocess
from collections.abc import Iterator

import pytest
from pydantic import JsonValue

from tests.e2e.installation import Installation, JsonObject, at, condition, wait_for
from tests.e2e.people import User, asked

GET: JsonObject = {"calls": [{"tool": "crm.get_contact", "args": {"id": "emea-0001"}}]}
EXPORT: JsonObject = {"calls": [{"tool": "crm.export_contacts", "args": {"territory": "emea"}}]}
DONE: JsonObject = {"output": {"summary": "done", "score": 0.5}}
PROMPT_SECONDS = 2.0

CALL = """
import json, os, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=os.environ["AOS_CA_FILE"])
params = {"name": sys.argv[1], "arguments": json.loads(sys.argv[2])}
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
headers = {
    "Authorization": "Bearer " + open(os.environ["AOS_TOKEN_FILE"]).read(),
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
    "X-Agent-Extra": "agents-own",
}
request = urllib.request.Request(os.environ["AOS_MCP_URL"], data=body, headers=headers)
print(urllib.request.urlopen(request, context=context, timeout=20).read().decode())
"""


def call(aos: Installation, pod: str, action: str, arguments: str) -> JsonObject:
    """Call a tool from inside a pod; return the result, denials included."""
    ran = aos.run(pod, "python3", "-c", CALL, action, arguments)
    assert ran.code == 0, ran.output
    result = json.loads(ran.output)["result"]
    assert isinstance(result, dict)
    return result


def is_answered(result: JsonObject) -> bool:
    return result.get("isError", False) is False


def reason(result: JsonObject) -> JsonValue:
    return at(result, "structuredContent.reason")


def actions(aos: Installation) -> list[str]:
    return [str(line["action"]) for line in aos.crm_log()]


ASK_AGAIN = """
import os, ssl, sys, time, urllib.error, urllib.request
context = ssl.create_default_context(cafile=os.environ["AOS_CA_FILE"])
def ask():
    headers = {"Authorization": "Bearer " + sys.argv[1]}
    request = urllib.request.Request(os.environ["AOS_GATEWAY_URL"] + "/v1/task", headers=headers)
    try:
        return urllib.request.urlopen(request, context=context, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
print(ask(), flush=True)
sys.stdin.readline()
for _ in range(30):
    print(ask(), flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def waiting_pod(aos: Installation) -> Iterator[str]:
    """A real agent's pod whose model thinks for long, so that calls can be made from inside it."""
    aos.start("waiting", {"sleepSeconds": 500, **DONE}, deadline="10m")
    try:
        pod = aos.running_pod("waiting")
        # Its model comes next; an agent that has not asked it yet ends when it is denied that.
        wait_for(lambda: "tools listed" in aos.api.log(pod, aos.namespace) or None, "the agent to be at work")
        yield pod
    finally:
        aos.cancel("waiting")


@pytest.fixture
def policy(aos: Installation) -> Iterator[JsonObject]:
    """The example's policy, as it stands; put back afterwards."""
    standing = aos.get("policy", "sales-baseline")
    manifest: JsonObject = {
        "apiVersion": standing["apiVersion"],
        "kind": "Policy",
        "metadata": {"name": "sales-baseline", "namespace": aos.namespace},
        "spec": standing["spec"],
    }
    yield copy.deepcopy(manifest)
    aos.apply(manifest)


def test_the_example_ends_well_with_one_call_denied_and_one_approved(aos: Installation, lead: User) -> None:
    aos.cancel("whole")
    aos.start("whole")
    request = asked(aos, "whole")
    lead.approve(request)
    assert aos.ended("whole")["reason"] == "Completed"
    output = at(aos.get("task", "whole"), "status.result.output")
    assert isinstance(output, dict)
    assert output["contactId"] == "emea-0001"
    tools = [line for line in aos.decisions("whole") if "tool" in line and line["effect"] != "Hold"]
    assert [(line["action"], line["effect"], line["reason"]) for line in tools] == [
        ("search_contacts", "Allow", "Allowed"),
        ("get_contact", "Allow", "Allowed"),
        ("export_contacts", "Deny", "DeniedByRule"),
        ("update_contact", "Allow", "Allowed"),
    ]
    assert tools[-1]["approvals"] == [request]


def test_a_denied_call_never_reaches_the_crm(aos: Installation) -> None:
    aos.cancel("export")
    aos.start("export", EXPORT, DONE)
    assert aos.ended("export")["reason"] == "Completed"
    assert "export_contacts" in [line["action"] for line in aos.decisions("export")]
    assert "export_contacts" not in actions(aos)


def test_the_crm_sees_the_injected_credential_and_nothing_of_the_agent(
    aos: Installation, waiting_pod: str
) -> None:
    before = len(aos.crm_log())
    assert is_answered(call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0002"}'))
    line = next(line for line in aos.crm_log()[before:] if line["action"] == "get_contact")
    secret = at(aos.get("secret", "crm-credentials"), "data.token")
    assert isinstance(secret, str)
    expected = hashlib.sha256(base64.b64decode(secret)).hexdigest()[:8]
    assert line["credential"] == f"sha256:{expected}"
    headers = line["headers"]
    assert isinstance(headers, list)
    assert "x-agent-extra" not in headers
    assert "cookie" not in headers


def test_a_change_of_policy_holds_in_two_seconds(
    aos: Installation, waiting_pod: str, policy: JsonObject
) -> None:
    assert is_answered(call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0003"}'))
    rules = at(policy, "spec.rules")
    assert isinstance(rules, list)
    rules.append({"name": "freeze", "effect": "Deny", "tools": [{"name": "*"}]})
    digest = at(aos.get("agent", "lead-enricher"), "status.policy.digest")
    aos.apply(policy)

    def enforced() -> JsonObject | None:
        agent = aos.get("agent", "lead-enricher")
        found = condition(agent, "PolicyEnforced")
        changed = at(agent, "status.policy.digest") != digest
        return found if changed and found is not None and found["status"] == "True" else None

    wait_for(enforced, "the new policy to be enforced", PROMPT_SECONDS, pause=0.05)
    assert reason(call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0003"}')) == "DeniedByRule"


def test_without_its_policy_an_agent_may_do_nothing(
    aos: Installation, waiting_pod: str, policy: JsonObject
) -> None:
    assert is_answered(call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0004"}'))
    aos.delete("policy", "sales-baseline")
    found = wait_for(
        lambda: next(
            (item for item in [condition(aos.get("agent", "lead-enricher"), "PolicyEnforced")] if item and item["reason"] == "NoPolicy"),
            None,
        ),
        "the agent to say that it has no policy",
    )  # fmt: skip
    assert "denied" in str(found["message"]) or "No Policy" in str(found["message"])
    assert reason(call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0004"}')) == "NoPolicy"


def test_deleting_the_task_revokes_its_token_at_once(aos: Installation) -> None:
    aos.start("revoked", {"sleepSeconds": 500, **DONE}, deadline="10m")
    pod = aos.running_pod("revoked")
    token = aos.run(pod, "cat", "/var/run/secrets/aos/token").output
    command = ["exec", "-q", "-i", "-n", aos.namespace, pod, "--", "python3", "-c", ASK_AGAIN, token]
    program = [str(aos.node.program), f"--kubeconfig={aos.node.kubeconfig}", *command]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline().strip() == "200"
        # The pod outlives its Task for its grace period: what it is answered then is what counts.
        aos.kubectl("delete", "task", "revoked", "-n", aos.namespace, "--cascade=orphan")
        said, _ = asking.communicate("now\n", timeout=60)
    aos.api.delete("pod", pod, aos.namespace, grace_seconds=0)
    answers = said.split()
    assert answers
    assert set(answers) <= {"401", "403"}, answers
