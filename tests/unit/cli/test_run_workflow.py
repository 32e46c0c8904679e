import json

import pytest

from aos.cli.exits import CommandError, ExitCode
from aos.cli.formats import ObjectFormat
from aos.cli.run_workflow import WorkflowRequest, as_created, cancelling, manifest, request_of
from aos.model.workflow_run import WorkflowRun
from tests.unit.cli.run_make import run

ASKED = WorkflowRequest("outreach", {"lead": "acme"}, watch=True)


def test_a_name_without_a_slash_is_an_agents() -> None:
    assert request_of("enricher", {}, "", "", None, watch=True) is None


def test_a_workflow_is_named_by_its_prefix() -> None:
    assert request_of("workflow/outreach", {"lead": "acme"}, "", "", None, watch=True) == ASKED


@pytest.mark.parametrize("name", ["workflow/", "workflow/a/b", "agent/enricher", "/outreach"])
def test_any_other_prefix_is_refused_with_the_two_ways_to_write_it(name: str) -> None:
    with pytest.raises(CommandError, match="an Agent, or workflow/NAME") as caught:
        request_of(name, {}, "", "", None, watch=True)
    assert caught.value.code is ExitCode.USAGE


def test_a_deadline_is_not_for_workflows() -> None:
    with pytest.raises(CommandError, match=r"spec\.timeout"):
        request_of("workflow/outreach", {}, "5m", "", None, watch=True)


def test_a_run_is_made_in_the_name_of_who_asks() -> None:
    made = manifest("sales", "outreach-b2c4d", "ada@example.com", ASKED)
    parsed = WorkflowRun.parse({**made})
    assert parsed.spec.requested_by == "ada@example.com"
    assert parsed.spec.input == {"lead": "acme"}
    unnamed = manifest("sales", "outreach-b2c4d", "", ASKED)["spec"]
    assert isinstance(unnamed, dict)
    assert "requestedBy" not in unnamed


def test_a_created_run_is_printed_as_asked() -> None:
    assert as_created(run(), None) == "workflowrun.aos.dev/outreach-b2c4d created"
    assert as_created(run(), ObjectFormat.NAME) == "workflowrun.aos.dev/outreach-b2c4d"
    assert json.loads(as_created(run(), ObjectFormat.JSON))["spec"]["workflowRef"] == {"name": "outreach"}


def test_how_to_cancel_is_a_whole_command() -> None:
    assert cancelling(run()) == (
        """kubectl patch run outreach-b2c4d -n sales --type merge -p '{"spec":{"cancel":true}}'"""
    )
