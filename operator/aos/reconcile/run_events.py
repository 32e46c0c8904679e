"""What a run's way from one status to the next is worth telling people. No content: events are read by many."""

from collections.abc import Iterator

from aos.model.conditions import ConditionType, Reason
from aos.model.meta import ConditionStatus
from aos.model.workflow_run import StepState, WorkflowRunStatus
from aos.reconcile.conditions import find
from aos.reconcile.events import EventReason, Happening

_WORTH_TELLING = frozenset(
    {
        Reason.QUEUED,
        Reason.WORKFLOW_NOT_FOUND,
        Reason.WORKFLOW_NOT_READY,
        Reason.AGENT_NOT_FOUND,
        Reason.CAPABILITY_NOT_FOUND,
        Reason.CAPABILITY_AMBIGUOUS,
    }
)


def run_events(before: WorkflowRunStatus, after: WorkflowRunStatus) -> tuple[Happening, ...]:
    """Return the events that the step from one status to the next is worth."""
    return (*_starts(before, after), *_suspends(before, after), *_steps(before, after), *_ends(before, after))


def _starts(before: WorkflowRunStatus, after: WorkflowRunStatus) -> Iterator[Happening]:
    if after.revision and not before.revision:
        yield Happening(EventReason.RUN_STARTED, f"it runs revision {after.revision}")
    elif not after.revision:
        known, found = (find(item.conditions, ConditionType.SUCCEEDED) for item in (before, after))
        is_news = found is not None and (known is None or known.reason != found.reason)
        if found is not None and is_news and found.reason in _WORTH_TELLING:
            yield Happening(EventReason.WAITING, f"{found.reason}: {found.message}")


def _suspends(before: WorkflowRunStatus, after: WorkflowRunStatus) -> Iterator[Happening]:
    known, found = (find(item.conditions, ConditionType.SUSPENDED) for item in (before, after))
    was, held = (item is not None and item.status is ConditionStatus.TRUE for item in (known, found))
    if held and not was:
        yield Happening(EventReason.SUSPENDED, "no further step is started")
    if was and not held:
        yield Happening(EventReason.RESUMED, "steps are started again")


def _steps(before: WorkflowRunStatus, after: WorkflowRunStatus) -> Iterator[Happening]:
    known = {step.name: step.state for step in before.steps}
    for step in after.steps:
        # Why, in full, may hold the agent's own words.
        if step.state is StepState.FAILED and known.get(step.name) is not StepState.FAILED:
            yield Happening(EventReason.STEP_FAILED, f"step {step.name} failed for good: {step.reason}")
    for name in after.waiting_for:
        if name not in before.waiting_for:
            yield Happening(EventReason.WAITING_FOR_PEOPLE, f"ApprovalRequest {name} is to be decided")


def _ends(before: WorkflowRunStatus, after: WorkflowRunStatus) -> Iterator[Happening]:
    known, found = (find(item.conditions, ConditionType.SUCCEEDED) for item in (before, after))
    if found is None or (known is not None and (known.status, known.reason) == (found.status, found.reason)):
        return
    if found.reason == Reason.COMPENSATING:
        yield Happening(EventReason.COMPENSATING, "what was done is being undone")
    if found.status is ConditionStatus.TRUE:
        yield Happening(
            EventReason.RUN_COMPLETED, f"{after.progress} steps are done" if after.progress else "done"
        )
    if found.status is ConditionStatus.FALSE:
        yield Happening(EventReason.RUN_FAILED, f"{found.reason}; status tells more")
