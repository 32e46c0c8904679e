"""Everything that can go wrong around a run: caches that lag, actions that are done twice, status writes that are lost, operators that
die between one thing and the next, nodes that lose Tasks, people who delete, cancel, suspend and reject. The rules that hold all
the same are asserted at each step."""

import random
from collections.abc import Iterator
from dataclasses import replace

from aos.model.approval_request import RequestState
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.duration import duration_seconds
from aos.model.names import step_task
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import StepState, StepStatus, WorkflowRun, WorkflowRunStatus
from aos.model.workflow_step import OnFailure, WorkflowStep
from aos.workflow.actions import Advance, CancelRun, CancelTask, CreateGate, CreateRun, CreateTask
from aos.workflow.advance import advance
from aos.workflow.graph import graph_of
from aos.workflow.observed import Attempt, Observed, ObservedGate
from tests.unit.workflow.world import World

FAILURES = ("AgentFailed", "PodLost", "NodeLost", "DeadlineExceeded", "QuotaExceeded", "InputInvalid")
LETTERS_THAT_STAY = "SFC"
Snapshot = tuple[tuple[Attempt, ...], tuple[ObservedGate, ...]]


class Chaos(World):
    """A world in which everything goes wrong that can, by ``seed``."""

    def __init__(self, spec: WorkflowSpec, flags: list[bool], items: int, seed: int) -> None:
        super().__init__(spec, {"flags": [*flags], "items": [f"item {number}" for number in range(items)]})
        self.random = random.Random(seed)  # noqa: S311 - a test's own dice
        self.graph = graph_of(spec)
        self.steps = {step.name: step for step in spec.steps}
        self.fates: dict[str, Attempt] = {}
        self.recorded: set[str] = set()
        self.history: list[Snapshot] = [((), ())]
        self.seen = 0
        self.may_lack = False
        self.advancing: Advance | None = None

    # One thing after the other.

    def rage(self, times: int) -> None:
        for _ in range(times):
            if self.random.random() < 0.5:
                self.operate()
            else:
                self.happen()

    def calm(self) -> None:
        """From now on everybody does what they should, and nothing is lost; so the run must come to its end."""
        self.set_spec(suspend=False)
        for _ in range(400):
            self.seen = len(self.history) - 1
            found = self._advanced(confirmed=True)
            self._do(found.actions)
            self.write(found.status)
            if self.run.ended and not any(attempt.is_open for attempt in self.attempts.values()):
                return
            if found.actions:
                continue
            if self._anything_open():
                self.go_on()
                continue
            assert found.requeue_after_seconds is not None, "nothing would ever happen again"
            self.after(found.requeue_after_seconds)
        raise AssertionError("the run never ends")

    def operate(self) -> None:
        """Let the operator look once, with what its caches have, and fail at any point of what it does."""
        self.seen = self.random.randint(self.seen, len(self.history) - 1)
        found = self._advanced(confirmed=False)
        if found.confirm and self.random.random() < 0.7:
            self.seen = len(self.history) - 1
            found = self._advanced(confirmed=True)
            self.may_lack = False
        actions = found.actions
        if self.random.random() < 0.1:
            self._do(actions[: self.random.randint(0, len(actions))])
            self.may_lack = True
            return
        self._do(actions)
        if self.random.random() < 0.1:
            self._do(actions)
        if self.random.random() < 0.1:
            self.may_lack = True
            return
        self.write(found.status)

    def happen(self) -> None:
        """Let something happen that is not the operator's doing."""
        chance = self.random.random()
        self.after(self.random.choice((0, 1, 5, 30, 120)))
        if chance < 0.75:
            self.go_on()
        elif chance < 0.79:
            self._delete_something()
        elif chance < 0.80:
            self.set_spec(cancel=True)
        elif chance < 0.9:
            self.set_spec(suspend=not self.run.spec.suspend)
        elif chance < 0.905:
            self.must_end = Reason.PARENT_ENDED
        elif chance < 0.92:
            self.after(1200)

    def go_on(self) -> None:
        """Let an agent, a run below or a person come to an end with something that is open."""
        waiting = [gate for gate in self.gates.values() if gate.settled_at is None]
        working = [attempt for attempt in self.attempts.values() if attempt.is_open]
        if waiting and self.random.random() < 0.5:
            self._decide(self.random.choice(waiting))
        elif working:
            self._end(self.random.choice(working))
        self._remember()

    # What holds whatever goes wrong.

    def write(self, status: WorkflowRunStatus) -> None:
        before = self.run
        super().write(status)
        _assert_onward(before, self.run)
        self.recorded |= set(_recorded(self.run))

    def _advanced(self, *, confirmed: bool) -> Advance:
        observed = self._view(confirmed=confirmed)
        found = advance(observed)
        assert advance(observed) == found
        written = observed.run.model_copy(update={"status": found.status})
        again = advance(replace(observed, run=written, confirmed=False))
        assert again.status == found.status
        assert not [action for action in again.actions if not isinstance(action, CancelTask | CancelRun)]
        creates = [action for action in found.actions if not isinstance(action, CancelTask | CancelRun)]
        assert not (observed.is_suspended and creates)
        assert len({action.name for action in creates}) == len(creates)
        self.advancing = found
        return found

    def _view(self, *, confirmed: bool) -> Observed:
        attempts, gates = self.history[self.seen]
        observed = self.observed(confirmed=confirmed)
        return replace(observed, attempts=attempts, gates=gates, may_lack=self.may_lack)

    def _do(self, actions: tuple[CreateTask | CreateRun | CreateGate | CancelTask | CancelRun, ...]) -> None:
        for action in actions:
            if isinstance(action, CreateTask | CreateRun) and action.name not in self.attempts:
                self._assert_may_be_made(action)
            elif isinstance(action, CreateGate) and action.name not in self.gates:
                assert action.name not in self.recorded
                self._assert_turn(self.steps[action.step])
            self.act((action,))
            self._remember()

    def _assert_may_be_made(self, action: CreateTask | CreateRun) -> None:
        work = action.spec.run if isinstance(action, CreateTask) else action.spec.parent
        assert work is not None
        assert action.name not in self.recorded, "made again, though it was recorded"
        step = self.steps[work.step]
        if work.attempt > 1:
            before = self.fates[step_task("outreach-1", "run-uid", work.step, work.item, work.attempt - 1)]
            assert step.retry is not None
            assert work.attempt <= step.retry.attempts
            assert before.ended_at is not None
            assert not before.succeeded
            assert before.reason != "InputInvalid"
            assert before.reason != "Cancelled" or _has_timed_out(step, before)
        if self.graph.nodes[step.name].compensates is not None:
            self._assert_undoing(step)
        else:
            self._assert_turn(step)
            self._assert_not_too_many(step)

    def _assert_turn(self, step: WorkflowStep) -> None:
        """A step starts only when those before it have ended as they must, and not in a run that is going to end."""
        assert self.advancing is not None
        assert not self.run.status.ending
        assert not self.advancing.status.ending
        statuses = {status.name: status for status in self.advancing.status.steps}
        node = self.graph.nodes[step.name]
        assert all(statuses[name].state.is_final for name in node.before)
        assert all(statuses[name].state is StepState.SUCCEEDED for name in node.uses)
        for name in node.uses:
            for fate in self.fates.values():
                if fate.step == name and fate.item is None and fate.number == statuses[name].attempt:
                    assert fate.succeeded

    def _assert_not_too_many(self, step: WorkflowStep) -> None:
        open_now = [one for one in self.attempts.values() if one.step == step.name and one.is_open]
        assert len(open_now) < ((step.max_parallel or 10) if step.for_each else 1)

    def _assert_undoing(self, step: WorkflowStep) -> None:
        """Undoing is done in a run that is going to end, when nothing else is open."""
        assert self.advancing is not None
        assert self.advancing.status.ending
        others = [one.step for one in self.attempts.values() if one.is_open and one.step != step.name]
        assert not others

    # How it is done.

    def _remember(self) -> None:
        self.fates |= self.attempts
        self.history.append((tuple(self.attempts.values()), tuple(self.gates.values())))

    def _anything_open(self) -> bool:
        return any(one.is_open for one in self.attempts.values()) or any(
            gate.settled_at is None for gate in self.gates.values()
        )

    def _decide(self, gate: ObservedGate) -> None:
        states = (RequestState.APPROVED, RequestState.APPROVED, RequestState.REJECTED, RequestState.EXPIRED)
        self.decide(gate.step, self.random.choice(states), "bob")

    def _end(self, attempt: Attempt) -> None:
        if attempt.is_ending:
            ended = replace(attempt, ended_at=self.now, reason="Cancelled")
        elif self.random.random() < 0.7:
            output: JsonObject = {"by": attempt.step, "item": attempt.item, "number": attempt.number}
            ended = replace(attempt, ended_at=self.now, succeeded=True, reason="Completed", output=output)
        else:
            ended = replace(attempt, ended_at=self.now, reason=self.random.choice(FAILURES))
        self._change(ended)

    def _delete_something(self) -> None:
        """Delete a Task or a request, open or ended, as people do."""
        names = [*self.attempts, *self.gates]
        if names:
            name = self.random.choice(names)
            self.attempts.pop(name, None)
            self.gates.pop(name, None)
            self._remember()


