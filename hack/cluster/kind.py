"""A cluster that kind keeps in a Docker engine: the way for machines that have one."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import programs
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.files import exclusive, write_atomically
from hack.cluster.handle import Handle
from hack.cluster.kubectl import Kubectl
from hack.cluster.paths import Paths
from hack.cluster.progress import say, step

DEFAULT_NAME = "aos"

_CONFIG = Path(__file__).parents[1] / "kind" / "config.yaml"
_LAST_LINES = 10


class KindCluster:
    """One kind cluster; made by this tool, or named by the person who wants it used."""

    def __init__(self, paths: Paths, name: str | None) -> None:
        """Use the cluster `name`; without one, the cluster that this tool makes and owns."""
        self._paths = paths
        self._named = name is not None
        self._name = name or DEFAULT_NAME
        self._kubeconfig = paths.kind / "kubeconfig"
        self._made = paths.kind / "made"

    def up(self) -> None:
        """Make the cluster, unless it is there."""
        with exclusive(self._paths.state / "kind.lock"):
            exists = self._exists()
            self._check_owner(exists=exists)
            if exists and self.status()[0]:
                say(f"the kind cluster {self._name} is up")
                return
            if exists:
                say(f"the kind cluster {self._name} does not answer; making it anew")
                self._kind("delete", "cluster")
            self._paths.kind.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._made, self._name + "\n")
            with step(f"making the kind cluster {self._name}"):
                self._kind("create", "cluster", f"--config={_CONFIG}", "--wait=180s", *self._target())
            say(f"the kind cluster {self._name} is up; its kubeconfig is {self._kubeconfig}")

    def down(self) -> None:
        """Delete the cluster if this tool made it, or if it was named."""
        with exclusive(self._paths.state / "kind.lock"):
            exists = self._exists()
            self._check_owner(exists=exists)
            if exists:
                self._kind("delete", "cluster", *self._target())
            shutil.rmtree(self._paths.kind, ignore_errors=True)

    def status(self) -> tuple[bool, str]:
        """Ask kind and the API server."""
        if not self._exists():
            return False, "not up"
        if not self._kubeconfig.exists():
            write_atomically(self._kubeconfig, self._kind("get", "kubeconfig"), mode=0o600)
        handle = self.handle()
        version = Kubectl(handle.program, handle.kubeconfig).server_version()
        return (
            version is not None,
            f"up in Docker, Kubernetes {version}" if version else "broken; `up` repairs it",
        )

    def load(self, archive: Path) -> None:
        """Put an image archive into every node."""
        self._kind("load", "image-archive", str(archive))

    def handle(self) -> Handle:
        """Give what is needed to use it; its authority stays in its containers."""
        on_path = shutil.which("kubectl")
        return Handle(self._kubeconfig, Path(on_path) if on_path else programs.tool(self._paths, "kubectl"))

    def _check_owner(self, *, exists: bool) -> None:
        if exists and not self._named and not self._made.exists():
            raise OwnershipError(
                f"a kind cluster named {self._name} exists that this tool did not make: "
                f"name it with `--kind-name {self._name}` to have it used and replaced, "
                f"or delete it with `kind delete cluster --name {self._name}`"
            )

    def _exists(self) -> bool:
        return self._name in self._run(("get", "clusters")).split()

    def _target(self) -> tuple[str, ...]:
        return (f"--kubeconfig={self._kubeconfig}",)

    def _kind(self, *arguments: str) -> str:
        return self._run((*arguments, f"--name={self._name}"))

    def _run(self, arguments: Sequence[str]) -> str:
        if shutil.which("kind") is None:
            raise PrerequisiteError("this cluster is kept by kind, and kind is not on PATH: install it")
        done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
            raise ClusterError(f"`kind {' '.join(arguments)}` failed:\n{lines}")
        return done.stdout
