"""The overview of ``aos status`` as a pure function of what was read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from aos.cli.approvals import progress_of
from aos.cli.output import Table, age, joined, one_line, short_digest, wrapped
from aos.kube.objects import child, key_of, number, text
from aos.kube.resources import Resource
from aos.model.agent import Agent
from aos.model.approval_request import ApprovalRequest, RequestType
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.conditions import ConditionType
from aos.model.meta import ApiObject, Condition, ConditionStatus
from aos.model.model import Model
from aos.model.names import LABEL_COMPONENT
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.model.workflow import Workflow
from aos.reconcile.approval_subject import risk_word, subject_fields, who, work

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
COMPONENTS: Final = ("operator", "gateway")
_READY_WORDS: Final = {
    ConditionStatus.TRUE: "yes",
    ConditionStatus.FALSE: "no",
    ConditionStatus.UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True)
class Component:
    """A Deployment of AOS itself.

    Attributes:
        component: ``operator``, ``gateway`` or whatever its label says.
        ready: replicas that are ready.
        wanted: replicas that there should be.
    """

    namespace: str
    name: str
    component: str
    ready: int
    wanted: int

    @classmethod
    def parse(cls, raw: JsonObject) -> "Component":
        """Return what the Deployment says."""
        key = key_of(raw)
        labels = child(child(raw, "metadata"), "labels")
        return cls(
            namespace=key.namespace,
            name=key.name,
            component=text(labels, LABEL_COMPONENT) or key.name,
            ready=number(child(raw, "status"), "readyReplicas"),
            wanted=number(child(raw, "spec"), "replicas"),
        )


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that was read.

    Attributes:
        namespace: empty for all of them.
        components: AOS's own Deployments; None if the caller may not read them.
        workflows: None if the caller may not read them; so are ``policies``.
        cluster_policies: those of the platform, as far as the caller may read them.
        unreadable: kind and key of objects that this version of aos can't parse.
        requests: ApprovalRequests that wait for people, the most urgent first; None if the caller may not read them.
    """

    namespace: str
    components: tuple[Component, ...] | None
    agents: tuple[Agent, ...]
    tools: tuple[Tool, ...]
    models: tuple[Model, ...]
    tasks: tuple[Task, ...]
    workflows: tuple[Workflow, ...] | None = ()
    policies: tuple[Policy, ...] | None = ()
    cluster_policies: tuple[ClusterPolicy, ...] = ()
    unreadable: tuple[str, ...] = ()
    requests: tuple[ApprovalRequest, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Work:
    """The Tasks of one agent.

    Attributes:
        running: Tasks whose pod exists.
        waiting: Tasks that are to be started.
        held: calls that wait for people.
        last: the Task that ended last.
    """

    running: int
    waiting: int
    held: int
    last: Task | None


def report(inventory: Inventory, now: datetime, width: int | None) -> list[str]:
    """Return the overview for people, in lines of at most ``width`` characters where words allow it."""
    blocks = [
        wrapped(f"AOS: {_components(inventory.components)}", width),
        _section(
            inventory, AGENT_HEADINGS, [_agent_row(inventory, item, now) for item in inventory.agents], width
        ),
        _requests(inventory, now, width),
        _workflows(inventory, width),
        _section(inventory, TOOL_HEADINGS, [_tool_row(item) for item in inventory.tools], width),
        _section(inventory, MODEL_HEADINGS, [_model_row(item) for item in inventory.models], width),
        _policies(inventory, width),
        [
            line
            for name in inventory.unreadable
            for line in wrapped(f"{name} can't be read by this version of aos", width)
        ],
    ]
    lines = [line for block in blocks if block for line in ("", *block)]
    return lines[1:]


REQUEST_HEADINGS: Final = ("REQUEST", "LEFT", "RISK", "HAS", "AGENT", "TASK", "WHAT")
AGENT_HEADINGS: Final = ("AGENT", "TEAM", "READY", "POLICY", "TASKS", "LAST", "PROBLEM")
TOOL_HEADINGS: Final = ("TOOL", "TYPE", "READY", "ACTIONS", "WHY NOT READY")
WORKFLOW_HEADINGS: Final = ("WORKFLOW", "READY", "OPEN RUNS", "TRIGGERS", "WHY NOT READY")
POLICY_HEADINGS: Final = ("POLICY", "READY", "RULES", "AGENTS", "WHY NOT READY")
_PLURALS: Final = {"policy": "policies"}
MODEL_HEADINGS: Final = ("MODEL", "NAME", "READY", "WHY NOT READY")


def _components(components: Sequence[Component] | None) -> str:
    if components is None:
        return "its Deployments may not be read by you"
    missing = [name for name in COMPONENTS if all(item.component != name for item in components)]
    said = [
        f"{item.component} {item.ready}/{item.wanted} ready in {item.namespace}"
        for item in sorted(components, key=lambda item: (item.namespace, item.component, item.name))
    ]
    return "; ".join([*said, *(f"no {name} is installed" for name in missing)])


def _section(
    inventory: Inventory, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], width: int | None
) -> list[str]:
    """Return a table; the first cell of each row is the key, which names the namespace where there may be several."""
    found = sorted(rows)
    if not found:
        where = f"in namespace {inventory.namespace}" if inventory.namespace else "in any namespace"
        kind = headings[0].lower()
        return [f"no {_PLURALS.get(kind, f'{kind}s')} {where}"]
    if inventory.namespace:
        # What stands in no namespace has no such part.
        found = [(row[0].removeprefix(f"{inventory.namespace}/"), *row[1:]) for row in found]
    return Table(headings=headings, rows=tuple(found)).render(width)


