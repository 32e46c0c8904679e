"""What is wrong with a Workflow: where, why, and the way out."""

from dataclasses import dataclass

from aos.model.conditions import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a Workflow from being accepted.

    Attributes:
        path: of the field, such as ``spec.steps[2].input.facts``.
        reason: of the condition Accepted.
        message: what is wrong there and the way out, without the path.
    """

    path: str
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class WorkflowError(ValueError):
    """A Workflow that can't be run.

    Attributes:
        path: see `Problem`.
        reason: see `Problem`.
        message: see `Problem`.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.path = problem.path
        self.reason = problem.reason
        self.message = problem.message
