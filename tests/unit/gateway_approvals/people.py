"""ApprovalRequests in memory, as the API server keeps them; the people who decide, and the operator that counts them."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.facts import PodFacts, PodOwner, parse_approval_request
from aos.gateway.registry import Listener
from aos.kube.errors import AlreadyExists, ApiError, Conflict, NotFound, Target
from aos.kube.objects import child, key_of, resource_version_of
from aos.kube.resources import Resource
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType, Verdict
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.task import Task
from aos.policy.effective import EffectivePolicy
from aos.policy.quorums import counts_for, tally

WAIT_SECONDS = 20
GUARDED: JsonObject = {
    "type": "EnforcementActive",
    "status": "True",
    "reason": "Guarded",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}
LAPSED: JsonObject = {**GUARDED, "status": "False", "reason": "PolicyMissing"}


@dataclass
class People:
    """The API server's ApprovalRequests, and what the gateway's registry knows of them and of its caller.

    Attributes:
        caller: whose policy, Task and pod are as they were when it called; None for nobody's.
        lags: whether the registry hears of nothing new.
        failure: what every request to the API server ends with.
        hangs: whether the API server answers nothing.
    """

    caller: Caller | None = None
    lags: bool = False
    failure: ApiError | None = None
    hangs: bool = False
    closed: bool = False
    objects: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    applied: list[JsonObject] = field(default_factory=list)
    reads: int = 0
    _seen: dict[ObjectKey, ApprovalRequest] = field(default_factory=dict)
    _listeners: list[Listener] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    # What the gateway's client does.

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        self.reads += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        found = self.objects.get(ObjectKey(namespace=namespace, name=name))
        if found is None:
            raise NotFound(Target("get", resource.plural, name), 404, "NotFound", "it is not there")
        return found

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        if self.failure is not None:
            raise self.failure
        key = key_of(manifest)
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if key in self.objects:
            raise AlreadyExists(
                Target("create", resource.plural, str(key)), 409, "AlreadyExists", "it is there"
            )
        made: JsonObject = {
            **manifest,
            "metadata": {
                **child(manifest, "metadata"),
                "uid": f"uid-{next(self._numbers)}",
                "creationTimestamp": datetime.now(UTC).isoformat(timespec="seconds"),
                "generation": 1,
            },
        }
        ApprovalRequest.parse(made)
        return self.put(made)

    async def delete(self, resource: Resource, name: str, *, namespace: str = "") -> None:
        if self.failure is not None:
            raise self.failure
        key = ObjectKey(namespace=namespace, name=name)
        if key not in self.objects:
            raise NotFound(Target("delete", resource.plural, name), 404, "NotFound", "it is not there")
        self.remove(key)

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str, force: bool = True
    ) -> JsonObject:
        assert force
        assert field_manager == "aos-gateway"
        there = await self.get(resource, key_of(manifest).name, key_of(manifest).namespace)
        if resource_version_of(manifest) not in ("", resource_version_of(there)):
            raise Conflict(Target("patch", resource.plural), 409, "Conflict", "it has changed")
        self.applied.append(manifest)
        return self.put({**there, "status": {**child(there, "status"), **child(manifest, "status")}})

    # What the registry knows.

    def approval(self, namespace: str, name: str) -> ApprovalRequest | None:
        return self._seen.get(ObjectKey(namespace=namespace, name=name))

    def approvals(self) -> Collection[ApprovalRequest]:
        return list(self._seen.values())

    def pending_approvals(self, namespace: str, agent: str, kind: RequestType) -> Collection[str]:
        return [
            request.metadata.name
            for key, request in self._seen.items()
            if (key.namespace, request.spec.asked_call.agent.name, request.spec.type)
            == (namespace, agent, kind)
            and request.status.state is RequestState.PENDING
        ]

    def on_approval_change(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        policies = (self.caller.policy, *self.caller.ancestors) if self.caller else ()
        return next((item for item in policies if item.agent.metadata.key == _key(namespace, agent)), None)

    def task(self, namespace: str, name: str) -> Task | None:
        task = self.caller.task if self.caller else None
        if task is None or task.metadata.key != _key(namespace, name):
            return None
        metadata = task.metadata.model_copy(update={"creation_timestamp": datetime.now(UTC)})
        return task.model_copy(update={"metadata": metadata})

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        caller = self.caller
        if caller is None or (caller.namespace, caller.pod_name) != (namespace, name):
            return None
        task = caller.task.metadata
        return PodFacts(
            caller.pod_uid,
            caller.agent,
            task.name,
            PodOwner.TASK,
            task.uid,
            task.uid,
            "",
            frozenset(),
            host_network=False,
            phase="Running",
            is_deleted=False,
        )

    def is_closed(self, uid: str) -> bool:
        del uid
        return self.closed

    # What happens in the cluster.

    def put(self, raw: JsonObject) -> JsonObject:
        """Keep an object in a new version, and tell the registry of it."""
        metadata: JsonObject = {**child(raw, "metadata"), "resourceVersion": str(next(self._numbers))}
        made: JsonObject = {**raw, "metadata": metadata}
        self.objects[key_of(made)] = made
        if not self.lags:
            self.tell(key_of(made))
        return made

    def remove(self, key: ObjectKey) -> None:
        """Delete an object."""
        del self.objects[key]
        self.tell(key)

    def tell(self, key: ObjectKey) -> None:
        """Let the registry hear how an object is now."""
        raw = self.objects.get(key)
        if raw is None:
            self._seen.pop(key, None)
        else:
            self._seen[key] = parse_approval_request(raw)
        for listener in self._listeners:
            listener(key)

    def only(self) -> JsonObject:
        """Return the one request that there is."""
        (found,) = self.objects.values()
        return found

    async def asked(self, number: int = 1) -> list[ApprovalRequest]:
        """Wait until people are asked so often; return what about."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.objects) < number:  # noqa: ASYNC110 - the API server tells nobody here
                await asyncio.sleep(0.001)
        return [ApprovalRequest.parse(raw) for raw in self.objects.values()]

    def decide(
        self,
        name: str,
        *approvers: str,
        verdict: Verdict = Verdict.APPROVE,
        comment: str = "",
        groups: tuple[str, ...] = (),
        at: datetime | None = None,
    ) -> None:
        """Let people decide, and the operator count it."""
        key = next(key for key in self.objects if key.name == name)
        raw = self.objects[key]
        spec = child(raw, "spec")
        there = spec.get("decisions", [])
        assert isinstance(there, list)
        said: list[JsonValue] = [
            {"approver": approver, "verdict": verdict.value, "comment": comment, "groups": list(groups)}
            for approver in approvers
        ]
        self.count({**raw, "spec": {**spec, "decisions": [*there, *said]}}, at or datetime.now(UTC))

    def count(self, raw: JsonObject, at: datetime) -> None:
        """Be the operator: stamp and count all decisions, and say what comes of them."""
        request = ApprovalRequest.parse(raw)
        counted: list[JsonValue] = [
            {
                "approver": decision.approver,
                "verdict": decision.verdict.value,
                "time": at.isoformat(),
                "rules": list(counts_for(request.spec, decision, at)),
            }
            for decision in request.spec.decisions
        ]
        status: JsonObject = {**child(raw, "status"), "counted": counted, "conditions": [GUARDED]}
        found = tally(request.spec, ApprovalRequest.parse({**raw, "status": status}).status.counted)
        status["have"] = found.have
        if found.rejected_by:
            status["state"] = RequestState.REJECTED.value
        elif found.reached:
            status["state"] = RequestState.APPROVED.value
        self.put({**raw, "status": status})

    def status(self, name: str, **status: JsonValue) -> None:
        """Set parts of a request's status."""
        key = next(key for key in self.objects if key.name == name)
        raw = self.objects[key]
        self.put({**raw, "status": {**child(raw, "status"), **status}})

    def spec(self, name: str, **spec: JsonValue) -> None:
        """Set parts of a request's spec, which the API server would forbid."""
        key = next(key for key in self.objects if key.name == name)
        raw = self.objects[key]
        self.put({**raw, "spec": {**child(raw, "spec"), **spec}})

    async def marked(self, name: str, mark: str) -> JsonObject:
        """Wait until the gateway has said which call used, or overtook, a request."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                raw = next(raw for key, raw in self.objects.items() if key.name == name)
                if found := child(child(raw, "status"), mark):
                    return found
                await asyncio.sleep(0.001)


def _key(namespace: str, name: str) -> ObjectKey:
    return ObjectKey(namespace=namespace, name=name)
