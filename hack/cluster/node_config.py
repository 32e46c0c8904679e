"""What a node is made of, written down before it starts: addresses, configuration files, programs and their order."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template

from hack.cluster import flags
from hack.cluster.images import COREDNS, PAUSE

NAME = "node1"
LINK = "aos0"
CGROUP = "aos-cluster"
# TEST-NET-2 (RFC 5737): nothing real has these addresses.
HOST_ADDRESS = "198.51.100.1"
NODE_ADDRESS = "198.51.100.2"
PREFIX_BITS = 30
POD_RANGE = "10.244.0.0/24"
SERVER = f"https://{NODE_ADDRESS}:6443"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
FELIX_HEALTH_PORT = 9099

_TEMPLATES = Path(__file__).parent / "templates"
_VOLUME_PLUGINS = "/run/kubelet-volume-plugins"
_ETCD = "http://127.0.0.1:2379"
_ETCD_PEER = "http://127.0.0.1:2380"

# Markers: `up` creates such a file when something holds, and the node's init starts what waits for it.
NETWORK = "network"
API_READY = "api-ready"
POLICY_RESOURCES = "policy-resources"


@dataclass(frozen=True)
class Folders:
    """Where a node's state and programs stand."""

    state: Path
    kube: Path
    containerd: Path
    runc: Path
    calico: Path

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    def user(self, name: str) -> Path:
        """Name the kubeconfig of one of the node's own users."""
        return self.state / "users" / f"{name}.kubeconfig"

    @property
    def search_path(self) -> str:
        """The PATH of the node's programs; the machine's own comes last."""
        own = (self.containerd, self.runc, self.calico, self.kube)
        return ":".join([*(str(folder) for folder in own), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


@dataclass(frozen=True)
class Program:
    """One program of a node: started when every marker in `after` exists, and again when it ends."""

    name: str
    arguments: tuple[str, ...]
    after: tuple[str, ...] = (NETWORK,)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """All that the node's init needs to know."""

    state: str
    hostname: str
    environment: dict[str, str]
    network: tuple[tuple[str, ...], ...]
    programs: tuple[Program, ...]

    def to_json(self) -> dict[str, object]:
        """Give plain values for a JSON file."""
        return asdict(self)


def render(name: str, folders: Folders) -> str:
    """Fill in one of the files in templates/; a placeholder that nothing fills is an error."""
    values = {
        "state": folders.state,
        "containerd_bin": folders.containerd,
        "calico_bin": folders.calico,
        "runc": folders.runc / "runc",
        "containerd_socket": CONTAINERD_SOCKET,
        "pause_image": PAUSE,
        "coredns_image": COREDNS,
        "cgroup": CGROUP,
        "dns_address": flags.DNS_SERVICE_ADDRESS,
        "volume_plugins": _VOLUME_PLUGINS,
        "pod_range": POD_RANGE,
        "node": NAME,
    }
    return Template((_TEMPLATES / name).read_text()).substitute(values)


def spec(folders: Folders) -> Spec:
    """Describe the node for its init."""
    return Spec(
        state=str(folders.state),
        hostname=NAME,
        environment={
            "PATH": folders.search_path,
            "HOME": "/run",
            # Temporary folders of the container runtime must go with the node.
            "TMPDIR": "/run/tmp",
            # A seventh of their time would go into collecting garbage for which there is memory enough.
            "GOGC": "800",
            "GOMEMLIMIT": "1GiB",
        },
        network=network(),
        programs=programs(folders),
    )


def network() -> tuple[tuple[str, ...], ...]:
    """Give the `ip` commands of the node's side; there is no default route, so that nothing leaves the machine."""
    return (
        ("link", "set", "lo", "up"),
        ("address", "replace", f"{NODE_ADDRESS}/{PREFIX_BITS}", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        # The node itself dials services too, and their addresses are rewritten only after routing.
        ("route", "replace", flags.SERVICE_RANGE, "via", HOST_ADDRESS, "dev", "eth0"),
        # The gateway of Calico's pods: proxy ARP answers only for what another interface reaches.
        ("route", "replace", "169.254.1.1", "dev", "eth0"),
    )


def programs(folders: Folders) -> tuple[Program, ...]:
    """Give the node's programs; those that would only fail without an API server wait for it."""
    state, kube = folders.state, folders.kube
    api_server = (
        *flags.api_server(folders.pki, _ETCD, NODE_ADDRESS, 6443),
        f"--kubelet-client-certificate={folders.pki / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={folders.pki / 'apiserver-kubelet.key'}",
        f"--kubelet-certificate-authority={folders.pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
    )
    controller_manager = (
        *flags.controller_manager(folders.pki, folders.user("kube-controller-manager")),
        f"--flex-volume-plugin-dir={_VOLUME_PLUGINS}",
    )
    kubelet = (
        f"--config={state / 'config' / 'kubelet.yaml'}",
        f"--kubeconfig={folders.user('kubelet')}",
        f"--hostname-override={NAME}",
        f"--node-ip={NODE_ADDRESS}",
        # Of what containers use, which nobody looks at.
        "--housekeeping-interval=5m",
    )
    scheduler = (f"--kubeconfig={folders.user('kube-scheduler')}", "--secure-port=0", "--leader-elect=false")
    containerd = folders.containerd / "containerd"

    def program(folder: Path, name: str, arguments: tuple[str, ...], *after: str) -> Program:
        return Program(name, (str(folder / name), *arguments), (NETWORK, *after))

    return (
        program(kube, "etcd", flags.etcd(state / "data" / "etcd", _ETCD, _ETCD_PEER)),
        Program("containerd", (str(containerd), f"--config={state / 'config' / 'containerd.toml'}")),
        program(kube, "kube-apiserver", api_server),
        program(kube, "kubelet", kubelet, API_READY),
        program(kube, "kube-controller-manager", controller_manager, API_READY),
        program(kube, "kube-scheduler", scheduler, API_READY),
        program(kube, "kube-proxy", (f"--config={state / 'config' / 'kube-proxy.yaml'}",), API_READY),
        Program(
            "calico-felix",
            (str(folders.calico / "calico-felix"),),
            (NETWORK, POLICY_RESOURCES),
            felix_environment(folders),
        ),
    )


def felix_environment(folders: Folders) -> dict[str, str]:
    """Configure Felix, which reads nothing else: policy on pods' interfaces, and no networking of its own."""
    settings = {
        "DATASTORETYPE": "kubernetes",
        "FELIXHOSTNAME": NAME,
        "TYPHAK8SSERVICENAME": "none",
        "INTERFACEPREFIX": "cali",
        "IPTABLESBACKEND": "NFT",
        "IPV6SUPPORT": "false",
        "BPFENABLED": "false",
        "XDPENABLED": "false",
        "IPINIPENABLED": "false",
        "VXLANENABLED": "false",
        "DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
        "USAGEREPORTINGENABLED": "false",
        "PROMETHEUSMETRICSENABLED": "false",
        "HEALTHENABLED": "true",
        "HEALTHHOST": NODE_ADDRESS,
        "HEALTHPORT": str(FELIX_HEALTH_PORT),
        "LOGFILEPATH": "none",
        "LOGSEVERITYFILE": "none",
        "LOGSEVERITYSYS": "none",
        "LOGSEVERITYSCREEN": "Info",
        # Nobody else writes these, so there is nothing to look after.
        "IPTABLESREFRESHINTERVAL": "600",
        "IPTABLESPOSTWRITECHECKINTERVALSECS": "600",
        "IPSETSREFRESHINTERVAL": "600",
        "ROUTEREFRESHINTERVAL": "600",
    }
    felix = {f"FELIX_{name}": value for name, value in settings.items()}
    return {"DATASTORE_TYPE": "kubernetes", "KUBECONFIG": str(folders.user("calico")), **felix}
