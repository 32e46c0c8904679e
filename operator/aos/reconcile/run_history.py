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
    """

    name: str
    uid: str
    revision: str = ""
    ended_at: datetime | None = None
    succeeded: bool = False
    is_needed: bool = False


def expired_runs(runs: Iterable[KeptRun], history: RunHistory) -> tuple[Deletion, ...]:
    """Return the ended runs beyond the newest that ``history`` keeps, oldest first."""
    ended = sorted(
        ((run.ended_at, run.name, run) for run in runs if run.ended_at is not None and not run.is_needed),
        key=lambda item: item[:2],
        reverse=True,
    )
    well = [run for _, _, run in ended if run.succeeded][history.succeeded :]
    badly = [run for _, _, run in ended if not run.succeeded][history.failed :]
    return tuple(Deletion("WorkflowRun", run.name, run.uid) for run in (*reversed(well), *reversed(badly)))
