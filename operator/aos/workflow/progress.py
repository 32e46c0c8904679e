"""A step of an agent or a Workflow that is under way or could start: its pieces, and which of them are to be started next."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.workflow_run import StepStatus
from aos.model.workflow_step import DEFAULT_PARALLEL, OnFailure, WorkflowStep
from aos.workflow.actions import CreateRun, CreateTask
from aos.workflow.attempts import Standing, Unit, Work
from aos.workflow.expression import ExpressionError
from aos.workflow.fanout import item_units
from aos.workflow.look import Look
from aos.workflow.making import Piece, UnmakeableError, new_attempt
from aos.workflow.observed import Room
from aos.workflow.reasons import StepReason
from aos.workflow.template import Template, items
from aos.workflow.values import OutputLostError, Values


@dataclass(frozen=True, slots=True)
class Start:
    """A piece that is to be started, and what starts it."""

    unit: Unit
    action: CreateTask | CreateRun


@dataclass(slots=True)
class Progress:
    """A step that is under way or could start.

    Attributes:
        step: the step.
        before: as it was recorded.
        units: the whole of it, or its items in order.
        starts: those that are to be started, if anything may.
        is_undoing: whether it undoes another step: then what fails of it keeps nothing else of it from being tried.
        has_failed: whether one of its pieces failed for good.
    """

    step: WorkflowStep
    before: StepStatus
    units: list[Unit]
    is_undoing: bool = False
    has_failed: bool = False
    starts: list[Start] = field(default_factory=list)

    @property
    def is_fan_out(self) -> bool:
        """Whether it is done for each item of a list."""
        return self.step.for_each is not None

    @property
    def is_doomed(self) -> bool:
        """Whether it can only fail: a piece did, and nothing else of it is started."""
        return self.has_failed and self.step.on_failure is OnFailure.FAIL and not self.is_undoing

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to be done."""
        return all(unit.standing.is_final for unit in self.units)

    def put(self, unit: Unit) -> None:
        """Put ``unit`` in the place of what it was."""
        self.units[unit.item or 0] = unit
        self.has_failed = self.has_failed or unit.standing in (Standing.FAILED, Standing.CANCELLED)


def progress_of(look: Look, step: WorkflowStep, total: int, *, is_undoing: bool = False) -> Progress:
    """Return where the pieces of ``step`` stand.

    Args:
        look: at the run.
        step: the step.
        total: how many items there are; 1 without forEach.
        is_undoing: whether it undoes another step.
    """
    before = look.statuses[step.name]
    work = Work(look.observed.run.metadata.uid, step, look.observed.confirmed)
    if step.for_each is not None:
        units = item_units(work, total, before.items, look.attempts)
    else:
        units = [work.unit(None, before.attempt, look.attempts.latest(step.name, None))]
    failed = any(unit.standing in (Standing.FAILED, Standing.CANCELLED) for unit in units)
    look.confirm = look.confirm or any(unit.is_unseen for unit in units)
    return Progress(step, before, units, is_undoing, failed)


def prepare(look: Look, progress: Progress, values: Values) -> None:
    """Find out what is to be started next of a step: attempts that are due first, then new items in order.

    What can't be made fails here, before anything else is started for which it would matter.
    """
    running = sum(unit.standing is Standing.RUNNING for unit in progress.units)
    parallel = (progress.step.max_parallel or DEFAULT_PARALLEL) if progress.is_fan_out else 1
    givens = _Givens(progress.step, values)
    for unit in _queue(look, progress):
        if progress.is_doomed or running + len(progress.starts) >= parallel:
            return
        if progress.is_fan_out and look.observed.may_lack and not look.observed.confirmed:
            # Another item may have been begun instead of this one, and takes its place.
            look.confirm = True
            return
        if not _prepare(look, progress, unit, givens):
            return


def _prepare(look: Look, progress: Progress, unit: Unit, givens: "_Givens") -> bool:
    """Find out how one piece is started; return whether others may be looked at."""
    try:
        given = givens.of(unit.item)
        piece = Piece(progress.step, unit.item, unit.attempt + 1, progress.is_undoing)
        action = new_attempt(look.observed, piece, given)
    except OutputLostError as error:
        if not look.observed.confirmed:
            look.confirm = True
            return False
        progress.put(_failed(unit, StepReason.OUTPUT_LOST, str(error)))
        return True
    except ExpressionError as error:
        progress.put(_failed(unit, Reason.EXPRESSION_FAILED, f"its input: {error}"))
        return True
    except UnmakeableError as error:
        progress.put(_failed(unit, error.reason, str(error)))
        return True
    if look.take_room(undoing=action.is_undoing):
        progress.starts.append(Start(unit, action))
    elif progress.is_undoing:
        progress.put(_failed(unit, Reason.TOO_MANY_TASKS, told_of_room(look.observed.room)))
    else:
        look.is_full = True
        return False
    return True


def told_of_room(room: Room) -> str:
    """Return why nothing more may be created, for people."""
    return (
        f"it has, with all runs that belong together with it, the {room.most} Tasks and runs that there may be: let it do less,"
        " or let those who run AOS raise operator.maxRunTasks"
    )


def _queue(look: Look, progress: Progress) -> Iterator[Unit]:
    units = list(progress.units)
    for unit in units:
        if unit.standing is Standing.RETRYING and _is_due(look, unit):
            yield unit
    for unit in units:
        if unit.standing is Standing.NEW:
            yield unit


def _is_due(look: Look, unit: Unit) -> bool:
    return unit.retry_at is not None and look.observed.now >= unit.retry_at


def _failed(unit: Unit, reason: str, message: str) -> Unit:
    return replace(unit, standing=Standing.FAILED, retry_at=None, reason=reason, message=message)


class _Givens:
    """What the pieces of one step are given; what they share is computed once."""

    __slots__ = ("_items", "_shared", "_step", "_template", "_values")

    def __init__(self, step: WorkflowStep, values: Values) -> None:
        self._step = step
        self._values = values
        self._template: Template | None = None
        self._shared: dict[str, JsonValue] = {}
        self._items: list[JsonValue] = []

    def of(self, item: int | None) -> JsonObject:
        if self._template is None:
            self._template = self._compiled()
        own: dict[str, JsonValue] = {}
        if item is not None:
            if item >= len(self._items):
                raise ExpressionError(f"forEach gives {len(self._items)} items now, and gave more before")
            own = {"item": self._items[item], "index": item}
        given = self._template.render(self._shared | own)
        if not isinstance(given, dict):
            raise ExpressionError("it gives something else than a map")
        return given

    def _compiled(self) -> Template:
        template = Template.compile(self._step.input or {})
        self._shared = self._values.read(template.uses)
        if self._step.for_each is not None:
            self._items = items_of(self._step.for_each, self._values)
        return template


def items_of(source: str, values: Values) -> list[JsonValue]:
    """Return the items of a forEach.

    Raises:
        ExpressionError: the expression fails, or gives no list or too long a one.
        OutputLostError: what it reads is gone.
    """
    compiled = items(source)
    return compiled.of(values.read(compiled.uses))
