"""A real node for the tests of this folder: the cluster of $KUBECONFIG, or one of this machine's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.errors import PrerequisiteError
from hack.cluster.handle import Handle
from hack.cluster.session import borrowed, choose_cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes the node away must come after all that uses it.
    items.sort(key=lambda item: item.path.name == "test_node_life.py")


@pytest.fixture(scope="session")
def node_was_there() -> bool:
    """Whether a cluster stood before these tests, so that it is not theirs to break."""
    given = os.environ.get("KUBECONFIG")
    return choose_cluster(Path(given) if given else None).status().made


@pytest.fixture(scope="session")
def node(*, node_was_there: bool) -> Iterator[Handle]:
    given = os.environ.get("KUBECONFIG")
    try:
        with borrowed(Path(given) if given else None) as cluster:
            yield cluster
    except PrerequisiteError as obstacle:
        if os.environ.get("CI") == "true":
            pytest.fail(f"end-to-end tests must run in CI, but: {obstacle}")
        pytest.skip(f"no cluster for end-to-end tests: {obstacle}")
