"""A gateway with a CRM and a model behind it, on loopback, and the settings of an agent in front of it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aos.agent.settings import AgentSettings, Bounds
from aos.model.base import JsonObject
from examples.common import model
from examples.common.service import Settings
from examples.sales import crm
from tests.unit.agent.fake_gateway import FakeGateway
from tests.unit.agent.serving import make_identity, serve

OUTPUT_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["summary", "score"],
    "properties": {"summary": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
}

FAST = Bounds(
    retry_pause_seconds=0.01,
    max_retry_pause_seconds=0.05,
    connect_retries=1,
    model_retries=0,
    fetch_timeout_seconds=2,
    report_timeout_seconds=2,
)


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a run touches."""

    gateway: FakeGateway
    settings: AgentSettings
    database: crm.Database


def task(**changes: object) -> JsonObject:
    """Return the sales task, with ``changes``."""
    document: dict[str, object] = {
        "name": "enrich-1",
        "namespace": "sales",
        "agent": "lead-enricher",
        "revision": "lead-enricher-1234abcd",
        "instructions": "Enrich the lead.",
        "input": {"lead": {"company": "Halden Robotics", "territory": "emea"}},
        "outputSchema": OUTPUT_SCHEMA,
        "model": "default",
        "deadline": None,
        **changes,
    }
    return document  # type: ignore[return-value]  # the tests pass JSON


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """Start the systems and the gateway."""
    identity = make_identity(tmp_path)
    token_file = tmp_path / "token"
    token_file.write_text("agent-token-1\n")
    database = crm.Database(":memory:")
    async with (
        serve(crm.crm_app(Settings(fixed_token="crm-secret"), database)) as crm_url,
        serve(model.model_app(Settings(fixed_token="model-secret"))) as model_url,
    ):
        gateway = FakeGateway(token_file, crm_url, model_url, "crm-secret", "model-secret", task())
        async with serve(gateway.app(), identity) as url:
            settings = AgentSettings(
                gateway_url=url,
                token_file=token_file,
                ca_file=identity.certificate,
                model_url=f"{url}/v1",
                mcp_url=f"{url}/mcp",
                termination_log=tmp_path / "termination-log",
                marker=tmp_path / "aos-task",
                bounds=FAST,
            )
            yield World(gateway, settings, database)
    database.close()
