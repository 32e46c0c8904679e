import asyncio
import json
from collections.abc import Callable

import httpx2
import openai
import pytest
from pydantic import JsonValue
from starlette.types import Send

from aos.audit.event import Phase
from aos.gateway.control.charges import prefix_of
from aos.gateway.journal import CallOutcome
from aos.gateway.models.spending import DEFAULT_MAX_OUTPUT_TOKENS
from aos.gateway.refusal import RefusalCode
from aos.model.base import JsonObject
from aos.model.model import Model
from aos.policy.decision import DecisionReason
from tests.unit.gateway_models.make import model
from tests.unit.gateway_models.world import (
    HELLO,
    Front,
    bounded,
    calling,
    chunk,
    counted,
    delta,
    front,
    respond,
    stream,
    whole,
)

TOKENS: JsonValue = [{"name": "daily", "tokens": 10_000, "per": "24h"}]
SMALL: JsonObject = {"name": "default", "maxOutputTokens": 100}
CARD = "4" + "1" * 15
EMAIL = "ana" + "@" + "example.com"
WORDS = "the quick brown fox jumps over the lazy dog and runs on "


async def used(here: Front, resource: str = "tokens") -> int:
    """Return what is used of all bounds of the agent's policy that count ``resource``."""
    await here.rest()
    held = here.caller.policy.model_obligations()
    parts = [(bound.reference, bound.window_seconds) for bound in held.budgets]
    parts += [(bound.reference, bound.window_seconds) for bound in held.limits]
    keys = [
        (f"{prefix_of(reference)}{resource}/Agent/sales/enricher", seconds) for reference, seconds in parts
    ]
    return sum((await here.held.store.used(keys)).values())


def error_of(answer: httpx2.Response) -> JsonObject:
    error = answer.json()["error"]
    assert isinstance(error, dict)
    return error


def priced(url: str, prices: JsonObject | None) -> Model:
    made = model(url)
    if prices is None:
        return made
    spec = made.spec.model_dump(by_alias=True, exclude_none=True) | {"prices": prices}
    return Model.parse({"metadata": made.metadata.model_dump(by_alias=True, exclude_none=True), "spec": spec})


async def test_what_the_model_counts_is_spent_and_no_more() -> None:
    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        assert (await here.ask()).status_code == 200
        assert await used(here) == 7
        assert (await here.ask(stream=True)).status_code == 200
        assert await used(here) == 14


async def test_attack_23_what_nobody_counts_is_spent_as_it_was_reserved() -> None:
    async def uncounted(body: JsonObject, send: Send) -> None:
        if body.get("stream"):
            await stream(send, delta("Hello"), "[DONE]")
        else:
            await respond(send, 200, {**whole("Hello"), "usage": {}})

    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = uncounted
        assert (await here.ask()).status_code == 200
        once = await used(here)
        assert 100 < once < 400
        assert (await here.ask(stream=True)).status_code == 200
        assert await used(here) == 2 * once


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("prompt", "spent"), [(0, range(101, 400)), (5, range(55, 56))])
async def test_attack_23_a_model_that_says_that_it_used_nothing_is_not_believed(
    prompt: int, spent: range, *, streams: bool
) -> None:
    usage: JsonObject = {"prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt}

    async def lies(body: JsonObject, send: Send) -> None:
        if body.get("stream"):
            await stream(send, delta("a" * 300), chunk([], usage=usage), "[DONE]")
        else:
            await respond(send, 200, {**whole("a" * 300), "usage": usage})

    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = lies
        assert (await here.ask(stream=streams)).status_code == 200
        assert await used(here) in spent


async def test_attack_23_an_agent_that_leaves_early_saves_nothing() -> None:
    stopped = asyncio.Event()

    async def on_request(_: JsonObject, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream")],
            }
        )
        body = f"data: {json.dumps(delta('a'))}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await stopped.wait()

    async with front() as here, here.client() as client:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = on_request
        events = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        await anext(aiter(events))
        await events.close()
        await here.left.wait()
        stopped.set()
        assert await used(here) > 100
        rows = await here.rows()
    assert [row.outcome for row in rows] == ["", CallOutcome.ABORTED.value]


async def test_a_request_that_never_left_costs_nothing() -> None:
    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS, limits=[{"name": "calls", "calls": 5, "per": "1m"}])
        here.registry.credentials.clear()
        assert (await here.ask()).status_code == 503
        assert await used(here) == 0
        assert await used(here, "calls") == 0


