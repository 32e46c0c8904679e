"""A Workflow as a picture: a Mermaid flowchart, or plain text by levels; with the states of a run's steps if there are any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import StepState, StepStatus
from aos.model.workflow_step import Gate, OnFailure, WorkflowStep
from aos.workflow.graph import Graph, Node, graph_of

MAX_EXPRESSION_SHOWN: Final = 40
"""Characters of an expression that are shown."""

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,:/?=")
"""What stands for itself in a label of Mermaid; all else could end it or start something."""
_STYLES: Final = {
    StepState.PENDING: "fill:#eeeeee,stroke:#999999,color:#555555",
    StepState.RUNNING: "fill:#cfe2ff,stroke:#0d6efd,color:#052c65",
    StepState.WAITING: "fill:#fff3cd,stroke:#ffc107,color:#664d03",
    StepState.RETRYING: "fill:#ffe5d0,stroke:#fd7e14,color:#653208",
    StepState.SUCCEEDED: "fill:#d1e7dd,stroke:#198754,color:#0a3622",
    StepState.FAILED: "fill:#f8d7da,stroke:#dc3545,color:#58151c",
    StepState.SKIPPED: "fill:#ffffff,stroke:#999999,color:#777777,stroke-dasharray:4",
    StepState.CANCELLED: "fill:#e2e3e5,stroke:#6c757d,color:#2b2f32",
}


@dataclass(frozen=True, slots=True)
class _Step:
    """A step with all that is drawn of it."""

    step: WorkflowStep
    node: Node
    status: StepStatus | None


def mermaid(spec: WorkflowSpec, statuses: Sequence[StepStatus] = ()) -> str:
    """Return a Mermaid flowchart; arrows of steps that merely have to be done, or may be missing, are dotted.

    Args:
        spec: the Workflow.
        statuses: of a run's steps; steps without one are drawn as they are in any run.

    Raises:
        WorkflowError: the steps make no graph.
    """
    steps = _steps(spec, graph_of(spec), statuses)
    lines = ["flowchart TD"]
    for each in steps:
        opening, closing = _shape(each.step)
        label = "<br/>".join(map(_escaped, _label(each)))
        lines.append(f'  {_id(each.step.name)}{opening}"{label}"{closing}')
    for each in steps:
        lines += [f"  {line}" for line in _arrows(each)]
    lines += [f"  {line}" for line in _classes(steps)]
    return "\n".join(lines) + "\n"


def levels(spec: WorkflowSpec, statuses: Sequence[StepStatus] = ()) -> list[str]:
    """Return a line for each step, those that can start at the same time side by side under one number.

    Args:
        spec: the Workflow.
        statuses: of a run's steps; steps without one are told as they are in any run.

    Raises:
        WorkflowError: the steps make no graph.
    """
    graph = graph_of(spec)
    steps = _steps(spec, graph, statuses)
    known: dict[str, int] = {}
    for name in graph.order:
        known[name] = 1 + max((known[before] for before in graph.nodes[name].before), default=0)
    ordered = sorted(steps, key=lambda each: known.get(each.step.name, len(steps) + 1))
    rows = []
    level = 0
    for each in ordered:
        own = known.get(each.step.name, 0)
        number = str(own) if own != level else ""
        level = own
        state = [_state(each.status)] if statuses else []
        rows.append([number if own else "-", each.step.name, *state, _who(each.step), _way(each)])
    return _table(rows)


def _steps(spec: WorkflowSpec, graph: Graph, statuses: Sequence[StepStatus]) -> list[_Step]:
    known = {status.name: status for status in statuses}
    return [_Step(step, graph.nodes[step.name], known.get(step.name)) for step in spec.steps]


def _label(each: _Step) -> Iterator[str]:
    yield each.step.name
    yield _who(each.step)
    yield from _circumstances(each.step)
    if each.status is not None:
        yield _state(each.status)


def _who(step: WorkflowStep) -> str:
    if step.approval is not None:
        return f"approval: {_people(step.approval)}"
    if step.workflow is not None:
        return f"workflow {step.workflow}"
    return f"capability {step.capability}" if step.agent is None else f"agent {step.agent}"


def _people(gate: Gate) -> str:
    asked = (*gate.approvers.groups, *gate.approvers.users)
    if asked:
        return f"{gate.required} of {', '.join(asked)}"
    return "1 person" if gate.required == 1 else f"{gate.required} people"


def _circumstances(step: WorkflowStep) -> Iterator[str]:
    if step.when is not None:
        yield f"if {_short(step.when)}"
    if step.for_each is not None:
        at_once = f", {step.max_parallel} at once" if step.max_parallel is not None else ""
        yield f"for each of {_short(step.for_each)}{at_once}"
    if step.on_failure is OnFailure.CONTINUE:
        yield "may fail"


def _way(each: _Step) -> str:
    """Return what a step waits for and what becomes of it, in words."""
    node = each.node
    parts = []
    if node.compensates is not None:
        parts.append(f"undoes {node.compensates}")
    elif node.before:
        certain = sorted(node.uses | node.depends)
        optional = [f"{name}?" for name in sorted(node.optional_uses)]
        parts.append(f"after {', '.join((*certain, *optional))}")
    parts += _circumstances(each.step)
    if node.compensated_by is not None:
        parts.append(f"undone by {node.compensated_by}")
    return "; ".join(parts)


def _state(status: StepStatus | None) -> str:
    if status is None:
        return "-"
    text = str(status.state)
    if status.items is not None:
        text += f" {status.items.states.count('S')}/{status.items.total}"
    elif status.attempt > 1:
        text += f", attempt {status.attempt}"
    return text


def _short(template: str) -> str:
    text = " ".join(template.removeprefix("${").removesuffix("}").split())
    return text if len(text) <= MAX_EXPRESSION_SHOWN else text[: MAX_EXPRESSION_SHOWN - 3] + "..."


def _id(name: str) -> str:
    # Some names, such as end, are words of Mermaid.
    return f"step_{name}"


def _shape(step: WorkflowStep) -> tuple[str, str]:
    if step.approval is not None:
        return "{{", "}}"
    if step.workflow is not None:
        return "[[", "]]"
    return "[", "]"


def _arrows(each: _Step) -> Iterator[str]:
    own = _id(each.step.name)
    if each.node.compensates is not None:
        yield f"{_id(each.node.compensates)} -. undone by .-> {own}"
        return
    for name in sorted(each.node.uses):
        yield f"{_id(name)} --> {own}"
    for name in sorted(each.node.optional_uses | each.node.depends):
        yield f"{_id(name)} -.-> {own}"


def _classes(steps: Sequence[_Step]) -> Iterator[str]:
    for state, style in _STYLES.items():
        names = [
            _id(each.step.name) for each in steps if each.status is not None and each.status.state is state
        ]
        if names:
            yield f"classDef {state.lower()} {style}"
            yield f"class {','.join(names)} {state.lower()}"


def _escaped(text: str) -> str:
    return "".join(character if character in _PLAIN else f"#{ord(character)};" for character in text)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [["".join(c if c.isprintable() else "?" for c in cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
