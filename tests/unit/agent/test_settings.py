from dataclasses import fields
from pathlib import Path

import pytest

from aos.agent.settings import AgentSettings, Bounds, SettingsError
from aos.model.pod_tasks import PodTasks

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "runtime.md"
ENVIRONMENT = {
    "AOS_GATEWAY_URL": "https://aos-gateway.aos-system.svc:8443/",
    "AOS_TOKEN_FILE": "/var/run/secrets/aos/token",
    "AOS_CA_FILE": "/var/run/aos/ca.crt",
    "OPENAI_BASE_URL": "https://aos-gateway.aos-system.svc:8443/v1",
    "AOS_MCP_URL": "https://aos-gateway.aos-system.svc:8443/mcp",
}


def test_the_environment_of_a_pod_is_read() -> None:
    assert AgentSettings.from_environment(ENVIRONMENT) == AgentSettings(
        gateway_url="https://aos-gateway.aos-system.svc:8443",
        token_file=Path("/var/run/secrets/aos/token"),
        ca_file=Path("/var/run/aos/ca.crt"),
        model_url="https://aos-gateway.aos-system.svc:8443/v1",
        mcp_url="https://aos-gateway.aos-system.svc:8443/mcp",
        termination_log=Path("/dev/termination-log"),
    )


def test_the_termination_log_can_be_elsewhere() -> None:
    settings = AgentSettings.from_environment({**ENVIRONMENT, "AOS_TERMINATION_LOG": "/tmp/last-words"})  # noqa: S108
    assert settings.termination_log == Path("/tmp/last-words")  # noqa: S108


def test_the_tasks_that_a_pod_is_for_are_told_by_its_environment() -> None:
    said = {"AOS_POD_TASKS": "Many", "AOS_TASK_MARKER": "/run/task"}
    settings = AgentSettings.from_environment({**ENVIRONMENT, **said})
    assert (settings.tasks, settings.marker) == (PodTasks.MANY, Path("/run/task"))
    with pytest.raises(SettingsError, match="One, Later, Many"):
        AgentSettings.from_environment({**ENVIRONMENT, "AOS_POD_TASKS": "Some"})


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"AOS_TOKEN_FILE, AOS_CA_FILE, OPENAI_BASE_URL, AOS_MCP_URL"):
        AgentSettings.from_environment({"AOS_GATEWAY_URL": "https://gateway", "AOS_TOKEN_FILE": ""})


@pytest.mark.parametrize("bound", [item.name for item in fields(Bounds)])
def test_each_bound_is_documented(bound: str) -> None:
    assert f"`{bound}`" in DOCUMENTATION.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "variable", [*ENVIRONMENT, "AOS_POD_TASKS", "AOS_TASK_MARKER", "AOS_TERMINATION_LOG"]
)
def test_each_variable_is_documented(variable: str) -> None:
    assert f"| `{variable}` |" in DOCUMENTATION.read_text(encoding="utf-8")
