"""A Task before its pod is recorded: what holds it up, and the pod when nothing does."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import orjson

from aos.model.agent import Agent
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import ConditionStatus
from aos.model.names import agent_service_account, task_pod
from aos.model.structural import MAX_INPUT_BYTES
from aos.policy.schemas import MessageSchema, SchemaError
from aos.reconcile.agent import instructions_of
from aos.reconcile.claim import belongs_to, claimed, free_pods, is_service
from aos.reconcile.conditions import Verdict, find, no
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.pod import pod, remaining_seconds
from aos.reconcile.revision import revision_of
from aos.reconcile.settings import OperatorSettings
from aos.reconcile.task_step import ObservedTask, Step, deadline_of
from aos.reconcile.turns import Shortage, Turn, place

_ADOPTED: Final = "the pod is there and is being started"


def start_step(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Step:
    """Return the next step of a Task whose pod is not recorded."""
    own = _own(observed)
    if own is not None:
        return Step(started=no(Reason.STARTING, _ADOPTED), record=own, revision=own.revision)
    lost = _lost(observed)
    if lost is not None:
        return Step(started=no(Reason.PENDING, "the Task can't be started"), ended=lost)
    blocker = _blocker(observed, _standing(observed), settings)
    if blocker is None:
        ended = _unfit(observed)
        if ended is not None:
            return Step(started=no(Reason.PENDING, "the Task can't be started"), ended=ended)
        blocker = _short(observed)
    if now >= deadline_of(observed, now):
        return _too_late(observed, blocker)
    if blocker is not None:
        return Step(started=blocker, look_again_seconds=_patience_seconds(blocker, settings))
    return _claiming(observed) or _creating(observed, settings, now)


def _own(observed: ObservedTask) -> ObservedPod | None:
    """Return the pod that was made or claimed for this Task and is not recorded yet."""
    found = _standing(observed)
    if found is not None and _is_own(observed, found) and not found.is_deleting:
        return found
    agent, uid = observed.agent, observed.task.metadata.uid
    return next(
        (
            item
            for item in observed.pods
            if agent is not None
            and item.claim is not None
            and item.is_for(uid)
            and belongs_to(item, agent)
            and not item.is_deleting
            and not item.has_ended
        ),
        None,
    )


def _lost(observed: ObservedTask) -> Verdict | None:
    """Return the end of a Task whose revision is gone; None for one that may still be run."""
    wanted, agent = observed.task.spec.revision, observed.agent
    if wanted is None or agent is None:
        return None
    is_known = observed.pinned is not None or agent.status.revision == wanted
    if is_known and wanted in observed.revisions:
        return None
    return no(Reason.REVISION_LOST, f"revision {wanted} can't be run: its ControllerRevision was deleted")


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


def _claiming(observed: ObservedTask) -> Step | None:
    """Return the claim of a pod that is there already; None if there is none that is free."""
    found = _free(observed)
    if not found:
        return None
    at = observed.ahead if observed.agent is not None and is_service(observed.agent) else 0
    return Step(
        started=no(Reason.PENDING, "a pod that is there is being claimed"),
        claim=claimed(found[at], observed.task),
    )


def _free(observed: ObservedTask) -> tuple[ObservedPod, ...]:
    agent = observed.agent
    if observed.pinned is not None:
        # Those that are there run the current revision.
        return ()
    return free_pods(observed.spares, agent, agent.status.revision) if agent is not None else ()


def _short(observed: ObservedTask) -> Verdict | None:
    """Return what there is too little of for this Task; None if it may have its pod now."""
    agent = observed.doer
    if agent is not None and is_service(agent):
        if observed.ahead < len(_free(observed)):
            return None
        name = agent.metadata.name
        return no(Reason.WAITING_FOR_CAPACITY, f"no pod of Service {name} is free; {place(observed.ahead)}")
    return _waiting_its_turn(observed.turn) if observed.turn is not None else None


def _waiting_its_turn(turn: Turn) -> Verdict:
    if turn.shortage is Shortage.QUOTA:
        return no(
            Reason.QUOTA_EXCEEDED,
            f"the namespace's quota is full, and others are tried first; {place(turn.ahead)}",
        )
    return no(
        Reason.WAITING_FOR_CAPACITY,
        f"as many pods of Tasks run in the cluster as may; {place(turn.ahead)}",
    )


def _creating(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Step:
    agent = observed.doer
    if agent is None:
        raise ValueError("a Task without an agent is held up")
    revision = agent.status.revision
    if observed.pinned is not None and not agent.spec.runtime.image:
        settings = replace(settings, agent_image=observed.pinned.image)
    left = remaining_seconds(deadline_of(observed, now), now)
    made = pod(
        observed.task,
        agent,
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
    if observed.pinned is not None:
        return None
    text = instructions_of(agent, observed.instructions)
    current = revision_of(agent, text, start.settings).name if text is not None else ""
    if agent.status.revision != current or current not in observed.revisions:
        return no(Reason.AGENT_NOT_READY, f"the revision of Agent {agent.metadata.name} is being made")
    return None


def _in_the_way(observed: ObservedTask, found: ObservedPod) -> Verdict:
    if _is_own(observed, found):
        return no(Reason.PENDING, f"pod {found.name} is being removed before it was used")
    return no(Reason.POD_REJECTED, f"pod {found.name} stands in the way and is not this Task's: delete it")


def _unfit(observed: ObservedTask) -> Verdict | None:
    """Return the end of a Task that could not be done however long it waited; None if it can."""
    misfit = _misfit(observed)
    if misfit:
        return no(Reason.INPUT_INVALID, misfit)
    return None


def _misfit(observed: ObservedTask) -> str:
    """Return why the input is too large, or does not fit the agent's schema; empty if it is fine."""
    agent, size_bytes = observed.doer, len(orjson.dumps(observed.task.spec.input))
    if size_bytes > MAX_INPUT_BYTES:
        return f"spec.input has {size_bytes} bytes as JSON; give at most {MAX_INPUT_BYTES}"
    if agent is None or agent.spec.input is None:
        return ""
    try:
        # What is said here stands in events, which are read by people who may not read Tasks.
        schema = MessageSchema(agent.spec.input.schema_, quotes_values=False)
    except SchemaError as error:
        return f"the agent's input schema can't be used: {error}"
    return "; ".join(schema.problems(observed.task.spec.input))
