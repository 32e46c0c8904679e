"""Models and agents that lie: what a model adds, quotes or counts, and what an agent asks for, does not get past the bounds."""

import json

import pytest
from pydantic import JsonValue
from starlette.types import Send

from aos.gateway.models.answer import MOST_TOKENS
from aos.model.base import JsonObject
from aos.policy.decision import DecisionReason
from aos.policy.effective import PolicyInputs, effective_policy
from tests.unit.gateway_mcp.make import agent
from tests.unit.gateway_models.test_endpoint_bounds import CARD, EMAIL, SMALL, TOKENS, error_of, priced, used
from tests.unit.gateway_models.world import bounded, chunk, delta, front, respond, stream, whole

DATA: JsonObject = {"block": ["payment"], "redact": ["pii"]}
DEAR: JsonObject = {"inputMicroUSD": 10**12, "outputMicroUSD": 10**12}


@pytest.mark.parametrize("streams", [False, True])
async def test_attack_16_what_a_model_says_beside_its_choices_does_not_pass(*, streams: bool) -> None:
    usage: JsonObject = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "note": EMAIL,
        "details": {"a": 1, "b": CARD},
    }

    async def leaks(body: JsonObject, send: Send) -> None:
        more: JsonObject = {"citations": [EMAIL, CARD]}
        if body.get("stream"):
            last = chunk([], usage=usage, note=CARD)
            await stream(send, {**delta("Hello"), **more}, {**chunk([]), "text": EMAIL}, last, "[DONE]")
        else:
            await respond(send, 200, {**whole("Hello"), **more, "usage": usage})

    async with front() as here:
        here.caller = bounded(data=DATA)
        here.model.on_request = leaks
        answer = await here.ask(stream=streams)
        assert "Hello" in answer.text
        assert EMAIL not in answer.text
        assert CARD not in answer.text
        here.caller = bounded()
        assert CARD in (await here.ask(stream=streams)).text


async def test_attack_18_a_models_error_is_looked_through() -> None:
    said = {"message": f"write to {EMAIL}", "code": "odd"}

    async def refuses(_body: JsonObject, send: Send) -> None:
        await respond(send, 400, {"error": {**said}})

    async with front() as here:
        here.caller = bounded(data=DATA)
        here.model.on_request = refuses
        answer = await here.ask()
        assert error_of(answer)["message"] == "write to [redacted:pii]"
        assert error_of(answer)["code"] == "odd"
        assert (await here.rows())[-1].data_classes == ("pii",)
        said["code"] = CARD
        answer = await here.ask()
        assert CARD not in answer.text
        assert error_of(answer)["code"] == "DataBlocked"


async def test_attack_23_counts_on_the_way_are_not_what_a_cut_stream_costs() -> None:
    early: JsonObject = {**delta("a"), "usage": {"prompt_tokens": 3, "completion_tokens": 0}}

    async def breaks_off(_body: JsonObject, send: Send) -> None:
        await stream(send, early, "{")

    async with front() as here:
        here.caller = bounded(SMALL, budgets=TOKENS)
        here.model.on_request = breaks_off
        await here.ask(stream=True)
        assert await used(here) > 100


async def test_attack_23_a_count_beyond_all_measure_is_settled_and_on_record() -> None:
    async def lies(_body: JsonObject, send: Send) -> None:
        usage: JsonValue = {"prompt_tokens": 2**60, "completion_tokens": 2**60}
        await respond(send, 200, {**whole("Hello"), "usage": usage})

    async with front() as here:
        here.registry.model_objects["default"] = priced(here.registry.model_objects["default"].spec.url, DEAR)
        here.caller = bounded()
        here.model.on_request = lies
        assert (await here.ask()).status_code == 200
        outcome = (await here.rows())[-1]
        assert (outcome.phase, outcome.cost_micro_usd) == ("Outcome", MOST_TOKENS)


async def test_attack_6_a_bound_beyond_all_measure_is_no_failure_of_the_store() -> None:
    async with front() as here:
        here.registry.model_objects["default"] = priced(here.registry.model_objects["default"].spec.url, DEAR)
        here.caller = bounded()
        body = {"model": "default", "messages": [{"role": "user", "content": "x"}], "max_tokens": MOST_TOKENS}
        assert (await here.post(json.dumps(body).encode())).status_code == 200


async def test_an_agent_that_acts_for_a_suspended_one_uses_no_model() -> None:
    async with front() as here:
        above = effective_policy(
            PolicyInputs(
                agent=agent([], suspend=True),
                namespace_labels={},
                tools={},
                policies=[],
            )
        )
        here.caller = bounded(ancestors=(above,))
        answer = await here.ask()
        assert (answer.status_code, error_of(answer)["code"]) == (403, DecisionReason.AGENT_SUSPENDED.value)
        assert "suspended" in str(error_of(answer)["message"])
        assert not here.model.requests
