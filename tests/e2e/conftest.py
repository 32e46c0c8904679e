"""A real node for the tests of this folder: the cluster of $KUBECONFIG, or one of this machine's own.

How the tests share it, on whatever number of workers (``-n 3``):

- The first worker that needs the node, AOS or the examples brings them; the last one that leaves ends the node.
- Each file works in a namespace of its own (the fixture ``aos``), so that files run at once; a file stays with one worker.
- The files of ``ALONE`` end what all others lean on: parts of AOS, its installation, the node. They come last, one after the
  other, and wait until no other file is under way. Of the others comes first what needs no AOS, while that is installed, and then
  those that take longest.
"""

import os
import socket
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from hack.cluster.backends import Given, LocalNode
from hack.cluster.errors import PrerequisiteError
from hack.cluster.files import exclusive, shared
from hack.cluster.handle import Handle
from hack.cluster.session import borrowed, choose_cluster, prepare
from hack.demo.access import Access
from hack.demo.installation import apply_example, build_image, install, load_image, paths
from hack.demo.settings import Settings
from hack.image.builders import Request
from hack.image.cli import build
from hack.postgres.server import running
from tests.e2e.api import Api, api_of
from tests.e2e.installation import Installation
from tests.e2e.people import LEAD, User
from tests.e2e.teams import forget, install_teams
from tests.e2e.teamspace import teamspace

