"""What is to be done for a run. Whoever does it puts in what is the same for all: the namespace, the owner, the labels.

Every object that is created belongs to the WorkflowRun (controller) and has the labels ``LABEL_RUN``, ``LABEL_STEP`` and
``LABEL_WORKFLOW``. Its name is a function of the run and of what it is for, and so is its content: to create it again is
to find it there already, which is fine.
"""

from dataclasses import dataclass

from aos.model.task import TaskSpec
from aos.model.workflow_run import WorkflowRunSpec, WorkflowRunStatus
from aos.model.workflow_step import Gate


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Create a Task for one attempt of a step; that it exists already is fine.

    Attributes:
        name: of the Task.
        step: the step, for the label.
        spec: all of it.
    """

    name: str
    step: str
    spec: TaskSpec

    @property
    def is_undoing(self) -> bool:
        """Whether it undoes what was done."""
        return self.spec.run is not None and self.spec.run.undoing


@dataclass(frozen=True, slots=True)
class CreateRun:
    """Create a WorkflowRun for one attempt of a step; that it exists already is fine.

    Attributes:
        name: of the WorkflowRun.
        step: the step, for the label.
        spec: all of it.
    """

    name: str
    step: str
    spec: WorkflowRunSpec

    @property
    def is_undoing(self) -> bool:
        """Whether it undoes what was done."""
        return self.spec.parent is not None and self.spec.parent.undoing


@dataclass(frozen=True, slots=True)
class CreateGate:
    """Create the ApprovalRequest of a gate; that it exists already is fine.

    It expires ``gate.timeout`` after it is made, and reminds and escalates as ``gate`` says, from then on.

    Attributes:
        name: of the ApprovalRequest.
        step: the step that is the gate.
        gate: who is asked, and how long they have.
        rule: name of its one quorum.
        summary: what it is about, in one sentence.
        arguments: what people are shown, as JSON text, as the step gives it: personal data and secrets are still in it.
        arguments_digest: of exactly this.
        requested_by: who asked for the run.
    """

    name: str
    step: str
    gate: Gate
    rule: str
    summary: str
    arguments: str
    arguments_digest: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Delete a Task that is open, if it still is as it was seen; that it is gone is fine.

    One that has changed since is looked at again: what was done by then can be undone only while its result is there.

    Attributes:
        name: of the Task.
        uid: which one of this name; a precondition.
        resource_version: as it was seen; a precondition.
    """

    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Set ``spec.cancel`` of a WorkflowRun that is open; that it is gone is fine.

    Attributes:
        name: of the WorkflowRun.
        uid: which one of this name; a precondition.
    """

    name: str
    uid: str


Action = CreateTask | CreateRun | CreateGate | CancelTask | CancelRun


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a run goes from here.

    First all actions are done, then the status is written. Where an action could not be tried, nothing is written, and the run is looked
    at again. Where the API server refused to create something, the run is advanced again with ``Observed.refused``, and that
    status is written.

    Attributes:
        status: the whole status, conditions included; equal to the run's where nothing changed.
        actions: what to do, in this order.
        requeue_after_seconds: when time alone may change something; None for never.
        confirm: whether something may be missing only because caches lag: attempts and gates are to be read from the API server, and
            the run is advanced again with ``Observed.confirmed``. What the status and the actions say holds all the same.
    """

    status: WorkflowRunStatus
    actions: tuple[Action, ...] = ()
    requeue_after_seconds: float | None = None
    confirm: bool = False
