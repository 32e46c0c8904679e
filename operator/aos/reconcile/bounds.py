"""WithinBounds: whether the gateway keeps refusing an agent's calls for a bound, from what its replicas tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aos.model.conditions import BOUND_REASONS, Reason
from aos.reconcile.conditions import Verdict, no, yes

_WAYS_OUT: Final[Mapping[Reason, str]] = {
    Reason.BUDGET_EXCEEDED: "wait, or raise the budget in that policy",
    Reason.LIMIT_EXCEEDED: "wait, or raise the limit in that policy",
    Reason.CIRCUIT_OPEN: "mend the Tool, or what the agent asks of it; it is tried by itself",
    Reason.LOOP_DETECTED: "cancel the Tasks that repeat themselves, or mend the agent's instructions",
    Reason.TOO_MANY_TASK_CALLS: "cancel such Tasks or give them less to do, or raise loops.maxCallsPerTask of the policies",
}


@dataclass(frozen=True, slots=True)
class ExceededBound:
    """A bound that one replica refuses an agent's calls for, persistently.

    Attributes:
        reason: one of `aos.model.conditions.BOUND_REASONS`.
        bound: its name, with policy and scope; of a circuit what fails.
        frees_at: when enough is free; None where it is soon, or time alone does not free it.
    """

    reason: Reason
    bound: str
    frees_at: datetime | None = None


def within_bounds(told: Iterable[ExceededBound]) -> Verdict:
    """Return the verdict on what all replicas tell; one that refuses is enough."""
    worst = min(told, key=_rank, default=None)
    if worst is None:
        return yes(Reason.WITHIN_BOUNDS, "no call was refused for a bound lately")
    when = f"enough is free at {_time(worst.frees_at)}" if worst.frees_at else "it frees by no set time"
    return no(worst.reason, f"calls are refused: {worst.bound}; {when}; {_WAYS_OUT[worst.reason]}")


def _rank(item: ExceededBound) -> tuple[int, str, float]:
    # The latest time of one bound: until then some replica refuses.
    return BOUND_REASONS.index(item.reason), item.bound, -item.frees_at.timestamp() if item.frees_at else 0


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
