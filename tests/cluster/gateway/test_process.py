import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from aos.gateway.reporter import STATUS_LEASE
from aos.kube.client import ApiClient
from aos.kube.errors import NotFound
from aos.kube.objects import child, text
from aos.kube.resources import LEASES, NAMESPACES
from hack.cluster.handle import Handle
from hack.ports import free_port
from tests.cluster.gateway.world import LOOPBACK, WAIT_SECONDS, World, eventually

AOS = Path(sys.executable).parent / "aos"
POD_UID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


async def status_of(port: int, path: str) -> int:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOOPBACK}:{port}{path}") as response,
        ):
            return response.status
    except aiohttp.ClientConnectorError:
        return 0


async def test_the_command_runs_a_gateway_until_it_is_told_to_stop(
    kinds: Handle, world: World, tmp_path: Path
) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        AOS,
        "gateway",
        env={
            **os.environ,
            "KUBECONFIG": str(kinds.kubeconfig),
            "POD_NAMESPACE": world.system,
            "AOS_LISTEN_ADDRESS": LOOPBACK,
            "AOS_PORT": str(free_port()),
            "AOS_ADMIN_PORT": str(free_port()),
            "AOS_HEALTH_PORT": str(port),
            "AOS_HOOK_PORT": "0",
            "AOS_STORE_URL": f"sqlite://{tmp_path}/store.db",
            "AOS_STOP_DELAY_SECONDS": "0.2",
        },
        stderr=asyncio.subprocess.PIPE,
    )

    async def is_ready() -> bool:
        return await status_of(port, "/readyz") == 200

    await eventually(is_ready)
    assert await status_of(port, "/healthz") == 200
    assert await status_of(port, "/metrics") == 200
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WAIT_SECONDS):
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


async def test_a_gateway_without_a_certificate_lives_in_its_pods_name_and_is_not_ready(
    kinds: Handle, client: ApiClient, tmp_path: Path
) -> None:
    port, namespace = free_port(), "system-without-certificate"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    process = await asyncio.create_subprocess_exec(
        AOS,
        "gateway",
        env={
            **os.environ,
            "KUBECONFIG": str(kinds.kubeconfig),
            "POD_NAMESPACE": namespace,
            "POD_UID": POD_UID,
            "AOS_LISTEN_ADDRESS": LOOPBACK,
            "AOS_PORT": str(free_port()),
            "AOS_ADMIN_PORT": str(free_port()),
            "AOS_HEALTH_PORT": str(port),
            "AOS_HOOK_PORT": "0",
            "AOS_STORE_URL": f"sqlite://{tmp_path}/store.db",
            "AOS_STOP_DELAY_SECONDS": "0",
        },
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def waits_for_its_certificate() -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://{LOOPBACK}:{port}/readyz") as response:
                    return response.status == 503 and "certificate" in await response.text()
            except aiohttp.ClientConnectorError:
                return False

    async def writes_statuses_in_its_pods_name() -> bool:
        try:
            lease = await client.get(LEASES, STATUS_LEASE, namespace)
        except NotFound:
            return False
        return text(child(lease, "spec"), "holderIdentity").endswith(POD_UID)

    await eventually(waits_for_its_certificate)
    await eventually(writes_statuses_in_its_pods_name)
    assert await status_of(port, "/healthz") == 200
    process.terminate()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await process.wait() == 0
