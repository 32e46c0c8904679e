"""The three kinds of whole cluster behind one interface: given, kept by kind, or the node that this tool makes."""

from pathlib import Path
from typing import Protocol

from hack.cluster import build, images, packages, programs, recipes
from hack.cluster.control_plane import ControlPlane
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.handle import Handle, Status
from hack.cluster.kind import KindCluster
from hack.cluster.kubectl import Kubectl
from hack.cluster.node import Node
from hack.cluster.paths import Paths
from hack.cluster.progress import say
from hack.cluster.source import Source, choose, gather


class Backend(Protocol):
    """What every kind of cluster can be asked."""

    def prepare(self) -> None:
        """Build or fetch everything that `up` needs, and start nothing."""

    def up(self) -> None:
        """Bring the cluster up, or repair it."""

    def down(self) -> None:
        """End the cluster and leave nothing."""

    def status(self) -> Status:
        """Tell how it is."""

    def load(self, archive: Path) -> None:
        """Put an image archive into the cluster."""

    def handle(self) -> Handle:
        """Give what is needed to use it."""


class Given:
    """A cluster of somebody else's: asked, never changed."""

    def __init__(self, paths: Paths, kubeconfig: Path) -> None:
        """Take the kubeconfig that names the cluster."""
        if not kubeconfig.is_file():
            raise PrerequisiteError(
                f"there is no kubeconfig at {kubeconfig}: give the path of a file that exists"
            )
        self._paths = paths
        self._kubeconfig = kubeconfig

    def prepare(self) -> None:
        """Do nothing: whoever made the cluster has prepared it."""

    def up(self) -> None:
        """Check that the cluster answers."""
        status = self.status()
        if not status.is_up:
            raise ClusterError(
                f"the cluster of {self._kubeconfig} is {status.sentence}; this tool never starts it"
            )
        say(f"the cluster of {self._kubeconfig} is {status.sentence}")

    def down(self) -> None:
        """Leave the cluster alone."""
        say(f"the cluster of {self._kubeconfig} was not made by this tool and is left as it is")

    def status(self) -> Status:
        """Ask for the version."""
        handle = self.handle()
        version = Kubectl(handle.program, handle.kubeconfig).server_version()
        sentence = f"up, Kubernetes {version}" if version else "not answering"
        return Status(made=True, is_up=version is not None, sentence=sentence)

    def load(self, archive: Path) -> None:
        """Refuse: nothing is put into a cluster that this tool did not make."""
        raise OwnershipError(
            f"{archive} is not loaded: the cluster of {self._kubeconfig} was not made by this tool; "
            "push the image to a registry which that cluster reaches"
        )

    def handle(self) -> Handle:
        """Give the kubeconfig and a kubectl."""
        return Handle(self._kubeconfig, programs.tool(self._paths, "kubectl"))


class LocalNode:
    """The node, with Kubernetes from wherever this machine has it."""

    def __init__(self, paths: Paths) -> None:
        """Look at the node's state."""
        self._paths = paths
        self._node = Node(paths)

    def prepare(self) -> None:
        """Install packages, build programs and pack images."""
        packages.ensure_packages(packages.RUN_NODE, why="to run a node")
        self._kubernetes()
        for recipe in recipes.node_recipes():
            build.ensure(self._paths.programs, recipe)
        images.ensure(self._paths)

    def up(self) -> None:
        """Bring the node up, or repair it."""
        self._node.up(self._kubernetes)

    def down(self) -> None:
        """End the node."""
        self._node.down()

    def status(self) -> Status:
        """Tell how the node is."""
        health = self._node.health()
        return Status(health.made, health.is_up, health.describe())

    def load(self, archive: Path) -> None:
        """Put an image archive into the node's store."""
        self._node.load(archive)

    def handle(self) -> Handle:
        """Give what is needed to use the node."""
        return self._node.handle()

    def _kubernetes(self) -> Path:
        facts = gather(self._paths, control_plane=False)
        return programs.kubernetes(self._paths, facts, choose(facts))


class LocalControlPlane:
    """The control plane without a node."""

    def __init__(self, paths: Paths) -> None:
        """Look at its state."""
        self._paths = paths
        self._plane = ControlPlane(paths)

    def prepare(self) -> None:
        """Build or fetch the programs."""
        facts = gather(self._paths, control_plane=True)
        programs.kubernetes(self._paths, facts, choose(facts))

    def up(self) -> None:
        """Bring it up, or repair it."""
        self._plane.up()

    def down(self) -> None:
        """End it."""
        self._plane.down()

    def status(self) -> Status:
        """Tell how it is."""
        health = self._plane.health()
        return Status(health.config is not None, health.is_up, health.describe())

    def load(self, archive: Path) -> None:
        """Refuse: no pod ever runs here."""
        raise PrerequisiteError(
            f"{archive} is not loaded: a control plane has no node; run `up` without its flag"
        )

    def handle(self) -> Handle:
        """Give what is needed to use it."""
        return self._plane.handle()


def select(paths: Paths, *, control_plane: bool, kubeconfig: Path | None, kind_name: str | None) -> Backend:
    """Choose the kind of cluster: what was made before stays what it is, whatever the machine has learned since."""
    if kubeconfig is not None:
        return Given(paths, kubeconfig)
    if control_plane:
        return LocalControlPlane(paths)
    if kind_name is not None or paths.kind_record().exists():
        return KindCluster(paths, kind_name)
    if paths.node.exists():
        return LocalNode(paths)
    if choose(gather(paths, control_plane=False)).source is Source.KIND:
        return KindCluster(paths, None)
    return LocalNode(paths)
