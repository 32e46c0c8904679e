"""Carries a step on: starts what may start, cancels what has to end, and says where the step stands then."""

from datetime import timedelta
from typing import Final

from aos.workflow.actions import CancelRun, CancelTask
from aos.workflow.attempts import Standing, Unit, Work
from aos.workflow.look import Look
from aos.workflow.observed import Attempt
from aos.workflow.pace import Pace
from aos.workflow.progress import Progress
from aos.workflow.step_status import ended_status, open_status

REFUSED_AGAIN_SECONDS: Final = 15
"""After how long something that the API server refused is tried again."""


def carry_on(look: Look, progress: Progress, pace: Pace) -> None:
    """Carry a step on that is open, and note where it stands then."""
    refused = ""
    if pace.may_start:
        refused = _start(look, progress)
        _wait(look, progress)
    _cancel(look, progress, pace)
    name = progress.step.name
    if progress.is_over or (pace.ending and _can_be_left(look, progress)):
        look.statuses[name] = ended_status(look, progress, pace)
    else:
        look.statuses[name] = open_status(look, progress, pace, refused)


def cancelling(attempt: Attempt, *, is_run: bool) -> CancelTask | CancelRun:
    """Return what cancels an open attempt.

    Args:
        attempt: the attempt.
        is_run: whether it is a run, and not a Task.
    """
    if is_run:
        return CancelRun(attempt.name, attempt.uid)
    return CancelTask(attempt.name, attempt.uid, attempt.resource_version)


def _start(look: Look, progress: Progress) -> str:
    """Start what is prepared; return why the API server refused something of it, empty if it did not."""
    told = ""
    for start in progress.starts:
        look.actions.append(start.action)
        refusal = look.observed.refused.get(start.action.name)
        if refusal is not None:
            told = told or refusal
            continue
        progress.put(Unit(start.unit.item, Standing.RUNNING, start.unit.attempt + 1))
    if told:
        look.wakes.append(look.observed.now + timedelta(seconds=REFUSED_AGAIN_SECONDS))
    return told


def _wait(look: Look, progress: Progress) -> None:
    """Note when the next attempt is due. One that is due already waits for another to end, which is told by itself."""
    due = [unit.retry_at for unit in progress.units if unit.retry_at is not None]
    look.wakes.extend(at for at in due if at > look.observed.now)


def _cancel(look: Look, progress: Progress, pace: Pace) -> None:
    """Cancel what has to end, and note when a run below has to: a Task has a deadline of its own."""
    work = Work(look.observed.run.metadata.uid, progress.step, look.observed.confirmed)
    for unit in progress.units:
        latest = unit.latest
        if unit.standing is not Standing.RUNNING or latest is None or latest.is_ending:
            continue
        times_out_at = work.times_out_at(latest)
        if pace.cuts or (times_out_at is not None and look.observed.now >= times_out_at):
            look.actions.append(cancelling(latest, is_run=progress.step.workflow is not None))
        elif times_out_at is not None:
            look.wakes.append(times_out_at)


def _can_be_left(look: Look, progress: Progress) -> bool:
    """Whether what was not started can be left for good: nothing is open, and nothing was started that is not seen."""
    if any(unit.standing is Standing.RUNNING for unit in progress.units):
        return False
    if not look.observed.confirmed:
        look.confirm = True
    return look.observed.confirmed
