from collections.abc import Mapping
from datetime import timedelta

from aos.model.approval_request import ApprovalRequest, RequestState
from aos.model.task import Task, TaskUsage
from aos.model.workflow_run import WorkflowRun
from aos.workflow.facts import gate, run_attempt, task_attempt
from tests.unit.workflow.world import START

AT = "2026-01-02T03:00:00Z"
META = {"name": "t", "namespace": "sales", "uid": "t-uid", "resourceVersion": "5", "creationTimestamp": AT}
RUN = {"name": "r", "uid": "r-uid", "rootUID": "r-uid", "workflow": "w", "step": "a", "item": 3, "attempt": 2}
LATER = "2026-01-02T03:01:00Z"


def ended(status: str, reason: str, message: str = "") -> list[dict[str, object]]:
    return [
        {
            "type": "Succeeded",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": LATER,
        }
    ]


def task(status: Mapping[str, object] | None = None, **spec: object) -> Task:
    return Task.parse(
        {
            "kind": "Task",
            "metadata": META,
            "spec": {"agentRef": {"name": "a"}, "run": RUN, **spec},
            "status": status or {},
        }
    )


def run(status: Mapping[str, object] | None = None, **spec: object) -> WorkflowRun:
    parent = {
        "run": "r",
        "runUID": "r-uid",
        "rootUID": "r-uid",
        "step": "a",
        "item": 3,
        "attempt": 2,
        "depth": 1,
    }
    said = {"workflowRef": {"name": "w"}, "parent": parent, **spec}
    return WorkflowRun.parse({"kind": "WorkflowRun", "metadata": META, "spec": said, "status": status or {}})


def test_a_task_is_the_attempt_that_it_says() -> None:
    found = task_attempt(task({"waitingFor": "apr-1", "conditions": ended("Unknown", "Running")}), START)

    assert found is not None
    assert (found.name, found.uid, found.resource_version) == ("t", "t-uid", "5")
    assert (found.step, found.item, found.number, found.created_at) == ("a", 3, 2, START)
    assert found.is_open
    assert found.waiting_for == ("apr-1",)
    assert not found.is_ending


def test_a_task_that_ended_well_has_its_output_and_usage() -> None:
    status = {
        "conditions": ended("True", "Completed"),
        "completionTime": "2026-01-02T03:00:30Z",
        "waitingFor": "apr-1",
        "result": {"outcome": "Succeeded", "output": {"x": 1}, "time": AT},
        "usage": {"calls": 3},
    }

    found = task_attempt(task(status), START)

    assert found is not None
    assert found.succeeded
    assert found.ended_at == START + timedelta(seconds=30)
    assert found.output == {"x": 1}
    assert found.usage == TaskUsage(calls=3)
    assert found.waiting_for == ()
    below = task_attempt(task(status), START, TaskUsage(calls=9))
    assert below is not None
    assert below.usage == TaskUsage(calls=9)


def test_a_task_that_failed_says_why_and_when() -> None:
    found = task_attempt(task({"conditions": ended("False", "PodLost", "it is gone")}), START)

    assert found is not None
    assert not found.succeeded
    assert (found.reason, found.message) == ("PodLost", "it is gone")
    assert found.ended_at == START + timedelta(minutes=1)


def test_a_task_with_a_result_has_not_ended_before_the_operator_says_so() -> None:
    found = task_attempt(task({"result": {"outcome": "Succeeded", "output": {}, "time": AT}}), START)

    assert found is not None
    assert found.is_open


def test_a_task_that_nobody_s_step_is_and_one_that_was_handed_over_are_no_attempts() -> None:
    ancestor = {"agent": "a", "task": "b", "taskUID": "u"}

    assert task_attempt(task(run=None), START) is None
    assert task_attempt(task(lineage=[ancestor]), START) is None


def test_a_task_that_is_being_deleted_is_ending() -> None:
    raw = task().model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["metadata"] = {**META, "deletionTimestamp": LATER}

    found = task_attempt(Task.parse(raw), START)

    assert found is not None
    assert found.is_ending


