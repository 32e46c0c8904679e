"""A world for one run: an API server that holds its Tasks, runs and requests, agents and people who do as they are told."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aos.model.approval_request import RequestState
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.meta import ObjectMeta
from aos.model.task import TaskUsage
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import (
    PinnedAgent,
    RunParent,
    StepStatus,
    WorkflowReference,
    WorkflowRun,
    WorkflowRunSpec,
    WorkflowRunStatus,
)
from aos.workflow.actions import Action, Advance, CancelRun, CancelTask, CreateGate, CreateRun, CreateTask
from aos.workflow.advance import advance
from aos.workflow.observed import UNTOUCHED, Attempt, Observed, ObservedGate

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
Made = CreateTask | CreateRun | CreateGate


def pins(spec: WorkflowSpec) -> tuple[PinnedAgent, ...]:
    """Return the agents of ``spec`` at their first revision; who offers a capability is named after it."""
    named = {step.agent for step in spec.steps if step.agent is not None}
    offered = {step.capability for step in spec.steps if step.capability is not None}
    return (
        *(PinnedAgent(agent=name, revision=f"{name}-1") for name in sorted(named)),
        *(
            PinnedAgent(agent=f"does-{name}", revision=f"does-{name}-1", capability=name)
            for name in sorted(offered)
        ),
    )


def run_of(
    spec: WorkflowSpec, given: JsonObject | None = None, parent: RunParent | None = None
) -> WorkflowRun:
    """Return a run of ``spec`` that has just started."""
    return WorkflowRun(
        metadata=ObjectMeta(name="outreach-1", namespace="sales", uid="run-uid", generation=1),
        spec=WorkflowRunSpec(
            workflow_ref=WorkflowReference(name="outreach"),
            input=given or {},
            requested_by="ana@example.com",
            parent=parent,
        ),
        status=WorkflowRunStatus(
            revision="workflow-outreach-1", agents=pins(spec), start_time=START, observed_generation=1
        ),
    )


class World:
    """One run, and everything that it makes."""

    def __init__(
        self, spec: WorkflowSpec, given: JsonObject | None = None, parent: RunParent | None = None
    ) -> None:
        self.spec = spec
        self.run = run_of(spec, given, parent)
        self.now = START
        self.attempts: dict[str, Attempt] = {}
        self.gates: dict[str, ObservedGate] = {}
        self.made: dict[str, Made] = {}
        self.times_made: Counter[str] = Counter()
        self.refuses: dict[str, str] = {}
        self.is_workflow_suspended = False
        self.must_end: Reason | None = None
        self.room = UNTOUCHED
        self._versions = 0

    # What is observed and done.

    def observed(self, *, confirmed: bool = False) -> Observed:
        return Observed(
            run=self.run,
            spec=self.spec,
            now=self.now,
            attempts=tuple(self.attempts.values()),
            gates=tuple(self.gates.values()),
            room=self.room,
            is_workflow_suspended=self.is_workflow_suspended,
            must_end=self.must_end,
            confirmed=confirmed,
        )

    def settle(self) -> Advance:
        """Advance until nothing is left to do for now; return where it stands then."""
        found = None
        for _ in range(20):
            found = advance(self.observed())
            if found.confirm:
                found = advance(self.observed(confirmed=True))
            refused = {name: told for name, told in self.refuses.items() if name in named(found.actions)}
            if refused:
                found = advance(replace(self.observed(), refused=refused))
            before = self.run
            self.act(tuple(action for action in found.actions if action.name not in refused))
            self.write(found.status)
            if self.run == before and (not found.actions or refused):
                return found
        raise AssertionError(f"it never settles: {found}")

    def act(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case CancelTask():
                    self._delete(action)
                case CancelRun():
                    self._cancel(action)
                case _:
                    self._create(action)

    def write(self, status: WorkflowRunStatus) -> None:
        """Write ``status`` as the API server takes it: within the bounds of the schema."""
        stored = WorkflowRunStatus.model_validate_json(status.model_dump_json(by_alias=True))
        assert stored == status
        self.run = self.run.model_copy(update={"status": stored})

    def set_spec(self, **fields: object) -> None:
        self.run = self.run.model_copy(update={"spec": self.run.spec.model_copy(update=fields)})

    def after(self, seconds: float) -> "World":
        self.now += timedelta(seconds=seconds)
        return self

    # What agents, people and nodes do.

    def finish(self, step: str, output: JsonObject | None = None, item: int | None = None) -> None:
        self.end(step, item, succeeded=True, reason="Completed", output=output or {})

    def fail(self, step: str, reason: str = "AgentFailed", item: int | None = None) -> None:
        self.end(step, item, succeeded=False, reason=reason, message=f"it says {reason}")

    def end(self, step: str, item: int | None = None, **fields: object) -> None:
        found = self.latest(step, item)
        assert found.is_open, f"{found.name} has ended"
        self._change(replace(found, ended_at=self.now, waiting_for=(), **fields))  # type: ignore[arg-type]

    def wait_for(self, step: str, *requests: str, item: int | None = None) -> None:
        self._change(replace(self.latest(step, item), waiting_for=requests))

    def spend(self, step: str, usage: TaskUsage) -> None:
        self._change(replace(self.latest(step), usage=usage))

    def delete(self, step: str, item: int | None = None) -> None:
        del self.attempts[self.latest(step, item).name]

    def decide(self, step: str, state: RequestState, *approvers: str, enforced: bool = True) -> None:
        gate = next(gate for gate in self.gates.values() if gate.step == step)
        self.gates[gate.name] = replace(
            gate,
            state=state,
            settled_at=self.now,
            is_enforced=enforced,
            approvals=tuple((name, f"fine, says {name}") for name in approvers),
        )

    # What is asked of it.

    def latest(self, step: str, item: int | None = None) -> Attempt:
        found = [one for one in self.attempts.values() if (one.step, one.item) == (step, item)]
        return max(found, key=lambda one: one.number)

    @property
    def open(self) -> list[str]:
        """What is open: steps, with the item behind a slash."""
        return sorted(
            one.step if one.item is None else f"{one.step}/{one.item}"
            for one in self.attempts.values()
            if one.is_open
        )

    def step(self, name: str) -> StepStatus:
        return next(status for status in self.run.status.steps if status.name == name)

    @property
    def states(self) -> dict[str, str]:
        return {status.name: str(status.state) for status in self.run.status.steps}

    @property
    def verdict(self) -> tuple[str, str]:
        """Status and reason of Succeeded."""
        found = next(item for item in self.run.status.conditions if item.type == "Succeeded")
        return str(found.status), found.reason

    @property
    def told(self) -> str:
        return next(item.message for item in self.run.status.conditions if item.type == "Succeeded")

    def given(self, step: str, item: int | None = None) -> JsonObject:
        """What the last attempt of a step was given."""
        made = self.made[self.latest(step, item).name]
        assert isinstance(made, CreateTask | CreateRun)
        return made.spec.input

    # How it does it.

    def _create(self, action: Made) -> None:
        known = self.made.get(action.name)
        assert known is None or known == action, "another content under one name"
        self.made[action.name] = action
        if action.name in self.attempts or action.name in self.gates:
            return
        self.times_made[action.name] += 1
        if isinstance(action, CreateGate):
            self.gates[action.name] = ObservedGate(action.name, action.step, self.now)
            return
        work = action.spec.run if isinstance(action, CreateTask) else action.spec.parent
        assert work is not None
        self._change(
            Attempt(
                name=action.name,
                uid=f"uid-{len(self.times_made)}-{self.times_made[action.name]}",
                resource_version="",
                step=work.step,
                item=work.item,
                number=work.attempt,
                created_at=self.now,
            )
        )

    def _change(self, attempt: Attempt) -> None:
        self._versions += 1
        self.attempts[attempt.name] = replace(attempt, resource_version=str(self._versions))

    def _delete(self, action: CancelTask) -> None:
        found = self.attempts.get(action.name)
        if found is not None and (found.uid, found.resource_version) == (action.uid, action.resource_version):
            del self.attempts[action.name]

    def _cancel(self, action: CancelRun) -> None:
        found = self.attempts.get(action.name)
        if found is not None and found.uid == action.uid and found.is_open:
            self._change(replace(found, is_ending=True))


def named(actions: tuple[Action, ...]) -> set[str]:
    return {action.name for action in actions}
