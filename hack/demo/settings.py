"""What the environment changes about the demonstration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hack.cluster.errors import PrerequisiteError
from hack.image.cli import DEFAULT_TAG

IMAGE_VARIABLE: Final = "AOS_DEMO_IMAGE"
MODEL_URL_VARIABLE: Final = "AOS_DEMO_MODEL_URL"
MODEL_NAME_VARIABLE: Final = "AOS_DEMO_MODEL_NAME"
MODEL_KEY_VARIABLE: Final = "AOS_DEMO_MODEL_KEY_FILE"


@dataclass(frozen=True, slots=True)
class RealModel:
    """A language model in place of the scripted one.

    Attributes:
        url: OpenAI-compatible, to where ``/chat/completions`` is appended.
        name: of the model at that endpoint.
        key: API key; empty if the endpoint asks for none.
    """

    url: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run, and where.

    Attributes:
        kubeconfig: a cluster of the person's own; None for one that the demonstration makes.
        image: the image's name in the cluster.
        builds_image: whether the image is built here and loaded into the cluster.
        model: None for the scripted one.
    """

    kubeconfig: Path | None
    image: str
    builds_image: bool
    model: RealModel | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], own_state: Path) -> Self:
        """Read the settings; a kubeconfig below ``own_state`` names the cluster that the demonstration makes.

        Raises:
            PrerequisiteError: settings contradict each other, or something they name is not there.
        """
        kubeconfig = _foreign_kubeconfig(environment.get("KUBECONFIG", ""), own_state)
        image = environment.get(IMAGE_VARIABLE, "")
        if kubeconfig is not None and not image:
            raise PrerequisiteError(
                f"KUBECONFIG names {kubeconfig}, a cluster that this demonstration did not make and can't load an image"
                f" into: unset KUBECONFIG to have a cluster made, or set {IMAGE_VARIABLE} to an image of AOS that"
                " this cluster can pull"
            )
        if image and ":" not in image.rpartition("/")[2]:
            raise PrerequisiteError(f"{IMAGE_VARIABLE} is {image}, without a tag: write it as {image}:TAG")
        return cls(
            kubeconfig=kubeconfig,
            image=image or DEFAULT_TAG,
            builds_image=not image,
            model=_real_model(environment),
        )


def _foreign_kubeconfig(named: str, own_state: Path) -> Path | None:
    if not named:
        return None
    path = Path(named).absolute()
    return None if own_state in path.parents else path


def _real_model(environment: Mapping[str, str]) -> RealModel | None:
    url = environment.get(MODEL_URL_VARIABLE, "")
    name = environment.get(MODEL_NAME_VARIABLE, "")
    if not url:
        return None
    if not name:
        raise PrerequisiteError(
            f"{MODEL_URL_VARIABLE} is set: set {MODEL_NAME_VARIABLE} to the model's name, too"
        )
    file = environment.get(MODEL_KEY_VARIABLE, "")
    try:
        key = Path(file).read_text(encoding="utf-8").strip() if file else ""
    except OSError as error:
        raise PrerequisiteError(
            f"{MODEL_KEY_VARIABLE} names {file}, which can't be read: {error.strerror}"
        ) from error
    return RealModel(url, name, key)
