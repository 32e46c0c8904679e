from dataclasses import replace
from pathlib import Path

import pytest

from aos.agent.helper.settings import A2aServer, HelperSettings
from aos.agent.settings import SettingsError
from aos.model.pod_tasks import PodTasks

ENVIRONMENT = {
    "AOS_GATEWAY_URL": "https://aos-gateway.aos-system.svc:8443",
    "AOS_TOKEN_FILE": "/var/run/secrets/aos/token",
    "AOS_CA_FILE": "/var/run/aos/ca.crt",
}
PLAIN = HelperSettings(
    gateway_host="aos-gateway.aos-system.svc",
    gateway_port=8443,
    token_file=Path("/var/run/secrets/aos/token"),
    ca_file=Path("/var/run/aos/ca.crt"),
)


def test_the_environment_of_a_helper_is_read() -> None:
    assert HelperSettings.from_environment(ENVIRONMENT) == PLAIN
    said = {"AOS_POD_TASKS": "Many", "AOS_A2A_PORT": "9000", "AOS_A2A_PATH": "/rpc"}
    assert HelperSettings.from_environment({**ENVIRONMENT, **said}) == replace(
        PLAIN, tasks=PodTasks.MANY, server=A2aServer(9000, "/rpc")
    )
    assert HelperSettings.from_environment({**ENVIRONMENT, "AOS_A2A_PORT": "9000"}).server == A2aServer(9000)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"AOS_TOKEN_FILE": "", "AOS_CA_FILE": ""}, "AOS_TOKEN_FILE, AOS_CA_FILE"),
        ({"AOS_GATEWAY_URL": "http://gateway:8443"}, "AOS_GATEWAY_URL"),
        ({"AOS_GATEWAY_URL": "https://gateway:8443/v1"}, "AOS_GATEWAY_URL"),
        ({"AOS_POD_TASKS": "Some"}, "One, Later, Many"),
        ({"AOS_A2A_PORT": "http"}, "AOS_A2A_PORT"),
        ({"AOS_A2A_PORT": "70000"}, "AOS_A2A_PORT"),
        ({"AOS_A2A_PORT": "9000", "AOS_A2A_PATH": "rpc"}, "AOS_A2A_PATH"),
    ],
)
def test_what_can_not_be_used_is_named(changes: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        HelperSettings.from_environment({**ENVIRONMENT, **changes})
