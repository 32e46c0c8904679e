"""What a test or a script holds of a running cluster."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Answer, Kubectl
from hack.cluster.pki import Subject


def _no_authority(subject: Subject) -> Path:
    raise ClusterError(
        f"no certificate for {subject.user}: the cluster's authority is not this tool's to use"
    )


@dataclass(frozen=True)
class Handle:
    """A running cluster: the administrator's kubeconfig, the kubectl that fits, and certificates for other users."""

    kubeconfig: Path
    program: Path
    issue: Callable[[Subject], Path] = field(default=_no_authority, repr=False)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run kubectl as the administrator; look at `returncode`, `stdout` and `stderr`."""
        return Kubectl(self.program, self.kubeconfig).run(*arguments, stdin=stdin)

    def user(self, name: str, *groups: str) -> Path:
        """Write a kubeconfig for this user in these groups."""
        return self.issue(Subject(name, groups))
