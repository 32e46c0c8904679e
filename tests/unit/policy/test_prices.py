"""What tokens cost: the Model's own word first, public prices at their highest, and None rather than a guess."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    Tier,
    TieredPrices,
)

from aos.model.model import ModelSpec, Prices
from aos.policy import prices
from aos.policy.prices import cost_micro_usd, prices_of


@pytest.fixture
def known(request: pytest.FixtureRequest) -> Iterator[None]:
    """A list of public prices with one model, ``m-1``, of one provider."""
    said: ModelPrice | list[ConditionalPrice] = request.param
    clause = ClauseEquals("m-1")
    provider = Provider(
        id="p",
        name="P",
        api_pattern="https://p\\.example",
        model_match=clause,
        models=[ModelInfo(id="m-1", match=clause, prices=said)],
    )
    set_custom_snapshot(DataSnapshot(providers=[provider], from_auto_update=False))
    prices._public_prices.cache_clear()
    yield
    set_custom_snapshot(None)
    prices._public_prices.cache_clear()


def spec(url: str = "https://own.example/v1", model: str = "m-1", **parts: object) -> ModelSpec:
    return ModelSpec.model_validate({"url": url, "model": model, **parts})


def test_what_the_model_says_of_itself_counts() -> None:
    own = Prices(input_micro_usd=3, output_micro_usd=5)
    assert prices_of(spec(model="gpt-4o", prices=own.model_dump(by_alias=True))) == own


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://proxy.models.svc/v1"])
def test_a_public_model_has_its_public_price_wherever_it_is_reached(url: str) -> None:
    found = prices_of(spec(url, "gpt-4o"))
    assert found is not None
    assert found.output_micro_usd > found.input_micro_usd > 0


def test_an_unknown_model_has_no_price() -> None:
    assert prices_of(spec(model="scripted-1")) is None


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (ModelPrice(input_mtok=Decimal("0.5"), output_mtok=Decimal("1.0000001")), (500_000, 1_000_001)),
        (
            ModelPrice(
                input_mtok=TieredPrices(base=Decimal(3), tiers=[Tier(start=9, price=Decimal(6))]),
                output_mtok=Decimal(7),
            ),
            (6_000_000, 7_000_000),
        ),
        (
            [
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(9))),
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(8))),
            ],
            (2_000_000, 9_000_000),
        ),
        (ModelPrice(input_mtok=Decimal(1)), None),
        (ModelPrice(output_mtok=Decimal(1)), None),
        (ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), requests_kcount=Decimal(5)), None),
    ],
    indirect=["known"],
)
@pytest.mark.usefixtures("known")
def test_the_highest_public_price_counts_and_half_a_price_is_none(expected: tuple[int, int] | None) -> None:
    found = prices_of(spec())
    assert (found and (found.input_micro_usd, found.output_micro_usd)) == expected


def test_the_price_list_is_the_one_that_came_with_the_program() -> None:
    assert get_snapshot().from_auto_update is False


def test_costs_are_rounded_up_to_whole_micro_usd() -> None:
    own = Prices(input_micro_usd=1, output_micro_usd=2_000_000)
    assert cost_micro_usd(own, 0, 0) == 0
    assert cost_micro_usd(own, 1, 0) == 1
    assert cost_micro_usd(own, 1_000_000, 3) == 7


def test_costs_beyond_what_a_row_can_say_are_the_most_that_it_can() -> None:
    dear = Prices.model_validate({"inputMicroUSD": 10**12, "outputMicroUSD": 0})
    assert cost_micro_usd(dear, 2**53 - 1, 0) == 2**53 - 1
