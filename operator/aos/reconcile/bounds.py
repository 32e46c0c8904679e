"""WithinBounds: whether the gateway keeps refusing an agent's calls, from what its replicas tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aos.model.conditions import BOUND_REASONS, COUNTED_REASONS, Reason
from aos.reconcile.conditions import Verdict, no, yes

_WAYS_OUT: Final[Mapping[Reason, str]] = {
    Reason.BUDGET_EXCEEDED: "wait, or raise the budget in that policy",
    Reason.LIMIT_EXCEEDED: "wait, or raise the limit in that policy",
    Reason.CIRCUIT_OPEN: "mend the Tool, or what the agent asks of it; it is tried by itself",
    Reason.LOOP_DETECTED: "cancel the Tasks that repeat themselves, or mend the agent's instructions",
    Reason.TOO_MANY_TASK_CALLS: "cancel such Tasks or give them less to do, or raise loops.maxCallsPerTask of the policies",
    Reason.DATA_BLOCKED: "mend what the agent is given or asks for, or the data rules of the policies",
    Reason.DATA_TOO_LARGE: "let the agent ask for less at a time, or raise the bound in the policies' data",
    Reason.URL_NOT_ALLOWED: "mend what the agent is told to open, or name the host in allowHosts of the policies",
    Reason.PROJECTION_FAILED: "mend the projection in the policies, or the Tool's answers",
    Reason.DELEGATE_NOT_ALLOWED: "name the agent in spec.delegates and let the policies allow it, or mend the instructions",
    Reason.DELEGATE_NOT_READY: "see the conditions of that Agent",
    Reason.TOO_MANY_TASKS: "mend the Workflow, or raise operator.maxRunTasks",
    Reason.TOO_MANY_VISITS: "mend the agents' instructions, or raise loops.maxVisits of the policies",
    Reason.TOO_DEEP: "mend the agents' instructions, or raise loops.maxDepth of the policies",
    Reason.TOO_MANY_APPROVALS: "decide on what waits: aos pending",
    Reason.REVIEW_BACKLOG: "decide on what waits: aos pending",
    Reason.RECORD_UNKNOWN: "mend the record of the Tool's action, or the agent's instructions",
    Reason.RECORD_BUSY: "see who holds it with aos records; cancel that Task, or free the record",
    Reason.DUPLICATE_IN_FLIGHT: "look at what the system holds; cancel the Tasks that do the same",
}


@dataclass(frozen=True, slots=True)
class ExceededBound:
    """What one replica refuses an agent's calls for, persistently.

    Attributes:
        reason: one of `aos.model.conditions.BOUND_REASONS`.
        bound: its name, with policy and scope; of what is not counted why calls are refused.
        frees_at: when enough is free; None where it is soon, or time alone does not free it.
    """

    reason: Reason
    bound: str
    frees_at: datetime | None = None


def within_bounds(told: Iterable[ExceededBound]) -> Verdict:
    """Return the verdict on what all replicas tell; one that refuses is enough."""
    worst = min(told, key=_rank, default=None)
    if worst is None:
        return yes(Reason.WITHIN_BOUNDS, "no call was refused again and again lately")
    return no(worst.reason, f"calls are refused: {worst.bound}{_when(worst)}; {_WAYS_OUT[worst.reason]}")


def _when(item: ExceededBound) -> str:
    if item.frees_at is not None:
        return f"; enough is free at {_time(item.frees_at)}"
    return "; it frees by no set time" if item.reason in COUNTED_REASONS else ""


def _rank(item: ExceededBound) -> tuple[int, str, float]:
    # The latest time of one bound: until then some replica refuses.
    return BOUND_REASONS.index(item.reason), item.bound, -item.frees_at.timestamp() if item.frees_at else 0


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
