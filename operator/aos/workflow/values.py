"""What expressions of a run read: its input, what its steps gave, and what is known of the run itself."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.workflow_run import StepState, StepStatus
from aos.workflow.attempts import Attempts
from aos.workflow.expression import OUTPUT, ExpressionError, Uses
from aos.workflow.fanout import Letter, has_done_something
from aos.workflow.observed import Observed, ObservedGate

MAX_READ_BYTES: Final = 8 * 1024 * 1024
"""Of what steps gave, as JSON, so much is read for one look at a run."""
_NOTHING: Final = Uses()


class OutputLostError(Exception):
    """What a step gave can't be read: it is gone, or what is seen lags behind.

    Attributes:
        step: the step.
    """

    def __init__(self, step: str) -> None:
        super().__init__(f"what step {step} gave is gone: somebody deleted the object that had it")
        self.step = step


class Values:
    """Gives expressions what they read, and remembers it while the run is looked at."""

    __slots__ = ("_attempts", "_gates", "_observed", "_outputs", "_statuses", "_undoing")

    def __init__(
        self,
        observed: Observed,
        attempts: Attempts,
        gates: Mapping[str, ObservedGate],
        statuses: Mapping[str, StepStatus],
        *,
        undoing: bool,
    ) -> None:
        """Prepare.

        Args:
            observed: the run.
            attempts: of its steps.
            gates: of its steps.
            statuses: of its steps as far as they were looked at; only steps that succeeded are read.
            undoing: whether a forEach that ended before all of it was done gives what was done.
        """
        self._observed = observed
        self._attempts = attempts
        self._gates = gates
        self._statuses = statuses
        self._outputs: dict[str, JsonValue] = {}
        self._undoing = undoing

    def read(self, uses: Uses = _NOTHING) -> dict[str, JsonValue]:
        """Return the variables, with those steps that ``uses`` names and that have an output.

        Raises:
            OutputLostError: what one of them gave can't be read.
            ExpressionError: it is too much to be read.
        """
        run = self._observed.run
        names = sorted(uses.steps | uses.optional_steps)
        done = [name for name in names if self._has_output(name)]
        return {
            "input": run.spec.input,
            "steps": {name: {OUTPUT: self.output(name)} for name in done},
            "run": {
                "name": run.metadata.name,
                "namespace": run.metadata.namespace,
                "workflow": run.spec.workflow_ref.name,
                "requestedBy": run.spec.requested_by,
            },
        }

    def output(self, step: str) -> JsonValue:
        """Return what a step gave that has an output; of a forEach a list, with null for each item that gave nothing.

        Raises:
            OutputLostError: it can't be read.
            ExpressionError: it is too much to be read.
        """
        if step not in self._outputs:
            self._outputs[step] = self._output(step)
        return self._outputs[step]

    def _has_output(self, step: str) -> bool:
        status = self._statuses[step]
        return status.state is StepState.SUCCEEDED or (self._undoing and has_done_something(status.items))

    def _output(self, step: str) -> JsonValue:
        gate = self._gates.get(step)
        if gate is not None:
            return gate_output(gate)
        items = self._statuses[step].items
        if items is None:
            return self._given(step, None)
        return [
            self._given(step, item) if letter == Letter.SUCCEEDED else None
            for item, letter in enumerate(items.states)
        ]

    def _given(self, step: str, item: int | None) -> JsonValue:
        latest = self._attempts.latest(step, item)
        if latest is None or not latest.succeeded:
            raise OutputLostError(step)
        if latest.is_unread:
            raise ExpressionError(
                f"what step {step} gave, with what else the steps that are not done read, has more than"
                f" {MAX_READ_BYTES} bytes as JSON: let the agents give less, and keep what is large elsewhere"
            )
        return latest.output


def gate_output(gate: ObservedGate) -> JsonObject:
    """Return what a gate gives that people approved: who did, and what each of them said to it."""
    return {
        "approved": True,
        "approvers": [name for name, _ in gate.approvals],
        "comments": [comment for _, comment in gate.approvals],
    }