def _agent_row(inventory: Inventory, agent: Agent, now: datetime) -> tuple[str, ...]:
    ready, reason = _readiness(agent.status.conditions)
    published = agent.status.policy
    work = work_of(agent, inventory.tasks, inventory.requests or ())
    counts = ((work.waiting, "waiting"), (work.held, "held for people"))
    tasks = ", ".join([f"{work.running} running", *(f"{count} {what}" for count, what in counts if count)])
    return (
        str(agent.key),
        agent.spec.owner.team,
        ready,
        short_digest(published.digest) if published else "none",
        tasks,
        _last(work.last, now),
        reason or _exceeded(agent.status.conditions),
    )


def _requests(inventory: Inventory, now: datetime, width: int | None) -> list[str]:
    """Return what waits for people; nothing where nothing does."""
    if inventory.requests is None:
        return wrapped("approvals: what waits for people may not be read by you", width)
    rows = tuple(_request_row(item, now, everywhere=not inventory.namespace) for item in inventory.requests)
    return Table(REQUEST_HEADINGS, rows).render(width) if rows else []


def _request_row(request: ApprovalRequest, now: datetime, *, everywhere: bool) -> tuple[str, ...]:
    spec, progress = request.spec, progress_of(request)
    return (
        str(request.key) if everywhere else request.metadata.name,
        age(now, spec.expires_at),
        risk_word(spec),
        f"{progress.have} of {progress.need}",
        who(spec),
        work(spec),
        one_line(spec.summary),
    )


def _tool_row(tool: Tool) -> tuple[str, ...]:
    ready, reason = _readiness(tool.status.conditions)
    return str(tool.key), tool.spec.type.value, ready, str(len(tool.spec.actions)), reason


def _model_row(model: Model) -> tuple[str, ...]:
    ready, reason = _readiness(model.status.conditions)
    return str(model.key), model.spec.model, ready, reason


def _workflows(inventory: Inventory, width: int | None) -> list[str]:
    if inventory.workflows is None:
        return wrapped("workflows: they may not be read by you", width)
    rows = [_workflow_row(item) for item in inventory.workflows]
    return _section(inventory, WORKFLOW_HEADINGS, rows, width)


def _workflow_row(workflow: Workflow) -> tuple[str, ...]:
    ready, reason = _readiness(workflow.status.conditions)
    triggers = ", ".join(trigger.name for trigger in workflow.spec.triggers)
    return str(workflow.key), ready, str(workflow.status.active), triggers, reason


def _policies(inventory: Inventory, width: int | None) -> list[str]:
    """Return what says what agents may do: those of the namespace, and those of the platform above them."""
    if inventory.policies is None:
        return wrapped("policies: they may not be read by you", width)
    rows = [_policy_row(str(item.key), item) for item in inventory.policies]
    rows += [_policy_row(f"ClusterPolicy {item.metadata.name}", item) for item in inventory.cluster_policies]
    return _section(inventory, POLICY_HEADINGS, rows, width)


def _policy_row(name: str, policy: Policy | ClusterPolicy) -> tuple[str, ...]:
    ready, reason = _readiness(policy.status.conditions)
    return name, ready, str(len(policy.spec.rules)), str(policy.status.selected_agents), reason


def _readiness(conditions: Sequence[Condition]) -> tuple[str, str]:
    ready = _condition(conditions, ConditionType.READY)
    if ready is None:
        return _READY_WORDS[ConditionStatus.UNKNOWN], "the operator has not looked at it yet"
    if ready.status is ConditionStatus.TRUE:
        return _READY_WORDS[ready.status], ""
    return _READY_WORDS[ready.status], joined((ready.reason, ready.message))


