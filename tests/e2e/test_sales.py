"""The sales example on a real node: what is allowed works, what is denied never arrives, and changes hold at once."""

import base64
import copy
import hashlib
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.installation import SALES, Installation, JsonObject, at, condition, wait_for

GET: JsonObject = {"calls": [{"tool": "crm.get_contact", "args": {"id": "emea-0001"}}]}
EXPORT: JsonObject = {"calls": [{"tool": "crm.export_contacts", "args": {"territory": "emea"}}]}
DONE: JsonObject = {"output": {"summary": "done", "score": 0.5}}
PROMPT_SECONDS = 2.0

CALL = """
import asyncio, json, os, sys
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

async def main():
    token = open(os.environ["AOS_TOKEN_FILE"]).read()
    headers = {"Authorization": "Bearer " + token, "X-Agent-Extra": "agents-own"}
    async with httpx2.AsyncClient(headers=headers) as http:
        async with Client(streamable_http_client(os.environ["AOS_MCP_URL"], http_client=http)) as client:
            answer = await client.call_tool(sys.argv[1], json.loads(sys.argv[2]))
            print(json.dumps({"error": answer.is_error, "text": answer.content[0].text}))

asyncio.run(main())
"""


def call(aos: Installation, pod: str, action: str, arguments: str) -> str:
    return aos.run(pod, "python3", "-c", CALL, action, arguments).output


def actions(aos: Installation) -> list[str]:
    return [str(line["action"]) for line in aos.crm_log()]


@pytest.fixture
def waiting_pod(aos: Installation) -> Iterator[str]:
    """A real agent's pod whose model thinks for long, so that calls can be made from inside it."""
    aos.start("waiting", {"sleepSeconds": 500, **DONE}, deadline="10m")
    try:
        yield aos.running_pod("waiting")
    finally:
        aos.cancel("waiting")


@pytest.fixture
def policy(aos: Installation) -> Iterator[JsonObject]:
    """The example's policy, as it stands; put back afterwards."""
    standing = aos.get("policy", "sales-baseline")
    manifest: JsonObject = {
        "apiVersion": standing["apiVersion"],
        "kind": "Policy",
        "metadata": {"name": "sales-baseline", "namespace": SALES},
        "spec": standing["spec"],
    }
    yield copy.deepcopy(manifest)
    aos.apply(manifest)


def test_the_example_ends_well_with_one_call_denied(aos: Installation) -> None:
    aos.cancel("whole")
    aos.start("whole")
    assert aos.ended("whole")["reason"] == "Completed"
    output = at(aos.get("task", "whole"), "status.result.output")
    assert isinstance(output, dict)
    assert output["contactId"] == "emea-0001"
    tools = [line for line in aos.decisions("whole") if line["subject"] == "tool"]
    assert [(line["action"], line["effect"], line["reason"]) for line in tools] == [
        ("search_contacts", "Allow", "Allowed"),
        ("get_contact", "Allow", "Allowed"),
        ("export_contacts", "Deny", "DeniedByRule"),
        ("update_contact", "Allow", "Allowed"),
    ]


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
    assert '"error": false' in call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0002"}')
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
    assert '"error": false' in call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0003"}')
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
    answer = call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0003"}')
    assert '"error": false' not in answer


def test_without_its_policy_an_agent_may_do_nothing(
    aos: Installation, waiting_pod: str, policy: JsonObject
) -> None:
    aos.kubectl("delete", "policy", "sales-baseline", "-n", SALES)
    found = wait_for(
        lambda: next(
            (item for item in [condition(aos.get("agent", "lead-enricher"), "PolicyEnforced")] if item and item["reason"] == "NoPolicy"),
            None,
        ),
        "the agent to say that it has no policy",
    )  # fmt: skip
    assert "denied" in str(found["message"]) or "No Policy" in str(found["message"])
    assert '"error": false' not in call(aos, waiting_pod, "crm.get_contact", '{"id": "emea-0004"}')


def test_deleting_the_task_revokes_its_token_at_once(aos: Installation) -> None:
    aos.start("revoked", {"sleepSeconds": 500, **DONE}, deadline="10m")
    pod = aos.running_pod("revoked")
    token = aos.run(pod, "cat", "/var/run/secrets/aos/token").output
    address = at(aos.get("service", "aos-gateway", "aos-system"), "spec.clusterIP")
    ask = (
        "import ssl,sys,time,urllib.request,urllib.error;"
        "c=ssl.create_default_context(cafile='/var/run/aos/ca.crt');"
        "import os;"
        "\nfor i in range(200):"
        "\n r=urllib.request.Request(os.environ['AOS_GATEWAY_URL']+'/v1/task',headers={'Authorization':'Bearer '+sys.argv[1]})"
        "\n try: print(urllib.request.urlopen(r,context=c,timeout=5).status,flush=True)"
        "\n except urllib.error.HTTPError as e: print(e.code,flush=True)"
        "\n time.sleep(0.1)"
    )
    assert address
    # The pod outlives its Task for its grace period: what it is answered then is what counts.
    aos.kubectl("delete", "task", "revoked", "-n", SALES, "--cascade=orphan")
    ran = aos.run(pod, "timeout", "4", "python3", "-c", ask, token)
    answers = ran.output.split()
    aos.kubectl("delete", "pod", pod, "-n", SALES, "--ignore-not-found", "--grace-period=0", "--force")
    assert answers, ran.output
    assert set(answers) <= {"401", "403"}, ran.output


def test_the_examples_manifests_are_what_stands(aos: Installation) -> None:
    tool = aos.get("tool", "crm")
    assert condition(tool, "Ready") is not None
    assert yaml.safe_dump(at(tool, "spec.url")).strip() == "http://crm.sales-tools.svc:8080/mcp"
