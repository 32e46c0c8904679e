"""Handoffs as the official client makes them, against the gateway's port over TLS."""

import asyncio
import json

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.client.client import Client
from a2a.client.errors import A2AClientError
from a2a.helpers import get_data_parts, new_data_message, new_text_message
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from pydantic import JsonValue

from aos.gateway.a2a import endpoint
from aos.kube.errors import Target, Unavailable
from aos.kube.objects import child, children, text
from aos.kube.resources import AGENTS, TASKS
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from tests.unit.gateway.make import raw, raw_agent
from tests.unit.gateway_a2a.world import WAIT_SECONDS, World, ended, running

RESULT: JsonObject = {
    "outcome": "Succeeded",
    "output": {"draft": "Hello Ada", "words": 2},
    "time": "2026-01-02T03:04:06Z",
}
FACTS: JsonObject = {"facts": "Ada likes trains"}


def work(content: JsonObject = FACTS) -> SendMessageRequest:
    return SendMessageRequest(message=new_data_message(content, role=Role.ROLE_USER))


async def sent(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    return [item async for item in client.send_message(request)]


async def answered(client: Client, request: SendMessageRequest) -> Task:
    (only,) = await sent(client, request)
    return only.task


async def child_of(world: World) -> str:
    """The name of the one Task that was handed over, once it is there."""
    await world.until(lambda: world.api.created)
    name = text(child(world.api.created[0], "metadata"), "name")
    await world.until(lambda: world.registry.task("sales", name) is not None)
    return name


async def test_the_official_client_hands_work_over_and_waits_for_what_comes_of_it() -> None:
    async with running() as world, world.client("t1", "writer", streaming=False) as client:
        waiting = asyncio.create_task(answered(client, work()))
        name = await child_of(world)
        world.api.status(name, pod={"name": "p", "uid": "u"})
        world.api.status(name, result=RESULT)
        task = await waiting
    assert (task.id, task.status.state) == (name, TaskState.TASK_STATE_COMPLETED)
    assert get_data_parts(task.artifacts[0].parts) == [{"draft": "Hello Ada", "words": 2}]
    assert task.context_id == "t1-uid"


async def test_the_task_of_a_handoff_says_where_it_comes_from_and_ends_with_it() -> None:
    async with running() as world, world.client("t1", "writer", polling=True, streaming=False) as client:
        await answered(client, work())
        (made,) = world.api.created
    metadata, spec = child(made, "metadata"), child(made, "spec")
    assert metadata["ownerReferences"] == [
        {"apiVersion": "aos.dev/v1alpha1", "kind": "Task", "name": "t1", "uid": "t1-uid", "controller": True}
    ]
    assert spec["lineage"] == [{"agent": "lead", "task": "t1", "taskUID": "t1-uid"}]
    assert (spec["agentRef"], spec["input"], spec["requestedBy"]) == ({"name": "writer"}, FACTS, "ada")
    deadline = text(spec, "deadline")
    assert 3500 < int(deadline.removesuffix("s")) < 3600


async def test_the_official_client_follows_a_handoff_as_it_goes() -> None:
    async with running() as world, world.client("t1", "writer") as client:
        following = asyncio.create_task(sent(client, work()))
        name = await child_of(world)
        world.api.status(name, pod={"name": "p", "uid": "u"})
        await asyncio.sleep(0.05)
        world.api.status(name, result=RESULT)
        said = await following
    assert said[0].task.id == name
    assert said[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    artifacts = [item.artifact_update.artifact for item in said if item.HasField("artifact_update")]
    assert get_data_parts(artifacts[0].parts) == [{"draft": "Hello Ada", "words": 2}]


async def test_a_handoff_is_asked_for_again_listed_and_subscribed_to() -> None:
    async with running() as world, world.client("t1", "writer", polling=True, streaming=False) as client:
        first = await answered(client, work())
        assert first.status.state == TaskState.TASK_STATE_SUBMITTED
        second = await answered(client, work({"facts": "more"}))
        await world.until(lambda: len(list(world.registry.tasks("sales"))) == 3)
        world.api.status(first.id, result=RESULT)
        await world.until(lambda: world.registry.task("sales", first.id).status.result)  # type: ignore[union-attr]
        found = await client.get_task(GetTaskRequest(id=first.id))
        listed = await client.list_tasks(ListTasksRequest(page_size=1, include_artifacts=True))
        rest = await client.list_tasks(ListTasksRequest(page_size=5, page_token=listed.next_page_token))
        done = await client.list_tasks(ListTasksRequest(status=TaskState.TASK_STATE_COMPLETED))
        async with world.client("t1", "writer") as follower:
            events = [item async for item in follower.subscribe(SubscribeToTaskRequest(id=first.id))]
    assert found.status.state == TaskState.TASK_STATE_COMPLETED
    assert listed.total_size == 2
    assert {task.id for task in (*listed.tasks, *rest.tasks)} == {first.id, second.id}
    assert [task.id for task in done.tasks] == [first.id]
    assert [item.task.id for item in events] == [first.id]


async def test_the_same_message_is_the_same_task_however_often_it_is_sent() -> None:
    request = work()
    async with running() as world, world.client("t1", "writer", polling=True, streaming=False) as client:
        found = await asyncio.gather(*(answered(client, request) for _ in range(5)))
        await world.until(lambda: world.registry.task("sales", found[0].id) is not None)
        again = await answered(client, request)
        request.message.parts[0].CopyFrom(new_data_message({"facts": "other"}).parts[0])
        with pytest.raises(InvalidParamsError, match="messageId was used"):
            await answered(client, request)
    assert {task.id for task in (*found, again)} == {found[0].id}
    assert len(world.api.created) == 1


async def test_a_wait_has_an_end_and_the_same_message_waits_on() -> None:
    request = work()
    async with (
        running(handoff_wait_seconds=0.05) as world,
        world.client("t1", "writer", streaming=False) as client,
    ):
        first = await answered(client, request)
        assert first.status.state == TaskState.TASK_STATE_SUBMITTED
        world.api.status(first.id, result=RESULT)
        await world.until(lambda: world.registry.task("sales", first.id).status.result)  # type: ignore[union-attr]
        second = await answered(client, request)
    assert (second.id, second.status.state) == (first.id, TaskState.TASK_STATE_COMPLETED)


async def test_a_handoff_is_cancelled_by_deleting_its_task() -> None:
    async with running() as world, world.client("t1", "writer", polling=True, streaming=False) as client:
        task = await answered(client, work())
        cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        await world.until(lambda: world.registry.task("sales", task.id) is None)
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id=task.id))
        done = await answered(client, work({"facts": "b"}))
        world.api.status(done.id, conditions=[ended("Completed", "True")], result=RESULT)
        await world.until(lambda: world.registry.task("sales", done.id).ended)  # type: ignore[union-attr]
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(CancelTaskRequest(id=done.id))
        rows = await world.rows()
    assert [(row.phase, row.action) for row in rows if row.action == "CancelTask"] == [
        ("Intent", "CancelTask"),
        ("Outcome", "CancelTask"),
    ]