def _exceeded(conditions: Sequence[Condition]) -> str:
    """Return for which bound calls stay refused, which an agent that is ready may suffer from; empty if for none."""
    within = _condition(conditions, ConditionType.WITHIN_BOUNDS)
    is_exceeded = within is not None and within.status is ConditionStatus.FALSE
    return joined((within.reason, within.message)) if within and is_exceeded else ""


def _condition(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    return next((item for item in conditions if item.type == kind), None)


def work_of(agent: Agent, tasks: Sequence[Task], requests: Sequence[ApprovalRequest] = ()) -> Work:
    """Return what the agent has to do, and what it did last."""
    own = [
        task
        for task in tasks
        if task.metadata.namespace == agent.metadata.namespace
        and task.spec.agent_ref.name == agent.metadata.name
    ]
    unfinished = [task for task in own if not task.ended]
    running = [task for task in unfinished if task.status.pod is not None]
    ended = sorted((task for task in own if task.ended), key=_ended_at)
    held = sum(
        item.spec.type is RequestType.CALL
        and item.metadata.namespace == agent.metadata.namespace
        and item.spec.asked_call.agent.name == agent.metadata.name
        for item in requests
    )
    return Work(
        running=len(running),
        waiting=len(unfinished) - len(running),
        held=held,
        last=ended[-1] if ended else None,
    )


def _ended_at(task: Task) -> datetime:
    succeeded = _condition(task.status.conditions, ConditionType.SUCCEEDED)
    if succeeded is None:
        raise ValueError(f"Task {task.key} has not ended")
    return task.status.completion_time or succeeded.last_transition_time


def _last(task: Task | None, now: datetime) -> str:
    if task is None:
        return ""
    condition = _condition(task.status.conditions, ConditionType.SUCCEEDED)
    reason = condition.reason if condition else ""
    return f"{reason} {age(_ended_at(task), now)} ago"


def data(inventory: Inventory) -> JsonObject:
    """Return the overview for programs."""
    components: list[JsonValue] = [
        {
            "namespace": item.namespace,
            "name": item.name,
            "component": item.component,
            "ready": item.ready,
            "wanted": item.wanted,
        }
        for item in inventory.components or ()
    ]
    return {
        "namespace": inventory.namespace,
        "components": components,
        "agents": [
            _agent_data(agent, work_of(agent, inventory.tasks, inventory.requests or ()))
            for agent in inventory.agents
        ],
        "requests": _requests_data(inventory.requests or ()),
        "tools": [
            {
                **_object_data(item, item.status.conditions),
                "type": item.spec.type.value,
                "actions": len(item.spec.actions),
            }
            for item in inventory.tools
        ],
        "models": [
            {**_object_data(item, item.status.conditions), "model": item.spec.model}
            for item in inventory.models
        ],
        "workflows": [
            {**_object_data(item, item.status.conditions), "openRuns": item.status.active}
            for item in inventory.workflows or ()
        ],
        "policies": [
            {
                "kind": item.kind,
                **_object_data(item, item.status.conditions),
                "rules": len(item.spec.rules),
                "agents": item.status.selected_agents,
            }
            for item in (*(inventory.policies or ()), *inventory.cluster_policies)
        ],
        "unreadable": list(inventory.unreadable),
    }


def _requests_data(requests: Sequence[ApprovalRequest]) -> list[JsonValue]:
    """Return what waits for people, for programs."""
    return [
        {
            "namespace": item.metadata.namespace,
            "name": item.metadata.name,
            "type": item.spec.type.value,
            **subject_fields(item.spec),
            "need": progress_of(item).need,
            "have": progress_of(item).have,
            "expiresAt": item.spec.expires_at.isoformat(),
            "summary": item.spec.summary,
        }
        for item in requests
    ]


def _agent_data(agent: Agent, work: Work) -> JsonObject:
    last: JsonObject | None = None
    if work.last is not None:
        condition = _condition(work.last.status.conditions, ConditionType.SUCCEEDED)
        last = {
            "task": work.last.metadata.name,
            "reason": condition.reason if condition else "",
            "time": _ended_at(work.last).isoformat(),
        }
    published = agent.status.policy
    return {
        **_object_data(agent, agent.status.conditions),
        "team": agent.spec.owner.team,
        "policyDigest": published.digest if published else "",
        "runningTasks": work.running,
        "waitingTasks": work.waiting,
        "heldCalls": work.held,
        "lastTask": last,
    }


def _object_data(item: ApiObject, conditions: Sequence[Condition]) -> JsonObject:
    ready = _condition(conditions, ConditionType.READY)
    return {
        "namespace": item.metadata.namespace,
        "name": item.metadata.name,
        "ready": ready.status.value if ready else ConditionStatus.UNKNOWN.value,
        "reason": ready.reason if ready else "",
        "message": ready.message if ready else "",
    }
