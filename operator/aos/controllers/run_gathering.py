"""What a run is decided from: from caches, and from the API server itself where they may lag."""

from collections.abc import Iterable
from dataclasses import replace

import orjson

from aos.controllers.task_facts import StepFacts
from aos.controllers.world import World
from aos.kube.objects import key_of, uid_of
from aos.model.agent import Agent
from aos.model.conditions import Reason
from aos.model.names import LABEL_RUN, gate_request
from aos.model.task import TaskUsage
from aos.model.workflow import Workflow, WorkflowSpec
from aos.model.workflow_run import WorkflowRun
from aos.reconcile.run_start import ObservedStart
from aos.workflow.facts import gate
from aos.workflow.observed import Attempt, Observed, ObservedGate, Room
from aos.workflow.reading import still_read
from aos.workflow.values import MAX_READ_BYTES


def gather_start(world: World, run: WorkflowRun) -> ObservedStart:
    """Return what the start of a run is decided from."""
    namespace, name = run.metadata.namespace, run.spec.workflow_ref.name
    executions, children = world.objects.executions, world.cluster.children
    workflow = executions.workflows.get(namespace, name)
    agents = agents_meant_by(world, namespace, (workflow,)) if workflow is not None else {}
    revisions = {item.name for item in children.revisions_of_workflow(namespace, name)}
    for agent in agents:
        revisions |= {item.name for item in children.revisions_of(namespace, agent)}
    return ObservedStart(
        run=run,
        workflow=workflow,
        agents=agents,
        revisions=frozenset(revisions),
        turn=executions.turn_of(namespace, run),
        is_parent_over=_is_parent_over(world, run),
    )


async def gather(world: World, run: WorkflowRun, spec: WorkflowSpec) -> Observed:
    """Return what the next steps of a run are decided from.

    Raises:
        ApiError: an output that is not in the cache could not be read.
        WorkflowError: nobody could have accepted the spec.
    """
    namespace = run.metadata.namespace
    # First what is waited for: all else is of one moment, so that the room still is what it is when it is taken.
    attempts = await _attempts(world, run, spec)
    workflow = world.objects.executions.workflows.entry(namespace, run.spec.workflow_ref.name)
    return Observed(
        run=run,
        spec=spec,
        now=world.now(),
        attempts=attempts,
        gates=_gates(world, run, spec),
        room=_room(world, run),
        is_workflow_suspended=workflow is not None
        and workflow.facts is not None
        and workflow.facts.spec.suspend,
        must_end=_must_end(world, run),
        may_lack=run.metadata.uid not in world.objects.executions.complete,
    )


async def confirm(world: World, observed: Observed) -> Observed:
    """Return the same as the API server itself has it.

    Raises:
        ApiError: it could not be reached.
    """
    run = observed.run
    namespace, name = run.metadata.namespace, run.metadata.name
    for kind in ("Task", "WorkflowRun"):
        await _refresh(world, kind, namespace, name)
    world.objects.executions.complete.add(run.metadata.uid)
    for step in observed.spec.steps:
        if step.approval is not None:
            await world.actor.reread("ApprovalRequest", namespace, gate_request(run.metadata.uid, step.name))
    return replace(await gather(world, run, observed.spec), confirmed=True)


async def _refresh(world: World, kind: str, namespace: str, run: str) -> None:
    """Bring the cached children of a run in step with the API server."""
    shelf, objects = world.objects.shelves[kind], world.objects
    before = [item for item in shelf.identities() if item.namespace == namespace]
    there = set()
    async for raw in world.actor.read_each(kind, namespace, f"{LABEL_RUN}={run}"):
        objects.observe(kind, raw)
        there.add((key_of(raw).name, uid_of(raw)))
    for item in before:
        if (item.name, item.uid) not in there and objects.is_done_for(kind, namespace, item.name, run):
            objects.forget(kind, namespace, item.name, item.uid)


