"""Conditions from verdicts: the time of transition kept, messages bounded, and nothing new where nothing changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus

MAX_MESSAGE_LENGTH: Final = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something holds, and why, for machines and for people."""

    status: ConditionStatus
    reason: Reason
    message: str = ""

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.status is ConditionStatus.TRUE


def yes(reason: Reason, message: str = "") -> Verdict:
    """Return the verdict that it holds."""
    return Verdict(ConditionStatus.TRUE, reason, message)


def no(reason: Reason, message: str = "") -> Verdict:
    """Return the verdict that it does not hold."""
    return Verdict(ConditionStatus.FALSE, reason, message)


def unknown(reason: Reason, message: str = "") -> Verdict:
    """Return the verdict that nobody can tell yet."""
    return Verdict(ConditionStatus.UNKNOWN, reason, message)


def find(conditions: Iterable[Condition], type_: ConditionType) -> Condition | None:
    """Return the condition of a type, if it is there."""
    return next((item for item in conditions if item.type == type_), None)


def conditions(
    observed: Iterable[Condition],
    verdicts: Mapping[ConditionType, Verdict],
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return one condition for each verdict; the time of transition moves only with the status."""
    known = {item.type: item for item in observed}
    return tuple(
        _condition(known.get(type_), type_, verdict, generation, now) for type_, verdict in verdicts.items()
    )


def _condition(
    known: Condition | None, type_: ConditionType, verdict: Verdict, generation: int, now: datetime
) -> Condition:
    is_same = known is not None and known.status is verdict.status
    return Condition(
        type=type_,
        status=verdict.status,
        reason=verdict.reason,
        message=shortened(verdict.message),
        observed_generation=generation,
        last_transition_time=known.last_transition_time if known and is_same else now.replace(microsecond=0),
    )


def unchanged(observed: Iterable[Condition], desired: Iterable[Condition]) -> bool:
    """Whether every desired condition stands there already; conditions of others have no say."""
    known = {item.type: item for item in observed}
    return all(known.get(item.type) == item for item in desired)


def as_json(items: Iterable[Condition]) -> list[JsonObject]:
    """Return conditions as the API server stores them."""
    return [item.model_dump(mode="json", by_alias=True) for item in items]


def shortened(message: str) -> str:
    """Return ``message`` within the bound that events and conditions share."""
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 1] + "…"
