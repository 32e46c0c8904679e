"""The local node itself: what the tests of isolation lean on must be seen to hold, and to fail, with real packets."""

import json
import time
from collections.abc import Iterator

import pytest

from hack.cluster.handle import Handle

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers: [{name: probe, image: "aos.local/probe:1", args: [serve, ":8080", ":8081"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers: [{name: probe, image: "aos.local/probe:1", args: [sleep], env: [{name: PROBE_TIMEOUT, value: 1s}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: isolated, labels: {app: client}}
spec:
  hostUsers: false
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers: [{name: probe, image: "aos.local/probe:1", args: [sleep], env: [{name: PROBE_TIMEOUT, value: 1s}]}]
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
"""

DENY_ALL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all}
spec: {podSelector: {}, policyTypes: [Egress, Ingress]}
"""

CLIENT_TO_SERVER = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: client-to-server}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress:
    - to: [{podSelector: {matchLabels: {app: server}}}]
      ports: [{port: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server-from-client}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: client}}}]
      ports: [{port: 8080}]
"""


class Place:
    """A namespace with pods that try the network."""

    def __init__(self, node: Handle, namespace: str) -> None:
        self._node = node
        self._scope = f"--namespace={namespace}"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        answer = self._node.kubectl(self._scope, *arguments, stdin=stdin)
        assert answer.ok, answer.stderr
        return answer.stdout

    def address(self, pod: str) -> str:
        return self.kubectl("get", f"pod/{pod}", "--output=jsonpath={.status.podIP}")

    def attempts(self, *command: str, pod: str = "client") -> list[dict[str, str]]:
        """What a probe in the pod tells of each try."""
        answer = self._node.kubectl(self._scope, "exec", pod, "--", "/probe", *command)
        results = [json.loads(line) for line in answer.stdout.splitlines()]
        assert results, answer.stderr
        return results

    def attempt(self, *command: str, pod: str = "client") -> dict[str, str]:
        return self.attempts(*command, pod=pod)[0]

    def reaches(self, *command: str, pod: str = "client") -> bool:
        """Whether every try of a probe in the pod succeeds."""
        return all(result["ok"] for result in self.attempts(*command, pod=pod))

    def soon(self, *command: str, expected: bool) -> bool:
        """Whether a probe comes out as expected within the time that a policy change takes."""
        deadline = time.monotonic() + 10
        while self.reaches(*command) is not expected:
            if time.monotonic() > deadline:
                return False
        return True


@pytest.fixture(scope="module")
def place(node: Handle) -> Iterator[Place]:
    namespace = "node-probe"
    assert node.kubectl("create", "namespace", namespace).ok
    try:
        here = Place(node, namespace)
        here.kubectl("apply", "--filename=-", stdin=PODS)
        here.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield here
    finally:
        node.kubectl("delete", "namespace", namespace, "--wait=false")


def test_the_node_is_ready(node: Handle) -> None:
    ready = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    assert node.kubectl("get", "nodes", f"--output={ready}").stdout == "True"


def test_without_policies_pods_reach_each_other_the_services_and_dns(place: Place) -> None:
    server = place.address("server")
    service = place.kubectl("get", "service/server", "--output=jsonpath={.spec.clusterIP}")
    dns = place.kubectl(
        "get", "service/kube-dns", "--namespace=kube-system", "--output=jsonpath={.spec.clusterIP}"
    )
    assert place.reaches("tcp", f"{server}:8080", f"{server}:8081")
    assert place.soon("get", f"http://{service}/", expected=True)
    assert place.reaches("dns", f"{dns}:53", "kubernetes.default.svc.cluster.local")


def test_a_pod_with_users_of_its_own_has_none_of_the_nodes(place: Place) -> None:
    def outer_user(pod: str) -> int:
        # The first line of the map: number inside, number outside, how many (user_namespaces(7)).
        return int(place.attempt("read", "/proc/self/uid_map", pod=pod)["body"].split()[1])

    assert outer_user("client") == 0
    assert outer_user("isolated") >= 65536


def test_a_default_deny_blocks_everything_and_an_exception_opens_one_port(place: Place) -> None:
    server = place.address("server")
    dns = place.kubectl(
        "get", "service/kube-dns", "--namespace=kube-system", "--output=jsonpath={.spec.clusterIP}"
    )
    assert place.reaches("tcp", f"{server}:8080")
    place.kubectl("apply", "--filename=-", stdin=DENY_ALL)
    assert place.soon("tcp", f"{server}:8080", expected=False)
    assert not place.reaches("dns", f"{dns}:53", "kubernetes.default.svc.cluster.local")
    place.kubectl("apply", "--filename=-", stdin=CLIENT_TO_SERVER)
    assert place.soon("tcp", f"{server}:8080", expected=True)
    assert not place.reaches("tcp", f"{server}:8081")
    assert not place.reaches("dns", f"{dns}:53", "kubernetes.default.svc.cluster.local")
