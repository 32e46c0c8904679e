"""The example of an own image: its agent, as it is, before the real gateway and with the helper between them."""

from pathlib import Path

import pytest
import yaml

from aos.model.agent import Agent, AgentSpec
from aos.model.base import JsonObject
from aos.model.task import Task
from examples.common import model
from examples.common.service import Settings
from examples.own_image import researcher, script
from examples.sales import crm
from tests.unit.agent.serving import serve
from tests.unit.agent_helper.cluster import Cluster, cluster

FOLDER = Path(researcher.__file__).parent
TOKEN = "made-up-for-this-test"


def manifest(name: str) -> JsonObject:
    document: JsonObject = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return document


def spec_of_agent() -> JsonObject:
    spec = manifest("agent")["spec"]
    assert isinstance(spec, dict)
    return {name: spec[name] for name in ("instructions", "model", "tools", "output", "runtime")}


def test_the_manifests_are_what_the_example_is() -> None:
    agent = Agent.parse({**manifest("agent")})
    server = agent.spec.runtime.a2a
    assert server is not None
    assert server.port == researcher.PORT
    assert (agent.spec.instructions or "").partition("\n")[0] == script.FIRST_LINE
    task = manifest("task")
    named: JsonObject = {**task, "metadata": {"name": "t", "namespace": "sales"}}
    assert Task.parse(named).spec.agent_ref.name == agent.metadata.name
    assert isinstance(agent.spec, AgentSpec)


@pytest.fixture
def leads(tmp_path: Path) -> crm.Database:
    return crm.Database(str(tmp_path / "crm.sqlite"))


async def test_an_agent_on_a_framework_does_its_tasks_unmodified(
    tmp_path: Path, leads: crm.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(fixed_token=TOKEN)
    async with (
        serve(crm.crm_app(settings, leads)) as crm_url,
        serve(model.model_app(settings)) as model_url,
        serve(researcher.app()) as own_url,
        cluster(tmp_path, f"{crm_url}/mcp", f"{model_url}/v1", credential=TOKEN, **spec_of_agent()) as world,  # type: ignore[arg-type] # parts of a spec
        world.helper(int(own_url.rpartition(":")[2])) as url,
    ):
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        given = manifest("task")["spec"]
        assert isinstance(given, dict)
        lead = given["input"]
        assert isinstance(lead, dict)
        await works(world, lead)
    leads.close()


def environment(url: str) -> dict[str, str]:
    """What the operator puts into the image's container."""
    return {
        "AOS_GATEWAY_URL": url,
        "AOS_MCP_URL": f"{url}/mcp",
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "unused",
    }


async def works(world: Cluster, lead: JsonObject) -> None:
    for uid in ("u1", "u2"):
        world.task(uid, lead)
        result = await world.result(uid)
        assert result["outcome"] == "Succeeded", result
        assert result["output"] == {
            "summary": "Mira Solberg, VP Supply Chain at Halden Robotics.",
            "contact": "emea-0001",
        }
    world.task("u3", {"lead": {"company": "Nobody", "territory": "emea"}})
    assert (await world.result("u3"))["outcome"] == "Failed"
