"""Signed webhooks from outside, as an ingress controller passes them on: who may knock, who is let in, and what comes of it."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from base64 import b64decode
from collections.abc import Iterator

import pytest

from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, condition, wait_for

INGRESS = "e2e-ingress"
"""The namespace that the tests' installation names (``networkPolicy.hookNamespaces``)."""
ELSEWHERE = "e2e-elsewhere"
SENDER = "sender"
KEY = secrets.token_bytes(32)
PATH = "/hooks/{namespace}/letters/new-lead"

SEND = """
import json, ssl, sys, urllib.error, urllib.request
url, authority, headers, body = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4].encode()
request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **headers})
try:
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=authority), timeout=5) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as refused:
    print(json.dumps([refused.code, json.load(refused)]))
except OSError as error:
    print(json.dumps([0, {"error": type(getattr(error, "reason", error)).__name__}]))
"""


def workflow(namespace: str) -> JsonObject:
    reference: JsonObject = {"name": "crm-webhook", "key": "key"}
    text: JsonObject = {"type": "string"}
    schema: JsonObject = {"type": "object", "required": ["contact"], "properties": {"contact": text}}
    facts: JsonObject = {"summary": "A lead.", "contactId": "${input.contact}"}
    trigger: JsonObject = {
        "name": "new-lead",
        "webhook": {"secretRef": reference, "replayWindow": "5m", "when": "${body.territory == 'emea'}"},
        "input": {"contact": "${body.contact}"},
    }
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "letters", "namespace": namespace},
        "spec": {
            "input": {"schema": schema},
            "triggers": [trigger],
            "steps": [{"name": "write", "agent": "copywriter", "input": {"facts": facts}}],
        },
    }


def sender(namespace: str) -> JsonObject:
    container: JsonObject = {
        "name": "sender",
        "image": "localhost/aos:dev",
        "command": ["python", "-c", "import signal; signal.pause()"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": SENDER, "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


@pytest.fixture(scope="module")
def hooked(aos: Installation) -> Iterator[Installation]:
    """A Workflow that a webhook starts, and two namespaces that it could come from."""
    secret: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "crm-webhook", "namespace": aos.namespace},
        "stringData": {"key": f"whsec_{base64.b64encode(KEY).decode()}"},
    }
    aos.apply(secret, workflow(aos.namespace))
    for namespace in (INGRESS, ELSEWHERE):
        aos.delete("namespace", namespace)
        aos.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, sender(namespace)
        )
    for namespace in (INGRESS, ELSEWHERE):
        aos.becomes("pod", SENDER, namespace=namespace)
    aos.becomes("workflow", "letters")
    yield aos
    aos.delete("namespace", INGRESS, ELSEWHERE, wait=False)


def send(
    aos: Installation, delivery: str, key: bytes = KEY, namespace: str = INGRESS, territory: str = "emea"
) -> tuple[int, JsonObject]:
    """Post a signed delivery from a pod in ``namespace``; return the answer, or 0 and what went wrong on the way."""
    body = json.dumps({"territory": territory, "contact": "emea-0001"})
    now = str(int(time.time()))
    mac = hmac.new(key, f"{delivery}.{now}.{body}".encode(), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(mac).decode()}"
    headers = {"webhook-id": delivery, "webhook-timestamp": now, "webhook-signature": signature}
    url = f"https://aos-hooks.{SYSTEM}.svc:8446{PATH.format(namespace=aos.namespace)}"
    authority = b64decode(str(at(aos.get("secret", "aos-gateway-tls", SYSTEM), "data", "ca.crt"))).decode()
    arguments = (url, authority, json.dumps(headers), body)
    ran = aos.run(SENDER, "python", "-c", SEND, *arguments, namespace=namespace)
    assert ran.code == 0, ran.output
    status, answer = json.loads(ran.output)
    return int(status), answer


def runs(aos: Installation) -> list[str]:
    return sorted(str(at(run, "metadata.name")) for run in aos.items("workflowruns"))


def test_a_signed_delivery_starts_one_run_however_often_it_is_sent(hooked: Installation) -> None:
    before = runs(hooked)
    status, answer = send(hooked, "msg-1")
    assert (status, answer["started"]) == (202, True), answer
    run = str(answer["run"])
    status, answer = send(hooked, "msg-1")
    assert (status, answer["started"], answer["run"]) == (200, False, run)
    assert runs(hooked) == sorted([*before, run])
    spec = at(hooked.get("workflowrun", run), "spec")
    assert at(spec, "trigger.name") == "new-lead"
    assert at(spec, "requestedBy") == "aos:trigger/new-lead"

    def ended() -> JsonObject | None:
        found = condition(hooked.get("workflowrun", run), "Succeeded")
        return found if found is not None and found["status"] != "Unknown" else None

    end = wait_for(ended, f"the end of run {run}")
    assert end["reason"] == "Completed", end


def test_what_nobody_signed_or_nobody_wants_starts_nothing(hooked: Installation) -> None:
    before = runs(hooked)
    status, answer = send(hooked, "msg-2", key=secrets.token_bytes(32))
    assert (status, at(answer, "error.code")) == (401, "SignatureInvalid")
    status, answer = send(hooked, "msg-3", territory="amer")
    assert (status, answer["started"]) == (200, False)
    assert runs(hooked) == before


def test_a_pod_of_a_namespace_that_is_not_named_has_no_way_to_the_webhooks(hooked: Installation) -> None:
    before = runs(hooked)
    status, answer = send(hooked, "msg-4", namespace=ELSEWHERE)
    assert status == 0, answer
    assert answer["error"] in ("TimeoutError", "timeout"), answer
    assert runs(hooked) == before