async def test_a_task_that_is_deleted_while_somebody_waits_for_it_is_cancelled() -> None:
    async with running() as world, world.client("t1", "writer", streaming=False) as client:
        waiting = asyncio.create_task(answered(client, work()))
        name = await child_of(world)
        world.api.remove(TASKS, name)
        assert (await waiting).status.state == TaskState.TASK_STATE_CANCELED


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [
        (
            {
                "result": {
                    "outcome": "Failed",
                    "reason": "ModelRefused",
                    "message": "no",
                    "time": "2026-01-02T03:04:06Z",
                }
            },
            TaskState.TASK_STATE_FAILED,
            "ModelRefused: no",
        ),
        ({"conditions": [ended("InputInvalid", message="/facts")]}, TaskState.TASK_STATE_REJECTED, "/facts"),
        ({"conditions": [ended("ParentEnded")]}, TaskState.TASK_STATE_CANCELED, "ParentEnded"),
        (
            {"conditions": [ended("PodFailed", message="exit 1")]},
            TaskState.TASK_STATE_FAILED,
            "PodFailed: exit 1",
        ),
    ],
)
async def test_how_a_handoff_ended_is_told(status: JsonObject, state: TaskState, said: str) -> None:
    async with running() as world, world.client("t1", "writer", streaming=False) as client:
        waiting = asyncio.create_task(answered(client, work()))
        world.api.status(await child_of(world), **status)
        task = await waiting
    assert task.status.state == state
    assert said in task.status.message.parts[0].text


async def test_a_text_is_handed_over_as_the_field_text() -> None:
    async with running() as world:
        await world.agent("writer2", input={"schema": {"required": ["text"]}})
        await world.agent("lead2", delegates=["writer2"])
        await world.task("t2", "lead2")
        async with world.client("t2", "writer2", polling=True, streaming=False) as client:
            message = new_text_message("Write", role=Role.ROLE_USER)
            await answered(client, SendMessageRequest(message=message))
    assert child(world.api.created[0], "spec")["input"] == {"text": "Write"}


