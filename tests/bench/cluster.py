"""A control plane of the benchmark's own, with AOS's kinds, and objects in it."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from hack.cluster.control_plane import ControlPlane
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.session import prepare

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT_SECONDS = 30.0


@contextmanager
def control_plane(folder: Path) -> Iterator[Handle]:
    """Bring a control plane with AOS's kinds up in ``folder``, give it, and end it."""
    prepare(control_plane=True)
    cluster = ControlPlane(Paths.from_environment(state=folder))
    try:
        cluster.up()
        handle = cluster.handle()
        for arguments in (
            ("apply", "--server-side", "-f", str(ROOT / "crds")),
            (
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                "crd",
                "-l",
                "app.kubernetes.io/part-of=aos",
            ),
        ):
            answer = handle.kubectl(*arguments)
            if not answer.ok:
                raise RuntimeError(answer.stderr)
        yield handle
    finally:
        cluster.down()


def manifest(
    resource: Resource,
    name: str,
    namespace: str,
    metadata: Mapping[str, JsonValue] | None = None,
    **parts: JsonValue,
) -> JsonObject:
    """Return an object of this kind."""
    where: JsonObject = {"namespace": namespace} if resource.namespaced else {}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, **where, **(metadata or {})},
        **parts,
    }


async def create_all(
    client: ApiClient, objects: list[tuple[Resource, JsonObject]], at_once: int = 16
) -> None:
    """Create the objects, so many at once."""
    gate = asyncio.Semaphore(at_once)

    async def create(resource: Resource, content: JsonObject) -> None:
        async with gate:
            await client.create(resource, content)

    async with asyncio.TaskGroup() as group:
        for resource, content in objects:
            group.create_task(create(resource, content))
