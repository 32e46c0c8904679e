"""An API server that knows the kinds of AOS."""

from pathlib import Path

import pytest

from hack.cluster.handle import Handle

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def cluster(control_plane: Handle) -> Handle:
    applied = control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert applied.returncode == 0, applied.stderr
    waited = control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", "crd", "-l", "app.kubernetes.io/part-of=aos"
    )
    assert waited.returncode == 0, waited.stderr
    return control_plane
