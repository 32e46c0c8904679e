"""What the status of a run tells of the whole of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus
from aos.model.workflow import MAX_STEPS
from aos.model.workflow_run import StepState, StepStatus, WorkflowRunStatus
from aos.model.workflow_step import OnFailure
from aos.workflow.critical_path import critical_path
from aos.workflow.look import Look
from aos.workflow.progress import told_of_room
from aos.workflow.tell import shortened
from aos.workflow.usage import run_usage, step_cost

_CAUSES: Final[Mapping[str, str]] = {
    Reason.CANCELLED: "somebody cancelled the run",
    Reason.PARENT_ENDED: "the run that started this one has ended, so nobody waits for it",
    Reason.REPLACED: "a newer run of the Workflow took its place",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run stands.

    Attributes:
        ending: the reason with which it is going to end, or ended; empty while it goes on, and where it succeeds.
        is_over: whether it has ended.
        is_undoing: whether what was done is being undone.
        output: what it gave.
        problem: why what it was to give could not be computed; empty if it could.
    """

    ending: str = ""
    is_over: bool = False
    is_undoing: bool = False
    output: JsonObject | None = None
    problem: str = ""


def is_fatal(look: Look, name: str) -> bool:
    """Whether a step failed so that the run fails."""
    failed = look.statuses[name].state in (StepState.FAILED, StepState.CANCELLED)
    return failed and look.steps[name].on_failure is OnFailure.FAIL


def run_status(look: Look, outcome: Outcome) -> WorkflowRunStatus:
    """Return the whole status of the run."""
    run, recorded = look.observed.run, look.observed.run.status
    steps = tuple(_with_cost(look, look.statuses[step.name]) for step in look.observed.spec.steps)
    ordinary = [look.statuses[name] for name in look.graph.order]
    done = sum(status.state.is_final for status in ordinary)
    path = critical_path(look.graph, look.statuses) if outcome.is_over else None
    changes = {
        "observed_generation": run.metadata.generation,
        "start_time": recorded.start_time or look.now,
        "completion_time": look.now if outcome.is_over else None,
        "ending": outcome.ending,
        "steps": steps,
        "progress": f"{done}/{len(ordinary)}",
        "waiting_for": tuple(dict.fromkeys(_waiting_for(look)))[:MAX_STEPS],
        "undid": recorded.undid or _has_undone(look),
        "output": outcome.output,
        "usage": run_usage(recorded.usage, look.observed.attempts),
        "critical_path": path.steps if path is not None else (),
        "critical_path_seconds": path.seconds if path is not None else 0,
    }
    status = recorded.model_copy(update=changes)
    return status.model_copy(update={"conditions": _conditions(look, status, outcome)})


def _with_cost(look: Look, status: StepStatus) -> StepStatus:
    cost = step_cost(status.cost_micro_usd, look.attempts.of(status.name))
    return status if cost == status.cost_micro_usd else status.model_copy(update={"cost_micro_usd": cost})


def _has_undone(look: Look) -> bool:
    """Whether something that undoes a step was begun, here or in a run below."""
    idle = (StepState.PENDING, StepState.SKIPPED)
    undoing = (status.state not in idle for status in look.statuses.values() if status.compensates)
    return any(undoing) or any(attempt.undid for attempt in look.observed.attempts)


def _waiting_for(look: Look) -> Iterator[str]:
    """Give the requests that open steps wait for, in the order of the steps."""
    for step in look.observed.spec.steps:
        status = look.statuses[step.name]
        if status.state.is_final:
            continue
        if step.approval is not None and status.waiting_for:
            yield status.waiting_for
        for attempt in look.attempts.of(step.name):
            if attempt.is_open:
                yield from attempt.waiting_for


def _conditions(look: Look, status: WorkflowRunStatus, outcome: Outcome) -> tuple[Condition, ...]:
    observed = look.observed
    suspended = _suspended(look)
    verdicts = {
        ConditionType.SUSPENDED: (
            ConditionStatus.TRUE if observed.is_suspended else ConditionStatus.FALSE,
            Reason.SUSPENDED if observed.is_suspended else Reason.NOT_SUSPENDED,
            suspended,
        ),
        ConditionType.SUCCEEDED: _succeeded(look, status, outcome),
    }
    known = {item.type: item for item in observed.run.status.conditions}
    others = [item for item in observed.run.status.conditions if item.type not in verdicts]
    made = [_condition(look, known.get(type_), type_, verdict) for type_, verdict in verdicts.items()]
    return (*others, *made)