async def test_a_task_takes_one_message() -> None:
    async with running() as world, world.client("t1", "writer", streaming=False) as client:
        message = new_data_message(FACTS, role=Role.ROLE_USER, task_id="t9")
        with pytest.raises(UnsupportedOperationError, match="one message"):
            await answered(client, SendMessageRequest(message=message))


async def test_attack_28_nobody_is_called_back() -> None:
    url = "http://169.254.169.254/latest"
    async with running() as world, world.client("t1", "writer", polling=True, streaming=False) as client:
        request = work()
        request.configuration.task_push_notification_config.url = url
        with pytest.raises(PushNotificationNotSupportedError, match="calls nobody back"):
            await answered(client, request)
        task = await answered(client, work())
        config = TaskPushNotificationConfig(task_id=task.id, id="c", url=url)
        with pytest.raises(PushNotificationNotSupportedError):
            await client.create_task_push_notification_config(config)
        for method in ("tasks/pushNotificationConfig/set", "tasks/pushNotificationConfig/get"):
            said = await world.rpc("t1", "writer", method, {"taskId": task.id})
            assert child(said, "error")["code"] == -32003


async def test_attack_28_no_connection_is_made_to_whoever_wants_to_be_called_back() -> None:
    called: list[asyncio.StreamWriter] = []

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(writer)

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    parts: list[JsonValue] = [{"kind": "data", "data": FACTS}]
    message: JsonObject = {"kind": "message", "messageId": "m", "role": "user", "parts": parts}
    async with listener, running() as world:
        for place in (
            url,
            "http://169.254.169.254/latest",
            "http://aos-gateway.aos-system.svc:8444/v1/enforced",
        ):
            for name in ("pushNotificationConfig", "taskPushNotificationConfig"):
                asked: JsonObject = {"message": message, "configuration": {name: {"url": place}}}
                said = await world.rpc("t1", "writer", "message/send", asked)
                assert child(said, "error")["code"] == -32003
        assert world.api.created == []
        # What a message brings along elsewhere is nobody's address either.
        asked = {
            "message": {
                **message,
                "metadata": {"callback": url},
                "extensions": [url],
                "referenceTaskIds": [url],
            },
            "configuration": {"blocking": False},
            "metadata": {"pushNotificationConfig": {"url": url}},
        }
        await world.rpc("t1", "writer", "message/send", asked)
        (made,) = world.api.created
        assert url not in json.dumps(made)
        name = text(child(made, "metadata"), "name")
        world.api.status(name, conditions=[ended("Completed", "True")])
        await world.until(lambda: (task := world.registry.task("sales", name)) is not None and task.ended)
        await asyncio.sleep(0.05)
    assert called == []


async def test_attack_28_a_card_is_made_by_the_gateway_and_leads_nowhere_else() -> None:
    async with running() as world, world.http("t1") as http:
        url = f"{world.url}/a2a/sales/writer/.well-known/agent-card.json"
        card = (await http.get(url)).json()
        posted = await http.post(url, json={"name": "forged", "url": "http://evil"})
        strange = await http.get(f"{world.url}/a2a/sales/lead/.well-known/agent-card.json")
        other_host = await http.get(url, headers={"Host": "evil.example"})
    assert (posted.status_code, strange.status_code, other_host.status_code) == (405, 403, 421)
    places = {card["url"], card["provider"]["url"], *(item["url"] for item in card["supportedInterfaces"])}
    assert places == {f"{world.url}/a2a/sales/writer"}
    assert card["capabilities"]["pushNotifications"] is False
    assert card["capabilities"]["extensions"][0]["params"]["input"]["required"] == ["facts"]
    assert "Enrich." not in json.dumps(card)


@pytest.mark.parametrize(
    ("namespace", "agent"),
    [("sales", "stranger"), ("sales", "lead"), ("finance", "writer"), ("aos-system", "writer")],
)
async def test_attack_19_work_is_handed_to_delegates_of_ones_own_namespace_alone(
    namespace: str, agent: str
) -> None:
    params: JsonObject = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": FACTS}]}}
    async with running() as world:
        await world.agent("stranger")
        said = await world.rpc("t1", agent, "SendMessage", params, namespace)
        (row,) = await world.rows()
    assert reason_of(said) == "DelegateNotAllowed"
    assert (row.phase, row.subject, row.name, row.reason) == ("Refusal", "agent", agent, "DelegateNotAllowed")
    assert world.api.created == []
    assert world.held.news.told[0][:2] == ("lead", "DelegateNotAllowed")


def reason_of(said: JsonObject) -> str:
    failed = child(said, "error")
    assert failed["code"] == -32020
    return text(children(failed, "data")[0], "reason")


