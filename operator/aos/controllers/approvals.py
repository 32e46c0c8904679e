"""ApprovalRequests: gather, reconcile, act."""

import logging
from dataclasses import replace

from aos.controllers import agents
from aos.controllers.keys import Key
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.kube.errors import Conflict
from aos.model.approval_request import ApprovalRequest, AskedCall, RequestRun
from aos.model.base import JsonObject
from aos.reconcile.agent import policy_of
from aos.reconcile.approval import reconcile_request
from aos.reconcile.approval_step import (
    CalledAction,
    CallingAgent,
    CallingTask,
    ObservedRequest,
    RequestPlan,
    WaitingRun,
)
from aos.reconcile.gate import waiting_run

_log = logging.getLogger(__name__)


async def reconcile(world: World, key: Key) -> None:
    """Bring one ApprovalRequest a step further.

    Raises:
        ApiError: the API server could not be reached.
    """
    if await reconcile_if_unreadable(world, key):
        return
    request = world.objects.requests.store.get(key.namespace, key.name)
    if request is None:
        return
    raw = world.objects.requests.store.raw(key.namespace, key.name)
    found = _decide(world, gather(world, request))
    plan = found.plan
    if plan.status is not None:
        try:
            await world.actor.write_status("ApprovalRequest", raw, plan.status)
        except Conflict as error:
            # The request was read anew, which brings it back to the queue: somebody decided meanwhile.
            _log.debug("%s changed meanwhile: %s", key, error)
            return
    world.actor.tell(raw, plan.events)
    _tell_others(world, request, found)
    if plan.requeue_after_seconds is not None:
        world.later(key, plan.requeue_after_seconds)


def gather(world: World, request: ApprovalRequest) -> ObservedRequest:
    """Return what is observed of a request."""
    namespace, subject, guard = request.metadata.namespace, request.spec.subject, world.state.guard
    if isinstance(subject, RequestRun):
        run = _run(world, namespace, subject)
        return ObservedRequest(request=request, agent=None, action=None, task=None, run=run, guard=guard)
    return ObservedRequest(
        request=request,
        agent=_agent(world, request, subject.agent.name),
        action=_action(world, namespace, subject),
        task=_task(world, namespace, subject),
        guard=guard,
    )


def _decide(world: World, observed: ObservedRequest) -> RequestPlan:
    """Return the plan, with the agent's digest computed anew if its status would make the request stale."""
    now = world.now()
    found = reconcile_request(observed, now)
    if not found.plan.confirm:
        return found
    return reconcile_request(_confirmed(world, observed), now)


def _confirmed(world: World, observed: ObservedRequest) -> ObservedRequest:
    metadata, name = observed.request.metadata, observed.request.spec.asked_call.agent.name
    agent = world.objects.agents.get(metadata.namespace, name)
    if agent is None or observed.agent is None:
        return replace(observed, confirmed=True)
    digest = policy_of(agents.gather(world, agent)).digest
    return replace(observed, agent=replace(observed.agent, policy_digest=digest), confirmed=True)


def _run(world: World, namespace: str, asked: RequestRun) -> WaitingRun | None:
    runs = world.objects.executions.runs
    entry = runs.entry(namespace, asked.name)
    if entry is None or entry.uid != asked.uid:
        return None
    run = runs.get(namespace, asked.name)
    # What can't be read is there, and may be read by another version.
    return waiting_run(run, asked.step) if run is not None else WaitingRun()


def _agent(world: World, request: ApprovalRequest, name: str) -> CallingAgent | None:
    entry = world.objects.agents.entry(request.metadata.namespace, name)
    if entry is None:
        return None
    facts = entry.facts
    if facts is None:
        # What can't be read is there, and may be read by another version.
        return CallingAgent()
    # A Task of a run goes on with the revision that its run pinned, whatever new Tasks run.
    revision = _pinned_by_task(world, request) or facts.revision
    return CallingAgent(revision, facts.policy_digest, has_counted=_has_counted(world, request, name))


def _pinned_by_task(world: World, request: ApprovalRequest) -> str:
    asked = request.spec.asked_call.task
    entry = world.objects.tasks.entry(request.metadata.namespace, asked.name)
    return entry.facts.pinned if entry is not None and entry.uid == asked.uid and entry.facts else ""


def _has_counted(world: World, request: ApprovalRequest, name: str) -> bool:
    entry = world.objects.requests.store.entry(request.metadata.namespace, request.metadata.name)
    if entry is None or entry.facts is None or entry.facts.judged is None:
        return False
    agent = world.objects.agents.get(request.metadata.namespace, name)
    known = agent.status.reliability if agent is not None else None
    return known is not None and request.metadata.uid in known.recent


def _action(world: World, namespace: str, asked: AskedCall) -> CalledAction | None:
    entry = world.objects.tools.entry(namespace, asked.tool)
    if entry is None:
        return None
    tool, name = entry.facts, asked.action
    if tool is None:
        return CalledAction()
    if not any(action.name == name for action in tool.spec.actions):
        return None
    found = next((action for action in tool.status.actions if action.name == name), None)
    return CalledAction(definition_digest=(found.definition_digest or "") if found else "")


def _task(world: World, namespace: str, asked: AskedCall) -> CallingTask | None:
    entry = world.objects.tasks.entry(namespace, asked.task.name)
    if entry is None or entry.uid != asked.task.uid:
        return None
    facts = entry.facts
    return CallingTask(facts.is_open, facts.ended_at) if facts is not None else CallingTask()


def _tell_others(world: World, request: ApprovalRequest, found: RequestPlan) -> None:
    if found.decided_after_seconds is not None:
        world.actor.decided(found.decided_after_seconds)
    if not found.told:
        return
    for raw in _others(world, request.metadata.namespace, request.spec.subject):
        if raw:
            world.actor.tell(raw, found.told)


def _others(world: World, namespace: str, subject: AskedCall | RequestRun) -> tuple[JsonObject, ...]:
    """Return what else is told of a request: its Agent and Task, or its run."""
    objects = world.objects
    if isinstance(subject, RequestRun):
        return (objects.executions.runs.raw(namespace, subject.name),)
    return (
        objects.agents.raw(namespace, subject.agent.name),
        objects.tasks.raw(namespace, subject.task.name),
    )
