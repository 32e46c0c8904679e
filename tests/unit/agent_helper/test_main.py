import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import get_data_parts, new_data_message, new_data_part
from a2a.server.tasks import TaskUpdater
from a2a.types import Role, SendMessageRequest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from openai import AsyncOpenAI

from aos.agent.helper.main import ExitCode, main
from aos.agent.helper.probe import answers
from aos.kube.objects import child, text
from aos.model.base import JsonObject
from tests.unit.agent.serving import serve
from tests.unit.agent_helper.cluster import LOOPBACK, Cluster, cluster
from tests.unit.agent_helper.servers import official
from tests.unit.agent_helper.upstream import Rig, rig
from tests.unit.gateway_mcp.world import crm
from tests.unit.gateway_models.world import ScriptedModel

TOKEN_SECONDS = 3
REPLACED_SECONDS = 0.5
WORK_SECONDS = 7
MAX_RSS_MIB = 40


@asynccontextmanager
async def replacing_tokens(world: Cluster) -> AsyncGenerator[None]:
    """Replace the pod's token as the kubelet does, before it ends."""

    async def replace() -> None:
        while True:
            world.issue(TOKEN_SECONDS)
            await asyncio.sleep(REPLACED_SECONDS)

    replacing = asyncio.create_task(replace())
    try:
        yield
    finally:
        replacing.cancel()
        await asyncio.gather(replacing, return_exceptions=True)


async def think(model: AsyncOpenAI, about: str) -> str:
    """Ask the model for an answer in a stream."""
    stream = await model.chat.completions.create(
        model="default", stream=True, messages=[{"role": "user", "content": about}]
    )
    parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    return "".join(parts)


async def test_an_image_on_plain_sdks_works_unmodified_for_longer_than_its_token_lives(
    tmp_path: Path,
) -> None:
    place = {"url": ""}

    async def work(given: JsonObject, updater: TaskUpdater) -> None:
        url, until = place["url"], asyncio.get_running_loop().time() + WORK_SECONDS
        answers: list[str] = []
        async with (
            Client(streamable_http_client(f"{url}/mcp"), mode="2026-07-28") as tools,
            Client(streamable_http_client(f"{url}/mcp/crm"), mode="legacy") as session,
            AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as model,
        ):
            while asyncio.get_running_loop().time() < until:
                for client, name in ((tools, "crm.get_contact"), (session, "get_contact")):
                    found = await client.call_tool(name, {"id": f"c{len(answers)}"})
                    assert not found.is_error
                answers.append(await think(model, f"lead {len(answers)}"))
                await asyncio.sleep(REPLACED_SECONDS)
        await updater.add_artifact([new_data_part({"answers": len(answers), "said": answers[-1]})])
        await updater.complete()

    async with (
        crm() as (tool_url, _),
        serve(ScriptedModel()) as model_url,
        official(work) as (port, agent),
        cluster(tmp_path, tool_url, f"{model_url}/v1", settings={"clock_skew_seconds": 0}) as world,
        replacing_tokens(world),
        world.helper(port) as url,
    ):
        place["url"] = url
        world.task("u1", {"lead": "ada"})
        result = await world.result("u1")
        assert (result["outcome"], agent.messages) == ("Succeeded", ["u1"])
        output = result["output"]
        assert isinstance(output, dict)
        assert output["said"] == "Hello"
        assert isinstance(output["answers"], float)
        assert output["answers"] > 1
        async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - only whether the token is good counts
            first = {"Authorization": f"Bearer {world.tokens[1]}"}
            refused = await http.get(f"{world.url}/v1/models", headers=first)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "TokenInvalid")


async def test_an_a2a_client_of_the_image_hands_work_over_by_the_card_that_it_is_given(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as world, world.helper() as url, httpx.AsyncClient(timeout=20) as http:
        world.task("u1", {"lead": "ada"})
        card = (await http.get(f"{url}/a2a/sales/writer/.well-known/agent-card.json")).json()
        assert {item["url"] for item in card["supportedInterfaces"]} == {f"{url}/a2a/sales/writer"}
        config = ClientConfig(httpx_client=http, streaming=False)
        client = await create_client(f"{url}/a2a/sales/writer", client_config=config)
        message = new_data_message({"facts": "Ada likes trains"}, role=Role.ROLE_USER)
        handing = asyncio.ensure_future(anext(client.send_message(SendMessageRequest(message=message))))
        while not (made := [item for item in world.api.created if item["kind"] == "Task"]):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        name = text(child(made[0], "metadata"), "name")
        output: JsonObject = {
            "outcome": "Succeeded",
            "output": {"draft": "Dear Ada"},
            "time": "2026-01-02T03:04:05Z",
        }
        world.api.status(name, result=output)
        await world.result(name)
        answer = await handing
    assert get_data_parts(answer.task.artifacts[0].parts) == [{"draft": "Dear Ada"}]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with rig(tmp_path) as made:
        yield made


def environment(folder: Path, gateway: Rig) -> dict[str, str]:
    return {
        **os.environ,
        "AOS_GATEWAY_URL": f"https://{gateway.proxy._gateway.authority.decode()}",
        "AOS_TOKEN_FILE": str(gateway.token_file),
        "AOS_CA_FILE": str(folder / "ca.crt"),
        "AOS_HELPER_PORT": "0",
    }


async def test_the_process_needs_little_memory_and_ends_when_it_is_told(tmp_path: Path, world: Rig) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aos.agent.helper",
        env=environment(tmp_path, world),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    port = int(line.rpartition(b'"port": ')[2].rstrip(b"}\n"))
    assert await asyncio.to_thread(answers, port)
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}") as http:
        await asyncio.gather(*(http.post("/mcp", content=b"x" * 500_000) for _ in range(20)))
        assert sum([(await http.get("/v1/task")).status_code for _ in range(50)]) == 50 * 200
    used = await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == ExitCode.ENDED
    [highest] = [line for line in used.splitlines() if line.startswith("VmHWM")]
    assert int(highest.split()[1]) / 1024 < MAX_RSS_MIB, highest


def test_an_incomplete_environment_ends_the_process_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AOS_GATEWAY_URL", "AOS_TOKEN_FILE", "AOS_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert main() == ExitCode.MISCONFIGURED
    assert "AOS_GATEWAY_URL" in capsys.readouterr().out
