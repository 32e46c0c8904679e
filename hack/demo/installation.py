"""Brings AOS and the examples into a cluster. A second time changes only what differs."""

import secrets
import subprocess
from collections.abc import Sequence
from typing import Final

from hack.cluster.files import exclusive
from hack.cluster.paths import Paths
from hack.cluster.progress import say, step
from hack.demo import example
from hack.demo.access import Access, chart
from hack.demo.example import Example
from hack.demo.settings import Settings
from hack.image.builders import Request
from hack.image.cli import build

SYSTEM: Final = "aos-system"
RELEASE: Final = "aos"
INSTALL_SECONDS: Final = 180
READY_SECONDS: Final = 110
"""Below the time that any single kubectl may take."""
_TOKEN_BYTES: Final = 24
_IMAGE_ANNOTATION: Final = "aos.dev/demo-image"


def build_image(settings: Settings) -> None:
    """Build the image, unless it is somebody else's to build."""
    if settings.builds_image:
        with step("the image of AOS"):
            build(Request(settings.image, None))


def load_image(access: Access, settings: Settings) -> None:
    """Put the image into the cluster's nodes."""
    if settings.builds_image:
        with step(f"loading {settings.image} into the cluster"):
            access.handle.load(settings.image)


def install(access: Access, settings: Settings, *values: str) -> None:
    """Install AOS by its chart, and restart what runs another image of the same name.

    Args:
        access: the cluster.
        settings: which image.
        values: further ones of the chart, as ``name=value``.

    Raises:
        DemoError: it did not become ready in time.
    """
    lock = access.paths.state / "installation.lock"
    with exclusive(lock, lambda: say("another run installs AOS; waiting for it …")):
        _upgrade(access, settings, values)


def _upgrade(access: Access, settings: Settings, more: Sequence[str]) -> None:
    with step("helm upgrade --install aos charts/aos"):
        stood = _standing_release(access)
        repository, _, tag = settings.image.rpartition(":")
        # A demonstration's audit trail may go with its pod; a volume would need a provisioner, and many nodes have none.
        store = "gateway.store.emptyDir=true"
        values = f"image.repository={repository},image.tag={tag},image.pullPolicy=IfNotPresent,{store}"
        access.helm(
            "upgrade",
            "--install",
            RELEASE,
            str(chart()),
            f"--namespace={SYSTEM}",
            "--create-namespace",
            f"--set={values}",
            *(f"--set={value}" for value in more),
            "--wait",
            f"--timeout={INSTALL_SECONDS}s",
        )
    if settings.builds_image:
        _restart_on_new_image(access, _identity(settings.image, access.paths), outdated=stood)


def apply_example(access: Access, settings: Settings, chosen: Example = example.SALES) -> None:
    """Apply an example with credentials, and wait until its agents can take Tasks.

    Raises:
        DemoError: something did not become ready in time.
    """
    with step(
        f"examples/{chosen.name}: namespaces, credentials, systems, tools, model, policies, agents, workflow"
    ):
        namespaces = [folder / example.NAMESPACES for folder in (example.COMMON, chosen.folder)]
        access.apply(example.manifests(namespaces, settings))
        for system in chosen.systems:
            put_credentials(access, system, chosen.systems_namespace, chosen.name, settings)
        put_credentials(access, example.MODEL, example.MODELS, chosen.name, settings)
        access.apply(example.manifests([*example.COMMON_FILES, *chosen.files], settings))
    with step(f"{' and '.join(chosen.systems)} and the model start"):
        access.rollout(chosen.systems_namespace, *chosen.systems, seconds=READY_SECONDS)
        access.rollout(example.MODELS, example.MODEL, seconds=READY_SECONDS)
    with step(f"{', '.join(chosen.agents)} and workflow {chosen.workflow} become Ready"):
        access.wait_ready(
            chosen.name,
            *(f"tool/{system}" for system in chosen.systems),
            "model/default",
            *(f"agent/{agent}" for agent in chosen.agents),
            f"workflow/{chosen.workflow}",
            seconds=READY_SECONDS,
        )


def paths() -> Paths:
    """Return where this machine keeps clusters and tools."""
    return Paths.from_environment()


def _standing_release(access: Access) -> bool:
    """Return whether AOS is installed. What an interrupted run left pending helm refuses, so that is removed; kinds stay."""
    status = access.release_status(SYSTEM, RELEASE)
    if status.startswith("pending") or status == "uninstalling":
        access.helm("uninstall", RELEASE, f"--namespace={SYSTEM}", "--wait", "--timeout=120s")
        return False
    return bool(status)


def _identity(image: str, places: Paths) -> str:
    """Return what tells the image apart from others of the same name: its archive's name, or Docker's id."""
    archive = places.named_image(image)
    if archive.is_symlink():
        return archive.readlink().stem
    shown = ["docker", "image", "inspect", image, "--format={{.Id}}"]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout.strip()


def _restart_on_new_image(access: Access, wanted: str, *, outdated: bool) -> None:
    """The tag stays the same when the code changes, so Kubernetes can't see by itself that pods are outdated."""
    escaped = _IMAGE_ANNOTATION.replace(".", "\\.")
    known = access.kubectl.must(
        "get", "namespace", SYSTEM, "-o", f"jsonpath={{.metadata.annotations.{escaped}}}"
    )
    if known == wanted:
        return
    if outdated:
        with step("pods restart on the new image"):
            for namespace in (
                SYSTEM,
                example.MODELS,
                *(one.systems_namespace for one in example.ALL.values()),
            ):
                access.kubectl.run("rollout", "restart", "deployment", "-n", namespace)
            access.rollout(SYSTEM, "aos-operator", "aos-gateway", seconds=READY_SECONDS)
    access.kubectl.must("annotate", "namespace", SYSTEM, f"{_IMAGE_ANNOTATION}={wanted}", "--overwrite")


def put_credentials(access: Access, system: str, namespace: str, team: str, settings: Settings) -> None:
    """Give a system and the gateway the same token; one that is there stays, and no agent gets any.

    Args:
        access: the cluster.
        system: whose token.
        namespace: where the system runs.
        team: the namespace whose Tool or Model names the Secret.
        settings: may bring a key of a real model along.
    """
    name = example.credentials(system)
    token = access.secret(namespace, name)
    if not token:
        token = secrets.token_hex(_TOKEN_BYTES)
        access.put_secret(namespace, name, token)
    presented = token
    if system == example.MODEL and settings.model is not None and settings.model.key:
        presented = settings.model.key
    if access.secret(team, name) != presented:
        access.put_secret(team, name, presented)
