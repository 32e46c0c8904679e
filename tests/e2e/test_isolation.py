"""Attack 15: from inside an agent's pod only the gateway can be reached. Real packets, both ways shown."""

import json
import socket
from collections.abc import Iterator

import pytest

from hack.demo.example import MODELS
from tests.e2e.installation import SYSTEM, TOOLS, Installation, JsonObject, at

FIRST_USER_OF_PODS = 65536
"""Below it are the node's own users: the kubelet gives pods none of them."""

TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reach(name, protocol, host, port):
    try:
        if protocol == "tcp":
            socket.create_connection((host, int(port)), timeout=2).close()
        else:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
            s.sendto(bytes.fromhex("abcd01000001000000000000") + b"\\x0akubernetes\\x07default\\x03svc\\x07cluster\\x05local\\x00\\x00\\x01\\x00\\x01", (host, int(port)))
            s.recvfrom(512)
        return name, "reached"
    except OSError as error:
        return name, "not reached"
wanted = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(wanted)) as pool:  # each waits for its time limit, so all at once
    print(json.dumps(dict(pool.map(lambda one: reach(*one), wanted))))
"""

USE_TOKEN = """
import ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
headers = {"Authorization": "Bearer " + sys.argv[1], "Host": "aos-gateway.aos-system.svc:8443"}
request = urllib.request.Request("https://127.0.0.1:8443/v1/task", headers=headers)
try:
    print(urllib.request.urlopen(request, context=context, timeout=5).status)
except urllib.error.HTTPError as refused:
    print(refused.code, refused.read().decode())
"""


@pytest.fixture(scope="module")
def pod(aos: Installation) -> Iterator[str]:
    aos.start("caged", {"sleepSeconds": 500, "output": {"summary": "-", "score": 0}}, deadline="10m")
    try:
        yield aos.running_pod("caged")
    finally:
        aos.cancel("caged")


@pytest.fixture(scope="module")
def listener(aos: Installation) -> Iterator[tuple[str, str] | None]:
    """A server on this machine, outside the cluster; None where the cluster can't tell how to reach it."""
    address = aos.node.host_address
    if address is None:
        yield None
        return
    with socket.create_server((address, 0)) as server:
        yield address, str(server.getsockname()[1])


def targets(aos: Installation, listener: tuple[str, str] | None) -> dict[str, tuple[str, str, str]]:
    node = aos.items("nodes", namespace="")[0]
    addresses = at(node, "status.addresses")
    assert isinstance(addresses, list)
    node_address = next(str(at(item, "address")) for item in addresses if at(item, "type") == "InternalIP")

    def service(name: str, namespace: str) -> str:
        return str(at(aos.get("service", name, namespace), "spec.clusterIP"))

    def pod_address(component: str, namespace: str) -> str:
        return str(at(aos.items("pods", "-l", component, namespace=namespace)[0], "status.podIP"))

    dns = service("kube-dns", "kube-system")
    found = {
        "the CRM's service": ("tcp", service("crm", TOOLS), "8080"),
        "the CRM's pod": ("tcp", pod_address("app.kubernetes.io/name=crm", TOOLS), "8080"),
        "the model's service": ("tcp", service("model", MODELS), "8080"),
        "the API server's service": ("tcp", service("kubernetes", "default"), "443"),
        "the API server": ("tcp", node_address, "6443"),
        "the kubelet": ("tcp", node_address, "10250"),
        "the node's ssh": ("tcp", node_address, "22"),
        "DNS over UDP": ("udp", dns, "53"),
        "DNS over TCP": ("tcp", dns, "53"),
        "the metadata address": ("tcp", "169.254.169.254", "80"),
        "the gateway's admin port": ("tcp", service("aos-gateway", SYSTEM), "8444"),
        "the gateway's metrics": ("tcp", service("aos-gateway", SYSTEM), "8080"),
        "the gateway's webhooks": ("tcp", service("aos-hooks", SYSTEM), "8446"),
        "the operator": ("tcp", service("aos-operator", SYSTEM), "8080"),
    }
    if listener is not None:
        found["a host outside the cluster"] = ("tcp", *listener)
    return found


def tried(
    aos: Installation, pod: str, wanted: dict[str, tuple[str, str, str]], namespace: str
) -> dict[str, str]:
    arguments = json.dumps([[name, *target] for name, target in wanted.items()])
    ran = aos.run(pod, "python3", "-c", TRY, arguments, namespace=namespace)
    found: dict[str, str] = json.loads(ran.output.splitlines()[-1])
    return found


