"""The enforcement report: which policy this gateway enforces for each agent, as a stream that the operator reads."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from aos.gateway.cluster_registry import PolicyListener
from aos.gateway.control.persisting import Exceeded
from aos.model.base import JsonObject
from aos.policy.effective import EffectivePolicy

AgentKey = tuple[str, str]

_log = logging.getLogger(__name__)

_BATCH: Final = 64
"""Policies compiled before other work gets a turn."""
_SYNCED: Final = b'{"synced":true}\n'
_HEARTBEAT: Final = b'{"heartbeat":true}\n'


class Policies(Protocol):
    """What is asked of the registry."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do; None if there is no such agent."""

    def agents(self) -> Collection[AgentKey]:
        """Return namespace and name of every agent."""

    def on_policy_change(self, listener: PolicyListener) -> None:
        """Call ``listener`` when an agent's effective policy may be another."""


@dataclass(frozen=True, slots=True)
class Enforced:
    """The digest of the policy that is enforced for an agent; empty if the agent is gone."""

    namespace: str
    agent: str
    digest: str

    def line(self) -> bytes:
        """Return the report's line."""
        return orjson.dumps(
            {"namespace": self.namespace, "agent": self.agent, "digest": self.digest},
            option=orjson.OPT_APPEND_NEWLINE,
        )


class EnforcementReport:
    """Keeps every agent's policy compiled, and tells readers its digest when it changes.

    A digest is told only once calls are decided by that policy.

    Attributes:
        compiled: set once the policies of all agents were compiled for the first time.
    """

    def __init__(self, policies: Policies, heartbeat_seconds: float) -> None:
        self._policies = policies
        self._heartbeat_seconds = heartbeat_seconds
        self._digests: dict[AgentKey, str] = {}
        self._statements: dict[str, bytes] = {}
        self._pending: dict[AgentKey, None] = {}
        self._wake = asyncio.Event()
        self._readers: set[_Reader] = set()
        self.compiled = asyncio.Event()
        policies.on_policy_change(self._changed)

    def __len__(self) -> int:
        """Agents whose policy is compiled."""
        return len(self._digests)

    def state(self, subject: str, statement: JsonObject) -> None:
        """Tell readers something of this replica; a newer statement on a subject takes the place of the older one."""
        line = orjson.dumps(statement, option=orjson.OPT_APPEND_NEWLINE)
        if self._statements.get(subject) == line:
            return
        self._statements[subject] = line
        for reader in self._readers:
            reader.state(subject, line)

    def store_is(self, problem: str) -> None:
        """Tell readers whether limits, budgets, records and the audit trail can be kept; ``problem`` is empty if so."""
        statement: JsonObject = {"store": "unavailable", "problem": problem} if problem else {"store": "ok"}
        self.state("store", statement)

    def digest(self, namespace: str, agent: str) -> str:
        """Return the digest of the policy that is enforced for an agent; empty if it is gone or not compiled yet."""
        return self._digests.get((namespace, agent), "")

    def exceeds(self, namespace: str, agent: str, exceeded: Exceeded | None) -> None:
        """Tell readers of the bound that an agent's calls stay refused for, or that there is none any more."""
        subject = f"exceeded/{namespace}/{agent}"
        said = exceeded.statement() if exceeded else None
        self.state(subject, {"namespace": namespace, "agent": agent, "exceeded": said})
        if said is None:
            # Whoever connects from now on need not hear of what is over.
            del self._statements[subject]

    def webhooks(self, namespace: str, workflow: str, generation: int, problem: str | None) -> None:
        """Tell readers whether the webhooks of a Workflow have their keys; None if it has no webhooks, or is gone."""
        subject = f"webhooks/{namespace}/{workflow}"
        if problem is None and subject not in self._statements:
            return
        said: JsonObject = {"generation": generation, "problem": problem}
        self.state(
            subject,
            {"namespace": namespace, "workflow": workflow, "webhooks": None if problem is None else said},
        )
        if problem is None:
            # Whoever connects from now on need not hear of what is over.
            del self._statements[subject]

    async def run(self) -> None:
        """Compile what changed until cancelled; run it once the cluster was read."""
        while True:
            self._compile(_BATCH)
            if self._pending:
                await asyncio.sleep(0)
            else:
                self.compiled.set()
                self._wake.clear()
                await self._wake.wait()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield lines: statements, all digests, ``{"synced": true}``, then changes, and a heartbeat where there are none."""
        await self.compiled.wait()
        reader = _Reader(dict(self._digests), dict(self._statements))
        self._readers.add(reader)
        try:
            yield reader.take() + _SYNCED
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat_seconds):
                        await reader.wake.wait()
                except TimeoutError:
                    yield _HEARTBEAT
                else:
                    yield reader.take()
        finally:
            self._readers.discard(reader)

    def _changed(self, namespace: str, agent: str) -> None:
        self._pending[namespace, agent] = None
        self._wake.set()

    def _compile(self, count: int) -> None:
        for key in list(self._pending)[:count]:
            del self._pending[key]
            digest = self._named(key)
            if digest == self._digests.get(key, ""):
                continue
            if digest:
                self._digests[key] = digest
            else:
                del self._digests[key]
            for reader in self._readers:
                reader.give(key, digest)

    def _named(self, key: AgentKey) -> str:
        """Return the digest of an agent's policy; empty where there is none, or none that can be made.

        What is wrong with one agent's objects ends neither the gateway nor the others' policies: no call of it is let through.
        """
        try:
            policy = self._policies.policy(*key)
            digest = policy.digest if policy else ""
        except Exception:  # noqa: BLE001 - whatever it is: it must not be everybody's
            _log.exception("the policy of agent %s/%s can't be enforced; all its calls fail", *key)
            return ""
        return digest


class _Reader:
    """What one reader has not been told yet; newer replaces older."""

    def __init__(self, digests: dict[AgentKey, str], statements: dict[str, bytes]) -> None:
        self._digests = digests
        self._statements = statements
        self.wake = asyncio.Event()

    def give(self, key: AgentKey, digest: str) -> None:
        self._digests[key] = digest
        self.wake.set()

    def state(self, subject: str, line: bytes) -> None:
        self._statements[subject] = line
        self.wake.set()

    def take(self) -> bytes:
        self.wake.clear()
        digests, self._digests = self._digests, {}
        statements, self._statements = self._statements, {}
        return b"".join(statements.values()) + b"".join(
            Enforced(namespace, agent, digest).line() for (namespace, agent), digest in digests.items()
        )
