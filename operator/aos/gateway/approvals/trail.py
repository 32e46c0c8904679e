"""What the audit trail knows of a held call: when people were asked, what changed the record since, what came of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from aos.audit.event import AuditEvent, Phase
from aos.audit.query import AuditQuery
from aos.gateway.approvals.held import HeldCall
from aos.gateway.control.charges import APPROVAL_SECONDS, approval_counter
from aos.gateway.control.control import CallControl
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from aos.kube.timestamps import micro_time
from aos.store.interface import Store

BEFORE_CREATION_SECONDS: Final = 60.0
"""How long before the API server says that a request was made its row may have been written, by another clock."""
MOST_ROWS: Final = 1_000_000

_KNOWN: Final = frozenset({CallOutcome.ANSWERED, CallOutcome.ERROR_ANSWERED})
_WITHHELD: Final = frozenset(
    {RefusalCode.DATA_BLOCKED, RefusalCode.DATA_TOO_LARGE, RefusalCode.PROJECTION_FAILED}
)
"""Reasons of calls that failed only in that their answer reached nobody."""
_CHANGES: Final = frozenset({Phase.INTENT, Phase.OUTCOME})


@dataclass(frozen=True, slots=True)
class Change:
    """A call that may have changed the record since people were asked."""

    call: str
    time: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What the trail says since people were asked.

    Attributes:
        asked_at: when that was (RFC 3339); empty where this trail does not know of it.
        change: the first call after it that may have changed the record.
    """

    asked_at: str = ""
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The call that an approval let through.

    Attributes:
        call: its identifier.
        time: when it was let through.
        is_over: whether its outcome is on record.
        known: whether it is known what came of it.
    """

    call: str
    time: datetime
    is_over: bool
    known: bool


class ApprovalTrail:
    """Reads and writes the rows that name ApprovalRequests.

    That people were asked is on record before their request is made. So a store that does not know of it is not the one
    that counts how often the approval is used: it was lost, or brought back to an earlier state.
    """

    def __init__(self, store: Store, calls: CallControl) -> None:
        self._store = store
        self._calls = calls

    async def ask(self, held: HeldCall) -> None:
        """Write that people are asked.

        Raises:
            StoreUnavailableError: it could not be written.
        """
        await self._calls.ask(replace(held.asked, approvals=(held.name,)), held.record)

    async def history(self, held: HeldCall, created_at: datetime) -> History:
        """Return what is on record since people were asked, in the request that was made at ``created_at``.

        Raises:
            StoreUnavailableError: the trail can't be read.
        """
        asked_at = ""
        async for event in self._rows(held, created_at):
            if held.name in event.approvals:
                is_asking = event.phase is Phase.REFUSAL and event.reason == RefusalCode.APPROVAL_PENDING
                asked_at = asked_at or (event.time if is_asking else "")
                if asked_at and not held.record:
                    break
            elif asked_at and event.record == held.record and event.phase in _CHANGES:
                return History(asked_at, Change(event.call, datetime.fromisoformat(event.time)))
        return History(asked_at)

    async def changed(self, held: HeldCall, asked_at: str, call: str) -> Change | None:
        """Return a call but ``call`` itself that may have changed the record since ``asked_at``.

        Raises:
            StoreUnavailableError: the trail can't be read.
        """
        query = AuditQuery(record=held.record, since=asked_at, limit=MOST_ROWS)
        async for row in self._store.rows(query):
            event = row.event
            if event.phase in _CHANGES and event.call != call and held.name not in event.approvals:
                return Change(event.call, datetime.fromisoformat(event.time))
        return None

    async def is_used(self, uid: str) -> bool:
        """Return whether the request with ``uid`` has let a call through that may have been made.

        Raises:
            StoreUnavailableError: the store can't say.
        """
        counter = approval_counter(uid)
        return (await self._store.used([(counter, APPROVAL_SECONDS)]))[counter] > 0

    async def made(self, name: str, task_uid: str, created_at: datetime) -> Made | None:
        """Return the last call that the request ``name`` let through; None if there was none.

        Raises:
            StoreUnavailableError: the trail can't be read.
        """
        # An agent that has just had its answer may ask before that is on record.
        await self._calls.written()
        found: Made | None = None
        query = AuditQuery(task=task_uid, since=_since(created_at), limit=MOST_ROWS)
        async for row in self._store.rows(query):
            event = row.event
            if name not in event.approvals:
                continue
            if event.phase is Phase.INTENT:
                found = Made(event.call, datetime.fromisoformat(event.time), is_over=False, known=False)
            elif event.phase is Phase.OUTCOME and found is not None and event.call == found.call:
                known = event.outcome in _KNOWN or event.reason in _WITHHELD
                found = replace(found, is_over=True, known=known)
        return found

    async def _rows(self, held: HeldCall, created_at: datetime) -> AsyncIterator[AuditEvent]:
        task = "" if held.record else held.asked.caller.task.metadata.uid
        query = AuditQuery(record=held.record, task=task, since=_since(created_at), limit=MOST_ROWS)
        async for row in self._store.rows(query):
            yield row.event


def _since(created_at: datetime) -> str:
    return micro_time(created_at - timedelta(seconds=BEFORE_CREATION_SECONDS))
