"""The objects by which steps are done: what each is named and what it is given, as a function of the run alone."""

import hashlib
from dataclasses import dataclass

from pydantic import JsonValue

from aos.model.approval_request import MAX_ARGUMENTS_LENGTH
from aos.model.base import JsonObject
from aos.model.canonical import canonical_json, json_digest
from aos.model.conditions import Reason
from aos.model.names import gate_request, step_task
from aos.model.task import AgentReference, BudgetOfRun, StepOfRun, TaskSpec
from aos.model.workflow_run import (
    MAX_RUN_DEPTH,
    PinnedAgent,
    RunParent,
    WorkflowReference,
    WorkflowRun,
    WorkflowRunSpec,
)
from aos.model.workflow_step import DEFAULT_STEP_TIMEOUT, Gate, WorkflowStep
from aos.workflow.actions import CreateGate, CreateRun, CreateTask
from aos.workflow.observed import Observed


@dataclass(frozen=True, slots=True)
class Piece:
    """One attempt that is to be made.

    Attributes:
        step: the step.
        item: which item of its forEach; None for the whole of the step.
        attempt: which attempt, from 1.
        is_undoing: whether it undoes what was done.
    """

    step: WorkflowStep
    item: int | None
    attempt: int
    is_undoing: bool = False


class UnmakeableError(Exception):
    """An attempt can't be made, and never could.

    Attributes:
        reason: why; a word.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def attempt_name(run: WorkflowRun, piece: Piece) -> str:
    """Return the name of the Task or run by which ``piece`` is done."""
    return step_task(run.metadata.name, run.metadata.uid, piece.step.name, piece.item, piece.attempt)


def new_attempt(observed: Observed, piece: Piece, given: JsonObject) -> CreateTask | CreateRun:
    """Return what creates the Task or run by which ``piece`` is done.

    Args:
        observed: the run.
        piece: what is to be done.
        given: what it is given.

    Raises:
        UnmakeableError: there is no agent for it, or too many runs stand above it.
    """
    if piece.step.workflow is not None:
        return _new_run(observed, piece, piece.step.workflow, given)
    return _new_task(observed, piece, given)


def new_gate(run: WorkflowRun, step: WorkflowStep, gate: Gate, shown: JsonValue) -> CreateGate:
    """Return what creates the ApprovalRequest of ``gate``, at which people are shown ``shown``.

    Raises:
        UnmakeableError: it is more than they can be shown.
    """
    content = canonical_json([shown])[1:-1]
    text = content.decode()
    if len(text) > MAX_ARGUMENTS_LENGTH:
        told = f"what people are to be shown has {len(text)} characters as JSON; show at most {MAX_ARGUMENTS_LENGTH}"
        raise UnmakeableError(Reason.INPUT_INVALID, told)
    workflow = run.spec.workflow_ref.name
    return CreateGate(
        name=gate_request(run.metadata.uid, step.name),
        step=step.name,
        gate=gate,
        rule=f"Workflow {workflow}, step {step.name}",
        summary=f"Workflow {workflow}, step {step.name} of run {run.metadata.name} asks to go on",
        arguments=text,
        arguments_digest="sha256:" + hashlib.sha256(content).hexdigest(),
        requested_by=run.spec.requested_by,
    )


def pinned_agent(run: WorkflowRun, step: WorkflowStep) -> PinnedAgent | None:
    """Return the agent that does ``step``; None for a step that no agent does, and where none was recorded."""
    pins = run.status.agents
    if step.capability is not None:
        return next((pin for pin in pins if pin.capability == step.capability), None)
    return next((pin for pin in pins if pin.agent == step.agent), None)


def _new_task(observed: Observed, piece: Piece, given: JsonObject) -> CreateTask:
    run, step = observed.run, piece.step
    pin = pinned_agent(run, step)
    if pin is None:
        wanted = f"capability {step.capability}" if step.capability is not None else f"Agent {step.agent}"
        told = f"no agent and revision was recorded for {wanted} when the run started; start another run"
        raise UnmakeableError(Reason.AGENT_NOT_FOUND, told)
    spec = TaskSpec(
        agent_ref=AgentReference(name=pin.agent),
        input=given,
        deadline=step.timeout or DEFAULT_STEP_TIMEOUT,
        requested_by=run.spec.requested_by,
        run=StepOfRun(
            name=run.metadata.name,
            uid=run.metadata.uid,
            root_uid=_root_uid(run),
            workflow=run.spec.workflow_ref.name,
            step=step.name,
            item=piece.item,
            attempt=piece.attempt,
            place=run.spec.parent.place if run.spec.parent is not None else None,
            undoing=_is_undoing(run, piece),
            budgets=_budgets(observed),
        ),
        revision=pin.revision,
        priority=observed.spec.priority,
    )
    return CreateTask(attempt_name(run, piece), step.name, spec)


def _new_run(observed: Observed, piece: Piece, workflow: str, given: JsonObject) -> CreateRun:
    run = observed.run
    depth = (run.spec.parent.depth if run.spec.parent is not None else 0) + 1
    if depth >= MAX_RUN_DEPTH:
        told = (
            f"{depth} runs stand above it, and at most {MAX_RUN_DEPTH} may follow one another; run fewer"
            " Workflows by steps of each other"
        )
        raise UnmakeableError(Reason.TOO_DEEP, told)
    spec = WorkflowRunSpec(
        workflow_ref=WorkflowReference(name=workflow),
        input=given,
        requested_by=run.spec.requested_by,
        parent=RunParent(
            run=run.metadata.name,
            run_uid=run.metadata.uid,
            root_uid=_root_uid(run),
            step=piece.step.name,
            item=piece.item,
            attempt=piece.attempt,
            depth=depth,
            place=_place(run, piece),
            undoing=_is_undoing(run, piece),
            budgets=_budgets(observed),
        ),
    )
    return CreateRun(attempt_name(run, piece), piece.step.name, spec)


def _is_undoing(run: WorkflowRun, piece: Piece) -> bool:
    return piece.is_undoing or (run.spec.parent is not None and run.spec.parent.undoing)


def _place(run: WorkflowRun, piece: Piece) -> str:
    """Return what a step's runs have in common, whichever attempt they are: of the step, and of those above it."""
    above = run.spec.parent.place if run.spec.parent is not None else None
    return json_digest([above or run.metadata.uid, piece.step.name, piece.item])


def _root_uid(run: WorkflowRun) -> str:
    return run.spec.parent.root_uid if run.spec.parent is not None else run.metadata.uid


def _budgets(observed: Observed) -> tuple[BudgetOfRun, ...]:
    """Return the run's own budget and those of the runs above it."""
    budget, run = observed.spec.budget, observed.run
    above = run.spec.parent.budgets if run.spec.parent is not None else ()
    if budget is None:
        return above
    own = BudgetOfRun(
        run_uid=run.metadata.uid,
        workflow=run.spec.workflow_ref.name,
        micro_usd=budget.micro_usd,
        tokens=budget.tokens,
        calls=budget.calls,
    )
    return (own, *above)
