"""Everything that is wrong with a Workflow, found when it is applied and not in the middle of a run."""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from aos.model.conditions import Reason
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import MAX_RUN_DEPTH
from aos.policy.schemas import check_schema
from aos.workflow.described import Described, Patience, TooMuchWorkError, is_usable
from aos.workflow.fitting import EACH_ITEM, misfits
from aos.workflow.graph import graph_problems, nodes_of, place_problems
from aos.workflow.inference import Inference, Scope
from aos.workflow.outputs import Outputs, World
from aos.workflow.places import Place, StepPlaces, output_place, places_of, trigger_places
from aos.workflow.problem import Problem
from aos.workflow.template import Template
from aos.workflow.types import Exact, Type, told_kinds

__all__ = ["MAX_EXPRESSIONS", "MAX_PROBLEMS", "Problem", "World", "problems"]

MAX_PROBLEMS: Final = 16
"""Told at once."""
MAX_EXPRESSIONS: Final = 1_000
"""Of a whole Workflow: to compile one takes a fraction of a millisecond, in which nothing else is done."""


def problems(spec: WorkflowSpec, world: World) -> tuple[Problem, ...]:
    """Return what is wrong with ``spec``, at most `MAX_PROBLEMS`; nothing if it can be run.

    Schedules are not read here, as whether one ever comes due depends on the time.
    """
    count = spec.model_dump_json().count("${")
    if count > MAX_EXPRESSIONS:
        message = f"{count} expressions, and a Workflow has at most {MAX_EXPRESSIONS}; put some into Workflows of their own"
        return (Problem("spec", Reason.INVALID, message),)
    places = places_of(spec)
    output, output_problems = output_place(spec)
    triggers, trigger_problems = trigger_places(spec)
    nodes = nodes_of(places)
    found = [
        *_schema_problems(spec),
        *(problem for step in places for problem in step.problems),
        *output_problems,
        *trigger_problems,
        *graph_problems(places, output),
        *(problem for place in triggers for problem in place_problems(place, nodes, None)),
        *_reference_problems(spec, world),
        *_cycle_problems(spec, world),
    ]
    try:
        found += _Types(spec, world).problems(places, output, triggers)
    except TooMuchWorkError:
        message = (
            "its schemas and expressions are too large to be checked; use smaller schemas, or fewer of them"
        )
        found.append(Problem("spec", Reason.INVALID, message))
    return tuple(dict.fromkeys(found))[:MAX_PROBLEMS]


def _schema_problems(spec: WorkflowSpec) -> Iterator[Problem]:
    if spec.input is not None and not is_usable(spec.input.schema_):
        for message in check_schema(spec.input.schema_):
            yield Problem("spec.input.schema", Reason.INVALID_SCHEMA, message)


def _reference_problems(spec: WorkflowSpec, world: World) -> Iterator[Problem]:
    for index, step in enumerate(spec.steps):
        path = f"spec.steps[{index}]"
        if step.agent is not None and step.agent not in world.agents:
            message = f"there is no Agent {step.agent!r} in the namespace; create it, or name another"
            yield Problem(f"{path}.agent", Reason.AGENT_NOT_FOUND, message)
        if step.capability is not None and not world.offering(step.capability):
            message = f"no Agent of the namespace offers {step.capability!r}; add it to spec.capabilities of the one that does it"
            yield Problem(f"{path}.capability", Reason.CAPABILITY_NOT_FOUND, message)
        if step.workflow is not None and step.workflow not in {*world.workflows, world.workflow}:
            message = f"there is no Workflow {step.workflow!r} in the namespace; create it, or name another"
            yield Problem(f"{path}.workflow", Reason.WORKFLOW_NOT_FOUND, message)


def _cycle_problems(spec: WorkflowSpec, world: World) -> Iterator[Problem]:
    specs = {**world.workflows, world.workflow: spec}
    runs = {
        name: tuple(
            dict.fromkeys(
                step.workflow for step in each.steps if step.workflow is not None and step.workflow in specs
            )
        )
        for name, each in specs.items()
    }
    for index, step in enumerate(spec.steps):
        if step.workflow not in specs:
            continue
        path = f"spec.steps[{index}].workflow"
        way = max(
            _ways(step.workflow, (world.workflow,), runs, set()), key=lambda way: (_goes_round(way), len(way))
        )
        if _goes_round(way):
            message = f"{' runs '.join(way)}: that would never end; take one away"
            yield Problem(path, Reason.CYCLE, message)
        elif len(way) > MAX_RUN_DEPTH:
            message = f"{' runs '.join(way)}: runs may stand at most {MAX_RUN_DEPTH} deep in each other"
            yield Problem(path, Reason.INVALID, message)


