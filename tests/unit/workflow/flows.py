"""Workflows written short, as YAML would give them."""

from collections.abc import Mapping

from aos.model.agent import AgentSpec
from aos.model.workflow import WorkflowSpec


def spec_of(*steps: Mapping[str, object], **fields: object) -> WorkflowSpec:
    """Return a Workflow of ``steps``; those that say nothing are done by an agent of their own name."""
    does = ("agent", "capability", "workflow", "approval")
    written = [
        step if any(what in step for what in does) else {**step, "agent": str(step["name"]).replace("_", "-")}
        for step in steps
    ]
    return WorkflowSpec.model_validate({"steps": written, **fields})


def agent(
    input_schema: Mapping[str, object] | None = None,
    output: Mapping[str, object] | None = None,
    *capabilities: str,
) -> AgentSpec:
    """Return an agent with these schemas and capabilities."""
    fields: dict[str, object] = {
        "owner": {"team": "t"},
        "instructions": "do",
        "capabilities": list(capabilities),
    }
    if input_schema is not None:
        fields["input"] = {"schema": input_schema}
    if output is not None:
        fields["output"] = {"schema": output}
    return AgentSpec.model_validate(fields)
