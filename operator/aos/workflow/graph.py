"""Which step waits for which: read from what steps use and from ``dependsOn``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aos.model.conditions import Reason
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_step import OnFailure
from aos.workflow.places import Place, StepPlaces, output_place, places_of
from aos.workflow.problem import Problem, WorkflowError

_MOST_REMEMBERED: Final = 256
RESERVED: Final = frozenset({"true", "false", "null", "in"})
"""Names that no step can have: CEL reads ``steps.in`` as something else."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step, and the steps that it waits for.

    Attributes:
        uses: steps whose output it needs: it is skipped where one of them has none.
        optional_uses: steps whose output it uses where there is one, as ``steps.?NAME``; not in ``uses``.
        depends: steps that only have to be done, by ``dependsOn``; in neither of the two.
        compensated_by: the step that undoes it.
        compensates: the step that it undoes; it waits for nothing, and runs for that alone.
    """

    name: str
    uses: frozenset[str] = frozenset()
    optional_uses: frozenset[str] = frozenset()
    depends: frozenset[str] = frozenset()
    compensated_by: str | None = None
    compensates: str | None = None

    @property
    def before(self) -> frozenset[str]:
        """All steps that must be done before it; of one that compensates, those that it reads."""
        return self.uses | self.optional_uses | self.depends


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps of a Workflow.

    Attributes:
        nodes: by name, in the order in which they are written, those that compensate included.
        order: steps that compensate nothing, each after those that it waits for.
    """

    nodes: Mapping[str, Node]
    order: tuple[str, ...]


_LAST: Final[dict[int, tuple[WorkflowSpec, Graph]]] = {}
"""By the id of the spec, which is kept beside its graph, so that no other one can have this id."""


def graph_of(spec: WorkflowSpec) -> Graph:
    """Return which step waits for which; of the specs that were asked for last it is remembered.

    Raises:
        WorkflowError: an expression of a step does not compile, or steps don't make a graph without cycles.
    """
    known = _LAST.get(id(spec))
    if known is not None and known[0] is spec:
        return known[1]
    graph = _graph_of(spec)
    while len(_LAST) >= _MOST_REMEMBERED:
        _LAST.pop(next(iter(_LAST)), None)
    _LAST[id(spec)] = spec, graph
    return graph


def _graph_of(spec: WorkflowSpec) -> Graph:
    places = places_of(spec)
    output, problems = output_place(spec)
    compiled = [problem for step in places for problem in step.problems]
    problem = next(iter((*compiled, *problems, *graph_problems(places, output))), None)
    if problem is not None:
        raise WorkflowError(problem)
    nodes = nodes_of(places)
    return Graph(nodes, _ordered(nodes))


def nodes_of(places: Sequence[StepPlaces]) -> dict[str, Node]:
    """Return the steps by name, whatever is wrong with them."""
    compensates = {
        place.step.compensate: place.step.name for place in places if place.step.compensate is not None
    }
    nodes = {}
    for place in places:
        step, uses = place.step, place.uses
        nodes[step.name] = Node(
            step.name,
            uses.steps,
            uses.optional_steps,
            frozenset(step.depends_on) - uses.steps - uses.optional_steps,
            step.compensate,
            compensates.get(step.name),
        )
    return nodes


def graph_problems(places: Sequence[StepPlaces], output: Place | None) -> Iterator[Problem]:
    """Give what is wrong with names, variables and edges; expressions that don't compile are left out."""
    nodes = nodes_of(places)
    for place in places:
        yield from _name_problems(place, places)
        for field in place.all:
            yield from place_problems(field, nodes, place.step.name)
        yield from _depends_problems(place, nodes)
        yield from _compensate_problems(place, places, nodes)
    if output is not None:
        yield from place_problems(output, nodes, None)
    cycle = _cycle(nodes)
    if cycle:
        index = [place.step.name for place in places].index(cycle[0])
        told = " waits for ".join(cycle)
        yield Problem(
            f"spec.steps[{index}]", Reason.CYCLE, f"{told}: none of them could ever start; take one away"
        )


def place_problems(place: Place, nodes: Mapping[str, Node], own: str | None) -> Iterator[Problem]:
    """Give what the expressions of ``place`` name that is not there, or may not be named there by the step ``own``."""
    for path, expression in place.expressions():
        uses = expression.uses
        for name in sorted(uses.variables - place.allowed):
            yield Problem(path, Reason.INVALID_EXPRESSION, _not_here(name, place.allowed))
        if "steps" not in place.allowed:
            continue
        for name in sorted(uses.steps | uses.optional_steps):
            problem = _named_problem(name, nodes, own)
            if problem is not None:
                yield Problem(path, Reason.STEP_INVALID, problem)


