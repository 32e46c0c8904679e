"""Workflow: steps across agents and people, and what starts them."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from aos.model.agent import MessageSchema
from aos.model.base import LIST_BY_NAME, ApiModel, CelRule, DurationString, JsonObject
from aos.model.bounds import MAX_MICRO_USD, Count
from aos.model.kind import AGE_COLUMN, ColumnType, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition, KeyReference
from aos.model.names import MAX_NAME_LENGTH
from aos.model.rule import PartName
from aos.model.workflow_step import Template, WorkflowStep

MAX_STEPS: Final = 64
MAX_TRIGGERS: Final = 8
DEFAULT_RUN_TIMEOUT: Final = "1h"


class RunBudget(ApiModel):
    """Most that one run may spend in all: its steps, what they hand over, and the runs below it.

    Attributes:
        micro_usd: what models and tools may cost, in millionths of a US dollar.
        tokens: tokens of models, in and out.
        calls: calls of tools, requests to models and handoffs.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="has(self.microUSD) || has(self.tokens) || has(self.calls)",
            message="give at least one of microUSD, tokens and calls",
        ),
    )

    micro_usd: int | None = Field(default=None, ge=1, le=MAX_MICRO_USD, alias="microUSD")
    tokens: int | None = Field(default=None, ge=1, le=MAX_MICRO_USD)
    calls: Count | None = None


class MissedRuns(StrEnum):
    """What becomes of times at which nobody could start a run, since the operator was down or the Workflow suspended."""

    SKIP = "Skip"
    """They are left out."""
    RUN_ONCE = "RunOnce"
    """One run is started for all of them."""


class Schedule(ApiModel):
    """Times at which a run starts.

    Attributes:
        cron: minute, hour, day of month, month, day of week.
        time_zone: by its IANA name, such as Europe/Berlin.
        missed_runs: what becomes of times that were missed.
    """

    cron: str = Field(min_length=9, max_length=128)
    time_zone: str = Field(default="Etc/UTC", min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")
    missed_runs: MissedRuns = MissedRuns.SKIP


class Webhook(ApiModel):
    """Requests from outside that start a run, signed as Standard Webhooks asks: id, time and body, with HMAC-SHA256.

    Attributes:
        secret_ref: the key, as text; with the prefix ``whsec_`` as base64. Only the gateway may read it.
        replay_window: how old a request may be; from 10s to 1h.
        when: starts a run only if this gives true; ``body`` is the request's JSON.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.replayWindow) || (duration(self.replayWindow) >= duration('10s')"
            " && duration(self.replayWindow) <= duration('1h'))",
            message="replayWindow must be between 10s and 1h",
            field_path=".replayWindow",
        ),
    )

    secret_ref: KeyReference
    replay_window: DurationString = "5m"
    when: Template | None = None


class Trigger(ApiModel):
    """What starts a run besides people.

    Attributes:
        name: unique in the Workflow; a webhook is posted to ``/hooks/NAMESPACE/WORKFLOW/NAME``.
        input: the run's input, with ``${...}`` in CEL over ``body`` (webhook) or ``time`` (schedule: the time it was due, as text).
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="has(self.schedule) != has(self.webhook)",
            message="give schedule or webhook, and not both",
        ),
    )

    name: PartName
    schedule: Schedule | None = None
    webhook: Webhook | None = None
    input: JsonObject = Field(default_factory=dict)


class OnExcess(StrEnum):
    """What becomes of a run beyond ``maxRuns``."""

    QUEUE = "Queue"
    """It waits; the highest priority comes first, then the oldest."""
    SKIP = "Skip"
    """It ends at once, without having done anything."""
    REPLACE = "Replace"
    """The oldest open run is cancelled."""


class Concurrency(ApiModel):
    """How many runs may be open at once.

    Attributes:
        max_runs: open runs of this Workflow.
        on_excess: what becomes of one more.
    """

    max_runs: int = Field(ge=1, le=1_000)
    on_excess: OnExcess = OnExcess.QUEUE


class RunHistory(ApiModel):
    """How many ended runs are kept, with their Tasks. What they did stays in the audit trail.

    Attributes:
        succeeded: runs that succeeded.
        failed: runs that did not.
    """

    succeeded: int = Field(default=10, ge=0, le=1_000)
    failed: int = Field(default=10, ge=0, le=1_000)


class WorkflowSpec(ApiModel):
    """What a Workflow does.

    Attributes:
        input: what a run must be given.
        steps: a directed graph without cycles.
        output: what a run gives, with ``${...}`` in CEL over ``input``, ``steps`` and ``run``.
        budget: over the whole of each run.
        timeout: of a whole run, people's time included; from 1s to 720h.
        concurrency: how many runs may be open at once; any number where it is left out.
        history: how many ended runs are kept.
        priority: which runs and their Tasks come first where there is not room for all; higher first.
        triggers: what starts runs besides people.
        suspend: starts no run by a trigger, and no step of any run, while true.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.timeout) || (duration(self.timeout) >= duration('1s')"
            " && duration(self.timeout) <= duration('720h'))",
            message="timeout must be between 1s and 720h",
            field_path=".timeout",
        ),
    )

    input: MessageSchema | None = None
    steps: tuple[WorkflowStep, ...] = Field(
        min_length=1, max_length=MAX_STEPS, json_schema_extra=LIST_BY_NAME
    )
    output: JsonObject | None = None
    budget: RunBudget | None = None
    timeout: DurationString = DEFAULT_RUN_TIMEOUT
    concurrency: Concurrency | None = None
    history: RunHistory = RunHistory()
    priority: int = Field(default=0, ge=-1_000, le=1_000)
    triggers: tuple[Trigger, ...] = Field(default=(), max_length=MAX_TRIGGERS, json_schema_extra=LIST_BY_NAME)
    suspend: bool = False


class TriggerStatus(ApiModel):
    """Where a schedule stands.

    Attributes:
        name: of the trigger.
        last_due: the last time that was started or left out.
        next_due: the next one.
        missed: times left out since the Workflow was made.
    """

    name: Annotated[str, Field(max_length=63)]
    last_due: str = Field(default="", max_length=40)
    next_due: str = Field(default="", max_length=40)
    missed: int = Field(default=0, ge=0)


class WorkflowStatus(ApiModel):
    """What became of a Workflow; written by the operator.

    Attributes:
        revision: the ControllerRevision of what it is now.
        active: runs that are open.
        triggers: where its schedules stand.
    """

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    revision: str = Field(default="", max_length=253)
    active: int = Field(default=0, ge=0)
    triggers: tuple[TriggerStatus, ...] = Field(
        default=(), max_length=MAX_TRIGGERS, json_schema_extra=LIST_BY_NAME
    )


class Workflow(ApiObject):
    """A workflow."""

    kind: Literal["Workflow"] = "Workflow"
    spec: WorkflowSpec
    status: WorkflowStatus = WorkflowStatus()


WORKFLOW_KIND = Kind(
    kind="Workflow",
    plural="workflows",
    short_names=("workflow",),
    description="Steps across agents and people: what each is given, in which order, and what starts them.",
    object_model=Workflow,
    spec_model=WorkflowSpec,
    status_model=WorkflowStatus,
    columns=(
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Accepted", "reason"),
        PrinterColumn("Active", ".status.active", ColumnType.INTEGER),
        PrinterColumn("Suspended", ".spec.suspend"),
        PrinterColumn("Revision", ".status.revision", priority=1),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
