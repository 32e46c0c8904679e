"""Asks people about held calls, waits for them, and lets each call through once that they approved; everything else is refused."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from pydantic import ValidationError

from aos.gateway.approvals.asking import request_manifest
from aos.gateway.approvals.current import Cluster, changed_since
from aos.gateway.approvals.held import HeldCall, Released
from aos.gateway.approvals.hooks import EVERY_CALL, NO_PREVIEW, Previewer, Sampler, drawn
from aos.gateway.approvals.marks import Marks
from aos.gateway.approvals.standing import (
    Standing,
    deciders,
    pending,
    stale,
    standing,
    too_many,
    unreachable,
    used,
)
from aos.gateway.approvals.trail import ApprovalTrail, Change, History
from aos.gateway.control.verdicts import store_unavailable
from aos.gateway.mcp.waiting import Waiting
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.off_loop import OFF_LOOP, size_of
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.registry import Listener
from aos.gateway.settings import GatewaySettings
from aos.inspection.sizes import DataTooLargeError
from aos.kube.errors import AlreadyExists, ApiError, NotFound
from aos.kube.resources import APPROVAL_REQUESTS, Resource
from aos.model.approval_request import ApprovalRequest, RequestType, RequestUse
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.policy.approvals import BoundQuorum
from aos.policy.decision import Decision, DecisionReason
from aos.store.interface import StoreUnavailableError

MAX_REMEMBERED: Final = 10_000
"""Refusals that are on record already, so that the same is not recorded each time a call is made again."""
MAX_UNSEEN_SECONDS: Final = 60.0
"""How long a request that was made here counts as pending before the watch has told of it."""
ANSWER_SECONDS: Final = 5.0
"""How long the API server may take for one answer; the call is not made otherwise."""
MAX_ANEW: Final = 16
"""How often people are asked anew about one call whose record others change."""
ASKED: Final = "Asked"

_GONE: Final = "its ApprovalRequest was deleted"

_log = logging.getLogger(__name__)


class RequestSource(Cluster, Protocol):
    """What is asked of the registry; `aos.gateway.cluster_registry.ClusterRegistry` has it."""

    def approval(self, namespace: str, name: str) -> ApprovalRequest | None:
        """Return the ApprovalRequest, or None."""

    def pending_approvals(self, namespace: str, agent: str, kind: RequestType) -> Collection[str]:
        """Return names of the agent's requests that people have not decided."""

    def on_approval_change(self, listener: Listener) -> None:
        """Call ``listener`` with the key of an ApprovalRequest that appears, changes or goes."""


