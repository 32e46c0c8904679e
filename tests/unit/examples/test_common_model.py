import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, InternalServerError, NotFoundError
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import JsonValue

from examples.common import model
from examples.common.conversation import Conversation, Scripted
from examples.common.service import Settings
from tests.unit.agent.serving import serve

LEAD: dict[str, JsonValue] = {"lead": {"company": "Halden Robotics", "territory": "emea"}}
FOUND = json.dumps(
    {
        "contacts": [
            {"id": "emea-0001", "name": "Mira Solberg", "company": "Halden Robotics", "employees": 120}
        ]
    }
)
DENIED = "denied: DeniedByRule: crm.export_contacts is denied"


@pytest.fixture(name="url")
async def url_fixture(tmp_path: Path) -> AsyncGenerator[str]:
    token_file = tmp_path / "token"
    token_file.write_text("model-token\n")
    async with serve(model.model_app(Settings(token_file=token_file))) as url:
        yield f"{url}/v1"


@pytest.fixture(name="client")
async def client_fixture(url: str) -> AsyncGenerator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="model-token", base_url=url, max_retries=0) as client:
        yield client


def ask(task: object) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": "Enrich."}, {"role": "user", "content": json.dumps(task)}]


async def complete(client: AsyncOpenAI, messages: list[ChatCompletionMessageParam]) -> ChatCompletion:
    return await client.chat.completions.create(model=model.MODEL_NAME, messages=messages)


async def play(
    client: AsyncOpenAI, task: object, results: list[str]
) -> tuple[list[tuple[str, dict[str, JsonValue]]], ChatCompletion]:
    """Let the model speak until it is done; its calls get ``results`` in turn."""
    messages, called = ask(task), list[tuple[str, dict[str, JsonValue]]]()
    while True:
        completion = await complete(client, messages)
        [choice] = completion.choices
        if choice.finish_reason == "stop":
            return called, completion
        messages.append(choice.message.model_dump(exclude_none=True))  # type: ignore[arg-type]  # as the SDK documents
        for call in choice.message.tool_calls or ():
            assert call.type == "function"
            called.append((call.function.name, json.loads(call.function.arguments)))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": results.pop(0)})


def output(completion: ChatCompletion) -> dict[str, JsonValue]:
    content: dict[str, JsonValue] = json.loads(completion.choices[0].message.content or "")
    return content


async def test_the_sales_script_looks_up_reads_tries_an_export_updates_and_reports(
    client: AsyncOpenAI,
) -> None:
    called, last = await play(client, LEAD, [FOUND, "{}", DENIED, "{}"])
    assert called == [
        ("crm__search_contacts", {"territory": "emea", "query": "Halden Robotics"}),
        ("crm__get_contact", {"id": "emea-0001"}),
        ("crm__export_contacts", {"territory": "emea"}),
        (
            "crm__update_contact",
            {
                "id": "emea-0001",
                "stage": "qualified",
                "score": 0.41,
                "next_step": "Call Mira Solberg about Halden Robotics's plans",
            },
        ),
    ]
    assert output(last)["score"] == 0.41
    assert output(last)["contactId"] == "emea-0001"
    assert output(last)["notes"] == [f"crm.export_contacts {DENIED}"]


async def test_a_lead_that_is_to_be_called_already_gets_another_next_step(client: AsyncOpenAI) -> None:
    card = '{"contact": {"next_step": "Call Mira Solberg about their plans"}, "notes": []}'
    called, _ = await play(client, LEAD, [FOUND, card, DENIED, "{}"])
    assert called[-1][1]["next_step"] == "Write to Mira Solberg about Halden Robotics's plans"


@pytest.mark.parametrize("result", ['{"contacts": []}', "denied: NotAllowed: no rule", "failed: gone", "[1]"])
async def test_without_a_contact_it_reports_that(client: AsyncOpenAI, result: str) -> None:
    called, last = await play(client, LEAD, [result])
    assert [name for name, _ in called] == ["crm__search_contacts"]
    assert output(last)["score"] == 0.0


async def test_the_same_conversation_gets_the_same_answer(client: AsyncOpenAI) -> None:
    first, second = await complete(client, ask(LEAD)), await complete(client, ask(LEAD))
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


