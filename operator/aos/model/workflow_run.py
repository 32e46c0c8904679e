"""WorkflowRun: one execution of a Workflow."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from aos.model.base import (
    MAP_AS_ONE,
    ApiModel,
    CelRule,
    Digest,
    JsonObject,
    ObjectName,
    ReferenceName,
)
from aos.model.conditions import ConditionType
from aos.model.kind import AGE_COLUMN, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, ConditionStatus
from aos.model.names import MAX_NAME_LENGTH
from aos.model.task import MAX_RUN_BUDGETS, BudgetOfRun, TaskUsage
from aos.model.workflow import MAX_STEPS
from aos.model.workflow_step import MAX_ITEMS, StepName

MAX_RUN_DEPTH: Final = 4
"""Runs in a row, each started by a step of the one before."""
DEFAULT_RUN_TASKS: Final = 10_000
"""Tasks and runs below that a run may have, with all that they start and hand over, where no setting says another."""
OWN_REQUESTERS: Final = "aos:"
"""With what the names begin under which AOS itself asks for work; no user may have one."""


def trigger_requester(trigger: str) -> str:
    """Return in whose name a trigger starts runs."""
    return f"{OWN_REQUESTERS}trigger/{trigger}"


class WorkflowReference(ApiModel):
    """The Workflow that is run, in the run's namespace."""

    name: ObjectName


class RunParent(ApiModel):
    """The step that started this run; written by the operator alone.

    Attributes:
        run: name of the run that the step is of.
        run_uid: its uid.
        root_uid: of the first run of the chain, over which budgets count.
        step: the step.
        item: which item of its forEach.
        attempt: which attempt, from 1.
        depth: how many runs stand above, from 1.
        place: of the step and item, whichever attempt of it or of the steps above it: identical writes of two attempts are one.
        undoing: whether the step undoes what was done, or is of a run that does.
        budgets: of the runs above, the nearest first: they hold this one, whatever becomes of those.
    """

    run: ObjectName
    run_uid: str = Field(min_length=1, max_length=64, alias="runUID")
    root_uid: str = Field(min_length=1, max_length=64, alias="rootUID")
    step: StepName
    item: int | None = Field(default=None, ge=0, lt=MAX_ITEMS)
    attempt: int = Field(default=1, ge=1)
    depth: int = Field(ge=1, lt=MAX_RUN_DEPTH)
    place: Digest | None = None
    undoing: bool = False
    budgets: tuple[BudgetOfRun, ...] = Field(default=(), max_length=MAX_RUN_BUDGETS)


class RunTrigger(ApiModel):
    """The trigger that started this run; written by the operator (schedules) and the gateway (webhooks) alone.

    Attributes:
        name: of the trigger.
        id: the time that was due, or the delivery's id.
    """

    name: Annotated[str, Field(min_length=1, max_length=63)]
    id: str = Field(min_length=1, max_length=256)


class WorkflowRunSpec(ApiModel):
    """One execution; but for ``cancel`` and ``suspend`` it can't be changed.

    Attributes:
        workflow_ref: what is run.
        input: what it is given; must fit the Workflow's input schema.
        requested_by: who asked for it.
        parent: the step that started it.
        trigger: the trigger that started it.
        suspend: starts no step while true; what runs goes on.
        cancel: ends it: open Tasks are cancelled and what was done is compensated; can't be taken back.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="self.workflowRef == oldSelf.workflowRef"
            " && has(self.input) == has(oldSelf.input) && (!has(self.input) || self.input == oldSelf.input)"
            " && has(self.requestedBy) == has(oldSelf.requestedBy)"
            " && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)"
            " && has(self.parent) == has(oldSelf.parent) && (!has(self.parent) || self.parent == oldSelf.parent)"
            " && has(self.trigger) == has(oldSelf.trigger) && (!has(self.trigger) || self.trigger == oldSelf.trigger)",
            message="a WorkflowRun can't be changed but for suspend and cancel: create another",
        ),
        CelRule(
            rule="!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",
            message="cancel can't be taken back: create another WorkflowRun",
            field_path=".cancel",
        ),
    )

    workflow_ref: WorkflowReference
    input: JsonObject = Field(default_factory=dict, json_schema_extra=MAP_AS_ONE)
    requested_by: str = Field(default="", max_length=256)
    parent: RunParent | None = None
    trigger: RunTrigger | None = None
    suspend: bool = False
    cancel: bool = False


class StepState(StrEnum):
    """Where a step of a run stands."""

    PENDING = "Pending"
    """Steps before it are not done."""
    RUNNING = "Running"
    """Something of it is being worked on, or about to be."""
    WAITING = "Waiting"
    """It waits for people."""
    RETRYING = "Retrying"
    """An attempt failed; the next one starts at ``retryAt``."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it never changes again."""
        return self in (StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED)


