"""What a test or a script holds of a running cluster."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.archives import archive_of
from hack.cluster.errors import OwnershipError
from hack.cluster.kubectl import Answer, Kubectl
from hack.cluster.pki import Subject


def _no_authority(subject: Subject) -> Path:
    raise OwnershipError(
        f"no certificate for {subject.user}: this cluster's authority is not this tool's to use"
    )


def _no_store(archive: Path) -> None:
    raise OwnershipError(f"{archive} is not loaded: this cluster's images are not this tool's to change")


@dataclass(frozen=True)
class Handle:
    """A running cluster: the administrator's kubeconfig, the kubectl that fits, and what else may be done to it.

    `host_address` is where pods reach servers that run on this machine, as something outside the cluster; `cache` is
    kubectl's, and goes with the cluster.
    """

    kubeconfig: Path
    program: Path
    issue: Callable[[Subject], Path] = field(default=_no_authority, repr=False)
    load_archive: Callable[[Path], None] = field(default=_no_store, repr=False)
    host_address: str | None = None
    cache: Path | None = None

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run kubectl as the administrator; look at `returncode`, `stdout` and `stderr`."""
        return Kubectl(self.program, self.kubeconfig, self.cache).run(*arguments, stdin=stdin)

    def user(self, name: str, *groups: str) -> Path:
        """Write a kubeconfig for this user in these groups."""
        return self.issue(Subject(name, groups))

    def load(self, image: str) -> None:
        """Put an image into the cluster: the path of an archive, or a name that Docker or buildah knows."""
        with archive_of(image) as archive:
            self.load_archive(archive)


@dataclass(frozen=True)
class Status:
    """How a cluster is: whether it was made at all, whether all of it works, and one sentence for a person."""

    made: bool
    is_up: bool
    sentence: str
