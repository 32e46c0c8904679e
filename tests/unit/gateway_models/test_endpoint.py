import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from pydantic import JsonValue
from starlette.types import Receive, Scope, Send

from aos.gateway.caller import Caller
from aos.gateway.http import ClientDisconnected, HttpRequest
from aos.gateway.journal import CallOutcome
from aos.gateway.mcp.outbound import open_client
from aos.gateway.models.endpoint import ModelEndpoint
from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.model.base import JsonObject
from aos.policy.decision import DecisionReason, Effect
from tests.unit.agent.serving import serve
from tests.unit.gateway_control.world import Held, controlled, opened
from tests.unit.gateway_mcp.make import KeptJournal, StubRegistry, agent, caller, merged
from tests.unit.gateway_models.make import CREDENTIAL, model

SETTINGS = GatewaySettings(namespace="aos-system", upstream_timeout_seconds=20, max_response_bytes=4096)
HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hello"}]
USAGE: JsonObject = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@dataclass
class ScriptedModel:
    """A model whose requests are kept, and which answers as a test says."""

    requests: list[tuple[str, dict[str, str], JsonObject]] = field(default_factory=list)
    on_request: Callable[[JsonObject, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.loads((await receive()).get("body", b"{}"))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers, body))
        if self.on_request is not None:
            await self.on_request(body, send)
        elif body.get("stream"):
            await stream(send, delta("Hel"), delta("lo"), counted(), "[DONE]")
        else:
            await respond(send, 200, whole("Hello"))


def whole(text: str) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": text}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def chunk(choices: list[JsonValue], **more: JsonValue) -> JsonObject:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted-1",
        "choices": choices,
        **more,
    }


def delta(text: str) -> JsonObject:
    return chunk([{"index": 0, "delta": {"content": text}, "finish_reason": None}], usage=None)


def counted() -> JsonObject:
    return chunk([], usage=USAGE)


