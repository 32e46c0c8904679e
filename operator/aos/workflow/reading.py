"""Whose outputs a look at a run reads: there may be thousands, and most of them were read for the last time."""

from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import WorkflowRun
from aos.workflow.graph import graph_of
from aos.workflow.template import Template


def still_read(spec: WorkflowSpec, run: WorkflowRun) -> frozenset[str]:
    """Return the steps whose outputs matter: those that have not ended, what those read, and what the run's own output reads.

    Raises:
        WorkflowError: the spec is none that could have been accepted.
    """
    if run.ended:
        return frozenset()
    ended = {status.name for status in run.status.steps if status.state.is_final}
    found: set[str] = set()
    for name, node in graph_of(spec).nodes.items():
        if name not in ended:
            found |= {name} | node.uses | node.optional_uses
    if spec.output is not None:
        uses = Template.compile(spec.output).uses
        found |= uses.steps | uses.optional_steps
    return frozenset(found)
