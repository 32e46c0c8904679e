"""``aos watch``: tells of requests that the caller may decide, and of what becomes of them, until it is interrupted."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from aos.cli.approval_news import Happening, changes_of
from aos.cli.approval_view import left, pending_data, title
from aos.cli.approvals import (
    Caller,
    Pending,
    Rights,
    hindrance,
    is_open,
    needs,
    whoami,
)
from aos.cli.connection import Connection
from aos.cli.exits import ExitCode
from aos.cli.output import one_line
from aos.cli.watch import read_once
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import Unavailable
from aos.kube.informer import Informer
from aos.kube.resources import APPROVAL_REQUESTS
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.reconcile.approval_subject import risk_word, work_kind

LOOK_AGAIN_SECONDS: Final = 30.0
"""Time alone makes requests the caller's (escalation), and so do new rights."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is asked.

    Attributes:
        everywhere: whether every namespace is meant.
        for_programs: one JSON document a line.
    """

    everywhere: bool
    for_programs: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it now is; None where it is gone."""

    key: ObjectKey
    request: ApprovalRequest | None


async def watch_requests(connection: Connection, asked: Watch) -> ExitCode:
    """Tell of requests until cancelled.

    Raises:
        ApiError: they may not be read or watched.
    """
    namespace = "" if asked.everywhere else connection.resolved_namespace()
    async with connection.client() as client:
        caller = await whoami(client)
        teller = Teller(caller)
        async with _seen(client, Selection(namespace=namespace)) as queue:
            looked_at = -LOOK_AGAIN_SECONDS
            while True:
                await _take(queue, teller)
                if (ticks := asyncio.get_running_loop().time()) - looked_at >= LOOK_AGAIN_SECONDS:
                    looked_at = ticks
                    teller.look_again()
                await _print_news(teller, Rights(client), caller, asked)


async def _take(queue: "asyncio.Queue[Seen]", teller: "Teller") -> None:
    """Take what has come, and wait for a first thing as long as nothing has to be looked at anew."""
    try:
        async with asyncio.timeout(LOOK_AGAIN_SECONDS):
            teller.take(await queue.get())
    except TimeoutError:
        return
    while not queue.empty():
        teller.take(queue.get_nowait())


async def _print_news(teller: "Teller", rights: Rights, caller: Caller, asked: Watch) -> None:
    now = datetime.now(UTC)
    try:
        async with aclosing(teller.tell(rights, now)) as happenings:
            async for happening in happenings:
                print(_line(happening, caller, now, asked), flush=True)
    except Unavailable as error:
        # The informer tries for ever too; what was not looked at is looked at with the next thing that comes.
        print(f"{one_line(str(error))}; going on", file=sys.stderr)


class Teller:
    """Knows which requests the caller was told of, and what of them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._now_there: dict[ObjectKey, ApprovalRequest] = {}
        self._told: dict[ObjectKey, ApprovalRequest] = {}
        self._changed: dict[ObjectKey, None] = {}
        self._others: set[ObjectKey] = set()

    def take(self, seen: Seen) -> None:
        """Remember how a request now is."""
        if seen.request is None:
            self._now_there.pop(seen.key, None)
        else:
            self._now_there[seen.key] = seen.request
        self._changed[seen.key] = None

    def look_again(self) -> None:
        """Look anew at what was for others to decide."""
        self._changed.update(dict.fromkeys(self._others))

    async def tell(self, rights: Rights, now: datetime) -> AsyncGenerator[Happening, None]:
        """Yield what is to be told of; what could not be looked at is looked at the next time.

        Raises:
            ApiError: the API server does not say what the caller may do.
        """
        for key in tuple(self._changed):
            happenings = await self._about(key, rights, now)
            del self._changed[key]
            for happening in happenings:
                yield happening

    async def _about(self, key: ObjectKey, rights: Rights, now: datetime) -> list[Happening]:
        old, new = self._told.get(key), self._now_there.get(key)
        if new is None:
            self._told.pop(key, None)
            self._others.discard(key)
            gone = old is not None and is_open(old, now)
            return (
                [Happening("Gone", old, f"gone with its {work_kind(old.spec)}")]
                if old is not None and gone
                else []
            )
        if old is not None and old.metadata.uid == new.metadata.uid:
            self._told[key] = new
            return changes_of(old, new, now)
        if not is_open(new, now):
            self._others.discard(key)
            return []
        if hindrance(new, self._caller, now) or not await rights.may_approve(key):
            self._others.add(key)
            return []
        self._others.discard(key)
        self._told[key] = new
        waiting = f"{risk_word(new.spec)}, {left(new, now)} left, needs {needs(Pending(new, None), self._caller, now)}"
        return [Happening("Waiting", new, f"{waiting}: {one_line(new.spec.summary)}")]


def _line(happening: Happening, caller: Caller, now: datetime, asked: Watch) -> str:
    request = happening.request
    if not asked.for_programs:
        return f"{now:%H:%M:%S}  {title(request, everywhere=asked.everywhere)}  {happening.said}"
    found = hindrance(request, caller, now) if happening.event != "Waiting" else None
    (about,) = pending_data((Pending(request, found),))
    said: JsonObject = {"time": now.isoformat(), "event": happening.event, "said": happening.said}
    value: dict[str, JsonValue] = {**said, **(about if isinstance(about, dict) else {})}
    return json.dumps(value)


@asynccontextmanager
async def _seen(client: ApiClient, selection: Selection) -> "AsyncGenerator[asyncio.Queue[Seen]]":
    """Watch requests for the time of a block; what comes is in the queue."""
    await read_once(client, APPROVAL_REQUESTS, selection)
    queue: asyncio.Queue[Seen] = asyncio.Queue()
    informer = Informer(client, APPROVAL_REQUESTS, ApprovalRequest.parse, selection=selection)
    informer.add_handler(_Handler(queue))
    running = asyncio.create_task(informer.run())
    try:
        yield queue
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class _Handler:
    """Passes requests on."""

    def __init__(self, queue: "asyncio.Queue[Seen]") -> None:
        self._queue = queue

    def added(self, key: ObjectKey, new: ApprovalRequest) -> None:
        self._queue.put_nowait(Seen(key, new))

    def updated(self, key: ObjectKey, old: ApprovalRequest, new: ApprovalRequest) -> None:
        del old
        self.added(key, new)

    def deleted(self, key: ObjectKey, old: ApprovalRequest) -> None:
        del old
        self._queue.put_nowait(Seen(key, None))