class ItemsStatus(ApiModel):
    """Where the items of a forEach stand.

    Attributes:
        total: how many there are.
        states: a letter for each item, in order: ``.`` not started, ``R`` running, ``W`` waiting for the next attempt,
            ``S`` succeeded, ``F`` failed, ``C`` cancelled.
        attempts: items that needed more than one attempt, by index, with the number of their attempts.
    """

    total: int = Field(ge=0, le=MAX_ITEMS)
    states: str = Field(default="", max_length=MAX_ITEMS, pattern=r"^[.RWSFC]*$")
    attempts: dict[str, int] = Field(default={}, max_length=MAX_ITEMS, json_schema_extra=MAP_AS_ONE)


class StepStatus(ApiModel):
    """Where one step stands.

    Attributes:
        state: where it stands.
        reason: why it failed, was skipped or waits; a word.
        message: the same for people.
        attempt: the last attempt that was started; 0 before the first.
        agent: the Agent that does it, once it is known.
        object: the Task, WorkflowRun or ApprovalRequest of the last attempt; empty with forEach.
        items: with forEach.
        retry_at: when the next attempt starts.
        output_digest: of what it gave.
        waiting_for: the ApprovalRequest that it waits for.
        cost_micro_usd: what it has cost so far.
        compensates: the step that it undoes; empty for all others.
    """

    name: StepName
    state: StepState
    reason: str = Field(default="", max_length=64)
    message: str = Field(default="", max_length=1024)
    attempt: int = Field(default=0, ge=0)
    agent: str = Field(default="", max_length=253)
    object: str = Field(default="", max_length=253)
    items: ItemsStatus | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    retry_at: datetime | None = None
    output_digest: Digest | None = None
    waiting_for: str = Field(default="", max_length=253)
    cost_micro_usd: int = Field(default=0, ge=0, alias="costMicroUSD")
    compensates: str = Field(default="", max_length=63)


class PinnedAgent(ApiModel):
    """An agent as it was when the run started.

    Attributes:
        agent: its name.
        revision: the ControllerRevision that every Task of the run runs.
        capability: what it was chosen for; empty where the step names it.
    """

    agent: ObjectName
    revision: ReferenceName
    capability: str = Field(default="", max_length=63)


class WorkflowRunStatus(ApiModel):
    """What became of a run; written by the operator.

    Attributes:
        revision: the Workflow's ControllerRevision that it runs, from start to end.
        agents: the agents that do its steps, as they were when it started.
        ending: the reason with which it is going to end, from when no further step is started because it failed, was cancelled or
            ran out of time; empty while it goes on, and where it succeeds.
        steps: in the order of the Workflow; one list, that the operator alone writes: who owns which field of which step would take
            as much room as the steps, and the API server a third more time for each write.
        progress: steps that are done, of all: ``3/5``.
        waiting_for: ApprovalRequests that it waits for.
        undid: whether something that was done was undone, by it or a run below: then the step that started it does not try again.
        output: what it gave.
        usage: of all its Tasks, those handed over and those of runs below included.
        critical_path: the steps that decided how long it took, in order.
        critical_path_seconds: how long those took in all.
    """

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    revision: str = Field(default="", max_length=253)
    agents: tuple[PinnedAgent, ...] = Field(default=(), max_length=MAX_STEPS)
    start_time: datetime | None = None
    completion_time: datetime | None = None
    ending: str = Field(default="", max_length=64)
    steps: tuple[StepStatus, ...] = Field(default=(), max_length=MAX_STEPS)
    progress: str = Field(default="", max_length=16)
    waiting_for: tuple[Annotated[str, Field(max_length=253)], ...] = Field(default=(), max_length=MAX_STEPS)
    undid: bool = False
    output: JsonObject | None = Field(default=None, json_schema_extra=MAP_AS_ONE)
    usage: TaskUsage | None = None
    critical_path: tuple[StepName, ...] = Field(default=(), max_length=MAX_STEPS)
    critical_path_seconds: int = Field(default=0, ge=0)


class WorkflowRun(ApiObject):
    """A run."""

    kind: Literal["WorkflowRun"] = "WorkflowRun"
    spec: WorkflowRunSpec
    status: WorkflowRunStatus = WorkflowRunStatus()

    @property
    def ended(self) -> bool:
        """Whether the run has ended, one way or the other."""
        return any(
            condition.type == ConditionType.SUCCEEDED and condition.status != ConditionStatus.UNKNOWN
            for condition in self.status.conditions
        )


WORKFLOW_RUN_KIND = Kind(
    kind="WorkflowRun",
    plural="workflowruns",
    short_names=("run",),
    description="One execution of a Workflow.",
    object_model=WorkflowRun,
    spec_model=WorkflowRunSpec,
    status_model=WorkflowRunStatus,
    columns=(
        PrinterColumn("Workflow", ".spec.workflowRef.name"),
        condition_column("Succeeded", "Succeeded"),
        condition_column("Reason", "Succeeded", "reason"),
        PrinterColumn("Progress", ".status.progress"),
        PrinterColumn("Waiting-For", ".status.waitingFor[0]"),
        PrinterColumn("Cost", ".status.usage.costMicroUSD", priority=1),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