POSTGRES_VARIABLE = "AOS_E2E_POSTGRES_URL"
"""Names a PostgreSQL server that pods of ``$KUBECONFIG``'s cluster reach; its database is written to."""
OWN_IMAGE = Request("localhost/aos-own-image:dev", None, "examples/own_image/Dockerfile")
FIRST = ("test_node", "test_workflows", "test_approvals", "test_handoffs")
ALONE = ("test_authority", "test_deaths", "test_chaos", "test_budgets", "test_node_life")
VALUES = (
    # What a test fills; the default would take more pods than a small node has room for.
    "operator.maxWarmPods=3",
    "networkPolicy.hookNamespaces={e2e-ingress}",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if not has_its_place(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = sorted((item for item in items if item not in left_out), key=lambda item: turn(item.path))


def needs_own_image(item: pytest.Item) -> bool:
    return item.path.name == "test_own_image.py"


class ByTurn(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps a file with one worker, and all that come alone with one, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return "alone" if is_alone(path) else path.stem


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByTurn:
    config.option.loadscopereorder = False
    return ByTurn(config, log)


def has_its_place(item: pytest.Item) -> bool:
    """Whether the cluster at hand is one that a test can be about."""
    if item.path.name == "test_node_life.py":
        return isinstance(choose_cluster(given()), LocalNode)
    if needs_own_image(item):
        return not isinstance(choose_cluster(given()), Given)
    if "postgres_url" in getattr(item, "fixturenames", ()):
        # Nobody knows how pods of somebody else's cluster would reach a server on this machine.
        return not isinstance(choose_cluster(given()), Given) or POSTGRES_VARIABLE in os.environ
    return True


def is_alone(path: Path) -> bool:
    return path.stem in ALONE


def turn(path: Path) -> tuple[int, int]:
    name = path.stem
    if name in ALONE:
        return 2, ALONE.index(name)
    return (0, FIRST.index(name)) if name in FIRST else (1, 0)


class Turns:
    """A file of tests holds the node together with others, or, if it is one of ``ALONE``, alone."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._by: Path | None = None

    def take(self, item: pytest.Item, lock: Path) -> None:
        if self._by == item.path:
            return
        self.give_back()
        self._held.enter_context(exclusive(lock) if is_alone(item.path) else shared(lock))
        self._by = item.path

    def give_back(self) -> None:
        self._held.close()
        self._by = None


TURNS = Turns()


# Outside of everything else: the time limit of a test does not count how long it waits for its turn.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    if item.path.parent != Path(__file__).parent:
        return (yield)
    TURNS.take(item, folder_of_all(item.config) / "turns.lock")
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            TURNS.give_back()


def folder_of_all(config: pytest.Config) -> Path:
    """Return a folder that all workers of this session share."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined] # as its fixture has it
    own = factory.getbasetemp()
    return own.parent if hasattr(config, "workerinput") else own


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("numprocesses", default=None):
        prepare_in_sight(session.config)  # what a worker says is not seen


def pytest_collection_finish(session: pytest.Session) -> None:
    if any("node" in getattr(item, "fixturenames", ()) for item in session.items):
        prepare_in_sight(session.config)


def prepare_in_sight(config: pytest.Config) -> None:
    """Build what the node needs: a first time takes minutes, which no test's time limit may count, and a person shall see pass."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None and not config.option.collectonly:
        with capture.global_and_fixture_disabled():
            prepare(control_plane=False, kubeconfig=given())


def given() -> Path | None:
    named = os.environ.get("KUBECONFIG")
    return Path(named) if named else None


@pytest.fixture(scope="session")
def together(request: pytest.FixtureRequest) -> Path:
    """A folder that all workers of this session share."""
    return folder_of_all(request.config)


@pytest.fixture(scope="session")
def images(request: pytest.FixtureRequest) -> Iterator["Future[Settings]"]:
    """The images of AOS and of the own-image example, built while the node starts; only where a test needs them."""

    def built() -> Settings:
        settings = Settings.from_environment({**os.environ, "KUBECONFIG": str(given() or "")}, paths().state)
        build_image(settings)
        if any(needs_own_image(item) for item in request.session.items):
            build(OWN_IMAGE)
        return settings

    with ThreadPoolExecutor(1) as pool:
        if any("installed" in getattr(item, "fixturenames", ()) for item in request.session.items):
            yield pool.submit(built)
        else:
            yield Future()


@pytest.fixture(scope="session")
def node(images: "Future[Settings]", together: Path) -> Iterator[Handle]:
    try:
        with borrowed(given(), together / "made-the-node") as cluster:
            yield cluster
    except PrerequisiteError as obstacle:
        if os.environ.get("CI") == "true":
            pytest.fail(f"end-to-end tests must run in CI, but: {obstacle}")
        pytest.skip(f"no cluster for end-to-end tests: {obstacle}")


@pytest.fixture(scope="session")
def node_was_there(node: Handle, together: Path) -> bool:
    """Whether a cluster stood before these tests, so that it is not theirs to break."""
    return not (together / "made-the-node").exists()


@pytest.fixture(scope="session")
def api(node: Handle) -> Iterator[Api]:
    with api_of(node) as asked:
        yield asked


@pytest.fixture(scope="session")
def installed(
    node: Handle, api: Api, images: "Future[Settings]", together: Path, *, node_was_there: bool
) -> Installation:
    """AOS with the sales example on the node, as `make demo` leaves it."""
    settings = images.result()
    access, aos = Access(node, paths()), Installation(node, api)
    with once(together, "installed") as is_first:
        if is_first:
            load_image(access, settings)
            install(access, settings, *VALUES)
            apply_example(access, settings)
            if node_was_there:
                forget(aos)
    return aos


@contextmanager
def once(together: Path, what: str) -> Iterator[bool]:
    """Hold what all workers need, and say whether it is still to be made."""
    made = together / what
    with exclusive(together / f"{what}.lock"):
        yield not made.exists()
        made.touch()


@pytest.fixture(scope="module")
def aos(
    installed: Installation, images: "Future[Settings]", request: pytest.FixtureRequest
) -> Iterator[Installation]:
    """AOS, seen from a namespace of the file's own that has all that the team of the sales example has."""
    name = request.path.stem.replace("test_", "e2e-").replace("_", "-")
    with teamspace(installed, images.result(), name) as team:
        yield team


@pytest.fixture(scope="session")
def examples(installed: Installation, images: "Future[Settings]", together: Path) -> Installation:
    """AOS with all examples."""
    with once(together, "examples") as is_first:
        if is_first:
            install_teams(installed, images.result())
    return installed


@pytest.fixture(scope="module")
def lead(aos: Installation) -> User:
    """One of sales-leads, in the file's namespace."""
    return User(Access(aos.node, paths()), LEAD, aos.namespace)


@pytest.fixture(scope="module")
def listener(node: Handle) -> Iterator[tuple[str, str] | None]:
    """A server on this machine, outside the cluster; None where the cluster can't tell how to reach it."""
    if node.host_address is None:
        yield None
        return
    with socket.create_server((node.host_address, 0)) as server:
        yield node.host_address, str(server.getsockname()[1])


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
