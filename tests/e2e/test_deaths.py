"""What dies in the middle of work: every Task ends, none runs twice, and calls fail closed until all is back."""

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster.images import archive
from hack.demo.installation import paths
from tests.e2e.deaths import component_pod, kill
from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, condition, wait_for
from tests.e2e.people import User, asked, becomes, requests_of

TASKS = 50
NAMES = tuple(f"echo-{number}" for number in range(TASKS))


def echo_agent(namespace: str) -> JsonObject:
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {
            "name": "echo",
            "namespace": namespace,
            "labels": {"role": "research", "territory": "emea"},
        },
        "spec": {
            "owner": {"team": "tests"},
            "instructions": "Hand the input back.",
            # A team's own image: it knows nothing but the task inbox.
            "runtime": {
                "image": "aos.local/probe:1",
                "resources": {
                    "requests": {"cpu": "5m", "memory": "16Mi"},
                    "limits": {"cpu": "100m", "memory": "32Mi"},
                },
            },
        },
    }


@contextmanager
def pods_by_task(aos: Installation) -> Iterator[dict[str, set[str]]]:
    """Watch every pod of the tasks, from the API server's own stream: UIDs by task, filled when the block ends."""
    seen: dict[str, set[str]] = defaultdict(set)
    command = [
        str(aos.node.program),
        f"--kubeconfig={aos.node.kubeconfig}",
        "get",
        "pods",
        "-n",
        aos.namespace,
        "-l",
        "aos.dev/agent=echo",
    ]
    columns = "custom-columns=UID:.metadata.uid,TASK:.metadata.labels.aos\\.dev/task"
    with subprocess.Popen(
        [*command, "-o", columns, "--no-headers", "--watch"], stdout=subprocess.PIPE, text=True
    ) as watch:
        try:
            yield seen
        finally:
            watch.terminate()
            output, _ = watch.communicate(timeout=10)
            for line in output.splitlines():
                uid, name = line.split()
                seen[name].add(uid)


def task(namespace: str, number: int) -> JsonObject:
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": NAMES[number], "namespace": namespace, "labels": {"test": "deaths"}},
        "spec": {"agentRef": {"name": "echo"}, "input": {"number": number}, "deadline": "10m"},
    }


def test_all_tasks_end_and_none_runs_twice_when_the_operator_is_killed(aos: Installation) -> None:
    aos.delete("task", *NAMES)
    aos.node.load(str(archive(paths(), "probe")))
    aos.apply(echo_agent(aos.namespace))
    aos.becomes("agent", "echo")
    with pods_by_task(aos) as pods:
        aos.apply(*[task(aos.namespace, number) for number in range(TASKS)])
        wait_for(lambda: ended(aos) >= TASKS // 10 or None, "the first tasks to end", 180, pause=0.5)
        assert ended(aos) < TASKS, "the operator must be killed while there is work left"
        kill(aos, "operator")
        wait_for(lambda: ended(aos) == TASKS or None, "every task to end", 400, pause=1)
    assert len(pods) == TASKS
    assert {len(uids) for uids in pods.values()} == {1}
    finished = aos.items("tasks", "test=deaths")
    reasons = Counter(str((condition(one, "Succeeded") or {}).get("reason")) for one in finished)
    assert reasons == {"Completed": TASKS}
    outputs = sorted(int(str(at(one, "status.result.output.number"))) for one in finished)
    assert outputs == list(range(TASKS))
    aos.delete("task", *NAMES, wait=False)
    aos.delete("agent", "echo")


def ended(aos: Installation) -> int:
    found = aos.items("tasks", "test=deaths")
    return sum((condition(one, "Succeeded") or {}).get("status") in ("True", "False") for one in found)


def test_calls_fail_closed_while_the_gateway_is_dead_and_work_once_it_is_back(aos: Installation) -> None:
    aos.cancel("survivor")
    aos.start(
        "survivor",
        {"calls": [{"tool": "crm.get_contact", "args": {"id": "emea-0005"}}]},
        {"sleepSeconds": 5, "calls": [{"tool": "crm.get_contact", "args": {"id": "emea-0006"}}]},
        {"output": {"summary": "survived", "score": 1}},
    )
    pod = aos.running_pod("survivor")
    kill(aos, "gateway")
    with no_gateway(aos):
        probe = aos.run(pod, "python3", "-c", REACH)
        assert "answered" not in probe.output
    wait_for(lambda: component_pod(aos, "gateway"), "the gateway to be back")
    end = aos.ended("survivor", 240)
    # Whether the agent lived through it is its own affair; what counts is that it ended, and that calls work again.
    assert end["reason"] in ("Completed", "AgentFailed", "PodFailed")
    aos.cancel("after")
    aos.start(
        "after",
        {"calls": [{"tool": "crm.get_contact", "args": {"id": "emea-0005"}}]},
        {"output": {"summary": "back", "score": 1}},
    )
    assert aos.ended("after")["reason"] == "Completed"


@contextmanager
def no_gateway(aos: Installation) -> Iterator[None]:
    """Keep the gateway from coming back: the kubelet would have it running again before anybody could look."""

    def scale(replicas: int) -> None:
        aos.kubectl("scale", "deployment/aos-gateway", "-n", SYSTEM, f"--replicas={replicas}")

    scale(0)
    try:
        wait_for(lambda: None if gateways(aos) else True, "the gateway's pod to be gone")
        yield
    finally:
        scale(1)


def gateways(aos: Installation) -> list[JsonObject]:
    return aos.items("pods", "app.kubernetes.io/component=gateway", namespace=SYSTEM)


REACH = """
import os, ssl, urllib.request
context = ssl.create_default_context(cafile=os.environ["AOS_CA_FILE"])
token = open(os.environ["AOS_TOKEN_FILE"]).read()
request = urllib.request.Request(os.environ["AOS_GATEWAY_URL"] + "/v1/task", headers={"Authorization": "Bearer " + token})
try:
    urllib.request.urlopen(request, context=context, timeout=2)
    print("answered")
except OSError as error:
    print("closed", error)
"""


HELD: JsonObject = {
    "calls": [{"tool": "crm.update_contact", "args": {"id": "emea-0014", "next_step": "Call again"}}]
}


def test_what_waits_for_people_outlives_operator_and_gateway_and_is_released_once(
    aos: Installation, lead: User
) -> None:
    before = aos.made("update_contact", "emea-0014")
    aos.start("held", HELD, deadline="10m")
    request = asked(aos, "held")
    kill(aos, "operator")
    kill(aos, "gateway")
    lead.approve(request)
    assert aos.ended("held", 240)["reason"] == "Completed"
    assert aos.made("update_contact", "emea-0014") == before + 1
    becomes(aos, request, "Used")
    assert len(requests_of(aos, "held")) == 1
