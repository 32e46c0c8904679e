"""Why steps end or wait as they do, besides the reasons of Tasks and runs; and which failures may be tried again."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from aos.model.conditions import Reason
from aos.model.workflow_step import FailureKind


class StepReason(StrEnum):
    """Reasons of steps that no Task, run or request has; ``STEP_REASON_DOCS`` tells what they mean."""

    CONDITION_FALSE = "ConditionFalse"
    UPSTREAM_SKIPPED = "UpstreamSkipped"
    NOT_NEEDED = "NotNeeded"
    DELETED = "Deleted"
    ITEMS_FAILED = "ItemsFailed"
    OUTPUT_LOST = "OutputLost"
    STALE = "Stale"
    SUSPENDED = "Suspended"
    REFUSED = "Refused"


STEP_REASON_DOCS: Final[Mapping[StepReason, str]] = {
    StepReason.CONDITION_FALSE: "Its `when` gave false.",
    StepReason.UPSTREAM_SKIPPED: "It uses what a step would have given that was skipped or failed, or depends on one that was skipped for this.",
    StepReason.NOT_NEEDED: "It undoes a step, and there was nothing to undo.",
    StepReason.DELETED: "Somebody deleted its Task, run or request, which cancels it for good.",
    StepReason.ITEMS_FAILED: "Items of its forEach failed; the message tells how many, and why the first did.",
    StepReason.OUTPUT_LOST: "What it is given can't be told any more: somebody deleted the Task, run or request that had it.",
    StepReason.STALE: "The ApprovalRequest of its gate can't be approved any more.",
    StepReason.SUSPENDED: "It could start, but for the run or the Workflow that is suspended.",
    StepReason.REFUSED: "The API server refused what was to be created for it, such as for a full quota; it is tried again every 15 seconds.",
}

KINDS: Final[Mapping[FailureKind, tuple[str, ...]]] = {
    FailureKind.AGENT: (Reason.AGENT_FAILED, Reason.NO_RESULT),
    FailureKind.POD: (
        Reason.POD_FAILED,
        Reason.POD_LOST,
        Reason.NODE_LOST,
        Reason.OUT_OF_MEMORY,
        Reason.REVISION_LOST,
    ),
    FailureKind.TIMEOUT: (Reason.DEADLINE_EXCEEDED,),
    FailureKind.START: (
        Reason.AGENT_NOT_FOUND,
        Reason.AGENT_NOT_READY,
        Reason.AGENT_SUSPENDED,
        Reason.QUOTA_EXCEEDED,
        Reason.POD_REJECTED,
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL_FAILED,
        Reason.WAITING_FOR_CAPACITY,
    ),
}
"""Which ends of Tasks are which kind of failure; every other one is final, and every end of a run but those below is of kind Run."""
_KIND_OF_TASK: Final = {reason: kind for kind, reasons in KINDS.items() for reason in reasons}

CANCELLED: Final = frozenset({Reason.CANCELLED, Reason.PARENT_ENDED})
"""Ends of a Task or a run by which it was cancelled, and not tried."""
HOPELESS: Final = frozenset({Reason.INPUT_INVALID, Reason.TOO_DEEP, Reason.TOO_MANY_TASKS})
"""Ends that another attempt would have, too."""


def kind_of_task(reason: str) -> FailureKind | None:
    """Return the kind of failure that a Task ended with; None for one that is never tried again."""
    return _KIND_OF_TASK.get(reason)


def kind_of_run(reason: str) -> FailureKind | None:
    """Return the kind of failure that a run below ended with; None for one that is never tried again."""
    return None if reason in HOPELESS or reason in CANCELLED else FailureKind.RUN
