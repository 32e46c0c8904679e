"""What the next steps of a run are decided from: nothing else is looked at, neither a clock nor chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aos.model.approval_request import RequestState
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.task import TaskUsage
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import DEFAULT_RUN_TASKS, WorkflowRun


@dataclass(frozen=True, slots=True)
class Attempt:
    """A Task or a WorkflowRun by which one attempt of a step is done.

    Of Tasks only those count that the run itself controls (ownerReference) and that nobody handed over (no lineage), of runs those
    whose ``spec.parent`` is the run. See ``aos.workflow.facts``.

    Attributes:
        name: of the object.
        uid: of the object.
        resource_version: of the object, as it was seen.
        step: the step.
        item: which item of its forEach, from 0.
        number: which attempt, from 1.
        created_at: when the API server made it.
        ended_at: when it ended; None while it is open.
        succeeded: whether it ended well.
        reason: of its condition Succeeded, once it has ended.
        message: of its condition Succeeded.
        output: what it gave; None for nothing.
        is_unread: whether it gave something that is not looked at, since what the run looks at would be too much.
        usage: what it used so far, with all that it handed over or started; None where nothing is known.
        waiting_for: the ApprovalRequests that it waits for.
        undid: whether it is a run that undid something of what was done.
        is_ending: whether its end was asked for: a Task that is being deleted, a run that is cancelled.
    """

    name: str
    uid: str
    resource_version: str
    step: str
    item: int | None
    number: int
    created_at: datetime
    ended_at: datetime | None = None
    succeeded: bool = False
    reason: str = ""
    message: str = ""
    output: JsonObject | None = None
    is_unread: bool = False
    usage: TaskUsage | None = None
    waiting_for: tuple[str, ...] = ()
    undid: bool = False
    is_ending: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class ObservedGate:
    """The ApprovalRequest by which people are asked at a gate.

    Attributes:
        name: of the ApprovalRequest.
        step: the step.
        created_at: when the API server made it.
        state: where it stands.
        settled_at: when it came to its state; None while people decide.
        is_enforced: whether its condition EnforcementActive is True: without, no approval counts.
        approvals: who approved, and what they said to it, in the order of the decisions that count.
        message: why it was rejected or became stale, for people.
    """

    name: str
    step: str
    created_at: datetime
    state: RequestState = RequestState.PENDING
    settled_at: datetime | None = None
    is_enforced: bool = False
    approvals: tuple[tuple[str, str], ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """How much a run may still create, with all runs that belong together with it and all that their Tasks hand over.

    What is done and what undoes it have as much room each: what was done can be undone though there is no room to do more.

    Attributes:
        most: Tasks and runs below that there may be, of each sort.
        to_do: of these how many more may be created.
        to_undo: how many more may be created that undo something.
    """

    most: int
    to_do: int
    to_undo: int


UNTOUCHED: Final = Room(DEFAULT_RUN_TASKS, DEFAULT_RUN_TASKS, DEFAULT_RUN_TASKS)
"""The room of a run that has created nothing, where no setting says another."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A run that has started, and all that its next steps are decided from.

    Attributes:
        run: as the API server has it, and never older than the last status that was written: what was recorded once must not be
            forgotten. Its ``status`` names the revision, the agents and their revisions; an agent is found there by the name
            or by the capability that a step gives.
        spec: what the Workflow was when the run started, from that revision.
        now: the time.
        attempts: the Tasks and runs of its steps, in any order. They may lag behind what was created.
        gates: the ApprovalRequests of its gates, in any order. They may lag, too.
        room: how much may still be created.
        is_workflow_suspended: whether the Workflow, as it is now, is suspended.
        must_end: why the run has to end though it does not say so itself: ParentEnded, or Replaced; None if it does not.
        refused: names of objects that the API server refused to create just now, with its words.
        confirmed: whether attempts and gates were read from the API server itself after ``run`` was, and not from a cache.
        may_lack: whether attempts may be missing that somebody else started, and did not record: another operator, before it died.
    """

    run: WorkflowRun
    spec: WorkflowSpec
    now: datetime
    attempts: Sequence[Attempt] = ()
    gates: Sequence[ObservedGate] = ()
    room: Room = UNTOUCHED
    is_workflow_suspended: bool = False
    must_end: Reason | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    confirmed: bool = False
    may_lack: bool = False

    @property
    def is_suspended(self) -> bool:
        """Whether nothing may be started."""
        return self.run.spec.suspend or self.is_workflow_suspended