async def test_usage_adds_up(client: AsyncOpenAI) -> None:
    usage = (await complete(client, ask(LEAD))).usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > usage.completion_tokens > 0


async def test_a_stream_says_the_same_in_pieces(client: AsyncOpenAI) -> None:
    whole = (await complete(client, ask(LEAD))).choices[0].message.tool_calls
    names, arguments, finish, usage = "", "", "", 0
    stream = await client.chat.completions.create(
        model=model.MODEL_NAME, messages=ask(LEAD), stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        usage = chunk.usage.total_tokens if chunk.usage else usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                assert call.function is not None
                names += call.function.name or ""
                arguments += call.function.arguments or ""
    assert whole is not None
    assert whole[0].type == "function"
    assert (names, arguments, finish) == (whole[0].function.name, whole[0].function.arguments, "tool_calls")
    assert usage > 0


async def test_a_stream_of_words_says_them_all_and_no_usage_unasked(client: AsyncOpenAI) -> None:
    task = {"script": [{"text": "all is very well"}]}
    stream = await client.chat.completions.create(model=model.MODEL_NAME, messages=ask(task), stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "all is very well"
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_script_of_the_input_is_played_turn_by_turn(client: AsyncOpenAI) -> None:
    task = {
        "script": [
            {"calls": [{"tool": "crm.delete_contact", "args": {"id": "emea-0001"}}, {"tool": "erp.pay"}]},
            {"sleepSeconds": 0.01, "output": {"summary": "done", "score": 1}},
        ]
    }
    called, last = await play(client, task, ["denied: a", "denied: b"])
    assert called == [("crm__delete_contact", {"id": "emea-0001"}), ("erp__pay", {})]
    assert output(last) == {"summary": "done", "score": 1}


async def test_a_script_that_is_over_ends_in_a_report_of_what_failed(client: AsyncOpenAI) -> None:
    _, last = await play(client, {"script": [{"calls": [{"tool": "erp.pay"}]}]}, ["denied: b"])
    assert output(last)["notes"] == ["erp.pay denied: b"]


async def test_a_script_can_go_round_in_circles() -> None:
    script = Scripted.model_validate({"script": [{"calls": [{"tool": "a.b"}], "repeat": True}]}).script
    turns = [model.next_turn(Conversation("", {}, script, turn, ())) for turn in range(5)]
    assert all(turn.calls for turn in turns)


async def test_a_script_can_fail(client: AsyncOpenAI) -> None:
    with pytest.raises(InternalServerError, match="the script says so"):
        await complete(client, ask({"script": [{"status": 503}]}))


@pytest.mark.parametrize(
    "script", ["x", [{"unknown": 1}], [{"sleepSeconds": -1}], [{"calls": [{"args": {}}]}]]
)
async def test_a_script_that_is_none_is_an_error_that_says_where(
    client: AsyncOpenAI, script: JsonValue
) -> None:
    with pytest.raises(BadRequestError, match="script"):
        await complete(client, ask({"script": script}))


@pytest.mark.parametrize("words", ["Hello!", "[1]", "{}"])
async def test_an_input_that_is_no_lead_is_searched_for_in_vain(client: AsyncOpenAI, words: str) -> None:
    completion = await complete(client, [{"role": "user", "content": words}])
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert [item.id for item in (await client.models.list()).data] == [model.MODEL_NAME]


async def test_another_model_is_unknown(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="the only model is scripted-1"):
        await client.chat.completions.create(model="other", messages=ask(LEAD))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"model": "scripted-1", "messages": []}'])
async def test_a_request_that_is_none_is_an_error(url: str, body: bytes) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer model-token"}) as http:
        assert (await http.post(f"{url}/chat/completions", content=body)).status_code == 400


async def test_nobody_is_answered_without_the_token(url: str) -> None:
    async with AsyncOpenAI(api_key="wrong", base_url=url, max_retries=0) as client:
        with pytest.raises(AuthenticationError):
            await complete(client, ask(LEAD))
        with pytest.raises(AuthenticationError):
            await client.models.list()


async def test_probes_need_no_token(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(url.removesuffix("/v1") + "/healthz")).status_code == 200
