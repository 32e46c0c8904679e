"""Has people review calls that are made: drawn, written down before the call is forwarded, told what came of it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

import orjson

from aos.gateway.approvals.asking import request_manifest
from aos.gateway.approvals.held import HeldCall
from aos.gateway.approvals.hooks import Sampler
from aos.gateway.approvals.sentences import deed
from aos.gateway.journal import CallOutcome
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.off_loop import OFF_LOOP, size_of
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.registry import Listener
from aos.gateway.settings import GatewaySettings
from aos.inspection.sizes import DataTooLargeError
from aos.kube.errors import AlreadyExists, ApiError, Forbidden, Invalid, NotFound
from aos.kube.objects import child, text
from aos.kube.queue import WorkQueue
from aos.kube.resources import APPROVAL_REQUESTS, Resource
from aos.model.approval_request import RequestType
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import FIELD_MANAGER_GATEWAY, review_request
from aos.policy.approvals import ALWAYS, BoundQuorum
from aos.policy.decision import Effect

ASK_SECONDS: Final = 5.0
"""How long the API server may take to write a review down; the call is not made otherwise."""
RETRY_SECONDS: Final = 60.0
"""When a call may be tried again for which there are too many open reviews."""
UNREACHABLE_SECONDS: Final = 5.0
MAX_UNSEEN_SECONDS: Final = 60.0
"""How long a review that was made here counts as open before the watch has told of it."""
MAX_WANTED: Final = 10_000
"""Outcomes that wait for the API server; what does not fit is told later, from the store."""
MAX_OWED: Final = 10_000
"""Draws that stay due; of more than that the oldest are forgotten."""
MAX_OUTCOME_LENGTH: Final = 64
REVIEW_ASKED: Final = "ReviewAsked"
REVIEW_FAILED: Final = "ReviewFailed"

_WORKERS: Final = 2
_ANSWERED: Final = frozenset({CallOutcome.ANSWERED, CallOutcome.ERROR_ANSWERED})

_log = logging.getLogger(__name__)


class ReviewSource(Protocol):
    """What is asked of the registry; `aos.gateway.cluster_registry.ClusterRegistry` has it."""

    def pending_approvals(self, namespace: str, agent: str, kind: RequestType) -> Collection[str]:
        """Return names of the agent's requests that people have not decided."""

    def on_approval_change(self, listener: Listener) -> None:
        """Call ``listener`` with the key of an ApprovalRequest that appears, changes or goes."""


class ReviewWriter(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Create an object, and return it as stored."""

    async def delete(self, resource: Resource, name: str, *, namespace: str = "") -> None:
        """Ask for an object's end."""

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str, force: bool = True
    ) -> JsonObject:
        """Make these fields of the status so."""


