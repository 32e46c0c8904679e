from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, Message
from aos.gateway.inbox import MAX_OUTPUT_BYTES, TaskInbox, read_result
from aos.gateway.refusal import Refusal
from aos.gateway.registry import Listener, Revision
from aos.gateway.usage import Usage
from aos.kube.errors import ApiError, Conflict, Forbidden, NotFound, Target, Unavailable
from aos.kube.resources import Resource
from aos.model.agent import AgentSpec
from aos.model.base import JsonObject
from aos.model.structural import MAX_FREE_PROPERTIES
from aos.model.task import Task
from tests.unit.gateway.make import SETTINGS, TASK_UID, caller, raw_task

NOW = datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
SCHEMA: JsonObject = {"type": "object", "required": ["score"], "properties": {"score": {"type": "number"}}}
TARGET = Target("apply", "tasks", "sales/t1")
RESULT: JsonObject = {
    "outcome": "Succeeded",
    "output": {"score": 1},
    "time": "2026-01-02T03:05:00Z",
}


def revision(**spec: JsonValue) -> Revision:
    whole: JsonObject = {"owner": {"team": "revops"}, "instructions": "Enrich.", **spec}
    return Revision("enricher-1", "Enrich.", AgentSpec.model_validate(whole))


@dataclass
class FakeTasks:
    """The registry's and the API server's part."""

    known: Revision | None = field(default_factory=lambda: revision(output={"schema": SCHEMA}))
    there: JsonObject = field(default_factory=raw_task)
    failures: list[ApiError] = field(default_factory=list)
    applied: list[JsonObject] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)

    def revision(self, namespace: str, name: str) -> Revision | None:
        return self.known

    def task(self, namespace: str, name: str) -> Task | None:
        return None

    def on_task_change(self, listener: Listener) -> None:
        pass

    def close_task(self, task: Task) -> None:
        self.closed.add(task.metadata.uid)

    def is_closed(self, uid: str) -> bool:
        return uid in self.closed

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        return self.there

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str, force: bool = True
    ) -> JsonObject:
        assert field_manager == "aos-gateway"
        self.applied.append(manifest)
        if self.failures:
            raise self.failures.pop(0)
        return manifest


@pytest.fixture
def tasks() -> FakeTasks:
    return FakeTasks()


@pytest.fixture
def usage() -> Usage:
    return Usage()


@pytest.fixture
def inbox(tasks: FakeTasks, usage: Usage) -> TaskInbox:
    return TaskInbox(tasks, tasks, usage, SETTINGS, lambda: NOW)


async def ask(
    inbox: TaskInbox,
    method: str,
    path: str,
    body: JsonValue = None,
    by: Caller | None = None,
    said: str = "",
) -> tuple[int, bytes]:
    content = b"" if body is None else orjson.dumps(body)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    if said:
        headers.append((b"aos-task", said.encode()))
    request = HttpRequest(
        {"method": method, "path": path, "headers": headers}, receive, max_body_bytes=10**6, timeout_seconds=1
    )
    await inbox.handle(request, by or caller(), send)
    status, answer = sent[0]["status"], sent[1]["body"]
    assert isinstance(status, int)
    assert isinstance(answer, bytes)
    return status, answer


async def post(inbox: TaskInbox, body: JsonValue, by: Caller | None = None) -> int:
    status, content = await ask(inbox, "POST", "/v1/task/result", body, by)
    assert content == b""
    return status


