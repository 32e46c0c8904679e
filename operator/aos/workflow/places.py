"""The places of a Workflow where expressions stand, compiled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from aos.model.conditions import Reason
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_step import WorkflowStep
from aos.workflow.expression import ExpressionError, Uses, ValueExpression
from aos.workflow.problem import Problem
from aos.workflow.template import Condition, ItemList, Template, TemplateError, condition, items

_OF_A_STEP = frozenset({"input", "steps", "run"})
_OF_AN_ITEM = _OF_A_STEP | {"item", "index"}


@dataclass(frozen=True, slots=True)
class Place:
    """A field with expressions.

    Attributes:
        path: of the field.
        compiled: what stands there.
        allowed: variables that may be named there.
    """

    path: str
    compiled: Template | Condition | ItemList
    allowed: frozenset[str]

    @property
    def uses(self) -> Uses:
        """What it reads."""
        return self.compiled.uses

    def expressions(self) -> Iterator[tuple[str, ValueExpression]]:
        """Give the expressions, each with the path of its own field."""
        if isinstance(self.compiled, Template):
            for inside, expression in self.compiled.expressions():
                yield self.path + inside, expression
        else:
            yield self.path, self.compiled.expression


@dataclass(frozen=True, slots=True)
class StepPlaces:
    """A step, and its fields with expressions as far as they compile; the others are among the problems.

    Attributes:
        path: of the step.
        step: as it was written.
        input: what its agent or Workflow is given.
        show: what people are shown at a gate.
        when: whether it is done.
        for_each: what it is done for.
        problems: what does not compile.
    """

    path: str
    step: WorkflowStep
    input: Place | None
    show: Place | None
    when: Place | None
    for_each: Place | None
    problems: tuple[Problem, ...]

    @property
    def all(self) -> tuple[Place, ...]:
        """The fields that are there."""
        return tuple(
            place for place in (self.input, self.show, self.when, self.for_each) if place is not None
        )

    @property
    def uses(self) -> Uses:
        """What the step reads."""
        uses = Uses()
        for place in self.all:
            uses |= place.uses
        return uses


def places_of(spec: WorkflowSpec) -> tuple[StepPlaces, ...]:
    """Return the steps of ``spec``, compiled."""
    return tuple(_step_places(f"spec.steps[{index}]", step) for index, step in enumerate(spec.steps))


def output_place(spec: WorkflowSpec) -> tuple[Place | None, tuple[Problem, ...]]:
    """Return what a run gives, compiled, and what does not compile of it."""
    problems: list[Problem] = []
    return _template("spec.output", spec.output, _OF_A_STEP, problems), tuple(problems)


def trigger_places(spec: WorkflowSpec) -> tuple[tuple[Place, ...], tuple[Problem, ...]]:
    """Return the expressions of triggers, compiled, and what does not compile of them."""
    problems: list[Problem] = []
    found: list[Place | None] = []
    for index, trigger in enumerate(spec.triggers):
        path = f"spec.triggers[{index}]"
        allowed = frozenset({"time"} if trigger.schedule is not None else {"body"})
        found.append(_template(f"{path}.input", trigger.input, allowed, problems))
        if trigger.webhook is not None:
            when = trigger.webhook.when
            found.append(_single(f"{path}.webhook.when", when, condition, allowed, problems))
    return tuple(place for place in found if place is not None), tuple(problems)


def _step_places(path: str, step: WorkflowStep) -> StepPlaces:
    problems: list[Problem] = []
    of_input = _OF_A_STEP if step.for_each is None else _OF_AN_ITEM
    show = step.approval.show if step.approval is not None else None
    return StepPlaces(
        path,
        step,
        input=_template(f"{path}.input", step.input, of_input, problems),
        show=_template(f"{path}.approval.show", show, _OF_A_STEP, problems),
        when=_single(f"{path}.when", step.when, condition, _OF_A_STEP, problems),
        for_each=_single(f"{path}.forEach", step.for_each, items, _OF_A_STEP, problems),
        problems=tuple(problems),
    )


def _template(path: str, value: JsonValue, allowed: frozenset[str], problems: list[Problem]) -> Place | None:
    if value is None:
        return None
    try:
        return Place(path, Template.compile(value), allowed)
    except TemplateError as error:
        problems.append(Problem(path + error.path, Reason.INVALID_EXPRESSION, error.problem))
        return None


def _single(
    path: str,
    source: str | None,
    compiled: Callable[[str], Condition | ItemList],
    allowed: frozenset[str],
    problems: list[Problem],
) -> Place | None:
    if source is None:
        return None
    try:
        return Place(path, compiled(source), allowed)
    except ExpressionError as error:
        problems.append(Problem(path, Reason.INVALID_EXPRESSION, str(error)))
        return None
