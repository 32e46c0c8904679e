"""Says what came of reviewed calls whose gateway did not live to say so; one replica does it for all."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from aos.audit.event import Phase
from aos.audit.query import AuditQuery
from aos.gateway.approvals.marks import MarkSource
from aos.gateway.approvals.reviews import ReviewDesk, outcome_text
from aos.gateway.settings import GatewaySettings
from aos.kube.timestamps import micro_time
from aos.model.approval_request import ApprovalRequest, RequestType
from aos.store.interface import Store, StoreUnavailableError

UNKNOWN: Final = "Unknown"
"""What came of a call whose gateway died with it."""
BEFORE_CREATION: Final = timedelta(minutes=1)
"""How long before its review a call may be on record, by another clock."""

_log = logging.getLogger(__name__)


class ReviewSweeper:
    """Looks for reviews without an outcome that are older than any call that is under way."""

    def __init__(
        self, source: MarkSource, store: Store, reviews: ReviewDesk, settings: GatewaySettings
    ) -> None:
        self._source = source
        self._store = store
        self._reviews = reviews
        self._pause_seconds = settings.store_sweep_seconds
        self._longest = timedelta(seconds=settings.reservation_seconds)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.sweep(datetime.now(UTC))
            except StoreUnavailableError as error:
                _log.warning("outcomes of reviewed calls are not looked for: %s", error)
            await asyncio.sleep(self._pause_seconds)

    async def sweep(self, now: datetime) -> int:
        """Tell every outcome that nobody will tell any more; return how many.

        Raises:
            StoreUnavailableError: the store can't say.
        """
        told = 0
        for request in self._source.approvals():
            created_at = request.metadata.creation_timestamp
            is_untold = request.spec.type is RequestType.REVIEW and not request.status.outcome
            if is_untold and created_at is not None and now - created_at > self._longest:
                self._reviews.tell(request.key, await self._outcome(request, created_at))
                told += 1
        return told

    async def _outcome(self, request: ApprovalRequest, created_at: datetime) -> str:
        since = micro_time(created_at - BEFORE_CREATION)
        async for row in self._store.rows(AuditQuery(task=request.spec.asked_call.task.uid, since=since)):
            event = row.event
            if event.call == request.spec.call and event.phase is Phase.OUTCOME:
                return outcome_text(event.outcome, event.reason)
        return UNKNOWN
