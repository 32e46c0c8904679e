"""Services, warm pods and turns on a real API server with its controllers. There is no kubelet: pods are moved by patching them."""

import pytest
from pydantic import JsonValue

from aos.kube.errors import ApiError
from aos.kube.objects import annotation_of, child, children, text, uid_of
from aos.kube.resources import AGENTS, DEPLOYMENTS, PODS, TASKS
from aos.model.base import JsonObject
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import Rig

DEPLOYMENT = "aos-agent-enricher"


def ready(restarts: int = 0, state: JsonObject | None = None) -> JsonObject:
    """Return the status of a pod that is ready to work."""
    container: JsonObject = {
        "name": "agent",
        "image": "x",
        "imageID": "",
        "ready": True,
        "restartCount": restarts,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "lastState": state or {},
    }
    return {
        "phase": "Running",
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [container],
    }


def is_going(pod: JsonObject) -> bool:
    return "deletionTimestamp" in child(pod, "metadata")


def name_of(item: JsonObject) -> str:
    return text(child(item, "metadata"), "name")


def controller_of(pod: JsonObject) -> str:
    owners = children(child(pod, "metadata"), "ownerReferences")
    return next((text(owner, "kind") for owner in owners if owner.get("controller")), "")


async def staying(rig: Rig) -> list[JsonObject]:
    return [pod for pod in await rig.all(PODS) if not is_going(pod)]


async def pods(rig: Rig, count: int) -> list[JsonObject]:
    """Wait until there are so many pods that are not to go, and return them."""
    found: list[JsonObject] = []

    async def there() -> bool:
        found[:] = await staying(rig)
        return len(found) == count

    await rig.eventually(there)
    return found


async def service(rig: Rig, replicas: int = 1, **runtime: JsonValue) -> list[JsonObject]:
    """Make the agent ``enricher`` a Service whose pods are ready, and return them."""
    await rig.sales({"runtime": {"mode": "Service", "replicas": replicas, **runtime}})
    made = await pods(rig, replicas)
    for pod in made:
        await rig.set_pod(pod, ready())
    await rig.ready_agent()
    return made


async def change_agent(rig: Rig, spec: JsonObject) -> None:
    await rig.admin.merge_patch(AGENTS, "enricher", {"spec": spec}, namespace=rig.namespace)


async def gone_or_going(rig: Rig, pod: JsonObject) -> bool:
    there = await rig.get(PODS, name_of(pod))
    return not there or uid_of(there) != uid_of(pod) or is_going(there)


async def waits_for_capacity(rig: Rig, task: str) -> None:
    await rig.until(TASKS, task, "Started", "False", "WaitingForCapacity")


async def test_a_service_is_ready_once_a_pod_of_its_revision_is(running: Rig) -> None:
    await running.sales({"runtime": {"mode": "Service", "replicas": 2, "drain": "90s"}})
    made = await pods(running, 2)
    await running.until(AGENTS, "enricher", "Ready", "False", "Provisioning")
    spec = child(made[0], "spec")
    assert text(spec, "serviceAccountName") == DEPLOYMENT
    assert spec["terminationGracePeriodSeconds"] == 90
    assert spec["restartPolicy"] == "Always"
    await running.set_pod(made[0], ready())
    await running.ready_agent()


async def test_a_task_is_done_by_a_pod_of_the_service_and_the_next_one_after_it(running: Rig) -> None:
    (pod,) = await service(running)
    await running.task("t1")
    assert uid_of(await running.pod_of("t1")) == uid_of(pod)
    await running.until(TASKS, "t1", "Started", "True", "Running")
    await running.task("t2")
    await waits_for_capacity(running, "t2")
    await running.hand_in("t1")
    assert uid_of(await running.pod_of("t2")) == uid_of(pod)
    await running.until(TASKS, "t1", "Succeeded", "True", "Completed")
    assert [uid_of(item) for item in await staying(running)] == [uid_of(pod)]


async def test_no_two_tasks_are_given_one_pod(running: Rig) -> None:
    made = await service(running, replicas=3)
    for number in range(6):
        await running.task(f"t{number}")

    async def recorded() -> list[str]:
        statuses = [child(item, "status") for item in await running.all(TASKS)]
        return [text(child(status, "pod"), "uid") for status in statuses if status.get("pod")]

    async def three() -> bool:
        return len(await recorded()) == 3

    await running.eventually(three)
    await running.settled()
    assert sorted(await recorded()) == sorted(uid_of(pod) for pod in made)


