"""The sampling key: read from its Secret through the API server, used from memory, the same in all replicas."""

import asyncio
import contextlib
import logging
from typing import Final

from aos.gateway.approvals.sampling import KeyedSampler
from aos.gateway.facts import SecretData
from aos.gateway.table import Change, Table
from aos.kube.client import Selection
from aos.kube.informer import Informer, Source
from aos.kube.resources import SECRETS
from aos.model.names import SAMPLING_KEY, SAMPLING_SECRET

READ_SECONDS: Final = 5.0
"""How long a gateway that starts waits for the key."""

_log = logging.getLogger(__name__)


class SamplingKeyWatch:
    """Follows the Secret that the operator keeps the key in."""

    def __init__(self, client: Source, namespace: str, sampler: KeyedSampler) -> None:
        self._sampler = sampler
        selection = Selection(namespace=namespace, field_selector=f"metadata.name={SAMPLING_SECRET}")
        self._informer = Informer(client, SECRETS, SecretData.parse, selection=selection)
        self._informer.add_handler(Table(self._changed))

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._informer.run()

    async def read(self) -> None:
        """Return once it is known whether there is a key; after a while even so, and every call is in every sample."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_SECONDS):
                await self._informer.synced.wait()

    def _changed(self, change: Change[SecretData]) -> None:
        if change.new is None:
            _log.warning("Secret %s is gone; its last key stays in use", change.key)
            return
        try:
            self._sampler.use(change.new.values.get(SAMPLING_KEY, b""))
        except ValueError as error:
            _log.error("Secret %s holds no usable key: %s", change.key, error)
