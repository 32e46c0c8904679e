"""Who calls: token, pod, address, service account, Task and Agent must agree, on every request."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from aos.gateway.caller import Caller
from aos.gateway.facts import PodFacts
from aos.gateway.http import HttpRequest
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Revision
from aos.gateway.settings import GatewaySettings
from aos.gateway.tokens import Claims, TokenVerifier
from aos.model.names import agent_service_account
from aos.model.task import Ancestor, Task
from aos.policy.decision import DecisionReason
from aos.policy.effective import EffectivePolicy

_SCHEME: Final = b"bearer "
_SERVICE_ACCOUNT_PREFIX: Final = agent_service_account("")
_ENDED_PHASES: Final = ("Succeeded", "Failed")
_MAPPED: Final = "::ffff:"


class Cluster(Protocol):
    """What is asked of the registry; `aos.gateway.cluster_registry.ClusterRegistry` has it."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do, or None."""

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""

    def revision(self, namespace: str, name: str) -> Revision | None:
        """Return the revision, or None."""

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """Return the agent pod, or None."""

    def has_ended(self, pod_uid: str) -> bool:
        """Whether this pod was there and is gone, as far as that is remembered."""

    def service_account_uid(self, namespace: str, name: str) -> str | None:
        """Return the uid of the ServiceAccount that AOS manages; None if there is none."""

    def is_closed(self, uid: str) -> bool:
        """Whether this gateway took a result for the Task with ``uid``."""

    def staleness_seconds(self) -> float:
        """Return the age of the oldest knowledge that decisions rest on."""

    def stalest(self) -> str:
        """Return the plural of the kind that was not heard of for the longest time."""


