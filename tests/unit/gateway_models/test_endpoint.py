import asyncio
import json

import httpx2
import openai
import pytest
from starlette.types import Send

from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from aos.model.base import JsonObject
from aos.policy.decision import DecisionReason, Effect
from tests.unit.gateway_models.make import CREDENTIAL, model
from tests.unit.gateway_models.world import HELLO, calling, delta, front, respond, stream, whole


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


async def test_a_credential_may_stand_in_a_header_of_its_own() -> None:
    async with front() as here, here.client() as client:
        reached = here.registry.model_objects["default"].spec.url
        here.registry.model_objects["default"] = model(reached, type="Header", header="api-key")
        await client.chat.completions.create(model="default", messages=HELLO)
    ((_, headers, _),) = here.model.requests
    assert headers["api-key"] == CREDENTIAL
    assert "authorization" not in headers


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
