"""Where a step of an agent or a Workflow stands, as the run's status tells it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from aos.model.canonical import json_digest
from aos.model.workflow_run import StepState, StepStatus
from aos.model.workflow_step import OnFailure
from aos.workflow.attempts import Standing, Unit
from aos.workflow.fanout import items_status
from aos.workflow.look import Look
from aos.workflow.making import Piece, attempt_name
from aos.workflow.pace import Pace
from aos.workflow.progress import Progress
from aos.workflow.reasons import StepReason
from aos.workflow.tell import Told, held, shortened

_STATES: Final = {
    Standing.SUCCEEDED: StepState.SUCCEEDED,
    Standing.FAILED: StepState.FAILED,
    Standing.CANCELLED: StepState.CANCELLED,
}


def open_status(look: Look, progress: Progress, pace: Pace, refused: str) -> StepStatus:
    """Return where a step stands that has not ended.

    Args:
        look: at the run.
        progress: the step.
        pace: how the run may go on.
        refused: why the API server refused something that was to be created; empty if it did not.
    """
    return _status(look, progress, _open(progress, pace, refused))


def ended_status(look: Look, progress: Progress, pace: Pace) -> StepStatus:
    """Return how a step ended. What was not started by now never is, since the run is going to end.

    Args:
        look: at the run.
        progress: the step.
        pace: how the run may go on.
    """
    has_given_up = any(unit.standing is Standing.RETRYING for unit in progress.units)
    # No other attempt is made, so that the last one is what came of it.
    progress.units = [
        replace(unit, standing=Standing.FAILED, retry_at=None) if unit.standing is Standing.RETRYING else unit
        for unit in progress.units
    ]
    told = _items_end(progress, pace) if progress.is_fan_out else _end(progress.units[0], pace)
    status = _status(look, progress, told)
    digest = _digest(progress) if told.state is StepState.SUCCEEDED else None
    at = look.now if has_given_up else _ended_at(look, progress)
    ended_at = at if told.state is not StepState.SKIPPED else None
    return status.model_copy(update={"output_digest": digest, "completion_time": ended_at})


def _open(progress: Progress, pace: Pace, refused: str) -> Told:
    running = [unit for unit in progress.units if unit.standing is Standing.RUNNING]
    if running:
        waits = all(unit.latest is not None and unit.latest.waiting_for for unit in running)
        state = StepState.WAITING if waits else StepState.RUNNING
        if progress.has_failed:
            return Told(state, *_broken(progress))
        return Told(state, pace.ending, "it is being cancelled") if pace.cuts else held(state, pace, refused)
    retry_at = _retry_at(progress)
    if retry_at is not None:
        retried = next(unit for unit in progress.units if unit.retry_at == retry_at)
        return Told(StepState.RETRYING, retried.reason, _of_item(retried))
    started = any(unit.standing is not Standing.NEW for unit in progress.units)
    return held(StepState.RUNNING if started else StepState.PENDING, pace, refused)


def _end(unit: Unit, pace: Pace) -> Told:
    if unit.standing is Standing.NEW:
        return Told(StepState.SKIPPED, pace.ending, "the run ended before it could start")
    if unit.standing is Standing.CANCELLED and pace.cuts:
        return Told(StepState.CANCELLED, pace.ending, "it was cancelled with the run")
    return Told(_STATES[unit.standing], unit.reason, unit.message)


def _items_end(progress: Progress, pace: Pace) -> Told:
    """Return how a forEach ended: a failed item fails it, but for onFailure Continue as long as one item succeeded."""
    standings = [unit.standing for unit in progress.units]
    has_failed, left = Standing.FAILED in standings, standings.count(Standing.NEW)
    if standings.count(Standing.SUCCEEDED) == len(standings):
        return Told(StepState.SUCCEEDED)
    if left == len(standings):
        return Told(StepState.SKIPPED, pace.ending, "the run ended before it could start")
    goes_on = progress.step.on_failure is OnFailure.CONTINUE
    if has_failed and not goes_on:
        return Told(StepState.FAILED, *_broken(progress))
    if left or pace.cuts:
        done = standings.count(Standing.SUCCEEDED)
        return Told(
            StepState.CANCELLED, pace.ending, f"the run ended when {done} of {len(standings)} items were done"
        )
    if goes_on and Standing.SUCCEEDED in standings:
        return Told(StepState.SUCCEEDED, *_broken(progress))
    return Told(StepState.FAILED if has_failed else StepState.CANCELLED, *_broken(progress))


def _broken(progress: Progress) -> tuple[str, str]:
    """Return why pieces failed, and how many: of the first one that is known."""
    broken = [unit for unit in progress.units if unit.standing in (Standing.FAILED, Standing.CANCELLED)]
    known = next((unit for unit in broken if unit.message), None)
    if known is not None and not progress.is_fan_out:
        return known.reason, known.message
    if known is None and progress.before.reason == StepReason.ITEMS_FAILED:
        return StepReason.ITEMS_FAILED, progress.before.message
    told = f"{len(broken)} of {len(progress.units)} items failed"
    return StepReason.ITEMS_FAILED, told if known is None else f"{told}; {_of_item(known)}"


def _of_item(unit: Unit) -> str:
    message = unit.message if unit.message == unit.reason else f"{unit.reason}: {unit.message}"
    return message if unit.item is None else f"item {unit.item}: {message}"


def _status(look: Look, progress: Progress, told: Told) -> StepStatus:
    step, before = progress.step, progress.before
    run = look.observed.run
    attempt = max((unit.attempt for unit in progress.units), default=0)
    is_one = not progress.is_fan_out and attempt > 0
    waits = (
        unit.latest.waiting_for for unit in progress.units if unit.latest is not None and unit.latest.is_open
    )
    retry_at = _retry_at(progress)
    return StepStatus(
        name=step.name,
        state=told.state,
        reason=told.reason,
        message=shortened(told.message),
        attempt=attempt,
        agent=before.agent,
        object=attempt_name(run, Piece(step, None, attempt)) if is_one else "",
        items=items_status(progress.units) if progress.is_fan_out else None,
        start_time=before.start_time or (_started_at(look, progress) if attempt else None),
        retry_at=retry_at.replace(microsecond=0) if retry_at is not None else None,
        waiting_for=next((name for names in waits for name in names), ""),
        cost_micro_usd=before.cost_micro_usd,
        compensates=before.compensates,
    )


def _started_at(look: Look, progress: Progress) -> datetime:
    return min((item.created_at for item in look.attempts.of(progress.step.name)), default=look.now)


def _ended_at(look: Look, progress: Progress) -> datetime:
    """Return when a step ended: with its last attempt, but where that is gone, or nothing was started."""
    if any(unit.standing is Standing.CANCELLED and unit.latest is None for unit in progress.units):
        return look.now
    ends = (item.ended_at for item in look.attempts.of(progress.step.name) if item.ended_at is not None)
    return max(ends, default=look.now)


def _digest(progress: Progress) -> str | None:
    """Return the digest of what a step gave; None for nothing, and for what has no canonical form, is gone or is too much."""
    outputs = _outputs(progress.units)
    if outputs is None:
        return None
    given: JsonValue = outputs if progress.is_fan_out else outputs[0]
    if not isinstance(given, dict | list):
        return None
    try:
        return json_digest(given)
    except (ValueError, RecursionError):
        return None


def _outputs(units: Sequence[Unit]) -> list[JsonValue] | None:
    outputs: list[JsonValue] = []
    for unit in units:
        if unit.standing is not Standing.SUCCEEDED:
            outputs.append(None)
        elif unit.latest is None or not unit.latest.succeeded or unit.latest.is_unread:
            return None
        else:
            outputs.append(unit.latest.output)
    return outputs


def _retry_at(progress: Progress) -> datetime | None:
    """Return when the next attempt of a step is due."""
    return min((unit.retry_at for unit in progress.units if unit.retry_at is not None), default=None)
