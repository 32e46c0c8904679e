from datetime import datetime

import pytest
from pydantic import JsonValue, ValidationError

from aos.model.base import JsonObject
from aos.reconcile.observed_pod import Claim, PodOwner, PodPhase, observe_node, observe_pod
from aos.reconcile.pod import PodMaker, pod
from tests.unit.reconcile.make import PLATFORM, SETTINGS, ready_agent, task


def stored(status: JsonObject, *, node: str = "", deleting: bool = False) -> JsonObject:
    raw = pod(task(), ready_agent(), "enricher-1", SETTINGS, PLATFORM, 60)
    spec, metadata = raw["spec"], raw["metadata"]
    assert isinstance(spec, dict)
    assert isinstance(metadata, dict)
    more: JsonObject = {"deletionTimestamp": "2026-01-02T03:04:05Z"} if deleting else {}
    where: JsonObject = {"nodeName": node} if node else {}
    return {**raw, "metadata": {**metadata, "uid": "u1", **more}, "spec": {**spec, **where}, "status": status}


def container(state: JsonObject) -> JsonObject:
    return {"phase": "Pending", "containerStatuses": [{"name": "agent", "state": state}]}


def test_a_new_pod_tells_whose_it_is() -> None:
    found = observe_pod(stored({"phase": "Pending"}))
    assert (found.task, found.owner_uid, found.uid) == ("t1", "t1-uid", "u1")
    assert (found.service_account, found.revision) == ("aos-agent-enricher", "enricher-1")
    assert found.phase is PodPhase.PENDING
    assert not found.has_ended
    assert not found.is_running


def test_a_pod_that_was_made_before_it_had_a_task_tells_for_whom_and_for_which_task_it_is_claimed() -> None:
    raw = PodMaker(ready_agent(), "enricher-1", SETTINGS, PLATFORM).kept_warm("w")
    found = observe_pod(raw)
    assert (found.owner, found.agent, found.agent_uid) == (PodOwner.AGENT, "enricher", "enricher-uid")
    assert (found.claim, found.done_by) == (None, "")
    assert found.was_made_for("enricher-uid")
    assert not found.was_made_for("")
    metadata = raw["metadata"]
    assert isinstance(metadata, dict)
    assert isinstance(metadata["annotations"], dict)
    annotations: JsonObject = {**metadata["annotations"], "aos.dev/claim": "t1/t1-uid/2"}
    claimed = observe_pod({**raw, "metadata": {**metadata, "annotations": annotations}})
    assert (claimed.claim, claimed.done_by) == (Claim("t1", "t1-uid", 2), "t1")
    assert claimed.is_for("t1-uid")
    assert not claimed.is_for("enricher-uid")


def test_how_a_container_ended_before_it_was_started_anew_is_told() -> None:
    status: JsonObject = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "agent",
                "restartCount": 3,
                "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            }
        ],
    }
    found = observe_pod(stored(status))
    assert (found.is_ready, found.restarts, found.last_exit_code) == (True, 3, 137)
    assert found.last_ending == "exit code 137; OOMKilled"
    assert found.last_out_of_memory
    assert not found.out_of_memory


def test_what_the_agents_container_runs_is_told_as_the_node_says_it() -> None:
    status: JsonObject = {
        "containerStatuses": [
            {"name": "agent", "imageID": "registry.example/team/agent@sha256:12", "state": {"running": {}}}
        ],
        "initContainerStatuses": [{"name": "aos-helper", "imageID": "registry.example/aos@sha256:34"}],
    }
    assert observe_pod(stored(status)).image_id == "registry.example/team/agent@sha256:12"
    assert observe_pod(stored({})).image_id == ""


def test_a_pod_without_a_status_is_pending() -> None:
    assert observe_pod(stored({})).phase is PodPhase.PENDING


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"]
)
def test_an_image_that_can_not_be_pulled_is_told(reason: str) -> None:
    found = observe_pod(stored(container({"waiting": {"reason": reason, "message": "denied"}})))
    assert found.image_problem == f"container agent: {reason}: denied"
    assert found.waiting == ""


def test_another_hindrance_is_told_and_mere_creation_is_none() -> None:
    hindered = observe_pod(stored(container({"waiting": {"reason": "CreateContainerError", "message": "x"}})))
    assert hindered.waiting == "container agent: CreateContainerError: x"
    assert hindered.image_problem == ""
    assert observe_pod(stored(container({"waiting": {"reason": "ContainerCreating"}}))).waiting == ""


LOOP: JsonObject = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
ENDED: JsonObject = {"terminated": {"exitCode": 1, "reason": "Error", "message": "secret words"}}


