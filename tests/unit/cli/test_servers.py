import gc

import pytest

from aos.cli.exits import ExitCode
from aos.cli.servers import loading, serve_gateway, serve_operator

VARIABLES = (
    "POD_NAMESPACE",
    "AOS_AGENT_IMAGE",
    "AOS_NOTIFICATIONS_FILE",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
)


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path_factory.mktemp("none") / "kubeconfig"))
    return monkeypatch


def test_a_server_without_its_settings_ends_with_two_and_names_them(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_gateway() is ExitCode.USAGE
    assert "POD_NAMESPACE" in capsys.readouterr().err
    assert serve_operator() is ExitCode.USAGE
    assert "AOS_AGENT_IMAGE" in capsys.readouterr().err


def test_a_server_without_a_cluster_ends_with_one_line(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setenv("POD_NAMESPACE", "aos-system")
    environment.setenv("AOS_AGENT_IMAGE", "localhost/aos:dev")
    assert serve_gateway() is ExitCode.FAILURE
    assert serve_operator() is ExitCode.FAILURE
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the gateway ends",
        "the operator ends",
    ]


def test_an_operator_whose_webhooks_are_wrong_ends_with_two_and_says_what_is(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("POD_NAMESPACE", "aos-system")
    environment.setenv("AOS_AGENT_IMAGE", "localhost/aos:dev")
    environment.setenv("AOS_NOTIFICATIONS_FILE", "/none/notifications.json")
    assert serve_operator() is ExitCode.USAGE
    assert "notifications in /none/notifications.json: can't read it" in capsys.readouterr().err


def test_what_an_agent_loads_is_not_looked_through_and_what_it_makes_is() -> None:
    kept = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > kept
