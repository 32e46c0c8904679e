import asyncio
from dataclasses import replace

import orjson

from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, Message
from aos.gateway.inbox import TaskInbox
from aos.gateway.refusal import Refusal
from aos.gateway.registry import Listener, Revision
from aos.gateway.usage import Usage
from aos.kube.objects import child, uid_of
from aos.kube.resources import AGENTS, TASKS
from aos.model.agent import Agent, AgentSpec
from aos.model.task import Task
from aos.policy.effective import PolicyInputs, effective_policy
from tests.cluster.gateway.world import AGENT_SPEC, OUTPUT_SCHEMA, World


async def test_a_pod_gets_its_task_with_the_instructions_of_the_revision_that_it_runs(world: World) -> None:
    await world.agent()
    await world.policy()
    worker = await world.worker()
    answer = await world.ask_until(200, "GET", "/v1/task", await world.token(worker))
    assert answer.json | {"deadline": ""} == {
        "uid": uid_of(await world.client.get(TASKS, "t1", world.namespace)),
        "name": "t1",
        "namespace": world.namespace,
        "agent": "enricher",
        "revision": "enricher-1",
        "instructions": "Enrich the lead.",
        "input": {"lead": "ada"},
        "outputSchema": OUTPUT_SCHEMA,
        "model": "",
        "delegates": [],
        "deadline": "",
    }


async def test_a_result_is_kept_on_the_task_once_and_ends_what_the_pod_may_do(world: World) -> None:
    await world.agent()
    token = await world.token(await world.worker())
    await world.ask_until(200, "GET", "/v1/task", token)

    unfit = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": "high"}})
    assert (unfit.status, unfit.code) == (422, "OutputInvalid")
    details = child(unfit.json, "error")["details"]
    assert details == [{"path": "/score", "message": '"high" is not of type "number"'}]

    kept = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 0.7}})
    assert (kept.status, kept.content) == (204, b"")
    task = await world.client.get(TASKS, "t1", world.namespace)
    result = child(child(task, "status"), "result")
    assert (result["outcome"], result["output"]) == ("Succeeded", {"score": 0.7})

    again = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 0.1}})
    assert (again.status, again.code) == (409, "ResultExists")
    for path in ("/v1/task", "/mcp", "/v1/models"):
        assert (await world.ask("GET", path, token)).code == "TaskEnded"


async def test_a_pod_of_a_service_waits_for_each_task_and_hands_in_one_result_for_each(world: World) -> None:
    await world.agent()
    await world.policy()
    pod = await world.service_pod()
    token = await world.token(pod)
    await world.ask_until("PodNotRecorded", "GET", "/v1/models", token)
    for name in ("t1", "t2"):
        waiting = asyncio.ensure_future(world.ask("GET", "/v1/task", token))
        uid = uid_of(await world.task(name))
        await world.record(replace(pod, task=name))
        answer = await waiting
        assert (answer.status, answer.json["uid"]) == (200, uid)
        unnamed = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 1}})
        assert (unnamed.status, unnamed.code) == (400, "BadRequest")
        named = {"AOS-Task": uid}
        kept = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 1}}, headers=named)
        assert kept.status == 204
        again = await world.ask(
            "POST", "/v1/task/result", token, json={"output": {"score": 2}}, headers=named
        )
        assert (again.status, again.code) == (409, "ResultExists")
        assert (await world.ask("GET", "/v1/models", token)).code == "TaskEnded"


class OneReplica:
    """What a replica knows that has heard of no result yet."""

    def revision(self, namespace: str, name: str) -> Revision:
        return Revision(name, "Enrich the lead.", AgentSpec.model_validate(AGENT_SPEC))

    def task(self, namespace: str, name: str) -> Task | None:
        return None

    def on_task_change(self, listener: Listener) -> None:
        pass

    def close_task(self, task: Task) -> None:
        pass

    def is_closed(self, uid: str) -> bool:
        return False


async def hand_in(world: World, caller: Caller, score: int) -> str:
    """Hand in a result at a replica of its own; return the status or code of the answer."""
    content = orjson.dumps({"output": {"score": score}})
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    request = HttpRequest(
        {"method": "POST", "path": "/v1/task/result", "headers": headers},
        receive,
        max_body_bytes=1000,
        timeout_seconds=5,
    )
    try:
        await TaskInbox(OneReplica(), world.client, Usage(), world.settings).handle(request, caller, send)
    except Refusal as refusal:
        return refusal.code.value
    return str(sent[0]["status"])


async def test_attack_20_of_many_replicas_that_are_handed_a_result_at_once_exactly_one_takes_it(
    world: World,
) -> None:
    name = await world.agent()
    worker = await world.worker()
    agent = Agent.parse(await world.client.get(AGENTS, name, world.namespace))
    task = Task.parse(await world.client.get(TASKS, worker.task, world.namespace))
    policy = effective_policy(PolicyInputs(agent=agent, namespace_labels={}, tools={}, policies=()))
    caller = Caller(world.namespace, name, task, worker.pod, worker.pod_uid, "enricher-1", policy)
    answers = await asyncio.gather(*(hand_in(world, caller, score) for score in range(8)))
    assert sorted(answers) == ["204", *["ResultExists"] * 7]
    kept = await world.client.get(TASKS, worker.task, world.namespace)
    output = child(child(child(kept, "status"), "result"), "output")
    assert output == {"score": answers.index("204")}
