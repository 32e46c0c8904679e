"""Says on ApprovalRequests which call used them or overtook them: soon, once, and never undone; and mends what a crash left out."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from pydantic import JsonValue

from aos.gateway.approvals.trail import ApprovalTrail, Made
from aos.gateway.control.charges import APPROVAL_SECONDS, approval_counter
from aos.gateway.settings import GatewaySettings
from aos.kube.errors import Conflict, Invalid, NotFound
from aos.kube.queue import WorkQueue
from aos.kube.resources import APPROVAL_REQUESTS, Resource
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType, RequestUse
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import FIELD_MANAGER_GATEWAY
from aos.store.interface import Store, StoreUnavailableError

MAX_WANTED: Final = 10_000
"""Marks that wait for the API server; what does not fit is mended later from the store."""
CONFLICT_SECONDS: Final = 0.2
"""When a mark is tried again on what somebody else wrote meanwhile."""
MENDED_AFTER: Final = timedelta(hours=1)
"""How long after its end a request is still looked at whose use nobody marked."""

_ENDED: Final = frozenset({RequestState.EXPIRED, RequestState.STALE})
_WORKERS: Final = 4

_log = logging.getLogger(__name__)


class MarkSource(Protocol):
    """What is asked of the registry."""

    def approvals(self) -> Collection[ApprovalRequest]:
        """Return all ApprovalRequests."""


class MarkWriter(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object."""

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str, force: bool = True
    ) -> JsonObject:
        """Make these fields of the status so."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is to be said of the request with ``uid``: ``use`` or ``overtaken``, and by which call."""

    uid: str
    field: str
    by: RequestUse


class Marks:
    """Writes marks; `run` it beside the calls."""

    def __init__(self, client: MarkWriter) -> None:
        self._client = client
        self._wanted: dict[ObjectKey, _Mark] = {}
        self._queue: WorkQueue[ObjectKey] = WorkQueue(self._write, workers=_WORKERS)

    def __len__(self) -> int:
        """Return how many wait to be written."""
        return len(self._wanted)

    def used(self, key: ObjectKey, uid: str, by: RequestUse) -> None:
        """Say which call used the request. Returns at once."""
        self._want(key, _Mark(uid, "use", by))

    def overtaken(self, key: ObjectKey, uid: str, by: RequestUse) -> None:
        """Say which call changed the record since people were asked. Returns at once."""
        self._want(key, _Mark(uid, "overtaken", by))

    async def run(self) -> None:
        """Write what is wanted, until cancelled."""
        await self._queue.run()

    def _want(self, key: ObjectKey, mark: _Mark) -> None:
        if len(self._wanted) < MAX_WANTED or key in self._wanted:
            self._wanted[key] = mark
            self._queue.add(key)

    async def _write(self, key: ObjectKey) -> None:
        mark = self._wanted.get(key)
        if mark is None:
            return
        try:
            # Read anew each time: what the cache has may be older than what the operator wrote a moment ago.
            request = ApprovalRequest.parse(
                await self._client.get(APPROVAL_REQUESTS, key.name, key.namespace)
            )
            if request.metadata.uid == mark.uid and not _is_marked(request, mark.field):
                manifest = mark_manifest(request, mark.field, mark.by)
                await self._client.apply_status(
                    APPROVAL_REQUESTS, manifest, field_manager=FIELD_MANAGER_GATEWAY
                )
        except Conflict:
            self._queue.add_after(key, CONFLICT_SECONDS)
            return
        except NotFound:
            pass
        except (Invalid, ValueError) as error:
            _log.error("ApprovalRequest %s can't be marked: %s", key, error)
        if self._wanted.get(key) is mark:
            del self._wanted[key]


class MarkSweeper:
    """Finds requests whose approval was used by a gateway that did not live to say so; one replica does it for all."""

    def __init__(
        self, source: MarkSource, store: Store, trail: ApprovalTrail, marks: Marks, settings: GatewaySettings
    ) -> None:
        self._source = source
        self._store = store
        self._trail = trail
        self._marks = marks
        self._pause_seconds = settings.store_sweep_seconds
        self._reservation_seconds = settings.reservation_seconds

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.sweep(datetime.now(UTC))
            except StoreUnavailableError as error:
                _log.warning("uses of approvals are not looked for: %s", error)
            await asyncio.sleep(self._pause_seconds)

    async def sweep(self, now: datetime) -> int:
        """Mark every use that nobody will mark any more; return how many.

        Raises:
            StoreUnavailableError: the store can't say.
        """
        suspects = [request for request in self._source.approvals() if _is_suspect(request, now)]
        if not suspects:
            return 0
        counters = {approval_counter(request.metadata.uid): request for request in suspects}
        taken = await self._store.used([(counter, APPROVAL_SECONDS) for counter in counters])
        marked = 0
        for counter, request in counters.items():
            if taken[counter] and await self._mend(request, now):
                marked += 1
        return marked

    async def _mend(self, request: ApprovalRequest, now: datetime) -> bool:
        created_at = request.metadata.creation_timestamp or now
        made = await self._trail.made(request.metadata.name, request.spec.asked_call.task.uid, created_at)
        # A call that may still be under way is marked by whoever makes it, or given back.
        if made is None or not (made.is_over or self._is_lost(made, now)):
            return False
        use = RequestUse(call=made.call, time=made.time)
        self._marks.used(request.key, request.metadata.uid, use)
        return True

    def _is_lost(self, made: Made, now: datetime) -> bool:
        return now - made.time > timedelta(seconds=self._reservation_seconds)


def mark_manifest(request: ApprovalRequest, field: str, by: RequestUse) -> JsonObject:
    """Return what to apply so that the request's status has this mark beside those that it has."""
    marks: dict[str, JsonValue] = {field: by.model_dump(mode="json", by_alias=True)}
    for name, there in (("use", request.status.use), ("overtaken", request.status.overtaken)):
        if there is not None:
            marks[name] = there.model_dump(mode="json", by_alias=True)
    return {
        "apiVersion": APPROVAL_REQUESTS.api_version,
        "kind": APPROVAL_REQUESTS.kind,
        "metadata": {
            "name": request.metadata.name,
            "namespace": request.metadata.namespace,
            "resourceVersion": request.metadata.resource_version,
        },
        "status": marks,
    }


def _is_marked(request: ApprovalRequest, field: str) -> bool:
    return (request.status.use if field == "use" else request.status.overtaken) is not None


def _is_suspect(request: ApprovalRequest, now: datetime) -> bool:
    status = request.status
    if request.spec.type is not RequestType.CALL or status.use is not None:
        return False
    return status.state is RequestState.APPROVED or (
        status.state in _ENDED and status.have > 0 and now < request.spec.expires_at + MENDED_AFTER
    )
