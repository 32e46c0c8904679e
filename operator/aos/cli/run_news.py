"""What happened to a run of a Workflow between two looks at it. Pure."""

from collections.abc import Iterator
from typing import Final

from aos.cli.output import joined
from aos.cli.run_tree import condition_of
from aos.model.conditions import ConditionType, Reason
from aos.model.workflow_run import StepState, StepStatus, WorkflowRun

_TOLD_BY_STEPS: Final = frozenset({Reason.RUNNING, Reason.WAITING_FOR_PEOPLE})
"""What the run says of itself for as long as its steps say more."""


def changes(old: WorkflowRun | None, new: WorkflowRun) -> list[str]:
    """Return a line for each thing that changed, in the order of the steps; everything that is not as at the start if ``old`` is None."""
    before = {step.name: step for step in old.status.steps} if old is not None else {}
    lines = [
        line
        for step in new.status.steps
        for line in _step_changes(before.get(step.name), step, new.metadata.namespace)
    ]
    return [*lines, *_standing_changes(old, new, is_told=bool(lines))]


def _step_changes(old: StepStatus | None, new: StepStatus, namespace: str) -> Iterator[str]:
    if old is None and new.state is StepState.PENDING:
        return
    if new.waiting_for and new.waiting_for != (old.waiting_for if old is not None else ""):
        yield f"step {new.name} waits for people: `aos show {new.waiting_for} -n {namespace}` tells more"
    elif old is None or (old.state, old.reason, old.attempt) != (new.state, new.reason, new.attempt):
        attempt = f", attempt {new.attempt}" if new.attempt > 1 and not new.state.is_final else ""
        by = f" by {new.agent}" if new.agent and new.state is StepState.RUNNING else ""
        yield joined((f"step {new.name}", f"{new.state.value}{by}{attempt}", new.reason, new.message))
    elif new.items is not None and old.items is not None and _done(old) != _done(new):
        yield f"step {new.name}: {_done(new)} of {new.items.total} items are done"


def _done(step: StepStatus) -> int:
    return step.items.states.count("S") if step.items is not None else 0


def _standing_changes(old: WorkflowRun | None, new: WorkflowRun, *, is_told: bool) -> Iterator[str]:
    for kind in (ConditionType.SUSPENDED, ConditionType.SUCCEEDED):
        before = condition_of(old, kind) if old is not None else None
        after = condition_of(new, kind)
        if after is None or new.ended:
            continue
        if before is None and kind is ConditionType.SUSPENDED and after.status != "True":
            continue
        if is_told and after.reason in _TOLD_BY_STEPS:
            continue
        if before is None or (before.reason, before.message) != (after.reason, after.message):
            yield joined(("run", after.reason, after.message))
