"""Which ended runs of a Workflow are kept. With a run go its Tasks and the runs below it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from aos.model.workflow import RunHistory
from aos.reconcile.plan import Deletion


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run of a Workflow.

    Attributes:
        name: its name.
        uid: which run of that name.
        revision: that it runs; empty before it has started.
        ended_at: when it ended; None while it is open.
        succeeded: whether it ended well.
        is_needed: whether somebody may still ask for what it did: the run that started it, or people who review a call.
        kept_until: until when the request that started it may be sent again, which its name alone makes the same; None for no such.
    """

    name: str
    uid: str
    revision: str = ""
    ended_at: datetime | None = None
    succeeded: bool = False
    is_needed: bool = False
    kept_until: datetime | None = None

    def is_kept(self, now: datetime) -> bool:
        """Whether it stays, however many others there are."""
        return self.is_needed or (self.kept_until is not None and now < self.kept_until)


def expired_runs(runs: Iterable[KeptRun], history: RunHistory, now: datetime) -> tuple[Deletion, ...]:
    """Return the ended runs beyond the newest that ``history`` keeps, oldest first."""
    ended = sorted(
        ((run.ended_at, run.name, run) for run in runs if run.ended_at is not None and not run.is_kept(now)),
        key=lambda item: item[:2],
        reverse=True,
    )
    well = [run for _, _, run in ended if run.succeeded][history.succeeded :]
    badly = [run for _, _, run in ended if not run.succeeded][history.failed :]
    return tuple(Deletion("WorkflowRun", run.name, run.uid) for run in (*reversed(well), *reversed(badly)))


def seconds_to_look_again(runs: Iterable[KeptRun], now: datetime) -> float | None:
    """Return when an ended run that stays for a time may go; None for never."""
    times = [run.kept_until for run in runs if run.ended_at is not None and run.kept_until is not None]
    left = [(time - now).total_seconds() for time in times if time > now]
    return min(left, default=None)