async def refused(asking: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await asking  # type: ignore[misc] # whatever was asked
    return caught.value


async def test_a_task_is_handed_out_as_its_revision_says(inbox: TaskInbox) -> None:
    by = caller(input={"lead": "ada"}, deadline="90s")
    status, content = await ask(inbox, "GET", "/v1/task", by=by)
    assert status == 200
    assert orjson.loads(content) == {
        "uid": TASK_UID,
        "name": "t1",
        "namespace": "sales",
        "agent": "enricher",
        "revision": "enricher-1",
        "instructions": "Enrich.",
        "input": {"lead": "ada"},
        "outputSchema": SCHEMA,
        "model": "",
        "delegates": [],
        "deadline": "2026-01-02T03:05:35Z",
    }


async def test_the_model_is_named_and_a_missing_schema_is_null(inbox: TaskInbox, tasks: FakeTasks) -> None:
    tasks.known = revision(model={"name": "default"})
    _, content = await ask(inbox, "GET", "/v1/task")
    said = orjson.loads(content)
    assert (said["model"], said["outputSchema"]) == ("default", None)


async def test_without_its_revision_a_task_is_not_handed_out(inbox: TaskInbox, tasks: FakeTasks) -> None:
    tasks.known = None
    for asking in (ask(inbox, "GET", "/v1/task"), post(inbox, {"output": {}})):
        refusal = await refused(asking)
        assert (refusal.status, refusal.code, refusal.retry_after_seconds) == (503, "RevisionUnknown", 1)


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/task"), ("GET", "/v1/task/result")])
async def test_other_methods_are_refused(inbox: TaskInbox, method: str, path: str) -> None:
    refusal = await refused(ask(inbox, method, path, {}))
    assert (refusal.status, refusal.code) == (405, "MethodNotAllowed")


async def test_an_output_is_kept_with_what_the_task_used(
    inbox: TaskInbox, tasks: FakeTasks, usage: Usage
) -> None:
    usage.add(TASK_UID, calls=2, denied=1, prompt_tokens=30, completion_tokens=4)
    assert await post(inbox, {"output": {"score": 1}}) == 204
    (manifest,) = tasks.applied
    assert manifest["metadata"] == {
        "name": "t1",
        "namespace": "sales",
        "uid": TASK_UID,
        "resourceVersion": "7",
    }
    assert manifest["status"] == {
        "result": {**RESULT, "reason": "", "message": ""},
        "usage": {"calls": 2, "denied": 1, "promptTokens": 30, "completionTokens": 4, "costMicroUSD": 0},
    }
    assert tasks.closed == {TASK_UID}


async def test_a_failure_is_kept(inbox: TaskInbox, tasks: FakeTasks) -> None:
    assert await post(inbox, {"failure": {"reason": "OutOfSteps", "message": "24 steps"}}) == 204
    (manifest,) = tasks.applied
    status = manifest["status"]
    assert isinstance(status, dict)
    assert status["result"] == {
        "outcome": "Failed",
        "reason": "OutOfSteps",
        "message": "24 steps",
        "time": "2026-01-02T03:05:00Z",
    }


async def test_an_output_that_does_not_fit_is_refused_place_by_place(
    inbox: TaskInbox, tasks: FakeTasks
) -> None:
    refusal = await refused(post(inbox, {"output": {"score": "high"}}))
    assert (refusal.status, refusal.code) == (422, "OutputInvalid")
    assert [(detail.path, detail.message) for detail in refusal.details] == [
        ("/score", '"high" is not of type "number"')
    ]
    assert tasks.applied == []


async def test_any_object_fits_an_agent_without_an_output_schema(inbox: TaskInbox, tasks: FakeTasks) -> None:
    tasks.known = revision()
    assert await post(inbox, {"output": {"anything": [1, None]}}) == 204


async def test_a_schema_that_can_not_be_used_takes_no_output(inbox: TaskInbox, tasks: FakeTasks) -> None:
    tasks.known = revision(output={"schema": {"$ref": "https://elsewhere/schema"}})
    refusal = await refused(post(inbox, {"output": {}}))
    assert refusal.status == 503
    assert tasks.applied == []


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"output": 1},
        {"output": None},
        {"output": {}, "failure": {"reason": "A"}},
        {"result": {}},
        {"failure": None},
        {"failure": {}},
        {"failure": {"reason": ""}},
        {"failure": {"reason": "A" * 65}},
        {"failure": {"reason": "A", "message": 1}},
        {"failure": {"reason": "A", "more": 1}},
    ],
)
def test_a_result_of_another_form_is_refused(body: JsonValue) -> None:
    with pytest.raises(Refusal) as caught:
        read_result(body)
    assert (caught.value.status, caught.value.code) == (400, "BadRequest")


def test_an_output_that_a_status_could_not_hold_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        read_result({"output": {"text": "a" * MAX_OUTPUT_BYTES}})
    assert (caught.value.status, caught.value.code) == (413, "RequestTooLarge")


def test_an_output_with_more_fields_than_a_task_holds_is_told_and_not_sent_again_for_ever() -> None:
    fields: JsonObject = {f"f{number}": number for number in range(MAX_FREE_PROPERTIES)}
    assert read_result({"output": fields}).output == fields
    with pytest.raises(Refusal) as caught:
        read_result({"output": {**fields, "more": 1}})
    assert (caught.value.status, caught.value.code) == (422, "OutputInvalid")


def test_a_long_message_of_a_failure_is_cut() -> None:
    assert len(read_result({"failure": {"reason": "A", "message": "a" * 5000}}).message) == 2048


