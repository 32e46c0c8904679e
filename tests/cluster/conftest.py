"""A real API server for the tests of this folder: one control plane for each worker.

Each test has namespaces of its own in it. They are left there: to delete one costs the API server more than all
that a test does, and all go with the control plane.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from hack.cluster.control_plane import ControlPlane
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.session import prepare

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEOPLE = {HERE / "cli/test_approvals.py", *HERE.glob("cli/test_demo_*.py")}
"""They act on what the whole cluster shares: an admission policy, the example's namespaces."""
TOGETHER = ("operator", "gateway")


def serve_kinds(control_plane: Handle) -> None:
    """Apply the CRDs, and wait until they are served."""
    applied = control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert applied.ok, applied.stderr
    waited = control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", "crd", "-l", "app.kubernetes.io/part-of=aos"
    )
    assert waited.ok, waited.stderr


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps with one worker what must not run at once; marks for xdist's own groups are lost with this pytest."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath / nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    return ByGroup(config, log)


def group_of(path: Path) -> str:
    """Return the name of what a file stays with: operators share one lease, and gateways would serve each other's agents."""
    if path in PEOPLE:
        return "people"
    folder = path.parent.name
    return folder if folder in TOGETHER else str(path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what alters all of an API server come last: what it takes away may be missed for a second after it is back."""

    def place(item: pytest.Item) -> int:
        mark = item.get_closest_marker("last")
        return 0 if mark is None else mark.args[0]

    items.sort(key=place)


def pytest_collection_finish(session: pytest.Session) -> None:
    needed = any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if needed and capture is not None and not session.config.option.collectonly:
        # A first build takes minutes: no test's time limit may count them, and the person shall see them pass.
        with capture.global_and_fixture_disabled():
            prepare(control_plane=True)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    # Of each worker's own: operators and gateways of another's tests would act on these tests' objects.
    cluster = ControlPlane(Paths.from_environment(state=tmp_path_factory.getbasetemp() / "control-plane"))
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