def agents_meant_by(world: World, namespace: str, workflows: Iterable[Workflow]) -> dict[str, Agent]:
    """Return the Agents that steps of Workflows could mean."""
    steps = [step for workflow in workflows for step in workflow.spec.steps]
    named = {step.agent for step in steps}
    asked = {step.capability for step in steps if step.capability}
    found = {}
    for name, entry in world.objects.agents.within(namespace).items():
        offered = entry.facts.capabilities if entry.facts is not None else frozenset[str]()
        if name in named or offered & asked:
            agent = world.objects.agents.get(namespace, name)
            if agent is not None:
                found[name] = agent
    return found


def _is_parent_over(world: World, run: WorkflowRun) -> bool:
    parent = run.spec.parent
    if parent is None:
        return False
    entry = world.objects.executions.runs.entry(run.metadata.namespace, parent.run)
    if entry is None or entry.uid != parent.run_uid:
        # It was there before this one: it was deleted, and its budget would hold nobody any more.
        return True
    return entry.facts is not None and entry.facts.ended_at is not None


def _must_end(world: World, run: WorkflowRun) -> Reason | None:
    if _is_parent_over(world, run):
        return Reason.PARENT_ENDED
    is_replaced = world.objects.executions.must_make_way(run.metadata.namespace, run)
    return Reason.REPLACED if is_replaced else None


def _room(world: World, run: WorkflowRun) -> Room:
    root_uid = run.spec.parent.root_uid if run.spec.parent is not None else run.metadata.uid
    return world.objects.trees.room(root_uid, world.settings.max_run_tasks)


async def _attempts(world: World, run: WorkflowRun, spec: WorkflowSpec) -> tuple[Attempt, ...]:
    namespace, uid = run.metadata.namespace, run.metadata.uid
    seen = [(facts, usage, False) for facts, usage in world.objects.attempts_of(namespace, uid)]
    for _, _, below in world.objects.executions.below(namespace, run.metadata.name, uid):
        if below.attempt is not None:
            seen.append((below.attempt, below.attempt.attempt.usage, True))
    # In an order of their own, so that it is the same of them that are too much, whoever looks.
    seen.sort(key=lambda item: (item[0].attempt.created_at, item[0].attempt.name))
    wanted, left_bytes, found = still_read(spec, run), MAX_READ_BYTES, []
    for facts, usage, is_run in seen:
        is_read = facts.attempt.step in wanted
        left_bytes -= facts.output_bytes if is_read else 0
        found.append(
            await _attempt(world, namespace, facts, usage, is_run=is_run)
            if is_read and left_bytes >= 0
            else replace(facts.attempt, usage=usage, is_unread=facts.output_bytes > 0)
        )
    return tuple(found)


async def _attempt(
    world: World, namespace: str, facts: StepFacts, usage: TaskUsage | None, *, is_run: bool
) -> Attempt:
    if not facts.output_bytes:
        return replace(facts.attempt, usage=usage)
    if facts.output is not None:
        output = orjson.loads(facts.output)
    else:
        output = await world.contents.output(namespace, facts.attempt, is_run=is_run)
    return replace(facts.attempt, usage=usage, output=output)


def _gates(world: World, run: WorkflowRun, spec: WorkflowSpec) -> tuple[ObservedGate, ...]:
    found, guard = [], world.state.guard
    for step in spec.steps:
        if step.approval is None:
            continue
        name = gate_request(run.metadata.uid, step.name)
        request = world.objects.requests.store.get(run.metadata.namespace, name)
        asked = request.spec.run if request is not None else None
        if request is not None and asked is not None and asked.uid == run.metadata.uid:
            seen = gate(request, step.name, world.now())
            # What was counted under other admission policies than those of now counts once the request was looked at anew.
            is_guarded = not guard.problem and request.status.guard == guard.fingerprint
            found.append(replace(seen, is_enforced=seen.is_enforced and is_guarded))
    return tuple(found)