def test_a_run_below_is_the_attempt_that_it_says() -> None:
    status = {
        "waitingFor": ["gate-1", "apr-2"],
        "usage": {"calls": 2},
        "conditions": ended("Unknown", "Running"),
    }

    found = run_attempt(run(status), START)

    assert found is not None
    assert (found.step, found.item, found.number) == ("a", 3, 2)
    assert found.is_open
    assert found.waiting_for == ("gate-1", "apr-2")
    assert found.usage == TaskUsage(calls=2)
    assert not found.is_ending
    cancelled = run_attempt(run(cancel=True), START)
    assert cancelled is not None
    assert cancelled.is_ending


def test_a_run_below_that_ended_has_its_output_and_its_reason() -> None:
    good = run_attempt(run({"output": {"x": 1}, "conditions": ended("True", "Completed")}), START)
    bad = run_attempt(run({"waitingFor": ["x"], "conditions": ended("False", "StepFailed", "step a")}), START)

    assert good is not None
    assert good.succeeded
    assert good.output == {"x": 1}
    assert bad is not None
    assert (bad.succeeded, bad.reason, bad.message, bad.waiting_for) == (False, "StepFailed", "step a", ())
    assert bad.ended_at == START + timedelta(minutes=1)


def test_a_run_that_no_step_started_is_no_attempt() -> None:
    assert run_attempt(run(parent=None), START) is None


def request(state: str, condition: str, **status: object) -> ApprovalRequest:
    decisions = [
        {"approver": "bob", "verdict": "Approve", "comment": "fine"},
        {"approver": "eve", "verdict": "Approve"},
        {"approver": "mal", "verdict": "Approve", "comment": "not counted"},
    ]
    counted = [
        {"approver": name, "verdict": "Approve", "time": AT, "rules": ["x"]} for name in ("bob", "eve")
    ]
    # Looked at, and of no group that was asked.
    counted.append({"approver": "mal", "verdict": "Approve", "time": AT, "rules": []})
    return ApprovalRequest.parse(
        {
            "kind": "ApprovalRequest",
            "metadata": META,
            "spec": {
                "type": "Gate",
                "run": {"name": "r", "uid": "r-uid", "workflow": "w", "step": "a"},
                "summary": "s",
                "arguments": "{}",
                "argumentsDigest": "sha256:" + "0" * 64,
                "quorums": [{"rule": "x", "required": 2}],
                "expiresAt": LATER,
                "decisions": decisions,
            },
            "status": {
                "state": state,
                "counted": counted,
                "conditions": [
                    {
                        "type": condition,
                        "status": "True",
                        "reason": "QuorumReached",
                        "message": "said so",
                        "lastTransitionTime": LATER,
                    },
                    {
                        "type": "EnforcementActive",
                        "status": "True",
                        "reason": "Guarded",
                        "lastTransitionTime": AT,
                    },
                ],
                **status,
            },
        }
    )


def test_a_gate_that_was_approved_has_those_whose_word_counts() -> None:
    found = gate(request("Approved", "Approved"), "a", START)

    assert found.state is RequestState.APPROVED
    assert found.approvals == (("bob", "fine"), ("eve", ""))
    assert found.settled_at == START + timedelta(minutes=1)
    assert found.is_enforced
    assert (found.name, found.step, found.created_at) == ("t", "a", START)


def test_an_approval_that_the_decisions_do_not_bear_out_does_not_count() -> None:
    lone = [{"approver": "bob", "verdict": "Approve", "time": AT, "rules": ["x"]}]

    found = gate(request("Approved", "Approved", counted=lone), "a", START)

    assert not found.is_enforced


def test_a_gate_that_was_rejected_says_why() -> None:
    found = gate(request("Rejected", "Rejected"), "a", START)

    assert (found.state, found.message) == (RequestState.REJECTED, "said so")


def test_a_gate_that_is_open_is_not_settled_nor_enforced_before_the_operator_looked() -> None:
    found = gate(request("Pending", "Approved", conditions=[]), "a", START)

    assert found.settled_at is None
    assert not found.is_enforced


def test_an_attempt_was_made_when_the_api_server_says_so_and_before_it_has_said_so_now() -> None:
    made, now = task(), START + timedelta(seconds=7)
    unstamped = made.model_copy(
        update={"metadata": made.metadata.model_copy(update={"creation_timestamp": None})}
    )
    found = [task_attempt(item, now) for item in (made, unstamped)]
    assert [item.created_at for item in found if item is not None] == [START, now]
