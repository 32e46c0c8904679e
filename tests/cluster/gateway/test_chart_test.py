"""What `helm test` runs in its pod, run against a real gateway: it passes only where a token is what the gateway asks for."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml
from aiohttp import web

from hack.cluster.paths import Paths
from hack.cluster.programs import tool
from tests.cluster.gateway.world import LOOPBACK, World
from tests.unit.gateway.certificates import Authority

CHART: Final = Path(__file__).resolve().parents[3] / "charts/aos"
TEMPLATE: Final = "templates/tests/installation.yaml"


@dataclass(frozen=True)
class Said:
    """What the program said, and whether the test passed."""

    code: int | None
    lines: list[str]
    error: str


def container_for(namespace: str) -> tuple[str, dict[str, str]]:
    """Give the program that the chart has its test run in this namespace, and its variables."""
    helm = str(tool(Paths.from_environment(), "helm"))
    shown = subprocess.run(
        [helm, "template", "aos", str(CHART), f"--namespace={namespace}", f"--show-only={TEMPLATE}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    container = yaml.safe_load(shown)["spec"]["containers"][0]
    assert container["command"] == ["python3", "-c"]
    (program,) = container["args"]
    return program, {item["name"]: item["value"] for item in container["env"]}


async def helm_test(namespace: str, host: str, health: int, agents: int) -> Said:
    """Run it as it is run in a namespace, with the variables by which Kubernetes tells a pod of Services.

    The operator is asked for nothing but a status, so the gateway's port stands for its own.
    """
    program, variables = container_for(namespace)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        env={
            "AOS_GATEWAY_SERVICE_HOST": host,
            "AOS_GATEWAY_SERVICE_PORT_HEALTH": str(health),
            "AOS_GATEWAY_SERVICE_PORT_AGENTS": str(agents),
            "AOS_OPERATOR_SERVICE_HOST": host,
            "AOS_OPERATOR_SERVICE_PORT_HEALTH": str(health),
            **variables,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, error = await process.communicate()
    return Said(process.returncode, said.decode().splitlines(), error.decode())


@asynccontextmanager
async def answering(status: int, folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Give the ports of a gateway on IPv6 that is ready and answers every caller so."""

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    async def task(_: web.Request) -> web.Response:
        return web.Response(status=status, text='{"error": {"code": "Expired"}}')

    app = web.Application()
    app.add_routes([web.get("/readyz", ready), web.get("/v1/task", task)])
    pair = Authority().issue()
    (folder / "pair.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "pair.pem")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "::1", 0).start()
        await web.TCPSite(runner, "::1", 0, ssl_context=context).start()
        health, agents = (address[1] for address in runner.addresses)
        yield health, agents
    finally:
        await runner.cleanup()


async def test_it_passes_when_the_gateway_asks_for_a_token(world: World) -> None:
    said = await helm_test(world.system, LOOPBACK, world.ports.health.port, world.ports.agents.port)
    assert said == Said(
        0,
        [
            "gateway: ready (200)",
            "operator: ready (200)",
            "gateway: refuses a caller without a token (401 NoToken)",
        ],
        "",
    )


async def test_it_fails_when_it_is_refused_before_it_was_asked_for_a_token(world: World) -> None:
    said = await helm_test("elsewhere", LOOPBACK, world.ports.health.port, world.ports.agents.port)
    assert said.code == 1
    assert "a caller without a token got 421, not 401 NoToken" in said.error
    assert "refuses a caller" not in "".join(said.lines)


@pytest.mark.parametrize(
    ("status", "says"),
    [(200, "answers a caller without a token (200)"), (401, 'got 401, not 401 NoToken: {"error"')],
)
async def test_it_fails_at_an_address_of_ipv6_too_when_no_token_is_asked_for(
    tmp_path: Path, status: int, says: str
) -> None:
    async with answering(status, tmp_path) as (health, agents):
        said = await helm_test("aos-system", "::1", health, agents)
    assert said.code == 1
    assert said.lines == ["gateway: ready (200)", "operator: ready (200)"]
    assert says in said.error