@dataclass(frozen=True, slots=True)
class AncestorFacts:
    """What there is of a Task that the caller's was handed over from, and of the agent that worked on it."""

    said: Ancestor
    task: Task | None
    policy: EffectivePolicy | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a caller is judged by, but for its address."""

    claims: Claims
    service_account_uid: str | None
    pod: PodFacts | None
    pod_has_ended: bool
    task: Task | None
    policy: EffectivePolicy | None
    ancestors: tuple[AncestorFacts, ...] = ()
    revision: Revision | None = None

    @property
    def agent(self) -> str:
        """Name of the agent that the service account stands for; empty if it is not an agent's."""
        return agent_of(self.claims.service_account)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A caller that was judged, with the very objects that it was judged by."""

    facts: Facts
    caller: Caller
    is_open: bool
    deadline: float


class Identity:
    """Tells callers. Only the token's verdict is remembered; everything else is looked up on each request."""

    def __init__(
        self,
        verifier: TokenVerifier,
        cluster: Cluster,
        settings: GatewaySettings,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier = verifier
        self._cluster = cluster
        self._max_staleness_seconds = settings.max_staleness_seconds
        self._max_resolved = settings.max_cached_tokens
        self._now = now
        self._monotonic = monotonic
        self._fresh_until = float("-inf")
        self._resolved: OrderedDict[str, _Resolved] = OrderedDict()

    async def authenticate(self, request: HttpRequest, *, must_be_open: bool = True) -> Caller:
        """Return who sent the request.

        Args:
            request: as it came.
            must_be_open: refuse callers whose Task has ended, or one that it was handed over from.

        Raises:
            Refusal: the caller can't be told, or may not call.
        """
        self.check_fresh()
        claims = await self._verifier.verify(bearer_token(request))
        resolved = self._resolve(claims)
        _check_address(request.client_address, resolved.facts.pod)
        if must_be_open:
            self._check_open(resolved)
        return resolved.caller

    def forget(self, pod_uid: str) -> None:
        """Drop what was kept of a pod that is gone, and with it the last hold on its Task."""
        self._resolved.pop(pod_uid, None)

    def check_fresh(self) -> None:
        """Check that what decisions rest on is not too old.

        Raises:
            Refusal: it is (503 ``Stale``).
        """
        now = self._monotonic()
        if now <= self._fresh_until:
            return
        staleness_seconds = self._cluster.staleness_seconds()
        if staleness_seconds > self._max_staleness_seconds:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefusalCode.STALE,
                f"the gateway has not heard of the cluster's {self._cluster.stalest()} for longer than"
                f" {self._max_staleness_seconds:g} s, and denies until it has",
                retry_after_seconds=5,
            )
        # Contact is only ever renewed, so nothing can be too old before this moment.
        self._fresh_until = now + self._max_staleness_seconds - staleness_seconds

    def _check_open(self, resolved: _Resolved) -> None:
        task = resolved.caller.task
        if not resolved.is_open or self._cluster.is_closed(task.metadata.uid):
            raise _ended(task, "has ended")
        if self._now() > resolved.deadline:
            raise _ended(task, "is past its deadline")
        for ancestor in resolved.facts.ancestors:
            if (
                ancestor.task is None
                or not ancestor.task.open
                or self._cluster.is_closed(ancestor.said.task_uid)
            ):
                raise _ended(
                    task, f"was handed over from Task {ancestor.said.task}, which has ended, and ends with it"
                )
            if ancestor.policy is not None and ancestor.policy.agent.spec.suspend:
                raise _denied(
                    DecisionReason.AGENT_SUSPENDED,
                    f"Task {task.metadata.name} was handed over from agent {ancestor.said.agent}, which is suspended",
                )

    def _resolve(self, claims: Claims) -> _Resolved:
        known = self._resolved.get(claims.pod_uid)
        if known is not None and self._still_holds(known.facts, claims):
            return known
        facts = self._gather(claims)
        caller = judge(facts)
        resolved = _Resolved(facts, caller, caller.task.open, deadline_of(caller.task))
        self._resolved[claims.pod_uid] = resolved
        self._resolved.move_to_end(claims.pod_uid)
        if len(self._resolved) > self._max_resolved:
            self._resolved.popitem(last=False)
        return resolved

    def _still_holds(self, facts: Facts, claims: Claims) -> bool:
        """Whether every object by which a caller was let in is the very one that is there now."""
        cluster, namespace, pod = self._cluster, claims.namespace, facts.pod
        return (
            (claims is facts.claims or claims == facts.claims)
            and pod is not None
            and cluster.pod(namespace, claims.pod) is pod
            and cluster.task(namespace, pod.task) is facts.task
            and cluster.policy(namespace, facts.agent) is facts.policy
            and (facts.revision is not None or self._revision(facts.task) is None)
            and cluster.service_account_uid(namespace, claims.service_account) == facts.service_account_uid
            and all(
                cluster.task(namespace, ancestor.said.task) is ancestor.task
                and cluster.policy(namespace, ancestor.said.agent) is ancestor.policy
                for ancestor in facts.ancestors
            )
        )

    def _gather(self, claims: Claims) -> Facts:
        namespace = claims.namespace
        pod = self._cluster.pod(namespace, claims.pod)
        task = self._cluster.task(namespace, pod.task) if pod else None
        return Facts(
            claims=claims,
            service_account_uid=self._cluster.service_account_uid(namespace, claims.service_account),
            pod=pod,
            pod_has_ended=pod is None and self._cluster.has_ended(claims.pod_uid),
            task=task,
            policy=self._cluster.policy(namespace, agent_of(claims.service_account)),
            ancestors=tuple(self._ancestor(namespace, said) for said in task.spec.lineage) if task else (),
            revision=self._revision(task),
        )

    def _revision(self, task: Task | None) -> Revision | None:
        """Return what the Task's pod runs; a revision never changes, so only one that was not there is looked for again."""
        return self._cluster.revision(task.metadata.namespace, task.status.revision) if task else None

    def _ancestor(self, namespace: str, said: Ancestor) -> AncestorFacts:
        return AncestorFacts(
            said, self._cluster.task(namespace, said.task), self._cluster.policy(namespace, said.agent)
        )


def bearer_token(request: HttpRequest) -> bytes:
    """Return the token that the request carries.

    Raises:
        Refusal: it carries none (401).
    """
    said = request.header(b"authorization")
    token = said[len(_SCHEME) :].strip()
    if said[: len(_SCHEME)].lower() != _SCHEME or not token:
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            RefusalCode.NO_TOKEN,
            "send the pod's projected token as Authorization: Bearer TOKEN",
        )
    return token


def agent_of(service_account: str) -> str:
    """Return the agent that a service account stands for; empty if it is not an agent's."""
    if not service_account.startswith(_SERVICE_ACCOUNT_PREFIX):
        return ""
    return service_account[len(_SERVICE_ACCOUNT_PREFIX) :]


def judge(facts: Facts) -> Caller:
    """Return the caller that the facts make out.

    Raises:
        Refusal: they do not agree.
    """
    _check_service_account(facts)
    pod = _checked_pod(facts)
    task = _checked_task(facts, pod)
    if facts.policy is None:
        raise _denied(
            RefusalCode.AGENT_UNKNOWN, f"there is no readable Agent {facts.claims.namespace}/{facts.agent}"
        )
    return Caller(
        namespace=facts.claims.namespace,
        agent=facts.agent,
        task=task,
        pod_name=facts.claims.pod,
        pod_uid=facts.claims.pod_uid,
        revision=task.status.revision,
        policy=facts.policy,
        ancestors=_checked_ancestors(facts, task),
        running=facts.revision,
    )


