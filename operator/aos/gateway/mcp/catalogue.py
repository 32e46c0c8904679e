"""Every Tool's actions, as what stands behind the Tool defines them: read anew at intervals and on each change, and judged."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import JsonValue

from aos.gateway.mcp.definitions import Listing, judge, unlisted
from aos.gateway.mcp.system import ListingError, System, Systems
from aos.gateway.refusal import RefusalCode
from aos.gateway.registry import Registry
from aos.gateway.reporter import Availability, Reporter
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import Target, target_of
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.kube.backoff import Backoff
from aos.kube.queue import WorkQueue
from aos.model.conditions import Reason
from aos.model.meta import ObjectKey
from aos.model.tool import Tool

_WORKERS: Final = 16
_INITIAL_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known of one Tool.

    Attributes:
        tool_uid: of the Tool.
        system: what stands behind it.
        target: where its definitions were read, or None where there is no credential to read them with.
        state: what they depended on besides.
        definitions: as last read; None before the first time.
        read_at: when they were last read.
        due_at: when they are to be read again.
        failures: readings that failed since.
        listing: what they were judged to be.
    """

    tool_uid: str
    system: System
    target: Target | None
    state: Hashable = None
    definitions: list[JsonValue] | None = None
    read_at: float = 0
    due_at: float = 0
    failures: int = 0
    listing: Listing | None = None


class Catalogue:
    """The listings of all Tools."""

    def __init__(
        self,
        registry: Registry,
        systems: Systems,
        reporter: Reporter,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._systems = systems
        self._reporter = reporter
        self._settings = settings
        self._clock = clock
        self._backoff = Backoff(_INITIAL_SECONDS, settings.catalogue_refresh_seconds)
        self._known: dict[tuple[str, str], _Known] = {}
        self._queue: WorkQueue[ObjectKey] = WorkQueue(self.refresh, workers=_WORKERS)
        registry.on_tool_change(self._queue.add)

    async def run(self) -> None:
        """Keep the listings fresh until cancelled."""
        for tool in self._registry.tools():
            self._queue.add(tool.key)
        await self._queue.run()

    def look_again(self, key: ObjectKey) -> None:
        """Read the definitions of one Tool soon, if what they depend on has changed."""
        self._queue.add(key)

    def listing(self, tool: Tool) -> Listing | None:
        """Return what is known of exactly this Tool; None while it is new or was just changed."""
        known = self._known.get((tool.metadata.namespace, tool.metadata.name))
        listing = known.listing if known is not None else None
        if listing is None or listing.tool_uid != tool.metadata.uid:
            return None
        return listing if listing.generation == tool.metadata.generation else None

    async def refresh(self, key: ObjectKey) -> None:
        """Bring the listing of one Tool up to date; the tool is asked only when that is due."""
        tool = self._registry.tool(key.namespace, key.name)
        if tool is None:
            self._drop(key)
            return
        known = self._current(key, tool)
        if known.target is None:
            known.listing = unlisted(tool, _credentials_missing(tool))
        elif self._clock() >= known.due_at or known.state != known.system.state(tool):
            await self._read(known, tool, known.target)
        elif known.definitions is not None and not _is_of(known.listing, tool):
            known.listing = await self._judged(known, tool, known.target)
        if known.target is not None:
            self._queue.add_after(key, max(known.due_at - self._clock(), 0))
        if known.listing is not None and self._known.get((key.namespace, key.name)) is known:
            self._reporter.report_tool(key, known.listing.availability, known.listing.observed)

    def _current(self, key: ObjectKey, tool: Tool) -> _Known:
        """Return what is known of the Tool; nothing, if it is another one or its type, URL or credential changed."""
        system = self._systems[tool.spec.type]
        try:
            target = target_of(self._registry, tool)
        except UpstreamError:
            target = None
        known = self._known.get((key.namespace, key.name))
        if (
            known is None
            or known.tool_uid != tool.metadata.uid
            or known.system is not system
            or known.target != target
        ):
            self._drop(key)
            known = self._known[key.namespace, key.name] = _Known(tool.metadata.uid, system, target)
        return known

    def _drop(self, key: ObjectKey) -> None:
        known = self._known.pop((key.namespace, key.name), None)
        if known is not None:
            known.system.forget(known.tool_uid)

    async def _read(self, known: _Known, tool: Tool, target: Target) -> None:
        known.state = known.system.state(tool)
        try:
            definitions = await known.system.definitions(tool, target)
        except (UpstreamError, ListingError) as error:
            await self._failed(known, tool, target, error)
            return
        now = self._clock()
        known.failures, known.read_at = 0, now
        known.due_at = now + self._settings.catalogue_refresh_seconds
        same = (
            definitions == known.definitions and _is_of(known.listing, tool) and known.definitions is not None
        )
        known.definitions = definitions
        if not same or (known.listing is not None and _is_down(known.listing)):
            known.listing = await self._judged(known, tool, target)

    async def _failed(
        self, known: _Known, tool: Tool, target: Target, error: UpstreamError | ListingError
    ) -> None:
        known.failures += 1
        known.due_at = self._clock() + self._backoff.delay_seconds(known.failures)
        # Which address it was is for those who read the Tool: agents are told of neither.
        message = f"{target.url}: {error.message}" if isinstance(error, UpstreamError) else str(error)
        down = Availability(Reason.UNREACHABLE, f"its definitions can't be read: {message}")
        _log.warning("tool %s can't be listed (%d in a row): %s", tool.key, known.failures, message)
        if isinstance(error, UpstreamError) and error.code is RefusalCode.UPSTREAM_INVALID:
            # Whatever answers now may speak otherwise than what answered before.
            known.system.forget(tool.metadata.uid)
        age = self._clock() - known.read_at
        if known.definitions is None or age > self._settings.max_staleness_seconds:
            known.definitions = None
            known.listing = unlisted(tool, down)
            return
        last = await self._judged(known, tool, target)
        known.listing = Listing(
            tool_uid=last.tool_uid,
            generation=last.generation,
            actions=last.actions,
            observed=last.observed,
            availability=down,
        )

    async def _judged(self, known: _Known, tool: Tool, target: Target) -> Listing:
        # In a thread: whatever a tool lists, calls of other tools must not wait until it is judged.
        return await asyncio.to_thread(
            judge,
            tool,
            known.definitions or [],
            target.gives_away,
            self._settings.max_schema_bytes,
            known.listing.actions if known.listing is not None else None,
            partial(known.system.bind, tool),
        )


def _is_of(listing: Listing | None, tool: Tool) -> bool:
    return listing is not None and listing.generation == tool.metadata.generation


def _is_down(listing: Listing) -> bool:
    return listing.availability.reason is Reason.UNREACHABLE


def _credentials_missing(tool: Tool) -> Availability:
    auth = tool.spec.auth
    where = f"Secret {auth.secret_ref.name}, key {auth.secret_ref.key}" if auth else "the Secret"
    return Availability(Reason.CREDENTIALS_MISSING, f"{where}: missing, empty, or not fit for a header")
