"""Control over a real store in a file of its own, and what became of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from aos.audit.event import AuditEvent
from aos.audit.query import AuditQuery
from aos.gateway.approvals.desk import ApprovalDesk, Hooks
from aos.gateway.approvals.hooks import EVERY_CALL, Sampler
from aos.gateway.approvals.marks import Marks
from aos.gateway.approvals.reviews import ReviewDesk
from aos.gateway.approvals.trail import ApprovalTrail
from aos.gateway.caller import Caller
from aos.gateway.control.announcing import DUPLICATE_ANSWERED
from aos.gateway.control.control import CallControl
from aos.gateway.control.guard import ToolGuard
from aos.gateway.control.retries import RetryBudget
from aos.gateway.mcp.calls import Control
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.refusal import Refused
from aos.gateway.settings import GatewaySettings
from aos.store.interface import Store
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_approvals.people import People


@dataclass
class KeptNews:
    """Keeps what people are told."""

    told: list[tuple[str, str, str]] = field(default_factory=list)

    def announce(self, caller: Caller, refused: Refused) -> None:
        self.told.append((caller.agent, refused.reason.value, refused.note))

    def repeated(self, caller: Caller, note: str) -> None:
        self.told.append((caller.agent, DUPLICATE_ANSWERED, note))


@dataclass
class Held:
    """What holds calls, over one store."""

    store: Store
    calls: CallControl
    control: Control
    news: KeptNews
    metrics: GatewayMetrics
    people: People

    async def settled(self) -> None:
        """Return once nothing waits for the store."""
        while self.calls.pending:  # noqa: ASYNC110 - it ends within a few turns of the event loop
            await asyncio.sleep(0.001)

    async def rows(self) -> list[AuditEvent]:
        """Return what is on record of calls, in order."""
        await self.settled()
        found = [row.event async for row in self.store.rows(AuditQuery())]
        return [event for event in found if event.subject in ("tool", "model", "agent")]


@asynccontextmanager
async def opened(store: Store | None = None) -> AsyncGenerator[Store]:
    """Give the store, or one of its own that is gone afterwards."""
    if store is not None:
        yield store
        return
    with TemporaryDirectory() as folder:
        own = SqliteStore(Path(folder) / "store.db", "gateway-0-1")
        await own.open()
        try:
            yield own
        finally:
            await own.close()


@asynccontextmanager
async def controlled(
    store: Store, settings: GatewaySettings, sampler: Sampler = EVERY_CALL
) -> AsyncGenerator[Held]:
    """Control calls through ``store``."""
    metrics, news = GatewayMetrics(), KeptNews()
    calls = CallControl(store, metrics, news, settings)
    people = People()
    trail, marks = ApprovalTrail(store, calls), Marks(people)
    desk = ApprovalDesk(people, people, trail, marks, metrics, settings, Hooks(sampler))
    reviews = ReviewDesk(people, people, metrics, settings, sampler)
    control = Control(calls, desk, reviews, ToolGuard(settings), RetryBudget(settings), metrics)
    marking = asyncio.gather(marks.run(), reviews.run())
    try:
        yield Held(store, calls, control, news, metrics, people)
    finally:
        marking.cancel()
        await asyncio.gather(marking, return_exceptions=True)
        await calls.close(5)
        metrics.close()