async def test_the_highest_priority_and_then_the_oldest_comes_first(running: Rig) -> None:
    await service(running)
    await running.task("first")
    await running.pod_of("first")
    await running.task("low")
    await waits_for_capacity(running, "low")
    spec: JsonObject = {"agentRef": {"name": "enricher"}, "input": {"lead": "Ada"}, "priority": 5}
    await running.make(TASKS, "high", spec)
    await waits_for_capacity(running, "high")
    await running.hand_in("first")
    await running.pod_of("high")
    await waits_for_capacity(running, "low")
    await running.hand_in("high")
    await running.pod_of("low")


async def test_the_pod_of_a_task_that_ended_without_a_result_is_replaced(running: Rig) -> None:
    (pod,) = await service(running)
    await running.task("t1", deadline="2s")
    await running.until(TASKS, "t1", "Succeeded", "False", "DeadlineExceeded")
    await running.eventually(lambda: gone_or_going(running, pod))
    assert uid_of((await pods(running, 1))[0]) != uid_of(pod)


async def test_the_pod_of_a_task_that_was_cancelled_is_replaced(running: Rig) -> None:
    (pod,) = await service(running)
    await running.task("t1")
    await running.pod_of("t1")
    await running.admin.delete(TASKS, "t1", namespace=running.namespace)
    await running.eventually(lambda: gone_or_going(running, pod))


async def test_a_task_whose_container_is_started_anew_is_not_begun_again(running: Rig) -> None:
    (pod,) = await service(running)
    await running.task("t1")
    await running.pod_of("t1")
    ended: JsonObject = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    await running.set_pod(pod, ready(restarts=1, state=ended))
    await running.until(TASKS, "t1", "Succeeded", "False", "OutOfMemory")
    await running.eventually(lambda: gone_or_going(running, pod))


async def test_a_pod_that_is_to_go_keeps_its_task_and_gets_no_other(running: Rig) -> None:
    (pod,) = await service(running, drain="300s")
    # Without a node nobody waits for it to end: the API server would remove it at once.
    hold: JsonObject = {"metadata": {"finalizers": ["example.com/drain"]}}
    await running.admin.merge_patch(PODS, name_of(pod), hold, namespace=running.namespace)
    await running.task("t1")
    await running.pod_of("t1")
    await running.admin.delete(PODS, name_of(pod), namespace=running.namespace)
    await running.task("t2")
    await running.until(TASKS, "t2", "Started", "False", "AgentNotReady")
    assert await running.condition(TASKS, "t1", "Succeeded") == ("Unknown", "Running")
    await running.hand_in("t1")
    await running.until(TASKS, "t1", "Succeeded", "True", "Completed")
    (other,) = await pods(running, 1)
    await running.set_pod(other, ready())
    assert uid_of(await running.pod_of("t2")) == uid_of(other)
    free: JsonObject = {"metadata": {"finalizers": None}}
    await running.admin.merge_patch(PODS, name_of(pod), free, namespace=running.namespace)


async def test_a_pod_that_is_lost_ends_its_task(running: Rig) -> None:
    (pod,) = await service(running)
    await running.task("t1")
    await running.pod_of("t1")
    await running.admin.delete(PODS, name_of(pod), namespace=running.namespace, grace_period_seconds=0)
    await running.until(TASKS, "t1", "Succeeded", "False", "PodLost")


async def test_a_task_that_is_pinned_to_another_revision_ends(running: Rig) -> None:
    await service(running)
    spec: JsonObject = {
        "agentRef": {"name": "enricher"},
        "input": {"lead": "Ada"},
        "revision": "enricher-00000000",
    }
    await running.operator.create(TASKS, running.manifest(TASKS, "t1", spec))
    await running.until(TASKS, "t1", "Succeeded", "False", "RevisionLost")


async def test_a_service_that_is_suspended_has_no_pods_and_one_that_is_none_any_more_no_deployment(
    running: Rig,
) -> None:
    await service(running)
    await change_agent(running, {"suspend": True})
    await pods(running, 0)
    await change_agent(running, {"suspend": False, "runtime": {"mode": "OnDemand", "replicas": None}})

    async def removed() -> bool:
        return await running.get(DEPLOYMENTS, DEPLOYMENT) == {}

    await running.eventually(removed)


async def test_a_service_that_somebody_scales_is_put_right(running: Rig) -> None:
    await service(running)
    scale: JsonObject = {"spec": {"replicas": 4}}
    await running.admin.merge_patch(
        DEPLOYMENTS, DEPLOYMENT, scale, namespace=running.namespace, subresource="scale"
    )

    async def restored() -> bool:
        return child(await running.get(DEPLOYMENTS, DEPLOYMENT), "spec").get("replicas") == 1

    await running.eventually(restored)


async def test_attack_30_a_services_deployment_is_nobody_elses(running: Rig) -> None:
    await service(running)
    image: JsonObject = {"spec": {"template": {"metadata": {"annotations": {"mine": "yes"}}}}}
    with pytest.raises(ApiError, match="belong to agents"):
        await running.admin.merge_patch(DEPLOYMENTS, DEPLOYMENT, image, namespace=running.namespace)


