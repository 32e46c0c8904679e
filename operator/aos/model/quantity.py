"""Amounts of processor and memory as Kubernetes writes them, within bounds that a pod can have: 0 would mean no limit at all."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from aos.model.base import CelRule

MIN_CPU: Final = "1m"
MAX_CPU: Final = "1024"
MIN_MEMORY: Final = "1Mi"
MAX_MEMORY: Final = "16Ti"
_MAX_LENGTH: Final = 32
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_UNITS: Final = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(1000),
    "M": Decimal(1000) ** 2,
    "G": Decimal(1000) ** 3,
    "T": Decimal(1000) ** 4,
    "Ki": Decimal(1024),
    "Mi": Decimal(1024) ** 2,
    "Gi": Decimal(1024) ** 3,
    "Ti": Decimal(1024) ** 4,
}


def quantity(text: str) -> Decimal:
    """Return an amount as a number.

    Raises:
        ValueError: it is not written as Kubernetes does.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no quantity: write a number with m, k, Ki, M, Mi, G, Gi, T or Ti, as in 256Mi"
        )
    return Decimal(found[1]) * _UNITS[found[2] or ""]


def _cpu(text: str) -> str:
    return _within(text, "cpu", MIN_CPU, MAX_CPU)


def _memory(text: str) -> str:
    return _within(text, "memory", MIN_MEMORY, MAX_MEMORY)


def _within(text: str, name: str, least: str, most: str) -> str:
    if not quantity(least) <= quantity(text) <= quantity(most):
        raise ValueError(_message(name, least, most))
    return text


def _message(name: str, least: str, most: str) -> str:
    return f"{name} must be between {least} and {most}"


def amount_rules() -> tuple[CelRule, ...]:
    """Return the rules for an object with the fields ``cpu`` and ``memory``, both of which may be left out."""
    return _rule("cpu", MIN_CPU, MAX_CPU), _rule("memory", MIN_MEMORY, MAX_MEMORY)


def _rule(name: str, least: str, most: str) -> CelRule:
    amount = f"quantity(self.{name})"
    return CelRule(
        rule=f"!has(self.{name}) || ({amount}.compareTo(quantity('{least}')) >= 0"
        f" && {amount}.compareTo(quantity('{most}')) <= 0)",
        message=_message(name, least, most),
        field_path=f".{name}",
    )


CpuQuantity = Annotated[
    str, Field(max_length=_MAX_LENGTH, pattern=r"^[0-9]+(\.[0-9]+)?m?$"), AfterValidator(_cpu)
]
"""Processors, in units or thousandths: ``2``, ``500m``; 1m to 1024."""
MemoryQuantity = Annotated[
    str,
    Field(max_length=_MAX_LENGTH, pattern=r"^[0-9]+(\.[0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?$"),
    AfterValidator(_memory),
]
"""Bytes: ``256Mi``, ``1G``; 1Mi to 16Ti."""
