from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from aos.model.approval_request import RequestState
from aos.workflow.actions import CreateGate
from aos.workflow.advance import advance
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World

REVIEW = (
    {"name": "draft"},
    {"name": "review", "approval": {"required": 2, "show": "${steps.draft.output}", "timeout": "2h"}},
    {"name": "send", "dependsOn": ["review"], "input": {"by": "${steps.review.output.approvers}"}},
)


def asked(*, enforced: bool = True, state: RequestState = RequestState.PENDING) -> World:
    world = World(spec_of(*REVIEW))
    world.settle()
    world.finish("draft", {"letter": "Dear ACME"})
    world.settle()
    if state is not RequestState.PENDING:
        world.decide("review", state, "bob", "eve", enforced=enforced)
        world.settle()
    return world


def test_people_are_asked_with_what_the_gate_shows() -> None:
    world = asked()

    (made,) = (made for made in world.made.values() if isinstance(made, CreateGate))
    assert made.gate.required == 2
    assert orjson.loads(made.arguments) == {"letter": "Dear ACME"}
    assert made.summary == "Workflow outreach, step review of run outreach-1 asks to go on"
    assert made.rule == "Workflow outreach, step review"
    assert made.requested_by == "ana@example.com"


def test_a_run_waits_at_a_gate_and_says_for_what() -> None:
    world = asked()

    (name,) = world.gates
    assert world.states == {"draft": "Succeeded", "review": "Waiting", "send": "Pending"}
    assert world.run.status.waiting_for == (name,)
    assert world.step("review").waiting_for == name
    assert (world.step("review").object, world.step("review").attempt) == (name, 1)
    assert world.verdict == ("Unknown", "WaitingForPeople")
    assert name in world.told


def test_a_run_goes_on_once_its_gate_is_approved_and_may_use_who_did() -> None:
    world = asked(state=RequestState.APPROVED)

    assert world.given("send") == {"by": ["bob", "eve"]}
    assert world.run.status.waiting_for == ()
    assert world.step("review").output_digest is not None


def test_an_approval_does_not_count_while_admission_policies_are_missing() -> None:
    world = asked(state=RequestState.APPROVED, enforced=False)

    assert world.states["send"] == "Pending"
    assert world.states["review"] == "Waiting"
    assert "admission policies" in world.step("review").message
    world.decide("review", RequestState.APPROVED, "bob", "eve")
    world.settle()

    assert world.open == ["send"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RequestState.REJECTED, "Rejected"),
        (RequestState.EXPIRED, "Expired"),
        (RequestState.STALE, "Stale"),
        (RequestState.USED, "Stale"),
    ],
)
def test_a_gate_that_is_not_approved_is_a_failed_step(state: RequestState, reason: str) -> None:
    world = asked(state=state)

    assert (world.step("review").state, world.step("review").reason) == ("Failed", reason)
    assert world.verdict == ("False", "StepFailed")
    assert world.states["send"] == "Skipped"


def test_a_gate_whose_request_was_deleted_is_cancelled_once_that_is_certain() -> None:
    world = asked()
    world.gates.clear()

    unsure = advance(world.observed())
    assert unsure.confirm
    assert unsure.status == world.run.status
    world.settle()

    assert (world.step("review").state, world.step("review").reason) == ("Cancelled", "Deleted")
    assert not world.gates


def test_what_is_too_long_to_be_shown_fails_the_gate() -> None:
    world = World(spec_of(*REVIEW))
    world.settle()
    world.finish("draft", {"letter": "x" * 20_000})
    world.settle()

    assert (world.step("review").state, world.step("review").reason) == ("Failed", "InputInvalid")
    assert "16384" in world.step("review").message


def test_what_can_not_be_shown_fails_the_gate() -> None:
    world = World(spec_of({"name": "ask", "approval": {"show": "${input.missing}"}}))

    world.settle()

    assert (world.step("ask").state, world.step("ask").reason) == ("Failed", "ExpressionFailed")
    assert not world.gates