async def refused(world: World, content: JsonObject = FACTS, task: str = "t1", agent: str = "writer") -> str:
    """The reason for which a handoff is refused."""
    parts: list[JsonValue] = [{"data": content}]
    message: JsonObject = {"messageId": json.dumps(content), "role": "ROLE_USER", "parts": parts}
    said = await world.rpc(task, agent, "SendMessage", {"message": message})
    assert world.api.created == []
    return reason_of(said)


async def test_the_receiver_takes_work_only_while_it_is_ready() -> None:
    async with running() as world:
        await world.agent("lead", delegates=["writer", "gone", "asleep", "new"])
        await world.agent("asleep", suspend=True)
        assert await refused(world, agent="gone") == "AgentUnknown"
        assert await refused(world, agent="asleep") == "AgentSuspended"
        await world.agent("new")
        world.api.put(AGENTS, raw_agent("new", metadata={"generation": 2}))
        await world.until(lambda: world.registry.agent("sales", "new").metadata.generation == 2)  # type: ignore[union-attr]
        assert await refused(world, agent="new") == "DelegateNotReady"


async def test_an_input_that_does_not_fit_the_receivers_schema_makes_no_task() -> None:
    async with running() as world:
        assert await refused(world, {"facts": 7}) == "ArgumentsInvalid"
        assert await refused(world, {}) == "ArgumentsInvalid"


async def test_an_error_of_the_official_client_says_what_to_do() -> None:
    async with running() as world, world.client("t1", "writer", streaming=False) as client:
        with pytest.raises(A2AClientError, match=r"/facts: 7.0 is not of type"):
            await answered(client, work({"facts": 7}))


@pytest.mark.parametrize(
    "name", ["t1", "lead-0123456789abcdef", "writer-0123456789abcdef", "../t1", "x" * 300]
)
async def test_attack_32_a_task_that_was_not_handed_over_from_here_is_not_found(name: str) -> None:
    async with running() as world:
        await world.task("t9", "lead")
        lineage: JsonValue = [{"agent": "lead", "task": "t9", "taskUID": "t9-uid"}]
        await world.task("writer-0123456789abcdef", "writer", lineage=lineage)
        for method in ("GetTask", "CancelTask", "SubscribeToTask", "tasks/get"):
            said = await world.rpc("t1", "writer", method, {"id": name})
            assert child(said, "error")["code"] == (-32602 if len(name) > 256 else -32001)
        said = await world.rpc("t1", "writer", "ListTasks", {})
    assert child(said, "result")["tasks"] == []


async def test_clients_of_the_older_protocol_are_answered_in_its_spelling() -> None:
    message: JsonObject = {
        "kind": "message",
        "messageId": "m",
        "role": "user",
        "parts": [{"kind": "data", "data": FACTS}],
    }
    params: JsonObject = {"message": message, "configuration": {"blocking": False}}
    async with running() as world:
        said = child(await world.rpc("t1", "writer", "message/send", params), "result")
        assert (said["kind"], child(said, "status")["state"]) == ("task", "submitted")
        name = text(said, "id")
        world.api.status(name, result=RESULT)
        await world.until(lambda: world.registry.task("sales", name).status.result)  # type: ignore[union-attr]
        found = child(await world.rpc("t1", "writer", "tasks/get", {"id": name}), "result")
    assert child(found, "status")["state"] == "completed"
    (part,) = children(children(found, "artifacts")[0], "parts")
    assert part == {"kind": "data", "data": RESULT["output"]}


async def test_limits_hold_for_handoffs_as_for_other_calls() -> None:
    async with running() as world:
        await world.policy(limits=[{"name": "few", "calls": 2, "per": "1h", "scope": "Agent"}])
        async with world.client("t1", "writer", polling=True, streaming=False) as client:
            for number in range(2):
                await answered(client, work({"facts": str(number)}))
            with pytest.raises(A2AClientError, match="exceeds"):
                await answered(client, work({"facts": "one more"}))
        rows = await world.rows()
    assert [row.reason for row in rows if row.phase == "Refusal"] == ["LimitExceeded"]
    assert len(world.api.created) == 2


@pytest.mark.parametrize(
    "path",
    ["/a2a/", "/a2a/sales", "/a2a/sales/", "/a2a//writer", "/a2a/sales/writer/x", f"/a2a/sales/{'a' * 53}"],
)
async def test_a_path_that_names_no_agent_is_not_found(path: str) -> None:
    async with running() as world, world.http("t1") as http:
        assert (await http.post(f"{world.url}{path}", json={})).status_code == 404


