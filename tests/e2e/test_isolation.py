"""Attack 15: from inside an agent's pod only the gateway can be reached. Real packets, both ways shown."""

from collections.abc import Iterator

import pytest

from tests.e2e.installation import SYSTEM, Installation, JsonObject, at
from tests.e2e.reach import targets, tried

FIRST_USER_OF_PODS = 65536
"""Below it are the node's own users: the kubelet gives pods none of them."""

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
    found = tried(aos, pod, wanted)
    assert found == dict.fromkeys(wanted, "not reached")


def test_the_agents_pod_reaches_the_gateway(aos: Installation, pod: str) -> None:
    gateway = str(at(aos.get("service", "aos-gateway", SYSTEM), "spec.clusterIP"))
    assert tried(aos, pod, {"the gateway": ("tcp", gateway, "8443")}) == {"the gateway": "reached"}


def test_what_the_agent_cannot_reach_is_there_for_the_gateway(
    aos: Installation, listener: tuple[str, str] | None
) -> None:
    """Without this, a CRM that is down would pass for one that is closed off."""
    gateway = str(
        at(
            aos.items("pods", "app.kubernetes.io/component=gateway", namespace=SYSTEM)[0],
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
            aos.items("pods", "app.kubernetes.io/component=gateway", namespace=SYSTEM)[0],
            "metadata.name",
        )
    )
    ran = aos.run(thief, "python3", "-c", USE_TOKEN, token, namespace=SYSTEM)
    assert ran.output.startswith(("401", "403")), ran.output
    assert "address" in ran.output.lower()
    owner = aos.run(pod, "python3", "-c", USE_TOKEN.replace("127.0.0.1", "aos-gateway.aos-system.svc"), token)
    assert owner.output.startswith("200"), owner.output
