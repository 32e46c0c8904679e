"""The start of a run: what it waits for, what ends it before it has begun, and what it pins."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.meta import Condition
from aos.model.workflow_run import PinnedAgent
from aos.reconcile.run_queue import Turn
from aos.reconcile.run_start import ObservedStart, Start, lost_run, start_run
from aos.workflow.template import MAX_RENDERED_BYTES
from tests.unit.reconcile.flows import able, run, workflow
from tests.unit.reconcile.make import NOW, condition

READY = ObservedStart(
    run=run(),
    workflow=workflow(),
    agents={"enricher": able()},
    revisions=frozenset({"workflow-outreach-1", "enricher-1", "other-1"}),
)
CAPABLE: JsonObject = {"steps": [{"name": "enrich", "capability": "research"}]}


def succeeded(start: Start) -> tuple[str, str]:
    found = next(item for item in start.status.conditions if item.type == "Succeeded")
    return found.status.value, found.reason


def message(start: Start) -> str:
    return next(item.message for item in start.status.conditions if item.type == "Succeeded")


def test_a_run_pins_the_revisions_of_its_workflow_and_its_agents() -> None:
    start = start_run(READY, NOW)
    assert start.has_started
    assert succeeded(start) == ("Unknown", "Running")
    assert start.status.revision == "workflow-outreach-1"
    assert start.status.agents == (PinnedAgent(agent="enricher", revision="enricher-1"),)
    assert start.status.start_time == NOW


@pytest.mark.parametrize("reason", ["CredentialsMissing", "NotObserved"])
def test_a_run_starts_although_a_webhook_of_its_workflow_has_no_key(reason: str) -> None:
    status: JsonObject = {
        "revision": "workflow-outreach-1",
        "conditions": [condition("Ready", "Unknown" if reason == "NotObserved" else "False", reason)],
        "observedGeneration": 1,
    }
    assert start_run(replace(READY, workflow=workflow(status=status)), NOW).has_started


def test_a_capability_is_pinned_as_the_one_agent_that_offers_it_and_is_ready() -> None:
    agents = {"enricher": able(capabilities=["research"]), "other": able("other", "other-1")}
    start = start_run(replace(READY, workflow=workflow(CAPABLE), agents=agents), NOW)
    assert start.status.agents == (
        PinnedAgent(agent="enricher", revision="enricher-1", capability="research"),
    )


def test_nobody_guesses_between_two_agents() -> None:
    agents = {
        "enricher": able(capabilities=["research"]),
        "other": able("other", "other-1", capabilities=["research"]),
    }
    start = start_run(replace(READY, workflow=workflow(CAPABLE), agents=agents), NOW)
    assert succeeded(start) == ("Unknown", "CapabilityAmbiguous")
    assert "enricher, other" in message(start)
    assert not start.status.revision


def test_an_agent_that_is_not_ready_offers_nothing() -> None:
    agent = able(capabilities=["research"])
    status = agent.status.model_copy(update={"conditions": ()})
    start = start_run(
        replace(
            READY,
            workflow=workflow(CAPABLE),
            agents={"enricher": agent.model_copy(update={"status": status})},
        ),
        NOW,
    )
    assert succeeded(start) == ("Unknown", "CapabilityNotFound")
    assert (
        message(start)
        == "step enrich: no Agent that offers research is ready: enricher has not been looked at yet"
    )


def test_why_no_agent_that_offers_a_capability_is_ready_is_told_of_each() -> None:
    agents = {}
    for name in ("a", "b", "c", "d"):
        agent = able(name, f"{name}-1", capabilities=["research"])
        held = condition("Ready", "False", "PolicyNotEnforced", message="a replica is behind")
        status = agent.status.model_copy(update={"conditions": (Condition.model_validate(held),)})
        agents[name] = agent.model_copy(update={"status": status})
    start = start_run(replace(READY, workflow=workflow(CAPABLE), agents=agents), NOW)
    assert message(start).startswith(
        "step enrich: no Agent that offers research is ready:"
        " a is not ready (PolicyNotEnforced: a replica is behind); b is not ready"
    )
    assert message(start).endswith("; and 1 more")
    nobody = start_run(replace(READY, workflow=workflow(CAPABLE), agents={}), NOW)
    assert message(nobody) == (
        "step enrich: no Agent offers research; add it to spec.capabilities of the one that does it"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"workflow": None}, "WorkflowNotFound"),
        ({"workflow": workflow(status={})}, "WorkflowNotReady"),
        ({"workflow": workflow(meta={"generation": 2})}, "WorkflowNotReady"),
        (
            {"workflow": workflow(status={"conditions": [condition("Ready", "False", "NotAccepted")]})},
            "WorkflowNotReady",
        ),
        ({"revisions": frozenset({"enricher-1"})}, "WorkflowNotReady"),
        ({"revisions": frozenset({"workflow-outreach-1"})}, "AgentNotFound"),
        ({"agents": {}}, "AgentNotFound"),
        ({"agents": {"enricher": able(revision="")}}, "AgentNotFound"),
        ({"turn": Turn.WAIT}, "Queued"),
        ({"run": run({"suspend": True})}, "Pending"),
        ({"workflow": workflow({"suspend": True})}, "Pending"),
    ],
)
def test_a_run_waits_for_what_is_not_there_yet(changes: dict[str, object], reason: str) -> None:
    start = start_run(replace(READY, **changes), NOW)  # type: ignore[arg-type]
    assert succeeded(start) == ("Unknown", reason)
    assert not start.has_started
    assert not start.status.revision
    # It has an hour from when it was made, ten seconds ago.
    assert start.look_again_seconds == 3590


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run": run({"cancel": True})}, "Cancelled"),
        ({"is_parent_over": True}, "ParentEnded"),
        ({"turn": Turn.SKIP}, "TooManyRuns"),
        ({"turn": Turn.MAKE_WAY}, "Replaced"),
    ],
)
def test_a_run_that_is_not_to_start_ends_at_once(changes: dict[str, object], reason: str) -> None:
    start = start_run(replace(READY, **changes), NOW)  # type: ignore[arg-type]
    assert succeeded(start) == ("False", reason)
    assert start.status.completion_time == NOW
    assert start.look_again_seconds is None


@pytest.mark.parametrize("timeout", ["1m", "2h"])
def test_a_run_that_never_got_to_start_ends_in_time_and_says_what_it_waited_for(timeout: str) -> None:
    observed = replace(READY, workflow=workflow({"timeout": timeout}), agents={})
    start = start_run(observed, NOW + timedelta(minutes=1))
    if timeout == "2h":
        assert succeeded(start) == ("Unknown", "AgentNotFound")
    else:
        assert succeeded(start) == ("False", "TimedOut")
        assert "there is no Agent enricher" in message(start)


def test_what_does_not_fit_the_input_schema_ends_the_run_and_is_not_quoted() -> None:
    properties: dict[str, JsonValue] = {"lead": {"type": "integer"}}
    schema: JsonObject = {"schema": {"type": "object", "properties": properties}}
    start = start_run(replace(READY, workflow=workflow({"input": schema})), NOW)
    assert succeeded(start) == ("False", "InputInvalid")
    assert "lead" in message(start)
    assert "Ada" not in message(start)


def test_attack_20_a_run_whose_input_leaves_no_room_for_what_becomes_of_it_is_not_started() -> None:
    fits, large = (
        start_run(replace(READY, run=run({"input": {"x": "y" * (MAX_RENDERED_BYTES - rest)}})), NOW)
        for rest in (8, 7)
    )
    assert fits.has_started
    assert succeeded(large) == ("False", "InputInvalid")
    assert "give at most 262144" in message(large)


def test_suspending_is_told_and_so_is_its_end() -> None:
    held = start_run(replace(READY, run=run({"suspend": True})), NOW).status
    assert next((item.type, item.status.value) for item in held.conditions) == ("Suspended", "True")
    resumed = start_run(READY, NOW).status
    assert next((item.type, item.status.value) for item in resumed.conditions) == ("Suspended", "False")


def test_a_run_whose_revision_is_gone_ends_lost() -> None:
    status = lost_run(
        run(status={"revision": "workflow-outreach-1", "waitingFor": ["gate-1"]}), "it was removed", NOW
    )
    assert status.completion_time == NOW
    assert status.waiting_for == ()
    assert [item.reason for item in status.conditions] == ["NotSuspended", "RevisionLost"]
