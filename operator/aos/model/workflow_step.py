"""One step of a Workflow: work of an agent, a gate for people, or another Workflow."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from aos.model.approval import (
    ASKING_RULES,
    DEFAULT_APPROVAL_TIMEOUT,
    MAX_REQUIRED,
    Approvers,
    Escalation,
)
from aos.model.base import LIST_AS_SET, ApiModel, CelRule, DurationString, JsonObject, ObjectName
from aos.model.rule import MAX_EXPRESSION_LENGTH

MAX_ATTEMPTS: Final = 10
MAX_PARALLEL: Final = 100
DEFAULT_PARALLEL: Final = 10
MAX_ITEMS: Final = 1_000
MAX_STEP_NAME_LENGTH: Final = 32
DEFAULT_STEP_TIMEOUT: Final = "10m"

StepName = Annotated[
    str, Field(min_length=1, max_length=MAX_STEP_NAME_LENGTH, pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
]
"""Name of a step: one that CEL takes for a field, as in ``steps.draft_letter.output``."""
Template = Annotated[str, Field(min_length=4, max_length=MAX_EXPRESSION_LENGTH, pattern=r"^\$\{[\s\S]+\}$")]
"""One expression in CEL, as ``${...}``."""


class FailureKind(StrEnum):
    """Why an attempt of a step failed, as far as it matters for another one."""

    AGENT = "Agent"
    """The agent said that it failed, or handed in nothing."""
    POD = "Pod"
    """The pod or its node was lost, ran out of memory, or ended by itself."""
    TIMEOUT = "Timeout"
    """It was not done in time."""
    START = "Start"
    """It could not be started in time: no quota, no node, no image, no agent that is ready."""
    RUN = "Run"
    """The Workflow that the step runs did not succeed."""


class Retry(ApiModel):
    """Whether a step that failed is tried again. An identical write of an earlier attempt is answered and not sent again.

    Attributes:
        attempts: in all, the first one included.
        backoff: before the second attempt; doubled before each further one, and shortened by up to a fifth at random.
        max_backoff: longest wait between two attempts.
        failures: after which it is tried again; what does not fit its schema never is.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="!has(self.backoff) || (duration(self.backoff) >= duration('1s') && duration(self.backoff) <= duration('1h'))",
            message="backoff must be between 1s and 1h",
            field_path=".backoff",
        ),
        CelRule(
            rule="!has(self.maxBackoff) || (duration(self.maxBackoff) >= duration('1s')"
            " && duration(self.maxBackoff) <= duration('1h'))",
            message="maxBackoff must be between 1s and 1h",
            field_path=".maxBackoff",
        ),
    )

    attempts: int = Field(ge=1, le=MAX_ATTEMPTS)
    backoff: DurationString = "10s"
    max_backoff: DurationString = "5m"
    failures: tuple[FailureKind, ...] = Field(
        default=tuple(FailureKind), min_length=1, max_length=5, json_schema_extra=LIST_AS_SET
    )


class OnFailure(StrEnum):
    """What a step that failed for good means for the run."""

    FAIL = "Fail"
    """No further step is started, what was done is compensated, and the run fails."""
    CONTINUE = "Continue"
    """The run goes on; steps that use this one's output are skipped."""


class Gate(ApiModel):
    """People who have to agree before the run goes on.

    Attributes:
        required: how many different people.
        approvers: who counts.
        show: what they are shown: a text with ``${...}`` in CEL as in inputs, or one ``${...}`` that gives any value.
        timeout: how long they have; from 1m to 168h. What nobody decides counts as rejected.
        remind_after: when those who are asked are told again.
        escalate: who else is asked when nobody has decided.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = ASKING_RULES

    required: int = Field(default=1, ge=1, le=MAX_REQUIRED)
    approvers: Approvers = Approvers()
    show: str = Field(default="", max_length=MAX_EXPRESSION_LENGTH)
    timeout: DurationString = DEFAULT_APPROVAL_TIMEOUT
    remind_after: DurationString | None = None
    escalate: Escalation | None = None


class WorkflowStep(ApiModel):
    """One step. It starts when every step that it names, in an expression or in ``dependsOn``, is done.

    Texts with ``${...}`` hold CEL over ``input`` (the run's), ``steps.NAME.output``, ``run`` (a map: name, namespace,
    workflow, requestedBy) and, with forEach, ``item`` and ``index``. A text that is one ``${...}`` gives the value itself.

    Attributes:
        name: unique in the Workflow.
        agent: the Agent that does it.
        capability: what the one Agent that is ready and offers it does; see Agent.spec.capabilities.
        workflow: another Workflow of the namespace that is run.
        approval: people who have to agree.
        input: what the agent or Workflow is given.
        depends_on: steps that must be done before, besides those that expressions name.
        when: skipped unless this gives true.
        for_each: gives a list; the step is done once for each item, and its output is the list of outputs.
        max_parallel: how many items are worked on at once; 10 where it is left out.
        timeout: of each attempt.
        retry: whether it is tried again.
        on_failure: what its failure means for the run.
        compensate: the step that undoes this one when the run fails or is cancelled later; it runs at no other time.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="(has(self.agent) ? 1 : 0) + (has(self.capability) ? 1 : 0) + (has(self.workflow) ? 1 : 0)"
            " + (has(self.approval) ? 1 : 0) == 1",
            message="give exactly one of agent, capability, workflow and approval",
        ),
        CelRule(
            rule="!has(self.approval) || !(has(self.input) || has(self.forEach) || has(self.retry) || has(self.timeout)"
            " || has(self.compensate))",
            message="a step with approval has no input, forEach, retry, timeout or compensate; approval.show and"
            " approval.timeout are its own",
            field_path=".approval",
        ),
        CelRule(
            rule="!has(self.maxParallel) || has(self.forEach)",
            message="maxParallel needs forEach",
            field_path=".maxParallel",
        ),
        CelRule(
            rule="!has(self.timeout) || (duration(self.timeout) >= duration('1s') && duration(self.timeout) <= duration('24h'))",
            message="timeout must be between 1s and 24h",
            field_path=".timeout",
        ),
    )

    name: StepName
    agent: ObjectName | None = None
    capability: ObjectName | None = None
    workflow: ObjectName | None = None
    approval: Gate | None = None
    input: JsonObject | None = None
    depends_on: tuple[StepName, ...] = Field(default=(), max_length=64, json_schema_extra=LIST_AS_SET)
    when: Template | None = None
    for_each: Template | None = None
    max_parallel: int | None = Field(default=None, ge=1, le=MAX_PARALLEL)
    timeout: DurationString | None = None
    retry: Retry | None = None
    on_failure: OnFailure = OnFailure.FAIL
    compensate: StepName | None = None