async def test_what_is_no_json_is_answered_as_json_rpc_asks() -> None:
    async with running() as world, world.http("t1") as http:
        url = f"{world.url}/a2a/sales/writer"
        headers = {"Content-Type": "application/json"}
        twice = await http.post(url, content=b'{"id": 1, "id": 2}', headers=headers)
        text_body = await http.post(url, content=b"x", headers={"Content-Type": "text/plain"})
        got = await http.get(url)
    assert (twice.status_code, twice.json()["error"]["code"]) == (200, -32700)
    assert text_body.status_code == 415
    assert (got.status_code, got.headers["allow"]) == (405, "POST")


async def test_the_card_of_a_delegate_that_is_not_there_is_not_found() -> None:
    async with running() as world, world.http("t1") as http:
        await world.agent("lead", delegates=["gone"])
        answer = await http.get(f"{world.url}/a2a/sales/gone/.well-known/agent-card.json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "AgentUnknown")


async def test_there_is_one_card_and_one_conversation() -> None:
    message: JsonObject = {
        "messageId": "m",
        "role": "ROLE_USER",
        "contextId": "mine",
        "parts": [{"data": FACTS}],
    }
    async with running() as world:
        card = await world.rpc("t1", "writer", "GetExtendedAgentCard", {})
        other = await world.rpc("t1", "writer", "SendMessage", {"message": message})
        own = await world.rpc(
            "t1",
            "writer",
            "SendMessage",
            {"message": {**message, "contextId": "t1-uid"}, "configuration": {"returnImmediately": True}},
        )
        listed = await world.rpc("t1", "writer", "ListTasks", {"contextId": "mine"})
    assert child(card, "error")["code"] == -32007
    assert child(other, "error")["code"] == -32602
    assert "result" in own
    assert child(listed, "result")["tasks"] == []


async def test_a_stream_gives_signs_of_life_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "HEARTBEAT_SECONDS", 0.02)
    async with running(stream_timeout_seconds=0.3) as world, world.http("t1") as http:
        message: JsonObject = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": FACTS}]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": message}}
        url = f"{world.url}/a2a/sales/writer"
        async with http.stream("POST", url, json=body) as response:
            lines = [line async for line in response.aiter_lines() if line]
    assert lines[0].startswith("data: ")
    assert lines[-1] == ": waiting"


async def test_who_goes_away_while_waiting_leaves_the_task_to_go_on() -> None:
    async with running() as world:
        async with world.http("t1") as http:
            http.timeout = httpx.Timeout(0.3)
            config = ClientConfig(httpx_client=http, streaming=False)
            client = await create_client(f"{world.url}/a2a/sales/writer", client_config=config)
            with pytest.raises(A2AClientError):
                await answered(client, work())
        name = await child_of(world)
        assert world.registry.task("sales", name) is not None
        async with world.client("t1", "writer", polling=True, streaming=False) as client:
            assert (await client.get_task(GetTaskRequest(id=name))).id == name


async def test_a_task_that_the_gateway_has_not_heard_of_yet_is_looked_up() -> None:
    async with running() as world:
        lineage: JsonValue = [{"agent": "lead", "task": "t1", "taskUID": "t1-uid"}]
        name = "writer-0123456789abcdef"
        item = raw("Task", name, spec={"agentRef": {"name": "writer"}, "lineage": lineage})
        world.api.objects["tasks", ObjectKey(namespace="sales", name=name)] = item
        found = await world.rpc("t1", "writer", "GetTask", {"id": name})
        assert child(found, "result")["id"] == name
        world.api.failure = Unavailable(Target("get", "tasks", name), 503, "x", "down")
        lost = await world.rpc("t1", "writer", "GetTask", {"id": name})
    assert child(lost, "error")["code"] == -32001


async def test_a_stream_that_nobody_reads_any_more_ends() -> None:
    message: JsonObject = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": FACTS}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": message}}
    async with running(max_concurrent_calls_per_agent=1) as world:
        url = f"{world.url}/a2a/sales/writer"
        async with world.http("t1") as http, http.stream("POST", url, json=body) as response:
            first = await anext(response.aiter_lines())
            assert first.startswith("data: ")
            refused = await http.post(url, json=body)
        assert refused.json()["error"]["code"] == "TooManyCalls"
        async with asyncio.timeout(WAIT_SECONDS), world.http("t1") as http:
            while (await http.post(url, json={**body, "method": "ListTasks"})).status_code == 429:  # noqa: ASYNC110 - the gateway sets no event of a test's
                await asyncio.sleep(0.02)
