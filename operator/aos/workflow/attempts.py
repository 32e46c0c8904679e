"""Where one piece of a step stands, the whole of it or one item of its forEach, by what is recorded and what is seen of its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from aos.model.conditions import Reason
from aos.model.duration import duration_seconds
from aos.model.workflow_step import FailureKind, WorkflowStep
from aos.workflow.backoff import next_attempt_at
from aos.workflow.observed import Attempt
from aos.workflow.reasons import CANCELLED, StepReason, kind_of_run, kind_of_task


class Standing(Enum):
    """Where a piece of work stands."""

    NEW = auto()
    """Nothing was started."""
    RUNNING = auto()
    RETRYING = auto()
    """Its last attempt failed, and another one is due some time."""
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()

    @property
    def is_final(self) -> bool:
        """Whether it never changes again."""
        return self in (Standing.SUCCEEDED, Standing.FAILED, Standing.CANCELLED)


@dataclass(frozen=True, slots=True)
class Unit:
    """The whole of a step, or one item of its forEach.

    Attributes:
        item: which item; None for the whole of a step.
        standing: where it stands.
        attempt: the last attempt that was started; 0 before the first.
        latest: this attempt; None where nothing of it is seen.
        retry_at: when the next one is due.
        reason: why it failed or was cancelled.
        message: the same for people.
        is_unseen: whether an attempt was recorded that is not seen: it is gone, or what is seen lags behind.
    """

    item: int | None
    standing: Standing
    attempt: int = 0
    latest: Attempt | None = None
    retry_at: datetime | None = None
    reason: str = ""
    message: str = ""
    is_unseen: bool = False


class Attempts:
    """The attempts of all steps, by step and item."""

    __slots__ = ("_latest", "_of_step")

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self._latest: dict[tuple[str, int | None], Attempt] = {}
        self._of_step: dict[str, list[Attempt]] = {}
        for attempt in attempts:
            self._of_step.setdefault(attempt.step, []).append(attempt)
            place = attempt.step, attempt.item
            known = self._latest.get(place)
            if known is None or known.number < attempt.number:
                self._latest[place] = attempt

    def latest(self, step: str, item: int | None) -> Attempt | None:
        """Return the last attempt that is seen of a step, or of one item."""
        return self._latest.get((step, item))

    def of(self, step: str) -> Sequence[Attempt]:
        """Return all that are seen of a step."""
        return self._of_step.get(step, ())


@dataclass(frozen=True, slots=True)
class Work:
    """A step as its attempts are judged.

    Attributes:
        run_uid: of the run.
        step: the step.
        confirmed: whether what is not seen is not there.
    """

    run_uid: str
    step: WorkflowStep
    confirmed: bool

    def unit(self, item: int | None, recorded: int, latest: Attempt | None) -> Unit:
        """Return where the step, or one item of it, stands that had not come to its end.

        Args:
            item: which item; None for the whole of the step.
            recorded: the last attempt that the run's status has; 0 for none.
            latest: the last attempt that is seen; None for none.
        """
        if latest is None or latest.number < recorded:
            return self._unseen(item, recorded)
        if latest.is_open:
            return Unit(item, Standing.RUNNING, latest.number, latest)
        if latest.succeeded:
            return Unit(item, Standing.SUCCEEDED, latest.number, latest)
        return self._failed(item, latest, latest.ended_at or latest.created_at)

    def times_out_at(self, attempt: Attempt) -> datetime | None:
        """Return when the run has to end an attempt; None for a Task, which has a deadline of its own, and for no timeout."""
        if self.step.workflow is None or self.step.timeout is None:
            return None
        return attempt.created_at + timedelta(seconds=duration_seconds(self.step.timeout))

    def _unseen(self, item: int | None, recorded: int) -> Unit:
        if recorded == 0:
            return Unit(item, Standing.NEW)
        if not self.confirmed:
            return Unit(item, Standing.RUNNING, recorded, is_unseen=True)
        what = "run" if self.step.workflow is not None else "Task"
        told = f"somebody deleted the {what} of attempt {recorded}, which cancels it"
        return Unit(item, Standing.CANCELLED, recorded, reason=StepReason.DELETED, message=told)

    def _failed(self, item: int | None, latest: Attempt, ended_at: datetime) -> Unit:
        reason, kind = self._kind(latest, ended_at)
        message = latest.message or reason
        retry = self.step.retry
        number = latest.number
        if retry is not None and latest.undid:
            # What it did and was undone would be answered as done, and not be done again.
            message = f"{message}; it is not tried again, since it undid what it had done"
        elif retry is not None and kind in retry.failures and number < retry.attempts:
            identity = f"{self.run_uid}/{self.step.name}/{'' if item is None else item}/{number + 1}"
            due = next_attempt_at(ended_at, retry, number + 1, identity)
            return Unit(item, Standing.RETRYING, number, latest, due, reason, message)
        standing = Standing.CANCELLED if reason in CANCELLED else Standing.FAILED
        return Unit(item, standing, number, latest, None, reason, message)

    def _kind(self, latest: Attempt, ended_at: datetime) -> tuple[str, FailureKind | None]:
        if self.step.workflow is None:
            return latest.reason, kind_of_task(latest.reason)
        times_out_at = self.times_out_at(latest)
        if latest.reason == Reason.CANCELLED and times_out_at is not None and ended_at >= times_out_at:
            return Reason.DEADLINE_EXCEEDED, FailureKind.TIMEOUT
        return latest.reason, kind_of_run(latest.reason)
