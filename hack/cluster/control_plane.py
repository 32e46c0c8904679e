"""A control plane without a node: etcd, API server and controller manager on 127.0.0.1, without root.

Several stand side by side: each has a state directory and ports of its own. Pods are accepted but never run.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hack.cluster import flags, kubeconfig, programs
from hack.cluster.environment import inherited
from hack.cluster.errors import ClusterError, NotReadyError
from hack.cluster.files import exclusive, write_atomically
from hack.cluster.handle import Handle
from hack.cluster.kubectl import Kubectl, is_ready, wait_until
from hack.cluster.paths import Paths
from hack.cluster.pki import Endpoints, Subject, write_pki
from hack.cluster.process import Table
from hack.cluster.progress import say
from hack.cluster.source import CONTROL_PLANE_PROGRAMS, absent_from, choose, gather
from hack.ports import free_port

LOOPBACK = "127.0.0.1"
_GARBAGE_PERCENT = "400"
"""How far its programs' memory may grow before they collect; Go's default of 100 took the API server a seventh more of the processor."""
SERVERS = ("etcd", "kube-apiserver")
CONTROLLERS = "kube-controller-manager"
NAMES = (*SERVERS, CONTROLLERS)

_READY_SECONDS = 60.0
_STARTS = 3
_LOG_LINES = 12
_TAKEN = "address already in use"


@dataclass(frozen=True)
class Ports:
    """Where the programs listen on 127.0.0.1."""

    api: int
    etcd_client: int
    etcd_peer: int


@dataclass(frozen=True)
class Config:
    """What a started control plane was started with; kept so that a repair starts the same again."""

    programs: str
    ports: Ports

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{LOOPBACK}:{self.ports.api}"


@dataclass(frozen=True)
class Health:
    """How a control plane is, as far as can be told from outside."""

    config: Config | None
    alive: frozenset[str]
    ready: bool

    @property
    def dead(self) -> tuple[str, ...]:
        """Programs that should run and do not, in the order in which they start."""
        return tuple(name for name in NAMES if name not in self.alive)

    @property
    def is_up(self) -> bool:
        """Whether there is nothing to do for `up`."""
        return self.config is not None and not self.dead and self.ready

    def describe(self) -> str:
        """Say it in one sentence."""
        if self.config is None:
            return "not up"
        if self.is_up:
            return f"up at {self.config.server}"
        if self.dead:
            return f"broken: {', '.join(self.dead)} ended; `up --control-plane` repairs it"
        return "broken: all programs run, but the API server is not ready; `up --control-plane` repairs it"


class ControlPlane:
    """The control plane whose state stands in one directory."""

    def __init__(self, paths: Paths) -> None:
        """Look at the state directory of `paths`; nothing is started."""
        self._paths = paths
        self.folder = paths.control_plane
        self.kubeconfig = self.folder / "kubeconfig"
        self._table = Table(self.folder / "processes.json")

    def handle(self) -> Handle:
        """Give what others need to use this control plane; it must be up, or have been."""
        kubectl = Path(self._must_config().programs) / "kubectl"
        return Handle(self.kubeconfig, kubectl, self.mint, cache=self._cache)

    def health(self) -> Health:
        """Gather how the control plane is."""
        config = self._config()
        alive = frozenset(self._table.alive())
        ready = config is not None and is_ready(config.server, self._pki / "ca.crt")
        return Health(config, alive, ready)

    def up(self) -> None:
        """Bring the control plane up, or repair it; nothing happens when it is up."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with exclusive(self._lock, lambda: say("another run works on this control plane; waiting for it …")):
            health = self.health()
            config = self._with_programs(health.config)
            if health.is_up:
                # Where its programs are gone, what runs goes on, but kubectl is needed too.
                if config != health.config:
                    self._write(config)
                say(f"the control plane is {health.describe()}")
                return
            if health.config is not None:
                say(f"the control plane is {health.describe().partition(';')[0]}; repairing it")
            # Other programs may be of another release, which must not be mixed with what still runs.
            self._bring_up(config, whole=not health.dead or config != health.config)
            say(f"the control plane is up at {self._must_config().server}")

    def down(self) -> None:
        """End every process and forget all state."""
        if not self.folder.exists():
            return
        with exclusive(self._lock):
            self._table.end_all()
            shutil.rmtree(self.folder)

    def mint(self, subject: Subject) -> Path:
        """Write a kubeconfig for a user with these groups."""
        path = kubeconfig.file_of(self.folder / "users", subject.user)
        return kubeconfig.mint(path, self._pki, self._must_config().server, subject)

    @property
    def _pki(self) -> Path:
        return self.folder / "pki"

    @property
    def _cache(self) -> Path:
        return self.folder / "kubectl-cache"

    @property
    def _lock(self) -> Path:
        return self._paths.state / "control-plane.lock"

    def _with_programs(self, config: Config | None) -> Config:
        """Keep what it was started with, and choose programs where there are none, or none any more."""
        if config is not None and not absent_from(Path(config.programs), CONTROL_PLANE_PROGRAMS):
            return config
        if config is not None:
            say(f"the programs in {config.programs} are gone; choosing others")
        facts = gather(self._paths, control_plane=True)
        chosen = programs.kubernetes(self._paths, facts, choose(facts))
        return Config(str(chosen), free_ports() if config is None else config.ports)

    def _config(self) -> Config | None:
        try:
            content = json.loads((self.folder / "config.json").read_text())
        except FileNotFoundError:
            return None
        return Config(programs=content["programs"], ports=Ports(**content["ports"]))

    def _must_config(self) -> Config:
        config = self._config()
        if config is None:
            raise ClusterError(f"no control plane in {self.folder}: run `up --control-plane` first")
        return config

    def _keep(self, config: Config) -> None:
        write_pki(self._pki, Endpoints(names=(), addresses=(LOOPBACK, flags.API_SERVICE_ADDRESS)))
        for path, subject in (
            (self.kubeconfig, Subject("admin", ("system:masters",))),
            (self.folder / "controller-manager.kubeconfig", Subject("system:kube-controller-manager")),
        ):
            kubeconfig.mint(path, self._pki, config.server, subject)
        self._write(config)

    def _write(self, config: Config) -> None:
        write_atomically(self.folder / "config.json", json.dumps(asdict(config), indent=2) + "\n")

    def _bring_up(self, config: Config, *, whole: bool) -> None:
        for start in range(_STARTS):
            if whole or start > 0:
                self._table.end_all()
            self._keep(config)
            if self._come_up(config):
                return
            # A port was free when it was chosen and somebody else was faster; only then new ports help.
            if _TAKEN not in self._logs():
                break
            self._table.end_all()
            config = Config(config.programs, free_ports())
        raise NotReadyError(self._explain())

    def _come_up(self, config: Config) -> bool:
        """Start what does not run; whether all of it came up."""
        self._start(config, SERVERS)

        def settled() -> bool:
            return self._is_ready(config) or not set(SERVERS) <= self._table.alive().keys()

        wait_until(settled, _READY_SECONDS)
        if not self._is_ready(config):
            return False
        # It gives up if the API server does not let it in within ten seconds, which on a busy machine it would not.
        self._start(config, (CONTROLLERS,))
        kubectl = Kubectl(Path(config.programs) / "kubectl", self.kubeconfig, self._cache)
        # A pod is only accepted when its namespace has this account.
        return wait_until(
            lambda: kubectl.run("get", "serviceaccount/default", "--namespace=default").ok,
            _READY_SECONDS,
            0.2,
        )

    def _is_ready(self, config: Config) -> bool:
        return is_ready(config.server, self._pki / "ca.crt")

    def _start(self, config: Config, names: Sequence[str]) -> None:
        logs = self.folder / "log"
        logs.mkdir(exist_ok=True)
        alive = self._table.alive()
        for name in names:
            if name not in alive:
                (logs / f"{name}.log").unlink(missing_ok=True)
                command = [str(Path(config.programs) / name), *self._arguments(name, config)]
                self._table.start(name, command, logs / f"{name}.log", self._environment(), self.folder)

    @staticmethod
    def _environment() -> dict[str, str]:
        # It lives for minutes, on machines that also run what is tested: memory is cheaper than looking through it.
        return {"GOGC": _GARBAGE_PERCENT, **inherited()}

    def _arguments(self, name: str, config: Config) -> Sequence[str]:
        etcd = f"http://{LOOPBACK}:{config.ports.etcd_client}"
        if name == "etcd":
            peer = f"http://{LOOPBACK}:{config.ports.etcd_peer}"
            return flags.etcd(self.folder / "etcd", etcd, peer)
        if name == "kube-apiserver":
            return (
                *flags.api_server(self._pki, etcd, LOOPBACK, config.ports.api),
                f"--cert-dir={self.folder / 'generated'}",
                "--endpoint-reconciler-type=none",
            )
        return flags.controller_manager(self._pki, self.folder / "controller-manager.kubeconfig")

    def _logs(self) -> str:
        return "\n".join(
            path.read_text(errors="replace") for path in sorted((self.folder / "log").glob("*.log"))
        )

    def _explain(self) -> str:
        dead = self.health().dead
        blamed = dead[0] if dead else "kube-apiserver"
        log = self.folder / "log" / f"{blamed}.log"
        lines = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:]) if log.exists() else ""
        what = f"{blamed} ended" if dead else "the API server did not become ready"
        return (
            f"the control plane in {self.folder} cannot be brought up: {what}. The end of {log}:\n{lines}\n"
            "Run `down --control-plane`, then `up --control-plane`, to start with empty state."
        )


def free_ports() -> Ports:
    """Find three ports on 127.0.0.1 that nobody listens on now."""
    found: dict[int, None] = {}
    while len(found) < len(fields(Ports)):
        found[free_port()] = None
    return Ports(*found)
