"""Lets calls through the store or refuses them, settles them, and records both; nothing is left open, whoever goes away."""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from aos.audit.event import AuditEvent
from aos.gateway.caller import Caller
from aos.gateway.control import events, verdicts
from aos.gateway.control.asked import AskedCall, Finished, Repeated, Ticket
from aos.gateway.control.background import Background
from aos.gateway.control.charges import (
    CALLS_PER_TASK,
    COMPLETION_TOKENS,
    COST,
    PROMPT_TOKENS,
    Charges,
    approval_charge,
    settled,
    used_counters,
)
from aos.gateway.control.records import RecordUnknownError, duplicate_checks, lease_request
from aos.gateway.control.refusals import Refusals
from aos.gateway.journal import CallOutcome
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.refusal import Refused
from aos.gateway.settings import GatewaySettings
from aos.kube.backoff import Backoff
from aos.model.task import TaskUsage
from aos.policy.decision import DecisionReason, Effect
from aos.store.interface import (
    Admission,
    AdmissionResult,
    Admitted,
    Completion,
    Duplicate,
    Exhausted,
    LeaseRequest,
    RecordBusy,
    Store,
    StoreUnavailableError,
)

MAX_PENDING: Final = 10_000
"""Rows and settlements that may wait for the store; beyond it nothing is let through and no refusal recorded."""
HOLD_SECONDS: Final = 0.01
"""How long a settlement waits for an admission to share a transaction with."""
MAX_GIVING_BACK: Final = 1_000
GIVE_BACK_SECONDS: Final = 10.0
"""How many, and how long, calls are tried to be released of which nobody knows whether they were granted."""
QUIET_SECONDS: Final = 2.0
"""How long what a Task has used waits for what is being settled."""
MAX_KEPT: Final = 10_000
"""Policies that are remembered to be kept; of older ones the store is told again."""

_BACKOFF: Final = Backoff(initial_seconds=0.1, cap_seconds=5)
_CALL_BYTES: Final = 16
_ADMITTED: Final = "Admitted"
_IN: Final = "in"
_OUT: Final = "out"

_log = logging.getLogger(__name__)


class Announcer(Protocol):
    """Tells people of refusals, and of writes that were not made since they had been made."""

    def announce(self, caller: Caller, refused: Refused) -> None:
        """Say it where they look, soon; returns at once and never raises."""

    def repeated(self, caller: Caller, note: str) -> None:
        """Say so that a write was answered with what an identical one gave."""


