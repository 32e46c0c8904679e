"""Workflows written short, as YAML would give them."""

from collections.abc import Mapping

from aos.model.workflow import WorkflowSpec


def spec_of(*steps: Mapping[str, object], **fields: object) -> WorkflowSpec:
    """Return a Workflow of ``steps``; those that say nothing are done by an agent of their own name."""
    does = ("agent", "capability", "workflow", "approval")
    written = [
        step if any(what in step for what in does) else {**step, "agent": str(step["name"]).replace("_", "-")}
        for step in steps
    ]
    return WorkflowSpec.model_validate({"steps": written, **fields})