@pytest.mark.parametrize(
    ("status", "costs"),
    [
        *((status, False) for status in (400, 404, 429)),
        *((status, True) for status in (202, 302, 303, 406, 408, 425, 499, 500)),
    ],
)
async def test_what_the_model_refused_costs_no_tokens(status: int, *, costs: bool) -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        await respond(send, status, {"error": {"message": "no"}})

    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = on_request
        await here.ask()
        assert bool(await used(here)) is costs


async def test_a_budget_is_never_overrun_and_says_when_it_frees() -> None:
    async with front() as here:
        here.caller = bounded(SMALL, budgets=[{"name": "daily", "tokens": 250, "per": "24h"}])
        answers = await asyncio.gather(*[here.ask() for _ in range(8)])
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) in range(1, 8)
        assert {error_of(answer)["code"] for answer in refused} == {"BudgetExceeded"}
        assert "budget daily" in str(error_of(refused[0])["message"])
        assert int(refused[0].headers["retry-after"]) > 0
        assert len(here.model.requests) == 8 - len(refused)
        assert await used(here) == 7 * (8 - len(refused))


async def test_a_limit_counts_model_requests() -> None:
    async with front() as here, here.client() as client:
        here.caller = bounded(limits=[{"name": "calls", "calls": 2, "per": "1m"}])
        for _ in range(2):
            await client.chat.completions.create(model="default", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(model="default", messages=HELLO)
        assert raised.value.code == "LimitExceeded"
        assert here.held.news.told[0][1] == "LimitExceeded"
        rows = await here.rows()
    assert [row.phase for row in rows] == [Phase.INTENT, Phase.OUTCOME] * 2 + [rows[-1].phase]
    assert rows[-1].reason == "LimitExceeded"
    assert here.journal.entries[-1].outcome is CallOutcome.REFUSED


async def test_the_same_request_again_and_again_is_a_loop() -> None:
    async with front() as here:
        here.caller = bounded(loops={"maxIdenticalCalls": 2})
        answers = [await here.ask() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[-1])["code"] == "LoopDetected"


async def test_outputs_get_a_bound_where_tokens_are_counted() -> None:
    async with front() as here:
        here.caller = bounded(budgets=TOKENS)
        await here.ask()
        here.caller = bounded(budgets=[{"name": "calls", "calls": 5, "per": "1h"}])
        await here.ask()
    first, second = (body for _, _, body in here.model.requests)
    assert first["max_completion_tokens"] == DEFAULT_MAX_OUTPUT_TOKENS
    assert "max_completion_tokens" not in second


async def test_money_is_counted_by_the_models_own_prices() -> None:
    async with front() as here:
        here.caller = bounded(SMALL, budgets=[{"name": "daily", "microUSD": 1_000_000, "per": "24h"}])
        url = here.registry.model_objects["default"].spec.url
        refused = await here.ask()
        assert (refused.status_code, error_of(refused)["code"]) == (403, "PriceUnknown")
        assert not here.model.requests
        prices: JsonObject = {"inputMicroUSD": 1_000_000, "outputMicroUSD": 10_000_000}
        here.registry.model_objects["default"] = priced(url, prices)
        assert (await here.ask()).status_code == 200
        assert await used(here, "microUSD") == 3 + 40
        rows = await here.rows()
    assert rows[0].reason == "PriceUnknown"


async def test_an_output_that_goes_past_its_bound_is_cut_and_says_why() -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        await stream(send, *[delta("word " * 60) for _ in range(6)], counted(), "[DONE]")

    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = on_request
        answer = await here.ask(stream=True)
        events = [line for line in answer.text.split("\n\n") if line]
        last = json.loads(events[-1].removeprefix("data: "))
        assert last["error"]["code"] == "BudgetExceeded"
        assert len(events) < 5
        assert await used(here) > 100
        assert here.held.news.told[-1][1] == "BudgetExceeded"
    (entry,) = here.journal.entries
    assert (entry.outcome, entry.reason) == (CallOutcome.FAILED, RefusalCode.BUDGET_EXCEEDED)


async def test_prompts_and_outputs_are_redacted_and_on_record() -> None:
    async def on_request(body: JsonObject, send: Send) -> None:
        text = f"{WORDS}{CARD}{WORDS}"
        if body.get("stream"):
            parts = [delta(text[start : start + 9]) for start in range(0, len(text), 9)]
            await stream(send, *parts, chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]), "[DONE]")
        else:
            await respond(send, 200, whole(text))

    async with front() as here, here.client() as client:
        here.caller = bounded(data={"redact": ["pii", "payment"]})
        here.model.on_request = on_request
        ask: JsonObject = {"model": "default", "messages": [{"role": "user", "content": f"ask {EMAIL}"}]}
        answer = await here.post(json.dumps(ask).encode())
        assert "[redacted:payment]" in answer.text
        events = await client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": f"ask {EMAIL}"}], stream=True
        )
        text = "".join([item.choices[0].delta.content or "" async for item in events if item.choices])
        assert text == f"{WORDS}[redacted:payment]{WORDS}"
        rows = await here.rows()
    assert EMAIL not in json.dumps([body for _, _, body in here.model.requests])
    assert [set(row.data_classes) for row in rows] == [{"pii"}, {"pii", "payment"}] * 2


