"""People who decide held calls, and an operator that counts what they say, before a real API server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import orjson
from pydantic import JsonValue

from aos.kube.client import ApiClient, Selection
from aos.kube.errors import ApiError, Conflict
from aos.kube.informer import Informer
from aos.kube.resources import APPROVAL_REQUESTS
from aos.model.approval_request import ApprovalRequest, RequestState, Verdict
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import FIELD_MANAGER_OPERATOR
from aos.policy.quorums import counts_for, tally

APPROVER = "lena@example.com"
TRIES = 20


class Choice(Protocol):
    """What a person makes of a request."""

    async def __call__(self, contact: str) -> Verdict | None:
        """Return what is said about the call on this contact, after however long; None for nothing."""


@dataclass
class People:
    """Follow every request, and decide it as ``choice`` says.

    Attributes:
        seen: requests by the contact that they are about, as they are now.
        said_at: when a decision was written, by contact.
        asked: told the contact of each new request.
    """

    client: ApiClient
    namespace: str
    choice: Choice
    asked: Callable[[str], None] = lambda _: None
    seen: dict[str, ApprovalRequest] = field(default_factory=dict)
    said_at: dict[str, float] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def added(self, key: ObjectKey, new: ApprovalRequest) -> None:
        """Take a request in."""
        contact = contact_of(new)
        self.seen[contact] = new
        self.asked(contact)
        task = asyncio.get_running_loop().create_task(self._decide(key, contact))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def updated(self, key: ObjectKey, old: ApprovalRequest, new: ApprovalRequest) -> None:
        """Take a request's change in."""
        del key, old
        self.seen[contact_of(new)] = new

    def deleted(self, key: ObjectKey, old: ApprovalRequest) -> None:
        """Forget a request."""
        del key
        self.seen.pop(contact_of(old), None)

    async def _decide(self, key: ObjectKey, contact: str) -> None:
        verdict = await self.choice(contact)
        if verdict is None:
            return
        for _ in range(TRIES):
            with contextlib.suppress(Conflict):
                await self._say(key, contact, verdict)
                return
        raise RuntimeError(f"{key} can't be decided")

    async def _say(self, key: ObjectKey, contact: str, verdict: Verdict) -> None:
        decision: JsonObject = {"approver": APPROVER, "verdict": verdict.value}
        raw = await self.client.merge_patch(
            APPROVAL_REQUESTS, key.name, {"spec": {"decisions": [decision]}}, namespace=key.namespace
        )
        self.said_at[contact] = time.monotonic()
        await count(self.client, ApprovalRequest.parse(raw))


async def count(client: ApiClient, request: ApprovalRequest) -> None:
    """Say what the decisions of a request come to, as the operator does."""
    now = datetime.now(UTC)
    counted: list[JsonValue] = [
        {
            "approver": decision.approver,
            "verdict": decision.verdict.value,
            "time": now.isoformat(),
            "rules": list(counts_for(request.spec, decision, now)),
        }
        for decision in request.spec.decisions
    ]
    status: JsonObject = {"counted": counted}
    standing = ApprovalRequest.parse(
        {**request.model_dump(mode="json", by_alias=True, exclude={"status"}), "status": status}
    ).status.counted
    found = tally(request.spec, standing)
    state = (
        RequestState.REJECTED
        if found.rejected_by
        else RequestState.APPROVED
        if found.reached
        else RequestState.PENDING
    )
    guarded: JsonObject = {
        "type": "EnforcementActive",
        "status": "True",
        "reason": "Guarded",
        "lastTransitionTime": now.isoformat(timespec="seconds"),
    }
    await client.apply_status(
        APPROVAL_REQUESTS,
        {
            "apiVersion": APPROVAL_REQUESTS.api_version,
            "kind": APPROVAL_REQUESTS.kind,
            "metadata": {"name": request.metadata.name, "namespace": request.metadata.namespace},
            "status": {
                **status,
                "state": state.value,
                "need": found.need,
                "have": found.have,
                "conditions": [guarded],
            },
        },
        field_manager=FIELD_MANAGER_OPERATOR,
    )


def contact_of(request: ApprovalRequest) -> str:
    """Return the contact that the held call is about."""
    return str(orjson.loads(request.spec.arguments)["id"])


@contextlib.asynccontextmanager
async def deciding(
    client: ApiClient, namespace: str, choice: Choice, asked: Callable[[str], None] = lambda _: None
) -> AsyncIterator[People]:
    """Let people decide until the end."""
    people = People(client, namespace, choice, asked)
    informer = Informer(
        client, APPROVAL_REQUESTS, ApprovalRequest.parse, selection=Selection(namespace=namespace)
    )
    informer.add_handler(people)
    running = asyncio.create_task(informer.run())
    await informer.synced.wait()
    try:
        yield people
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, ApiError):
            await running
