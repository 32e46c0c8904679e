"""A real node for the tests of this folder: the cluster of $KUBECONFIG, or one of this machine's own."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from hack.cluster.backends import Given, LocalNode
from hack.cluster.errors import PrerequisiteError
from hack.cluster.handle import Handle
from hack.cluster.session import borrowed, choose_cluster, prepare
from hack.demo.access import Access
from hack.demo.installation import apply_example, build_image, install, load_image, paths
from hack.demo.settings import Settings
from hack.postgres.server import running
from tests.e2e.installation import Installation
from tests.e2e.people import LEAD, User
from tests.e2e.teams import install_teams

POSTGRES_VARIABLE = "AOS_E2E_POSTGRES_URL"
"""Names a PostgreSQL server that pods of ``$KUBECONFIG``'s cluster reach; its database is written to."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    last = [item for item in items if item.path.name == "test_node_life.py"]
    rest = [item for item in items if item not in last]
    if last and not isinstance(choose_cluster(given()), LocalNode):
        # They are about this machine's own node; any other cluster has its own tests.
        config.hook.pytest_deselected(items=last)
        last = []
    shared = [item for item in rest if "postgres_url" in getattr(item, "fixturenames", ())]
    if shared and isinstance(choose_cluster(given()), Given) and POSTGRES_VARIABLE not in os.environ:
        # Nobody knows how pods of that cluster would reach a server on this machine.
        config.hook.pytest_deselected(items=shared)
        rest = [item for item in rest if item not in shared]
    # What changes the installation comes after all that uses it, and at the end what takes the node away.
    items[:] = sorted(rest, key=lambda item: item in shared) + last


def pytest_collection_finish(session: pytest.Session) -> None:
    needed = any("node" in getattr(item, "fixturenames", ()) for item in session.items)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if needed and capture is not None and not session.config.option.collectonly:
        # A first build takes minutes: no test's time limit may count them, and the person shall see them pass.
        with capture.global_and_fixture_disabled():
            prepare(control_plane=False, kubeconfig=given())


def given() -> Path | None:
    named = os.environ.get("KUBECONFIG")
    return Path(named) if named else None


@pytest.fixture(scope="session")
def node_was_there() -> bool:
    """Whether a cluster stood before these tests, so that it is not theirs to break."""
    return choose_cluster(given()).status().made


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Iterator["Future[Settings]"]:
    """The image of AOS, built while the node starts; only where a test needs it."""

    def built() -> Settings:
        settings = Settings.from_environment({**os.environ, "KUBECONFIG": str(given() or "")}, paths().state)
        build_image(settings)
        return settings

    with ThreadPoolExecutor(1) as pool:
        if any("aos" in getattr(item, "fixturenames", ()) for item in request.session.items):
            yield pool.submit(built)
        else:
            yield Future()


@pytest.fixture(scope="session")
def node(image: "Future[Settings]", *, node_was_there: bool) -> Iterator[Handle]:
    try:
        with borrowed(given()) as cluster:
            yield cluster
    except PrerequisiteError as obstacle:
        if os.environ.get("CI") == "true":
            pytest.fail(f"end-to-end tests must run in CI, but: {obstacle}")
        pytest.skip(f"no cluster for end-to-end tests: {obstacle}")


@pytest.fixture(scope="session")
def aos(node: Handle, image: "Future[Settings]") -> Installation:
    """AOS with the sales example on the node, as `make demo` leaves it."""
    settings = image.result()
    access = Access(node, paths())
    load_image(access, settings)
    install(access, settings)
    apply_example(access, settings)
    return Installation(node)


@pytest.fixture(scope="session")
def examples(aos: Installation, image: "Future[Settings]", *, node_was_there: bool) -> Installation:
    """AOS with all examples."""
    install_teams(aos, image.result(), anew=node_was_there)
    return aos


@pytest.fixture(scope="session")
def lead(node: Handle) -> User:
    """One of sales-leads."""
    return User(Access(node, paths()), LEAD)


@pytest.fixture(scope="session")
def postgres_url(node: Handle) -> Iterator[str]:
    """URL of a PostgreSQL server that pods of the node can reach: one of this machine, with a password of its own."""
    named = os.environ.get(POSTGRES_VARIABLE)
    if named is not None:
        yield named
        return
    assert node.host_address is not None
    with running(durable=False, address=node.host_address) as server:
        yield server.url()
