"""What a Task does about pods that are there already."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.task import Task
from aos.reconcile.claim import Hold, Spare
from aos.reconcile.observed_pod import Claim, ObservedPod, PodOwner, PodPhase
from aos.reconcile.plan import Deletion
from aos.reconcile.task import reconcile_task
from aos.reconcile.task_step import ObservedTask
from tests.unit.reconcile.make import (
    CREATED,
    NOW,
    SETTINGS,
    condition,
    conditions_of,
    message_of,
    observed_task,
    ready_agent,
    running_status,
    task,
)

SERVICE = ready_agent({"runtime": {"mode": "Service"}})
WARM = ready_agent({"runtime": {"warm": 1}})
OURS = Claim("t1", "t1-uid")
OTHERS = Claim("t0", "t0-uid")


def spare_pod(agent: Agent, name: str = "p1", **more: object) -> ObservedPod:
    base = ObservedPod(
        name=name,
        uid=f"{name}-uid",
        version="7",
        agent="enricher",
        agent_uid="enricher-uid",
        owner=PodOwner.SERVICE if agent is SERVICE else PodOwner.AGENT,
        service_account="aos-agent-enricher",
        revision=agent.status.revision,
        phase=PodPhase.RUNNING,
        is_running=True,
        is_ready=True,
        created_at=CREATED,
        started_at=CREATED,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def waiting(agent: Agent, *spares: ObservedPod, hold: Hold = Hold.FREE, **changes: object) -> ObservedTask:
    known: Mapping[str, object] = {"spares": tuple(Spare(pod, hold) for pod in spares)}
    revisions = frozenset({agent.status.revision})
    return observed_task(agent=agent, revisions=revisions, **{**known, **changes})  # type: ignore[arg-type]


def recorded(agent: Agent, pod: ObservedPod, item: Task | None = None) -> ObservedTask:
    status = running_status("Running", "True", pod={"name": pod.name, "uid": pod.uid})
    status["revision"] = agent.status.revision
    revisions = frozenset({agent.status.revision})
    return observed_task(item or task(status=status), [pod], agent=agent, revisions=revisions)


@pytest.mark.parametrize("agent", [SERVICE, WARM], ids=["service", "warm"])
def test_a_free_pod_is_claimed_against_the_version_that_was_seen(agent: Agent) -> None:
    pod = spare_pod(agent, restarts=2)
    plan = reconcile_task(waiting(agent, pod), SETTINGS, NOW)
    assert plan.claim is not None
    assert plan.claim.pod == pod
    assert plan.claim.patch == {"metadata": {"annotations": {"aos.dev/claim": "t1/t1-uid/2"}}}
    assert (plan.create, plan.status) == (None, None)


@pytest.mark.parametrize("agent", [SERVICE, WARM], ids=["service", "warm"])
def test_a_pod_that_is_claimed_for_it_is_recorded_before_anything_else_is_looked_at(agent: Agent) -> None:
    pod = spare_pod(agent, claim=OURS)
    seen = replace(waiting(agent, spare_pod(agent, "p2")), pods=[pod])
    suspended = replace(
        seen, agent=agent.model_copy(update={"spec": agent.spec.model_copy(update={"suspend": True})})
    )
    for observed in (seen, suspended):
        plan = reconcile_task(observed, SETTINGS, NOW)
        assert plan.claim is None
        assert plan.status is not None
        assert plan.status["pod"] == {"name": "p1", "uid": "p1-uid"}
        assert plan.status["revision"] == agent.status.revision


UNFIT: Mapping[str, Mapping[str, object]] = {
    "not ready": {"is_ready": False},
    "to go": {"is_deleting": True},
    "ended": {"phase": PodPhase.FAILED},
    "of another revision": {"revision": "enricher-00000000"},
    "of another account": {"service_account": "default"},
    "made for an Agent of the same name before": {"agent_uid": "another"},
    "nobody's": {"owner": PodOwner.OTHER},
    "a Task's": {"owner": PodOwner.TASK},
}


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_a_pod_is_not_free_that_is(change: Mapping[str, object]) -> None:
    plan = reconcile_task(waiting(SERVICE, spare_pod(SERVICE, **change)), SETTINGS, NOW)  # type: ignore[arg-type]
    assert plan.claim is None
    assert conditions_of(plan)["Started"] == ("False", "WaitingForCapacity")
    plan = reconcile_task(waiting(WARM, spare_pod(WARM, **change)), SETTINGS, NOW)  # type: ignore[arg-type]
    assert plan.claim is None
    assert plan.create is not None


@pytest.mark.parametrize("hold", [Hold.HELD, Hold.SPENT, Hold.LOST])
def test_a_pod_of_a_service_is_taken_over_only_after_a_result(hold: Hold) -> None:
    pod = spare_pod(SERVICE, claim=OTHERS)
    assert reconcile_task(waiting(SERVICE, pod, hold=hold), SETTINGS, NOW).claim is None
    assert reconcile_task(waiting(SERVICE, pod), SETTINGS, NOW).claim is not None


def test_a_warm_pod_that_was_claimed_is_never_claimed_again() -> None:
    plan = reconcile_task(waiting(WARM, spare_pod(WARM, claim=OTHERS)), SETTINGS, NOW)
    assert plan.claim is None
    assert plan.create is not None


def test_a_task_of_a_service_leaves_pods_to_those_ahead_of_it() -> None:
    pods = [spare_pod(SERVICE, "p1"), spare_pod(SERVICE, "p2", created_at=NOW)]
    chosen = []
    for ahead in (0, 1):
        plan = reconcile_task(waiting(SERVICE, *pods, ahead=ahead), SETTINGS, NOW)
        assert plan.claim is not None
        chosen.append(plan.claim.pod.name)
    # The newest first, since older ones go first when the Service changes.
    assert chosen == ["p2", "p1"]
    plan = reconcile_task(waiting(SERVICE, *pods, ahead=2), SETTINGS, NOW)
    assert plan.claim is None
    assert "fewer than 10 Tasks are ahead" in message_of(plan, "Started")


def test_a_task_that_got_no_pod_of_a_service_in_time_says_so() -> None:
    plan = reconcile_task(waiting(SERVICE), SETTINGS, CREATED + timedelta(minutes=10))
    assert conditions_of(plan)["Succeeded"] == ("False", "WaitingForCapacity")


def test_a_task_that_is_pinned_to_another_revision_than_the_services_ends() -> None:
    pinned = waiting(SERVICE, spare_pod(SERVICE), task=task(spec={"revision": "enricher-00000000"}))
    plan = reconcile_task(pinned, SETTINGS, NOW)
    assert conditions_of(plan)["Succeeded"] == ("False", "RevisionLost")
    same = waiting(SERVICE, spare_pod(SERVICE), task=task(spec={"revision": SERVICE.status.revision}))
    assert reconcile_task(same, SETTINGS, NOW).claim is not None


def test_a_warm_pod_becomes_the_tasks_own_once_it_is_recorded() -> None:
    pod = spare_pod(WARM, claim=OURS, started_at=NOW - timedelta(seconds=1000))
    plan = reconcile_task(recorded(WARM, pod), SETTINGS, NOW)
    assert plan.adopt is not None
    metadata: JsonValue = plan.adopt.patch["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["ownerReferences"] == [
        {"apiVersion": "aos.dev/v1alpha1", "kind": "Task", "name": "t1", "uid": "t1-uid", "controller": True}
    ]
    assert metadata["annotations"] == {"aos.dev/task-uid": "t1-uid"}
    # It counts from the start of the pod, 1,000 s ago; 590 s are left, and people may take seven days.
    assert plan.adopt.patch["spec"] == {"activeDeadlineSeconds": 1000 + 590 + 604_800 + 30}
    own = replace(pod, owner=PodOwner.TASK, owner_uid="t1-uid")
    assert reconcile_task(recorded(WARM, own), SETTINGS, NOW).adopt is None
    assert reconcile_task(recorded(SERVICE, spare_pod(SERVICE, claim=OURS)), SETTINGS, NOW).adopt is None


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"last_exit_code": 137, "last_out_of_memory": True}, "OutOfMemory"),
        ({"last_exit_code": 0}, "NoResult"),
        ({"last_exit_code": 3, "last_ending": "exit code 3"}, "PodFailed"),
    ],
)
def test_what_a_container_began_before_it_was_started_anew_is_not_begun_again(
    last: Mapping[str, object], reason: str
) -> None:
    pod = spare_pod(SERVICE, claim=replace(OURS, restarts=1), restarts=2, **last)  # type: ignore[arg-type]
    plan = reconcile_task(recorded(SERVICE, pod), SETTINGS, NOW)
    assert conditions_of(plan)["Succeeded"] == ("False", reason)
    if reason != "OutOfMemory":
        log = "`kubectl logs p1 -n sales -c agent --previous` shows what it wrote"
        assert message_of(plan, "Succeeded").endswith(log)
    before = replace(pod, restarts=1)
    assert conditions_of(reconcile_task(recorded(SERVICE, before), SETTINGS, NOW)) == {}


def test_a_pod_of_a_service_that_is_to_go_keeps_its_task_until_it_ends() -> None:
    pod = spare_pod(SERVICE, claim=OURS, is_deleting=True)
    assert conditions_of(reconcile_task(recorded(SERVICE, pod), SETTINGS, NOW)) == {}
    ended = replace(pod, phase=PodPhase.SUCCEEDED)
    plan = reconcile_task(recorded(SERVICE, ended), SETTINGS, NOW)
    assert conditions_of(plan)["Succeeded"] == ("False", "PodLost")


def ended_with(reason: str, result: JsonObject | None = None) -> Task:
    status: JsonObject = {
        **running_status("Running", "True", pod={"name": "p1", "uid": "p1-uid"}),
        "completionTime": "2026-01-02T03:04:05Z",
        "conditions": [condition("Succeeded", "False", reason)],
    }
    return task(status={**status, "result": result} if result else status)


def test_the_pod_of_a_service_stays_after_a_result_and_goes_after_any_other_end() -> None:
    pod = spare_pod(SERVICE, claim=OURS)
    failed: JsonObject = {"outcome": "Failed", "time": "2026-01-02T03:04:04Z"}
    done = recorded(SERVICE, pod, ended_with("AgentFailed", failed))
    late = NOW + timedelta(days=1)
    assert reconcile_task(done, SETTINGS, late).delete == ()
    overdue = recorded(SERVICE, pod, ended_with("DeadlineExceeded"))
    assert reconcile_task(overdue, SETTINGS, NOW).delete == (Deletion("Pod", "p1", "p1-uid"),)
    elsewhere = recorded(SERVICE, replace(pod, claim=OTHERS), ended_with("DeadlineExceeded"))
    assert reconcile_task(elsewhere, SETTINGS, NOW).delete == ()


def test_a_warm_pod_that_was_claimed_and_not_recorded_goes_once_another_is() -> None:
    kept, stray = spare_pod(WARM, "p1", claim=OURS), spare_pod(WARM, "p2", claim=OURS)
    plan = reconcile_task(replace(recorded(WARM, kept), pods=[kept, stray]), SETTINGS, NOW)
    assert plan.delete == (Deletion("Pod", "p2", "p2-uid"),)
    kept, stray = spare_pod(SERVICE, "p1", claim=OURS), spare_pod(SERVICE, "p2", claim=OURS)
    assert reconcile_task(replace(recorded(SERVICE, kept), pods=[kept, stray]), SETTINGS, NOW).delete == ()


@pytest.mark.parametrize("text", ["", "t1", "t1/uid", "t1/uid/x", "/uid/0", "t1/uid/0/0"])
def test_a_claim_that_nobody_writes_so_is_none(text: str) -> None:
    assert Claim.parse(text) is None
    assert Claim.parse(str(OURS)) == OURS