async def test_attack_20_a_result_is_taken_once(inbox: TaskInbox, tasks: FakeTasks) -> None:
    await post(inbox, {"output": {"score": 1}})
    refusal = await refused(post(inbox, {"output": {"score": 2}}))
    assert (refusal.status, refusal.code) == (409, "ResultExists")
    assert len(tasks.applied) == 1


async def test_attack_20_a_result_of_a_service_says_which_task_it_is_of(
    inbox: TaskInbox, tasks: FakeTasks
) -> None:
    by = replace(caller(), is_service=True)
    refusal = await refused(post(inbox, {"output": {"score": 1}}, by))
    assert (refusal.status, refusal.code, tasks.applied) == (400, "BadRequest", [])
    assert "AOS-Task" in refusal.message
    status, _ = await ask(inbox, "POST", "/v1/task/result", {"output": {"score": 1}}, by, said=TASK_UID)
    assert (status, len(tasks.applied)) == (204, 1)


async def test_attack_20_of_two_gateways_that_take_a_result_the_first_wins(
    inbox: TaskInbox, tasks: FakeTasks
) -> None:
    tasks.failures.append(Conflict(TARGET, 409, "Conflict", "the object has been modified"))
    tasks.there = raw_task(status={"result": RESULT})
    refusal = await refused(post(inbox, {"output": {"score": 2}}))
    assert (refusal.status, refusal.code) == (409, "ResultExists")
    assert len(tasks.applied) == 1


async def test_a_task_that_changed_otherwise_is_written_to_as_it_is_now(
    inbox: TaskInbox, tasks: FakeTasks
) -> None:
    tasks.failures.append(Conflict(TARGET, 409, "Conflict", "the object has been modified"))
    newer = raw_task()
    metadata = newer["metadata"]
    assert isinstance(metadata, dict)
    metadata["resourceVersion"] = "8"
    tasks.there = newer
    assert await post(inbox, {"output": {"score": 1}}) == 204
    versions = [item["metadata"] for item in tasks.applied]
    assert [item["resourceVersion"] for item in versions if isinstance(item, dict)] == ["7", "8"]


def ended() -> JsonObject:
    condition: JsonObject = {
        "type": "Succeeded",
        "status": "False",
        "reason": "DeadlineExceeded",
        "lastTransitionTime": "2026-01-02T03:04:06Z",
    }
    return {"conditions": [condition]}


@pytest.mark.parametrize(
    "by", [lambda: caller(status=ended()), lambda: caller(deadline="10s")], ids=["ended", "past its deadline"]
)
async def test_a_task_that_has_ended_takes_no_result(inbox: TaskInbox, by: Callable[[], Caller]) -> None:
    refusal = await refused(post(inbox, {"output": {"score": 1}}, by()))
    assert (refusal.status, refusal.code) == (409, "TaskEnded")


async def test_a_task_that_has_its_result_takes_no_other(inbox: TaskInbox) -> None:
    refusal = await refused(post(inbox, {"output": {"score": 1}}, caller(status={"result": RESULT})))
    assert refusal.code == "ResultExists"


@pytest.mark.parametrize(
    ("failures", "status", "code"),
    [
        ([NotFound(TARGET, 404, "NotFound", "gone")], 403, "TaskUnknown"),
        ([Unavailable(TARGET, 0, "ConnectionError", "down")], 503, "Internal"),
        ([Forbidden(TARGET, 403, "Forbidden", "no")], 503, "Internal"),
        ([Conflict(TARGET, 409, "Conflict", "changed") for _ in range(9)], 503, "Internal"),
    ],
)
async def test_a_result_that_could_not_be_kept_is_not_acknowledged(
    inbox: TaskInbox, tasks: FakeTasks, failures: list[ApiError], status: int, code: str
) -> None:
    tasks.failures = failures
    refusal = await refused(post(inbox, {"output": {"score": 1}}))
    assert (refusal.status, refusal.code) == (status, code)
    assert tasks.closed == set()


async def test_another_task_of_the_same_name_does_not_get_the_result(
    inbox: TaskInbox, tasks: FakeTasks
) -> None:
    tasks.failures.append(Conflict(TARGET, 409, "Conflict", "another uid"))
    another = raw_task()
    metadata = another["metadata"]
    assert isinstance(metadata, dict)
    metadata["uid"] = "another"
    tasks.there = another
    assert (await refused(post(inbox, {"output": {"score": 1}}))).code == "TaskUnknown"
