"""A real API server for the tests of this folder: a control plane of their own, ended with the session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.control_plane import ControlPlane
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.session import prepare

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def serve_kinds(control_plane: Handle) -> None:
    """Apply the CRDs, and wait until they are served."""
    applied = control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert applied.ok, applied.stderr
    waited = control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", "crd", "-l", "app.kubernetes.io/part-of=aos"
    )
    assert waited.ok, waited.stderr


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell xdist (`--dist loadgroup`) what stays with one worker: a file; of tests/cluster/operator all, for its control plane."""
    for item in items:
        folder = item.path.parent
        if HERE not in item.path.parents:
            continue
        group = folder if folder.name == "operator" else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))


def pytest_collection_finish(session: pytest.Session) -> None:
    needed = any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if needed and capture is not None and not session.config.option.collectonly:
        # A first build takes minutes: no test's time limit may count them, and the person shall see them pass.
        with capture.global_and_fixture_disabled():
            prepare(control_plane=True)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    cluster = ControlPlane(Paths.from_environment(state=tmp_path_factory.mktemp("control-plane")))
    try:
        cluster.up()
        yield cluster.handle()
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def cluster(control_plane: Handle) -> Handle:
    """The control plane with the kinds of AOS."""
    serve_kinds(control_plane)
    return control_plane
