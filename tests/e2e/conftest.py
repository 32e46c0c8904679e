"""A real node for the tests of this folder: the cluster of $KUBECONFIG, or one of this machine's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.errors import PrerequisiteError
from hack.cluster.handle import Handle
from hack.cluster.session import borrowed


@pytest.fixture(scope="session")
def node() -> Iterator[Handle]:
    given = os.environ.get("KUBECONFIG")
    try:
        with borrowed(Path(given) if given else None) as cluster:
            yield cluster
    except PrerequisiteError as obstacle:
        if os.environ.get("CI") == "true":
            pytest.fail(f"end-to-end tests must run in CI, but: {obstacle}")
        pytest.skip(f"no cluster for end-to-end tests: {obstacle}")
