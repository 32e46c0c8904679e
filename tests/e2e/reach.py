"""What can be reached from inside a pod: real packets, to all that an agent's pod must not reach."""

import json

from hack.demo.example import MODELS
from tests.e2e.installation import SYSTEM, TOOLS, Installation, at

Target = tuple[str, str, str]
"""Protocol, host and port."""

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


def targets(aos: Installation, listener: tuple[str, str] | None) -> dict[str, Target]:
    """Return what no agent may reach; ``listener`` is a server outside of the cluster, where there is one."""
    node = aos.items("nodes", namespace="")[0]
    addresses = at(node, "status.addresses")
    assert isinstance(addresses, list)
    node_address = next(str(at(item, "address")) for item in addresses if at(item, "type") == "InternalIP")

    def service(name: str, namespace: str) -> str:
        return str(at(aos.get("service", name, namespace), "spec.clusterIP"))

    def pod_address(component: str, namespace: str) -> str:
        return str(at(aos.items("pods", component, namespace=namespace)[0], "status.podIP"))

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


def tried(aos: Installation, pod: str, wanted: dict[str, Target], namespace: str = "") -> dict[str, str]:
    """Try each from inside a pod with Python, all at once; return what became of it."""
    arguments = json.dumps([[name, *target] for name, target in wanted.items()])
    ran = aos.run(pod, "python3", "-c", TRY, arguments, namespace=namespace)
    found: dict[str, str] = json.loads(ran.output.splitlines()[-1])
    return found