def test_what_is_gone_can_not_be_shown() -> None:
    world = World(
        spec_of(
            {"name": "a"},
            {"name": "b"},
            {"name": "ask", "dependsOn": ["b"], "approval": {"show": "${steps.a.output}"}},
        )
    )
    world.settle()
    world.finish("a")
    world.settle()

    world.delete("a")
    world.finish("b")
    assert advance(world.observed()).confirm
    world.settle()

    assert (world.step("ask").state, world.step("ask").reason) == ("Failed", "OutputLost")


def test_people_are_asked_by_a_workflow_that_is_not_suspended() -> None:
    world = World(spec_of({"name": "ask", "approval": {}}))
    world.is_workflow_suspended = True

    world.settle()

    assert not world.gates
    assert world.step("ask").reason == "Suspended"


def test_a_request_that_the_api_server_refuses_is_tried_again() -> None:
    world = World(spec_of({"name": "ask", "approval": {}}))
    (create,) = advance(world.observed()).actions
    world.refuses = {create.name: "no"}

    assert world.settle().requeue_after_seconds == 15
    assert (world.step("ask").state, world.step("ask").reason) == ("Pending", "Refused")
    world.refuses = {}
    world.settle()

    assert world.step("ask").state == "Waiting"


def test_nobody_is_asked_any_more_once_the_run_has_failed() -> None:
    world = World(spec_of({"name": "ask", "approval": {}}, {"name": "a"}))
    world.settle()

    world.fail("a")
    world.settle()

    assert (world.step("ask").state, world.step("ask").reason) == ("Cancelled", "StepFailed")
    assert world.verdict == ("False", "StepFailed")
    assert world.run.status.waiting_for == ()


def test_a_gate_that_was_asked_for_but_not_recorded_is_found() -> None:
    world = World(spec_of({"name": "ask", "approval": {}}, {"name": "a", "dependsOn": ["ask"]}))
    world.act(advance(world.observed()).actions)
    world.decide("ask", RequestState.APPROVED, "bob")

    world.settle()

    assert world.states == {"ask": "Succeeded", "a": "Running"}


def test_one_gate_of_many_that_is_open_does_not_make_the_run_wait_while_others_work() -> None:
    world = World(spec_of({"name": "ask", "approval": {}}, {"name": "a"}))

    world.settle()
    assert world.verdict == ("Unknown", "Running")
    world.wait_for("a", "apr-1")
    world.settle()

    assert world.verdict == ("Unknown", "WaitingForPeople")
    assert world.run.status.waiting_for == (next(iter(world.gates)), "apr-1")
    assert (world.step("a").state, world.step("a").waiting_for) == ("Waiting", "apr-1")


def test_an_approval_without_the_time_of_it_counts_from_now() -> None:
    world = asked()
    world.decide("review", RequestState.APPROVED, "bob")
    name = next(iter(world.gates))
    world.gates[name] = replace(world.gates[name], settled_at=None)

    world.after(60).settle()

    assert world.step("review").completion_time == world.now


@pytest.mark.parametrize(
    ("message", "told"), [("not like this", "not like this"), ("", "somebody who may decide rejected it")]
)
def test_why_a_gate_was_rejected_is_told_in_the_words_of_who_did_where_there_are_any(
    message: str, told: str
) -> None:
    world = asked()
    (gate,) = world.gates.values()
    world.gates[gate.name] = replace(gate, message=message)
    world.decide("review", RequestState.REJECTED)
    world.settle()

    assert world.step("review").message == told


def test_a_gate_began_when_the_run_first_asked_and_one_that_was_not_recorded_when_it_was_made() -> None:
    world = asked()
    asked_at = world.step("review").start_time
    (gate,) = world.gates.values()
    world.gates[gate.name] = replace(gate, created_at=world.now + timedelta(seconds=7))
    world.after(9).settle()
    assert world.step("review").start_time == asked_at

    found = World(spec_of({"name": "review", "approval": {}}))
    found.act(advance(found.observed()).actions)
    (gate,) = found.gates.values()
    found.gates[gate.name] = replace(gate, created_at=found.now + timedelta(seconds=7))
    found.after(9).settle()
    assert found.step("review").start_time == gate.created_at + timedelta(seconds=7)
