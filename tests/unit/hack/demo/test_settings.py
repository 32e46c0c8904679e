from collections.abc import Mapping
from pathlib import Path

import pytest

from hack.cluster.errors import PrerequisiteError
from hack.demo.settings import RealModel, Settings

STATE = Path("/state")


def read(**environment: str) -> Settings:
    return Settings.from_environment(environment, STATE)


def test_without_settings_the_image_is_built_and_the_model_is_the_script() -> None:
    assert read() == Settings(kubeconfig=None, image="localhost/aos:dev", builds_image=True, model=None)


def test_the_kubeconfig_that_the_demonstration_itself_prints_names_its_own_cluster() -> None:
    assert read(KUBECONFIG="/state/node/users/admin.kubeconfig").kubeconfig is None


def test_a_cluster_of_somebody_elses_is_used_only_with_an_image_it_can_pull() -> None:
    with pytest.raises(PrerequisiteError, match=r"unset KUBECONFIG .* or set AOS_DEMO_IMAGE"):
        read(KUBECONFIG="/home/me/.kube/config")
    settings = read(KUBECONFIG="/home/me/.kube/config", AOS_DEMO_IMAGE="registry:5000/aos:1")
    assert settings.kubeconfig == Path("/home/me/.kube/config")
    assert not settings.builds_image


def test_an_image_needs_a_tag() -> None:
    with pytest.raises(PrerequisiteError, match="without a tag"):
        read(AOS_DEMO_IMAGE="registry:5000/aos")


def test_a_real_model_takes_its_key_from_a_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("made-up\n")
    settings = read(
        AOS_DEMO_MODEL_URL="https://m/v1", AOS_DEMO_MODEL_NAME="small", AOS_DEMO_MODEL_KEY_FILE=str(key)
    )
    assert settings.model == RealModel("https://m/v1", "small", "made-up")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"AOS_DEMO_MODEL_URL": "https://m/v1"}, "AOS_DEMO_MODEL_NAME"),
        (
            {
                "AOS_DEMO_MODEL_URL": "https://m/v1",
                "AOS_DEMO_MODEL_NAME": "small",
                "AOS_DEMO_MODEL_KEY_FILE": "/none",
            },
            "can't be read",
        ),
    ],
)
def test_half_a_model_is_refused_with_what_is_missing(environment: Mapping[str, str], says: str) -> None:
    with pytest.raises(PrerequisiteError, match=says):
        Settings.from_environment(environment, STATE)
