from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError
from openai.types.chat import ChatCompletion
from pydantic import JsonValue

from aos.agent.assignment import Assignment
from aos.agent.conversation import (
    AskModel,
    AssistantMessage,
    CallRequest,
    ModelAnswered,
    SystemMessage,
    ToolMessage,
    ToolOffer,
    UserMessage,
)
from aos.agent.failure import FailureReason, TaskFailedError
from aos.agent.model import ModelClient, ModelReply, failure_of, functions, message_param, read_completion
from aos.agent.settings import AgentSettings
from aos.agent.transport import GATEWAY_UNREACHABLE
from examples.common import model as scripted
from examples.common.service import Settings
from tests.unit.agent.conftest import FAST, task
from tests.unit.agent.serving import serve

TOOL = ToolOffer(
    "crm.get_contact", "Read\n a contact", {"type": "object", "properties": {"id": {"type": "string"}}}
)
REQUEST = httpx2.Request("POST", "https://gateway/v1/chat/completions")


def completion(**choice: JsonValue) -> ChatCompletion:
    return ChatCompletion.construct(
        choices=[choice], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    )


def test_a_tool_becomes_a_function_with_a_name_that_the_api_accepts() -> None:
    assert list(functions([TOOL])) == [
        {
            "type": "function",
            "function": {
                "name": "crm__get_contact",
                "description": "Read a contact",
                "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
            },
        }
    ]


def test_a_long_description_is_cut_to_what_the_api_takes() -> None:
    [function] = functions([replace(TOOL, description="x" * 5000)])
    assert len(function["function"]["description"]) == 1024


def test_each_kind_of_message_has_its_role() -> None:
    call = CallRequest("call_1", "crm__get_contact", "{}")
    spoken = [
        message_param(message)
        for message in (
            SystemMessage("a"),
            UserMessage("b"),
            AssistantMessage("c"),
            AssistantMessage("", (call,)),
            ToolMessage("call_1", "d"),
        )
    ]
    assert spoken == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "crm__get_contact", "arguments": "{}"},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "d"},
    ]


def test_an_answer_is_read_with_what_it_cost() -> None:
    reply = read_completion(
        completion(message={"role": "assistant", "content": "done"}, finish_reason="stop")
    )
    assert reply == ModelReply(ModelAnswered("done"), prompt_tokens=7, completion_tokens=3)


def test_calls_are_read_and_get_an_id_if_the_server_gave_none() -> None:
    calls: JsonValue = [
        {"id": "", "type": "function", "function": {"name": "a", "arguments": "{}"}},
        {"type": "function", "function": {"name": "b"}},
    ]
    reply = read_completion(completion(message={"content": None, "tool_calls": calls}))
    assert reply.answer == ModelAnswered(
        "", (CallRequest("call_0", "a", "{}"), CallRequest("call_1", "b", ""))
    )


def test_a_lone_surrogate_is_replaced_because_it_can_not_be_sent_back() -> None:
    assert read_completion(completion(message={"content": "a\ud800b"})).answer.text == "a?b"


@pytest.mark.parametrize(
    "broken",
    [
        ChatCompletion.construct(),
        ChatCompletion.construct(choices=[]),
        ChatCompletion.construct(choices=None),
        completion(),
        completion(message=None),
        completion(message={"content": 1}),
        completion(message={"tool_calls": [{"id": "x", "type": "custom", "custom": {"name": "a"}}]}),
    ],
)
def test_what_is_no_completion_is_an_error(broken: ChatCompletion) -> None:
    with pytest.raises(TaskFailedError) as caught:
        read_completion(broken)
    assert caught.value.failure.reason is FailureReason.MODEL_ANSWER_INVALID


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None, "refusal": "I can't"}},
        {"message": {"content": ""}, "finish_reason": "content_filter"},
    ],
)
def test_a_refusal_is_one(choice: dict[str, JsonValue]) -> None:
    with pytest.raises(TaskFailedError) as caught:
        read_completion(completion(**choice))
    assert caught.value.failure.reason is FailureReason.MODEL_REFUSED


