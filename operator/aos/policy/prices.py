"""What tokens of a Model cost: as the Model says, else as publicly known. No network is asked, and nothing is guessed."""

from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from aos.model.model import ModelSpec, Prices

TOKENS_PER_PRICE: Final = 1_000_000
"""Prices are for so many tokens."""
_MICRO: Final = 1_000_000
_MOST: Final = 2**53 - 1


def prices_of(model: ModelSpec) -> Prices | None:
    """Return what a million tokens of ``model`` cost; None where nobody knows, so that nothing may be spent on it.

    Where a public price depends on time or length, the highest one counts.
    """
    return model.prices or _public_prices(model.url, model.model)


def cost_micro_usd(prices: Prices, input_tokens: int, output_tokens: int) -> int:
    """Return what so many tokens cost, in micro-USD, rounded up; at most 2**53 - 1, which is what rows can say."""
    total = input_tokens * prices.input_micro_usd + output_tokens * prices.output_micro_usd
    return min(-(-total // TOKENS_PER_PRICE), _MOST)


@lru_cache(maxsize=1024)
def _public_prices(url: str, model: str) -> Prices | None:
    # An endpoint of one's own may stand before a provider: then the model's name alone tells.
    for address in (url, None):
        try:
            _, found = get_snapshot().find_provider_model(model, None, None, address)
        except LookupError:
            continue
        standing = (
            [found.prices] if isinstance(found.prices, ModelPrice) else [item.prices for item in found.prices]
        )
        return _highest(standing)
    return None


def _highest(standing: list[ModelPrice]) -> Prices | None:
    inputs = [_micro_usd(price, "input_mtok") for price in standing]
    outputs = [_micro_usd(price, "output_mtok") for price in standing]
    # What is billed by the request as well has no price by tokens alone.
    if None in inputs or None in outputs or any(_micro_usd(price, "requests_kcount") for price in standing):
        return None
    return Prices(
        input_micro_usd=max(value for value in inputs if value is not None),
        output_micro_usd=max(value for value in outputs if value is not None),
    )


def _micro_usd(price: ModelPrice, unit: str) -> int | None:
    said = getattr(price, unit, None)
    if isinstance(said, TieredPrices):
        said = max(said.base, *(tier.price for tier in said.tiers))
    return int((said * _MICRO).to_integral_value(ROUND_CEILING)) if isinstance(said, Decimal) else None
