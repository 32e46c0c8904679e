"""One leader among replicas, by a Lease of coordination.k8s.io/v1.

Kubernetes' own `kubernetes.aio.leaderelection` is not used: it measures by the wall clock, writes local time as UTC, never
releases the lease, and a renewal that hangs is not bounded by its deadline.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from pydantic import JsonValue

from aos.kube.clock import Clock, SystemClock, sleep, within
from aos.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from aos.kube.objects import child, number, resource_version_of, text
from aos.kube.resources import LEASES, Resource
from aos.kube.timestamps import micro_time
from aos.model.base import JsonObject

LEASE_SECONDS: Final = 15
"""Others wait so long after the last renewal that they saw."""
RENEW_DEADLINE_SECONDS: Final = 10.0
"""The leader stops so long after its last renewal."""
RETRY_SECONDS: Final = 2.0
"""Between renewals, and between looks at another's lease."""
ATTEMPT_SECONDS: Final = 4.0
"""One look at the lease takes no longer, so that a dead connection leaves time for another within the deadline."""
RELEASE_SECONDS: Final = 3.0
"""Giving the lease back takes no longer than this; it then runs out by itself."""

_log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """The lease could not be renewed in time, or is another's: stop acting at once."""


class Step(StrEnum):
    """What a replica should do about the lease."""

    CREATE = "Create"
    TAKE = "Take"
    RENEW = "Renew"
    WAIT = "Wait"


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease as it stands in the API server; its times are its holder's and are compared for equality alone."""

    holder: str
    lease_seconds: int
    acquire_time: str
    renew_time: str
    transitions: int
    resource_version: str

    @classmethod
    def parse(cls, raw: JsonObject) -> "LeaseRecord":
        """Return what the object says."""
        spec = child(raw, "spec")
        return cls(
            holder=text(spec, "holderIdentity"),
            lease_seconds=number(spec, "leaseDurationSeconds"),
            acquire_time=text(spec, "acquireTime"),
            renew_time=text(spec, "renewTime"),
            transitions=number(spec, "leaseTransitions"),
            resource_version=resource_version_of(raw),
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """A Lease, and the local monotonic time at which it was first seen so."""

    record: LeaseRecord
    since: float

    def expires_at(self) -> float:
        """Return the local monotonic time at which the holder's claim ends unless it is renewed."""
        return self.since + (self.record.lease_seconds or LEASE_SECONDS)


def observe(before: Observation | None, record: LeaseRecord, now: float) -> Observation:
    """Return what is known after ``record`` was read at ``now``: time runs from the last change that was seen."""
    if before and before.record == record:
        return before
    return Observation(record, now)


def decide(observed: Observation | None, identity: str, now: float) -> Step:
    """Return what the replica ``identity`` should do at local monotonic time ``now``."""
    if observed is None:
        return Step.CREATE
    if observed.record.holder == identity:
        return Step.RENEW
    if not observed.record.holder or now >= observed.expires_at():
        return Step.TAKE
    return Step.WAIT


def unique_identity() -> str:
    """Return a name that no other process has or had: the host's, for people, and chance."""
    return f"{socket.gethostname()}_{secrets.token_hex(8)}"


class LeaseClient(Protocol):
    """What an elector needs of a client; `aos.kube.client.ApiClient` has it."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object."""

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Create an object."""

    async def merge_patch(
        self, resource: Resource, name: str, patch: JsonObject, *, namespace: str = ""
    ) -> JsonObject:
        """Merge ``patch`` into an object."""


class LeaderElector:
    """Takes part in the election of one leader.

    Attributes:
        identity: this replica's name in the Lease.
    """

    def __init__(
        self,
        client: LeaseClient,
        *,
        namespace: str,
        name: str,
        identity: str = "",
        on_lost: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make an elector; nothing is sent before `run`.

        Args:
            client: where the Lease stands.
            namespace: the Lease's namespace.
            name: the Lease's name.
            identity: unique over all processes that live; empty for a made-up one.
            on_lost: called the moment that the lease is lost, before the leader's work is cancelled.
            clock: for tests.
        """
        self.identity = identity or unique_identity()
        self._client = client
        self._namespace = namespace
        self._name = name
        self._on_lost = on_lost
        self._clock = clock or SystemClock()
        self._observed: Observation | None = None
        self._renewed_at: float | None = None

    @property
    def is_leader(self) -> bool:
        """Whether the lease is held and was renewed within the deadline.

        It is computed when asked, so that it is False in time even if renewals were held up by a busy event loop.
        """
        return (
            self._renewed_at is not None
            and self._clock.monotonic() < self._renewed_at + RENEW_DEADLINE_SECONDS
        )

    @property
    def leader(self) -> str:
        """Identity of the leader as last seen; empty if there is none."""
        return self._observed.record.holder if self._observed else ""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, then run ``lead`` while it holds, then give it back.

        Cancelling this cancels ``lead``, waits for its end, and gives the lease back.

        Raises:
            LeaseLostError: the lease was lost; ``lead`` was cancelled and has ended.
        """
        await self._acquire()
        _log.info("%s leads by lease %s/%s", self.identity, self._namespace, self._name)
        work = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew_while_possible(), name=f"renew lease {self._name}")
        try:
            await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done() and not work.done():
                self._lose()
                await _end(work)
                message = f"{self.identity} lost lease {self._namespace}/{self._name}: {self._why_lost()}"
                raise LeaseLostError(message) from renewing.exception()
            await work
        finally:
            await _end(work)
            await _end(renewing)
            await self._release()

    async def _acquire(self) -> None:
        while not await self._attempt():
            await sleep(self._clock, self._pause_seconds())

    def _pause_seconds(self) -> float:
        if not self._observed:
            return RETRY_SECONDS
        remaining_seconds = self._observed.expires_at() - self._clock.monotonic()
        return min(RETRY_SECONDS, remaining_seconds) if remaining_seconds > 0 else RETRY_SECONDS

    async def _renew_while_possible(self) -> None:
        while self.is_leader:
            await sleep(self._clock, RETRY_SECONDS)
            if not await self._attempt() and self.leader != self.identity:
                return

    async def _attempt(self) -> bool:
        limit_seconds = ATTEMPT_SECONDS
        if self._renewed_at is not None:
            left_seconds = self._renewed_at + RENEW_DEADLINE_SECONDS - self._clock.monotonic()
            limit_seconds = min(limit_seconds, left_seconds)
        try:
            return await within(self._clock, limit_seconds, self._read_and_claim())
        except TimeoutError:
            _log.warning("lease %s/%s: no answer in time", self._namespace, self._name)
        except ApiError as error:
            _log.warning("lease %s/%s: %s", self._namespace, self._name, error)
        return False

    async def _read_and_claim(self) -> bool:
        await self._read()
        now = self._clock.monotonic()
        step = decide(self._observed, self.identity, now)
        if step is Step.WAIT or (self._renewed_at is not None and step is not Step.RENEW):
            return False
        try:
            raw = await self._claim(step)
        except (AlreadyExists, Conflict):
            return False
        self._observed = Observation(LeaseRecord.parse(raw), now)
        self._renewed_at = now
        return True

    async def _read(self) -> None:
        try:
            raw = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            self._observed = None
        else:
            self._observed = observe(self._observed, LeaseRecord.parse(raw), self._clock.monotonic())

    async def _claim(self, step: Step) -> JsonObject:
        now = micro_time()
        spec: JsonObject = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
        }
        if self._observed is None:
            spec |= {"acquireTime": now, "leaseTransitions": 0}
            metadata: JsonObject = {"name": self._name, "namespace": self._namespace}
            return await self._client.create(
                LEASES,
                {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec},
            )
        if step is Step.TAKE:
            spec |= {"acquireTime": now, "leaseTransitions": self._observed.record.transitions + 1}
        return await self._patch(self._observed.record, spec)

    async def _patch(self, record: LeaseRecord, spec: dict[str, JsonValue]) -> JsonObject:
        patch: JsonObject = {"metadata": {"resourceVersion": record.resource_version}, "spec": spec}
        return await self._client.merge_patch(LEASES, self._name, patch, namespace=self._namespace)

    def _lose(self) -> None:
        self._renewed_at = None
        if self._on_lost:
            self._on_lost()

    def _why_lost(self) -> str:
        if self.leader == self.identity:
            return (
                f"it could not be renewed for {RENEW_DEADLINE_SECONDS:.0f} s, since the API server did not answer in time, or this"
                " process had no processor time"
            )
        return f"its holder is {self.leader}" if self.leader else "somebody took it away, and nobody holds it"

    async def _release(self) -> None:
        if self._renewed_at is None or self._observed is None:
            return
        record = self._observed.record
        self._renewed_at = None
        spec: JsonObject = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time()}
        try:
            await within(self._clock, RELEASE_SECONDS, self._patch(record, spec))
        except (ApiError, TimeoutError) as error:
            _log.info("lease %s/%s runs out by itself: %s", self._namespace, self._name, error)


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