def _not_here(name: str, allowed: frozenset[str]) -> str:
    told = f"{name} is not known here, but {', '.join(sorted(allowed))}"
    match name:
        case "item" | "index":
            return f"{told}; {name} is for the input of a step with forEach"
        case "body":
            return f"{told}; body is for a trigger with webhook"
        case "time":
            return f"{told}; time is for a trigger with schedule"
        case _:
            return told


def _named_problem(name: str, nodes: Mapping[str, Node], own: str | None) -> str | None:
    if name not in nodes:
        return f"there is no step {name!r}; there are {', '.join(nodes)}"
    if name == own:
        return "a step can't wait for itself"
    if nodes[name].compensates is not None:
        return (
            f"step {name} only runs to undo step {nodes[name].compensates}, so nothing can wait for it;"
            " use another step"
        )
    return None


def _name_problems(place: StepPlaces, places: Sequence[StepPlaces]) -> Iterator[Problem]:
    path, name = f"{place.path}.name", place.step.name
    if name in RESERVED:
        yield Problem(
            path, Reason.STEP_INVALID, f"{name!r} means something else in expressions; take another name"
        )
    first = next(other for other in places if other.step.name == name)
    if first is not place:
        yield Problem(
            path, Reason.STEP_INVALID, f"{first.path} is named {name!r} as well; give each its own name"
        )


def _depends_problems(place: StepPlaces, nodes: Mapping[str, Node]) -> Iterator[Problem]:
    step = place.step
    for index, name in enumerate(step.depends_on):
        problem = _named_problem(name, nodes, step.name)
        if problem is not None:
            yield Problem(f"{place.path}.dependsOn[{index}]", Reason.STEP_INVALID, problem)


def _compensate_problems(
    place: StepPlaces, places: Sequence[StepPlaces], nodes: Mapping[str, Node]
) -> Iterator[Problem]:
    step = place.step
    if step.compensate is not None:
        problem = _compensation_problem(place, places, nodes)
        if problem is not None:
            yield Problem(f"{place.path}.compensate", Reason.STEP_INVALID, problem)
    undone = nodes[step.name].compensates
    if undone is None or undone == step.name:
        return
    if step.depends_on:
        message = f"the step only runs to undo step {undone}, and waits for nothing else; leave dependsOn out"
        yield Problem(f"{place.path}.dependsOn", Reason.STEP_INVALID, message)
    if step.on_failure is not OnFailure.FAIL:
        message = (
            "whatever becomes of a step that undoes another, the run goes on to undo; leave onFailure out"
        )
        yield Problem(f"{place.path}.onFailure", Reason.STEP_INVALID, message)
    certain = {undone, *_certain(undone, nodes)}
    for field in place.all:
        for path, expression in field.expressions():
            for name in sorted((expression.uses.steps & nodes.keys()) - certain):
                message = (
                    f"step {name} need not be done when step {undone} is undone; write steps.?{name} and say what holds"
                    " without it"
                )
                yield Problem(path, Reason.STEP_INVALID, message)


def _compensation_problem(
    place: StepPlaces, places: Sequence[StepPlaces], nodes: Mapping[str, Node]
) -> str | None:
    name = place.step.compensate
    target = next((other.step for other in places if other.step.name == name), None)
    if target is None:
        return f"there is no step {name!r}; there are {', '.join(nodes)}"
    if target.name == place.step.name:
        return "a step can't undo itself; name another one"
    if target.approval is not None:
        return f"step {name} asks people, which undoes nothing; name a step of an agent or a Workflow"
    if target.compensate is not None:
        return f"step {name} undoes another one, so it is not undone itself; leave its compensate out"
    other = next(o.step.name for o in places if o.step.compensate == name)
    if other != place.step.name:
        return f"step {name} undoes step {other} already; give each step its own"
    return None


def _certain(name: str, nodes: Mapping[str, Node]) -> set[str]:
    """Return the steps that have an output for sure once step ``name`` has one."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for before in nodes[waiting.pop()].uses & nodes.keys():
            if before not in found:
                found.add(before)
                waiting.append(before)
    return found


def _cycle(nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """Return steps that wait for each other, the first one again at the end; nothing if there are none."""
    done: set[str] = set()
    for start in nodes:
        way: list[str] = []
        waiting: list[Iterator[str]] = [iter((start,))]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                if way:
                    done.add(way.pop())
            elif name in way:
                return (*way[way.index(name) :], name)
            elif name in nodes and name not in done:
                way.append(name)
                waiting.append(iter(sorted(nodes[name].before - {name})))
    return ()


def _ordered(nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """Return the steps of a graph without cycles, each after those that it waits for, else as they are written."""
    left = {name: node for name, node in nodes.items() if node.compensates is None}
    order: list[str] = []
    while left:
        name = next(name for name, node in left.items() if not node.before & left.keys())
        order.append(name)
        del left[name]
    return tuple(order)
