import json
from dataclasses import dataclass, field

import pytest
from pydantic import JsonValue

from aos.gateway.hooks.endpoint import MAX_BODY_BYTES, HookApp
from aos.gateway.hooks.signature import sign
from aos.kube.errors import AlreadyExists, Forbidden, Target
from aos.kube.resources import WORKFLOW_RUNS, Resource
from aos.model.base import JsonObject
from aos.model.workflow import Workflow
from aos.model.workflow_run import WorkflowRun
from tests.unit.gateway.make import SETTINGS
from tests.unit.gateway.serving import Reply, ask, serving

KEY = "0123456789abcdef"
NOW = 1_767_323_045
PATH = "/hooks/sales/outreach/new-lead"
TRIGGER: JsonObject = {
    "name": "new-lead",
    "webhook": {"secretRef": {"name": "crm-webhook", "key": "key"}},
    "input": {"lead": "${body.company}"},
}
READY: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
    "observedGeneration": 1,
}


def workflow(*, suspend: bool = False, ready: JsonObject = READY, trigger: JsonObject = TRIGGER) -> Workflow:
    return Workflow.parse(
        {
            "metadata": {"name": "outreach", "namespace": "sales", "uid": "w1", "generation": 1},
            "spec": {
                "input": {"schema": {"type": "object", "properties": {"lead": {"type": "string"}}}},
                "steps": [{"name": "enrich", "agent": "enricher"}],
                "triggers": [trigger],
                "suspend": suspend,
            },
            "status": {"conditions": [ready]},
        }
    )


@dataclass
class World:
    """What the gateway knows, and what it makes."""

    found: Workflow | None = field(default_factory=workflow)
    secret: str | None = KEY
    stale: float = 0
    refused: Exception | None = None
    made: dict[str, JsonObject] = field(default_factory=dict)

    def workflow(self, namespace: str, name: str) -> Workflow | None:
        return self.found if (namespace, name) == ("sales", "outreach") else None

    def trigger_secret(self, namespace: str, workflow: str, trigger: str) -> str | None:
        return self.secret if (namespace, workflow, trigger) == ("sales", "outreach", "new-lead") else None

    def staleness_seconds(self) -> float:
        return self.stale

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        assert resource is WORKFLOW_RUNS
        name = WorkflowRun.parse(manifest).metadata.name
        if self.refused is not None:
            raise self.refused
        if name in self.made:
            raise AlreadyExists(Target("create", "workflowruns", name), 409, "AlreadyExists", "it is there")
        self.made[name] = manifest
        return manifest

    @property
    def run(self) -> WorkflowRun:
        (manifest,) = self.made.values()
        return WorkflowRun.parse(manifest)


def request(
    body: JsonValue,
    *,
    path: str = PATH,
    delivery: str = "msg_1",
    key: str = KEY,
    age: int = 0,
    method: str = "POST",
    kind: str = "application/json",
) -> bytes:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    stamp = NOW - age
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: hooks.example.com",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        f"webhook-id: {delivery}",
        f"webhook-timestamp: {stamp}",
        f"webhook-signature: {sign(delivery, stamp, content, key.encode())}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def sent(world: World, content: bytes) -> Reply:
    async with serving(HookApp(world, world, SETTINGS, now=lambda: NOW), SETTINGS) as port:
        return await ask(port, content)


LEAD: JsonValue = {"company": "acme"}


async def test_a_signed_request_starts_a_run_with_the_input_that_the_trigger_makes_of_it() -> None:
    world = World()
    reply = await sent(world, request(LEAD))
    run = world.run
    assert (reply.status, reply.json) == (202, {"started": True, "run": run.metadata.name})
    assert run.metadata.namespace == "sales"
    assert run.spec.workflow_ref.name == "outreach"
    assert run.spec.input == {"lead": "acme"}
    assert run.spec.requested_by == "aos:trigger/new-lead"
    assert run.spec.trigger is not None
    assert (run.spec.trigger.name, run.spec.trigger.id) == ("new-lead", "msg_1")


async def test_a_delivery_that_is_sent_again_starts_no_second_run() -> None:
    world = World()
    first, second = [await sent(world, request(LEAD)) for _ in range(2)]
    assert len(world.made) == 1
    assert (second.status, second.json["started"], second.json["run"]) == (200, False, first.json["run"])


async def test_another_delivery_starts_another_run() -> None:
    world = World()
    for delivery in ("msg_1", "msg_2"):
        assert (await sent(world, request(LEAD, delivery=delivery))).status == 202
    assert len(world.made) == 2


@pytest.mark.parametrize(("age", "starts"), [(59, True), (61, False)])
async def test_the_trigger_says_how_old_a_request_may_be(age: int, *, starts: bool) -> None:
    hook: JsonObject = {"secretRef": {"name": "crm-webhook", "key": "key"}, "replayWindow": "1m"}
    world = World(workflow(trigger={**TRIGGER, "webhook": hook}))
    reply = await sent(world, request(LEAD, age=age))
    assert (reply.status == 202, bool(world.made)) == (starts, starts)