def _ways(
    name: str, above: tuple[str, ...], runs: Mapping[str, tuple[str, ...]], seen: set[tuple[str, int]]
) -> Iterator[tuple[str, ...]]:
    """Give ways down to ``name`` and below, until one goes round or is too long; from each depth each Workflow is tried once."""
    way = (*above, name)
    if (name, len(way)) in seen:
        return
    seen.add((name, len(way)))
    yield way
    if name in above or len(way) > MAX_RUN_DEPTH:
        return
    for below in runs[name]:
        yield from _ways(below, way, runs, seen)


def _goes_round(way: tuple[str, ...]) -> bool:
    return way[-1] in way[:-1]


class _Types:
    """Checks of types."""

    def __init__(self, spec: WorkflowSpec, world: World) -> None:
        self._spec = spec
        self._outputs = Outputs(world, Patience())
        self._input = self._outputs.input_of(spec, world.workflow)
        self._scope: Scope = self._outputs.scope(spec, world.workflow)
        self._found: list[Problem] = []

    def problems(
        self, places: tuple[StepPlaces, ...], output: Place | None, triggers: tuple[Place, ...]
    ) -> list[Problem]:
        """Return what certainly does not fit."""
        for step in places:
            self._check_step(step)
        if output is not None:
            self._type(output, self._scope)
        for place in triggers:
            self._check_trigger(place)
        return self._found

    def _check_step(self, place: StepPlaces) -> None:
        if place.when is not None:
            self._check_kind(place.when, "boolean", "when must give true or false")
        if place.for_each is not None:
            self._check_kind(place.for_each, "array", "forEach needs a list")
        if place.show is not None:
            self._type(place.show, self._scope)
        scope = self._outputs.item_scope(place, self._scope)
        given = self._type(place.input, scope) if place.input is not None else Exact({})
        if place.step.input is not None and place.input is None:
            return
        for wanted in self._outputs.wanted(place.step):
            self._check_fit(f"{place.path}.input", place.step.input or {}, given, wanted)

    def _check_trigger(self, place: Place) -> None:
        given = self._type(place, self._scope)
        if isinstance(place.compiled, Template) and self._input is not None:
            written = next(
                (
                    trigger.input
                    for index, trigger in enumerate(self._spec.triggers)
                    if place.path == f"spec.triggers[{index}].input"
                ),
                {},
            )
            self._check_fit(place.path, written, given, self._input)
        elif not isinstance(place.compiled, Template) and "boolean" not in given.kinds():
            self._complain(place.path, f"when must give true or false, and gives {told_kinds(given.kinds())}")

    def _check_kind(self, place: Place, kind: str, must: str) -> None:
        kinds = self._type(place, self._scope).kinds()
        if kind not in kinds:
            self._complain(place.path, f"{must}, and this gives {told_kinds(kinds)}")

    def _check_fit(self, path: str, written: JsonValue, given: Type, wanted: Described) -> None:
        for misfit in misfits(given, wanted):
            where, rest = _located(misfit.path, written)
            self._complain(path + where, f"at {rest}: {misfit.message}" if rest else misfit.message)

    def _type(self, place: Place, scope: Scope) -> Type:
        inference = Inference(scope, self._complain)
        if isinstance(place.compiled, Template):
            return inference.part(place.compiled.root, place.path)
        return inference.expression(place.compiled.expression, place.path)

    def _complain(self, path: str, message: str) -> None:
        self._found.append(Problem(path, Reason.TYPE_MISMATCH, message))


def _located(path: tuple[str | int, ...], written: JsonValue) -> tuple[str, str]:
    """Return ``path`` as far as it stands in what is written, and the rest, which is inside of a value that is computed."""
    where = 0
    while where < len(path):
        inside = _inside(written, path[where])
        if not inside:
            break
        written = inside[0]
        where += 1
    return _spelled(path[:where]), _spelled(path[where:])


def _inside(value: JsonValue, step: str | int) -> tuple[JsonValue, ...]:
    """Return what stands at ``step``, or nothing."""
    if isinstance(value, dict):
        return (value[step],) if isinstance(step, str) and step in value else ()
    return (
        tuple(value[step : step + 1])
        if isinstance(value, list) and isinstance(step, int) and step >= 0
        else ()
    )


def _spelled(path: tuple[str | int, ...]) -> str:
    return "".join(
        f".{step}" if isinstance(step, str) else "[*]" if step == EACH_ITEM else f"[{step}]" for step in path
    )
