"""Gates of Workflows: a run, the people that it waits for, and what becomes of both, with the admission policies of a real API server."""

import pytest
from pydantic import JsonValue

from aos.kube.objects import child, children, metadata_of, text, uid_of
from aos.kube.resources import APPROVAL_REQUESTS, EVENTS, WORKFLOW_RUNS
from aos.model.base import JsonObject
from aos.model.names import gate_request
from tests.cluster.operator.approvals import LEADS, Desk
from tests.cluster.operator.flow import Flow
from tests.cluster.operator.rig import Rig
from tests.cluster.operator.test_approvals import Office, forge, unguarded

REVIEW: JsonObject = {
    "name": "review",
    "approval": {"required": 1, "approvers": {"groups": [LEADS]}, "show": "${input}"},
}
TOLD: JsonObject = {"approvers": "${steps.review.output.approvers}"}


class Gated:
    """A run ``r1`` of one gate, and the people whom it asks.

    Attributes:
        office: the people.
    """

    def __init__(self, office: Office) -> None:
        self.office = office

    @property
    def rig(self) -> Rig:
        """The cluster."""
        return self.office.rig

    async def open(self, **given: JsonValue) -> str:
        """Start the run, wait until decisions count at its gate, and return the request's name."""
        flow = Flow(self.rig)
        await flow.make(REVIEW, output=TOLD)
        await flow.run("r1", given or {"letter": "Hello"})
        name = gate_request(uid_of(await self.rig.get(WORKFLOW_RUNS, "r1")), "review")

        async def is_there() -> bool:
            return bool(await self.rig.get(APPROVAL_REQUESTS, name))

        await self.rig.eventually(is_there)
        await self.office.counted(name)
        return name

    async def ended(self, status: str, reason: str) -> JsonObject:
        """Wait for the run's end, and return its status."""
        return await Flow(self.rig).ended("r1", status, reason)


@pytest.fixture
def gated(running: Rig, desk: Desk) -> Gated:
    return Gated(Office(running, desk))


async def test_a_run_waits_at_its_gate_and_goes_on_once_people_agree(gated: Gated) -> None:
    name = await gated.open(letter="Hello", to="ana@example.com")
    request = await gated.rig.get(APPROVAL_REQUESTS, name)
    spec = child(request, "spec")
    assert (text(spec, "type"), text(child(spec, "run"), "step")) == ("Gate", "review")
    assert "Hello" in text(spec, "arguments")
    assert "ana@example.com" not in text(spec, "arguments")
    run = child(await gated.rig.get(WORKFLOW_RUNS, "r1"), "status")
    assert run["waitingFor"] == [name]
    # Nobody said who asked for the run, so that one more than the step says has to approve.
    await gated.office.decide("grace", name)
    await gated.office.decide("linus", name)
    assert (await gated.ended("True", "Completed"))["output"] == {"approvers": ["grace", "linus"]}
    assert text(await gated.office.status(name), "state") == "Approved"
    await gated.office.told("WorkflowRun", "ApprovalAsked", "ApprovalDecided")
    notes = [text(item, "note") for item in await gated.rig.all(EVENTS)]
    assert not [note for note in notes if "Hello" in note]


async def test_a_run_whose_gate_is_rejected_fails(gated: Gated) -> None:
    name = await gated.open()
    await gated.office.decide("grace", name, verdict="Reject")
    status = await gated.ended("False", "StepFailed")
    assert [text(step, "state") for step in children(status, "steps")] == ["Failed"]


async def test_a_gate_of_a_run_that_is_cancelled_is_withdrawn(gated: Gated) -> None:
    name = await gated.open()
    await gated.rig.admin.merge_patch(
        WORKFLOW_RUNS, "r1", {"spec": {"cancel": True}}, namespace=gated.rig.namespace
    )
    status = await gated.office.becomes("Stale", name)
    (stale,) = [item for item in children(status, "conditions") if item["type"] == "Stale"]
    assert stale["reason"] == "RunEnded"
    await gated.ended("False", "Cancelled")


@pytest.mark.last(2)
async def test_attack_20_nobody_opens_a_gate_in_a_gap_of_the_admission_policies(gated: Gated) -> None:
    name = await gated.open()
    async with unguarded(gated.rig):
        await gated.rig.until(APPROVAL_REQUESTS, name, "EnforcementActive", "False", "PolicyMissing")
        await forge(gated.office, name)
    status = await gated.office.becomes("Stale", name)
    (stale,) = [item for item in children(status, "conditions") if item["type"] == "Stale"]
    assert stale["reason"] == "EnforcementLapsed"
    await gated.ended("False", "StepFailed")


async def test_a_gate_goes_with_its_run(gated: Gated) -> None:
    name = await gated.open()
    owners = children(metadata_of(await gated.rig.get(APPROVAL_REQUESTS, name)), "ownerReferences")
    run = await gated.rig.get(WORKFLOW_RUNS, "r1")
    assert [(owner["kind"], owner["uid"]) for owner in owners] == [("WorkflowRun", uid_of(run))]
