"""A Task before its pod is recorded: what holds it up, and the pod when nothing does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aos.model.agent import Agent
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import ConditionStatus
from aos.model.names import agent_service_account, task_pod
from aos.policy.schemas import MessageSchema, SchemaError
from aos.reconcile.agent import instructions_of
from aos.reconcile.conditions import Verdict, find, no
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.pod import pod, remaining_seconds
from aos.reconcile.revision import revision_of
from aos.reconcile.settings import OperatorSettings
from aos.reconcile.task_step import ObservedTask, Step, deadline_of

_ADOPTED: Final = "the pod is there and is being started"


def start_step(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Step:
    """Return the next step of a Task whose pod is not recorded."""
    found = _standing(observed)
    if found is not None and _is_own(observed, found) and not found.is_deleting:
        return Step(started=no(Reason.STARTING, _ADOPTED), record=found, revision=found.revision)
    blocker = _blocker(observed, found, settings)
    if blocker is None:
        misfit = _misfit(observed)
        if misfit:
            return Step(
                started=no(Reason.PENDING, "the input does not fit"), ended=no(Reason.INPUT_INVALID, misfit)
            )
    if now >= deadline_of(observed, now):
        return _too_late(observed, blocker)
    if blocker is not None:
        return Step(started=blocker, look_again_seconds=_patience_seconds(blocker, settings))
    return _creating(observed, settings, now)


def _standing(observed: ObservedTask) -> ObservedPod | None:
    metadata = observed.task.metadata
    name = task_pod(metadata.name, metadata.uid)
    return next((item for item in observed.pods if item.name == name), None)


def _is_own(observed: ObservedTask, found: ObservedPod) -> bool:
    # Only the operator can make pods of an agent's account, so the account tells who made it.
    account = agent_service_account(observed.task.spec.agent_ref.name)
    is_owned = found.owner_uid == observed.task.metadata.uid and found.revision != ""
    return is_owned and found.service_account == account


def _too_late(observed: ObservedTask, blocker: Verdict | None) -> Step:
    if blocker is None:
        blocker = no(Reason.PENDING, "the pod was not made")
        ended = no(Reason.DEADLINE_EXCEEDED, "the deadline passed before the pod was made")
    elif blocker.reason is Reason.PENDING:
        ended = no(Reason.DEADLINE_EXCEEDED, f"the deadline passed before the start: {blocker.message}")
    else:
        ended = no(blocker.reason, f"until the deadline ({observed.task.spec.deadline}): {blocker.message}")
    return Step(started=blocker, ended=ended)


def _patience_seconds(blocker: Verdict, settings: OperatorSettings) -> float | None:
    """Return when to try again what no event tells of; the rest wakes the Task by events."""
    refused = blocker.reason in (Reason.QUOTA_EXCEEDED, Reason.POD_REJECTED)
    return settings.pod_retry_seconds if refused else None


def _creating(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Step:
    if observed.agent is None:
        raise ValueError("a Task without an agent is held up")
    revision = observed.agent.status.revision
    left = remaining_seconds(deadline_of(observed, now), now)
    made = pod(
        observed.task,
        observed.agent,
        revision,
        settings,
        observed.platform,
        left,
        can_own_users=observed.can_own_users,
    )
    return Step(started=no(Reason.PENDING, "the pod is being made"), create=made, revision=revision)


def _blocker(observed: ObservedTask, found: ObservedPod | None, settings: OperatorSettings) -> Verdict | None:
    if observed.rejection is not None:
        return no(observed.rejection.reason, observed.rejection.message)
    agent = observed.agent
    name = observed.task.spec.agent_ref.name
    if agent is None or agent.metadata.deletion_timestamp is not None:
        return no(Reason.AGENT_NOT_FOUND, f"there is no Agent {name} in this namespace")
    for check in (_not_guarded, _suspended, _not_ready, _not_current):
        blocker = check(_Start(observed, agent, settings))
        if blocker is not None:
            return blocker
    if observed.platform.missing:
        return no(Reason.PENDING, observed.platform.missing)
    if found is not None:
        return _in_the_way(observed, found)
    return None


@dataclass(frozen=True, slots=True)
class _Start:
    """What the checks of the agent look at."""

    observed: ObservedTask
    agent: Agent
    settings: OperatorSettings


def _not_guarded(start: _Start) -> Verdict | None:
    problem = start.observed.guard.problem
    return no(Reason.AGENT_NOT_READY, problem) if problem else None


def _suspended(start: _Start) -> Verdict | None:
    name = start.agent.metadata.name
    return no(Reason.AGENT_SUSPENDED, f"Agent {name} is suspended") if start.agent.spec.suspend else None


def _not_ready(start: _Start) -> Verdict | None:
    name = start.agent.metadata.name
    ready = find(start.agent.status.conditions, ConditionType.READY)
    if ready is None or ready.observed_generation != start.agent.metadata.generation:
        return no(Reason.AGENT_NOT_READY, f"Agent {name} has not been looked at yet")
    if ready.status is not ConditionStatus.TRUE:
        return no(Reason.AGENT_NOT_READY, f"Agent {name} is not ready: {ready.reason}: {ready.message}")
    return None


def _not_current(start: _Start) -> Verdict | None:
    """Whether the revision on the agent's status is what a pod made now would run, and is on record."""
    agent, observed = start.agent, start.observed
    text = instructions_of(agent, observed.instructions)
    current = revision_of(agent, text, start.settings).name if text is not None else ""
    if agent.status.revision != current or current not in observed.revisions:
        return no(Reason.AGENT_NOT_READY, f"the revision of Agent {agent.metadata.name} is being made")
    return None


def _in_the_way(observed: ObservedTask, found: ObservedPod) -> Verdict:
    if _is_own(observed, found):
        return no(Reason.PENDING, f"pod {found.name} is being removed before it was used")
    return no(Reason.POD_REJECTED, f"pod {found.name} stands in the way and is not this Task's: delete it")


def _misfit(observed: ObservedTask) -> str:
    """Return why the input does not fit the agent's schema; empty if it does."""
    agent = observed.agent
    if agent is None or agent.spec.input is None:
        return ""
    try:
        # What is said here stands in events, which are read by people who may not read Tasks.
        schema = MessageSchema(agent.spec.input.schema_, quotes_values=False)
    except SchemaError as error:
        return f"the agent's input schema can't be used: {error}"
    return "; ".join(schema.problems(observed.task.spec.input))