def status_error(status: int, body: object = None) -> APIStatusError:
    return APIStatusError("long words", response=httpx2.Response(status, request=REQUEST), body=body)


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (status_error(401), FailureReason.MODEL_DENIED, "the gateway denies the model: HTTP 401"),
        (
            status_error(403, {"code": "ModelNotAllowed", "message": "not yours"}),
            FailureReason.MODEL_DENIED,
            "the gateway denies the model: HTTP 403: not yours",
        ),
        (status_error(404), FailureReason.MODEL_UNAVAILABLE, "the model gave no answer: HTTP 404"),
        (status_error(503, "<html>"), FailureReason.MODEL_UNAVAILABLE, "the model gave no answer: HTTP 503"),
        (
            status_error(502, {"code": GATEWAY_UNREACHABLE, "message": "gone"}),
            FailureReason.GATEWAY_UNAVAILABLE,
            "no answer to a model request: HTTP 502: gone",
        ),
        (APITimeoutError(REQUEST), FailureReason.GATEWAY_UNAVAILABLE, "no answer to a model request in time"),
        (
            APIConnectionError(request=REQUEST),
            FailureReason.GATEWAY_UNAVAILABLE,
            "no answer to a model request in time",
        ),
        (
            OpenAIError("odd"),
            FailureReason.MODEL_ANSWER_INVALID,
            "the model's answer can't be read: OpenAIError",
        ),
    ],
)
def test_each_error_of_the_client_is_a_failure_with_a_reason(
    error: OpenAIError, reason: FailureReason, message: str
) -> None:
    failure = failure_of(error)
    assert (failure.reason, failure.message) == (reason, message)


class Recorder:
    """Answers "{}" and keeps what was asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.content)
        return httpx2.Response(200, json={"choices": [{"message": {"content": "{}"}}]})

    def client(self, *tools: ToolOffer, **changes: object) -> ModelClient:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond))
        settings = AgentSettings("x", Path("x"), Path("x"), "https://gateway/v1", "x", bounds=FAST)
        return ModelClient(http, settings, Assignment.model_validate(task(**changes)), tools)


@pytest.mark.parametrize(
    ("tools", "schema", "answer_only", "said"),
    [
        ((), None, False, set()),
        ((TOOL,), None, False, {"tools"}),
        ((TOOL,), {"type": "object"}, False, {"tools"}),
        ((TOOL,), {"type": "object"}, True, {"tools", "tool_choice", "response_format"}),
        ((), {"type": "object"}, True, {"response_format"}),
        ((TOOL,), None, True, {"tools", "tool_choice"}),
    ],
)
async def test_a_request_says_no_more_than_it_has_to(
    tools: tuple[ToolOffer, ...],
    schema: JsonValue,
    answer_only: bool,  # noqa: FBT001
    said: set[str],
) -> None:
    recorder = Recorder()
    client = recorder.client(*tools, outputSchema=schema)
    await client.ask(AskModel((UserMessage("hello"),), answer_only=answer_only))
    [body] = recorder.bodies
    optional = {"tools", "tool_choice", "response_format"}
    assert {key for key in optional if f'"{key}"'.encode() in body} == said


@pytest.fixture(name="real")
async def real_fixture(tmp_path: Path) -> AsyncGenerator[ModelClient]:
    async with (
        serve(scripted.model_app(Settings(fixed_token="t"))) as url,
        httpx2.AsyncClient(headers={"Authorization": "Bearer t"}) as http,
    ):
        settings = AgentSettings(url, tmp_path, tmp_path, f"{url}/v1", f"{url}/mcp", bounds=FAST)
        # The SDK sends a key of its own; the runtime's transport would replace it.
        http.event_hooks["request"] = [authorize]
        yield ModelClient(http, settings, Assignment.model_validate(task(model="scripted-1")), [TOOL])


async def authorize(request: httpx2.Request) -> None:
    request.headers["Authorization"] = "Bearer t"


async def test_a_real_server_is_asked_and_understood(real: ModelClient) -> None:
    reply = await real.ask(AskModel((UserMessage('{"lead": {"company": "Halden", "territory": "emea"}}'),)))
    [call] = reply.answer.calls
    assert (call.function, call.arguments) == (
        "crm__search_contacts",
        '{"territory": "emea", "query": "Halden"}',
    )
    assert reply.prompt_tokens > 0


async def test_an_error_of_a_real_server_is_a_failure(real: ModelClient) -> None:
    with pytest.raises(TaskFailedError, match="ModelUnavailable"):
        await real.ask(AskModel((UserMessage('{"script": [{"status": 500}]}'),)))
