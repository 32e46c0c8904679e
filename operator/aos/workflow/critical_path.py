"""The critical path of a run: of all chains of steps that waited for each other, the one that took longest."""

from collections.abc import Mapping
from dataclasses import dataclass

from aos.model.workflow_run import StepStatus
from aos.workflow.graph import Graph


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """Steps in order, and how long they took in all, in whole seconds."""

    steps: tuple[str, ...] = ()
    seconds: int = 0


def critical_path(graph: Graph, statuses: Mapping[str, StepStatus]) -> CriticalPath:
    """Return the critical path through the steps that were worked on; those that undo others follow none and are left out.

    Args:
        graph: which step waits for which.
        statuses: where the steps stand.
    """
    longest: dict[str, tuple[float, tuple[str, ...]]] = {}
    for name in graph.order:
        before = max(
            (longest[other] for other in sorted(graph.nodes[name].before)),
            key=lambda found: found[0],
            default=(0.0, ()),
        )
        seconds = _seconds(statuses[name])
        longest[name] = before if seconds is None else (before[0] + seconds, (*before[1], name))
    total, steps = max(longest.values(), key=lambda found: (found[0], len(found[1])), default=(0.0, ()))
    return CriticalPath(steps, int(total))


def _seconds(status: StepStatus) -> float | None:
    """Return how long a step took; None for one that was never worked on."""
    if status.start_time is None or status.completion_time is None:
        return None
    return max((status.completion_time - status.start_time).total_seconds(), 0.0)
