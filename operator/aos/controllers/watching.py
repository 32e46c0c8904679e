"""Kopf at the edge: it logs in, watches the kinds of AOS and hands every event on. It writes nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import kopf

from aos.controllers.login import connection_info
from aos.controllers.objects import Objects
from aos.kube.objects import key_of, uid_of
from aos.model.base import JsonObject
from aos.model.kinds import KINDS
from aos.model.names import GROUP, MANAGED_BY, VERSION

CHUNK_OBJECTS: Final = 100
"""Objects of one answer of the first list; it bounds the memory of a cold start."""
IDLE_SECONDS: Final = 0.1
"""How long Kopf keeps a task for an object that nothing happens to."""


@asynccontextmanager
async def kopf_running(
    objects: Objects, kubeconfig: Path | None, relisted: Callable[[], None]
) -> AsyncIterator[asyncio.Future[None]]:
    """Feed ``objects`` while the block runs; give a future that ends only if Kopf does.

    Args:
        objects: takes what is there and what happens.
        relisted: called for each object of a first list, and of a list after a gap: what went away in the gap is not told.
        kubeconfig: as for `connection_info`.
    """
    logging.getLogger("kopf").setLevel(logging.WARNING)
    root_tasks = await kopf.spawn_tasks(
        registry=_registry(objects, kubeconfig, relisted),
        settings=_settings(),
        clusterwide=True,
        # Nobody hears it, since there is no peering; Kopf would name itself after a user that an image may not have.
        identity=MANAGED_BY,  # type: ignore[arg-type]
    )
    ended = asyncio.ensure_future(_first_end(root_tasks))
    try:
        yield ended
    finally:
        # Not by kopf.run_tasks: at its end it would cancel every task of the process, whoever started it.
        ended.cancel()
        for task in root_tasks:
            task.cancel()
        await asyncio.gather(ended, *root_tasks, return_exceptions=True)


async def _first_end(tasks: Collection[asyncio.Task[object]]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if (error := task.exception()) is not None:
            raise error
    raise RuntimeError("Kopf ended by itself")


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # The kinds come with AOS itself; looking out for further ones would take more rights.
    settings.scanning.disabled = True
    settings.watching.chunk_size = CHUNK_OBJECTS
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings


class _NoDiffs(kopf.DiffBaseStorage):
    """Spares Kopf a deep copy of every object of every event: no handler asks what changed."""

    def build(
        self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None
    ) -> kopf.BodyEssence:
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        del body
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        del body, patch, essence


def _registry(
    objects: Objects, kubeconfig: Path | None, relisted: Callable[[], None]
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.ConnectionInfo:
        return await connection_info(kubeconfig)

    for kind in KINDS:
        kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=kind.plural)(
            _observer(objects, kind.kind, relisted)
        )
    return registry


def _observer(objects: Objects, kind: str, relisted: Callable[[], None]) -> Callable[..., Awaitable[None]]:
    async def observe(*, event: kopf.RawEvent, **_: object) -> None:
        raw = cast("JsonObject", event["object"])
        if event["type"] == "DELETED":
            key = key_of(raw)
            objects.forget(kind, key.namespace, key.name, uid_of(raw))
            return
        objects.observe(kind, raw)
        if event["type"] is None:
            relisted()

    return observe