def deadline_of(task: Task) -> float:
    """Return when the Task's time is up, in seconds of the epoch; it moves while people decide on its calls."""
    due_at = task.due_at
    return due_at.timestamp() if due_at is not None else 0.0


def _check_service_account(facts: Facts) -> None:
    claims = facts.claims
    if not facts.agent:
        raise _denied(
            RefusalCode.NOT_AN_AGENT,
            f"service account {claims.service_account} is not an agent's ({_SERVICE_ACCOUNT_PREFIX}NAME)",
        )
    if facts.service_account_uid != claims.service_account_uid:
        raise _denied(
            RefusalCode.SERVICE_ACCOUNT_UNKNOWN,
            f"service account {claims.service_account} is not there, is not the operator's,"
            " or was made anew since the token was issued",
        )
    if not claims.pod_uid:
        raise _denied(RefusalCode.POD_UNKNOWN, "the token is not bound to a pod")


def _checked_pod(facts: Facts) -> PodFacts:
    claims, pod = facts.claims, facts.pod
    if pod is None and not facts.pod_has_ended:
        raise _not_recorded(f"pod {claims.pod} is not known yet")
    if pod is None or pod.uid != claims.pod_uid or pod.is_deleted or pod.phase in _ENDED_PHASES:
        raise _denied(RefusalCode.POD_ENDED, f"pod {claims.pod} has ended or is being deleted")
    if pod.agent != facts.agent or pod.service_account != claims.service_account or pod.host_network:
        raise _denied(
            RefusalCode.POD_UNKNOWN,
            f"pod {claims.pod} is not one that the operator makes for agent {facts.agent}",
        )
    if not pod.addresses:
        raise _not_recorded(f"the address of pod {claims.pod} is not known yet")
    return pod


def _checked_task(facts: Facts, pod: PodFacts) -> Task:
    task = facts.task
    if task is None or not pod.task_uid or task.metadata.uid != pod.task_uid:
        raise _denied(
            RefusalCode.TASK_UNKNOWN, f"the Task of pod {facts.claims.pod} is not there, or was deleted"
        )
    if task.spec.agent_ref.name != facts.agent:
        raise _denied(RefusalCode.TASK_UNKNOWN, f"Task {task.metadata.name} is for another agent")
    recorded = task.status.pod
    if recorded is None:
        raise _not_recorded(f"Task {task.metadata.name} does not name its pod yet")
    if recorded.uid != pod.uid:
        raise _denied(RefusalCode.POD_UNKNOWN, f"Task {task.metadata.name} is worked on by another pod")
    return task


def _checked_ancestors(facts: Facts, task: Task) -> tuple[EffectivePolicy, ...]:
    policies: list[EffectivePolicy] = []
    for number, ancestor in enumerate(facts.ancestors):
        said, there = ancestor.said, ancestor.task
        if there is not None and there.metadata.uid != said.task_uid:
            raise _ended(task, f"was handed over from Task {said.task}, which is gone, and ends with it")
        if there is not None and (
            there.spec.agent_ref.name != said.agent or there.spec.lineage != task.spec.lineage[:number]
        ):
            # The admission policy lets the gateway alone write a lineage; what it wrote agrees with itself.
            raise _denied(
                RefusalCode.TASK_UNKNOWN,
                f"the lineage of Task {task.metadata.name} is not that of Task {said.task}, which it names",
            )
        if ancestor.policy is None:
            raise _denied(
                RefusalCode.AGENT_UNKNOWN,
                f"there is no readable Agent {facts.claims.namespace}/{said.agent}, from which Task"
                f" {task.metadata.name} was handed over",
            )
        policies.append(ancestor.policy)
    return tuple(policies)


def _check_address(address: str, pod: PodFacts | None) -> None:
    if pod is None or address.removeprefix(_MAPPED) not in pod.addresses:
        raise _denied(RefusalCode.ADDRESS_MISMATCH, "the token was sent from another address than its pod's")


def _ended(task: Task, how: str) -> Refusal:
    return _denied(
        RefusalCode.TASK_ENDED, f"Task {task.metadata.name} {how}; nothing more can be done for it"
    )


def _denied(code: RefusalCode | DecisionReason, message: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, code, message)


def _not_recorded(why: str) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        RefusalCode.POD_NOT_RECORDED,
        f"{why}; try again",
        retry_after_seconds=1,
    )
