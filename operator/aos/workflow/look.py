"""One look at a run: what is read on the way, and what is noted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aos.model.workflow_run import StepState, StepStatus, WorkflowRun
from aos.model.workflow_step import WorkflowStep
from aos.workflow.actions import Action
from aos.workflow.attempts import Attempts
from aos.workflow.graph import Graph
from aos.workflow.making import pinned_agent
from aos.workflow.observed import Observed, ObservedGate
from aos.workflow.values import Values


@dataclass(slots=True)
class Look:
    """One look at a run.

    Attributes:
        observed: the run.
        graph: which step waits for which.
        steps: by name.
        attempts: of its steps.
        gates: of its steps.
        statuses: where each step stands: as it was recorded, and as it was found once it was looked at.
        actions: what is to be done.
        wakes: times at which something is due.
        confirm: whether something may be missing only because what is seen lags behind.
        taken: how many Tasks and runs are prepared that do something, and that undo something.
        is_full: whether something that is to be done could not be prepared, since there is no room for it.
    """

    observed: Observed
    graph: Graph
    steps: Mapping[str, WorkflowStep]
    attempts: Attempts
    gates: Mapping[str, ObservedGate]
    statuses: dict[str, StepStatus]
    actions: list[Action] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)
    confirm: bool = False
    taken: Counter[bool] = field(default_factory=Counter)
    is_full: bool = False

    @classmethod
    def at(cls, observed: Observed, graph: Graph) -> "Look":
        """Begin to look at ``observed``."""
        recorded = {status.name: status for status in observed.run.status.steps}
        return cls(
            observed=observed,
            graph=graph,
            steps={step.name: step for step in observed.spec.steps},
            attempts=Attempts(observed.attempts),
            gates={gate.step: gate for gate in observed.gates},
            statuses={
                step.name: recorded.get(step.name) or _pending(observed.run, step, graph)
                for step in observed.spec.steps
            },
        )

    @property
    def now(self) -> datetime:
        """The time, as it is recorded."""
        return self.observed.now.replace(microsecond=0)

    def take_room(self, *, undoing: bool) -> bool:
        """Take the room of one Task or run; return whether there is any left."""
        room = self.observed.room
        if self.taken[undoing] >= (room.to_undo if undoing else room.to_do):
            return False
        self.taken[undoing] += 1
        return True

    def values(self, *, undoing: bool = False) -> Values:
        """Return what expressions read, by where the steps stand.

        Args:
            undoing: whether a forEach that ended before all of it was done gives what was done.
        """
        return Values(self.observed, self.attempts, self.gates, self.statuses, undoing=undoing)


def _pending(run: WorkflowRun, step: WorkflowStep, graph: Graph) -> StepStatus:
    pin = pinned_agent(run, step)
    return StepStatus(
        name=step.name,
        state=StepState.PENDING,
        agent=pin.agent if pin is not None else "",
        compensates=graph.nodes[step.name].compensates or "",
    )
