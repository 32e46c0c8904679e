from pathlib import Path

import pytest

from aos.cli import connection
from aos.cli.connection import Connection

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: sales}}
- {name: two, context: {cluster: c, user: u, namespace: finance}}
- {name: bare, context: {cluster: c, user: u}}
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: made-up}}]
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    return path


@pytest.mark.parametrize(
    ("context", "namespace", "resolved"),
    [(None, None, "sales"), ("two", None, "finance"), ("bare", None, "default"), ("two", "given", "given")],
)
def test_the_namespace_is_given_or_the_contexts_or_default(
    kubeconfig: Path, context: str | None, namespace: str | None, resolved: str
) -> None:
    assert Connection(kubeconfig, context, namespace).resolved_namespace() == resolved


def test_the_kubeconfig_of_the_environment_counts(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert Connection().resolved_namespace() == "sales"


def test_in_a_pod_its_own_namespace_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "namespace"
    file.write_text("tools\n")
    monkeypatch.setattr(connection, "_POD_NAMESPACE_FILE", file)
    assert Connection(tmp_path / "none").resolved_namespace() == "tools"


def test_a_kubeconfig_that_cannot_be_read_leaves_the_default_and_nothing_else_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("{")
    assert Connection(broken).resolved_namespace() == "default"
    assert Connection(tmp_path / "none").resolved_namespace() == "default"
    assert caplog.records == []
