"""A cluster that kind keeps in a Docker engine: the way for machines that have one."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import images, programs
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.files import exclusive, write_atomically
from hack.cluster.handle import Handle, Status
from hack.cluster.kubectl import Kubectl
from hack.cluster.paths import Paths
from hack.cluster.progress import say, step

DEFAULT_NAME = "aos"
IMAGE_VARIABLE = "AOS_KIND_IMAGE"

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

    def prepare(self) -> None:
        """Pack the image that tests try the network with; kind fetches everything else."""
        images.archive(self._paths, "probe")

    def up(self) -> None:
        """Make the cluster, unless it is there."""
        with exclusive(self._paths.state / "kind.lock"):
            exists = self._exists()
            self._check_owner(exists=exists)
            if exists and self.status().is_up:
                say(f"the kind cluster {self._name} is up")
                return
            if exists:
                say(f"the kind cluster {self._name} does not answer; making it anew")
                self._kind("delete", "cluster")
            self._paths.kind.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._made, self._name + "\n")
            with step(f"making the kind cluster {self._name}"):
                self._kind(
                    "create", "cluster", f"--config={_CONFIG}", "--wait=180s", *self._target(), *_image()
                )
            self.load(images.archive(self._paths, "probe"))
            say(f"the kind cluster {self._name} is up; its kubeconfig is {self._kubeconfig}")

    def down(self) -> None:
        """Delete the cluster if this tool made it, or if it was named."""
        with exclusive(self._paths.state / "kind.lock"):
            exists = self._exists()
            self._check_owner(exists=exists)
            if exists:
                self._kind("delete", "cluster", *self._target())
            shutil.rmtree(self._paths.kind, ignore_errors=True)

    def status(self) -> Status:
        """Ask kind and the API server."""
        if not self._exists():
            return Status(made=False, is_up=False, sentence="not up")
        if not self._kubeconfig.exists():
            write_atomically(self._kubeconfig, self._kind("get", "kubeconfig"), mode=0o600)
        handle = self.handle()
        version = Kubectl(handle.program, handle.kubeconfig).server_version()
        sentence = f"up in Docker, Kubernetes {version}" if version else "broken; `up` repairs it"
        return Status(made=True, is_up=version is not None, sentence=sentence)

    def load(self, archive: Path) -> None:
        """Put an image archive into every node."""
        self._kind("load", "image-archive", str(archive))

    def handle(self) -> Handle:
        """Give what is needed to use it; its authority stays in its containers."""
        on_path = shutil.which("kubectl")
        kubectl = Path(on_path) if on_path else programs.tool(self._paths, "kubectl")
        return Handle(self._kubeconfig, kubectl, load_archive=self.load, host_address=_gateway())

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


def _image(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Choose another release of Kubernetes by its node image."""
    image = environment.get(IMAGE_VARIABLE)
    return (f"--image={image}",) if image else ()


def _gateway() -> str | None:
    """Give this machine's address on the network of kind's nodes."""
    query = ["docker", "network", "inspect", "kind", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return next((address for address in done.stdout.split() if ":" not in address), None)
