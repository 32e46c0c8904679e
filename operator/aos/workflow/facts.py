"""Tasks, runs and ApprovalRequests as a run that waits for them sees them."""

from datetime import datetime

from aos.model.approval_request import ApprovalRequest, RequestState
from aos.model.approval_request import Verdict as Decision
from aos.model.conditions import ConditionType
from aos.model.meta import Condition, ConditionStatus
from aos.model.task import Task, TaskUsage
from aos.model.workflow_run import WorkflowRun
from aos.policy.quorums import tally
from aos.workflow.observed import Attempt, ObservedGate

_SETTLED = {
    RequestState.APPROVED: ConditionType.APPROVED,
    RequestState.REJECTED: ConditionType.REJECTED,
    RequestState.EXPIRED: ConditionType.EXPIRED,
    RequestState.STALE: ConditionType.STALE,
}


def task_attempt(task: Task, now: datetime, usage: TaskUsage | None = None) -> Attempt | None:
    """Return the attempt that ``task`` is; None for one that is not done for a step itself.

    Args:
        task: as the API server has it.
        now: stands in for times that the API server has not stamped.
        usage: what it used with all that it handed over; its own alone where it is left out.
    """
    step = task.spec.run
    if step is None or task.spec.lineage:
        return None
    end = _end(task.status.conditions)
    return Attempt(
        name=task.metadata.name,
        uid=task.metadata.uid,
        resource_version=task.metadata.resource_version,
        step=step.step,
        item=step.item,
        number=step.attempt,
        created_at=task.metadata.creation_timestamp or now,
        ended_at=(task.status.completion_time or end.last_transition_time) if end else None,
        succeeded=end is not None and end.status is ConditionStatus.TRUE,
        reason=end.reason if end else "",
        message=end.message if end else "",
        output=task.status.result.output if task.status.result is not None else None,
        usage=usage if usage is not None else task.status.usage,
        waiting_for=(task.status.waiting_for,) if task.status.waiting_for and end is None else (),
        is_ending=task.metadata.deletion_timestamp is not None,
    )


def run_attempt(run: WorkflowRun, now: datetime) -> Attempt | None:
    """Return the attempt that ``run`` is; None for one that no step started.

    Args:
        run: as the API server has it.
        now: stands in for times that the API server has not stamped.
    """
    parent = run.spec.parent
    if parent is None:
        return None
    end = _end(run.status.conditions)
    return Attempt(
        name=run.metadata.name,
        uid=run.metadata.uid,
        resource_version=run.metadata.resource_version,
        step=parent.step,
        item=parent.item,
        number=parent.attempt,
        created_at=run.metadata.creation_timestamp or now,
        ended_at=(run.status.completion_time or end.last_transition_time) if end else None,
        succeeded=end is not None and end.status is ConditionStatus.TRUE,
        reason=end.reason if end else "",
        message=end.message if end else "",
        output=run.status.output,
        usage=run.status.usage,
        waiting_for=run.status.waiting_for if end is None else (),
        undid=run.status.undid,
        is_ending=run.spec.cancel or run.metadata.deletion_timestamp is not None,
    )


def gate(request: ApprovalRequest, step: str, now: datetime) -> ObservedGate:
    """Return what a run sees of the ``request`` at its gate ``step``; its status alone is not believed, the decisions are counted again.

    Args:
        request: as the API server has it.
        step: the step that is the gate.
        now: stands in for times that the API server has not stamped.
    """
    status = request.status
    counted = [item.approver for item in status.counted if item.verdict is Decision.APPROVE and item.rules]
    comments = {item.approver: item.comment for item in request.spec.decisions}
    settled = _SETTLED.get(status.state)
    found = _find(status.conditions, settled) if settled is not None else None
    enforced = _find(status.conditions, ConditionType.ENFORCEMENT_ACTIVE)
    return ObservedGate(
        name=request.metadata.name,
        step=step,
        created_at=request.metadata.creation_timestamp or now,
        state=status.state,
        settled_at=found.last_transition_time if found is not None else None,
        is_enforced=enforced is not None
        and enforced.status is ConditionStatus.TRUE
        and (status.state is not RequestState.APPROVED or tally(request.spec, status.counted).reached),
        approvals=tuple((name, comments.get(name, "")) for name in counted),
        message=found.message if found is not None else "",
    )


def _end(conditions: tuple[Condition, ...]) -> Condition | None:
    found = _find(conditions, ConditionType.SUCCEEDED)
    return found if found is not None and found.status is not ConditionStatus.UNKNOWN else None


def _find(conditions: tuple[Condition, ...], type_: ConditionType) -> Condition | None:
    return next((item for item in conditions if item.type == type_), None)