def test_an_agents_pod_has_users_of_its_own_exactly_where_the_nodes_say_that_they_can(
    aos: Installation, pod: str
) -> None:
    able = [node_gives_users(node) for node in aos.items("nodes", namespace="") if takes_agents(node)]
    # The map of user_namespaces(7): number inside, number outside, how many. The node's own is 0 0 4294967295.
    inside, outside, _ = (
        int(number) for number in aos.run(pod, "cat", "/proc/self/uid_map").output.split()[:3]
    )
    assert inside == 0
    assert (outside >= FIRST_USER_OF_PODS) is (bool(able) and all(able))
    assert at(aos.get("pod", pod), "spec.hostUsers") is (False if outside else None)


def takes_agents(node: JsonObject) -> bool:
    taints = at(node, "spec.taints") or []
    assert isinstance(taints, list)
    return at(node, "spec.unschedulable") is not True and not any(
        at(taint, "effect") in {"NoSchedule", "NoExecute"} for taint in taints
    )


def node_gives_users(node: JsonObject) -> bool:
    handlers = at(node, "status.runtimeHandlers") or []
    assert isinstance(handlers, list)
    return any(at(one, "name") == "" and at(one, "features.userNamespaces") is True for one in handlers)


def test_attack_15_nothing_but_the_gateway_can_be_reached(
    aos: Installation, pod: str, listener: tuple[str, str] | None
) -> None:
    wanted = targets(aos, listener)
    found = tried(aos, pod, wanted, "sales")
    assert found == dict.fromkeys(wanted, "not reached")


def test_the_agents_pod_reaches_the_gateway(aos: Installation, pod: str) -> None:
    gateway = str(at(aos.get("service", "aos-gateway", SYSTEM), "spec.clusterIP"))
    assert tried(aos, pod, {"the gateway": ("tcp", gateway, "8443")}, "sales") == {"the gateway": "reached"}


def test_what_the_agent_cannot_reach_is_there_for_the_gateway(
    aos: Installation, listener: tuple[str, str] | None
) -> None:
    """Without this, a CRM that is down would pass for one that is closed off."""
    gateway = str(
        at(
            aos.items("pods", "-l", "app.kubernetes.io/component=gateway", namespace=SYSTEM)[0],
            "metadata.name",
        )
    )
    elsewhere = (
        "the node's ssh",
        "the metadata address",
        "the gateway's admin port",
        "the gateway's metrics",
        "the gateway's webhooks",
        "the operator",
    )
    wanted = {name: target for name, target in targets(aos, listener).items() if name not in elsewhere}
    assert tried(aos, gateway, wanted, SYSTEM) == dict.fromkeys(wanted, "reached")


def test_the_pod_holds_no_credential_but_its_bound_token(aos: Installation, pod: str) -> None:
    found = aos.get("pod", pod)
    spec = found["spec"]
    assert isinstance(spec, dict)
    assert spec["automountServiceAccountToken"] is False
    ran = aos.run(pod, "sh", "-c", "ls /var/run/secrets; env")
    assert ran.output.splitlines()[0] == "aos"
    assert "CREDENTIAL" not in ran.output.upper()


def test_the_pod_is_restricted(aos: Installation, pod: str) -> None:
    spec = at(aos.get("pod", pod), "spec")
    assert isinstance(spec, dict)
    containers = spec["containers"]
    assert isinstance(containers, list)
    container = containers[0]
    assert at(container, "securityContext.readOnlyRootFilesystem") is True
    assert at(container, "securityContext.capabilities.drop") == ["ALL"]
    assert at(container, "resources.limits.memory")
    assert aos.run(pod, "sh", "-c", "touch /opt/x").code != 0
    assert aos.run(pod, "id", "-u").output.strip() == "65532"


def test_attack_03_a_token_used_from_another_address_is_refused(aos: Installation, pod: str) -> None:
    token = aos.run(pod, "cat", "/var/run/secrets/aos/token").output.strip()
    thief = str(
        at(
            aos.items("pods", "-l", "app.kubernetes.io/component=gateway", namespace=SYSTEM)[0],
            "metadata.name",
        )
    )
    ran = aos.run(thief, "python3", "-c", USE_TOKEN, token, namespace=SYSTEM)
    assert ran.output.startswith(("401", "403")), ran.output
    assert "address" in ran.output.lower()
    owner = aos.run(pod, "python3", "-c", USE_TOKEN.replace("127.0.0.1", "aos-gateway.aos-system.svc"), token)
    assert owner.output.startswith("200"), owner.output