@pytest.mark.parametrize("streams", [False, True])
async def test_what_blocks_never_reaches_the_agent(*, streams: bool) -> None:
    async def on_request(body: JsonObject, send: Send) -> None:
        if body.get("stream"):
            text = f"{WORDS}{CARD} {WORDS * 4}"
            await stream(
                send, *[delta(text[start : start + 31]) for start in range(0, len(text), 31)], "[DONE]"
            )
        else:
            await respond(send, 200, whole(CARD))

    async with front() as here:
        here.caller = bounded(data={"block": ["payment"]})
        here.model.on_request = on_request
        answer = await here.ask(stream=streams)
    assert "DataBlocked" in answer.text
    assert "41" not in answer.text
    (entry,) = here.journal.entries
    assert (entry.outcome, entry.reason) == (CallOutcome.FAILED, RefusalCode.DATA_BLOCKED)
    assert here.held.news.told[-1][1] == "DataBlocked"


@pytest.mark.parametrize(
    ("data", "code"),
    [({"block": ["pii"], "in": ["Request"]}, "DataBlocked"), ({"maxRequestBytes": 64}, "DataTooLarge")],
)
async def test_prompts_that_may_not_be_sent_are_not(data: JsonObject, code: str) -> None:
    async with front() as here:
        here.caller = bounded(data=data)
        ask: JsonObject = {"model": "default", "messages": [{"role": "user", "content": f"ask {EMAIL}"}]}
        answer = await here.post(json.dumps(ask).encode())
        assert error_of(answer)["code"] == code
        assert not here.model.requests
        rows = await here.rows()
    assert [row.reason for row in rows] == [code]
    assert EMAIL not in answer.text


async def test_an_agent_that_acts_for_another_is_held_to_the_bounds_of_both() -> None:
    async with front() as here:
        other = bounded(limits=[{"name": "calls", "calls": 1, "per": "1m"}]).policy
        here.caller = bounded(ancestors=(other,))
        answers = [await here.ask() for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]


async def test_a_policy_that_can_not_be_used_denies_requests_too() -> None:
    async with front() as here:
        rules: JsonValue = [{"name": "a", "effect": "Allow", "tools": [{"name": "*"}], "when": "args."}]
        here.caller = bounded(rules=rules)
        answer = await here.ask()
    assert (answer.status_code, error_of(answer)["code"]) == (403, DecisionReason.POLICY_NOT_ACCEPTED.value)


async def test_without_a_store_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with front() as here:
        await here.held.store.close()
        answer = await here.ask()
        assert (answer.status_code, error_of(answer)["code"]) == (503, "StoreUnavailable")
        assert not here.model.requests


@pytest.mark.parametrize("refuse", [lambda here: here.registry.model_objects.clear(), lambda here: None])
async def test_every_request_is_on_record_once(refuse: Callable[[Front], None]) -> None:
    async with front() as here:
        here.caller = calling({"name": "default"})
        refuse(here)
        await here.ask()
        rows = await here.rows()
    assert len({row.call for row in rows}) == 1
    assert len(here.journal.entries) == 1


async def test_attack_23_an_output_beyond_its_bound_is_charged_as_far_as_it_came() -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        await stream(send, delta("word " * 400), "[DONE]")

    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = on_request
        await here.ask(stream=True)
        assert await used(here) > 500
        rows = await here.rows()
    assert rows[-1].completion_tokens == 500
