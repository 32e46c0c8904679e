"""A real API server for the tests of this folder: a control plane of their own, ended with the session."""

from collections.abc import Iterator

import pytest

from hack.cluster.control_plane import ControlPlane
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    cluster = ControlPlane(Paths.from_environment(state=tmp_path_factory.mktemp("control-plane")))
    try:
        cluster.up()
        yield cluster.handle()
    finally:
        cluster.down()
