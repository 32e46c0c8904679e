"""Whether a step may start, by the steps before it, or is skipped with one of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from aos.model.workflow_run import StepState, StepStatus
from aos.workflow.graph import Node
from aos.workflow.reasons import StepReason


class Turn(Enum):
    """What becomes of a step by those before it."""

    WAIT = auto()
    """One of them is not done."""
    GO = auto()
    SKIP = auto()


@dataclass(frozen=True, slots=True)
class Readiness:
    """What becomes of a step by those before it, and the message for people if it is skipped."""

    turn: Turn
    message: str = ""


def readiness(node: Node, statuses: Mapping[str, StepStatus]) -> Readiness:
    """Return what becomes of a step.

    It is skipped with a step whose output it needs and that has none, and with a step that was skipped in this way and that it
    depends on. A step that was skipped by its own ``when`` counts as done for those that merely depend on it; an output that is used
    only where there is one keeps nobody from going on.

    Args:
        node: the step.
        statuses: where all steps stand.
    """
    for name in sorted(node.uses):
        if _has_none(statuses[name]):
            told = f"it uses what step {name} gives, which {_told(statuses[name])}"
            return Readiness(Turn.SKIP, told)
    for name in sorted(node.depends):
        if statuses[name].reason == StepReason.UPSTREAM_SKIPPED:
            return Readiness(Turn.SKIP, f"it depends on step {name}, which {_told(statuses[name])}")
    is_ready = all(statuses[name].state.is_final for name in node.before)
    return Readiness(Turn.GO if is_ready else Turn.WAIT)


def _has_none(status: StepStatus) -> bool:
    return status.state.is_final and status.state is not StepState.SUCCEEDED


def _told(status: StepStatus) -> str:
    match status.state:
        case StepState.SKIPPED:
            return "was skipped"
        case StepState.CANCELLED:
            return "was cancelled"
        case _:
            return "failed"
