"""Every way a Task can go, as state in, state out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from aos.model.base import JsonObject
from aos.model.condition_docs import CONDITIONS
from aos.model.conditions import ConditionType, Reason
from aos.model.structural import MAX_INPUT_BYTES
from aos.model.task import Task, TaskStatus
from aos.reconcile.guard import Guard
from aos.reconcile.observed_pod import ObservedNode, ObservedPod
from aos.reconcile.plan import Deletion, Plan
from aos.reconcile.settings import Platform
from aos.reconcile.task import reconcile_task
from aos.reconcile.task_step import ObservedTask, Rejection
from aos.reconcile.turns import Shortage, Turn
from tests.unit.reconcile.make import (
    CREATED,
    NOW,
    POD_UID,
    SETTINGS,
    agent,
    condition,
    conditions_of,
    message_of,
    node,
    observed_task,
    pod,
    pod_name,
    ready_agent,
    running_status,
    task,
)

LATE = CREATED + timedelta(minutes=10)
RUNNING = running_status("Running", "True")
STARTING = running_status()


def result(outcome: str, reason: str = "", message: str = "") -> JsonObject:
    return {"outcome": outcome, "reason": reason, "message": message, "time": "2026-01-02T03:04:04Z"}


@dataclass(frozen=True)
class Row:
    says: str
    observed: ObservedTask
    started: tuple[str, str]
    succeeded: tuple[str, str]
    message: str = ""
    late: bool = False
    requeue: float | None = field(default=None)


waiting = observed_task


def away_for(seconds: int) -> Mapping[str, ObservedNode]:
    return {"node-1": node(is_ready=False, since=NOW - timedelta(seconds=seconds))}


def running(*pods: ObservedPod, status: JsonObject | None = None, **changes: object) -> ObservedTask:
    return observed_task(task(status=status or RUNNING), pods=pods, **changes)


NOT_READY = agent(
    status={
        "conditions": [condition("Ready", "False", "NotEnforced", message="no gateway")],
        "observedGeneration": 1,
    }
)

OPEN: Sequence[Row] = (
    Row(
        "its agent does not exist",
        waiting(agent=None),
        ("False", "AgentNotFound"),
        ("Unknown", "Pending"),
        "no Agent enricher",
    ),
    Row(
        "its agent is being deleted",
        waiting(agent=agent(meta={"deletionTimestamp": "2026-01-02T03:04:05Z"})),
        ("False", "AgentNotFound"),
        ("Unknown", "Pending"),
    ),
    Row(
        "its agent is suspended",
        waiting(agent=ready_agent({"suspend": True})),
        ("False", "AgentSuspended"),
        ("Unknown", "Pending"),
    ),
    Row(
        "its agent is not ready",
        waiting(agent=NOT_READY),
        ("False", "AgentNotReady"),
        ("Unknown", "Pending"),
        "NotEnforced: no gateway",
    ),
    Row(
        "its agent was not looked at",
        waiting(agent=agent()),
        ("False", "AgentNotReady"),
        ("Unknown", "Pending"),
        "not been looked at",
    ),
    Row(
        "the agent's status is of an older generation",
        waiting(
            agent=agent(
                meta={"generation": 2},
                status=ready_agent().status.model_dump(mode="json", by_alias=True, exclude_none=True),
            )
        ),
        ("False", "AgentNotReady"),
        ("Unknown", "Pending"),
    ),
    Row(
        "its revision is not on record yet",
        waiting(revisions=frozenset()),
        ("False", "AgentNotReady"),
        ("Unknown", "Pending"),
        "revision",
    ),
    Row(
        "agents are not guarded",
        waiting(guard=Guard("missing: x")),
        ("False", "AgentNotReady"),
        ("Unknown", "Pending"),
        "missing: x",
    ),
    Row(
        "the gateway has no address",
        waiting(platform=Platform()),
        ("False", "Pending"),
        ("Unknown", "Pending"),
        "no address yet",
    ),
    Row(
        "there is no authority yet",
        waiting(platform=Platform(gateway_address="1.2.3.4")),
        ("False", "Pending"),
        ("Unknown", "Pending"),
        "authority",
    ),
    Row(
        "a quota is full",
        waiting(rejection=Rejection(Reason.QUOTA_EXCEEDED, "exceeded quota: q")),
        ("False", "QuotaExceeded"),
        ("Unknown", "Pending"),
        "exceeded quota: q",
        requeue=10,
    ),
    Row(
        "the API server refuses the pod",
        waiting(rejection=Rejection(Reason.POD_REJECTED, "no")),
        ("False", "PodRejected"),
        ("Unknown", "Pending"),
        requeue=10,
    ),
    Row(
        "as many pods of Tasks run as may",
        waiting(turn=Turn(Shortage.ROOM, 3)),
        ("False", "WaitingForCapacity"),
        ("Unknown", "Pending"),
        "fewer than 10 Tasks are ahead",
    ),
    Row(
        "a quota is full and others are tried first",
        waiting(turn=Turn(Shortage.QUOTA, 0)),
        ("False", "QuotaExceeded"),
        ("Unknown", "Pending"),
        "it is next",
        requeue=10,
    ),
    Row(
        "a pod of somebody else has the name",
        waiting(pods=[pod(owner_uid="other")]),
        ("False", "PodRejected"),
        ("Unknown", "Pending"),
        "stands in the way",
        requeue=10,
    ),
    Row(
        "a pod with the name has another account",
        waiting(pods=[pod(service_account="default")]),
        ("False", "PodRejected"),
        ("Unknown", "Pending"),
        requeue=10,
    ),
    Row(
        "its unrecorded pod is being removed",
        waiting(pods=[pod(is_deleting=True)]),
        ("False", "Pending"),
        ("Unknown", "Pending"),
        "being removed",
    ),
    Row("its pod is there", waiting(pods=[pod()]), ("False", "Starting"), ("Unknown", "Pending")),
    Row(
        "no node can take the pod",
        running(pod(unschedulable="Unschedulable: 0/1 nodes"), status=STARTING),
        ("False", "Unschedulable"),
        ("Unknown", "Pending"),
        "0/1 nodes",
    ),
    Row(
        "the image can't be pulled",
        running(pod(image_problem="ErrImagePull: denied"), status=STARTING),
        ("False", "ImagePullFailed"),
        ("Unknown", "Pending"),
        "denied",
    ),
    Row(
        "the agent runs",
        running(pod("Running", is_running=True), status=STARTING),
        ("True", "Running"),
        ("Unknown", "Running"),
    ),
    Row(
        "the agent runs and its helper keeps ending",
        running(
            pod("Running", is_running=True, waiting="container aos-helper: CrashLoopBackOff"), status=STARTING
        ),
        ("True", "Running"),
        ("Unknown", "Running"),
        "container aos-helper: CrashLoopBackOff",
    ),
    Row(
        "the helper keeps ending before the agent starts",
        running(pod(waiting="container aos-helper: CrashLoopBackOff"), status=STARTING),
        ("False", "Starting"),
        ("Unknown", "Pending"),
        "container aos-helper: CrashLoopBackOff",
    ),
    Row(
        "its node is away for a moment",
        running(pod("Running", node="node-1"), status=STARTING, nodes=away_for(20)),
        ("True", "Running"),
        ("Unknown", "Running"),
        requeue=40,
    ),
    Row(
        "its node is not known yet",
        running(pod("Running", node="node-1", scheduled_at=NOW - timedelta(seconds=1)), status=STARTING),
        ("True", "Running"),
        ("Unknown", "Running"),
        requeue=59,
    ),
    Row(
        "its agent was suspended while it ran",
        running(pod("Running"), status=STARTING, agent=ready_agent({"suspend": True})),
        ("True", "Running"),
        ("Unknown", "Running"),
    ),
)


@pytest.mark.parametrize("row", OPEN, ids=lambda row: row.says)
def test_a_task_is_open_while(row: Row) -> None:
    plan = reconcile_task(row.observed, SETTINGS, NOW)
    assert conditions_of(plan) == {"Started": row.started, "Succeeded": row.succeeded}
    assert row.message in message_of(plan, "Started")
    assert plan.status is not None
    assert "completionTime" not in plan.status
    assert plan.create is None
    assert plan.requeue_after_seconds == (590 if row.requeue is None else row.requeue)


def at_deadline(says: str, observed: ObservedTask, started: str, reason: str, message: str = "") -> Row:
    return Row(says, observed, ("False", started), ("False", reason), message, late=True)


LINEAGE: JsonObject = {"lineage": [{"agent": "lead", "task": "t0", "taskUID": "t0-uid"}]}
PARENT_RAN = task(meta={"name": "t0", "uid": "t0-uid"}, status=RUNNING)
ENDED: JsonObject = {"conditions": [condition("Succeeded", "True", "Completed")]}
PARENT_ENDED = task(meta={"name": "t0", "uid": "t0-uid"}, status=ENDED)


def handed_over(parent: Task | None, status: JsonObject) -> ObservedTask:
    return replace(running(pod("Running")), parent=parent, task=task(spec=LINEAGE, status=status))


ENDS: Sequence[Row] = (
    Row(
        "the Task that handed it over has ended while it ran",
        handed_over(PARENT_ENDED, RUNNING),
        ("True", "Running"),
        ("False", "ParentEnded"),
        "Task t0 of agent lead",
    ),
    Row(
        "the Task that handed it over has ended before it started",
        waiting(task(spec=LINEAGE), parent=PARENT_ENDED),
        ("False", "Pending"),
        ("False", "ParentEnded"),
    ),
    Row(
        "it handed in its output before the Task that handed it over ended",
        handed_over(PARENT_ENDED, {**RUNNING, "result": result("Succeeded")}),
        ("True", "Running"),
        ("True", "Completed"),
    ),
    Row(
        "the agent handed in its output",
        running(status={**RUNNING, "result": result("Succeeded")}),
        ("True", "Running"),
        ("True", "Completed"),
    ),
    Row(
        "the agent reported a failure",
        running(status={**RUNNING, "result": result("Failed", "ModelRefused", "I won't")}),
        ("True", "Running"),
        ("False", "AgentFailed"),
        "ModelRefused: I won't",
    ),
    Row(
        "the agent reported a failure without a reason",
        running(status={**RUNNING, "result": result("Failed")}),
        ("True", "Running"),
        ("False", "AgentFailed"),
        "gave no reason",
    ),
    Row(
        "the input does not fit the agent's schema",
        waiting(
            agent=ready_agent({"input": {"schema": {"required": ["other"]}}}),
            revisions=frozenset(
                {ready_agent({"input": {"schema": {"required": ["other"]}}}).status.revision}
            ),
        ),
        ("False", "Pending"),
        ("False", "InputInvalid"),
        '"other" is a required property',
    ),
    Row(
        "the input is too large",
        waiting(task(spec={"input": {"lead": "x" * MAX_INPUT_BYTES}})),
        ("False", "Pending"),
        ("False", "InputInvalid"),
        "spec.input has 262155 bytes as JSON; give at most 262144",
    ),
    Row(
        "the pod ended with an error",
        running(pod("Failed", ending="exit code 1")),
        ("True", "Running"),
        ("False", "PodFailed"),
        f"exit code 1; `kubectl logs {pod_name()} -n sales -c agent` shows what it wrote, for 300 s",
    ),
    Row(
        "the pod was evicted",
        running(pod("Failed", ending="Evicted: disk")),
        ("True", "Running"),
        ("False", "PodFailed"),
        "Evicted",
    ),
    Row(
        "the pod hit its memory limit",
        running(pod("Failed", out_of_memory=True)),
        ("True", "Running"),
        ("False", "OutOfMemory"),
    ),
    Row(
        "the kubelet ended the pod",
        running(pod("Failed", overdue=True)),
        ("True", "Running"),
        ("False", "DeadlineExceeded"),
    ),
    Row("the pod handed in nothing", running(pod("Succeeded")), ("True", "Running"), ("False", "NoResult")),
    Row(
        "the pod is gone",
        running(confirmed=True),
        ("True", "Running"),
        ("False", "PodLost"),
        "was removed before it handed in",
    ),
    Row(
        "the pod ended because somebody deleted it",
        running(pod("Failed", is_deleting=True)),
        ("True", "Running"),
        ("False", "PodLost"),
    ),
    Row(
        "another pod has the name",
        running(pod("Running", uid="other"), confirmed=True),
        ("True", "Running"),
        ("False", "PodLost"),
    ),
    Row(
        "its node died",
        running(pod("Running", node_lost="DeletionByTaintManager")),
        ("True", "Running"),
        ("False", "NodeLost"),
    ),
    Row(
        "its node died and the pod failed",
        running(pod("Failed", node_lost="NodeLost")),
        ("True", "Running"),
        ("False", "NodeLost"),
    ),
    Row(
        "its node is away for long",
        running(pod("Running", node="node-1"), nodes=away_for(60)),
        ("True", "Running"),
        ("False", "NodeLost"),
        "node node-1 is not ready",
    ),
    Row(
        "its node does not exist any more",
        running(pod("Running", node="node-1", scheduled_at=NOW - timedelta(seconds=61))),
        ("True", "Running"),
        ("False", "NodeLost"),
        "does not exist",
    ),
    Row(
        "its revision was deleted",
        running(pod("Running"), revisions=frozenset()),
        ("True", "Running"),
        ("False", "RevisionLost"),
        "ControllerRevision was deleted",
    ),
    Row(
        "its agent was deleted",
        running(pod("Running"), revisions=frozenset(), agent=None),
        ("True", "Running"),
        ("False", "RevisionLost"),
        "Agent was deleted",
    ),
    Row(
        "the deadline passed while the agent ran",
        running(pod("Running")),
        ("True", "Running"),
        ("False", "DeadlineExceeded"),
        "while the agent ran",
        late=True,
    ),
    at_deadline(
        "the pod was still being started",
        running(pod(waiting="CreateContainerError: x"), status=STARTING),
        "Starting",
        "DeadlineExceeded",
        "CreateContainerError",
    ),
    at_deadline(
        "the image could not be pulled",
        running(pod(image_problem="ErrImagePull: no"), status=STARTING),
        "ImagePullFailed",
        "ImagePullFailed",
        "ErrImagePull",
    ),
    at_deadline(
        "no node could take the pod",
        running(pod(unschedulable="0/1"), status=STARTING),
        "Unschedulable",
        "Unschedulable",
    ),
    at_deadline("the agent did not appear", waiting(agent=None), "AgentNotFound", "AgentNotFound"),
    at_deadline(
        "the agent did not get ready",
        waiting(agent=NOT_READY),
        "AgentNotReady",
        "AgentNotReady",
        "until the deadline (10m)",
    ),
    at_deadline(
        "the agent stayed suspended",
        waiting(agent=ready_agent({"suspend": True})),
        "AgentSuspended",
        "AgentSuspended",
    ),
    at_deadline(
        "the quota stayed full",
        waiting(rejection=Rejection(Reason.QUOTA_EXCEEDED, "full")),
        "QuotaExceeded",
        "QuotaExceeded",
    ),
    at_deadline(
        "the pod stayed refused",
        waiting(rejection=Rejection(Reason.POD_REJECTED, "no")),
        "PodRejected",
        "PodRejected",
    ),
    at_deadline(
        "its turn did not come",
        waiting(turn=Turn(Shortage.ROOM, 3)),
        "WaitingForCapacity",
        "WaitingForCapacity",
    ),
    at_deadline(
        "the gateway had no address",
        waiting(platform=Platform()),
        "Pending",
        "DeadlineExceeded",
        "before the start",
    ),
    at_deadline(
        "nobody came to make the pod", waiting(), "Pending", "DeadlineExceeded", "before the pod was made"
    ),
)


@pytest.mark.parametrize("row", ENDS, ids=lambda row: row.says)
def test_a_task_ends_when(row: Row) -> None:
    plan = reconcile_task(row.observed, SETTINGS, LATE if row.late else NOW)
    assert conditions_of(plan) == {"Started": row.started, "Succeeded": row.succeeded}
    assert row.message in message_of(plan, "Succeeded")
    assert plan.status is not None
    assert plan.status["completionTime"] == ("2026-01-02T03:13:55Z" if row.late else "2026-01-02T03:04:05Z")
    assert plan.create is None
    assert plan.requeue_after_seconds == 0
    assert plan.events[-1].reason == ("Completed" if row.succeeded[0] == "True" else "Failed")


@pytest.mark.parametrize(
    "parent",
    [None, PARENT_RAN, task(meta={"name": "t0", "uid": "another"}, status=ENDED)],
    ids=["not known", "runs", "another of that name"],
)
def test_a_task_that_was_handed_over_goes_on_while_nothing_says_that_the_other_one_ended(
    parent: Task | None,
) -> None:
    plan = reconcile_task(handed_over(parent, RUNNING), SETTINGS, NOW)
    assert plan.status is None


def test_no_event_holds_what_a_task_is_given_or_hands_in() -> None:
    picky = ready_agent({"input": {"schema": {"properties": {"lead": {"type": "integer"}}}}})
    misfit = reconcile_task(waiting(agent=picky, revisions=frozenset({picky.status.revision})), SETTINGS, NOW)
    failed = reconcile_task(
        running(status={**RUNNING, "result": result("Failed", "Refused", "Ada")}), SETTINGS, NOW
    )
    assert conditions_of(misfit)["Succeeded"] == ("False", "InputInvalid")
    assert conditions_of(failed)["Succeeded"] == ("False", "AgentFailed")
    for plan in (misfit, failed):
        assert [event.reason for event in plan.events] == ["Failed"]
        assert "Ada" not in plan.events[0].note
    assert "/lead: the value is not of type" in message_of(misfit, "Succeeded")


def test_every_end_that_is_documented_has_a_test() -> None:
    documented = {
        reason
        for doc in CONDITIONS
        if (doc.kind, doc.type) == ("Task", ConditionType.SUCCEEDED)
        for reason in doc.reasons
    }
    tested = {row.succeeded[1] for row in (*OPEN, *ENDS)}
    assert tested == documented


def test_every_reason_of_a_start_that_is_documented_has_a_test() -> None:
    documented = {reason for doc in CONDITIONS if doc.type is ConditionType.STARTED for reason in doc.reasons}
    assert {row.started[1] for row in (*OPEN, *ENDS)} == documented


def test_a_task_whose_agent_is_ready_gets_a_pod_and_no_status_before_that_is_there() -> None:
    plan = reconcile_task(observed_task(), SETTINGS, NOW)
    assert plan.create is not None
    assert plan.create["metadata"]["name"] == pod_name()  # type: ignore[index, call-overload]
    assert plan.status is None
    assert plan.events == ()


def test_the_pod_that_was_created_is_recorded_with_its_revision() -> None:
    plan = reconcile_task(observed_task(pods=[pod()]), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["pod"] == {"name": pod_name(), "uid": POD_UID}
    assert plan.status["revision"] == ready_agent().status.revision
    assert plan.status["startTime"] == "2026-01-02T03:04:05Z"
    assert [event.reason for event in plan.events] == ["PodCreated"]


OF_RUN: JsonObject = {"name": "r1", "uid": "r", "rootUID": "r", "workflow": "w", "step": "enrich"}


def test_of_a_runs_task_only_what_is_amiss_is_told_since_its_run_tells_the_rest() -> None:
    observed = observed_task(task(spec={"run": OF_RUN}), [pod()])
    assert reconcile_task(observed, SETTINGS, NOW).events == ()
    waits = reconcile_task(replace(observed, pods=(), agent=None), SETTINGS, NOW)
    assert [event.reason for event in waits.events] == ["Waiting"]


def test_a_new_pod_is_looked_at_again_when_its_watch_tells_of_it_and_one_that_was_there_at_once() -> None:
    new = reconcile_task(observed_task(pods=[pod()]), SETTINGS, NOW).requeue_after_seconds
    assert new is not None
    assert new > 1
    for known in (pod("Running"), pod(node="worker")):
        assert reconcile_task(observed_task(pods=[known]), SETTINGS, NOW).requeue_after_seconds == 0


def test_a_pod_of_an_operator_that_died_before_the_record_is_adopted_with_the_revision_it_was_made_for() -> (
    None
):
    plan = reconcile_task(observed_task(pods=[pod("Running", revision="enricher-old")]), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["revision"] == "enricher-old"
    assert plan.create is None


def test_a_recorded_pod_is_never_made_again() -> None:
    plan = reconcile_task(running(), SETTINGS, NOW)
    assert plan == Plan(confirm=True)
    confirmed = reconcile_task(running(confirmed=True), SETTINGS, NOW)
    assert confirmed.create is None


def test_the_record_is_written_again_with_every_status_or_apply_would_drop_it() -> None:
    plan = reconcile_task(running(pod("Failed")), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["pod"] == {"name": pod_name(), "uid": POD_UID}
    assert plan.status["startTime"] == "2026-01-02T03:04:00Z"


def test_what_the_pod_ran_is_recorded_once_with_whatever_else_is_written() -> None:
    first, other = pod("Running", image_id="agent@sha256:12"), pod("Running", image_id="agent@sha256:34")
    begun = reconcile_task(running(replace(first, is_running=True), status=STARTING), SETTINGS, NOW)
    assert begun.status is not None
    assert begun.status["imageID"] == "agent@sha256:12"
    assert [event.note for event in begun.events] == ["the agent runs agent@sha256:12"]
    claimed = reconcile_task(observed_task(pods=[first]), SETTINGS, NOW)
    assert claimed.status is not None
    assert claimed.status["imageID"] == "agent@sha256:12"
    known: JsonObject = {**RUNNING, "imageID": "agent@sha256:12"}
    assert reconcile_task(running(other, status=known), SETTINGS, NOW).status is None
    done = reconcile_task(running(other, status={**known, "result": result("Succeeded")}), SETTINGS, NOW)
    assert done.status is not None
    assert done.status["imageID"] == "agent@sha256:12"
    early = reconcile_task(running(first, status={**STARTING, "result": result("Succeeded")}), SETTINGS, NOW)
    assert early.status is not None
    assert early.status["imageID"] == "agent@sha256:12"


def test_pods_that_are_not_the_recorded_one_are_removed() -> None:
    plan = reconcile_task(running(pod("Running"), pod("Running", name="stray", uid="stray")), SETTINGS, NOW)
    assert plan.delete == (Deletion("Pod", "stray", "stray"),)


def test_nothing_is_written_while_nothing_changes() -> None:
    plan = reconcile_task(running(pod("Running")), SETTINGS, NOW)
    assert plan.status is None
    assert plan.events == ()


def test_a_task_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    going = task(status=RUNNING, meta={"deletionTimestamp": "2026-01-02T03:04:05Z"})
    assert reconcile_task(observed_task(going, [pod("Running")]), SETTINGS, NOW) == Plan()


def ended(reason: str, holds: str = "False") -> Task:
    status: JsonObject = {
        **RUNNING,
        "conditions": [condition("Started", "True", "Running"), condition("Succeeded", holds, reason)],
        "completionTime": "2026-01-02T03:04:05Z",
    }
    return task(status=status)


@pytest.mark.parametrize(
    ("item", "phase", "after_seconds"),
    [
        (ended("Completed", "True"), "Running", 60),
        (ended("Completed", "True"), "Succeeded", 60),
        (ended("AgentFailed"), "Running", 300),
        (ended("PodFailed"), "Failed", 300),
        (ended("DeadlineExceeded"), "Running", 0),
        (ended("NodeLost"), "Running", 0),
        (ended("RevisionLost"), "Pending", 0),
    ],
)
def test_the_pod_of_an_ended_task_stays_for_its_logs_and_then_goes(
    item: Task, phase: str, after_seconds: int
) -> None:
    observed = observed_task(item, [pod(phase)])
    if after_seconds:
        early = reconcile_task(observed, SETTINGS, NOW)
        assert early.delete == ()
        assert early.requeue_after_seconds == after_seconds
    late = reconcile_task(observed, SETTINGS, NOW + timedelta(seconds=after_seconds))
    assert late.delete == (Deletion("Pod", pod_name(), POD_UID),)
    assert late.status is None


def test_a_log_that_is_not_kept_is_not_pointed_to() -> None:
    failed = running(pod("Failed", ending="exit code 1"))
    plan = reconcile_task(failed, replace(SETTINGS, failed_pod_seconds=0), NOW)
    assert message_of(plan, "Succeeded") == "exit code 1"


def test_an_ended_task_whose_pod_is_gone_needs_nothing() -> None:
    assert reconcile_task(observed_task(ended("Completed", "True")), SETTINGS, NOW) == Plan()
    going = observed_task(ended("Completed", "True"), [pod("Succeeded", is_deleting=True)])
    assert reconcile_task(going, SETTINGS, NOW) == Plan()


def test_an_end_never_changes() -> None:
    for row in ENDS:
        first = reconcile_task(row.observed, SETTINGS, LATE if row.late else NOW)
        status = TaskStatus.model_validate(first.status)
        after = replace(row.observed, task=row.observed.task.model_copy(update={"status": status}))
        for late in (NOW, LATE, LATE + timedelta(days=1)):
            assert reconcile_task(after, SETTINGS, late).status is None
            assert reconcile_task(after, SETTINGS, late).create is None


def test_what_holds_a_task_up_is_told_once() -> None:
    first = reconcile_task(waiting(agent=None), SETTINGS, NOW)
    assert [event.reason for event in first.events] == ["Waiting"]
    status = TaskStatus.model_validate(first.status)
    again = reconcile_task(
        waiting(agent=None, item=task().model_copy(update={"status": status})), SETTINGS, NOW
    )
    assert again.status is None
    assert again.events == ()
