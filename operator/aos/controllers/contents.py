"""What caches do not hold, read from the API server when it is asked for: content of revisions, and large outputs.

Neither ever changes, so that what was read last is kept, within bounds.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

import orjson
from pydantic import ValidationError

from aos.kube.client import ApiClient
from aos.kube.errors import NotFound
from aos.kube.objects import child, text, uid_of
from aos.kube.resources import CONTROLLER_REVISIONS, TASKS, WORKFLOW_RUNS
from aos.model.agent import AgentSpec
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.names import agent_revision, workflow_revision
from aos.model.workflow import WorkflowSpec
from aos.reconcile.revision import PinnedRevision
from aos.workflow.observed import Attempt

KEPT_REVISIONS: Final = 256
KEPT_OUTPUT_BYTES: Final = 16 * 1024 * 1024

T = TypeVar("T")


class Contents:
    """Reads, and remembers what was read last."""

    def __init__(self, client: ApiClient) -> None:
        """Remember nothing yet; ``client`` is where it is read from."""
        self._client = client
        self._workflows: _Last[tuple[str, str, str], WorkflowSpec] = _Last(KEPT_REVISIONS)
        self._agents: _Last[tuple[str, str, str], PinnedRevision] = _Last(KEPT_REVISIONS)
        self._outputs: _Last[str, bytes] = _Last(KEPT_OUTPUT_BYTES)

    async def workflow(self, namespace: str, workflow: str, revision: str) -> WorkflowSpec | None:
        """Return what a Workflow was at a revision; None if that is gone or is not what its name says.

        Raises:
            ApiError: the API server could not be reached.
        """
        key = (namespace, workflow, revision)
        known = self._workflows.get(key)
        if known is not None:
            return known
        data = await self._data(namespace, revision)
        if data is None or workflow_revision(workflow, json_digest(data)) != revision:
            return None
        try:
            spec = WorkflowSpec.model_validate(child(data, "spec"))
        except ValidationError:
            return None
        self._workflows.put(key, spec, 1)
        return spec

    async def agent(self, namespace: str, agent: str, revision: str) -> PinnedRevision | None:
        """Return what an Agent was at a revision; None if that is gone or is not what its name says.

        Raises:
            ApiError: the API server could not be reached.
        """
        key = (namespace, agent, revision)
        known = self._agents.get(key)
        if known is not None:
            return known
        data = await self._data(namespace, revision)
        if data is None or agent_revision(agent, json_digest(data)) != revision:
            return None
        try:
            spec = AgentSpec.model_validate(child(data, "spec"))
        except ValidationError:
            return None
        found = PinnedRevision(revision, spec, text(data, "instructions"), text(data, "image"))
        self._agents.put(key, found, 1)
        return found

    async def output(self, namespace: str, attempt: Attempt, *, is_run: bool) -> JsonObject | None:
        """Return what a Task or run gave; None if it is gone or gave nothing.

        Raises:
            ApiError: the API server could not be reached.
        """
        known = self._outputs.get(attempt.uid)
        if known is not None:
            kept: JsonObject = orjson.loads(known)
            return kept
        resource = WORKFLOW_RUNS if is_run else TASKS
        try:
            raw = await self._client.get(resource, attempt.name, namespace)
        except NotFound:
            return None
        status = child(raw, "status")
        output = status.get("output") if is_run else child(status, "result").get("output")
        if uid_of(raw) != attempt.uid or not isinstance(output, dict):
            return None
        content = orjson.dumps(output)
        self._outputs.put(attempt.uid, content, len(content))
        return output

    async def _data(self, namespace: str, revision: str) -> JsonObject | None:
        try:
            raw = await self._client.get(CONTROLLER_REVISIONS, revision, namespace)
        except NotFound:
            return None
        return child(raw, "data")


K = TypeVar("K")


class _Last(Generic[K, T]):
    """What was used last, of so much weight in all."""

    def __init__(self, weight: int) -> None:
        self._most = weight
        self._weight = 0
        self._items: OrderedDict[K, tuple[T, int]] = OrderedDict()

    def get(self, key: K) -> T | None:
        found = self._items.get(key)
        if found is None:
            return None
        self._items.move_to_end(key)
        return found[0]

    def put(self, key: K, item: T, weight: int) -> None:
        _, before = self._items.pop(key, (None, 0))
        self._items[key] = (item, weight)
        self._weight += weight - before
        while self._weight > self._most and len(self._items) > 1:
            _, (_, gone) = self._items.popitem(last=False)
            self._weight -= gone