class RequestWriter(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object."""

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Create an object, and return it as stored."""


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A request that is being made, or that the watch has not told of yet."""

    agent: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is plugged in."""

    sampler: Sampler = EVERY_CALL
    previewer: Previewer = NO_PREVIEW


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ApprovalDesk:
    """Every held call comes here, each time that it is made."""

    def __init__(
        self,
        source: RequestSource,
        client: RequestWriter,
        trail: ApprovalTrail,
        marks: Marks,
        metrics: GatewayMetrics,
        settings: GatewaySettings,
        hooks: Hooks = Hooks(),
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._source = source
        self._client = client
        self._trail = trail
        self._marks = marks
        self._metrics = metrics
        self._wait_seconds = settings.approval_wait_seconds
        self._max_pending = settings.max_pending_approvals
        self._hooks = hooks
        self._now = now
        self._waiting: dict[ObjectKey, set[asyncio.Event]] = {}
        self._unseen: dict[ObjectKey, _Unseen] = {}
        self._recorded: OrderedDict[tuple[str, RefusalCode | DecisionReason], None] = OrderedDict()
        source.on_approval_change(self._changed)

    def quorums(self, decision: Decision, identity: str) -> tuple[BoundQuorum, ...]:
        """Return the quorums that the call with this identity waits for; none where it needs no people."""
        return drawn(decision.before, identity, self._hooks.sampler)

    def current(self, held: HeldCall) -> HeldCall:
        """Return ``held`` as people are asked about it now: anew after each call that changed its record meanwhile."""
        for _ in range(MAX_ANEW):
            request = self._source.approval(held.namespace, held.name)
            by = request.status.overtaken if request is not None else None
            if request is None or by is None or request.status.use is not None:
                break
            held = replace(held, after=(*held.after, by.call))
        return held

    async def release(self, held: HeldCall, waiting: Waiting) -> Released | Refused:
        """Return what lets the call through, or why nothing does.

        People are asked if they were not yet; where its client waits, they are waited for.

        Raises:
            ClientDisconnected: the client went away meanwhile.
        """
        try:
            found = await self._released(held, waiting)
        except StoreUnavailableError as error:
            _log.warning("a held call is denied: %s", error)
            found = store_unavailable(held.asked)
        except ApiError as error:
            # Not its message, which may quote the arguments.
            _log.warning("people can't be asked about a call: %s: %s", type(error).__name__, error.target)
            found = unreachable(held)
        except TimeoutError:
            _log.warning("people can't be asked about a call: the API server took too long")
            found = unreachable(held)
        except DataTooLargeError:
            _log.warning("people can't be asked about a call: too many long arguments are looked through")
            found = unreachable(held)
        except ValidationError:
            found = stale(held, "its ApprovalRequest can't be read")
        if isinstance(found, Refused):
            self._metrics.approval(found.reason.value)
        return found

    async def confirm(self, held: HeldCall, released: Released, call: str) -> Refused | None:
        """Return why a call that the store has just let through must not be made all the same; None if it may.

        From now on no other Task gets the record; what got it before is on record.
        """
        if held.record:
            try:
                change = await self._trail.changed(held, released.asked_at, call)
            except StoreUnavailableError as error:
                _log.warning("a held call is denied: %s", error)
                return store_unavailable(held.asked)
            if change is not None:
                return self._overtaken(held, released.uid, change)
        decided_at = released.decided_at
        self._metrics.released((self._now() - decided_at).total_seconds() if decided_at else 0.0)
        return None

    def made(self, held: HeldCall, released: Released, call: str) -> None:
        """Note that the call was made, or may have been."""
        self._marks.used(_key(held), released.uid, RequestUse(call=call, time=self._now()))

    async def use(self, held: HeldCall, released: Released, refused: Refused) -> Refused:
        """Return ``refused``, of a call whose approval was used while it was being looked at, with what came of it."""
        since = datetime.fromisoformat(released.asked_at)
        try:
            made = await self._trail.made(held.name, held.asked.caller.task.metadata.uid, since)
        except StoreUnavailableError:
            return refused
        return refused if made is None else used(held, made.call, known=made.known)

    def is_news(self, held: HeldCall, refused: Refused) -> bool:
        """Whether the refusal is not on record yet: a call that is made again and again is recorded once."""
        if refused.reason is RefusalCode.APPROVAL_PENDING:
            # That people are asked was recorded when they were.
            return False
        key = (held.name, refused.reason)
        is_news = key not in self._recorded
        self._recorded[key] = None
        self._recorded.move_to_end(key)
        while len(self._recorded) > MAX_REMEMBERED:
            self._recorded.popitem(last=False)
        return is_news

    async def _released(self, held: HeldCall, waiting: Waiting) -> Released | Refused:
        known = self._source.approval(held.namespace, held.name) or await self._read(held)
        request = known or await self._ask(held)
        if isinstance(request, Refused):
            return request
        if standing(request, held, self._now()) is Standing.WAITING:
            overtaken = await self._history(held, request) if known else None
            if isinstance(overtaken, Refused):
                return overtaken
            if not await self._wait(held, request, waiting):
                return pending(held, request)
        return await self._let_through(held)

    async def _let_through(self, held: HeldCall) -> Released | Refused:
        """Return what lets the call through, by what the API server and the store say now."""
        request = await self._read(held)
        if request is None:
            return stale(held, _GONE)
        match standing(request, held, self._now()):
            case Standing.APPROVED:
                return await self._checked(held, request)
            case Standing.WAITING:
                return pending(held, request)
            case Standing.USED:
                return await self._used(held, request)
            case refused:
                return refused

    async def _checked(self, held: HeldCall, request: ApprovalRequest) -> Released | Refused:
        """Return what lets the call through, unless something that people were told is not so any more."""
        changed = changed_since(held.asked.caller, self._source, self._now())
        if changed:
            return stale(held, changed)
        history = await self._history(held, request)
        if isinstance(history, Refused):
            return history
        decided_at = max((decision.time for decision in request.status.counted), default=None)
        return Released(held.name, request.metadata.uid, history.asked_at, decided_at, deciders(request))

    async def _history(self, held: HeldCall, request: ApprovalRequest) -> History | Refused:
        """Return what the trail knows since people were asked; a refusal where that forbids the call."""
        history = await self._trail.history(held, request.metadata.creation_timestamp or self._now())
        if not history.asked_at:
            return stale(
                held, "the gateway's store does not know that people were asked, so it was lost since"
            )
        if history.change is not None:
            if await self._trail.is_used(request.metadata.uid):
                # What changed the record came after the call itself, or beside it: nobody is asked about that anew.
                return await self._used(held, request)
            return self._overtaken(held, request.metadata.uid, history.change)
        return history

    def _overtaken(self, held: HeldCall, uid: str, change: Change) -> Refused:
        self._marks.overtaken(_key(held), uid, RequestUse(call=change.call, time=change.time))
        return stale(held, f"{held.record_name} was changed by another call since")

    async def _used(self, held: HeldCall, request: ApprovalRequest) -> Refused:
        created_at = request.metadata.creation_timestamp or self._now()
        made = await self._trail.made(held.name, request.spec.asked_call.task.uid, created_at)
        if made is not None:
            return used(held, made.call, known=made.known)
        said = request.status.use
        return used(held, said.call if said else "", known=False)

    async def _ask(self, held: HeldCall) -> ApprovalRequest | Refused:
        """Make the request, and return it."""
        if self._count_pending(held) >= self._max_pending:
            return too_many(held, self._max_pending)
        key = _key(held)
        # Counted before anything is waited for, so that calls made at once can't pass the bound together.
        self._unseen[key] = _Unseen(held.asked.caller.agent, self._now())
        try:
            # What changes the record from here on is noticed, what people are shown of it is read after this.
            await self._trail.ask(held)
            preview = await self._hooks.previewer.preview(held)
            work = partial(request_manifest, held, preview, self._now())
            owner = held.asked.caller.task.metadata.uid
            manifest = await OFF_LOOP.do(owner, size_of(dict(held.asked.arguments)), work)
            async with asyncio.timeout(ANSWER_SECONDS):
                raw = await self._client.create(APPROVAL_REQUESTS, manifest)
        except BaseException as error:
            self._unseen.pop(key, None)
            if not isinstance(error, AlreadyExists):
                raise
        else:
            self._metrics.approval(ASKED)
            return ApprovalRequest.parse(raw)
        # Another replica was asked the same at the same time, and was quicker.
        return await self._read(held) or stale(held, _GONE)

    def _count_pending(self, held: HeldCall) -> int:
        caller = held.asked.caller
        now = self._now()
        for key, unseen in list(self._unseen.items()):
            if (now - unseen.since).total_seconds() > MAX_UNSEEN_SECONDS:
                del self._unseen[key]
        unseen_names = {
            key.name
            for key, unseen in self._unseen.items()
            if (key.namespace, unseen.agent) == (caller.namespace, caller.agent)
        }
        known = self._source.pending_approvals(caller.namespace, caller.agent, RequestType.CALL)
        return len(unseen_names.union(known))

    async def _read(self, held: HeldCall) -> ApprovalRequest | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                raw = await self._client.get(APPROVAL_REQUESTS, held.name, held.namespace)
        except NotFound:
            return None
        return ApprovalRequest.parse(raw)

    async def _wait(self, held: HeldCall, request: ApprovalRequest, waiting: Waiting) -> bool:
        """Wait for people as long as the client may; whether the request came to something."""
        left_seconds = (request.spec.expires_at - self._now()).total_seconds()
        return await waiting.until(self._decided(held), max(min(self._wait_seconds, left_seconds), 0.0))

    async def _decided(self, held: HeldCall) -> None:
        """Return when the request came to something, or is gone."""
        was_known = False
        with self._told_of(_key(held)) as changed:
            while True:
                changed.clear()
                request = self._source.approval(held.namespace, held.name)
                if request is None and was_known:
                    return
                if request is not None:
                    was_known = True
                    if standing(request, held, self._now()) is not Standing.WAITING:
                        return
                await changed.wait()

    def _changed(self, key: ObjectKey) -> None:
        self._unseen.pop(key, None)
        for event in self._waiting.get(key, ()):
            event.set()

    @contextlib.contextmanager
    def _told_of(self, key: ObjectKey) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(key, None)


def _key(held: HeldCall) -> ObjectKey:
    return ObjectKey(namespace=held.namespace, name=held.name)
