"""How the status of a step is changed: what is told for people stays within its bounds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aos.model.workflow_run import StepState, StepStatus
from aos.workflow.pace import Pace
from aos.workflow.reasons import StepReason

MAX_MESSAGE_LENGTH: Final = 512
"""Of a step's message: those of 64 steps are well below what one object may have."""


@dataclass(frozen=True, slots=True)
class Told:
    """A state, and why, for machines and for people."""

    state: StepState
    reason: str = ""
    message: str = ""


def shortened(message: str) -> str:
    """Return ``message`` within the bound of a step's message."""
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 1] + "…"


def changed(status: StepStatus, told: Told) -> StepStatus:
    """Return ``status`` as ``told``, if that is something new."""
    message = shortened(told.message)
    if (status.state, status.reason, status.message) == (told.state, told.reason, message):
        return status
    return status.model_copy(update={"state": told.state, "reason": told.reason, "message": message})


def ended(status: StepStatus, told: Told, at: datetime | None) -> StepStatus:
    """Return ``status`` of a step that ended as ``told``.

    Args:
        status: before.
        told: how it ended.
        at: when; None for a step that never started.
    """
    return changed(status, told).model_copy(update={"completion_time": at, "waiting_for": ""})


def left(status: StepStatus, pace: Pace, at: datetime) -> StepStatus:
    """Return ``status`` of a step that is not gone on with, since the run is going to end.

    Args:
        status: before.
        pace: how the run may go on.
        at: the time.
    """
    if not status.attempt:
        return ended(
            status, Told(StepState.SKIPPED, pace.ending, "the run ended before it could start"), None
        )
    told = "the run goes no further, so nobody needs to decide"
    return ended(status, Told(StepState.CANCELLED, pace.ending, told), at)


def held(state: StepState, pace: Pace, refused: str) -> Told:
    """Return why a step that could start does not.

    Args:
        state: where it stands.
        pace: how the run may go on.
        refused: why the API server refused something that was to be created; empty if it did not.
    """
    if refused:
        return Told(state, StepReason.REFUSED, f"the API server refused to create what does it: {refused}")
    if pace.is_suspended and not pace.ending:
        return Told(state, StepReason.SUSPENDED, "suspended: nothing is started until suspend is lifted")
    return Told(state)