class CallControl:
    """Every call passes here before it is forwarded, and again when it is over."""

    def __init__(
        self,
        store: Store,
        metrics: GatewayMetrics,
        announcer: Announcer,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._announcer = announcer
        self._reservation_seconds = settings.reservation_seconds
        self._clock = clock
        self._charges = Charges()
        self._refusals = Refusals()
        self._background = Background()
        self._held: list[Completion] = []
        self._settling = 0
        self._rows: list[AuditEvent] = []
        self._kept: OrderedDict[str, asyncio.Task[bool] | None] = OrderedDict()

    async def admit(self, asked: AskedCall) -> Ticket | Refused:
        """Reserve what a model request or a handoff takes, and write its intent, durably.

        A refusal that is returned is on record and announced already. A ticket must be given to `finish`.
        """
        barred = self.barred(asked)
        if barred is not None:
            return barred
        ticket = self._ticket(asked)
        result = await self._take(self._admission(ticket, None), ticket)
        if isinstance(result, Admitted):
            self._count(asked, _ADMITTED)
            return ticket
        return self._turned_away(ticket, result)

    async def admit_tool(self, asked: AskedCall) -> Ticket | Repeated | Refused:
        """Do the same for a tool call: take its record, too, and look for an identical write of another Task, or attempt."""
        barred = self.barred(asked)
        if barred is not None:
            return barred
        try:
            lease = lease_request(asked)
        except RecordUnknownError as error:
            refused = verdicts.record_unknown(asked, str(error))
            self.refuse(asked, refused)
            return refused
        ticket = self._ticket(asked, lease.record if lease else "")
        result = await self._take(self._admission(ticket, lease), ticket)
        if isinstance(result, Admitted):
            self._count(asked, _ADMITTED)
            return replace(ticket, sent_as=result.sent_as) if result.sent_as else ticket
        if isinstance(result, Duplicate) and result.result is not None:
            self._count(asked, CallOutcome.DUPLICATE.value)
            self._announcer.repeated(asked.caller, verdicts.repeated(asked, result))
            self._append(events.repetition(ticket.call, asked, ticket.record))
            return Repeated(ticket.call, result.result, result.task, result.agent)
        return self._turned_away(ticket, result)

    def finish(self, ticket: Ticket, finished: Finished) -> None:
        """Settle a call and write its outcome. Returns at once; it is done whatever becomes of the caller.

        It shares the transaction of the next admission, which is made on what it settled; or has one of its own, soon.
        """
        self._release_soon()
        self._metrics.findings(finished.data_classes, _OUT)
        self._held.append(_completion(ticket, finished))

    def barred(self, asked: AskedCall) -> Refused | None:
        """Return the refusal of a Task that was refused too often, which is on record then; None of any other."""
        if not self._refusals.are_too_many(asked.caller.task.metadata.uid):
            return None
        refused = verdicts.refused_too_often(asked)
        self.refuse(asked, refused)
        return refused

    def refuse(self, asked: AskedCall, refused: Refused) -> None:
        """Record, and announce, a call that was refused before it came to the store. Returns at once."""
        self._record_refusal(asked.call or new_call(), asked, refused)

    def refuse_again(self, asked: AskedCall, refused: Refused) -> None:
        """Count a call that was refused for what is on record already."""
        self._metrics.admission(asked.subject.value, refused.reason.value)
        if refused.effect is Effect.DENY:
            self._refusals.count(asked.caller.task.metadata.uid)

    async def ask(self, asked: AskedCall, record: str) -> None:
        """Write, durably, that people are asked about a call.

        Raises:
            StoreUnavailableError: it could not be written, or not what it names.
        """
        keeping = self._keep(asked.caller)
        if keeping and not await _are_kept(keeping):
            raise StoreUnavailableError(
                "what the row names, the agent's policy or what it runs, could not be kept"
            )
        await self._store.append((events.asking(new_call(), asked, record),))

    async def written(self) -> None:
        """Return once what this replica has to write now is written, or could not be soon."""
        self._release()
        await self._background.quiet(QUIET_SECONDS)

    async def used_by(self, task_uid: str) -> TaskUsage | None:
        """Return what a Task has used, over all replicas, denials aside; None if the store can't say."""
        await self.written()
        counters = used_counters(task_uid)
        try:
            used = await self._store.used([(counter, 0) for counter in counters.values()])
        except StoreUnavailableError:
            self._metrics.store_failure("used")
            return None
        return TaskUsage(
            calls=used[counters[CALLS_PER_TASK]],
            prompt_tokens=used[counters[PROMPT_TOKENS]],
            completion_tokens=used[counters[COMPLETION_TOKENS]],
            cost_micro_usd=used[counters[COST]],
        )

    def announce(self, caller: Caller, refused: Refused) -> None:
        """Tell people of an answer that was withheld; `refuse` and `admit` tell of refusals themselves."""
        if refused.note:
            self._announcer.announce(caller, refused)

    async def close(self, timeout_seconds: float) -> None:
        """Write what is still to be written, for at most so long."""
        self._release()
        given_up = await self._background.settle(timeout_seconds)
        if given_up:
            _log.error("%d writes of rows or settlements were given up at the end", given_up)

    @property
    def pending(self) -> int:
        """Rows and settlements that wait for the store."""
        return len(self._background) + self._settling + len(self._held) + len(self._rows)

    def _ticket(self, asked: AskedCall, record: str = "") -> Ticket:
        # The approval first: of a call that was let through already nothing else is said.
        call = asked.call or new_call()
        return Ticket(call, asked, (*approval_charge(asked), *self._charges.of(asked)), record)

    def _admission(self, ticket: Ticket, lease: LeaseRequest | None) -> Admission:
        return Admission(
            call=ticket.call,
            charges=ticket.charges,
            lease=lease,
            duplicates=duplicate_checks(ticket.asked),
            intent=events.intent(ticket.call, ticket.asked, ticket.record),
            expires_seconds=self._reservation_seconds,
        )

    async def _take(self, admission: Admission, ticket: Ticket) -> AdmissionResult | None:
        """Ask the store; None if it can't be sure. What it may have granted to nobody is given back."""
        if self.pending >= MAX_PENDING:
            return None
        keeping = self._keep(ticket.asked.caller)
        if keeping and not await _are_kept(keeping):
            return None
        asked_at = self._clock()
        # What is settled is handed to the store before what is asked for.
        self._release()
        try:
            result = await self._store.admit(admission)
        except asyncio.CancelledError:
            self._give_back(ticket)
            raise
        except StoreUnavailableError as error:
            self._metrics.store_failure("admit")
            _log.warning("a call is denied: %s", error)
            self._give_back(ticket)
            return None
        self._metrics.store("admit", self._clock() - asked_at)
        return result

    def _keep(self, caller: Caller) -> list[asyncio.Task[bool]]:
        """Keep what the digests of a row stand for, once, so that it can be read in years; return what is not kept yet."""
        documents = [(caller.policy.digest, caller.policy.document)]
        if caller.running is not None and caller.running.digest:
            documents.append((caller.running.digest, caller.running.document))
        kept = self._kept
        return [
            keeping
            for digest, content in documents
            if (keeping := kept[digest] if digest in kept else self._keep_document(digest, content))
            is not None
        ]

    def _keep_document(self, digest: str, content: Callable[[], bytes]) -> "asyncio.Task[bool]":
        keeping = self._kept[digest] = self._background.start(self._put(digest, content()))
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return keeping

    async def _put(self, digest: str, content: bytes) -> bool:
        """Keep a document; whether it is kept."""
        try:
            await self._store.put_document(digest, content)
        except StoreUnavailableError as error:
            self._kept.pop(digest, None)
            self._metrics.store_failure("put_document")
            _log.warning(
                "calls are denied since the document %s, which their rows name, is not kept: %s",
                digest,
                error,
            )
            return False
        except BaseException:
            # Whatever it was: the next call that names it tries again.
            self._kept.pop(digest, None)
            raise
        if digest in self._kept:
            self._kept[digest] = None
        return True

    def _give_back(self, ticket: Ticket) -> None:
        """Release what may have been granted though nobody heard of it: nothing was sent.

        Of what was not granted the store says nothing. What can't be released soon stays charged.
        """
        if len(self._background) < MAX_GIVING_BACK:
            aborted = Finished(CallOutcome.ABORTED, DecisionReason.ALLOWED, 0, released=True)
            self._background.start(self._complete(_completion(ticket, aborted), GIVE_BACK_SECONDS))

    def _turned_away(self, ticket: Ticket, result: AdmissionResult | None) -> Refused:
        refused = _verdict(ticket, result)
        self._record_refusal(ticket.call, ticket.asked, refused)
        return refused

    def _count(self, asked: AskedCall, result: str) -> None:
        self._metrics.admission(asked.subject.value, result)
        self._metrics.findings(asked.data_classes, _IN)

    def _record_refusal(self, call: str, asked: AskedCall, refused: Refused) -> None:
        self._count(asked, refused.reason.value)
        self.announce(asked.caller, refused)
        # Beside the row, which lets nothing through.
        self._keep(asked.caller)
        self._append(events.refusal(call, asked, refused.reason))

    def _release_soon(self) -> None:
        if not self._held and not self._rows:
            asyncio.get_running_loop().call_later(HOLD_SECONDS, self._release)

    def _release(self) -> None:
        """Hand to the store what was held to share a transaction."""
        held, self._held = self._held, []
        if held:
            self._settling += len(held)
            self._background.start(self._settle([(each, self._store.finish(each)) for each in held]))
        rows, self._rows = self._rows, []
        if rows:
            self._background.start(self._write(rows))

    def _append(self, event: AuditEvent) -> None:
        if not self._refusals.count(event.task_uid) or self.pending >= MAX_PENDING:
            self._metrics.audit_loss()
            return
        self._release_soon()
        self._rows.append(event)

    async def _write(self, rows: list[AuditEvent]) -> None:
        try:
            await self._store.append(rows)
        except StoreUnavailableError:
            # A refusal let nothing through; its line in the log and the count of what is missing here remain.
            self._metrics.store_failure("append")
            self._metrics.audit_loss(len(rows))

    async def _settle(self, asked: Sequence[tuple[Completion, Awaitable[None]]]) -> None:
        """See what became of settlements that the store was asked for, which most often share a transaction."""
        asked_at = self._clock()
        try:
            for completion, answer in asked:
                try:
                    await answer
                except StoreUnavailableError:
                    self._metrics.store_failure("finish")
                    self._background.start(self._settle_later(completion))
                else:
                    self._metrics.store("finish", self._clock() - asked_at)
        finally:
            self._settling -= len(asked)

    async def _settle_later(self, completion: Completion) -> None:
        await asyncio.sleep(_BACKOFF.delay_seconds(1))
        if not await self._complete(completion, self._reservation_seconds):
            self._metrics.audit_loss()
            _log.error("call %s was not settled in time and stays charged", completion.call)

    async def _complete(self, completion: Completion, patience_seconds: float) -> bool:
        """Settle, again and again for so long; the store itself closes what was not settled in time."""
        began_at = self._clock()
        failures = 0
        while True:
            asked_at = self._clock()
            try:
                await self._store.finish(completion)
            except StoreUnavailableError:
                failures += 1
                self._metrics.store_failure("finish")
                if self._clock() - began_at >= patience_seconds:
                    return False
            else:
                self._metrics.store("finish", self._clock() - asked_at)
                return True
            await asyncio.sleep(_BACKOFF.delay_seconds(failures))


async def _are_kept(keeping: Sequence[asyncio.Task[bool]]) -> bool:
    """Wait for documents; whether all of them are kept. They go on being kept if nobody waits any more."""
    done, _ = await asyncio.wait(keeping)
    return not any(each.cancelled() or each.exception() or not each.result() for each in done)


def _completion(ticket: Ticket, finished: Finished) -> Completion:
    return Completion(
        call=ticket.call,
        settled=settled(ticket.asked, ticket.charges, finished),
        result=finished.result,
        forget_duplicate=finished.released or finished.undone,
        forget_lease=finished.released,
        outcome=events.outcome(ticket.call, ticket.asked, ticket.record, finished),
    )


def _verdict(ticket: Ticket, result: AdmissionResult | None) -> Refused:
    asked = ticket.asked
    match result:
        case Exhausted():
            return verdicts.exhausted(asked, result)
        case RecordBusy():
            return verdicts.record_busy(asked, result.lease)
        case Duplicate():
            return verdicts.in_flight(asked, result)
        case _:
            return verdicts.store_unavailable(asked)


def new_call() -> str:
    """Return an identifier that no other call has."""
    return secrets.token_hex(_CALL_BYTES)
