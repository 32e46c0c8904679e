"""The start of a run: what it waits for, what ends it before it has begun, and what it pins. Pure.

From its start to its end a run goes by one revision of its Workflow and one of each agent: they are recorded before
anything is done, so that whoever goes on with it does the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from aos.model.agent import Agent
from aos.model.conditions import WEBHOOK_REASONS, ConditionType, Reason
from aos.model.duration import duration_seconds
from aos.model.meta import ConditionStatus
from aos.model.workflow import DEFAULT_RUN_TIMEOUT, Workflow
from aos.model.workflow_run import PinnedAgent, WorkflowRun, WorkflowRunStatus
from aos.model.workflow_step import WorkflowStep
from aos.policy.schemas import MessageSchema, SchemaError
from aos.reconcile.conditions import Verdict, conditions, find, no, unknown, yes
from aos.reconcile.run_queue import Turn
from aos.workflow.template import MAX_RENDERED_BYTES

_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ObservedStart:
    """All that the start of a run is decided from.

    Attributes:
        run: as the API server has it.
        workflow: what is to be run; None if there is no such one, or it can't be read.
        agents: the namespace's Agents by name, as far as the Workflow could mean them.
        revisions: names of the ControllerRevisions of those agents and of the Workflow that are there.
        turn: whether it may start.
        is_parent_over: whether the run that started it has ended.
    """

    run: WorkflowRun
    workflow: Workflow | None = None
    agents: Mapping[str, Agent] = field(default_factory=dict)
    revisions: frozenset[str] = frozenset()
    turn: Turn = Turn.GO
    is_parent_over: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run that has not started goes.

    Attributes:
        status: all of it.
        look_again_seconds: when time alone changes something; None for never.
        has_started: whether this is its start.
    """

    status: WorkflowRunStatus
    look_again_seconds: float | None = None
    has_started: bool = False


def start_run(observed: ObservedStart, now: datetime) -> Start:
    """Return the start of a run, or what it waits for, or the end that it has before it began."""
    run = observed.run
    ended = _end(observed, now)
    if ended is not None:
        return Start(_status(observed, ended, now, completion_time=now))
    wait, pins = _wait(observed)
    if wait is not None:
        return Start(_status(observed, wait, now), max(0.0, (_due_at(observed, now) - now).total_seconds()))
    misfit = _misfit(observed)
    if misfit:
        return Start(_status(observed, no(Reason.INPUT_INVALID, misfit), now, completion_time=now))
    revision = observed.workflow.status.revision if observed.workflow is not None else ""
    begun = _status(observed, unknown(Reason.RUNNING), now)
    status = begun.model_copy(update={"revision": revision, "agents": pins, "start_time": now})
    if run.status.start_time is not None:
        status = status.model_copy(update={"start_time": run.status.start_time})
    return Start(status, 0, has_started=True)


def _end(observed: ObservedStart, now: datetime) -> Verdict | None:
    if observed.run.spec.cancel:
        return no(Reason.CANCELLED, "it was cancelled before it had started")
    if observed.is_parent_over:
        return no(Reason.PARENT_ENDED, "the run that started it has ended")
    name = observed.run.spec.workflow_ref.name
    if observed.turn is Turn.SKIP:
        return no(Reason.TOO_MANY_RUNS, f"as many runs of Workflow {name} were open as may be")
    if observed.turn is Turn.MAKE_WAY:
        return no(Reason.REPLACED, "a newer run takes its place")
    if now >= _due_at(observed, now):
        wait, _ = _wait(observed)
        why = f": {wait.reason}: {wait.message}" if wait is not None else ""
        return no(Reason.TIMED_OUT, f"it had not started in time{why}")
    return None


def _due_at(observed: ObservedStart, now: datetime) -> datetime:
    timeout = observed.workflow.spec.timeout if observed.workflow is not None else DEFAULT_RUN_TIMEOUT
    return (observed.run.metadata.creation_timestamp or now) + timedelta(seconds=duration_seconds(timeout))


def _wait(observed: ObservedStart) -> tuple[Verdict | None, tuple[PinnedAgent, ...]]:
    """Return what the run waits for, or else the agents that it pins."""
    name, workflow = observed.run.spec.workflow_ref.name, observed.workflow
    if workflow is None or workflow.metadata.deletion_timestamp is not None:
        return unknown(Reason.WORKFLOW_NOT_FOUND, f"there is no Workflow {name} in this namespace"), ()
    if is_suspended(observed.run, workflow):
        return unknown(Reason.PENDING, "it starts once neither it nor its Workflow is suspended"), ()
    unready = _unready(observed, workflow)
    if unready:
        return unknown(Reason.WORKFLOW_NOT_READY, f"Workflow {name} {unready}"), ()
    if observed.turn is Turn.WAIT:
        return unknown(Reason.QUEUED, f"as many runs of Workflow {name} are open as may be"), ()
    pins: dict[tuple[str, str], PinnedAgent] = {}
    for step in workflow.spec.steps:
        found = _agent(observed, step)
        if isinstance(found, Verdict):
            return found, ()
        if found is not None:
            pins[found.agent, found.capability] = found
    return None, tuple(pins.values())


def _unready(observed: ObservedStart, workflow: Workflow) -> str:
    ready = find(workflow.status.conditions, ConditionType.READY)
    if ready is None or ready.observed_generation != workflow.metadata.generation:
        return "has not been looked at yet"
    if ready.status is not ConditionStatus.TRUE and ready.reason not in WEBHOOK_REASONS:
        return f"is not ready: {ready.reason}: {ready.message}"
    if workflow.status.revision not in observed.revisions:
        return "has no revision yet"
    return ""


