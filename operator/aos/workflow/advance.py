"""Where a run goes from here: a function of what is observed, and of nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.duration import duration_seconds
from aos.model.workflow_run import StepState
from aos.model.workflow_step import WorkflowStep
from aos.workflow.actions import Action, Advance, CreateGate
from aos.workflow.carrying import cancelling, carry_on
from aos.workflow.compensation import has_begun, leave_unneeded, to_undo, undo
from aos.workflow.expression import ExpressionError
from aos.workflow.gates import carry_gate_on, observe_gate, prepare_gate
from aos.workflow.graph import graph_of
from aos.workflow.look import Look
from aos.workflow.observed import Observed
from aos.workflow.pace import Pace
from aos.workflow.progress import Progress
from aos.workflow.readiness import Turn, readiness
from aos.workflow.reasons import StepReason
from aos.workflow.report import Outcome, is_fatal, run_status
from aos.workflow.starting import find_work, is_started, may_go
from aos.workflow.tell import Told, ended, left
from aos.workflow.template import Template
from aos.workflow.values import OutputLostError, Values

_CUTTING: Final = frozenset({Reason.CANCELLED, Reason.TIMED_OUT, Reason.PARENT_ENDED, Reason.REPLACED})
"""Ends before which what is open is cancelled. Where a step failed, it is let end."""


@dataclass(slots=True)
class _Open:
    """What there is to do for a step that has not ended; nothing for one whose turn has not come."""

    work: Progress | CreateGate | None = None

    @property
    def is_doomed(self) -> bool:
        return isinstance(self.work, Progress) and self.work.is_doomed


def advance(observed: Observed) -> Advance:
    """Return where the run goes from here.

    Where a run fails or is cancelled nothing more is started. Then, once all that was open has ended, and it is certain that nothing is
    open that was not seen, what was done is undone.

    Raises:
        WorkflowError: the spec is none that could have been accepted.
    """
    if observed.run.ended:
        return _swept(observed)
    look = Look.at(observed, graph_of(observed.spec))
    cause, recorded = _cause(observed), observed.run.status.ending
    open_steps = _find(look, _pace(observed, recorded, cause))
    ending = recorded or _ending(look, open_steps, cause)
    pace = _pace(observed, ending, cause)
    for name, found in open_steps.items():
        _carry(look, name, found, pace)
    outcome = _outcome(look, ending)
    if not (outcome.is_over or outcome.is_undoing or cause):
        look.wakes.append(_times_out_at(observed))
    return Advance(
        status=run_status(look, outcome),
        actions=tuple(look.actions),
        requeue_after_seconds=None if outcome.is_over else _requeue(look),
        confirm=look.confirm,
    )


def _swept(observed: Observed) -> Advance:
    """Return what is left to do for a run that has ended: nothing that it started stays open."""
    return Advance(observed.run.status, _strays(observed))


def _strays(observed: Observed) -> tuple[Action, ...]:
    below = {step.name for step in observed.spec.steps if step.workflow is not None}
    return tuple(
        cancelling(attempt, is_run=attempt.step in below)
        for attempt in observed.attempts
        if attempt.is_open and not attempt.is_ending
    )


def _cause(observed: Observed) -> str:
    """Return why the run has to end, whatever its steps do; empty if it has not."""
    if observed.must_end is not None:
        return observed.must_end
    if observed.run.spec.cancel:
        return Reason.CANCELLED
    return Reason.TIMED_OUT if observed.now >= _times_out_at(observed) else ""


def _times_out_at(observed: Observed) -> datetime:
    started_at = observed.run.status.start_time or observed.now
    return started_at + timedelta(seconds=duration_seconds(observed.spec.timeout))


def _pace(observed: Observed, ending: str, cause: str) -> Pace:
    cuts = bool(ending) and (ending in _CUTTING or bool(cause))
    return Pace(ending, cuts, observed.is_suspended)


def _find(look: Look, pace: Pace) -> dict[str, _Open]:
    """Look at every step, each after those that it waits for; return what is to be done for those that have not ended."""
    found: dict[str, _Open] = {}
    values = look.values()
    for name in look.graph.order:
        if look.statuses[name].state.is_final:
            continue
        work = _work(look, look.steps[name], values, pace)
        if not look.statuses[name].state.is_final:
            found[name] = _Open(work)
    return found


def _work(look: Look, step: WorkflowStep, values: Values, pace: Pace) -> Progress | CreateGate | None:
    if is_started(look, step):
        if step.approval is not None:
            observe_gate(look, step)
            return None
        return find_work(look, step, values, pace)
    if pace.ending or not _is_its_turn(look, step) or not may_go(look, step, values):
        return None
    if step.approval is not None:
        return prepare_gate(look, step, step.approval, values)
    return find_work(look, step, values, pace)


def _is_its_turn(look: Look, step: WorkflowStep) -> bool:
    found = readiness(look.graph.nodes[step.name], look.statuses)
    if found.turn is Turn.SKIP:
        told = Told(StepState.SKIPPED, StepReason.UPSTREAM_SKIPPED, found.message)
        look.statuses[step.name] = ended(look.statuses[step.name], told, None)
    return found.turn is Turn.GO


def _ending(look: Look, open_steps: Mapping[str, _Open], cause: str) -> str:
    """Return the reason with which the run is going to end; empty if it goes on or succeeds.

    What ended well is not undone because it was looked at late; but steps that were cancelled may have been so with the run.
    """
    is_failed = any(is_fatal(look, name) for name in look.graph.order)
    is_failed = is_failed or any(found.is_doomed for found in open_steps.values())
    states = {look.statuses[name].state for name in look.graph.order}
    if not open_steps and not is_failed and not (cause and StepState.CANCELLED in states):
        return ""
    if cause or is_failed:
        return cause or Reason.STEP_FAILED
    return Reason.TOO_MANY_TASKS if look.is_full else ""


def _carry(look: Look, name: str, found: _Open, pace: Pace) -> None:
    step = look.steps[name]
    if step.approval is not None:
        carry_gate_on(look, step, found.work if isinstance(found.work, CreateGate) else None, pace)
    elif isinstance(found.work, Progress):
        carry_on(look, found.work, pace)
    elif pace.ending and look.observed.confirmed:
        look.statuses[name] = left(look.statuses[name], pace, look.now)
    elif pace.ending:
        look.confirm = True


def _outcome(look: Look, ending: str) -> Outcome:
    """Carry the end of the run on, if it has come to it, and return how it stands."""
    if not all(look.statuses[name].state.is_final for name in look.graph.order):
        return Outcome(ending)
    problem = ""
    if ending in ("", Reason.EXPRESSION_FAILED):
        try:
            output = _output(look)
        except OutputLostError as error:
            if not ending and not look.observed.confirmed:
                look.confirm = True
                return Outcome()
            problem = str(error)
        except ExpressionError as error:
            problem = str(error)
        else:
            if not ending:
                leave_unneeded(look)
                return Outcome(is_over=True, output=output)
        ending = Reason.EXPRESSION_FAILED
    return _wound_up(look, Outcome(ending, problem=problem))


def _wound_up(look: Look, outcome: Outcome) -> Outcome:
    """Undo what was done, once nothing is open any more, and return how the run stands."""
    if not has_begun(look) and not _is_settled(look):
        return replace(outcome, is_undoing=bool(to_undo(look)))
    is_over = undo(look, Pace(is_suspended=look.observed.is_suspended))
    if is_over:
        leave_unneeded(look)
    return replace(outcome, is_over=is_over, is_undoing=not is_over)


def _output(look: Look) -> JsonObject | None:
    """Return what the run gives.

    Raises:
        ExpressionError: it can't be computed.
        OutputLostError: what a step gave is gone.
    """
    if look.observed.spec.output is None:
        return None
    template = Template.compile(look.observed.spec.output)
    given = template.render(look.values().read(template.uses))
    if not isinstance(given, dict):
        raise ExpressionError("it gives something else than a map")
    return given


def _is_settled(look: Look) -> bool:
    """Whether nothing is open for sure; what nobody waits for any more is cancelled."""
    if not look.observed.confirmed:
        look.confirm = True
        return False
    look.actions.extend(_strays(look.observed))
    return not any(attempt.is_open for attempt in look.observed.attempts)


def _requeue(look: Look) -> float | None:
    at = min(look.wakes, default=None)
    return None if at is None else max((at - look.observed.now).total_seconds(), 0.0)