@dataclass(frozen=True, slots=True)
class Review:
    """A call that people are to review.

    Attributes:
        held: the call, with the quorums that drew it.
        call: the audit trail's identifier of the call.
    """

    held: HeldCall
    call: str

    @property
    def name(self) -> str:
        """Name of its ApprovalRequest."""
        return review_request(self.call)

    @property
    def key(self) -> ObjectKey:
        """Namespace and name of its ApprovalRequest."""
        return ObjectKey(namespace=self.held.namespace, name=self.name)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A quorum whose sample the call is in.

    Attributes:
        quorum: which.
        is_owed: whether it is in the sample in place of an earlier call that was refused.
    """

    quorum: BoundQuorum
    is_owed: bool = False

    def __str__(self) -> str:
        """Return what the audit trail has of it."""
        return f"{self.quorum.rule} (owed)" if self.is_owed else self.quorum.rule


@dataclass(frozen=True, slots=True)
class _Unseen:
    agent: str
    since: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ReviewDesk:
    """Every call that a policy wants reviewed comes here; `run` it beside the calls."""

    def __init__(
        self,
        source: ReviewSource,
        client: ReviewWriter,
        metrics: GatewayMetrics,
        settings: GatewaySettings,
        sampler: Sampler,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._source = source
        self._client = client
        self._metrics = metrics
        self._most = settings.max_review_backlog
        self._sampler = sampler
        self._now = now
        self._owed: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._unseen: dict[ObjectKey, _Unseen] = {}
        self._begun: set[ObjectKey] = set()
        self._wanted: dict[ObjectKey, str] = {}
        self._queue: WorkQueue[ObjectKey] = WorkQueue(self._write, workers=_WORKERS)
        source.on_approval_change(self._changed)

    def __len__(self) -> int:
        """Return how many outcomes and withdrawals wait for the API server."""
        return len(self._wanted)

    async def run(self) -> None:
        """Say what came of reviewed calls, until cancelled."""
        await self._queue.run()

    def drawn(
        self, namespace: str, agent: str, quorums: Sequence[BoundQuorum], call: str
    ) -> tuple[Drawn, ...]:
        """Return those of ``quorums`` whose sample the call is in, by its identifier in the audit trail."""
        found = []
        for quorum in quorums:
            if quorum.sample_percent >= ALWAYS or self._sampler.draws(call, quorum):
                found.append(Drawn(quorum))
            elif (namespace, agent, quorum.rule) in self._owed:
                found.append(Drawn(quorum, is_owed=True))
        return tuple(found)

    def barred(self, review: Review) -> Refused | None:
        """Return why a call that was drawn must not be made; None where its reviewers keep up.

        The draw stays due: the agent's next call that the same rule is about is drawn in its place.
        """
        open_reviews = self._count_open(review)
        if open_reviews < self._most:
            return None
        for owed in self._debts(review):
            self._owed[owed] = None
        while len(self._owed) > MAX_OWED:
            self._owed.popitem(last=False)
        self._metrics.approval(RefusalCode.REVIEW_BACKLOG.value)
        return _backlog(review.held, open_reviews)

    async def ask(self, review: Review) -> Refused | None:
        """Write down that people are to review a call that is about to be made; return why it must not be made instead."""
        self._unseen[review.key] = _Unseen(review.held.asked.caller.agent, self._now())
        self._begun.add(review.key)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                asked = review.held.asked
                work = partial(review_manifest, review, self._now())
                size = size_of(dict(asked.arguments))
                manifest = await OFF_LOOP.do(asked.caller.task.metadata.uid, size, work)
                await self._client.create(APPROVAL_REQUESTS, manifest)
        except AlreadyExists:
            pass
        except (ApiError, DataTooLargeError, TimeoutError) as error:
            # Not its message, which may quote the arguments.
            _log.warning("the review of call %s can't be asked for: %s", review.call, type(error).__name__)
            self._metrics.approval(REVIEW_FAILED)
            return _unreachable(review.held)
        for owed in self._debts(review):
            self._owed.pop(owed, None)
        self._metrics.approval(REVIEW_ASKED)
        return None

    def ended(self, review: Review, outcome: str, *, made: bool) -> None:
        """Note what came of the call. Returns at once; of one that certainly was not made, nothing is left to review."""
        if review.key not in self._begun:
            return
        self._begun.discard(review.key)
        self.tell(review.key, outcome if made else "")

    def tell(self, key: ObjectKey, outcome: str) -> None:
        """Say what came of a reviewed call; nothing of it means that the review is taken back. Returns at once."""
        if len(self._wanted) < MAX_WANTED or key in self._wanted:
            self._wanted[key] = outcome[:MAX_OUTCOME_LENGTH]
            self._queue.add(key)

    async def _write(self, key: ObjectKey) -> None:
        outcome = self._wanted.get(key)
        if outcome is None:
            return
        try:
            if outcome:
                await self._client.apply_status(
                    APPROVAL_REQUESTS, outcome_manifest(key, outcome), field_manager=FIELD_MANAGER_GATEWAY
                )
            else:
                await self._client.delete(APPROVAL_REQUESTS, key.name, namespace=key.namespace)
                self._unseen.pop(key, None)
        except NotFound:
            self._unseen.pop(key, None)
        except (Forbidden, Invalid) as error:
            # Somebody said it already; what is said once is final.
            _log.warning("%s: nothing is said of what came of its call: %s", key, type(error).__name__)
        if self._wanted.get(key) == outcome:
            del self._wanted[key]

    def _changed(self, key: ObjectKey) -> None:
        self._unseen.pop(key, None)

    def _debts(self, review: Review) -> list[tuple[str, str, str]]:
        caller = review.held.asked.caller
        return [(caller.namespace, caller.agent, quorum.rule) for quorum in review.held.quorums]

    def _count_open(self, review: Review) -> int:
        caller, now = review.held.asked.caller, self._now()
        for key, unseen in list(self._unseen.items()):
            if (now - unseen.since).total_seconds() > MAX_UNSEEN_SECONDS:
                del self._unseen[key]
        known = self._source.pending_approvals(caller.namespace, caller.agent, RequestType.REVIEW)
        names = {
            key.name
            for key, unseen in self._unseen.items()
            if (key.namespace, unseen.agent) == (caller.namespace, caller.agent)
        }
        return len(names.union(known))


def review_manifest(review: Review, now: datetime) -> JsonObject:
    """Return the request to make: what people are asked of a held call, and by which call it was done."""
    manifest = request_manifest(review.held, None, now)
    spec, metadata = child(manifest, "spec"), child(manifest, "metadata")
    record, arguments = text(spec, "record"), orjson.loads(text(spec, "arguments"))
    return {
        **manifest,
        "metadata": {**metadata, "name": review.name},
        "spec": {
            **spec,
            "type": RequestType.REVIEW.value,
            "call": review.call,
            "summary": deed(review.held, record, arguments),
        },
    }


def outcome_text(outcome: str, reason: str) -> str:
    """Return what is said of how a call ended; why, where it got no answer."""
    return outcome if outcome in _ANSWERED else f"{outcome}: {reason}"[:MAX_OUTCOME_LENGTH]


def outcome_manifest(key: ObjectKey, outcome: str) -> JsonObject:
    """Return what to apply so that a review says what came of its call."""
    return {
        "apiVersion": APPROVAL_REQUESTS.api_version,
        "kind": APPROVAL_REQUESTS.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "status": {"outcome": outcome},
    }


def _backlog(held: HeldCall, open_reviews: int) -> Refused:
    asked = held.asked
    return Refused(
        Effect.DENY,
        RefusalCode.REVIEW_BACKLOG,
        f"{asked.name}.{asked.action} was not made: people are to review it, and they are behind: {open_reviews} reviews of"
        f" agent {asked.caller.agent} are open; try again when they have looked at some, or do something else",
        asked.rules,
        retry_after_seconds=RETRY_SECONDS,
        note=f"calls that are to be reviewed are refused: {open_reviews} reviews are open",
    )


def _unreachable(held: HeldCall) -> Refused:
    asked = held.asked
    return Refused(
        Effect.DENY,
        RefusalCode.STALE,
        f"{asked.name}.{asked.action} was not made: people are to review it, and the API server, which keeps that, can't be"
        " asked or does not take it; try again later",
        asked.rules,
        retry_after_seconds=UNREACHABLE_SECONDS,
        note="calls that are to be reviewed are refused: the API server can't be asked",
    )