def _agent(observed: ObservedStart, step: WorkflowStep) -> PinnedAgent | Verdict | None:
    """Return the agent that does a step from now on; or why it is not known; None for a step that is no agent's."""
    if step.agent is not None:
        return _pinned(observed, step.agent, step.name, "")
    if step.capability is None:
        return None
    able = [agent for agent in observed.agents.values() if step.capability in agent.spec.capabilities]
    offering = [agent for agent in able if _is_ready(agent)]
    if not offering:
        return unknown(Reason.CAPABILITY_NOT_FOUND, f"step {step.name}: {_why_nobody(step.capability, able)}")
    if len(offering) > 1:
        names = sorted(agent.metadata.name for agent in offering)
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return unknown(
            Reason.CAPABILITY_AMBIGUOUS,
            f"step {step.name}: {', '.join(names[:_NAMES_SHOWN])}{more} offer {step.capability} and are ready; name the one"
            " that is meant as agent, or suspend the others",
        )
    return _pinned(observed, offering[0].metadata.name, step.name, step.capability)


def _why_nobody(capability: str, able: Sequence[Agent]) -> str:
    """Return why no agent does what a step asks for; ``able`` are those that would."""
    if not able:
        return f"no Agent offers {capability}; add it to spec.capabilities of the one that does it"
    found = sorted(able, key=lambda agent: agent.metadata.name)
    told = "; ".join(f"{agent.metadata.name} {_unready_agent(agent)}" for agent in found[:_NAMES_SHOWN])
    more = f"; and {len(found) - _NAMES_SHOWN} more" if len(found) > _NAMES_SHOWN else ""
    return f"no Agent that offers {capability} is ready: {told}{more}"


def _unready_agent(agent: Agent) -> str:
    ready = find(agent.status.conditions, ConditionType.READY)
    if agent.metadata.deletion_timestamp is not None:
        return "is being deleted"
    if ready is None or ready.observed_generation != agent.metadata.generation:
        return "has not been looked at yet"
    return (
        f"is not ready ({ready.reason}: {ready.message})"
        if ready.message
        else f"is not ready ({ready.reason})"
    )


def _pinned(observed: ObservedStart, name: str, step: str, capability: str) -> PinnedAgent | Verdict:
    agent = observed.agents.get(name)
    if agent is None or agent.metadata.deletion_timestamp is not None:
        return unknown(Reason.AGENT_NOT_FOUND, f"step {step}: there is no Agent {name} in this namespace")
    revision = agent.status.revision
    is_current = agent.status.observed_generation == agent.metadata.generation
    if not revision or not is_current or revision not in observed.revisions:
        return unknown(
            Reason.AGENT_NOT_FOUND, f"step {step}: Agent {name} has no revision yet; its conditions say why"
        )
    return PinnedAgent(agent=name, revision=revision, capability=capability)


def _is_ready(agent: Agent) -> bool:
    ready = find(agent.status.conditions, ConditionType.READY)
    return (
        agent.metadata.deletion_timestamp is None
        and ready is not None
        and ready.status is ConditionStatus.TRUE
        and ready.observed_generation == agent.metadata.generation
    )


def is_suspended(run: WorkflowRun, workflow: Workflow | None) -> bool:
    """Whether nothing of a run may be started."""
    return run.spec.suspend or (workflow is not None and workflow.spec.suspend)


def _misfit(observed: ObservedStart) -> str:
    """Return why the input is too large, or does not fit the Workflow's schema; empty if it is fine."""
    workflow, size_bytes = observed.workflow, len(orjson.dumps(observed.run.spec.input))
    if size_bytes > MAX_RENDERED_BYTES:
        # What becomes of the run stands in the same object, which is bounded.
        return f"the input has {size_bytes} bytes as JSON; give at most {MAX_RENDERED_BYTES}"
    if workflow is None or workflow.spec.input is None:
        return ""
    try:
        # What is said here stands in events, which are read by people who may not read runs.
        schema = MessageSchema(workflow.spec.input.schema_, quotes_values=False)
    except SchemaError as error:
        return f"the Workflow's input schema can't be used: {error}"
    return "; ".join(schema.problems(observed.run.spec.input))


def _status(
    observed: ObservedStart, succeeded: Verdict, now: datetime, completion_time: datetime | None = None
) -> WorkflowRunStatus:
    run = observed.run
    held = is_suspended(run, observed.workflow)
    verdicts = {
        ConditionType.SUSPENDED: yes(Reason.SUSPENDED) if held else no(Reason.NOT_SUSPENDED),
        ConditionType.SUCCEEDED: succeeded,
    }
    return run.status.model_copy(
        update={
            "observed_generation": run.metadata.generation,
            "conditions": conditions(run.status.conditions, verdicts, run.metadata.generation, now),
            "completion_time": completion_time,
        }
    )


def lost_run(run: WorkflowRun, why: str, now: datetime) -> WorkflowRunStatus:
    """Return the end of a run whose Workflow's revision is of no use: nobody can tell what it would have done next."""
    verdicts = {
        ConditionType.SUSPENDED: no(Reason.NOT_SUSPENDED),
        ConditionType.SUCCEEDED: no(Reason.REVISION_LOST, why),
    }
    return run.status.model_copy(
        update={
            "observed_generation": run.metadata.generation,
            "conditions": conditions(run.status.conditions, verdicts, run.metadata.generation, now),
            "completion_time": now,
            "waiting_for": (),
        }
    )
