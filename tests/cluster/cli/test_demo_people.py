"""Users whom the demonstration makes, against a real API server and its own signer."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.demo.access import Access
from hack.demo.people import Person, kubeconfig_of

LEAD = Person("demo-approver", ("sales-leads", "finance"))


@pytest.fixture
def access(cluster: Handle, tmp_path: Path) -> Access:
    return Access(cluster, replace(Paths.from_environment(), state=tmp_path))


def test_the_api_server_takes_the_certificate_for_the_person_in_their_groups(
    access: Access, tmp_path: Path
) -> None:
    path = kubeconfig_of(access, LEAD)
    assert tmp_path in path.parents
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    asked = access.handle.kubectl(f"--kubeconfig={path}", "auth", "whoami", "-o", "json")
    user = json.loads(asked.stdout)["status"]["userInfo"]
    assert user["username"] == "demo-approver"
    assert {"sales-leads", "finance"} < set(user["groups"])
    assert access.kubectl.must("get", "csr", "-o", "name") == ""


def test_a_certificate_is_kept_for_as_long_as_the_cluster_takes_it(access: Access) -> None:
    path = kubeconfig_of(access, LEAD)
    first = path.read_text()
    assert kubeconfig_of(access, LEAD).read_text() == first
    path.write_text(first.replace("client-key-data", "token"))
    assert kubeconfig_of(access, LEAD).read_text() != first
    renewed = path.read_text()
    assert kubeconfig_of(access, replace(LEAD, groups=("support",))).read_text() != renewed
