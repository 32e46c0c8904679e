"""In a process of its own, as an agent is: what a process imports so stays with it."""

import asyncio
import os
import subprocess
import sys

from tests.unit.agent.conftest import World

START = "import sys; from aos.agent.lean import keep_lean; keep_lean(); "
AGENT = "from aos.cli.entry import main; main()"
REPORT = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "


def said_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True, check=True)
    return done.stdout.split()


async def test_an_agent_does_its_task_without_what_it_does_not_need(world: World) -> None:
    settings = world.settings
    environment = {
        "PATH": os.environ["PATH"],
        "AOS_GATEWAY_URL": settings.gateway_url,
        "AOS_TOKEN_FILE": str(settings.token_file),
        "AOS_CA_FILE": str(settings.ca_file),
        "AOS_MCP_URL": settings.mcp_url,
        "OPENAI_BASE_URL": settings.model_url,
        "AOS_TASK_MARKER": str(settings.marker),
    }
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", REPORT + AGENT, "agent", env=environment, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await agent.communicate()
    assert agent.returncode == 0
    assert "output" in world.gateway.results[0]
    loaded = set(printed.decode().split())
    assert {"openai.types.chat.chat_completion", "mcp.client.client"} <= loaded
    assert not {"openai.types.responses.response", "openai.types.batch", "aiohttp", "typer"} & loaded


def test_a_package_that_waits_has_all_its_names() -> None:
    names = said_by(
        "import openai; from openai.types.beta import Assistant; from openai.types.shared_params import *; "
        "print(Assistant.__name__, openai.types.Batch.__name__, Reasoning.__name__, hasattr(openai.types, 'none'))"
    )
    assert names == ["Assistant", "Batch", "Reasoning", "False"]


def test_a_package_that_waits_is_run_once_whoever_asks() -> None:
    names = said_by(
        "import openai.types; from concurrent.futures import ThreadPoolExecutor; pool = ThreadPoolExecutor(8); "
        "print(*{id(one) for one in pool.map(lambda _: openai.types.Batch, range(64))})"
    )
    assert len(names) == 1


def test_other_packages_are_found_as_ever() -> None:
    assert said_by("import httpx2, mcp; print(hasattr(mcp, 'Client'), 'openai' in sys.modules)") == [
        "True",
        "False",
    ]
