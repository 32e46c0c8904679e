"""A whole Kubernetes of one node, in Linux namespaces of its own on this machine: brought up, repaired, ended."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster import build, images, kubeconfig, node_host, packages, recipes
from hack.cluster import node_config as config
from hack.cluster.errors import ClusterError, NotReadyError, OwnershipError, PrerequisiteError
from hack.cluster.files import exclusive, write_atomically
from hack.cluster.handle import Handle
from hack.cluster.node_steps import INIT, Steps
from hack.cluster.paths import Paths
from hack.cluster.pki import Subject
from hack.cluster.process import Table
from hack.cluster.progress import say, step

_COMPLETE = "complete"
_FRESH_SECONDS = 90.0
# A living node that does not come back within this time is started anew.
_REPAIR_SECONDS = 30.0


@dataclass(frozen=True)
class Health:
    """How a node is, as far as can be told from outside."""

    made: bool
    alive: bool
    linked: bool = False
    complete: bool = False
    api_ready: bool = False
    node_ready: bool = False

    @property
    def is_up(self) -> bool:
        """Whether there is nothing to do for `up`."""
        return self.alive and self.linked and self.complete and self.api_ready and self.node_ready

    def describe(self) -> str:
        """Say it in one sentence."""
        if not self.made:
            return "not up"
        if self.is_up:
            return f"up at {config.SERVER}"
        return f"broken: {self._trouble()}; `up` repairs it"

    def _trouble(self) -> str:
        if not self.alive:
            return "its first process is gone (it was killed, or the machine was restarted)"
        if not self.linked:
            return f"its interface {config.LINK} on this machine is gone"
        if not self.complete:
            return "an earlier `up` did not come to its end"
        if not self.api_ready:
            return "the API server does not answer"
        return "the node is not Ready"


class Node:
    """The node whose state stands under one directory; its addresses are fixed, so a machine holds one."""

    def __init__(self, paths: Paths) -> None:
        """Look at the state directory of `paths`; nothing is started."""
        self._paths = paths
        self.folder = paths.node
        self._table = Table(self.folder / "processes.json")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "users" / "admin.kubeconfig"

    def handle(self) -> Handle:
        """Give what others need to use this node; it must be up, or have been."""
        kubectl = self._must_folders().kube / "kubectl"
        return Handle(
            self.kubeconfig, kubectl, self.mint, self.load, config.HOST_ADDRESS, self.folder / "kubectl-cache"
        )

    def health(self) -> Health:
        """Gather how the node is."""
        folders = self._folders()
        if folders is None:
            return Health(made=False, alive=False)
        alive = INIT in self._table.alive()
        linked = alive and node_host.link_owner() == self.folder
        steps = Steps(folders, self._table)
        api_ready = linked and steps.api_ready()
        return Health(
            made=True,
            alive=alive,
            linked=linked,
            complete=(self.folder / "markers" / _COMPLETE).exists(),
            api_ready=api_ready,
            node_ready=api_ready and steps.node_ready(),
        )

    def up(self, kubernetes: Callable[[], Path]) -> None:
        """Bring the node up, or repair it; `kubernetes` gives the folder with Kubernetes' programs when asked."""
        with exclusive(self._lock, lambda: say("another run works on this node; waiting for it …")):
            health = self.health()
            if health.is_up:
                say(f"the node is {health.describe()}")
                return
            if health.made:
                say(f"the node is {health.describe().partition(';')[0]}; repairing it")
            self._check_machine()
            if health.linked and self._go_on():
                return
            self._end_processes()
            folders = self._provide(kubernetes)
            with step("starting the node"):
                self._bring_up(folders, fresh=True)
            say(f"the node is up at {config.SERVER}; its kubeconfig is {self.kubeconfig}")

    def down(self) -> None:
        """End the node and leave nothing of it: no process, mount, interface, control group or file."""
        with exclusive(self._lock):
            self._end_processes()
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def load(self, archive: Path) -> None:
        """Put an image archive into the node's store."""
        Steps(self._must_folders(), self._table).import_images((archive,))

    def mint(self, subject: Subject) -> Path:
        """Write a kubeconfig for a user with these groups."""
        path = kubeconfig.file_of(self.folder / "minted", subject.user)
        return kubeconfig.mint(path, self._must_folders().pki, config.SERVER, subject)

    @property
    def _lock(self) -> Path:
        return self._paths.state / "node.lock"

    def _folders(self) -> config.Folders | None:
        try:
            content = json.loads((self.folder / "folders.json").read_text())
        except FileNotFoundError:
            return None
        return config.Folders(**{name: Path(value) for name, value in content.items()})

    def _must_folders(self) -> config.Folders:
        folders = self._folders()
        if folders is None:
            raise ClusterError(f"no node in {self.folder}: run `up` first")
        return folders

    def _check_machine(self) -> None:
        if os.geteuid() != 0:
            raise PrerequisiteError(
                "a node needs root for its namespaces: run as root, use kind with a Docker engine, "
                "give a cluster of your own with --kubeconfig, or do with `up --control-plane`, which needs no root"
            )
        packages.ensure_packages(packages.RUN_NODE, why="to run a node")
        node_host.check_state_folder(self._paths.state)
        other = self._other_node()
        if other is not None:
            raise OwnershipError(
                f"another node is up with its state in {other}, and a machine holds one: "
                f"run `--state {other.parent} down` first, or use that one"
            )

    def _other_node(self) -> Path | None:
        """Give the state of a living node that is not this one."""
        owner = node_host.link_owner()
        if owner is None or owner == self.folder:
            return None
        return owner if Table(owner / "processes.json").alive() else None

    def _provide(self, kubernetes: Callable[[], Path]) -> config.Folders:
        programs = self._paths.programs
        folders = config.Folders(
            state=self.folder,
            kube=kubernetes(),
            containerd=build.ensure(programs, recipes.containerd()),
            runc=build.ensure(programs, recipes.runc()),
            calico=build.ensure(programs, recipes.calico()),
        )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {name: str(value) for name, value in vars(folders).items()}
        write_atomically(self.folder / "folders.json", json.dumps(content, indent=2) + "\n")
        return folders

    def _go_on(self) -> bool:
        """Repair a node that lives; False when only starting it anew can help."""
        try:
            self._bring_up(self._must_folders(), fresh=False)
        except NotReadyError as problem:
            say(f"{str(problem).partition('.')[0]}; starting it anew")
            return False
        say(f"the node is up at {config.SERVER}")
        return True

    def _bring_up(self, folders: config.Folders, *, fresh: bool) -> None:
        steps = Steps(folders, self._table, patience_seconds=_FRESH_SECONDS if fresh else _REPAIR_SECONDS)
        archives = images.ensure(self._paths)
        since = datetime.now(UTC) if fresh else None
        if fresh:
            steps.write_files()
            steps.start()
        steps.import_images(archives)
        steps.wait_for_api()
        steps.enforce_policies()
        steps.deploy_dns()
        steps.wait_for_node(since)
        (self.folder / "markers" / _COMPLETE).touch()

    def _end_processes(self) -> None:
        """End the node's processes and what they hold on this machine; its data stays."""
        if self.folder.exists():
            self._table.end_all()
        if self._other_node() is not None:
            return
        if node_host.link_owner() is not None:
            node_host.delete_link()
        node_host.delete_cgroups()