@pytest.mark.parametrize(
    "content",
    [
        request(LEAD, key="another key of 16"),
        request(LEAD, age=301),
        request(LEAD, age=-301),
        request(LEAD).replace(b'"acme"', b'"evil"'),
        request(LEAD, delivery="msg_1").replace(b"webhook-id: msg_1", b"webhook-id: msg_2"),
    ],
)
async def test_attack_20_a_forged_or_replayed_request_starts_nothing(content: bytes) -> None:
    world = World()
    reply = await sent(world, content)
    assert (reply.status, reply.code) == (401, "SignatureInvalid")
    assert not world.made


@pytest.mark.parametrize(
    ("world", "path"),
    [
        (World(), "/hooks/sales/outreach/another"),
        (World(), "/hooks/sales/another/new-lead"),
        (World(), "/hooks/another/outreach/new-lead"),
        (World(secret=None), PATH),
        (World(secret="short"), PATH),
    ],
)
async def test_who_can_not_sign_is_not_told_what_there_is(world: World, path: str) -> None:
    reply = await sent(world, request(LEAD, path=path))
    wrong = await sent(World(), request(LEAD, path=PATH, key="another key of 16"))
    assert (reply.status, reply.code) == (wrong.status, wrong.code) == (401, "SignatureInvalid")
    assert not world.made


async def test_a_schedule_can_not_be_started_by_a_webhook() -> None:
    trigger: JsonObject = {"name": "new-lead", "schedule": {"cron": "0 9 * * 1"}}
    world = World(found=workflow(trigger=trigger))
    assert (await sent(world, request(LEAD))).status == 401


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (workflow(suspend=True), "suspended"),
        (workflow(ready={**READY, "status": "False", "reason": "NotAccepted"}), "NotAccepted"),
        (workflow(ready={**READY, "observedGeneration": 0}), "not been looked at"),
    ],
)
async def test_a_workflow_that_starts_no_runs_now_says_so_to_who_can_sign(found: Workflow, says: str) -> None:
    world = World(found=found)
    reply = await sent(world, request(LEAD))
    assert (reply.status, reply.code) == (503, "WorkflowNotReady")
    assert says in str(reply.json)
    assert not world.made
    assert (await sent(world, request(LEAD, key="another key of 16"))).status == 401


async def test_nothing_is_started_on_knowledge_that_is_too_old() -> None:
    reply = await sent(World(stale=301), request(LEAD))
    assert (reply.status, reply.code) == (503, "Stale")


@pytest.mark.parametrize(("territory", "starts"), [("emea", True), ("amer", False)])
async def test_a_condition_decides_which_bodies_start_a_run(territory: str, *, starts: bool) -> None:
    webhook: JsonObject = {
        "secretRef": {"name": "crm-webhook", "key": "key"},
        "when": "${body.territory == 'emea'}",
    }
    world = World(found=workflow(trigger={**TRIGGER, "webhook": webhook}))
    reply = await sent(world, request({"company": "acme", "territory": territory}))
    assert reply.json["started"] is starts
    assert bool(world.made) is starts


@pytest.mark.parametrize("body", [{"name": "acme"}, {"company": 3}, {"company": {}}, []])
async def test_a_body_that_makes_no_fitting_input_is_refused(body: JsonValue) -> None:
    world = World()
    reply = await sent(world, request(body))
    assert (reply.status, reply.code) == (422, "InputInvalid")
    assert not world.made


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (request(LEAD, method="GET"), 405),
        (request(LEAD, path="/hooks/sales/outreach"), 404),
        (request(LEAD, path="/hooks/sales/outreach/new-lead/more"), 404),
        (request(LEAD, path="/mcp"), 404),
        (request(LEAD, kind="text/plain"), 415),
        (request('{"company": "a", "company": "b"}'), 400),
        (request("a" * (MAX_BODY_BYTES + 1)), 413),
    ],
)
async def test_what_is_no_webhook_is_refused(content: bytes, status: int) -> None:
    world = World()
    assert (await sent(world, content)).status == status
    assert not world.made


async def test_a_run_that_the_api_server_refuses_may_be_sent_again() -> None:
    refused = Forbidden(Target("create", "workflowruns"), 403, "Forbidden", "exceeded quota")
    world = World(refused=refused)
    reply = await sent(world, request(LEAD))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert "quota" not in str(reply.json)
    world.refused = None
    assert (await sent(world, request(LEAD))).status == 202


@pytest.mark.parametrize("reason", ["CredentialsMissing", "NotObserved"])
async def test_a_webhook_that_has_its_key_starts_runs_although_another_one_has_none(reason: str) -> None:
    world = World(found=workflow(ready={**READY, "status": "False", "reason": reason}))
    reply = await sent(world, request({"company": "Halden"}))
    assert reply.status == 202
    assert world.run.spec.input == {"lead": "Halden"}
