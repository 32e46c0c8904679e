"""Signs where this replica's chain stands, and says so in the report that the operator reads."""

import asyncio
import logging
from typing import Final, Protocol

import orjson

from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner, SignedHead
from aos.model.base import JsonObject
from aos.store.interface import Store, StoreUnavailableError

HEAD_SECONDS: Final = 20.0
"""Between two heads; the operator anchors the newest one each minute."""
STATEMENT: Final = "auditHead"
"""Name of the report's field that holds a signed head."""

_log = logging.getLogger(__name__)


class Report(Protocol):
    """What is asked of `aos.gateway.enforcement.EnforcementReport`."""

    def state(self, subject: str, statement: JsonObject) -> None:
        """Tell readers something of this replica."""


class HeadReporter:
    """Runs beside the calls."""

    def __init__(self, store: Store, chain: str, report: Report) -> None:
        """Make a key for the chain; only this process ever has it.

        Args:
            store: where the chain is kept.
            chain: the one that this process writes.
            report: takes signed heads.
        """
        self._store = store
        self._chain = chain
        self._report = report
        self._signer = HeadSigner()
        self._last: ChainHead | None = None

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            try:
                await self.tell()
            except StoreUnavailableError as error:
                _log.warning("the audit chain's head can't be read: %s", error)
            await asyncio.sleep(HEAD_SECONDS)

    async def tell(self) -> SignedHead | None:
        """Report the chain's head if it has moved; return it then.

        Raises:
            StoreUnavailableError: it can't be read.
        """
        heads = [head for head in await self._store.heads() if head.chain == self._chain]
        if not heads or heads[0] == self._last:
            return None
        self._last = heads[0]
        signed = self._signer.sign(heads[0])
        said: JsonObject = orjson.loads(signed.encode())
        self._report.state(STATEMENT, {STATEMENT: said})
        return signed