async def respond(
    send: Send, status: int, body: JsonObject | bytes, kind: str = "application/json", **headers: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = [(b"content-type", kind.encode())]
    said += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": content})


async def stream(send: Send, *events: JsonObject | str) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@dataclass
class Front:
    """The endpoint behind a real server, for one caller at a time."""

    endpoint: ModelEndpoint
    registry: StubRegistry
    journal: KeptJournal
    held: Held
    model: ScriptedModel
    caller: Caller
    url: str = ""
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = HttpRequest(scope, receive, max_body_bytes=65_536, timeout_seconds=10)
        try:
            await self.endpoint.handle(request, self.caller, send)
        except ClientDisconnected:
            self.left.set()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[AsyncOpenAI]:
        async with AsyncOpenAI(
            base_url=f"{self.url}/v1",
            api_key="the-agents-own",
            max_retries=0,
            default_headers={"Cookie": "agent=1", "X-Agent": "1"},
            organization="of-the-agent",
        ) as client:
            yield client

    async def ask(self, *, stream: bool = False) -> httpx2.Response:
        messages: list[JsonValue] = [{"role": "user", "content": "Hello"}]
        body: JsonObject = {"model": "default", "messages": messages, "stream": stream}
        return await self.post(json.dumps(body).encode())

    async def post(self, content: bytes, kind: str = "application/json") -> httpx2.Response:
        async with httpx2.AsyncClient() as http:
            return await http.post(
                f"{self.url}/v1/chat/completions", content=content, headers={"Content-Type": kind}
            )


def calling(bounds: JsonObject | None, *, suspend: bool = False) -> Caller:
    return caller(merged([], of=agent([], model=bounds, suspend=suspend)))


@asynccontextmanager
async def front() -> AsyncGenerator[Front]:
    scripted = ScriptedModel()
    async with (
        serve(scripted) as url,
        open_client(SETTINGS) as http,
        opened() as store,
        controlled(store, SETTINGS) as held,
    ):
        registry = StubRegistry(credentials={"model-credentials": CREDENTIAL})
        registry.model_objects["default"] = model(f"{url}/v1")
        journal = KeptJournal()
        endpoint = ModelEndpoint(registry, http, held.calls, journal, SETTINGS)
        made = Front(endpoint, registry, journal, held, scripted, calling({"name": "default"}))
        async with serve(made) as address:
            made.url = address
            yield made


async def test_the_official_client_gets_an_answer() -> None:
    async with front() as here, here.client() as client:
        answer = await client.chat.completions.create(model="default", messages=HELLO, temperature=0.5)
    assert answer.choices[0].message.content == "Hello"
    (entry,) = here.journal.entries
    assert (entry.name, entry.action) == ("default", "chat.completions")
    assert (entry.effect, entry.reason, entry.outcome) == (
        Effect.ALLOW,
        DecisionReason.ALLOWED,
        CallOutcome.ANSWERED,
    )
    assert (entry.prompt_tokens, entry.completion_tokens) == (3, 4)


async def test_attack_04_nothing_of_the_agent_but_its_request_reaches_the_model() -> None:
    async with front() as here, here.client() as client:
        await client.chat.completions.create(model="default", messages=HELLO)
    ((path, headers, body),) = here.model.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert headers["user-agent"].startswith("aos-gateway/")
    assert {"cookie", "x-agent", "openai-organization", "x-stainless-lang"}.isdisjoint(headers)
    assert body == {"model": "scripted-1", "messages": HELLO}


@pytest.mark.parametrize("shows_usage", [False, True])
async def test_the_official_client_gets_a_stream(*, shows_usage: bool) -> None:
    async with front() as here, here.client() as client:
        events = await client.chat.completions.create(
            model="default", messages=HELLO, stream=True, stream_options={"include_usage": shows_usage}
        )
        chunks = [event async for event in events]
    assert "".join(item.choices[0].delta.content or "" for item in chunks if item.choices) == "Hello"
    assert len(chunks) == (3 if shows_usage else 2)
    (entry,) = here.journal.entries
    assert (entry.outcome, entry.prompt_tokens, entry.completion_tokens) == (CallOutcome.ANSWERED, 3, 4)


async def test_chunks_are_given_on_as_they_come() -> None:
    second = asyncio.Event()

    async def on_request(_: JsonObject, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in (delta("a"), delta("b")):
            await send(
                {
                    "type": "http.response.body",
                    "body": f"data: {json.dumps(event)}\n\n".encode(),
                    "more_body": True,
                }
            )
            await second.wait()
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async with front() as here, here.client() as client:
        here.model.on_request = on_request
        events = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        first = await anext(aiter(events))
        second.set()
        rest = [event async for event in events]
    assert first.choices[0].delta.content == "a"
    assert len(rest) == 1


async def test_the_agents_bounds_are_put_on_its_requests() -> None:
    async with front() as here, here.client() as client:
        here.caller = calling({"name": "default", "temperature": 0, "maxOutputTokens": 64})
        await client.chat.completions.create(
            model="scripted-1", messages=HELLO, temperature=2, max_tokens=999
        )
    _, _, body = here.model.requests[0]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 64, "scripted-1")


async def test_models_are_the_agents_own() -> None:
    async with front() as here, here.client() as client:
        here.registry.model_objects["other"] = model("http://other.invalid/v1", "other")
        assert [item.id async for item in await client.models.list()] == ["default"]
        assert (await client.models.retrieve("default")).id == "default"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("other")
        here.caller = calling(None)
        assert [item.id async for item in await client.models.list()] == []
    assert not here.journal.entries


async def test_another_model_is_not_found() -> None:
    async with front() as here, here.client() as client:
        with pytest.raises(openai.NotFoundError) as raised:
            await client.chat.completions.create(model="gpt-other", messages=HELLO)
    assert raised.value.code == "model_not_found"
    assert not here.model.requests
    (entry,) = here.journal.entries
    assert (entry.effect, entry.reason, entry.outcome) == (
        Effect.DENY,
        RefusalCode.MODEL_UNKNOWN,
        CallOutcome.REFUSED,
    )


async def test_an_agent_that_is_suspended_or_has_no_model_is_denied() -> None:
    async with front() as here, here.client() as client:
        for denied, reason in (
            (calling({"name": "default"}, suspend=True), DecisionReason.AGENT_SUSPENDED),
            (calling(None), RefusalCode.MODEL_NOT_ALLOWED),
        ):
            here.caller = denied
            with pytest.raises(openai.PermissionDeniedError) as raised:
                await client.chat.completions.create(model="default", messages=HELLO)
            assert raised.value.code == reason.value
        here.caller = calling({"name": "gone"})
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="gone", messages=HELLO)
    assert not here.model.requests
    assert {entry.effect for entry in here.journal.entries} == {Effect.DENY}


