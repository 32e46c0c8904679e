"""Task: one piece of work for one agent."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from aos.model.base import (
    MAP_AS_ONE,
    ApiModel,
    CelRule,
    Digest,
    DurationString,
    JsonObject,
    ObjectName,
    ReferenceName,
)
from aos.model.bounds import MAX_MICRO_USD, Count
from aos.model.conditions import ConditionType
from aos.model.duration import duration_seconds
from aos.model.kind import AGE_COLUMN, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, ConditionStatus
from aos.model.names import MAX_NAME_LENGTH
from aos.model.workflow_step import MAX_ITEMS, StepName

DEFAULT_DEADLINE = "10m"
MAX_DEADLINE_SECONDS = 86_400
MAX_IMAGE_ID_LENGTH = 1024
MAX_LINEAGE = 16
MAX_RUN_BUDGETS = 4


class AgentReference(ApiModel):
    """The agent that is to do the work, in the Task's namespace."""

    name: ObjectName


class Ancestor(ApiModel):
    """A Task that this one was handed over from, and the agent that worked on it; all in one namespace."""

    agent: ObjectName
    task: ObjectName
    task_uid: str = Field(alias="taskUID", min_length=1, max_length=64)


class BudgetOfRun(ApiModel):
    """What is left to a whole run at most, with all that it starts; counted by the run's uid.

    Attributes:
        run_uid: the run that it counts over.
        workflow: whose budget it is, for what is told.
        micro_usd: what models and tools may cost, in millionths of a US dollar.
        tokens: tokens of models, in and out.
        calls: calls of tools, requests to models and handoffs.
    """

    run_uid: str = Field(min_length=1, max_length=64, alias="runUID")
    workflow: ObjectName
    micro_usd: int | None = Field(default=None, ge=1, le=MAX_MICRO_USD, alias="microUSD")
    tokens: int | None = Field(default=None, ge=1, le=MAX_MICRO_USD)
    calls: Count | None = None


class StepOfRun(ApiModel):
    """The step of a run that a Task is done for; a Task that is handed over has that of the Task that it came from.

    Attributes:
        name: of the WorkflowRun.
        uid: of the WorkflowRun.
        root_uid: of the run that started it, or started the one that did; its own where none did.
        workflow: the Workflow that is run.
        step: the step.
        item: which item of its forEach, from 0.
        attempt: which attempt, from 1.
        place: of the step that started the run, whichever attempt of it or of the steps above it was; left out where none did.
        undoing: whether it undoes what was done, or belongs to a run that does.
        budgets: of the run and of those above it.
    """

    name: ObjectName
    uid: str = Field(min_length=1, max_length=64)
    root_uid: str = Field(min_length=1, max_length=64, alias="rootUID")
    workflow: ObjectName
    step: StepName
    item: int | None = Field(default=None, ge=0, lt=MAX_ITEMS)
    attempt: int = Field(default=1, ge=1)
    place: Digest | None = None
    undoing: bool = False
    budgets: tuple[BudgetOfRun, ...] = Field(default=(), max_length=MAX_RUN_BUDGETS)


class TaskSpec(ApiModel):
    """What is to be done; it can't be changed, only deleted.

    Attributes:
        agent_ref: who is to do it.
        input: what it is given; must fit the agent's input schema.
        deadline: from its creation; from 1s to 24h. Its clock stands while people decide.
        requested_by: who asked for it.
        lineage: the Tasks that it was handed over from, first to last; written by the gateway alone.
        run: the step that it is done for; written by the operator and the gateway alone.
        revision: the agent's revision that is run; the current one where it is left out. Written by the operator alone.
        priority: which Tasks come first where there is not room for all; higher first.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="self == oldSelf",
            message="a Task can't be changed: delete it (which cancels it) and create another",
        ),
        CelRule(
            rule="!has(self.deadline) || (duration(self.deadline) >= duration('1s')"
            " && duration(self.deadline) <= duration('24h'))",
            message="deadline must be between 1s and 24h",
            field_path=".deadline",
        ),
    )

    agent_ref: AgentReference
    input: JsonObject = Field(default_factory=dict, json_schema_extra=MAP_AS_ONE)
    deadline: DurationString = DEFAULT_DEADLINE
    requested_by: str = Field(default="", max_length=256)
    lineage: tuple[Ancestor, ...] = Field(default=(), max_length=MAX_LINEAGE)
    run: StepOfRun | None = None
    revision: ReferenceName | None = None
    priority: int = Field(default=0, ge=-1_000, le=1_000)


class Outcome(StrEnum):
    """How the agent says that its work ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class TaskResult(ApiModel):
    """What the agent handed in; written by the gateway, once."""

    outcome: Outcome
    output: JsonObject | None = Field(default=None, json_schema_extra=MAP_AS_ONE)
    reason: str = Field(default="", max_length=64)
    message: str = Field(default="", max_length=2048)
    time: datetime


