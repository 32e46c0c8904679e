"""What each gateway replica says that it enforces, from the lines that it sends. No I/O."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

import orjson

from aos.audit.signing import HeadError, SignedHead
from aos.controllers.views import Endpoint
from aos.model.conditions import BOUND_REASONS
from aos.reconcile.agent import GatewayReport
from aos.reconcile.bounds import ExceededBound
from aos.reconcile.workflow import WebhookReport

SILENCE_SECONDS: Final = 15.0
"""A replica that was not heard of for so long counts as not enforcing."""
MAX_LINE_BYTES: Final = 16_384

Value = TypeVar("Value")
AgentChanged = Callable[[str, str], None]


class BadLineError(ValueError):
    """A replica sent what is no line of a report."""


@dataclass(slots=True)
class Replica:
    """One replica.

    Attributes:
        endpoint: where it is.
        digests: by namespace and agent, what it enforces.
        is_synced: whether it told of every agent on its present or last connection.
        heard_at: monotonic seconds of its last line; None before the first.
        problem: why it can't be followed at the moment; empty if it can.
        store_problem: why it can't use the store, and so denies every call; empty if it can.
        exceeded: by namespace and agent, the bound that it keeps refusing calls for.
        webhooks: by namespace and Workflow, what it says of their webhooks.
        head: where its audit chain stood last, signed; None if it has not said.
    """

    endpoint: Endpoint
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    is_synced: bool = False
    heard_at: float | None = None
    problem: str = "it was not reached yet"
    store_problem: str = ""
    exceeded: dict[tuple[str, str], ExceededBound] = field(default_factory=dict)
    webhooks: dict[tuple[str, str], WebhookReport] = field(default_factory=dict)
    head: SignedHead | None = None
    _fresh: dict[tuple[str, str], str] | None = None
    _fresh_exceeded: dict[tuple[str, str], ExceededBound] = field(default_factory=dict)
    _fresh_webhooks: dict[tuple[str, str], WebhookReport] = field(default_factory=dict)
    _stirred: set[tuple[str, str]] = field(default_factory=set)

    def connected(self) -> None:
        """Begin to take lines of a new connection; until it is synced, what was known stays."""
        self._fresh = {}
        self._fresh_exceeded = {}
        self._fresh_webhooks = {}

    def take(self, line: bytes, now: float) -> Iterator[tuple[str, str]]:
        """Take one line and yield the agents for which something else is enforced, or refused, than before.

        Raises:
            BadLineError: it is no line of a report.
        """
        said = _parsed(line)
        self.heard_at = now
        self.problem = ""
        if said.get("synced") is True:
            yield from self._synced()
        elif "digest" in said:
            yield from self._told(said)
        elif "exceeded" in said:
            yield from self._refuses(said)
        elif "webhooks" in said:
            self._hooked(said)
        elif "store" in said:
            self.store_problem = "" if said["store"] == "ok" else str(said.get("problem") or said["store"])
        elif "auditHead" in said:
            self.head = _head(said["auditHead"])

    def stirred(self) -> set[tuple[str, str]]:
        """Return the Workflows of which it says something else since this was last asked."""
        found, self._stirred = self._stirred, set()
        return found

    def webhook_report(self, namespace: str, workflow: str, now: float) -> WebhookReport | None:
        """Return what it says of the webhooks of one Workflow; None if nothing that counts."""
        counts = self.is_synced and not self.is_silent(now)
        return self.webhooks.get((namespace, workflow)) if counts else None

    def is_silent(self, now: float) -> bool:
        """Whether it was not heard of for too long."""
        return self.heard_at is None or now - self.heard_at > SILENCE_SECONDS

    def report(self, namespace: str, agent: str, now: float) -> GatewayReport:
        """Return what it says of one agent."""
        name, is_ready = self.endpoint.replica, self.endpoint.is_ready
        if not self.is_synced or self.is_silent(now):
            problem = self.problem or "it was not heard of lately"
            return GatewayReport(name, problem=problem, is_ready=is_ready)
        return GatewayReport(
            name,
            digest=self.digests.get((namespace, agent), ""),
            store_problem=self.store_problem,
            is_ready=is_ready,
            exceeded=self.exceeded.get((namespace, agent)),
        )

    def _synced(self) -> Iterator[tuple[str, str]]:
        fresh, self._fresh = self._fresh or {}, None
        before, self.digests = self.digests, fresh
        refused, self.exceeded, self._fresh_exceeded = self.exceeded, self._fresh_exceeded, {}
        hooked, self.webhooks, self._fresh_webhooks = self.webhooks, self._fresh_webhooks, {}
        self._stirred |= _changed(hooked, self.webhooks)
        self.is_synced = True
        yield from _changed(before, fresh) | _changed(refused, self.exceeded)

    def _told(self, said: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        namespace, agent = _agent(said)
        digest = said["digest"]
        if not isinstance(digest, str):
            raise BadLineError("the digest of a line of the report is no text")
        known = self.digests if self._fresh is None else self._fresh
        if digest:
            known[namespace, agent] = digest
        else:
            known.pop((namespace, agent), None)
        if self._fresh is None:
            yield namespace, agent

    def _refuses(self, said: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        key, bound = _agent(said), _exceeded(said["exceeded"])
        known = self.exceeded if self._fresh is None else self._fresh_exceeded
        before = known.pop(key, None)
        if bound is not None:
            known[key] = bound
        if self._fresh is None and bound != before:
            yield key

    def _hooked(self, said: Mapping[str, object]) -> None:
        namespace, workflow = said.get("namespace"), said.get("workflow")
        if not isinstance(namespace, str) or not isinstance(workflow, str):
            raise BadLineError("a line of the report about webhooks lacks namespace or workflow")
        key, report = (namespace, workflow), _webhooks(said["webhooks"])
        known = self.webhooks if self._fresh is None else self._fresh_webhooks
        before = known.pop(key, None)
        if report is not None:
            known[key] = report
        if self._fresh is None and report != before:
            self._stirred.add(key)


def _changed(
    before: Mapping[tuple[str, str], Value], after: Mapping[tuple[str, str], Value]
) -> set[tuple[str, str]]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _agent(said: Mapping[str, object]) -> tuple[str, str]:
    namespace, agent = said.get("namespace"), said.get("agent")
    if not isinstance(namespace, str) or not isinstance(agent, str):
        raise BadLineError("a line of the report lacks namespace or agent")
    return namespace, agent


def _exceeded(said: object) -> ExceededBound | None:
    """Return the bound; None if there is none, or one of a kind that this version does not know."""
    if said is None:
        return None
    if not isinstance(said, dict):
        raise BadLineError("what a line of the report says is exceeded is no object")
    reason, bound, frees_at = said.get("reason"), said.get("bound"), said.get("freesAt")
    if not isinstance(reason, str) or not isinstance(bound, str):
        raise BadLineError("a bound of the report lacks reason or name")
    known = next((item for item in BOUND_REASONS if item == reason), None)
    return None if known is None else ExceededBound(known, bound, _moment(frees_at))


def _webhooks(said: object) -> WebhookReport | None:
    if said is None:
        return None
    generation, problem = (
        (said.get("generation"), said.get("problem")) if isinstance(said, dict) else (None, None)
    )
    if not isinstance(generation, int) or not isinstance(problem, str):
        raise BadLineError("what a line of the report says of webhooks lacks generation or problem")
    return WebhookReport(generation, problem)


def _moment(said: object) -> datetime | None:
    if said is None:
        return None
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadLineError("the time at which a bound of the report frees is none of RFC 3339")
    return moment


def _parsed(line: bytes) -> Mapping[str, object]:
    if len(line) > MAX_LINE_BYTES:
        raise BadLineError(f"a line of the report has more than {MAX_LINE_BYTES} bytes")
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLineError(f"a line of the report is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise BadLineError("a line of the report is no object")
    return said


def _head(said: object) -> SignedHead:
    try:
        return SignedHead.parse(orjson.dumps(said))
    except (HeadError, TypeError) as error:
        raise BadLineError(str(error)) from error