def _condition(
    look: Look, known: Condition | None, type_: ConditionType, verdict: tuple[ConditionStatus, str, str]
) -> Condition:
    status, reason, message = verdict
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=look.observed.run.metadata.generation,
        last_transition_time=known.last_transition_time
        if known is not None and known.status is status
        else look.now,
    )


def _suspended(look: Look) -> str:
    if look.observed.run.spec.suspend:
        return "spec.suspend of the run is true: no further step is started"
    if look.observed.is_workflow_suspended:
        return f"Workflow {look.observed.run.spec.workflow_ref.name} is suspended: no further step is started"
    return ""


def _succeeded(look: Look, status: WorkflowRunStatus, outcome: Outcome) -> tuple[ConditionStatus, str, str]:
    if outcome.ending:
        told = _why(look, outcome) + _undone(look)
        if outcome.is_over:
            return ConditionStatus.FALSE, outcome.ending, told
        reason = Reason.COMPENSATING if outcome.is_undoing else Reason.RUNNING
        return ConditionStatus.UNKNOWN, reason, f"{told}; {_under_way(look)}"
    if outcome.is_over:
        return ConditionStatus.TRUE, Reason.COMPLETED, _completed(look)
    states = {item.state for item in look.statuses.values()}
    if StepState.WAITING in states and not states & {StepState.RUNNING, StepState.RETRYING}:
        people = f"people have to decide on {', '.join(status.waiting_for)}"
        return ConditionStatus.UNKNOWN, Reason.WAITING_FOR_PEOPLE, shortened(people)
    return ConditionStatus.UNKNOWN, Reason.RUNNING, f"{status.progress} steps are done; {_under_way(look)}"


def _why(look: Look, outcome: Outcome) -> str:
    match outcome.ending:
        case Reason.STEP_FAILED:
            return _failed_step(look)
        case Reason.TIMED_OUT:
            return f"the run was not done within its timeout of {look.observed.spec.timeout}"
        case Reason.TOO_MANY_TASKS:
            return told_of_room(look.observed.room)
        case Reason.EXPRESSION_FAILED:
            return f"its output could not be computed: {outcome.problem}"
    return _CAUSES.get(outcome.ending, "it ends")


def _failed_step(look: Look) -> str:
    failed = [
        (look.statuses[name].completion_time or look.now, place, name)
        for place, name in enumerate(look.graph.order)
        if is_fatal(look, name) and not _is_consequence(look.statuses[name])
    ]
    if not failed:
        return "a step failed"
    status = look.statuses[min(failed)[2]]
    verb = "failed" if status.state is StepState.FAILED else "was cancelled"
    return shortened(f"step {status.name} {verb}: {status.reason}: {status.message}")


def _is_consequence(status: StepStatus) -> bool:
    """Whether a step did not end well since another failed: no further item of it was begun. A run below may have the same reason."""
    return status.state is StepState.CANCELLED and status.reason == Reason.STEP_FAILED


def _undone(look: Look) -> str:
    """Return what was undone, and what could not be."""
    by = [status for status in look.statuses.values() if status.compensates]
    undone = [status.compensates for status in by if status.state is StepState.SUCCEEDED]
    failed = [
        f"step {status.name}, which undoes step {status.compensates}, did not succeed: {status.reason}"
        for status in by
        if status.state in (StepState.FAILED, StepState.CANCELLED)
    ]
    told = [f"undone: {', '.join(undone)}"] if undone else []
    return shortened("".join(f"; {part}" for part in (*told, *failed)))


def _under_way(look: Look) -> str:
    open_ = [
        status.name
        for status in look.statuses.values()
        if not status.state.is_final and status.state is not StepState.PENDING
    ]
    if open_:
        return shortened(f"under way: {', '.join(open_)}")
    return "nothing is under way"


def _completed(look: Look) -> str:
    broken = [
        status.name
        for status in look.statuses.values()
        if status.state in (StepState.FAILED, StepState.CANCELLED)
    ]
    return shortened(f"done, without {', '.join(broken)}") if broken else "every step is done"
