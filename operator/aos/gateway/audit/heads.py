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

    def __init__(self, store: Store, report: Report) -> None:
        """Make a key for the chain that ``store`` writes; only this process ever has it.

        Args:
            store: where the chain is kept.
            report: takes signed heads.
        """
        self._store = store
        self._report = report
        self._signer = HeadSigner()
        self._last: ChainHead | None = None

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(HEAD_SECONDS)

    async def tell(self) -> SignedHead | None:
        """Report the chain's head if it has moved; return it then.

        What is signed is what this process wrote itself, never what the store says: where somebody has put another row
        there, the store is used no more, and the signature is what contradicts it.
        """
        try:
            await self._store.ping()
        except StoreUnavailableError as error:
            _log.warning("the audit chain may go on from where it is signed: %s", error)
        head = self._store.written()
        if head is None or head == self._last:
            return None
        self._last = head
        signed = self._signer.sign(head)
        said: JsonObject = orjson.loads(signed.encode())
        self._report.state(STATEMENT, {STATEMENT: said})
        return signed