async def warm(rig: Rig, count: int) -> list[JsonObject]:
    """Make the agent ``enricher`` one with so many warm pods, and return them."""
    await rig.sales({"runtime": {"warm": count}})
    made = await pods(rig, count)
    for pod in made:
        await rig.set_pod(pod, ready())
    await rig.ready_agent()
    return made


async def test_a_warm_pod_is_claimed_made_the_tasks_own_and_replaced(running: Rig) -> None:
    (kept,) = await warm(running, 1)
    assert controller_of(kept) == "Agent"
    await running.task("t1")
    assert uid_of(await running.pod_of("t1")) == uid_of(kept)

    async def adopted() -> bool:
        return controller_of(await running.get(PODS, name_of(kept))) == "Task"

    await running.eventually(adopted)
    pod = await running.get(PODS, name_of(kept))
    assert annotation_of(pod, "aos.dev/task-uid") == uid_of(await running.get(TASKS, "t1"))
    assert int(str(child(pod, "spec")["activeDeadlineSeconds"])) > 0
    other = next(item for item in await pods(running, 2) if uid_of(item) != uid_of(kept))
    assert controller_of(other) == "Agent"
    await running.set_pod(other, ready())
    await running.hand_in("t1")
    await running.until(TASKS, "t1", "Succeeded", "True", "Completed")
    await running.task("t2")
    assert uid_of(await running.pod_of("t2")) == uid_of(other)


async def test_warm_pods_go_when_the_revision_changes_and_when_the_agent_is_suspended(running: Rig) -> None:
    (old,) = await warm(running, 1)
    await change_agent(running, {"instructions": "Other."})
    await running.eventually(lambda: gone_or_going(running, old))
    (new,) = await pods(running, 1)
    assert annotation_of(new, "aos.dev/revision") != annotation_of(old, "aos.dev/revision")
    await change_agent(running, {"suspend": True})
    await pods(running, 0)


async def test_a_warm_pod_of_a_cancelled_task_goes_with_it(running: Rig) -> None:
    (kept,) = await warm(running, 1)
    await running.task("t1")
    await running.pod_of("t1")
    await running.admin.delete(TASKS, "t1", namespace=running.namespace)
    await running.eventually(lambda: gone_or_going(running, kept))


async def test_attack_30_nobody_makes_a_warm_pod_their_own(running: Rig) -> None:
    (kept,) = await warm(running, 1)
    task = await running.task("t1")
    stolen: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Task",
        "name": "t1",
        "uid": uid_of(task),
        "controller": True,
    }
    await running.pod_of("t1")
    patches: list[JsonObject] = [
        {"ownerReferences": [stolen]},
        {"annotations": {"aos.dev/claim": f"t1/{uid_of(task)}/0"}},
        {"annotations": {"aos.dev/agent-uid": "another"}},
    ]
    other = next(item for item in await pods(running, 2) if uid_of(item) != uid_of(kept))
    for patch in patches:
        with pytest.raises(ApiError, match="nobody changes those pods"):
            await running.admin.merge_patch(
                PODS, name_of(other), {"metadata": patch}, namespace=running.namespace
            )


async def test_no_more_pods_of_tasks_run_than_may_and_the_next_comes_when_one_ends(
    rig: Rig, gateway: FakeGateway
) -> None:
    assert not gateway.paused
    async with operating(rig.settings.model_copy(update={"max_task_pods": 1, "finished_pod_seconds": 0})):
        await rig.eventually(rig.is_leading)
        await rig.sales()
        await rig.ready_agent()
        await rig.task("t1")
        await rig.pod_of("t1")
        await rig.task("t2")
        await waits_for_capacity(rig, "t2")
        assert len(await staying(rig)) == 1
        await rig.hand_in("t1")
        await rig.pod_of("t2")


async def test_a_new_operator_goes_on_with_what_was_claimed(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)
        (pod,) = await service(rig)
        await rig.task("t1")
        await rig.pod_of("t1")
    await rig.task("t2")
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)
        await waits_for_capacity(rig, "t2")
        await rig.hand_in("t1")
        assert uid_of(await rig.pod_of("t2")) == uid_of(pod)


async def test_the_pod_of_a_task_that_was_cancelled_while_no_operator_ran_is_replaced(
    rig: Rig, gateway: FakeGateway
) -> None:
    assert not gateway.paused
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)
        (pod,) = await service(rig)
        await rig.task("t1")
        await rig.pod_of("t1")
    await rig.admin.delete(TASKS, "t1", namespace=rig.namespace)
    async with operating(rig.settings):
        await rig.eventually(lambda: gone_or_going(rig, pod))
