"""Undoing what was done when a run fails or is cancelled: in reverse order, one step at a time.

A step is undone that succeeded, and so is a forEach of which at least one item succeeded, however it ended: the step that undoes it runs
once and sees the list of outputs, with null for each item that gave nothing.
"""

from aos.model.workflow_run import StepState, StepStatus
from aos.workflow.carrying import carry_on
from aos.workflow.fanout import has_done_something
from aos.workflow.look import Look
from aos.workflow.pace import Pace
from aos.workflow.reasons import StepReason
from aos.workflow.starting import find_work, is_started, may_go
from aos.workflow.tell import Told, ended


def to_undo(look: Look) -> list[str]:
    """Return the steps that are to be undone, the last one that ended first."""
    done = [
        (place, look.statuses[name])
        for place, name in enumerate(look.graph.order)
        if look.graph.nodes[name].compensated_by is not None and _did_something(look.statuses[name])
    ]
    done.sort(key=lambda found: (found[1].completion_time or look.now, found[0]), reverse=True)
    return [status.name for _, status in done]


def undo(look: Look, pace: Pace) -> bool:
    """Carry on what undoes steps; return whether all of it is done."""
    for name in to_undo(look):
        by = look.graph.nodes[name].compensated_by
        if by is not None and not _carry(look, by, pace):
            return False
    return True


def has_begun(look: Look) -> bool:
    """Whether something that undoes a step was started, or came to an end."""
    undoing = [name for name, node in look.graph.nodes.items() if node.compensates is not None]
    return any(
        look.statuses[name].state is not StepState.PENDING or is_started(look, look.steps[name])
        for name in undoing
    )


def leave_unneeded(look: Look) -> None:
    """Note of what undoes steps, and never ran, that there was nothing to undo."""
    for name, node in look.graph.nodes.items():
        status = look.statuses[name]
        if node.compensates is not None and not status.state.is_final:
            told = Told(
                StepState.SKIPPED,
                StepReason.NOT_NEEDED,
                f"there was nothing of step {node.compensates} to undo",
            )
            look.statuses[name] = ended(status, told, None)


def _did_something(status: StepStatus) -> bool:
    if status.items is not None:
        return has_done_something(status.items)
    return status.state is StepState.SUCCEEDED


def _carry(look: Look, name: str, pace: Pace) -> bool:
    """Carry on a step that undoes another; return whether it is done."""
    if look.statuses[name].state.is_final:
        return True
    step, values = look.steps[name], look.values(undoing=True)
    if is_started(look, step) or may_go(look, step, values):
        progress = find_work(look, step, values, pace, is_undoing=True)
        if progress is not None:
            carry_on(look, progress, pace)
    return look.statuses[name].state.is_final