@pytest.mark.parametrize(
    ("helper", "image_problem", "waiting"),
    [
        ({"state": {"waiting": {"reason": "PodInitializing"}}}, "", ""),
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}},
            "container aos-helper: ImagePullBackOff: not found",
            "",
        ),
        (
            {"state": {"waiting": {"reason": "CreateContainerError", "message": "x"}}},
            "",
            "container aos-helper: CreateContainerError: x",
        ),
        (
            {"state": {"waiting": LOOP}, "lastState": ENDED, "restartCount": 9},
            "",
            "container aos-helper: CrashLoopBackOff: back-off 10s (exit code 1, Error)",
        ),
        (
            {"state": {"running": {}}, "lastState": ENDED, "started": False},
            "",
            "container aos-helper: started anew: exit code 1, Error",
        ),
        ({"state": {"running": {}}, "lastState": ENDED, "started": True}, "", ""),
        ({"state": {"running": {}}, "started": False}, "", ""),
    ],
)
def test_what_keeps_the_helper_from_running_is_told_with_its_name(
    helper: JsonObject, image_problem: str, waiting: str
) -> None:
    status: JsonObject = {
        **container({"waiting": {"reason": "PodInitializing"}}),
        "initContainerStatuses": [{"name": "aos-helper", **helper}],
    }
    found = observe_pod(stored(status))
    assert (found.image_problem, found.waiting) == (image_problem, waiting)


def test_scheduling_is_told() -> None:
    waiting: JsonObject = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1",
    }
    assert observe_pod(stored({"conditions": [waiting]})).unschedulable == "Unschedulable: 0/1"
    gated: JsonObject = {**waiting, "reason": "SchedulingGated"}
    assert observe_pod(stored({"conditions": [gated]})).unschedulable == ""
    done: JsonObject = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    found = observe_pod(stored({"conditions": [done]}, node="node-1"))
    assert found.scheduled_at == datetime.fromisoformat("2026-01-02T03:04:05+00:00")
    assert found.node == "node-1"


def test_a_killed_container_tells_why_and_its_last_words() -> None:
    state: JsonObject = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "message": "bye\n"}}
    found = observe_pod(stored({**container(state), "phase": "Failed"}))
    assert found.out_of_memory
    assert found.has_ended
    assert found.ending == "exit code 137; OOMKilled: bye"


def test_an_eviction_is_an_end_with_its_reason() -> None:
    found = observe_pod(stored({"phase": "Failed", "reason": "Evicted", "message": "disk"}))
    assert found.ending == "Evicted: disk"
    assert observe_pod(stored({"phase": "Failed"})).ending == "the kubelet gave no reason"


def test_the_kubelets_own_deadline_is_told() -> None:
    assert observe_pod(stored({"phase": "Failed", "reason": "DeadlineExceeded"})).overdue


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Unknown"},
        {"phase": "Failed", "reason": "NodeLost"},
        {
            "phase": "Running",
            "conditions": [
                {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
            ],
        },
        {
            "phase": "Failed",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}],
        },
    ],
)
def test_a_lost_node_is_told(status: JsonObject) -> None:
    assert observe_pod(stored(status)).node_lost


def test_a_preempted_pod_has_not_lost_its_node() -> None:
    preempted: JsonObject = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    assert observe_pod(stored({"phase": "Running", "conditions": [preempted]})).node_lost == ""


def test_a_pod_that_is_being_deleted_says_so() -> None:
    assert observe_pod(stored({}, deleting=True)).is_deleting


def test_last_words_are_bounded() -> None:
    state: JsonObject = {"terminated": {"exitCode": 1, "message": "x" * 5000}}
    assert len(observe_pod(stored({**container(state), "phase": "Failed"})).ending) == 1024


def test_a_node_tells_whether_it_is_ready_and_since_when() -> None:
    ready: JsonObject = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    found = observe_node({"metadata": {"name": "node-1"}, "status": {"conditions": [ready]}})
    assert not found.is_ready
    assert found.since is not None
    assert not observe_node({"metadata": {"name": "node-1"}}).is_ready


LINUX: JsonObject = {"nodeInfo": {"operatingSystem": "linux"}}


@pytest.mark.parametrize(
    ("spec", "status", "takes"),
    [
        ({}, LINUX, True),
        ({}, {"nodeInfo": {"operatingSystem": "windows"}}, False),
        ({}, {}, False),
        ({"unschedulable": True}, LINUX, False),
        (
            {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]},
            LINUX,
            False,
        ),
        ({"taints": [{"key": "team", "value": "a", "effect": "NoExecute"}]}, LINUX, False),
        ({"taints": [{"key": "team", "effect": "PreferNoSchedule"}]}, LINUX, True),
        ({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}, LINUX, True),
    ],
)
def test_a_node_takes_agents_unless_something_lasting_keeps_them_off(
    spec: JsonObject, status: JsonObject, *, takes: bool
) -> None:
    raw: JsonObject = {"metadata": {"name": "node-1"}, "spec": spec, "status": status}
    assert observe_node(raw).takes_agents is takes


def test_a_node_tells_which_of_its_runtimes_can_give_a_pod_users_of_its_own() -> None:
    handlers: list[JsonValue] = [
        {"name": "", "features": {"userNamespaces": True, "recursiveReadOnlyMounts": True}},
        {"name": "gvisor", "features": {"userNamespaces": False}},
        {"name": "old"},
    ]
    found = observe_node({"metadata": {"name": "node-1"}, "status": {"runtimeHandlers": handlers}})
    assert found.handlers == {"", "gvisor", "old"}
    assert found.user_namespaces == {""}


def test_what_is_no_pod_is_refused() -> None:
    with pytest.raises(ValidationError):
        observe_pod({"metadata": {}})
