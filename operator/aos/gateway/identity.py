"""Who calls: token, pod, address, service account, Task and Agent must agree, on every request."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from aos.gateway.caller import Caller
from aos.gateway.facts import PodFacts, PodOwner
from aos.gateway.http import HttpRequest
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Revision
from aos.gateway.settings import GatewaySettings
from aos.gateway.tokens import Claims, TokenVerifier
from aos.model.names import TASK_HEADER, agent_service_account
from aos.model.task import Ancestor, Task
from aos.policy.decision import DecisionReason
from aos.policy.effective import EffectivePolicy

_SCHEME: Final = b"bearer "
_SERVICE_ACCOUNT_PREFIX: Final = agent_service_account("")
_ENDED_PHASES: Final = ("Succeeded", "Failed")
_MAPPED: Final = "::ffff:"
_TASK_HEADER: Final = TASK_HEADER.lower().encode()


class Cluster(Protocol):
    """What is asked of the registry; `aos.gateway.cluster_registry.ClusterRegistry` has it."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do, or None."""

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""

    def tasks_of_pod(self, pod_uid: str) -> tuple[Task, ...]:
        """Return the Tasks that name this pod, those that have ended too; the same tuple until one of them changes."""

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
    """All that a caller is judged by, but for its address.

    Attributes:
        task: the Task that it is taken to work on: an open one that names the pod, else one that named it, else the one
            that the pod was made for.
        named_by: every Task that names the pod, those that have ended too.
    """

    claims: Claims
    service_account_uid: str | None
    pod: PodFacts | None
    pod_has_ended: bool
    task: Task | None
    policy: EffectivePolicy | None
    ancestors: tuple[AncestorFacts, ...] = ()
    revision: Revision | None = None
    named_by: tuple[Task, ...] = ()

    @property
    def agent(self) -> str:
        """Name of the agent that the service account stands for; empty if it is not an agent's."""
        return agent_of(self.claims.service_account)


class Unassigned(Refusal):
    """What a pod is told that may call once a Task names it, or another one.

    Attributes:
        namespace: of the agent and its pod.
        agent: its name.
        pod: the pod.
    """

    def __init__(self, refusal: Refusal, namespace: str, agent: str, pod: PodFacts) -> None:
        super().__init__(
            refusal.status, refusal.code, refusal.message, retry_after_seconds=refusal.retry_after_seconds
        )
        self.namespace = namespace
        self.agent = agent
        self.pod = pod


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
            Unassigned: no Task names its pod yet, or the pod of a Service has ended its Task.
            Refusal: the caller can't be told, or may not call.
        """
        self.check_fresh()
        claims = await self._verifier.verify(bearer_token(request))
        try:
            resolved = self._resolve(claims, request.header(_TASK_HEADER).decode("latin-1"))
        except Unassigned as unassigned:
            _check_address(request.client_address, unassigned.pod)
            raise
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
        try:
            self._check_task(resolved)
        except Refusal as refusal:
            caller, pod = resolved.caller, resolved.facts.pod
            if pod is not None and caller.is_service and not pod.is_deleted:
                raise Unassigned(refusal, caller.namespace, caller.agent, pod) from None
            raise

    def _check_task(self, resolved: _Resolved) -> None:
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

    def _resolve(self, claims: Claims, wanted: str) -> _Resolved:
        """Return who calls; ``wanted`` is the uid of the Task that the request says to be for, empty if it says none."""
        known = self._resolved.get(claims.pod_uid)
        if known is None or not self._still_holds(known.facts, claims):
            known = self._remember(claims, self._judged(claims, ""))
        if wanted in ("", known.caller.task.metadata.uid):
            return known
        # Never remembered: it is for a Task that has ended, or for none that names the pod.
        return self._judged(claims, wanted)

    def _judged(self, claims: Claims, wanted: str) -> _Resolved:
        facts = self._gather(claims, wanted)
        caller = judge(facts)
        return _Resolved(facts, caller, caller.task.open, deadline_of(caller.task))

    def _remember(self, claims: Claims, resolved: _Resolved) -> _Resolved:
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
            and bool(facts.named_by)
            and cluster.tasks_of_pod(claims.pod_uid) is facts.named_by
            and cluster.policy(namespace, facts.agent) is facts.policy
            and (facts.revision is not None or self._revision(facts.task) is None)
            and cluster.service_account_uid(namespace, claims.service_account) == facts.service_account_uid
            and all(
                cluster.task(namespace, ancestor.said.task) is ancestor.task
                and cluster.policy(namespace, ancestor.said.agent) is ancestor.policy
                for ancestor in facts.ancestors
            )
        )

    def _gather(self, claims: Claims, wanted: str) -> Facts:
        namespace = claims.namespace
        pod = self._cluster.pod(namespace, claims.pod)
        named_by = self._cluster.tasks_of_pod(claims.pod_uid) if pod else ()
        task = chosen(named_by, wanted)
        if task is None and pod is not None and not wanted:
            task = self._cluster.task(namespace, pod.task)
        return Facts(
            claims=claims,
            service_account_uid=self._cluster.service_account_uid(namespace, claims.service_account),
            pod=pod,
            pod_has_ended=pod is None and self._cluster.has_ended(claims.pod_uid),
            task=task,
            policy=self._cluster.policy(namespace, agent_of(claims.service_account)),
            ancestors=tuple(self._ancestor(namespace, said) for said in task.spec.lineage) if task else (),
            revision=self._revision(task),
            named_by=named_by,
        )

    def _revision(self, task: Task | None) -> Revision | None:
        """Return what the Task's pod runs; a revision never changes, so only one that was not there is looked for again."""
        return self._cluster.revision(task.metadata.namespace, task.status.revision) if task else None

    def _ancestor(self, namespace: str, said: Ancestor) -> AncestorFacts:
        return AncestorFacts(
            said, self._cluster.task(namespace, said.task), self._cluster.policy(namespace, said.agent)
        )


