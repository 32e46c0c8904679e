"""A team's own image, on a framework from PyPI, as its README builds it: it does its Tasks through the helper alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import yaml

from examples.own_image import researcher
from tests.e2e.installation import SYSTEM, Installation, JsonObject, at
from tests.e2e.reach import targets, tried

IMAGE = "localhost/aos-own-image:dev"
FOLDER = Path(researcher.__file__).parent
FOUND: JsonObject = {"summary": "Mira Solberg, VP Supply Chain at Halden Robotics.", "contact": "emea-0001"}
KEEPER = "e2e-keeper"

# As the kubelet does it (its AtomicWriter): a new folder, and a link that is renamed.
REPLACE = """
import os, pathlib, sys
volume = pathlib.Path("/pods", sys.argv[1], "volumes/kubernetes.io~projected/token")
print((volume / "token").read_text())
new = volume / f"..{sys.argv[2]}"
new.mkdir(mode=0o755)
(new / "token").write_text(sys.argv[3])
(new / "token").chmod(0o444)
(volume / "..data_tmp").symlink_to(new.name)
os.rename(volume / "..data_tmp", volume / "..data")
"""

KNOWN, UNKNOWN = "403", "401"
"""How the gateway answers a pod without a Task, and one whose token is none."""

ASK = """
import os, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(os.environ["AOS_MCP_URL"].replace("/mcp", "/v1/models"), timeout=40).status)
except urllib.error.HTTPError as refused:
    print(refused.code)
"""


@pytest.fixture(scope="module")
def pod(aos: Installation) -> str:
    """The one pod of the Service that runs the image."""
    aos.node.load(IMAGE)
    agent = cast("JsonObject", yaml.safe_load((FOLDER / "agent.yaml").read_text(encoding="utf-8")))
    metadata = agent["metadata"]
    assert isinstance(metadata, dict)
    aos.apply({**agent, "metadata": {**metadata, "namespace": aos.namespace}})
    aos.becomes("agent", "researcher")
    (found,) = aos.items("pods", "aos.dev/agent=researcher")
    return str(at(found, "metadata.name"))


def does(aos: Installation, task: str) -> JsonObject:
    """Let the agent do a Task; return the Task."""
    aos.start(task, agent="researcher")
    end = aos.ended(task)
    assert end["reason"] == "Completed", end
    return aos.get("task", task)


def test_a_framework_that_knows_nothing_of_aos_does_one_task_after_the_other(
    aos: Installation, pod: str
) -> None:
    for task in ("first", "second"):
        done = does(aos, task)
        assert at(done, "status.result.output") == FOUND
        assert at(done, "status.pod.name") == pod
        calls = [(line["action"], line["effect"]) for line in aos.decisions(task) if "tool" in line]
        assert calls == [("search_contacts", "Allow"), ("get_contact", "Allow")]
        assert at(done, "status.usage.promptTokens")


def test_the_image_finds_no_credential_and_no_way_but_the_helper(
    aos: Installation, pod: str, listener: tuple[str, str] | None
) -> None:
    """What is run in a pod is run in the image's container: the helper's is another one."""
    assert aos.run(pod, "sh", "-c", "ls -A /var/run/secrets; true").output == ""
    assert "OPENAI_API_KEY=unused" in aos.run(pod, "env").output
    wanted = targets(aos, listener)
    assert tried(aos, pod, wanted) == dict.fromkeys(wanted, "not reached")
    gateway = str(at(aos.get("service", "aos-gateway", SYSTEM), "spec.clusterIP"))
    ways = {"the gateway": ("tcp", gateway, "8443"), "the helper": ("tcp", "127.0.0.1", "15001")}
    assert tried(aos, pod, ways) == dict.fromkeys(ways, "reached")


@pytest.fixture
def keeper(aos: Installation) -> Iterator[str]:
    """A pod that writes where the kubelet does."""
    container: JsonObject = {
        "name": "keeper",
        "image": "localhost/aos:dev",
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "pods", "mountPath": "/pods", "mountPropagation": "HostToContainer"}],
    }
    spec: JsonObject = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "pods", "hostPath": {"path": "/var/lib/kubelet/pods"}}],
    }
    metadata: JsonObject = {"name": KEEPER, "namespace": "default"}
    aos.delete("pod", KEEPER, namespace="default")
    aos.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    aos.becomes("pod", KEEPER, namespace="default")
    yield KEEPER
    aos.delete("pod", KEEPER, namespace="default", wait=False)


def test_the_helper_takes_each_token_that_the_kubelet_writes_and_keeps_none(
    aos: Installation, pod: str, keeper: str
) -> None:
    found = aos.get("pod", pod)
    assert projected(found)["expirationSeconds"] == 600  # the least that Kubernetes knows

    def replaced(name: str, token: str) -> str:
        uid = str(at(found, "metadata.uid"))
        ran = aos.run(keeper, "python", "-c", REPLACE, uid, name, token, namespace="default")
        assert ran.code == 0, ran.output
        return ran.output.strip()

    assert aos.run(pod, "python", "-c", ASK).output.strip() == KNOWN
    token = replaced("worn-out", "worn-out")
    assert aos.run(pod, "python", "-c", ASK).output.strip() == UNKNOWN
    assert replaced("anew", token) == "worn-out"
    assert aos.run(pod, "python", "-c", ASK).output.strip() == KNOWN
    assert at(does(aos, "rotated"), "status.result.output") == FOUND
    statuses = at(aos.get("pod", pod), "status.initContainerStatuses")
    assert isinstance(statuses, list)
    assert [at(one, "restartCount") for one in statuses] == [0]


def projected(pod: JsonObject) -> JsonObject:
    """Return how the pod's token is asked for."""
    volumes = at(pod, "spec.volumes")
    assert isinstance(volumes, list)
    (token,) = [volume for volume in volumes if at(volume, "name") == "token"]
    sources = at(token, "projected.sources")
    assert isinstance(sources, list)
    source = at(sources[0], "serviceAccountToken")
    assert isinstance(source, dict)
    return source
