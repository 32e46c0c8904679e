"""Which cluster and namespace a command is about. Imports of the API client wait until a command connects."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aos.kube.client import ApiClient

DEFAULT_NAMESPACE: Final = "default"
_POD_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Connection:
    """What the options say of the cluster.

    Attributes:
        kubeconfig: a file; None for ``$KUBECONFIG``, ``~/.kube/config`` or the pod's service account.
        context: a context of the kubeconfig; None for its current one.
        namespace: None for the context's own.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None

    def overridden_by(self, other: "Connection") -> "Connection":
        """Return these options, with those that ``other`` sets in their place."""
        return Connection(
            kubeconfig=other.kubeconfig or self.kubeconfig,
            context=other.context or self.context,
            namespace=other.namespace or self.namespace,
        )

    @asynccontextmanager
    async def client(self) -> "AsyncGenerator[ApiClient]":
        """Connect for the time of a block.

        Raises:
            CredentialsError: no API server is configured.
        """
        from aos.kube.client import ApiClient

        async with await ApiClient.connect(self.kubeconfig, self.context) as client:
            yield client

    def resolved_namespace(self) -> str:
        """Return the namespace that is meant: given, else the context's, else the pod's, else ``default``."""
        return self.namespace or self._context_namespace() or _pod_namespace() or DEFAULT_NAMESPACE

    def _context_namespace(self) -> str:
        from aos.kube.credentials import default_kubeconfig
        from aos.kube.kubeconfig import KubeconfigError, read_context

        files = str(self.kubeconfig) if self.kubeconfig else default_kubeconfig()
        try:
            return read_context(files, self.context).namespace
        except KubeconfigError:
            # What is wrong with the file is told by the connection, which needs all of it.
            return ""


def _pod_namespace() -> str:
    try:
        return _POD_NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
