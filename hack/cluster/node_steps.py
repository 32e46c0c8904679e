"""The steps that bring a node from nothing to Ready, each of which may be done again; a repair is the same list."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster import flags, kubeconfig, node_host
from hack.cluster import node_config as config
from hack.cluster.environment import inherited
from hack.cluster.errors import ClusterError, NotReadyError
from hack.cluster.files import write_atomically
from hack.cluster.kubectl import Kubectl, is_ready, wait_until
from hack.cluster.pki import Endpoints, Subject, write_pki
from hack.cluster.process import Identity, Table, children, is_alive

INIT = "init"
OUTER = "unshare"

_START_SECONDS = 10.0
_IMPORT_SECONDS = 300.0
_ANSWER_SECONDS = 1.0
# Each look by kubectl costs a tenth of a second of a processor that the node needs to come up.
_LOOK_SECONDS = 0.4
_LOG_LINES = 12
_OK = 200
_USERS = {
    "kube-controller-manager": Subject("system:kube-controller-manager"),
    "kube-scheduler": Subject("system:kube-scheduler"),
    "kube-proxy": Subject("system:kube-proxy"),
    "kubelet": Subject(f"system:node:{config.NAME}", ("system:nodes",)),
    "calico": Subject("calico", ("system:masters",)),
    "admin": Subject("admin", ("system:masters",)),
}
_RENDERED = (
    "containerd.toml",
    "kubelet.yaml",
    "kube-proxy.yaml",
    "access.yaml",
    "calico.yaml",
    "coredns.yaml",
)


class Steps:
    """Does the steps for the node whose folders are given."""

    def __init__(self, folders: config.Folders, table: Table, patience_seconds: float = 90.0) -> None:
        """Nothing is done yet; each step may wait for `patience_seconds`."""
        self._patience_seconds = patience_seconds
        self._folders = folders
        self._table = table
        self._state = folders.state

    def write_files(self) -> None:
        """Write keys, users and configuration."""
        folders, state = self._folders, self._state
        for folder in ("log", "config", "cni", "markers"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        addresses = ("127.0.0.1", config.NODE_ADDRESS, flags.API_SERVICE_ADDRESS)
        write_pki(folders.pki, Endpoints(names=(config.NAME,), addresses=addresses))
        for name, subject in _USERS.items():
            if not folders.user(name).exists():
                kubeconfig.mint(folders.user(name), folders.pki, config.SERVER, subject)
        for name in _RENDERED:
            write_atomically(state / "config" / name, config.render(name, folders))
        write_atomically(state / "init.json", json.dumps(config.spec(folders).to_json(), indent=2) + "\n")

    def start(self) -> None:
        """Start the node's first process in namespaces of its own and join it to this machine by a veth pair."""
        for marker in (self._state / "markers").iterdir():
            marker.unlink()
        # Without this file the kubelet says NotReady until Felix is there to hold policies.
        self._cni_file.unlink(missing_ok=True)
        node_host.create_cgroups()
        init = [
            sys.executable,
            "-I",
            str(Path(__file__).with_name("node_init.py")),
            str(self._state / "init.json"),
        ]
        namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--mount-proc"]
        command = ["unshare", *namespaces, "--fork", "--kill-child=KILL", *init]
        outer = self._table.start(OUTER, command, self._log("init"), inherited(), self._state)
        wait_until(lambda: bool(children(outer.pid)) or not is_alive(outer), _START_SECONDS)
        found = children(outer.pid)
        if not found:
            raise self._failed("the node's first process ended at once", "init")
        self._table.write({**self._table.read(), INIT: found[0]})
        node_host.create_link(self._state, found[0].pid)
        self._mark(config.NETWORK)

    def wait_for_api(self) -> None:
        """Wait for the API server, then let start what needs it."""
        self._wait(self.api_ready, "the API server is not ready", "kube-apiserver")
        self._mark(config.API_READY)

    def enforce_policies(self) -> None:
        """Give Felix its resources and let pods start only once it enforces policies."""
        kubectl = self._kubectl()
        crds = str(self._folders.calico / "crd")
        self._apply(kubectl, crds, str(self._state / "config" / "access.yaml"))
        kubectl.must("wait", "--for=condition=Established", "--timeout=30s", "--filename", crds)
        self._apply(kubectl, str(self._state / "config" / "calico.yaml"))
        self._mark(config.POLICY_RESOURCES)
        self._wait(
            _felix_ready,
            "Felix, which enforces network policies, is not ready",
            "calico-felix",
        )
        if not self._cni_file.exists():
            # In place: containerd does not look at files that are created under another name and renamed.
            self._cni_file.write_text(config.render("cni.json", self._folders))

    def import_images(self, archives: tuple[Path, ...]) -> None:
        """Put image archives into the node's store."""
        socket = Path(f"/proc/{self.init().pid}/root{config.CONTAINERD_SOCKET}")
        self._wait(socket.exists, "containerd does not listen", "containerd")
        for archive in archives:
            arguments = ["--address", str(socket), "--namespace", "k8s.io", "images", "import", str(archive)]
            try:
                done = subprocess.run(
                    [str(self._folders.containerd / "ctr"), *arguments],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=_IMPORT_SECONDS,
                )
            except subprocess.TimeoutExpired:
                raise ClusterError(
                    f"the import of {archive} took more than {_IMPORT_SECONDS:.0f} s"
                ) from None
            if done.returncode != 0:
                raise ClusterError(f"the node does not take {archive}: {done.stderr.strip()}")

    def deploy_dns(self) -> None:
        """Deploy the cluster's DNS server."""
        self._apply(self._kubectl(), str(self._state / "config" / "coredns.yaml"))

    def wait_for_node(self, since: datetime | None) -> None:
        """Wait until the node says Ready in this life, not in one before, and pods can be made and find DNS."""
        self._wait(lambda: self.node_ready(since), "the node is not Ready", "kubelet", _LOOK_SECONDS)
        kubectl = self._kubectl()

        def account() -> bool:
            return kubectl.run("get", "serviceaccount/default", "--namespace=default").ok

        self._wait(account, "there is no default service account", "kube-controller-manager", _LOOK_SECONDS)
        rollout = ("rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=60s")
        self._wait(lambda: kubectl.run(*rollout).ok, "the DNS server is not available", "kubelet")

    def api_ready(self) -> bool:
        """Ask the API server."""
        return is_ready(config.SERVER, self._folders.pki / "ca.crt")

    def node_ready(self, since: datetime | None = None) -> bool:
        """Ask whether the node's kubelet says Ready, and said it after `since`."""
        path = "jsonpath={.status.conditions[?(@.type=='Ready')]}"
        answer = self._kubectl().run("get", f"node/{config.NAME}", f"--output={path}", "--request-timeout=5s")
        return answer.ok and bool(answer.stdout) and says_ready(answer.stdout, since)

    def init(self) -> Identity:
        """Give the node's first process, or raise when it is gone."""
        found = self._table.alive().get(INIT)
        if found is None:
            raise self._failed("the node's first process ended", "init")
        return found

    @property
    def _cni_file(self) -> Path:
        return self._state / "cni" / "10-aos.conflist"

    def _kubectl(self) -> Kubectl:
        return Kubectl(self._folders.kube / "kubectl", self._folders.user("admin"))

    def _apply(self, kubectl: Kubectl, *paths: str) -> None:
        named = [argument for path in paths for argument in ("--filename", path)]
        kubectl.must("apply", "--server-side", "--force-conflicts", *named)

    def _mark(self, marker: str) -> None:
        (self._state / "markers" / marker).touch()

    def _log(self, name: str) -> Path:
        return self._state / "log" / f"{name}.log"

    def _wait(
        self, condition: Callable[[], bool], problem: str, log: str, every_seconds: float = 0.05
    ) -> None:
        def settled() -> bool:
            self.init()
            return condition()

        if not wait_until(settled, self._patience_seconds, every_seconds):
            raise self._failed(f"{problem} after {self._patience_seconds:.0f} s", log)

    def _failed(self, problem: str, log: str) -> NotReadyError:
        path = self._log(log)
        lines = path.read_text(errors="replace").splitlines()[-_LOG_LINES:] if path.exists() else []
        text = "\n".join(lines)
        return NotReadyError(
            f"the node in {self._state} cannot be brought up: {problem}. The end of {path}:\n{text}\n"
            "Run `up` to try again, or `down` and then `up` to start with empty state."
        )


def says_ready(condition: str, since: datetime | None) -> bool:
    """Judge a node's Ready condition, given as JSON; one from before `since` says nothing."""
    content = json.loads(condition)
    if content["status"] != "True":
        return False
    beat = datetime.fromisoformat(content["lastHeartbeatTime"]).astimezone(UTC)
    # Kubernetes writes whole seconds.
    return since is None or beat >= since.replace(microsecond=0)


def _felix_ready() -> bool:
    url = f"http://{config.NODE_ADDRESS}:{config.FELIX_HEALTH_PORT}/readiness"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=_ANSWER_SECONDS) as answer:
            # Felix answers 204 when it is ready.
            return bool(_OK <= answer.status < _OK + 100)
    except (OSError, urllib.error.URLError):
        return False
