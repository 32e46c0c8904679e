"""Secrets that Tools and Models refer to: each watched by itself, kept in memory, dropped when no longer referred to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aos.gateway.facts import SecretData
from aos.gateway.table import Change, Table
from aos.kube.backoff import Backoff
from aos.kube.client import Selection
from aos.kube.informer import Informer, Source
from aos.kube.resources import SECRETS
from aos.model.meta import KeyReference

BACKOFF: Final = Backoff(initial_seconds=0.25, cap_seconds=15, jitter=0.3)
"""The operator grants access to a Secret after it has seen the reference, so the first attempts may be refused."""

Owner = tuple[str, str, str]
"""Kind, namespace and name of what refers to a Secret."""


@dataclass(slots=True)
class _Watch:
    informer: Informer[SecretData]
    task: asyncio.Task[None]
    owners: set[Owner] = field(default_factory=set)


class CredentialStore:
    """Follows the references of Tools and Models with one watch per Secret."""

    def __init__(
        self, client: Source, changed: Callable[[Owner], None], max_staleness_seconds: float
    ) -> None:
        """Make an empty store; use it within a running event loop.

        Args:
            client: where Secrets are read.
            changed: told of each owner whose credential may have changed.
            max_staleness_seconds: a Secret that was not confirmed for longer is no credential any more.
        """
        self._client = client
        self._changed = changed
        self._max_staleness_seconds = max_staleness_seconds
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._references: dict[Owner, str] = {}

    def refer(self, owner: Owner, reference: KeyReference | None) -> None:
        """Note that ``owner`` refers to this Secret of its namespace from now on, or to none."""
        namespace = owner[1]
        before = self._references.pop(owner, None)
        after = reference.name if reference else None
        if after is not None:
            self._references[owner] = after
        if before == after:
            return
        if before is not None:
            self._leave(owner, (namespace, before))
        if after is not None:
            self._join(owner, (namespace, after))

    def get(self, namespace: str, reference: KeyReference) -> str | None:
        """Return the credential; None while it can't be had."""
        watch = self._watches.get((namespace, reference.name))
        if watch is None or self._is_stale(watch.informer):
            return None
        secret = next(iter(watch.informer.items.values()), None)
        return secret.credential(reference.key) if secret else None

    def problem(self, namespace: str, reference: KeyReference) -> str | None:
        """Return why there is no credential, for people; empty if there is one, None while that is not known."""
        watch = self._watches.get((namespace, reference.name))
        if watch is None or not watch.informer.synced.is_set() or self._is_stale(watch.informer):
            return None
        secret = next(iter(watch.informer.items.values()), None)
        if secret is None:
            return f"Secret {reference.name} is not there"
        if reference.key not in secret.values:
            return f"Secret {reference.name} has no key {reference.key}"
        if secret.credential(reference.key) is None:
            return f"key {reference.key} of Secret {reference.name} is not one line of visible ASCII"
        return ""

    async def read(self) -> None:
        """Return once every Secret that is referred to now was read; one that may not be read keeps this waiting."""
        await asyncio.gather(*(watch.informer.synced.wait() for watch in tuple(self._watches.values())))

    def _is_stale(self, informer: Informer[SecretData]) -> bool:
        # Without any contact yet, what is there came with the first list, which is being read this very moment.
        return (
            informer.last_contact is not None and informer.staleness_seconds() > self._max_staleness_seconds
        )

    async def close(self) -> None:
        """End all watches and forget all Secrets."""
        tasks = [watch.task for watch in self._watches.values()]
        self._watches.clear()
        self._references.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _join(self, owner: Owner, secret: tuple[str, str]) -> None:
        watch = self._watches.get(secret)
        if watch is None:
            watch = self._watches[secret] = self._started(secret)
        watch.owners.add(owner)

    def _leave(self, owner: Owner, secret: tuple[str, str]) -> None:
        watch = self._watches[secret]
        watch.owners.discard(owner)
        if not watch.owners:
            watch.task.cancel()
            del self._watches[secret]

    def _started(self, secret: tuple[str, str]) -> _Watch:
        namespace, name = secret
        informer = Informer(
            self._client,
            SECRETS,
            SecretData.parse,
            selection=Selection(namespace=namespace, field_selector=f"metadata.name={name}"),
            backoff=BACKOFF,
        )
        informer.add_handler(Table[SecretData](lambda change: self._notify(secret, change)))
        return _Watch(
            informer,
            asyncio.create_task(self._follow(secret, informer), name=f"watch Secret {namespace}/{name}"),
        )

    async def _follow(self, secret: tuple[str, str], informer: Informer[SecretData]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(informer.run())
            await informer.synced.wait()
            # What is there was told before this was known to be all, and of what is not there nothing is told.
            self._tell(secret)

    def _notify(self, secret: tuple[str, str], change: Change[SecretData]) -> None:
        if change.old and change.new and change.old.values == change.new.values:
            return
        self._tell(secret)

    def _tell(self, secret: tuple[str, str]) -> None:
        watch = self._watches.get(secret)
        for owner in tuple(watch.owners) if watch else ():
            self._changed(owner)