class TaskUsage(ApiModel):
    """What the Task used; written by the gateway with the result."""

    calls: int = Field(default=0, ge=0)
    denied: int = Field(default=0, ge=0)
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    cost_micro_usd: int = Field(default=0, ge=0, alias="costMicroUSD")


class TaskPod(ApiModel):
    """The Task's one pod; only this one may call the gateway for the Task."""

    name: str = Field(max_length=253)
    uid: str = Field(max_length=64)


class TaskStatus(ApiModel):
    """What became of a task: result and usage from the gateway, the rest from the operator.

    Attributes:
        image_id: what the agent's container ran, as the node says it, with the image's digest; the revision names the image as its Agent does.
        deadline: when its time is up, once people were asked about one of its calls: its clock stands while they decide.
        waiting_for: the ApprovalRequest that it waits for; empty while it waits for none.
        waited_seconds: how long it waited for people, but for what it still waits for.
    """

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    deadline: datetime | None = None
    waiting_for: str = Field(default="", max_length=253)
    waited_seconds: int = Field(default=0, ge=0)
    revision: str = Field(default="", max_length=253)
    pod: TaskPod | None = None
    image_id: str = Field(default="", max_length=MAX_IMAGE_ID_LENGTH, alias="imageID")
    start_time: datetime | None = None
    completion_time: datetime | None = None
    result: TaskResult | None = None
    usage: TaskUsage | None = None


class Task(ApiObject):
    """A task."""

    kind: Literal["Task"] = "Task"
    spec: TaskSpec
    status: TaskStatus = TaskStatus()

    @property
    def parent(self) -> Ancestor | None:
        """The Task that handed this one over; None for one that nobody handed over."""
        return self.spec.lineage[-1] if self.spec.lineage else None

    @property
    def due_at(self) -> datetime | None:
        """When its time is up, as everybody reads it; None before the API server has stamped its creation."""
        if self.status.deadline is not None:
            return self.status.deadline
        created = self.metadata.creation_timestamp
        return created + timedelta(seconds=duration_seconds(self.spec.deadline)) if created else None

    @property
    def ended(self) -> bool:
        """Whether the task has ended, one way or the other."""
        return any(
            condition.type == ConditionType.SUCCEEDED and condition.status != ConditionStatus.UNKNOWN
            for condition in self.status.conditions
        )

    @property
    def open(self) -> bool:
        """Whether calls may still be made for the task: not ended, no result handed in, not being deleted."""
        return not self.ended and self.status.result is None and self.metadata.deletion_timestamp is None


TASK_KIND = Kind(
    kind="Task",
    plural="tasks",
    short_names=("task",),
    description="One piece of work for one agent.",
    object_model=Task,
    spec_model=TaskSpec,
    status_model=TaskStatus,
    columns=(
        PrinterColumn("Agent", ".spec.agentRef.name"),
        condition_column("Succeeded", "Succeeded"),
        condition_column("Reason", "Succeeded", "reason"),
        PrinterColumn("Waiting-For", ".status.waitingFor"),
        PrinterColumn("Pod", ".status.pod.name", priority=1),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