def chosen(named_by: tuple[Task, ...], wanted: str) -> Task | None:
    """Return the Task of a pod that these Tasks name: the one with uid ``wanted``; without that an open one, else the last."""
    if wanted:
        return next((task for task in named_by if task.metadata.uid == wanted), None)
    return next((task for task in named_by if task.open), named_by[-1] if named_by else None)


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
        Unassigned: they do, but for the Task that there is none of yet.
        Refusal: they do not agree.
    """
    _check_service_account(facts)
    pod = _checked_pod(facts)
    if facts.policy is None:
        raise _denied(
            RefusalCode.AGENT_UNKNOWN, f"there is no readable Agent {facts.claims.namespace}/{facts.agent}"
        )
    task = _checked_task(facts, pod, facts.policy.agent.metadata.uid)
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
        is_service=pod.owner is PodOwner.SERVICE,
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
    if pod is None or pod.uid != claims.pod_uid or pod.is_gone or pod.phase in _ENDED_PHASES:
        raise _denied(RefusalCode.POD_ENDED, f"pod {claims.pod} has ended or is being deleted")
    if pod.agent != facts.agent or pod.service_account != claims.service_account or pod.host_network:
        raise _denied(
            RefusalCode.POD_UNKNOWN,
            f"pod {claims.pod} is not one that the operator makes for agent {facts.agent}",
        )
    if not pod.addresses:
        raise _not_recorded(f"the address of pod {claims.pod} is not known yet")
    return pod


def _checked_task(facts: Facts, pod: PodFacts, agent_uid: str) -> Task:
    task, claims = facts.task, facts.claims
    if pod.owner is PodOwner.NOBODY or (pod.owner is PodOwner.AGENT and pod.owner_uid != agent_uid):
        raise _denied(
            RefusalCode.TASK_UNKNOWN, f"pod {claims.pod} belongs to no Task, nor to agent {facts.agent}"
        )
    if task is None and pod.is_deleted:
        raise _denied(RefusalCode.POD_ENDED, f"pod {claims.pod} is being deleted, and no Task names it")
    if task is None and pod.owner is not PodOwner.TASK and not facts.named_by:
        raise _unassigned(facts, pod, f"no Task names pod {claims.pod} yet")
    if task is None or not pod.can_be_of(task.metadata.uid) or task.metadata.namespace != claims.namespace:
        raise _denied(RefusalCode.TASK_UNKNOWN, f"the Task of pod {claims.pod} is not there, or was deleted")
    if task.spec.agent_ref.name != facts.agent:
        raise _denied(RefusalCode.TASK_UNKNOWN, f"Task {task.metadata.name} is for another agent")
    recorded = task.status.pod
    if recorded is None:
        raise _unassigned(facts, pod, f"Task {task.metadata.name} does not name its pod yet")
    if recorded.uid != pod.uid:
        raise _denied(RefusalCode.POD_UNKNOWN, f"Task {task.metadata.name} is worked on by another pod")
    _check_alone(facts, pod)
    return task


def _check_alone(facts: Facts, pod: PodFacts) -> None:
    """Check that no second Task names the pod: one of a Service does one at a time, any other one only."""
    if pod.owner is not PodOwner.SERVICE and len(facts.named_by) > 1:
        raise _denied(
            RefusalCode.POD_UNKNOWN,
            f"pod {facts.claims.pod} did another Task before, and may do no second one",
        )
    if sum(task.open for task in facts.named_by) > 1:
        raise _not_recorded(f"more than one open Task names pod {facts.claims.pod}")


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
        if there is not None and there.spec.run != task.spec.run:
            # The budgets and the writes of a run count by this.
            raise _denied(
                RefusalCode.TASK_UNKNOWN,
                f"Task {task.metadata.name} is not for the step of a run that Task {said.task} is for, which it names",
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


def _unassigned(facts: Facts, pod: PodFacts, why: str) -> Unassigned:
    return Unassigned(_not_recorded(why), facts.claims.namespace, facts.agent, pod)


def _not_recorded(why: str) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        RefusalCode.POD_NOT_RECORDED,
        f"{why}; try again",
        retry_after_seconds=1,
    )
