"""A run of a Workflow as a tree that people read: each step with where it stands, how long it took and what it cost. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aos.cli.output import age, joined, one_line, wrapped
from aos.model.conditions import ConditionType
from aos.model.meta import Condition, ConditionStatus
from aos.model.workflow_run import StepState, StepStatus, WorkflowRun

MICRO_USD: Final = 1_000_000
MAX_TREE_DEPTH: Final = 8
_MARKS: Final[Mapping[StepState, str]] = {
    StepState.PENDING: ".",
    StepState.RUNNING: ">",
    StepState.WAITING: "?",
    StepState.RETRYING: "~",
    StepState.SUCCEEDED: "+",
    StepState.FAILED: "x",
    StepState.SKIPPED: "-",
    StepState.CANCELLED: "x",
}
"""One sign for each state; its word stands beside it, so that nothing is told by the sign alone."""
_TOLD_ITEMS: Final = (
    ("S", "done"),
    ("R", "running"),
    ("W", "to be tried again"),
    ("F", "failed"),
    ("C", "cancelled"),
)


@dataclass(frozen=True, slots=True)
class Tree:
    """A run with the runs that its steps started.

    Attributes:
        run: the run.
        below: runs that may stand below it, by name; others than its own do no harm.
    """

    run: WorkflowRun
    below: Mapping[str, WorkflowRun]


def tree_lines(tree: Tree, now: datetime, width: int | None) -> list[str]:
    """Return the run, a line for each step, and the steps of runs below under the step that started them.

    Args:
        tree: what is shown.
        now: durations of what is under way end here.
        width: of the terminal; None for as wide as it gets.
    """
    lines = [
        line for entry in _entries(tree, now, 0) for line in wrapped(entry.text, width, "  " * entry.depth)
    ]
    return [*wrapped(headline(tree.run, now), width), *lines]


def headline(run: WorkflowRun, now: datetime) -> str:
    """Return where the run stands, as one line."""
    status = run.status
    since = status.start_time or run.metadata.creation_timestamp
    parts = [f"{status.progress} steps" if status.progress else "", _span(since, status.completion_time, now)]
    if status.usage is not None and status.usage.cost_micro_usd:
        parts.append(money(status.usage.cost_micro_usd))
    told = ", ".join(part for part in parts if part)
    return (
        f"{run.metadata.name} ({run.spec.workflow_ref.name}): {standing(run)}{f' ({told})' if told else ''}"
    )


def critical_path(run: WorkflowRun) -> str:
    """Return the steps that decided how long it took, as one line; empty where there are none."""
    status = run.status
    if not status.critical_path:
        return ""
    return f"longest way: {' > '.join(status.critical_path)} ({status.critical_path_seconds}s)"


def standing(run: WorkflowRun) -> str:
    """Return how the run stands, as a phrase: ``Succeeded``, or the reason why it has not (yet)."""
    condition = condition_of(run, ConditionType.SUCCEEDED)
    if condition is None:
        return "not looked at yet by the operator"
    if condition.status is ConditionStatus.TRUE:
        return "Succeeded"
    said = joined((condition.reason, condition.message))
    suspended = condition_of(run, ConditionType.SUSPENDED)
    if not run.ended and suspended is not None and suspended.status is ConditionStatus.TRUE:
        said = f"{said}; suspended"
    return said


def condition_of(run: WorkflowRun, kind: ConditionType) -> Condition | None:
    """Return the run's condition of that type, if it is set."""
    return next((item for item in run.status.conditions if item.type == kind), None)


def money(micro_usd: int) -> str:
    """Return an amount in US dollars, small ones to be told from nothing."""
    return f"{micro_usd / MICRO_USD:.4f} USD"


@dataclass(frozen=True, slots=True)
class _Entry:
    depth: int
    text: str


def _entries(tree: Tree, now: datetime, depth: int) -> Iterator[_Entry]:
    for step in tree.run.status.steps:
        yield _Entry(depth + 1, _step_text(step, now))
        below = tree.below.get(step.object)
        if below is not None and depth < MAX_TREE_DEPTH and _is_below(below, tree.run, step):
            yield _Entry(depth + 2, headline(below, now))
            yield from _entries(Tree(below, tree.below), now, depth + 2)


def _is_below(below: WorkflowRun, run: WorkflowRun, step: StepStatus) -> bool:
    parent = below.spec.parent
    return parent is not None and parent.run_uid == run.metadata.uid and parent.step == step.name


def _step_text(step: StepStatus, now: datetime) -> str:
    facts = [step.agent, _items(step), f"attempt {step.attempt}" if step.attempt > 1 else ""]
    if step.state is not StepState.PENDING:
        facts.append(_span(step.start_time, step.completion_time, now))
    if step.state is StepState.RETRYING and step.retry_at is not None and step.retry_at > now:
        facts.append(f"again in {age(now, step.retry_at)}")
    if step.cost_micro_usd:
        facts.append(money(step.cost_micro_usd))
    if step.compensates:
        facts.append(f"undoes {step.compensates}")
    text = f"{_MARKS[step.state]} {step.name}: {step.state.value}"
    told = ", ".join(one_line(fact) for fact in facts if fact)
    said = joined((step.reason, step.message))
    waits = f"waits for {step.waiting_for}" if step.waiting_for and not step.state.is_final else ""
    return "; ".join(part for part in (f"{text} ({told})" if told else text, said, waits) if part)


def _items(step: StepStatus) -> str:
    if step.items is None:
        return ""
    counted = [(step.items.states.count(letter), word) for letter, word in _TOLD_ITEMS]
    told = ", ".join(f"{count} {word}" for count, word in counted if count)
    return f"{step.items.total} items" + (f": {told}" if told else "")


def _span(start: datetime | None, end: datetime | None, now: datetime) -> str:
    return age(start, end or now) if start is not None else ""
