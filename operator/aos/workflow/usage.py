"""What a run and its steps used so far. What was counted once stays counted, though its Task be deleted."""

from collections.abc import Iterable

from aos.model.task import TaskUsage
from aos.workflow.observed import Attempt


def step_cost(recorded_micro_usd: int, attempts: Iterable[Attempt]) -> int:
    """Return what a step has cost so far, in millionths of a US dollar, all its attempts included."""
    seen = sum(item.usage.cost_micro_usd for item in attempts if item.usage is not None)
    return max(recorded_micro_usd, seen)


def run_usage(recorded: TaskUsage | None, attempts: Iterable[Attempt]) -> TaskUsage | None:
    """Return what a run has used so far; None where nothing is known.

    Args:
        recorded: what was known before.
        attempts: of all its steps.
    """
    known = [item.usage for item in attempts if item.usage is not None]
    if not known:
        return recorded
    floor = recorded or TaskUsage()
    return TaskUsage(
        calls=max(floor.calls, sum(item.calls for item in known)),
        denied=max(floor.denied, sum(item.denied for item in known)),
        prompt_tokens=max(floor.prompt_tokens, sum(item.prompt_tokens for item in known)),
        completion_tokens=max(floor.completion_tokens, sum(item.completion_tokens for item in known)),
        cost_micro_usd=max(floor.cost_micro_usd, sum(item.cost_micro_usd for item in known)),
    )
