import pytest

from aos.cli.exits import CommandError, ExitCode
from aos.cli.formats import GraphFormat
from aos.cli.graph import drawn, workflow_in
from aos.model.workflow_run import StepState, StepStatus

WORKFLOW = """
apiVersion: aos.dev/v1alpha1
kind: Workflow
metadata: {name: outreach, namespace: sales}
spec:
  steps:
  - {name: enrich, agent: enricher, input: {lead: "${input.lead}"}}
  - {name: review, approval: {show: "${steps.enrich.output}"}}
"""
POLICY = "apiVersion: aos.dev/v1alpha1\nkind: Policy\nmetadata: {name: baseline}\nspec: {}\n"


def test_a_file_is_drawn_level_by_level() -> None:
    text = drawn(workflow_in(WORKFLOW, "w.yaml"), (), GraphFormat.TEXT)
    assert text.index("enrich") < text.index("review")


def test_a_file_is_drawn_as_a_flowchart() -> None:
    assert drawn(workflow_in(WORKFLOW, "w.yaml"), (), GraphFormat.MERMAID).startswith("flowchart TD\n")


def test_the_states_of_a_run_are_drawn() -> None:
    status = StepStatus(name="enrich", state=StepState.SUCCEEDED)
    assert "Succeeded" in drawn(workflow_in(WORKFLOW, "w.yaml"), (status,), GraphFormat.TEXT)


def test_a_workflow_is_found_among_other_documents() -> None:
    assert workflow_in(f"{POLICY}---{WORKFLOW}", "all.yaml").steps[0].name == "enrich"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (POLICY, "holds 0 Workflows"),
        (f"{WORKFLOW}---{WORKFLOW}", "holds 2 Workflows"),
        ("a: [", "not YAML"),
        (WORKFLOW.replace("agent: enricher", "agents: enricher"), "spec.steps.0.agents"),
    ],
)
def test_what_is_no_workflow_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(CommandError, match=says) as caught:
        workflow_in(text, "w.yaml")
    assert caught.value.code is ExitCode.USAGE


def test_steps_that_wait_for_each_other_are_told() -> None:
    looped = WORKFLOW.replace("${input.lead}", "${steps.review.output.approved}")
    with pytest.raises(CommandError, match="no graph") as caught:
        drawn(workflow_in(looped, "w.yaml"), (), GraphFormat.TEXT)
    assert caught.value.code is ExitCode.FAILURE
