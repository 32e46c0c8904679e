"""Finds out what there is to do for a step whose turn it is: whether it is done at all, for which items, and with what."""

from aos.model.conditions import Reason
from aos.model.workflow_run import StepState
from aos.model.workflow_step import WorkflowStep
from aos.workflow.expression import ExpressionError
from aos.workflow.look import Look
from aos.workflow.pace import Pace
from aos.workflow.progress import Progress, items_of, prepare, progress_of
from aos.workflow.reasons import StepReason
from aos.workflow.step_status import ended_status
from aos.workflow.tell import Told, ended
from aos.workflow.template import condition
from aos.workflow.values import OutputLostError, Values


def is_started(look: Look, step: WorkflowStep) -> bool:
    """Whether something of a step was started: what was seen counts, though it was not recorded."""
    status = look.statuses[step.name]
    return (
        status.attempt > 0
        or status.items is not None
        or bool(look.attempts.of(step.name))
        or step.name in look.gates
    )


def may_go(look: Look, step: WorkflowStep, values: Values) -> bool:
    """Whether a step that was not started is done by its ``when``; where it is not, that is noted."""
    if step.when is None:
        return True
    try:
        compiled = condition(step.when)
        if compiled.holds(values.read(compiled.uses)):
            return True
        told = Told(StepState.SKIPPED, StepReason.CONDITION_FALSE, f"when gave false: {step.when}")
        look.statuses[step.name] = ended(look.statuses[step.name], told, None)
    except ExpressionError as error:
        _fail(look, step, Reason.EXPRESSION_FAILED, f"when: {error}")
    except OutputLostError as error:
        _lost(look, step, error)
    return False


def find_work(
    look: Look, step: WorkflowStep, values: Values, pace: Pace, *, is_undoing: bool = False
) -> Progress | None:
    """Return what is to be done for a step of an agent or a Workflow that may go on; None where it ended, which is noted.

    Args:
        look: at the run.
        step: the step.
        values: what its expressions read.
        pace: how the run may go on, as far as that is known.
        is_undoing: whether it undoes another step.
    """
    total = _total(look, step, values)
    if total is None:
        return None
    progress = progress_of(look, step, total, is_undoing=is_undoing)
    if pace.may_start:
        prepare(look, progress, values)
    if progress.is_over:
        look.statuses[step.name] = ended_status(look, progress, pace)
        return None
    return progress


def _total(look: Look, step: WorkflowStep, values: Values) -> int | None:
    """Return how many pieces a step has; None where that can't be told, which is noted."""
    if step.for_each is None:
        return 1
    recorded = look.statuses[step.name].items
    if recorded is not None:
        return recorded.total
    try:
        return len(items_of(step.for_each, values))
    except ExpressionError as error:
        _fail(look, step, Reason.EXPRESSION_FAILED, f"forEach: {error}")
    except OutputLostError as error:
        _lost(look, step, error)
    return None


def _lost(look: Look, step: WorkflowStep, error: OutputLostError) -> None:
    if look.observed.confirmed:
        _fail(look, step, StepReason.OUTPUT_LOST, str(error))
    else:
        look.confirm = True


def _fail(look: Look, step: WorkflowStep, reason: str, message: str) -> None:
    told = Told(StepState.FAILED, reason, message)
    look.statuses[step.name] = ended(look.statuses[step.name], told, look.now)