def _has_timed_out(step: WorkflowStep, attempt: Attempt) -> bool:
    assert attempt.ended_at is not None
    took = attempt.ended_at - attempt.created_at
    return step.timeout is not None and took.total_seconds() >= duration_seconds(step.timeout)


def _recorded(run: WorkflowRun) -> Iterator[str]:
    """Give the names of all objects that the status of the run says were made."""
    for status in run.status.steps:
        counts: dict[int | None, int]
        if status.items is None:
            yield from ({status.object} - {""})
            counts = {None: status.attempt} if not status.object.startswith("gate-") else {}
        else:
            counts = {
                item: status.items.attempts.get(str(item), 1)
                for item, letter in enumerate(status.items.states)
                if letter != "."
            }
        for item, count in counts.items():
            for number in range(1, count + 1):
                yield step_task(run.metadata.name, run.metadata.uid, status.name, item, number)


def _assert_onward(before: WorkflowRun, after: WorkflowRun) -> None:
    """Nothing that has ended begins again, and nothing that was counted is forgotten."""
    if before.ended:
        assert after == before
    if before.status.ending:
        assert after.status.ending == before.status.ending
    known = {status.name: status for status in before.status.steps}
    for status in after.status.steps:
        old = known.get(status.name)
        if old is None:
            continue
        assert status.attempt >= old.attempt
        if old.state.is_final:
            assert status == old
        if old.items is not None:
            _assert_items_onward(old, status)


def _assert_items_onward(old: StepStatus, new: StepStatus) -> None:
    assert old.items is not None
    assert new.items is not None
    assert new.items.total == old.items.total
    for letter, later in zip(old.items.states, new.items.states, strict=True):
        assert later == letter or letter not in LETTERS_THAT_STAY
        assert letter == "." or later != "."


def expected_skips(chaos: Chaos) -> Iterator[tuple[str, bool]]:
    """Give for each step of a run that came to its end whether it must have been skipped, by the steps before it alone."""
    states = {status.name: status for status in chaos.run.status.steps}
    flags = chaos.run.spec.input["flags"]
    assert isinstance(flags, list)
    skipped_with: set[str] = set()
    for name in chaos.graph.order:
        node, step = chaos.graph.nodes[name], chaos.steps[name]
        poisoned = any(states[other].state is not StepState.SUCCEEDED for other in node.uses) or bool(
            node.depends & skipped_with
        )
        if poisoned:
            skipped_with.add(name)
        by_itself = (
            step.when is not None
            and not flags[int(step.when.removeprefix("${input.flags[").removesuffix("]}"))]
        )
        yield name, poisoned or by_itself


def may_fail(step: WorkflowStep) -> bool:
    return step.on_failure is OnFailure.CONTINUE
