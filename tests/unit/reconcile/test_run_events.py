"""What of a run's way people are told."""

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.workflow_run import WorkflowRunStatus
from aos.reconcile.run_events import run_events
from tests.unit.reconcile.make import condition


def status(
    reason: str = "", succeeded: str = "Unknown", *, suspended: bool = False, **parts: JsonValue
) -> WorkflowRunStatus:
    said: list[JsonValue] = [
        condition("Suspended", str(suspended), "Suspended" if suspended else "NotSuspended")
    ]
    if reason:
        said.append(condition("Succeeded", succeeded, reason, message="why"))
    return WorkflowRunStatus.model_validate({"conditions": said, **parts})


def told(before: WorkflowRunStatus, after: WorkflowRunStatus) -> list[tuple[str, str]]:
    return [(event.reason.value, event.note) for event in run_events(before, after)]


def step(state: str) -> list[JsonValue]:
    made: JsonObject = {
        "name": "enrich",
        "state": state,
        "reason": "AgentFailed",
        "message": "its secret words",
    }
    return [made]


def test_the_start_names_the_revision() -> None:
    assert told(status("Pending"), status("Running", revision="w-1")) == [
        ("RunStarted", "it runs revision w-1")
    ]


def test_what_keeps_it_from_starting_is_told_once() -> None:
    assert told(status(), status("Queued")) == [("Waiting", "Queued: why")]
    assert told(status("Queued"), status("Queued")) == []
    assert told(status(), status("Pending")) == []


def test_a_failed_step_is_told_once_and_without_the_agents_words() -> None:
    before, after = status(revision="w", steps=step("Running")), status(revision="w", steps=step("Failed"))
    assert told(before, after) == [("StepFailed", "step enrich failed for good: AgentFailed")]
    assert told(after, after) == []


def test_whom_it_waits_for_is_told() -> None:
    after = status(revision="w", waitingFor=["gate-1"])
    assert told(status(revision="w"), after) == [
        ("WaitingForPeople", "ApprovalRequest gate-1 is to be decided")
    ]


def test_suspending_and_resuming_are_told() -> None:
    held, free = status(revision="w", suspended=True), status(revision="w")
    assert [reason for reason, _ in told(free, held)] == ["Suspended"]
    assert [reason for reason, _ in told(held, free)] == ["Resumed"]


def test_the_end_is_told() -> None:
    open_run = status("Running", revision="w")
    assert told(open_run, status("Compensating", revision="w"))[0][0] == "Compensating"
    assert told(open_run, status("Completed", "True", revision="w", progress="1/1")) == [
        ("RunCompleted", "1/1 steps are done")
    ]
    assert told(open_run, status("StepFailed", "False", revision="w")) == [
        ("RunFailed", "StepFailed; status tells more")
    ]
