import pytest

from aos.model.workflow_run import ItemsStatus, StepState, StepStatus
from aos.workflow.drawing import levels, mermaid
from aos.workflow.problem import WorkflowError
from tests.unit.workflow.flows import spec_of

OUTREACH = spec_of(
    {"name": "send", "input": {"x": "${steps.draft.output}"}, "dependsOn": ["end"], "compensate": "unsend"},
    {"name": "enrich", "agent": "lead-enricher"},
    {
        "name": "draft",
        "capability": "copy",
        "when": "${steps.enrich.output.score >= 0.7 && steps.enrich.output.ok}",
        "input": {"x": "${steps.?facts.hasValue()}"},
    },
    {"name": "facts", "forEach": "${input.list}", "maxParallel": 5, "workflow": "facts", "onFailure": "Continue"},
    {"name": "end", "approval": {"required": 2, "approvers": {"groups": ["leads"], "users": ['ann"]; <b>`#']}, "show": "${steps.draft.output}"}},
    {"name": "ask", "approval": {}},
    {"name": "ask_two", "approval": {"required": 2}},
    {"name": "unsend"},
)  # fmt: skip
STATUSES = (
    StepStatus(name="enrich", state=StepState.SUCCEEDED, attempt=2),
    StepStatus(name="facts", state=StepState.RUNNING, items=ItemsStatus(total=4, states="SSR.")),
    StepStatus(name="end", state=StepState.WAITING, attempt=1),
)


def test_a_workflow_is_told_by_levels() -> None:
    assert levels(OUTREACH) == [
        "1  enrich   agent lead-enricher",
        "   facts    workflow facts                      for each of input.list, 5 at once; may fail",
        "   ask      approval: 1 person",
        "   ask_two  approval: 2 people",
        "2  draft    capability copy                     after enrich, facts?; if steps.enrich.output.score >= 0.7 && s...",
        '3  end      approval: 2 of leads, ann"]; <b>`#  after draft',
        "4  send     agent send                          after draft, end; undone by unsend",
        "-  unsend   agent unsend                        undoes send",
    ]


def test_a_run_s_states_are_told_with_its_steps() -> None:
    lines = levels(OUTREACH, STATUSES)
    assert [line[11:33].strip() for line in lines] == [
        "Succeeded, attempt 2",
        "Running 2/4",
        "-",
        "-",
        "-",
        "Waiting",
        "-",
        "-",
    ]


def test_a_workflow_is_a_flowchart() -> None:
    assert (
        mermaid(OUTREACH)
        == """flowchart TD
  step_send["send<br/>agent send"]
  step_enrich["enrich<br/>agent lead-enricher"]
  step_draft["draft<br/>capability copy<br/>if steps.enrich.output.score #62;= 0.7 #38;#38; s..."]
  step_facts[["facts<br/>workflow facts<br/>for each of input.list, 5 at once<br/>may fail"]]
  step_end{{"end<br/>approval: 2 of leads, ann#34;#93;#59; #60;b#62;#96;#35;"}}
  step_ask{{"ask<br/>approval: 1 person"}}
  step_ask_two{{"ask_two<br/>approval: 2 people"}}
  step_unsend["unsend<br/>agent unsend"]
  step_draft --> step_send
  step_end -.-> step_send
  step_enrich --> step_draft
  step_facts -.-> step_draft
  step_draft --> step_end
  step_send -. undone by .-> step_unsend
"""
    )


def test_a_flowchart_of_a_run_has_its_states() -> None:
    drawn = mermaid(OUTREACH, STATUSES)
    assert (
        '  step_facts[["facts<br/>workflow facts<br/>for each of input.list, 5 at once<br/>may fail<br/>Running 2/4"]]\n'
        in drawn
    )
    assert "  class step_enrich succeeded\n" in drawn
    assert "  classDef waiting fill:" in drawn
    assert "classDef failed" not in drawn


def test_what_is_no_graph_can_not_be_drawn() -> None:
    broken = spec_of({"name": "a", "dependsOn": ["b"]}, {"name": "b", "dependsOn": ["a"]})
    with pytest.raises(WorkflowError, match="a waits for b waits for a"):
        mermaid(broken)
    with pytest.raises(WorkflowError):
        levels(broken)
