"""Statuses of Tools and Models as far as they are the gateway's: whether they are available, and their actions."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from pydantic import JsonValue

from aos.gateway.registry import Registry
from aos.kube.client import ApiClient
from aos.kube.difference import keep_transition_times
from aos.kube.errors import NotFound
from aos.kube.lease import LeaderElector, LeaseLostError
from aos.kube.queue import WorkQueue
from aos.kube.resources import MODELS, TOOLS, Resource
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus, ObjectKey
from aos.model.model import Model
from aos.model.names import FIELD_MANAGER_GATEWAY
from aos.model.tool import ObservedAction, Tool

STATUS_LEASE: Final = "aos-gateway-status"
"""The Lease of the replica that speaks for all."""
_WORKERS: Final = 4
_MAX_MESSAGE_LENGTH: Final = 1024
RECHECK_SECONDS: Final = 1.0
"""After a write: what came up meanwhile was compared with what the cache still showed from before it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Availability:
    """What the condition Available of a Tool or Model is to say; it is True for the reason ``Available`` only.

    Attributes:
        reason: one of those that `aos.model.condition_docs.CONDITIONS` lists.
        message: for people.
    """

    reason: Reason
    message: str


class Reporter(Protocol):
    """Takes what is to be said; it is written soon, and only if it is not said already."""

    def report_tool(
        self, key: ObjectKey, availability: Availability, actions: tuple[ObservedAction, ...]
    ) -> None:
        """Say this of the Tool, with one entry for each action that it declares."""

    def report_model(self, key: ObjectKey, availability: Availability) -> None:
        """Say this of the Model."""


@dataclass(frozen=True, slots=True)
class _Statement:
    availability: Availability
    actions: tuple[ObservedAction, ...] | None


_Subject = tuple[Resource, ObjectKey]


class StatusReporter:
    """Writes statuses by server-side apply. Of several gateways one speaks: two that disagree would go on correcting each other."""

    def __init__(
        self,
        client: ApiClient,
        registry: Registry,
        recheck_seconds: float = RECHECK_SECONDS,
        elector: LeaderElector | None = None,
        beside: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        """Make a reporter.

        Args:
            client: where to.
            registry: what statuses are there already.
            recheck_seconds: see `RECHECK_SECONDS`.
            elector: decides which replica speaks; None for a gateway that is alone.
            beside: what else the one replica does that speaks, until it is cancelled.
        """
        self._client = client
        self._elector = elector
        self._beside = beside
        self._recheck_seconds = recheck_seconds
        self._registry = registry
        self._statements: dict[_Subject, _Statement] = {}
        self._queue: WorkQueue[_Subject] | None = None
        registry.on_tool_change(lambda key: self._forget_if_gone((TOOLS, key)))
        registry.on_model_change(lambda key: self._forget_if_gone((MODELS, key)))

    async def run(self) -> None:
        """Write whenever it is this replica's turn, until cancelled."""
        if self._elector is None:
            await self._speak()
            return
        while True:
            try:
                await self._elector.run(self._speak)
            except LeaseLostError as error:
                _log.warning("another replica writes statuses of Tools and Models now: %s", error)

    async def _speak(self) -> None:
        self._queue = queue = WorkQueue(self._write, workers=_WORKERS)
        for subject in self._statements:
            queue.add(subject)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(queue.run(), name="statuses")
                if self._beside is not None:
                    group.create_task(self._beside(), name="beside statuses")
        finally:
            self._queue = None

    @property
    def kept(self) -> int:
        """Of how many Tools and Models something is to be said."""
        return len(self._statements)

    def report_tool(
        self, key: ObjectKey, availability: Availability, actions: tuple[ObservedAction, ...]
    ) -> None:
        """Say this of the Tool."""
        self._say((TOOLS, key), _Statement(availability, actions))

    def report_model(self, key: ObjectKey, availability: Availability) -> None:
        """Say this of the Model."""
        self._say((MODELS, key), _Statement(availability, None))

    def _say(self, subject: _Subject, statement: _Statement) -> None:
        self._statements[subject] = statement
        if self._queue is not None:
            self._queue.add(subject)

    def _forget_if_gone(self, subject: _Subject) -> None:
        if self._find(*subject) is None:
            self._statements.pop(subject, None)

    async def _write(self, subject: _Subject) -> None:
        statement = self._statements.get(subject)
        resource, key = subject
        there = self._find(resource, key)
        if statement is None or there is None:
            self._statements.pop(subject, None)
            return
        manifest = status_manifest(
            resource, there, statement.availability, statement.actions, datetime.now(UTC)
        )
        if manifest is None:
            return
        try:
            await self._client.apply_status(resource, manifest, field_manager=FIELD_MANAGER_GATEWAY)
        except NotFound:
            self._statements.pop(subject, None)
        else:
            if self._queue is not None:
                self._queue.add_after(subject, self._recheck_seconds)

    def _find(self, resource: Resource, key: ObjectKey) -> Tool | Model | None:
        if resource is TOOLS:
            return self._registry.tool(key.namespace, key.name)
        return self._registry.model(key.namespace, key.name)


def status_manifest(
    resource: Resource,
    there: Tool | Model,
    availability: Availability,
    actions: tuple[ObservedAction, ...] | None,
    now: datetime,
) -> JsonObject | None:
    """Return what to apply so that the status of ``there`` says this; None if it already does."""
    condition = Condition(
        type=ConditionType.AVAILABLE,
        status=ConditionStatus.TRUE if availability.reason is Reason.AVAILABLE else ConditionStatus.FALSE,
        reason=availability.reason,
        message=availability.message[:_MAX_MESSAGE_LENGTH],
        observed_generation=there.metadata.generation,
        last_transition_time=now.replace(microsecond=0),
    )
    (condition,) = keep_transition_times(there.status.conditions, (condition,))
    same_actions = actions is None or (isinstance(there, Tool) and there.status.actions == actions)
    if condition in there.status.conditions and same_actions:
        return None
    status: dict[str, JsonValue] = {"conditions": [_encoded(condition)]}
    if actions:
        status["actions"] = [_encoded(action) for action in actions]
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": there.metadata.name,
            "namespace": there.metadata.namespace,
            # The API server ignores a uid here: without the version, an object of the same name that was made since
            # would be told what is true of the old one. A conflict is tried again on what is there by then.
            "resourceVersion": there.metadata.resource_version,
        },
        "status": status,
    }


def _encoded(part: Condition | ObservedAction) -> JsonObject:
    encoded: JsonObject = part.model_dump(mode="json", by_alias=True, exclude_none=True)
    return encoded
