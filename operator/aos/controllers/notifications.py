"""Tells webhooks of ApprovalRequests, beside the reconciles: ``status.notices`` is what was taken, all else is due still."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from aos.controllers.keys import Key
from aos.controllers.notifications_post import Outgoing, Postman
from aos.controllers.notifications_settings import Webhook
from aos.controllers.together import together
from aos.kube.backoff import Backoff
from aos.kube.errors import Conflict
from aos.kube.queue import WorkQueue
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from aos.reconcile.approval_status import written
from aos.reconcile.notice_text import body_of
from aos.reconcile.notices import DueNotice, due, next_at, notice_id, with_notice

WORKERS: Final = 2
"""Notices that are sent to one webhook at once: chats limit how many they take."""
BACKOFF: Final = Backoff(initial_seconds=1, cap_seconds=300, jitter=0.5)
_RECORD_ATTEMPTS: Final = 8

_log = logging.getLogger(__name__)


class Requests(Protocol):
    """The requests that are there."""

    def get(self, namespace: str, name: str) -> ApprovalRequest | None:
        """Return a request; None if it is not there or can't be read."""

    def raw(self, namespace: str, name: str) -> JsonObject:
        """Return a request's JSON; empty if it is not there."""


class Metrics(Protocol):
    """Hears what becomes of notices."""

    def notified(self, webhook: str, *, failed: bool) -> None:
        """A notice was sent, or was not taken."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a notifier works with.

    Attributes:
        requests: what is there.
        namespace_labels: of a namespace.
        write_status: writes a request's status if it is as it was read; raises `Conflict` if it is not, having read it anew.
        now: the time.
        metrics: hears what becomes of notices.
    """

    requests: Requests
    namespace_labels: Callable[[str], Mapping[str, str]]
    write_status: Callable[[str, JsonObject, JsonObject], Awaitable[None]]
    now: Callable[[], datetime]
    metrics: Metrics


class Notifier:
    """A queue for each webhook, so that one that hangs or is down delays no other, and no reconcile."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        surroundings: Surroundings,
        *,
        backoff: Backoff = BACKOFF,
        postman: Callable[[], Postman] = Postman,
    ) -> None:
        """Wire it; nothing runs yet."""
        self._postman = postman
        self._lines = [_Line(webhook, surroundings, backoff) for webhook in webhooks]

    def look(self, key: Key) -> None:
        """Look at a request: it, or what it belongs to, may have changed."""
        for line in self._lines:
            line.queue.add(key)

    async def run(self) -> None:
        """Send what is due until cancelled."""
        postman = self._postman()
        try:
            await together(_for_ever(), *(line.run(postman) for line in self._lines))
        finally:
            await postman.close()


async def _for_ever() -> None:
    await asyncio.Event().wait()


class _Line:
    """What one webhook is told."""

    def __init__(self, webhook: Webhook, surroundings: Surroundings, backoff: Backoff) -> None:
        self._webhook = webhook
        self._around = surroundings
        self._postman: Postman | None = None
        self._taken: set[str] = set()
        self.queue: WorkQueue[Key] = WorkQueue(self._process, workers=WORKERS, backoff=backoff)

    async def run(self, postman: Postman) -> None:
        self._postman = postman
        await self.queue.run()

    async def _process(self, key: Key) -> None:
        request = self._around.requests.get(key.namespace, key.name)
        audience = self._webhook.audience
        if request is None or not audience.includes(
            key.namespace, self._around.namespace_labels(key.namespace)
        ):
            return
        now = self._around.now()
        for item in due(request, audience, now):
            await self._tell(request, item, now)
        again_at = next_at(request, now)
        if again_at is not None:
            self.queue.add_after(key, (again_at - now).total_seconds())

    async def _tell(self, request: ApprovalRequest, item: DueNotice, now: datetime) -> None:
        """Send a notice and keep that it was taken; what was taken and could not be kept is not sent again by this process."""
        sent = notice_id(request, self._webhook.name, item.mark)
        if sent not in self._taken:
            await self._send(request, item, sent, now)
            self._taken.add(sent)
        await self._record(request, item)
        self._taken.discard(sent)

    async def _send(self, request: ApprovalRequest, item: DueNotice, sent: str, now: datetime) -> None:
        if self._postman is None:
            raise RuntimeError("the notifier does not run")
        failed = True
        try:
            body = body_of(request, item.event, sent, self._webhook.settings.format, now)
            await self._postman.send(self._webhook, Outgoing(sent, body))
            failed = False
        finally:
            self._around.metrics.notified(self._webhook.name, failed=failed)

    async def _record(self, request: ApprovalRequest, item: DueNotice) -> None:
        """Keep that a notice was taken, with what else the status says now.

        Raises:
            Conflict: the request changes all the time; it is tried again later.
        """
        key, name = request.key, self._webhook.name
        for attempt in range(1, _RECORD_ATTEMPTS + 1):
            current = self._around.requests.get(key.namespace, key.name)
            if current is None or current.metadata.uid != request.metadata.uid:
                return
            if any((kept.webhook, kept.event) == (name, item.mark) for kept in current.status.notices):
                return
            notices = with_notice(current, name, item.mark, self._around.now())
            status = written(current.status, current.status.model_copy(update={"notices": notices}))
            raw = self._around.requests.raw(key.namespace, key.name)
            try:
                await self._around.write_status("ApprovalRequest", raw, status or {})
            except Conflict:
                if attempt == _RECORD_ATTEMPTS:
                    raise
            else:
                return
