"""An operator against a real API server. There is no kubelet in this layer: pods are moved by patching their status.

The control plane is this folder's own, since the admission policies that stand in it would hinder other tests.
"""

import asyncio
import contextlib
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aos.controllers.main import run_operator
from aos.controllers.settings import ControllerSettings
from aos.kube.client import ApiClient
from aos.kube.errors import NotFound
from aos.kube.resources import ENDPOINT_SLICES, LEASES, NAMESPACES, SERVICES
from aos.model.base import JsonObject
from aos.model.names import OPERATOR_LEASE
from aos.reconcile.admission.policies import admission_policies
from hack.cluster.control_plane import ControlPlane
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.ports import free_port
from tests.cluster.conftest import serve_kinds
from tests.cluster.operator.access import (
    GATEWAY_EVERYWHERE,
    OPERATOR_AT_HOME,
    OPERATOR_EVERYWHERE,
    manifests,
)
from tests.cluster.operator.approvals import Desk, chart_roles
from tests.cluster.operator.fake_gateway import TOKEN, FakeGateway, own_address
from tests.cluster.operator.rig import GATEWAY, HOME, OPERATOR, Rig

_HEED_TRIES = 30


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    cluster = ControlPlane(Paths.from_environment(state=tmp_path_factory.mktemp("operator")))
    try:
        cluster.up()
        yield cluster.handle()
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def installed(control_plane: Handle) -> Handle:
    """The API server with CRDs, admission policies and rights, as the chart installs them."""
    serve_kinds(control_plane)
    made = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}},
        *admission_policies(OPERATOR, GATEWAY),
        *manifests(OPERATOR, HOME, "aos-operator", OPERATOR_EVERYWHERE, OPERATOR_AT_HOME),
        *manifests(GATEWAY, HOME, "aos-gateway", GATEWAY_EVERYWHERE, []),
    ]
    every = "\n---\n".join(json.dumps(manifest) for manifest in made)
    done = control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=every)
    assert done.ok, done.stderr
    wait_until_heeded(control_plane)
    return control_plane


def wait_until_heeded(cluster: Handle) -> None:
    """Wait until the API server heeds the admission policies, which it looks for once a second, all at a time."""
    borrowing = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "probe", "namespace": HOME},
        "template": {
            "spec": {"serviceAccountName": "aos-agent-probe", "containers": [{"name": "a", "image": "x"}]}
        },
    }
    said = ""
    for _ in range(_HEED_TRIES):
        said = cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(borrowing)).stderr
        # The first that is heeded may be one of a round that began before the last was written.
        time.sleep(1)
        if "belong to agents" in said:
            return
    pytest.fail(f"the admission policies are not heeded: {said}")


def account_kubeconfig(installed: Handle, username: str) -> Path:
    """Write a kubeconfig for the user that a service account is."""
    return installed.user(username, "system:serviceaccounts", "system:authenticated")


@pytest.fixture(scope="session")
def operator_kubeconfig(installed: Handle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(account_kubeconfig(installed, OPERATOR), tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def gateway_kubeconfig(installed: Handle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(account_kubeconfig(installed, GATEWAY), tmp_path_factory.mktemp("gateway"))


def kept(kubeconfig: Path, folder: Path) -> Path:
    """Copy a kubeconfig: a test that gives the account other groups writes it anew."""
    return shutil.copyfile(kubeconfig, folder / "kubeconfig")


@pytest.fixture
async def rig(
    installed: Handle, operator_kubeconfig: Path, gateway_kubeconfig: Path, tmp_path: Path
) -> AsyncIterator[Rig]:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    settings = ControllerSettings(
        namespace=HOME,
        agent_image="registry.example/aos:test",
        kubeconfig=operator_kubeconfig,
        gateway_token_file=token_file,
        gateway_admin_port=free_port(),
        listen_address="127.0.0.1",
        health_port=free_port(),
        pod_retry_seconds=1,
        drain_seconds=5,
    )
    async with (
        await ApiClient.connect(installed.kubeconfig) as admin,
        await ApiClient.connect(operator_kubeconfig) as operator,
        await ApiClient.connect(gateway_kubeconfig) as gateway,
    ):
        # An operator that was killed left its lease behind; the next one shall not wait for its end.
        with contextlib.suppress(NotFound):
            await admin.delete(LEASES, OPERATOR_LEASE, namespace=HOME)
        namespace = f"sales-{secrets.token_hex(4)}"
        await admin.create(NAMESPACES, {"metadata": {"name": namespace}})
        one = Rig(installed, admin, operator, gateway, settings, namespace)
        await one.eventually(one.has_default_account)
        yield one
        await one.clear()


@pytest.fixture(scope="session")
def people_roles(installed: Handle) -> Handle:
    """The API server with the roles for people, as the chart makes them."""
    for manifest in chart_roles():
        done = installed.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
        assert done.ok, done.stderr
    return installed


@pytest.fixture
async def desk(people_roles: Handle, rig: Rig, tmp_path: Path) -> AsyncIterator[Desk]:
    """Where people decide; those of the group `STAFF` hold the verb approve."""
    folder = tmp_path / "people"
    folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        one = Desk(rig, folder, stack)
        await one.settle()
        yield one


@pytest.fixture
async def gateway(rig: Rig) -> AsyncIterator[FakeGateway]:
    """One ready gateway replica that enforces what the statuses of agents say."""
    address = own_address()
    await rig.admin.apply(SERVICES, _service(), field_manager="test")
    await rig.admin.apply(ENDPOINT_SLICES, _slice(address), field_manager="test")
    fake = FakeGateway(rig.admin, HOME, address, rig.settings.gateway_admin_port)
    running = asyncio.create_task(fake.run())
    yield fake
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await rig.admin.delete(ENDPOINT_SLICES, "aos-gateway", namespace=HOME)


@pytest.fixture
async def running(rig: Rig, gateway: FakeGateway) -> AsyncIterator[Rig]:
    """An operator in this process, ready, with one gateway."""
    async with operating(rig.settings):
        await rig.eventually(rig.is_ready)
        await rig.eventually(rig.is_leading)
        yield rig


@contextlib.asynccontextmanager
async def operating(settings: ControllerSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    work = asyncio.create_task(run_operator(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await work


def _service() -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "aos-gateway", "namespace": HOME},
        "spec": {"ports": [{"name": "agents", "port": 8443, "protocol": "TCP"}]},
    }


def _slice(address: str) -> JsonObject:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "aos-gateway",
            "namespace": HOME,
            "labels": {"kubernetes.io/service-name": "aos-gateway"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "agents", "port": 8443, "protocol": "TCP"}],
    }
