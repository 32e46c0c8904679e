from pathlib import Path

import pytest

from aos.controllers.metrics import METRICS
from aos.controllers.settings import ControllerSettings
from aos.model.environment import SettingsError
from aos.reconcile.settings import HostUsers

ROOT = Path(__file__).resolve().parents[3]
GIVEN = {"POD_NAMESPACE": "aos-system", "AOS_AGENT_IMAGE": "registry.example/aos:1"}


def test_defaults_are_those_of_the_settings_that_reconciles_have() -> None:
    settings = ControllerSettings.from_environment(GIVEN).operator
    assert settings == type(settings)(namespace="aos-system", agent_image="registry.example/aos:1")


def test_every_variable_is_read() -> None:
    settings = ControllerSettings.from_environment(
        {
            **GIVEN,
            "AOS_AGENT_MEMORY_LIMIT": "1Gi",
            "AOS_HOST_USERS": "false",
            "AOS_AGENT_IMAGE_PULL_SECRETS": "registry, mirror",
            "AOS_TASK_HISTORY_LIMIT": "3",
            "AOS_KUBECONFIG": "some/config",
            "AOS_OPERATOR_SERVICE_ACCOUNT": "op",
        }
    )
    assert settings.kubeconfig == Path("some/config")
    assert settings.operator.default_resources.limits.memory == "1Gi"
    assert settings.operator.host_users is HostUsers.OWN
    assert settings.operator.agent_image_pull_secrets == ("registry", "mirror")
    assert settings.operator.task_history_limit == 3
    assert settings.operator.operator_username == "system:serviceaccount:aos-system:op"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POD_NAMESPACE", ""),
        ("AOS_AGENT_IMAGE", ""),
        ("AOS_HEALTH_PORT", "http"),
        ("AOS_WORKERS", "0"),
        ("AOS_AGENT_CPU_LIMIT", "much"),
        ("AOS_AGENT_CPU_LIMIT", "0"),
        ("AOS_AGENT_CPU_LIMIT", "49m"),
        ("AOS_AGENT_CPU_REQUEST", "1025"),
        ("AOS_AGENT_MEMORY_LIMIT", "95Mi"),
        ("AOS_AGENT_MEMORY_LIMIT", "1000m"),
        ("AOS_LOG_LEVEL", "loud"),
        ("AOS_HOST_USERS", "perhaps"),
    ],
)
def test_a_value_that_can_not_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ControllerSettings.from_environment({**GIVEN, name: value})


def test_every_setting_and_metric_is_on_the_operators_page() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    for name, field in ControllerSettings.model_fields.items():
        assert f"| `{ControllerSettings.variable_of(name)}` |" in page
        assert str(field.description) in page
    for name, meaning in METRICS.items():
        assert f"| `{name}` | {meaning} |" in page
