from dataclasses import replace

from pydantic import JsonValue

from aos.gateway.control.asked import Tokens
from aos.gateway.models.answer import NOTHING_USED, TokenUsage
from aos.gateway.models.estimate import SeenOutput
from aos.gateway.models.spending import (
    Reservation,
    counts_tokens,
    obligations_of,
    reserve,
    settled,
    tokens_of,
)
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.model import Model
from aos.model.task import Task
from aos.policy.obligations import Obligations
from tests.unit.gateway_control.make import caller, effective, policy, task
from tests.unit.gateway_models.make import model


def held(**budget: JsonValue) -> Obligations:
    said: JsonValue = [{"name": "daily", "per": "24h", **budget}]
    return effective(policy(budgets=said)).model_obligations()


def priced(name: str = "scripted-1", prices: JsonValue = None) -> Model:
    made = model("http://llm.invalid/v1", behind=name)
    spec = made.spec.model_dump(by_alias=True, exclude_none=True) | ({"prices": prices} if prices else {})
    return Model.parse({"metadata": {"name": "default", "namespace": "sales"}, "spec": spec})


PRICES: JsonValue = {"inputMicroUSD": 1_000_000, "outputMicroUSD": 4_000_000}


def test_only_budgets_of_tokens_or_money_need_a_bound_on_the_output() -> None:
    assert not counts_tokens(Obligations(), task())
    assert not counts_tokens(held(calls=5), task())
    assert counts_tokens(held(tokens=5), task())
    assert counts_tokens(held(microUSD=5), task())


def test_a_request_reserves_the_most_that_it_may_take() -> None:
    reserved = reserve(priced(prices=PRICES), held(microUSD=5), task(), 100, 50)
    assert isinstance(reserved, Reservation)
    assert (reserved.tokens, reserved.cost_micro_usd) == (150, 300)
    assert reserved.cost_of(TokenUsage(10, 5)) == 30


def test_prices_that_are_publicly_known_count() -> None:
    reserved = reserve(priced("gpt-4o"), held(microUSD=5), task(), 1_000_000, 0)
    assert isinstance(reserved, Reservation)
    assert reserved.cost_micro_usd > 0


def test_a_model_without_price_spends_no_money_that_is_counted() -> None:
    refused = reserve(priced(), held(microUSD=5), task(), 100, 50)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.PRICE_UNKNOWN
    assert "spec.prices of Model default" in refused.message
    assert "Policy baseline" in refused.message


def test_where_no_money_is_counted_a_price_need_not_be_known() -> None:
    reserved = reserve(priced(), held(tokens=5), task(), 100, None)
    assert isinstance(reserved, Reservation)
    assert (reserved.tokens, reserved.cost_micro_usd) == (100, 0)
    assert reserved.cost_of(TokenUsage(1, 1)) is None


def test_what_nobody_counted_is_not_known() -> None:
    assert tokens_of(None) is None
    assert tokens_of(TokenUsage(3, 4)) == Tokens(3, 4)


def test_an_agent_that_acts_for_another_is_held_to_both_their_bounds() -> None:
    own, other = (
        effective(policy(budgets=[{"name": "own", "per": "1h", "tokens": 5}])),
        effective(policy(budgets=[{"name": "other", "per": "1h", "tokens": 7}]), agent="lead"),
    )
    alone = caller(own)
    assert obligations_of(alone) is own.model_obligations()
    names = {bound.reference.part for bound in obligations_of(replace(alone, ancestors=(other,))).budgets}
    assert len(names) == 2


def test_an_output_beyond_what_was_reserved_is_charged_though_nobody_counted_it() -> None:
    reservation = Reservation(5, 10, None)
    assert settled(reservation, None, SeenOutput(40)) is None
    assert settled(reservation, None, SeenOutput(41)) == TokenUsage(5, 11)
    assert settled(reservation, None, SeenOutput(0, 17)) == TokenUsage(5, 17)
    assert settled(Reservation(5, None, None), None, SeenOutput(68)) is None


def test_attack_23_a_model_counts_no_less_than_what_it_said_takes() -> None:
    reservation = Reservation(5, 10, None)
    assert settled(reservation, TokenUsage(3, 4), SeenOutput(29)) == TokenUsage(3, 4)
    assert settled(reservation, TokenUsage(3, 4), SeenOutput(30)) == TokenUsage(3, 5)
    assert settled(reservation, NOTHING_USED, SeenOutput()) == NOTHING_USED


def in_run(**budget: JsonValue) -> Task:
    return task(run={"budgets": [{"runUID": "uid-r1", "workflow": "outreach", **budget}]})


def test_a_runs_budget_of_tokens_or_money_needs_a_bound_on_the_output_too() -> None:
    assert not counts_tokens(Obligations(), in_run(calls=5))
    assert counts_tokens(Obligations(), in_run(tokens=5))
    assert counts_tokens(Obligations(), in_run(microUSD=5))
    reserved = reserve(priced(), Obligations(), in_run(tokens=5), 100, 50)
    assert isinstance(reserved, Reservation)
    assert reserved.is_counted


def test_a_model_without_price_spends_nothing_of_a_run_that_counts_money() -> None:
    refused = reserve(priced(), Obligations(), in_run(microUSD=5), 100, 50)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.PRICE_UNKNOWN
    assert "Workflow outreach's budget (run r1) counts microUSD" in refused.message