async def test_a_field_that_nobody_checked_is_refused_before_the_model() -> None:
    async with front() as here, here.client() as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(model="default", messages=HELLO, web_search_options={})
    assert raised.value.code == "unsupported_parameter"
    assert not here.model.requests


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"model":"default","model":"other"}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 70_000, "application/json", 413),
    ],
)
async def test_attack_06_bodies_with_two_meanings_are_refused_in_openais_words(
    content: bytes, kind: str, status: int
) -> None:
    async with front() as here:
        answer = await here.post(content, kind)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_other_methods_are_not_allowed() -> None:
    async with front() as here, httpx2.AsyncClient() as http:
        answer = await http.get(f"{here.url}/v1/chat/completions")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        answer = await http.post(f"{here.url}/v1/models")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_errors_of_the_model_are_told_without_its_internals() -> None:
    async def refuses(_: JsonObject, send: Send) -> None:
        await respond(send, 401, {"error": {"message": f"bad key {CREDENTIAL}"}})

    async def limits(_: JsonObject, send: Send) -> None:
        await respond(send, 429, {"error": {"message": "slower", "code": "rate_limit"}}, retry_after="3")

    async with front() as here, here.client() as client:
        here.model.on_request = refuses
        with pytest.raises(openai.InternalServerError) as raised:
            await client.chat.completions.create(model="default", messages=HELLO)
        assert raised.value.status_code == 502
        assert CREDENTIAL not in str(raised.value)
        here.model.on_request = limits
        with pytest.raises(openai.RateLimitError) as limited:
            await client.chat.completions.create(model="default", messages=HELLO)
        assert limited.value.response.headers["retry-after"] == "3"
    assert {entry.outcome for entry in here.journal.entries} == {CallOutcome.FAILED}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<html>", "text/html"),
        (b"{}", "application/json"),
        (b"{" + b" " * 5000 + b"}", "application/json"),
        (b"data: " + b"x" * 5000 + b"\n\n", "text/event-stream"),
        (b"data: {}\n\n", "text/event-stream"),
        (b'data: {"error":{"message":"db-7"}}\n\n', "text/event-stream"),
        (json.dumps(whole(f"my key is {CREDENTIAL}")).encode(), "application/json"),
        (f"data: {json.dumps(delta(CREDENTIAL))}\n\n".encode(), "text/event-stream"),
    ],
)
async def test_answers_that_can_not_be_given_on_become_errors(
    content: bytes, kind: str, *, streams: bool
) -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        await respond(send, 200, content, kind)

    async with front() as here:
        here.model.on_request = on_request
        answer = await here.ask(stream=streams)
    assert CREDENTIAL not in answer.text
    assert "db-7" not in answer.text
    (entry,) = here.journal.entries
    assert entry.outcome is CallOutcome.FAILED
    assert entry.reason in (RefusalCode.UPSTREAM_INVALID, RefusalCode.RESPONSE_TOO_LARGE)
    if answer.status_code == 200:
        assert answer.text.startswith('data: {"error":')
    else:
        assert answer.status_code == 502


async def test_redirects_are_never_followed() -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        await respond(send, 307, b"", location="/elsewhere")

    async with front() as here:
        here.model.on_request = on_request
        answer = await here.ask()
    assert answer.status_code == 502
    assert len(here.model.requests) == 1


async def test_a_stream_that_breaks_off_ends_with_an_error_that_the_client_raises() -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        await stream(send, delta("a"), "{broken")

    async with front() as here, here.client() as client:
        here.model.on_request = on_request
        events = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError):
            _ = [event async for event in events]
    (entry,) = here.journal.entries
    assert entry.outcome is CallOutcome.FAILED


async def test_a_client_that_leaves_stops_the_model() -> None:
    stopped = asyncio.Event()

    async def on_request(_: JsonObject, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {
                "type": "http.response.body",
                "body": f"data: {json.dumps(delta('a'))}\n\n".encode(),
                "more_body": True,
            }
        )
        await stopped.wait()

    async with front() as here, here.client() as client:
        here.model.on_request = on_request
        events = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        await anext(aiter(events))
        await events.close()
        await here.left.wait()
        stopped.set()
    (entry,) = here.journal.entries
    assert entry.outcome is CallOutcome.ABORTED


async def test_a_model_without_credential_or_answer_is_unavailable() -> None:
    async with front() as here:
        here.registry.credentials.clear()
        answer = await here.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "CredentialsMissing")
        here.registry.credentials["model-credentials"] = CREDENTIAL
        here.registry.model_objects["default"] = model("http://127.0.0.1:9/v1")
        answer = await here.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UpstreamUnreachable")
        assert "127.0.0.1" not in answer.text
