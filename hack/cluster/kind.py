"""A cluster that kind keeps in a Docker engine: the way for machines that have one."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from hack.cluster import images, programs
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.files import exclusive, write_atomically
from hack.cluster.handle import Handle, Status
from hack.cluster.kubectl import Kubectl, wait_until
from hack.cluster.paths import KIND_NAME, Paths
from hack.cluster.progress import say, step

IMAGE_VARIABLE = "AOS_KIND_IMAGE"

_CONFIG = Path(__file__).parents[1] / "kind" / "config.yaml"
_LAST_LINES = 10
_PATIENCE_SECONDS = 60.0
"""How long a cluster may be silent before it is made anew, and all that is in it lost."""
_NODES = "label=io.x-k8s.kind.cluster={}"
"""How Docker finds the nodes of a cluster by its name: kind gives each this label."""
_SAFE = re.compile(r"[a-z0-9][a-z0-9.-]*")


class Maker(Enum):
    """Who made the cluster of a name."""

    NOBODY = auto()
    THIS_TOOL = auto()
    SOMEBODY_ELSE = auto()


class KindCluster:
    """One kind cluster, with a folder of its own in the state; what this tool did not make is used when named, and never ended."""

    def __init__(self, paths: Paths, name: str | None) -> None:
        """Use the cluster `name`; without one, the cluster that this tool makes and owns.

        Raises:
            PrerequisiteError: kind has no clusters of such a name.
        """
        self._paths = paths
        self._named = name is not None
        self._name = KIND_NAME if name is None else name
        if not _SAFE.fullmatch(self._name):
            raise PrerequisiteError(
                f"{self._name!r} is no name of a kind cluster: use small letters, digits, dots and hyphens, "
                "and begin with a letter or digit"
            )
        self._made = paths.kind_record(self._name)
        self._folder = self._made.parent
        self._kubeconfig = self._folder / "kubeconfig"

    def prepare(self) -> None:
        """Pack the image that tests try the network with; kind fetches everything else."""
        images.archive(self._paths, "probe")

    def up(self) -> None:
        """Make the cluster, unless it is there; make it anew only if this tool made it and it stays silent.

        Raises:
            OwnershipError: somebody else made it, and nobody named it, or it does not answer.
        """
        with exclusive(self._lock):
            maker = self._maker()
            if maker is not Maker.NOBODY:
                if self._version() or (maker is Maker.THIS_TOOL and self._revived()):
                    say(f"the kind cluster {self._name} is up")
                    return
                if maker is Maker.SOMEBODY_ELSE:
                    raise self._not_ours("does not answer")
                say(f"the kind cluster {self._name} does not answer; making it anew, with nothing in it")
                self._kind("delete", "cluster", *self._target())
            self._make()
            self.load(images.archive(self._paths, "probe"))
            say(f"the kind cluster {self._name} is up; its kubeconfig is {self._kubeconfig}")

    def down(self) -> None:
        """Delete the cluster and what is known of it.

        Raises:
            OwnershipError: somebody else made it, so it is left alone.
        """
        with exclusive(self._lock):
            maker = self._maker()
            if maker is Maker.THIS_TOOL:
                self._kind("delete", "cluster", *self._target())
            self._forget()
            if maker is Maker.SOMEBODY_ELSE:
                raise self._not_ours("is not deleted")

    def status(self) -> Status:
        """Ask kind and the API server."""
        maker = self._maker()
        if maker is Maker.NOBODY:
            return Status(made=False, is_up=False, sentence="not up")
        version = self._version()
        if version is not None:
            return Status(made=True, is_up=True, sentence=f"up in Docker, Kubernetes {version}")
        what = (
            "`up` starts it again, or makes it anew"
            if maker is Maker.THIS_TOOL
            else "this tool did not make it"
        )
        return Status(made=True, is_up=False, sentence=f"broken; {what}")

    def load(self, archive: Path) -> None:
        """Put an image archive into every node."""
        self._maker()
        self._kind("load", "image-archive", str(archive))

    def handle(self) -> Handle:
        """Give what is needed to use it; its authority stays in its containers."""
        if self._maker() is Maker.NOBODY:
            raise ClusterError(f"there is no kind cluster {self._name}: run `up` first")
        self._fetch_kubeconfig()
        return Handle(
            self._kubeconfig, self._kubectl().program, load_archive=self.load, host_address=_gateway()
        )

    @property
    def _lock(self) -> Path:
        return self._paths.state / "kind.lock"

    def _maker(self) -> Maker:
        """Tell who made it.

        Raises:
            OwnershipError: somebody else did, and nobody named it.
        """
        if self._name not in _run("kind", "get", "clusters").split():
            return Maker.NOBODY
        # A name is not enough: the cluster may have been deleted and another made of the same name.
        nodes = _nodes(self._name)
        if nodes and nodes <= self._recorded():
            return Maker.THIS_TOOL
        if not self._named:
            raise self._not_ours("is in the way")
        return Maker.SOMEBODY_ELSE

    def _not_ours(self, trouble: str) -> OwnershipError:
        return OwnershipError(
            f"the kind cluster {self._name} {trouble}, but this tool did not make it, or was killed while it did, "
            f"so it is left alone: `kind delete cluster --name {self._name}` deletes it, "
            f"`--kind-name {self._name}` uses it as it is, and `--kind-name OTHER` makes or uses another"
        )

    def _recorded(self) -> frozenset[str]:
        try:
            return frozenset(self._made.read_text().split())
        except FileNotFoundError:
            return frozenset()

    def _make(self) -> None:
        self._forget()
        self._folder.mkdir(parents=True, mode=0o700)
        with step(f"making the kind cluster {self._name}"):
            try:
                self._kind(
                    "create", "cluster", f"--config={_CONFIG}", "--wait=180s", *self._target(), *_image()
                )
            except ClusterError:
                # kind took back what it had made; what is there now, somebody else was faster with.
                self._forget()
                raise
            except KeyboardInterrupt:
                self._record()
                raise
            self._record()

    def _record(self) -> None:
        write_atomically(self._made, "".join(f"{node}\n" for node in sorted(_nodes(self._name))))

    def _forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            self._paths.kind.rmdir()

    def _revived(self) -> bool:
        """Start its nodes, which may have been stopped, and wait; whether it answers then."""
        say(
            f"the kind cluster {self._name} does not answer; waiting for it for {_PATIENCE_SECONDS:.0f} s at most …"
        )
        with suppress(ClusterError):
            _run("docker", "start", *sorted(_nodes(self._name)))
        return wait_until(lambda: self._version() is not None, _PATIENCE_SECONDS, 1.0)

    def _version(self) -> str | None:
        """Give the API server's version, or None when the cluster does not answer."""
        try:
            self._fetch_kubeconfig()
        except ClusterError:
            return None
        return self._kubectl().server_version()

    def _fetch_kubeconfig(self) -> None:
        """Write it as kind gives it now: somebody else's cluster may be another than when it was last asked."""
        write_atomically(self._kubeconfig, self._kind("get", "kubeconfig"), mode=0o600)

    def _kubectl(self) -> Kubectl:
        on_path = shutil.which("kubectl")
        return Kubectl(Path(on_path) if on_path else programs.tool(self._paths, "kubectl"), self._kubeconfig)

    def _target(self) -> tuple[str, ...]:
        return (f"--kubeconfig={self._kubeconfig}",)

    def _kind(self, *arguments: str) -> str:
        return _run("kind", *arguments, f"--name={self._name}")


def _run(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        raise PrerequisiteError(
            f"this cluster is kept by kind in a Docker engine, and {program} is not on PATH: install it"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise ClusterError(f"`{program} {' '.join(arguments)}` failed:\n{lines}")
    return done.stdout


def _nodes(name: str) -> frozenset[str]:
    """Give the ids of a cluster's containers, those that are stopped too; no other cluster ever has them."""
    query = ("ps", "--all", "--quiet", "--no-trunc", f"--filter={_NODES.format(name)}")
    return frozenset(_run("docker", *query).split())


def _image(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Choose another release of Kubernetes by its node image."""
    image = environment.get(IMAGE_VARIABLE)
    return (f"--image={image}",) if image else ()


def _gateway() -> str | None:
    """Give this machine's address on the network of kind's nodes."""
    query = ["docker", "network", "inspect", "kind", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return next((address for address in done.stdout.split() if ":" not in address), None)
